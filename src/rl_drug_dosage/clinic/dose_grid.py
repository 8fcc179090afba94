"""The amounts that can be given."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from rl_drug_dosage.clinic.scenario import Scenario

__all__ = ["on_grid", "snap"]


def snap(scenario: Scenario, amount: Float[Array, "..."]) -> Float[Array, "..."]:
    """The nearest amount of the grid; the lower one half-way between two."""
    grid = jnp.asarray(scenario.dosage.grid())
    middle = 0.5 * (grid[1:] + grid[:-1])
    return grid[jnp.searchsorted(middle, amount, side="left")]


def on_grid(scenario: Scenario, amount: Float[Array, "..."]) -> Array:
    """Whether an amount is one of the grid, to float32's precision."""
    return jnp.abs(snap(scenario, amount) - amount) <= 1e-4 * (1.0 + jnp.abs(amount))
