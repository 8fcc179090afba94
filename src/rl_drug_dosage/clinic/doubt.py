"""Doses where an estimate has not converged, or a patient is unlike those of a training: what is given instead."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from rl_drug_dosage.clinic.belief import Belief
from rl_drug_dosage.clinic.ensemble.support import Ensemble
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.timetable import Answer, Prescription, amount_of
from rl_drug_dosage.pkpd import DrugModel

__all__ = ["Abstention", "abstained", "cautious", "in_doubt", "unheeded"]


class Abstention(NamedTuple):
    """Part of a learnt policy's memory: whether it left the last dose to the dosing that it corrects."""

    now: Bool[Array, ""]


def abstained(memory: Any) -> Bool[Array, ""]:
    """Whether a policy, whichever it is, left its last dose to the dosing that it corrects.

    Args:
        memory: from `Policy.act`, of one patient or, with leading axes, of several.
    """
    return _any([part.now for part in _parts(memory, Abstention)])


def in_doubt(memory: Any) -> Bool[Array, ""]:
    """Whether an estimate in a policy's memory, whichever policy it is, has not converged.

    Args:
        memory: from `Policy.act`, of one patient or, with leading axes, of several.
    """
    return _any([~belief.converged for belief in _parts(memory, Belief | Ensemble)])


def _parts(memory: Any, kind: Any) -> list[Any]:
    """The parts of a memory that are of a kind, wherever they stand in it."""
    return [v for v in jax.tree.leaves(memory, is_leaf=lambda v: isinstance(v, kind)) if isinstance(v, kind)]


def _any(flags: list[Bool[Array, ""]]) -> Bool[Array, ""]:
    found = jnp.asarray(False)
    for flag in flags:
        found = found | flag
    return found


def cautious(scenario: Scenario, belief: Belief | Ensemble, record: Record, answer: Answer) -> Answer:
    """The answer itself, or a cautious one if the estimate behind it has not converged.

    That is the lowest of three doses: the one for the best point found, the last one above 0, and the label's. So an
    estimate that is not one never raises a dose, and a low one is heeded, whoever is right. Where dosing intervals are
    chosen, the longer one of the last and the chosen stays.
    """
    grid = jnp.asarray(scenario.dosage.grid())
    amount = amount_of(answer)
    steps = jnp.arange(record.dose.shape[0])
    given = (steps < record.k) & (record.dose > 0)
    last = jnp.where(jnp.any(given), record.dose[jnp.max(jnp.where(given, steps, 0))], grid[-1])
    most = jnp.minimum(last, scenario.label(record.facts(), record)) * (1.0 + 1e-5)
    # Down, not to the nearest amount, which may be more than either.
    most = grid[jnp.maximum(jnp.searchsorted(grid, most, side="right") - 1, 0)]
    amount = jnp.where(belief.converged, amount, jnp.minimum(amount, most))
    if not isinstance(answer, Prescription):
        return amount
    every_h = jnp.asarray(scenario.dosage.intervals_h)
    before = jnp.where(record.k > 0, record.choice[jnp.maximum(record.k - 1, 0)], answer.choice)
    longer = jnp.where(every_h[before] > every_h[answer.choice], before, answer.choice)
    return Prescription(amount, jnp.where(belief.converged, answer.choice, longer))


def unheeded(model: DrugModel, scenario: Scenario, facts: Mapping[str, float]) -> tuple[str, ...]:
    """Categories of a patient, other than the usual one, that a drug model knows nothing of; one sentence each."""
    known = {covariate.name for covariate in model.covariates}
    return tuple(
        f"{c.name} = {facts[c.name]:g} ({c.meaning}): {model.name} does not know it, nor does the dose"
        for c in scenario.covariates
        if c.codes and c.name in facts and c.name not in known and facts[c.name] != c.typical
    )
