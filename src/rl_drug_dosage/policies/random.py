"""A dose drawn uniformly from the grid at every decision: the lower bound for comparisons."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rl_drug_dosage.clinic.policy import Policy, PolicyDefinition, Setting
from rl_drug_dosage.clinic.record import Record, Truth
from rl_drug_dosage.clinic.timetable import Answer, Prescription

__all__ = ["POLICY", "Random"]


class Random(Policy):
    """Draws uniformly from the grid."""

    grid: Float[Array, " amount"]
    intervals: int = eqx.field(static=True)
    """Number of dosing intervals to choose from."""

    def init(self, record: Record, truth: Truth | None = None) -> tuple[()]:
        return ()

    def act(self, memory: tuple[()], observation: Record, key: PRNGKeyArray | None) -> tuple[Answer, tuple[()]]:
        assert key is not None
        amount = self.grid[jax.random.randint(key, (), 0, self.grid.shape[0])]
        if self.intervals == 0:
            return amount, memory
        return Prescription(amount, jax.random.randint(jax.random.fold_in(key, 1), (), 0, self.intervals)), memory


def build(setting: Setting) -> Random:
    """Build the policy for the scenario's grid."""
    return Random(jnp.asarray(setting.scenario.dosage.grid()), len(setting.scenario.dosage.intervals_h))


POLICY = PolicyDefinition(title="a random dose of the grid", build=build, chance=True)
