"""The same dose for every patient at every decision: the best dose of the grid on a tuning cohort."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from rl_drug_dosage.clinic.policy import Policy, PolicyDefinition, Setting
from rl_drug_dosage.clinic.record import Record, Truth

__all__ = ["POLICY", "Fixed"]


class Fixed(Policy):
    """One amount for every patient and decision."""

    amount: Float[Array, ""]

    def init(self, record: Record, truth: Truth | None = None) -> tuple[()]:
        return ()

    def act(self, memory: tuple[()], observation: Record, key: PRNGKeyArray | None) -> tuple[Array, tuple[()]]:
        return self.amount, memory


def build(setting: Setting) -> Fixed:
    """Untuned: the usual dose."""
    return Fixed(jnp.asarray(setting.scenario.dosage.usual, dtype=float))


def candidates(setting: Setting, rng: np.random.Generator) -> Fixed:
    """All doses of the grid, or 64 evenly spaced ones."""
    grid = setting.scenario.dosage.grid()
    return Fixed(jnp.asarray(grid[np.unique(np.linspace(0, len(grid) - 1, min(len(grid), 64)).astype(int))]))


POLICY = PolicyDefinition(title="the best single dose for all patients", build=build, candidates=candidates)
