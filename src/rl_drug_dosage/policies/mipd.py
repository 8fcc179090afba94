"""Model-informed precision dosing: MAP-Bayes from all levels so far, then the best dose sequence for the goal.

The MAP estimate is treated as the true patient (certainty equivalence), as in bedside software; `mipd-average`
averages over the posterior instead. Options assume more varied patients, the assay error, or a weaker prior
(`clinic.assumptions`). See `clinic.planner` for the search and `clinic.belief` for the estimate.
"""

import dataclasses
from collections.abc import Mapping

import equinox as eqx
from jaxtyping import PRNGKeyArray

from rl_drug_dosage.clinic.assumptions import MAP_OPTIONS, assumed_by, refused_assumptions
from rl_drug_dosage.clinic.doubt import unheeded
from rl_drug_dosage.clinic.planner import Planned, advise, begin
from rl_drug_dosage.clinic.policy import Policy, PolicyDefinition, Setting
from rl_drug_dosage.clinic.record import Record, Truth, with_any_results
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.timetable import Answer
from rl_drug_dosage.pkpd import DrugModel

__all__ = ["POLICY", "Mipd"]


class Mipd(Policy):
    """Certainty-equivalent Bayesian dosing. The memory holds the belief and the last plan."""

    scenario: Scenario = eqx.field(static=True)
    model: DrugModel = eqx.field(static=True)

    def init(self, record: Record, truth: Truth | None = None) -> Planned:
        return begin(self.model, self.scenario, self.scenario.label(record.facts(), record))

    def act(self, memory: Planned, observation: Record, key: PRNGKeyArray | None) -> tuple[Answer, Planned]:
        return advise(self.model, self.scenario, memory, observation)

    def anytime(self) -> "Mipd":
        return dataclasses.replace(self, scenario=with_any_results(self.scenario))

    def remarks(self, facts: Mapping[str, float]) -> tuple[str, ...]:
        return unheeded(self.model, self.scenario, facts)


def build(setting: Setting) -> Mipd:
    """Build the policy with the controller's model, changed by the options."""
    (model,) = assumed_by(setting)
    return Mipd(setting.scenario, model)


POLICY = PolicyDefinition(
    title="Bayesian dosing: MAP estimate, then the best dose sequence",
    build=build,
    options=MAP_OPTIONS,
    refuses_options=refused_assumptions,
)
