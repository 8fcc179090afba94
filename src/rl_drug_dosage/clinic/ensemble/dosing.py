"""Bayesian dosing on support patients: the belief and the plan of one patient, carried from decision to decision."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from rl_drug_dosage.clinic.doubt import cautious
from rl_drug_dosage.clinic.ensemble.carry import begun, informed, over_interval
from rl_drug_dosage.clinic.ensemble.choice import best_dose
from rl_drug_dosage.clinic.ensemble.forecast import innovation
from rl_drug_dosage.clinic.ensemble.support import Assumed, Draws, Ensemble
from rl_drug_dosage.clinic.planner import first_plan, steps_ahead
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.timetable import Answer
from rl_drug_dosage.pkpd import DrugModel

__all__ = ["GROUP", "Advice", "Believed", "admission", "advice", "assumed_for"]

GROUP = 16
"""Patients at a time: their support patients fit into a core's cache."""
_COMPARED_AHEAD, _MOST_COMPARED, _COMPARED_ODE = 768, 256, 24
"""Support patients that doses are compared on: as many as make 768 with every interval ahead, at most 256; fewer where
each needs numerical integration."""


class Believed(NamedTuple):
    """The support patients of one patient, and the last plan."""

    belief: Ensemble
    plan: Float[Array, " move"]


class Advice(NamedTuple):
    """What a decision comes to."""

    answer: Answer
    """The best Bayesian dose; the cautious one where the belief is in doubt."""
    believed: Believed
    innovation: Float[Array, ""]
    """See `forecast.innovation`."""
    informed: Bool[Array, ""]
    """Whether results have come since the last decision."""


def assumed_for(scenario: Scenario, models: tuple[DrugModel, ...], **fields: Any) -> Assumed:
    """What is assumed of drug models, with the usual number of support patients that doses are compared on.

    Args:
        scenario: the task.
        models: the drug models.
        fields: other fields of `Assumed`.
    """
    linear = all(model.structure.linear for model in models)
    compared = min(_MOST_COMPARED, _COMPARED_AHEAD // steps_ahead(scenario)) if linear else _COMPARED_ODE
    members = fields.get("members", Assumed(models).members)
    return Assumed(models, **{"compared": min(compared, members), **fields})


def admission(assumed: Assumed, draws: tuple[Draws, ...], scenario: Scenario, record: Record) -> Believed:
    """What is believed before the first decision; the first plan is the label's dose."""
    belief = begun(assumed, draws, scenario, record)
    return Believed(belief, first_plan(scenario, scenario.label(record.facts(), record)))


def advice(assumed: Assumed, draws: tuple[Draws, ...], scenario: Scenario, before: Believed, record: Record) -> Advice:
    """The best dose at decision ``record.k``, with the results that have come back since the last one."""
    moved = over_interval(assumed, draws, scenario, before.belief, record)
    off, new = innovation(assumed, scenario, moved, record)
    belief = informed(assumed, draws, scenario, moved, record)
    answer, plan = best_dose(assumed, draws, scenario, belief, record, before.plan)
    return Advice(cautious(scenario, belief, record, answer), Believed(belief, jnp.asarray(plan)), off, new)
