"""The optimiser of `mipd` with each patient's true parameters: an upper bound that no clinic can reach.

Its information includes the simulator, the random effects of all occasions, and future covariates, disturbances, meals
and missed doses, but not which doses will be late.
"""

from typing import NamedTuple

import equinox as eqx
from jaxtyping import Array, PRNGKeyArray

from rl_drug_dosage.clinic.belief import Player, past
from rl_drug_dosage.clinic.planner import FACTORS, decide, first_plan, outlook, outside
from rl_drug_dosage.clinic.policy import Policy, PolicyDefinition, Setting
from rl_drug_dosage.clinic.record import Record, Truth
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.timetable import Answer
from rl_drug_dosage.pkpd import DrugModel

__all__ = ["POLICY", "Oracle"]


class _Memory(NamedTuple):
    truth: Truth
    plan: Array


class Oracle(Policy):
    """Plans with the true parameters. The memory holds the truth and the last plan."""

    scenario: Scenario = eqx.field(static=True)
    model: DrugModel = eqx.field(static=True)

    def init(self, record: Record, truth: Truth | None = None) -> _Memory:
        assert truth is not None, "the oracle needs the truth"
        return _Memory(truth, first_plan(self.scenario, self.scenario.label(record.facts(), record)))

    def act(self, memory: _Memory, observation: Record, key: PRNGKeyArray | None) -> tuple[Answer, _Memory]:
        truth = memory.truth
        kappa = truth.kappa if truth.kappa.shape[-1] else None
        observation = eqx.tree_at(lambda r: r.intake_mg, observation, truth.intake_mg)
        player = Player(
            self.model,
            self.scenario,
            truth.covariates,
            truth.eta,
            kappa,
            area=True,
            disturbance=truth.disturbance,
            taken=truth.taken if self.scenario.adherence.missed_mean > 0 else None,
        )
        seen = past(player, observation)
        answer, plan = decide(
            self.scenario,
            lambda choice: outlook(player, seen, observation, choice),
            memory.plan,
            loss=outside,
            factors=FACTORS,
        )
        return answer, _Memory(truth, plan)


def build(setting: Setting) -> Oracle:
    """Build the policy with the simulator's model."""
    return Oracle(setting.scenario, setting.simulator)


POLICY = PolicyDefinition(title="the best dose sequence for the true patient", build=build, sees_truth=True)
