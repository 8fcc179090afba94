"""Bayesian dosing on support patients that are carried along (multiple-model dosing): the best expected goal.

What is believed are virtual patients of the scenario with the covariates of the record: random effects, day-to-day
variability, missed doses, meals and disturbances are drawn as they are for the patients of training. See
`clinic.ensemble`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rl_drug_dosage.clinic.assumptions import ENSEMBLE_OPTIONS, assumed_by, refused_assumptions
from rl_drug_dosage.clinic.doubt import cautious, unheeded
from rl_drug_dosage.clinic.ensemble.carry import advanced, begun
from rl_drug_dosage.clinic.ensemble.choice import best_dose
from rl_drug_dosage.clinic.ensemble.forecast import Forecast, forecast
from rl_drug_dosage.clinic.ensemble.support import Assumed, Draws, Ensemble, draws_of
from rl_drug_dosage.clinic.options import Option, completed_options
from rl_drug_dosage.clinic.planner import first_plan, steps_ahead
from rl_drug_dosage.clinic.policy import Policy, PolicyDefinition, Setting
from rl_drug_dosage.clinic.record import Record, Truth, with_any_results
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.timetable import Answer
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.utils.in_groups import in_groups

__all__ = ["POLICY", "MipdEnsemble"]

_COMPARED_AHEAD, _MOST_COMPARED, _COMPARED_ODE = 768, 256, 24
"""Support patients that doses are compared on: as many as make 768 with every interval ahead, at most 256; fewer where
each needs numerical integration."""
_GROUP = 16
"""Patients at a time: their support patients fit into a core's cache."""


class _Memory(NamedTuple):
    belief: Ensemble
    plan: Array


class MipdEnsemble(Policy):
    """Multiple-model dosing. The memory holds the support patients and the last plan."""

    carries_results: ClassVar[bool] = True
    scenario: Scenario = eqx.field(static=True)
    assumed: Assumed = eqx.field(static=True)
    draws: tuple[Draws, ...]

    def init(self, record: Record, truth: Truth | None = None) -> _Memory:
        def one(draws: tuple[Draws, ...], record: Record) -> _Memory:
            belief = begun(self.assumed, draws, self.scenario, record)
            return _Memory(belief, first_plan(self.scenario, self.scenario.label(record.facts(), record)))

        return in_groups(one, _GROUP)(self.draws, record)

    def act(self, memory: _Memory, observation: Record, key: PRNGKeyArray | None) -> tuple[Answer, _Memory]:
        def one(draws: tuple[Draws, ...], memory: _Memory, record: Record) -> tuple[Answer, _Memory]:
            belief = advanced(self.assumed, draws, self.scenario, memory.belief, record)
            answer, plan = best_dose(self.assumed, draws, self.scenario, belief, record, memory.plan)
            return cautious(self.scenario, belief, record, answer), _Memory(belief, plan)

        return in_groups(one, _GROUP)(self.draws, memory, observation)

    def anytime(self) -> "MipdEnsemble":
        return dataclasses.replace(self, scenario=with_any_results(self.scenario))

    def believes(self) -> tuple[str, ...]:
        return tuple(model.name for model in self.assumed.models)

    def forecast(
        self, memory: _Memory, observation: Record, amounts: Float[Array, " dose"], same: Bool[Array, ""]
    ) -> Forecast:
        planned = jnp.broadcast_to(memory.plan, (amounts.size, memory.plan.size)).at[:, 0].set(amounts)
        plans = jnp.where(same, amounts[:, None], planned)
        return forecast(self.assumed, self.draws, self.scenario, memory.belief, observation, plans)

    def remarks(self, facts: Mapping[str, float]) -> tuple[str, ...]:
        said = (unheeded(model, self.scenario, facts) for model in self.assumed.models)
        return tuple(dict.fromkeys(text for each in said for text in each))


def ensemble(scenario: Scenario, models: tuple[DrugModel, ...], **assumed: Any) -> MipdEnsemble:
    """The policy for drug models, and fields of `Assumed`."""
    linear = all(model.structure.linear for model in models)
    compared = min(_MOST_COMPARED, _COMPARED_AHEAD // steps_ahead(scenario)) if linear else _COMPARED_ODE
    members = assumed.get("members", Assumed(models).members)
    found = Assumed(models, **{"compared": min(compared, members), **assumed})
    return MipdEnsemble(scenario, found, tuple(draws_of(found, model, scenario) for model in models))


OPTIONS: Mapping[str, Option] = {
    **ENSEMBLE_OPTIONS,
    "models": Option(
        "of a mixture: doses for all models by their probability, or for the most probable one (Uster 2021)",
        "average",
        words=("average", "select"),
    ),
    "offset": Option(
        "sd of the logarithm of the ratio of levels to predictions, which wanders over the look-ahead; 0: none",
        0.0,
        low=0.0,
        high=2.0,
    ),
    "forget": Option("share of what levels have told that is kept over an interval; 1: all", 1.0, low=0.5, high=1.0),
    "members": Option("support patients of each model", 512.0, low=16.0, high=65536.0),
}


def build(setting: Setting) -> MipdEnsemble:
    """Build the policy with the models and the options of the setting."""
    chosen = completed_options(OPTIONS, setting.options)
    return ensemble(
        setting.scenario,
        assumed_by(setting, whole=True),
        offset_sd=float(chosen["offset"]),
        forget=float(chosen["forget"]),
        select=chosen["models"] == "select",
        members=round(float(chosen["members"])),
    )


POLICY = PolicyDefinition(
    title="Bayesian dosing on support patients, by the best expected goal",
    build=build,
    options=OPTIONS,
    refuses_options=refused_assumptions,
)
