"""Equal values have equal fingerprints in every process; whatever changes a program changes them."""

import dataclasses
import functools
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.pkpd import links
from rl_drug_dosage.registry import load_drug, load_scenario
from rl_drug_dosage.utils.fingerprint import NoFingerprintError, content_digest, fingerprint, value_digest
from rl_drug_dosage.utils.frozen import FrozenMapping

_CODE = """
from rl_drug_dosage.registry import load_drug, load_scenario
from rl_drug_dosage.utils.fingerprint import fingerprint
print(fingerprint(load_scenario("vancomycin"), load_drug("vancomycin-goti2018"), {"a", "b", "c"}))
"""


def test_another_process_finds_the_same() -> None:
    """Hashes of texts differ between processes, and so does the order of sets; fingerprints do not."""
    found = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, check=True).stdout.strip()
    own = fingerprint(load_scenario("vancomycin"), load_drug("vancomycin-goti2018"), {"c", "b", "a"})
    assert found == own


_DRUG = load_drug("vancomycin-goti2018")
_SCENARIO = load_scenario("vancomycin")


def _with_theta(value: float) -> Any:
    name = next(iter(_DRUG.thetas))
    return dataclasses.replace(
        _DRUG, thetas={**_DRUG.thetas, name: dataclasses.replace(_DRUG.thetas[name], value=value)}
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (1, True),
        ("1", 1),
        ((1, 2), [1, 2]),
        ((1, (2, 3)), ((1, 2), 3)),
        (("ab", "c"), ("a", "bc")),
        (np.zeros(2, np.float32), np.zeros(2)),
        (np.zeros((1, 2)), np.zeros((2, 1))),
        (np.asarray([0.0, 1.0]), np.asarray([0.0, 2.0])),
        (jnp.zeros(2), jnp.zeros(2, int)),
        (functools.partial(max, 1), functools.partial(max, 2)),
        (FrozenMapping({"a": 1}), FrozenMapping({"a": 2})),
        (_DRUG, _with_theta(4.4)),
        (_with_theta(4.4), _with_theta(4.400001)),
        (_SCENARIO, dataclasses.replace(_SCENARIO, schedule=dataclasses.replace(_SCENARIO.schedule, decisions=15))),
        (_SCENARIO.label, load_scenario("busulfan").label),
    ],
    ids=lambda value: type(value).__name__,
)
def test_another_value_is_another(one: object, other: object) -> None:
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(one) == fingerprint(one)


def _enclosing(number: float) -> Callable[[], float]:
    # As a function of the package has it.
    def inner() -> float:
        return number

    inner.__module__ = links.__name__
    return inner


def test_a_function_counts_with_what_it_encloses() -> None:
    assert fingerprint(_enclosing(1.0)) == fingerprint(_enclosing(1.0))
    assert fingerprint(_enclosing(1.0)) != fingerprint(_enclosing(2.0))


@dataclasses.dataclass
class _Own:
    number: int = 1


def test_code_from_elsewhere_has_none() -> None:
    """What a function of the user's does may change without a trace in the values."""
    for value in (lambda: 1, _Own(), [_Own()], {"a": _Own}, functools.partial(_enclosing, 1), iter([])):
        with pytest.raises(NoFingerprintError):
            fingerprint(value)
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(NoFingerprintError, match="contains itself"):
        fingerprint(circle)


def test_another_python_finds_the_same_values() -> None:
    """Its code of the same function differs: a value's digest has the function's name and what it encloses."""
    one, other = _enclosing(1.0), _enclosing(2.0)
    assert value_digest(one) != value_digest(other)
    before, whole = value_digest(one), content_digest(one)
    one.__code__ = one.__code__.replace(co_code=one.__code__.co_code + bytes([9, 0]))
    assert value_digest(one) == before
    assert content_digest(one) != whole


def test_sets_count_by_their_values_alone(monkeypatch) -> None:
    before = content_digest({"a", "b"})
    monkeypatch.setattr("rl_drug_dosage.utils.fingerprint._code_digest", lambda: b"another version")
    assert content_digest({"a", "b"}) == before
