"""Several kinds of patients in one environment: other models, wider variability, other wards."""

import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from rl_drug_dosage.envs.functional import Axis, FunctionalEnv, Step, Window
from rl_drug_dosage.types import Array

__all__ = ["Mixture"]


class Mixture(FunctionalEnv):
    """Each episode is of one part, all parts alike often, and nobody is told which.

    The state vector is ``[part, state of the part, zeros]``, and so is the truth. In a batch environment ``i`` of ``n``
    always is of part ``i parts // n``: then each part is one program over its own rows, where a part that is chosen by
    chance would make every row compute all of them.

    Args:
        parts: they share observations, actions and horizon.
    """

    parts: tuple[FunctionalEnv, ...]
    sizes: tuple[int, ...] = eqx.field(static=True)
    """Of the parts' states."""
    truest: int = eqx.field(static=True)
    """Size of the longest truth."""

    def __init__(self, parts: Sequence[FunctionalEnv]) -> None:
        self.parts = tuple(parts)
        chance = jax.eval_shape(lambda: self.parts[0].draw(jax.random.key(0), ()))
        states = [jax.eval_shape(lambda c, p=p: p.reset(c)[0], chance) for p in self.parts]
        self.sizes = tuple(s.size for s in states)
        self.truest = max(jax.eval_shape(p.truth, s).size for p, s in zip(self.parts, states, strict=True))

    @property
    def horizon(self) -> int:
        return self.parts[0].horizon

    @property
    def observation_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return self.parts[0].observation_bounds

    @property
    def action_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return self.parts[0].action_bounds

    @property
    def window(self) -> Window:
        return self.parts[0].window

    @property
    def axes(self) -> Mapping[str, Axis]:
        return self.parts[0].axes

    def draw(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "*shape chance"]:
        return self.parts[0].draw(key, shape)

    def reset(self, chance: Float[Array, " chance"]) -> tuple[Float[Array, " state"], Float[Array, " obs"]]:
        at = chance[0].astype(jnp.int32) % len(self.parts)
        return jax.lax.switch(at, [partial(self._reset, i) for i in range(len(self.parts))], chance)

    def step(
        self, state: Float[Array, " state"], action: Float[Array, " action"], chance: Float[Array, " chance"]
    ) -> Step:
        return self._chosen(state, [partial(self._step, i) for i in range(len(self.parts))], state, action, chance)

    def concentration(self, state: Float[Array, " state"]) -> Float[Array, ""]:
        return self._chosen(state, [partial(self._concentration, i) for i in range(len(self.parts))], state)

    def truth(self, state: Float[Array, " state"]) -> Float[Array, " truth"]:
        return self._chosen(state, [partial(self._truth, i) for i in range(len(self.parts))], state)

    def truth_batch(self, state: Float[Array, "env state"]) -> Float[Array, "env truth"]:
        return self._by_part(self._truth, state)

    def reset_batch(
        self, chance: Float[Array, "env chance"]
    ) -> tuple[Float[Array, "env state"], Float[Array, "env obs"]]:
        return self._by_part(self._reset, chance)

    def step_batch(
        self,
        state: Float[Array, "env state"],
        action: Float[Array, "env action"],
        chance: Float[Array, "env chance"],
    ) -> Step:
        return self._by_part(self._step, state, action, chance)

    def _by_part(self, function: Any, *rows: Array) -> Any:
        count, parts = rows[0].shape[0], len(self.parts)
        edges = [-(-i * count // parts) for i in range(parts + 1)]
        found = [
            jax.vmap(partial(function, i))(*(x[a:b] for x in rows))
            for i, (a, b) in enumerate(itertools.pairwise(edges))
            if b > a
        ]
        return jax.tree.map(lambda *x: jnp.concatenate(x), *found)

    def _chosen(self, state: Array, functions: Sequence[Any], *operands: Array) -> Any:
        return jax.lax.switch(state[0].astype(jnp.int32), functions, *operands)

    def _own(self, i: int, state: Array) -> Array:
        """The state of part ``i`` in a state of the mixture."""
        return state[1 : 1 + self.sizes[i]]

    def _whole(self, i: int, state: Array) -> Array:
        return jnp.concatenate([jnp.full(1, float(i)), jnp.pad(state, (0, max(self.sizes) - state.size))])

    def _reset(self, i: int, chance: Array) -> tuple[Array, Array]:
        state, obs = self.parts[i].reset(chance)
        return self._whole(i, state), obs

    def _step(self, i: int, state: Array, action: Array, chance: Array) -> Step:
        out = self.parts[i].step(self._own(i, state), action, chance)
        return out._replace(state=self._whole(i, out.state))

    def _concentration(self, i: int, state: Array) -> Array:
        return self.parts[i].concentration(self._own(i, state))

    def _truth(self, i: int, state: Array) -> Array:
        truth = self.parts[i].truth(self._own(i, state))
        return jnp.concatenate([jnp.full(1, float(i)), jnp.pad(truth, (0, self.truest - truth.size))])
