"""A trained PPO policy in a dosing scenario: from a record to a dose of the grid."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from rl_drug_dosage.agents._policy import Policy
from rl_drug_dosage.agents.ppo.policy import PpoPolicy
from rl_drug_dosage.clinic.features import Observer
from rl_drug_dosage.clinic.grid import snap
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.types import Array

__all__ = ["PpoDosing"]


class PpoDosing(Policy):
    """The deterministic policy: its mean action, put on the grid. The grid is part of the policy, as in training."""

    scenario: Scenario = eqx.field(static=True)
    observer: Observer = eqx.field(static=True)
    policy: PpoPolicy

    def init(self, facts: Record) -> Any:
        return self.observer.init(), self.policy.init(facts)

    def act(self, memory: Any, observation: Record, key: PRNGKeyArray | None) -> tuple[Array, Any]:
        vector, seen = self.observer(memory[0], observation)
        arrays = jax.tree.map(jnp.asarray, self.policy)
        action, recalled = arrays.act(memory[1], vector, None)
        return snap(self.scenario, self.observer.dose(seen, action[0])), (seen, recalled)
