"""A mixture of environments: several drug models, degrees of variability or stress settings in one."""

import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt32

from rl_drug_dosage.clinic.features import Feature
from rl_drug_dosage.envs.functional import Axis, FunctionalEnv, State, Step, Window
from rl_drug_dosage.envs.observed import ObservedEnv
from rl_drug_dosage.utils.for_rows import where_any

__all__ = ["Mixture"]


class MixtureState(NamedTuple):
    """Index of the component of an episode, and its state with arrays padded to the largest of all components."""

    part: Int[Array, ""]
    own: State


class Mixture(FunctionalEnv):
    """Each episode samples one component uniformly; the policy does not observe which.

    In a batch, environment ``i`` of ``n`` always belongs to component ``i parts // n``, so each component computes only
    its own rows. With a random component per row, every row would compute all components. Components that observe alike
    (`envs.observed`) observe their rows together, which is one program and not one a component.

    The truth is ``[component, truth of the component, zeros]``.

    Args:
        parts: the components, with the same observations, actions, horizon and type of state.
    """

    parts: tuple[FunctionalEnv, ...]
    shapes: tuple[tuple[tuple[int, ...], ...], ...] = eqx.field(static=True)
    """Shapes of the arrays in each component's state."""
    truest: int = eqx.field(static=True)
    """Size of the longest truth."""

    def __init__(self, parts: Sequence[FunctionalEnv]) -> None:
        self.parts = tuple(parts)
        chance = jax.eval_shape(lambda: self.parts[0].draw(jax.random.key(0), ()))
        states = [jax.eval_shape(lambda c, p=p: p.reset(c)[0], chance) for p in self.parts]
        self.shapes = tuple(tuple(leaf.shape for leaf in jax.tree.leaves(s)) for s in states)
        self.truest = max(jax.eval_shape(p.truth, s).size for p, s in zip(self.parts, states, strict=True))

    @property
    def horizon(self) -> int:
        return self.parts[0].horizon

    @property
    def heavy(self) -> bool:
        return any(part.heavy for part in self.parts)

    @property
    def observation_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return self.parts[0].observation_bounds

    @property
    def action_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return self.parts[0].action_bounds

    @property
    def highest_dose(self) -> float:
        return self.parts[0].highest_dose

    @property
    def window(self) -> Window:
        return self.parts[0].window

    @property
    def windows(self) -> tuple[Window, ...]:
        return self.parts[0].windows

    @property
    def axes(self) -> Mapping[str, Axis]:
        return self.parts[0].axes

    @property
    def observation_names(self) -> tuple[Feature, ...]:
        return self.parts[0].observation_names

    def draw(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> UInt32[Array, "*shape 2"]:
        return self.parts[0].draw(key, shape)

    def reset(self, chance: UInt32[Array, " 2"]) -> tuple[MixtureState, Float[Array, " obs"]]:
        at = (chance[0] >> 16).astype(jnp.int32) % len(self.parts)
        return jax.lax.switch(at, [partial(self._reset, i) for i in range(len(self.parts))], chance)

    def step(self, state: MixtureState, action: Float[Array, " action"], chance: UInt32[Array, " 2"]) -> Step:
        return self._chosen(state, [partial(self._step, i) for i in range(len(self.parts))], state, action, chance)

    def concentration(self, state: MixtureState) -> Float[Array, ""]:
        return self._chosen(state, [partial(self._concentration, i) for i in range(len(self.parts))], state)

    def truth(self, state: MixtureState) -> Float[Array, " truth"]:
        return self._chosen(state, [partial(self._truth, i) for i in range(len(self.parts))], state)

    def truth_batch(self, state: MixtureState) -> Float[Array, "env truth"]:
        return self._by_part(self._truth, state)

    def reset_batch(self, chance: UInt32[Array, "env 2"]) -> tuple[MixtureState, Float[Array, "env obs"]]:
        if (watched := self._watched) is None:
            return self._by_part(self._reset, chance)
        state, charts = self._by_part(self._admitted, chance)
        own, obs = jax.vmap(watched.begun)(state.own, charts)
        return state._replace(own=own), obs

    def reset_where(
        self, wanted: Bool[Array, " env"], chance: UInt32[Array, "env 2"]
    ) -> tuple[MixtureState, Float[Array, "env obs"]]:
        if (watched := self._watched) is None:
            return super().reset_where(wanted, chance)
        state, charts = where_any(partial(self._by_part, self._admitted), wanted, chance)
        own, obs = watched.begun_where(wanted, state.own, charts)
        return state._replace(own=own), obs

    def step_batch(
        self,
        state: MixtureState,
        action: Float[Array, "env action"],
        chance: UInt32[Array, "env 2"],
    ) -> Step:
        if (watched := self._watched) is None:
            return self._by_part(self._step, state, action, chance)
        out, charts = self._by_part(self._turn, state, action, chance)
        seen = jax.vmap(watched.seen)(out._replace(state=out.state.own), charts)
        return seen._replace(state=out.state._replace(own=seen.state))

    def step_and_reset(
        self,
        state: MixtureState,
        action: Float[Array, "env action"],
        chance: UInt32[Array, "env 2"],
        *,
        final: bool,
    ) -> tuple[Step, MixtureState, Float[Array, "env obs"]]:
        watched = self._watched
        if final or watched is None:
            return super().step_and_reset(state, action, chance, final=final)
        out, charts = self._by_part(self._turn, state, action, chance)
        ended = out.terminated | out.truncated
        begun, new_charts = where_any(partial(self._by_part, self._admitted), ended, chance)
        own, obs = watched.looked_after(ended, (begun.own, new_charts), (out.state.own, charts))
        state = out.state._replace(own=own)
        return out._replace(state=state, obs=obs), state, obs

    @property
    def _watched(self) -> ObservedEnv | None:
        """A component that observes for all of them; None if they differ."""
        parts = [part for part in self.parts if isinstance(part, ObservedEnv)]
        alike = len(parts) == len(self.parts) and all(p.watched_as == parts[0].watched_as for p in parts)
        return parts[0] if alike else None

    def _by_part(self, function: Any, *rows: Any) -> Any:
        count, parts = jax.tree.leaves(rows[0])[0].shape[0], len(self.parts)
        edges = [-(-i * count // parts) for i in range(parts + 1)]
        found = [
            jax.vmap(partial(function, i))(*jax.tree.map(lambda x, a=a, b=b: x[a:b], rows))
            for i, (a, b) in enumerate(itertools.pairwise(edges))
            if b > a
        ]
        return jax.tree.map(lambda *x: jnp.concatenate(x), *found)

    def _chosen(self, state: MixtureState, functions: Sequence[Any], *operands: Any) -> Any:
        return jax.lax.switch(state.part, functions, *operands)

    def _own(self, i: int, state: MixtureState) -> State:
        """The state of component ``i`` in a state of the mixture."""
        leaves, structure = jax.tree.flatten(state.own)
        own = [leaf[tuple(map(slice, shape))] for leaf, shape in zip(leaves, self.shapes[i], strict=True)]
        return jax.tree.unflatten(structure, own)

    def _whole(self, i: int, state: State) -> MixtureState:
        leaves, structure = jax.tree.flatten(state)
        largest = [tuple(map(max, zip(*shapes, strict=True))) for shapes in zip(*self.shapes, strict=True)]
        # A memory, which is not there at first, comes last in a state.
        largest = largest[: len(leaves)]
        wide = [
            leaf
            if leaf.shape == shape
            else jnp.pad(leaf, [(0, to - n) for to, n in zip(shape, leaf.shape, strict=True)])
            for leaf, shape in zip(leaves, largest, strict=True)
        ]
        return MixtureState(jnp.int32(i), jax.tree.unflatten(structure, wide))

    def _reset(self, i: int, chance: Array) -> tuple[MixtureState, Array]:
        state, obs = self.parts[i].reset(chance)
        return self._whole(i, state), obs

    def _step(self, i: int, state: MixtureState, action: Array, chance: Array) -> Step:
        out = self.parts[i].step(self._own(i, state), action, chance)
        return out._replace(state=self._whole(i, out.state))

    def _admitted(self, i: int, chance: Array) -> tuple[MixtureState, Any]:
        state, chart = cast("ObservedEnv", self.parts[i]).admitted(chance)
        return self._whole(i, state), chart

    def _turn(self, i: int, state: MixtureState, action: Array, chance: Array) -> tuple[Step, Any]:
        out, chart = cast("ObservedEnv", self.parts[i]).turn(self._own(i, state), action, chance)
        return out._replace(state=self._whole(i, out.state)), chart

    def _concentration(self, i: int, state: MixtureState) -> Array:
        return self.parts[i].concentration(self._own(i, state))

    def _truth(self, i: int, state: MixtureState) -> Array:
        truth = self.parts[i].truth(self._own(i, state))
        return jnp.concatenate([jnp.full(1, float(i)), jnp.pad(truth, (0, self.truest - truth.size))])
