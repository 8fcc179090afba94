"""Observation stacking for a policy without memory: the last observations and actions in one vector."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rl_drug_dosage.clinic.features import Feature
from rl_drug_dosage.envs.functional import FunctionalEnv, State, Step, Wrapped
from rl_drug_dosage.types import Array

__all__ = ["HistoryStack"]


class StackState(NamedTuple):
    """The stacked observation, and the state of the inner environment."""

    stack: Float[jax.Array, " stacked"]
    inner: State


class HistoryStack(Wrapped):
    """Observe the last ``size`` observations and the actions between them.

    The observation is ``[o_t, o_{t-1}, .., a_{t-1}, a_{t-2}, ..]`` with ``size`` observations and ``size - 1`` actions.
    At reset it is filled with the first observation and the lowest action.
    """

    lowest: Float[Array, " action"]
    size: int = eqx.field(static=True)
    stacked: int = eqx.field(static=True)

    def __init__(self, inner: FunctionalEnv, size: int) -> None:
        self.inner = inner
        self.size = size
        self.lowest = inner.action_bounds[0]
        self.stacked = size * inner.observation_bounds[0].size + (size - 1) * self.lowest.size

    @property
    def observation_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        pairs = zip(self.inner.observation_bounds, self.inner.action_bounds, strict=True)
        low, high = (np.concatenate([np.tile(o, self.size), np.tile(a, self.size - 1)]) for o, a in pairs)
        return low, high

    @property
    def observation_names(self) -> tuple[Feature, ...]:
        seen = self.inner.observation_names
        back = [Feature(f"{f.name}_before_{i}" if i else f.name, f.unit) for i in range(self.size) for f in seen]
        actions = ["action"] if self.lowest.size == 1 else [f"action_{i}" for i in range(self.lowest.size)]
        return (*back, *(Feature(f"{a}_before_{i}", "action") for i in range(1, self.size) for a in actions))

    def reset(self, chance: Float[jax.Array, " chance"]) -> tuple[StackState, Float[jax.Array, " obs"]]:
        state, obs = self.inner.reset(chance)
        stack = jnp.concatenate([jnp.tile(obs, self.size), jnp.tile(jnp.asarray(self.lowest), self.size - 1)])
        return StackState(stack, state), stack

    def step(self, state: StackState, action: Float[jax.Array, " action"], chance: Float[jax.Array, " chance"]) -> Step:
        out = self.inner.step(state.inner, action, chance)
        kept = self.size * out.obs.size
        observations = jnp.concatenate([out.obs, state.stack[: kept - out.obs.size]])
        given = jnp.concatenate([action, state.stack[kept:]])[: self.stacked - kept]
        stack = jnp.concatenate([observations, given])
        return out._replace(state=StackState(stack, out.state), obs=stack)

    def concentration(self, state: StackState) -> Float[jax.Array, ""]:
        return self.inner.concentration(state.inner)

    def truth(self, state: StackState) -> Float[jax.Array, " truth"]:
        return self.inner.truth(state.inner)
