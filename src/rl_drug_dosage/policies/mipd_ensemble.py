"""Bayesian dosing on support patients that are carried along (multiple-model dosing): the best expected goal."""

from typing import NamedTuple

import equinox as eqx
from jaxtyping import Array, PRNGKeyArray

from rl_drug_dosage.clinic.assumptions import ENSEMBLE_OPTIONS, assumed_by, refused_assumptions
from rl_drug_dosage.clinic.ensemble.carry import advanced, begun
from rl_drug_dosage.clinic.ensemble.choice import best_dose
from rl_drug_dosage.clinic.ensemble.support import Assumed, Draws, Ensemble, draws_of
from rl_drug_dosage.clinic.planner import first_plan
from rl_drug_dosage.clinic.policy import Policy, PolicyDefinition, Setting
from rl_drug_dosage.clinic.record import Record, Truth
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.timetable import Answer
from rl_drug_dosage.utils.in_groups import in_groups

__all__ = ["POLICY", "MipdEnsemble"]

_MEMBERS, _COMPARED, _COMPARED_ODE = 512, 64, 24


GROUP = 16


class _Memory(NamedTuple):
    belief: Ensemble
    plan: Array


class MipdEnsemble(Policy):
    """Multiple-model dosing. The memory holds the support patients and the last plan."""

    scenario: Scenario = eqx.field(static=True)
    assumed: Assumed = eqx.field(static=True)
    draws: tuple[Draws, ...]
    hard: float = eqx.field(static=True, default=0.0)

    def init(self, record: Record, truth: Truth | None = None) -> _Memory:
        def one(draws, record):
            belief = begun(self.assumed, draws, self.scenario, record)
            return _Memory(belief, first_plan(self.scenario, self.scenario.label(record.facts(), record)))
        return in_groups(one, GROUP)(self.draws, record)

    def act(self, memory: _Memory, observation: Record, key: PRNGKeyArray | None) -> tuple[Answer, _Memory]:
        def one(draws, memory, record):
            belief = advanced(self.assumed, draws, self.scenario, memory.belief, record)
            answer, plan = best_dose(self.assumed, draws, self.scenario, belief, record, memory.plan, self.hard)
            return answer, _Memory(belief, plan)
        return in_groups(one, GROUP)(self.draws, memory, observation)


def make(scenario, models, members=_MEMBERS, compared=None, hard=0.0, **kw):
    linear = all(m.structure.linear for m in models)
    assumed = Assumed(tuple(models), members=members, compared=compared or (_COMPARED if linear else _COMPARED_ODE), **kw)
    draws = tuple(draws_of(assumed, m, scenario) for m in models)
    return MipdEnsemble(scenario, assumed, draws, hard)


def build(setting: Setting) -> MipdEnsemble:
    """Build the policy with the models that the options assume."""
    return make(setting.scenario, assumed_by(setting, whole=True))


POLICY = PolicyDefinition(
    title="Bayesian dosing on support patients, by the best expected goal",
    build=build,
    options=ENSEMBLE_OPTIONS,
    refuses_options=refused_assumptions,
)
