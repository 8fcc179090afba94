"""DrugDose-v0: one compartment, one dose per step, one target window.

Observation: ``[C]``, the concentration.

Action: ``[dose]`` in ``[0, max_dose]``, already divided by the volume of distribution.

Dynamics: ``C <- max(0, C (1 - k) + dose + noise)`` with ``noise ~ N(0, noise_std)``; the fraction ``k`` eliminated
in a step is fixed, or drawn once per episode from ``U(k_range)``.

Reward: +1 where ``c_min <= C <= c_max``, else minus the distance to the window.

Starting state: ``C = c0``.

Truncation: after ``horizon`` steps. An episode never terminates.

Units are arbitrary (``a.u.``): this is a teaching example, not a drug.

Upper bound for every policy, ignoring the noise: from ``C = 0`` with ``max_dose = 1``, the window [2, 3] cannot be
reached in the first two steps for any ``k > 0``, so at most 98 of 100 steps can be in range.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray

from rl_drug_dosage.clinic.features import Feature
from rl_drug_dosage.envs.functional import Axis, Env, FunctionalEnv, Quantity, Step, Window, require
from rl_drug_dosage.types import Array

__all__ = ["ENV", "DrugDose", "DrugDoseState", "make_drug_dose"]

# JAX's float32 normals stay within 5.42 standard deviations (inverse error function of the float nearest to 1)
_MOST_DEVIATIONS = 6.0

_AXES = MappingProxyType(
    {"time": Axis("time", "steps"), "concentration": Axis("concentration", "a.u."), "dose": Axis("dose", "a.u.")}
)


class DrugDoseState(NamedTuple):
    """State of one patient between two doses."""

    concentration: Float[jax.Array, ""]
    k: Float[jax.Array, ""]
    """Fraction eliminated per step in this patient."""
    t: Int[jax.Array, ""]
    """Steps since the start."""


class DrugDose(FunctionalEnv):
    """The DrugDose environment. Use ``make_drug_dose``, which checks the options."""

    k_low: Float[Array, ""]
    k_high: Float[Array, ""]
    max_dose: Float[Array, ""]
    c_min: Float[Array, ""]
    c_max: Float[Array, ""]
    c0: Float[Array, ""]
    noise_std: Float[Array, ""]
    steps: Float[Array, ""]

    @property
    def horizon(self) -> int:
        return int(self.steps)

    @property
    def observation_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        gain = float(self.max_dose) + _MOST_DEVIATIONS * float(self.noise_std)
        # a sum of many float32 doses may slightly exceed the exact value
        return np.zeros(1, np.float32), np.full(1, 1.001 * (float(self.c0) + self.horizon * gain), np.float32)

    @property
    def action_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros(1, np.float32), np.full(1, self.max_dose, np.float32)

    @property
    def window(self) -> Window:
        return Window(float(self.c_min), float(self.c_max), Quantity("concentration", "value", "a.u."))

    @property
    def axes(self) -> Mapping[str, Axis]:
        return _AXES

    @property
    def observation_names(self) -> tuple[Feature, ...]:
        return (Feature("concentration", "a.u."),)

    def draw(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[jax.Array, "*shape 2"]:
        noise_key, k_key = jax.random.split(key)
        return jnp.stack([jax.random.normal(noise_key, shape), jax.random.uniform(k_key, shape)], axis=-1)

    def reset(self, chance: Float[jax.Array, " 2"]) -> tuple[DrugDoseState, Float[jax.Array, " 1"]]:
        k = jnp.asarray(self.k_low + (self.k_high - self.k_low) * chance[1])
        c = jnp.asarray(self.c0, jnp.float32)
        return DrugDoseState(c, k, jnp.int32(0)), c[None]

    def step(self, state: DrugDoseState, action: Float[jax.Array, " 1"], chance: Float[jax.Array, " 2"]) -> Step:
        c, k, t = state
        c = jnp.maximum(c * (1.0 - k) + action[0] + self.noise_std * chance[0], 0.0)
        distance = jnp.maximum(self.c_min - c, 0.0) + jnp.maximum(c - self.c_max, 0.0)
        in_range = (c >= self.c_min) & (c <= self.c_max)
        return Step(
            state=DrugDoseState(c, k, t + 1),
            obs=c[None],
            reward=jnp.where(in_range, 1.0, -distance),
            terminated=jnp.bool_(False),
            truncated=t + 1 >= self.steps,
            in_range=in_range,
        )

    def concentration(self, state: DrugDoseState) -> Float[jax.Array, ""]:
        return state.concentration


def make_drug_dose(
    k: float = 0.05,
    max_dose: float = 1.0,
    c_min: float = 2.0,
    c_max: float = 3.0,
    horizon: int = 100,
    c0: float = 0.0,
    noise_std: float = 0.0,
    k_range: tuple[float, float] | None = None,
) -> DrugDose:
    """Make the environment and check its options.

    Args:
        k: fraction eliminated per step, in [0, 1].
        max_dose: highest dose, above 0.
        c_min: lower edge of the window.
        c_max: upper edge of the window, above ``c_min``.
        horizon: steps per episode, from 1 to 1,000,000.
        c0: concentration at the start.
        noise_std: standard deviation of the noise on the concentration.
        k_range: lowest and highest ``k``, drawn uniformly per episode in place of ``k``.

    All numbers lie between 0 and 1e6.

    Raises:
        ConfigError: a value that is not allowed.
    """
    given = {"k": k, "max_dose": max_dose, "c_min": c_min, "c_max": c_max, "c0": c0, "noise_std": noise_std}
    numbers = {name: _float32(name, value) for name, value in given.items()}
    require(numbers["k"] <= 1.0, "k", k, "a fraction between 0 and 1")
    require(numbers["max_dose"] > 0.0, "max_dose", max_dose, f"above 0 and at most {_MOST:g}")
    require(numbers["c_max"] > numbers["c_min"], "c_max", c_max, f"above c_min ({c_min!r})")
    whole = isinstance(horizon, int) and not isinstance(horizon, bool)
    require(whole and 1 <= horizon <= 1_000_000, "horizon", horizon, "a whole number from 1 to 1000000")
    low, high = (k, k) if k_range is None else _checked_range(k_range)
    values = {**numbers, "k_low": low, "k_high": high, "steps": horizon}
    del values["k"]
    return DrugDose(**{name: np.asarray(value, np.float32) for name, value in values.items()})


_MOST = 1e6


def _float32(name: str, value: float) -> float:
    """The value rounded to float32; an error if it is not a number, or out of the allowed range."""
    require(_is_number(value) and 0.0 <= value <= _MOST, name, value, f"a number from 0 to {_MOST:g}")
    return float(np.float32(value))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _checked_range(k_range: tuple[float, float]) -> tuple[float, float]:
    allowed = "two fractions between 0 and 1, the lower first"
    numbers = isinstance(k_range, list | tuple) and len(k_range) == 2 and all(_is_number(k) for k in k_range)
    require(numbers and 0.0 <= k_range[0] <= k_range[1] <= 1.0, "k_range", k_range, allowed)
    return k_range


ENV = Env(
    build=make_drug_dose,
    title="one compartment, one dose per step, keep the concentration in its window",
    training_options=MappingProxyType({"noise_std": 0.01, "k_range": (0.03, 0.08)}),
)
