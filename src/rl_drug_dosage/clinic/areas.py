"""Areas under the curve that a course carries along: since the start, and of the last day.

AUC24 is the area over 24 h. Where an interval is shorter, the areas of the intervals before it within 24 h are kept;
where nothing needs them, a course carries the area since the start only.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from rl_drug_dosage.clinic.scenario import Scenario, intervals_before

__all__ = ["added", "last_day", "no_area", "since_start"]

type Areas = Float[Array, "*kept"]
"""The area since the start, a number; or that and the areas of the last intervals, the latest last, mg h/L."""


def no_area(scenario: Scenario) -> Areas:
    """Before the first interval."""
    back = intervals_before(scenario.schedule, scenario.goal)
    return jnp.zeros(1 + back) if back else jnp.zeros(())


def added(areas: Areas, area: Float[Array, ""]) -> Areas:
    """After another interval with this area."""
    if areas.ndim == 0:
        return areas + area
    return jnp.concatenate([areas[:1] + area, areas[2:], jnp.reshape(area, 1)])


def last_day(areas: Areas, area: Float[Array, ""]) -> Float[Array, ""]:
    """The area of the 24 h that end with an interval: its own ``area``, and those ``areas`` kept before it."""
    return area if areas.ndim == 0 else area + jnp.sum(areas[1:])


def since_start(areas: Areas) -> Float[Array, ""]:
    """The area since the start."""
    return areas if areas.ndim == 0 else areas[0]
