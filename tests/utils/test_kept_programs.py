"""Programs are traced once, kept in a file, and traced again where the file is damaged or something else is asked."""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.pkpd import links
from rl_drug_dosage.pkpd.bayes import Posterior
from rl_drug_dosage.utils import kept_programs, runtime
from rl_drug_dosage.utils.kept_programs import Kept, keep_traces, program, trim


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache, in which programs are kept."""
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    keep_traces(True)
    yield runtime.traced_folder()
    keep_traces(False)


def _scaled(by: float) -> Callable[..., dict[str, Any]]:
    def run(x: jax.Array, key: jax.Array, kind: str) -> dict[str, Any]:
        return {"scaled": x * by, "chance": jax.random.uniform(key), "both": (x + 1.0, [x])} if kind else {}

    run.__module__ = links.__name__  # as a function of the package
    return run


def _call(by: float = 2.0, count: int = 3, kind: str = "a") -> tuple[Any, kept_programs.Program]:
    args = (jnp.arange(float(count)), jax.random.key(7), kind)
    found = program(_scaled(by), *args)
    return found(*args), found


def test_the_second_process_reads_what_the_first_traced(folder: Path) -> None:
    first, one = _call()
    again, other = _call()
    assert (one.kept, other.kept) == (False, True)
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert first["scaled"].tolist() == [0.0, 2.0, 4.0]
    np.testing.assert_array_equal(first["chance"], jax.random.uniform(jax.random.key(7)))
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("asked", [{"by": 3.0}, {"count": 4}, {"kind": "b"}], ids=str)
def test_something_else_is_another_program(folder: Path, asked: dict[str, Any]) -> None:
    _call()
    assert not _call(**asked)[1].kept
    assert len(list(folder.iterdir())) == 2


def test_which_argument_is_missing_is_part_of_it(folder: Path) -> None:
    """Both calls have one array of the same shape."""

    def run(x: jax.Array | None, y: jax.Array | None) -> jax.Array:
        return (0.0 if x is None else x) - (0.0 if y is None else y)

    run.__module__ = links.__name__
    one = jnp.ones(2)
    assert program(run, one, None)(one, None).tolist() == [1.0, 1.0]
    assert program(run, None, one)(None, one).tolist() == [-1.0, -1.0]
    assert program(run, None, one).kept


def test_precision_is_part_of_it(folder: Path) -> None:
    _call()
    with jax.enable_x64(True):
        result, found = _call()
    assert not found.kept
    assert result["scaled"].dtype == np.float64


@pytest.mark.parametrize("damage", ["flipped", "short", "empty", "other"])
def test_a_damaged_file_is_replaced(folder: Path, damage: str) -> None:
    _call()
    (place,) = folder.iterdir()
    whole = place.read_bytes()
    place.write_bytes(
        {
            "flipped": whole[:-100] + bytes([whole[-100] ^ 1]) + whole[-99:],
            "short": whole[:-1],
            "empty": b"",
            "other": b"PK" + whole,
        }[damage]
    )
    result, found = _call()
    assert not found.kept
    assert result["scaled"].tolist() == [0.0, 2.0, 4.0]
    assert _call()[1].kept


def test_a_folder_that_cannot_be_written_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("no folder")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(file))
    monkeypatch.setitem(kept_programs._STATE, "said", False)
    keep_traces(True)
    try:
        with pytest.warns(RuntimeWarning, match="cannot keep programs in .*: set XDG_CACHE_HOME") as said:
            found = [_call(by=by)[0]["scaled"].tolist() for by in (2.0, 3.0)]
        assert found == [[0.0, 2.0, 4.0], [0.0, 3.0, 6.0]]
        assert len([w for w in said if "cannot keep" in str(w.message)]) == 1
    finally:
        keep_traces(False)


def test_calls_into_python_and_foreign_code_are_traced_each_time(folder: Path) -> None:
    def calls(x: jax.Array) -> jax.Array:
        return jax.pure_callback(np.sin, jax.ShapeDtypeStruct(x.shape, x.dtype), x)

    x = jnp.ones(2)
    np.testing.assert_allclose(program(calls, x)(x), np.sin(1.0), rtol=1e-6)
    calls.__module__ = links.__name__
    for _ in range(2):
        found = program(calls, x)
        np.testing.assert_allclose(found(x), np.sin(1.0), rtol=1e-6)
        assert not found.kept
    assert not folder.exists() or not list(folder.iterdir())


def test_an_error_in_the_function_comes_through(folder: Path) -> None:
    def wrong(x: jax.Array) -> jax.Array:
        raise ValueError(f"no {x.shape}")

    wrong.__module__ = links.__name__
    with pytest.raises(ValueError, match=r"no \(2,\)"):
        program(wrong, jnp.ones(2))


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    for age, name in ((1, "old"), (3, "new"), (2, "middle")):
        path = tmp_path / name
        path.write_bytes(b"x" * 10)
        os.utime(path, (age, age))
    assert trim(tmp_path, 30) == 0
    assert trim(tmp_path, 15) == 20
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    assert trim(tmp_path / "missing", 0) == 0


def test_modules_come_back_as_modules(folder: Path) -> None:
    def run(x: jax.Array) -> tuple[Posterior, Posterior]:
        one = jnp.asarray(1.0)
        return Posterior(x, x + 1.0, one), Posterior(x, x, one, log_evidence=2.0 * one)

    run.__module__ = links.__name__
    x = jnp.arange(3.0)

    made, read = program(run, x), program(run, x)

    assert (made.kept, read.kept) == (False, True)
    for found in (made(x), read(x)):
        assert [type(own) for own in found] == [Posterior, Posterior]
        assert found[0].log_evidence is None
        assert (found[0].kappa.tolist(), float(found[1].log_evidence)) == ([1.0, 2.0, 3.0], 2.0)


def test_threads_wait_for_the_one_that_makes_their_program() -> None:
    traced = []

    def run(x: jax.Array) -> jax.Array:
        traced.append(x.shape)
        time.sleep(0.2)
        return x + 1.0

    kept = Kept(run)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: kept(jnp.ones(2)).tolist(), range(4)))

    assert found == [[2.0, 2.0]] * 4
    assert len(traced) == 1
