"""The grid of allowed amounts."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from rl_drug_dosage.clinic.scenario import Scenario

__all__ = ["on_grid", "snap"]


def snap(scenario: Scenario, amount: Float[Array, "..."]) -> Float[Array, "..."]:
    """The nearest amount on the grid; halfway between two, the lower one."""
    grid = jnp.asarray(scenario.dosage.grid())
    middle = 0.5 * (grid[1:] + grid[:-1])
    return grid[jnp.searchsorted(middle, amount, side="left")]


def on_grid(scenario: Scenario, amount: Float[Array, "..."]) -> Array:
    """Whether an amount is on the grid, to float32 precision."""
    return jnp.abs(snap(scenario, amount) - amount) <= 1e-4 * (1.0 + jnp.abs(amount))
