"""Bayesian dosing on support patients that are carried along (multiple-model dosing): the best expected goal.

What is believed are virtual patients of the scenario with the covariates of the record: random effects, day-to-day
variability, missed doses, meals and disturbances are drawn as they are for the patients of training. See
`clinic.ensemble`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rl_drug_dosage.clinic.assumptions import ENSEMBLE_OPTIONS, assumed_by, refused_assumptions
from rl_drug_dosage.clinic.doubt import unheeded
from rl_drug_dosage.clinic.ensemble.dosing import GROUP, Believed, admission, advice, assumed_for
from rl_drug_dosage.clinic.ensemble.forecast import Forecast, forecast
from rl_drug_dosage.clinic.ensemble.support import Assumed, Draws, draws_of
from rl_drug_dosage.clinic.options import Option, completed_options
from rl_drug_dosage.clinic.policy import Policy, PolicyDefinition, Setting
from rl_drug_dosage.clinic.record import Record, Truth, with_any_results
from rl_drug_dosage.clinic.rewards import HARM_COST
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.timetable import Answer
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.utils.in_groups import in_groups

__all__ = ["POLICY", "MipdEnsemble"]


class MipdEnsemble(Policy):
    """Multiple-model dosing. The memory holds the support patients and the last plan."""

    scenario: Scenario = eqx.field(static=True)
    assumed: Assumed = eqx.field(static=True)
    draws: tuple[Draws, ...]

    @property
    def carries_results(self) -> bool:
        return True

    def init(self, record: Record, truth: Truth | None = None) -> Believed:
        def one(draws: tuple[Draws, ...], record: Record) -> Believed:
            return admission(self.assumed, draws, self.scenario, record)

        return in_groups(one, GROUP)(self.draws, record)

    def act(self, memory: Believed, observation: Record, key: PRNGKeyArray | None) -> tuple[Answer, Believed]:
        def one(draws: tuple[Draws, ...], memory: Believed, record: Record) -> tuple[Answer, Believed]:
            found = advice(self.assumed, draws, self.scenario, memory, record)
            return found.answer, found.believed

        return in_groups(one, GROUP)(self.draws, memory, observation)

    def anytime(self) -> "MipdEnsemble":
        return dataclasses.replace(self, scenario=with_any_results(self.scenario))

    def believes(self) -> tuple[str, ...]:
        return tuple(model.name for model in self.assumed.models)

    def forecast(
        self, memory: Believed, observation: Record, amounts: Float[Array, " dose"], same: Bool[Array, ""]
    ) -> Forecast:
        planned = jnp.broadcast_to(memory.plan, (amounts.size, memory.plan.size)).at[:, 0].set(amounts)
        plans = jnp.where(same, amounts[:, None], planned)
        return forecast(self.assumed, self.draws, self.scenario, memory.belief, observation, plans)

    def remarks(self, facts: Mapping[str, float]) -> tuple[str, ...]:
        said = (unheeded(model, self.scenario, facts) for model in self.assumed.models)
        return tuple(dict.fromkeys(text for each in said for text in each))


def ensemble(scenario: Scenario, models: tuple[DrugModel, ...], **assumed: Any) -> MipdEnsemble:
    """The policy for drug models, and fields of `Assumed`."""
    found = assumed_for(scenario, models, **assumed)
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
    "steady": Option(
        "price of changing the dose by the usual dose, in intervals outside a target; 0: none", 0.0, low=0.0, high=10.0
    ),
    "harm": Option(
        f"price of a harmful event, in intervals outside a target; 0: none; the reward `goal` has {HARM_COST:g}",
        0.0,
        low=0.0,
        high=100.0,
    ),
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
        steady=float(chosen["steady"]),
        harm=float(chosen["harm"]),
        select=chosen["models"] == "select",
        members=round(float(chosen["members"])),
    )


POLICY = PolicyDefinition(
    title="Bayesian dosing on support patients, by the best expected goal",
    build=build,
    options=OPTIONS,
    refuses_options=refused_assumptions,
)
