"""What a policy from outside the package may get wrong, and the line that says so."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from rl_drug_dosage.clinic.policy import Policy, PolicyDefinition
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.timetable import Answer, amount_of
from rl_drug_dosage.errors import BadPluginError
from rl_drug_dosage.registry import POLICY, every
from rl_drug_dosage.utils.foreign import blame, guarded

__all__ = [
    "check_amounts",
    "decide",
    "faults_of",
    "half_step",
    "not_a_dose",
    "not_real",
    "not_stacked",
    "refusal",
    "refusals",
    "require_policy",
]

_PAIR = "a pair, the dose and the new memory"
_NAMED = re.compile(r"\Apolicy '[^']*'")


@contextlib.contextmanager
def faults_of(name: str, does: str = "fails", *, foreign: bool = True) -> Iterator[None]:
    """Turn whatever a policy from outside raises into one line that names it; errors of this package keep their text.

    Args:
        name: name of the policy.
        does: what it does, in the message.
        foreign: False: it is one of this package's, whose errors pass as they are.

    Raises:
        BadPluginError: the policy fails.
    """
    if not foreign:
        yield
        return
    whose = f"policy {name!r}"
    try:
        with guarded(lambda error: f"{whose} {does}: {blame(error)}", own=True):
            yield
    except BadPluginError as error:
        # The name in tables, in place of that of a class or function.
        said, named = _NAMED.subn(lambda _: whose, str(error), count=1)
        raise BadPluginError(said if named else f"{whose}: {said}") from error


def require_policy(made: object, name: str, call: str = "build(setting)") -> Policy:
    """What a function of a definition returned, if it is a policy.

    Raises:
        BadPluginError: it is none.
    """
    if not isinstance(made, Policy):
        said = f"the class {made.__name__}, not an instance" if isinstance(made, type) else type(made).__name__
        raise BadPluginError(f"policy {name!r}: {call} returned {said}, it must return a Policy")
    return made


def not_stacked(candidates: object) -> str:
    """What is wrong with the leading axes of candidates, which must be the same for all; empty if nothing is."""
    shapes = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(candidates)}
    return f"leaves with first axes {sorted(map(str, shapes))}" if len(shapes) != 1 or shapes == {()} else ""


def refusal(definition: PolicyDefinition, scenario: Scenario, name: str) -> str:
    """Why a policy cannot be used in a scenario; empty if it can.

    Raises:
        BadPluginError: the definition does not say.
    """
    reason: object = definition.refuses(scenario)
    if not isinstance(reason, str):
        raise BadPluginError(
            f"policy {name!r}: refuses(scenario) returned {reason!r}: allowed is a text, empty where the policy fits"
        )
    return reason


def refusals(scenario: Scenario) -> tuple[dict[str, str], tuple[str, ...]]:
    """Of every clinical policy, why it cannot be used in a scenario, empty if it can; and what another package breaks.

    Returns:
        Name -> reason, and a line for each policy that cannot be asked.
    """
    found, broken = every(POLICY)
    reasons, failing = {}, list(broken)
    for one in found:
        try:
            with faults_of(one.name, foreign=one.is_foreign):
                reasons[one.name] = refusal(one.value, scenario, one.name)
        except BadPluginError as error:
            failing.append(f"{error} (from {one.where})")
    return reasons, tuple(failing)


def not_real(value: Any) -> str:
    """What amounts are, if their type is none of real numbers; otherwise empty. Reads no values of JAX."""
    said = type(value).__name__
    try:
        dtype = value.dtype if isinstance(value, jax.Array | jax.ShapeDtypeStruct) else np.asarray(value).dtype
        if dtype.kind == "O":
            # Such as decimal.Decimal; float() refuses None and complex numbers.
            return "" if all(np.isreal(float(v)) for v in np.asarray(value).ravel()) else said
    except (TypeError, ValueError):  # a ragged list, None
        return said
    if jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer):
        return ""
    return {"b": "True or False", "c": "complex numbers"}.get(dtype.kind, said)


def not_a_dose(answer: Any) -> str:
    """What an answer of one patient is, if its amount is no real number; otherwise empty. Reads no values."""
    amount = amount_of(answer)
    shape = np.shape(amount)
    return not_real(amount) or (f"an array of shape {shape}" if shape else "")


def decide(policy: Policy, memory: Any, record: Record, key: PRNGKeyArray | None) -> tuple[Answer, Any]:
    """`Policy.act` of one patient, and that it returns one real number and a memory of the same form.

    Only shapes and types are looked at, while JAX traces the function: the compiled program is the same.

    Raises:
        BadPluginError: it returns something else.
    """
    came: Any = policy.act(memory, record, key)
    whose = f"act of {type(policy).__name__}"
    if not isinstance(came, tuple) or len(came) != 2:
        said = f"{len(came)} values" if isinstance(came, tuple) else _one(came)
        raise BadPluginError(f"{whose} returned {said}: allowed is {_PAIR}")
    if said := not_a_dose(came[0]):
        raise BadPluginError(f"{whose} returned {said} as the dose: allowed is one real number, the patient's dose")
    before, after = (_form(m) for m in (memory, came[1]))
    if before != after:
        raise BadPluginError(
            f"{whose} returned a memory of shapes {after}, `init` one of shapes {before}: return it in the same form"
        )
    return came


def _one(came: object) -> str:
    return "one array" if isinstance(came, jax.Array | np.ndarray) else type(came).__name__


def _form(memory: Any) -> str:
    """Structure and shapes of a memory."""
    return str(jax.tree.map(np.shape, memory))


def check_amounts(name: str, amounts: np.ndarray, scenario: Scenario) -> None:
    """Refuse amounts that are no doses; one above the scenario's largest is a dose, which the dose grid limits.

    Args:
        name: name of the policy.
        amounts: proposed doses.
        scenario: the task.

    Raises:
        BadPluginError: an amount is not finite, or negative.
    """
    wrong = amounts[~(np.isfinite(amounts) & (amounts >= -half_step(scenario)))]
    if wrong.size:
        remedy = "clip it in the policy" if np.isfinite(wrong[0]) else "return a number also where levels are missing"
        raise BadPluginError(
            f"policy {name!r} gave {wrong[0]:g} {scenario.dosage.unit} at {wrong.size:,} of {amounts.size:,} "
            f"decisions: allowed are finite doses of at least 0 {scenario.dosage.unit}; {remedy}"
        )


def half_step(scenario: Scenario) -> float:
    """Half of the largest step of the dose grid: how far off an amount may lie and be rounded."""
    return 0.5 * float(np.diff(scenario.dosage.grid()).max(initial=0.0))
