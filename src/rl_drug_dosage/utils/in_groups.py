"""Batches in groups: as much at a time as the cache holds."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

__all__ = ["in_groups"]


def in_groups[**P, R](f: Callable[P, R], size: int) -> Callable[P, R]:
    """``f``, whose batches under `jax.vmap` run in groups of ``size`` elements, one group after the other.

    Loops inside then go on until the slowest element of a group has ended, not of the batch, and intermediate values
    stay in the cache. The last group is filled up with the last element.

    Args:
        f: function of arrays, and of modules whose other fields are static.
        size: elements of a group.
    """

    def grouped(*args: P.args, **kwargs: P.kwargs) -> R:
        dynamic, static = eqx.partition((args, kwargs), eqx.is_array_like)
        dynamic = jax.tree.map(jnp.asarray, dynamic)

        def one(dynamic: Any) -> Any:
            args, kwargs = eqx.combine(dynamic, static)
            return f(*args, **kwargs)

        run = jax.custom_batching.custom_vmap(one)

        @run.def_vmap
        def _batched(count: int, axes: Any, dynamic: Any) -> tuple[Any, Any]:
            (own,) = axes
            in_axes = jax.tree.map(lambda b: 0 if b else None, own)
            together = jax.vmap(one, in_axes=(in_axes,))
            if count <= size:
                out = together(dynamic)
            else:
                groups = -(-count // size)
                at = jnp.minimum(jnp.arange(groups * size), count - 1).reshape(groups, size)

                def group(at: Any) -> Any:
                    return together(jax.tree.map(lambda x, b: x[at] if b else x, dynamic, own))

                found = jax.lax.map(group, at)
                out = jax.tree.map(lambda x: x.reshape((groups * size, *x.shape[2:]))[:count], found)
            return out, jax.tree.map(lambda _: True, out)

        found: R = run(dynamic)
        return found

    return grouped
