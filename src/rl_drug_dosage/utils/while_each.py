"""A loop that ends for each element of a batch on its own: the batch does not wait for its slowest element."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from rl_drug_dosage.utils.device_shape import device_shape

__all__ = ["while_each"]


def while_each[S](ended: Callable[[S], Bool[Array, ""]], step: Callable[[S], S], state: S) -> S:
    """``step`` until ``ended``: `jax.lax.while_loop`, but for `jax.vmap`.

    Batched, an ordinary loop takes every element through as many iterations as the slowest needs. Here some elements
    iterate together (128 on a CPU, see `DeviceShape.together`), and every few iterations the places of those that have
    ended go to others.

    Args:
        ended: of a state, whether it is final.
        step: the next state.
        state: the first state, of arrays.
    """
    # Hoists what ``step`` closes over, so that the batching rule sees it as arguments.
    arrays, static = eqx.partition(eqx.filter_closure_convert(step, state), eqx.is_array)

    def one(arrays: Any, state: S) -> S:
        body = eqx.combine(arrays, static)
        return jax.lax.while_loop(lambda s: ~ended(s), lambda s: body(s), state)  # noqa: PLW0108 - a module has no hash

    run = jax.custom_batching.custom_vmap(one)

    @run.def_vmap
    def _batched(size: int, axes: Any, arrays: Any, state: S) -> tuple[S, Any]:
        own, first = axes
        in_axes = (jax.tree.map(lambda b: 0 if b else None, own), 0)
        first_state = jax.tree.map(lambda x, b: x if b else jnp.broadcast_to(x, (size, *jnp.shape(x))), state, first)
        out = jax.tree.map(lambda _: True, state)
        shape = device_shape()
        if size <= shape.together:
            return jax.vmap(one, in_axes=in_axes)(arrays, first_state), out
        each = jax.vmap(ended)

        def masked(arrays: Any, state: S) -> S:
            over, after = ended(state), eqx.combine(arrays, static)(state)
            return jax.tree.map(lambda new, old: jnp.where(over, old, new), after, state)

        advance = jax.vmap(masked, in_axes=in_axes)

        def some(states: S) -> S:
            # Stable: an element stays until it has ended, and the next ones move up.
            at = jnp.argsort(each(states), stable=True)[: shape.together]
            theirs = jax.tree.map(lambda x, b: x[at] if b else x, arrays, own)
            group = jax.tree.map(lambda x: x[at], states)
            group = jax.lax.fori_loop(0, shape.look_every, lambda _, s: advance(theirs, s), group)
            return jax.tree.map(lambda x, new: x.at[at].set(new, unique_indices=True), states, group)

        return jax.lax.while_loop(lambda s: ~jnp.all(each(s)), some, first_state), out

    return run(arrays, state)
