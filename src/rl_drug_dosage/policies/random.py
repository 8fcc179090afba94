"""A dose drawn uniformly from the grid at every decision: the lower bound of every comparison."""

import jax
import jax.numpy as jnp
from jaxtyping import Float, PRNGKeyArray

from rl_drug_dosage.clinic.policy import Policy, PolicyDefinition, Setting
from rl_drug_dosage.clinic.record import Record, Truth
from rl_drug_dosage.types import Array

__all__ = ["POLICY", "Random"]


class Random(Policy):
    """Uniform over the grid."""

    grid: Float[Array, " amount"]

    def init(self, record: Record, truth: Truth | None = None) -> tuple[()]:
        return ()

    def act(self, memory: tuple[()], observation: Record, key: PRNGKeyArray | None) -> tuple[Array, tuple[()]]:
        assert key is not None
        return self.grid[jax.random.randint(key, (), 0, self.grid.shape[0])], memory


def build(setting: Setting) -> Random:
    """Over the scenario's grid."""
    return Random(jnp.asarray(setting.scenario.dosage.grid()))


POLICY = PolicyDefinition(title="a random dose of the grid", build=build, chance=True)
