"""Functions of a batch of which only some rows are wanted."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from rl_drug_dosage.utils.if_any import if_any

__all__ = ["for_rows", "where_any"]


def for_rows(f: Callable[..., Any], wanted: Bool[Array, " row"], rows: Any, size: int) -> Any:
    """``f`` of each row that is wanted, at the cost of these rows; of the others, zeros or ``f``.

    Args:
        f: of one row's arrays.
        wanted: which rows.
        rows: the arguments of ``f``, arrays with a first axis of rows.
        size: rows of a group. The last one is filled up with rows that are not wanted.
    """
    count = wanted.size
    size = min(size, count)
    wanted_first = jnp.argsort(~wanted, stable=True)
    groups = -(-jnp.sum(wanted, dtype=jnp.int32) // size)

    def group(carry: tuple[Array, Any]) -> tuple[Array, Any]:
        i, found = carry
        at = wanted_first[jnp.minimum(i * size + jnp.arange(size), count - 1)]
        own = jax.vmap(f)(*jax.tree.map(lambda x: x[at], rows))
        return i + 1, jax.tree.map(lambda x, y: x.at[at].set(y), found, own)

    nothing = _zeros(jax.vmap(f), *rows)
    return jax.lax.while_loop(lambda carry: carry[0] < groups, group, (jnp.int32(0), nothing))[1]


def where_any(f: Callable[[Any], Any], wanted: Bool[Array, " row"], rows: Any) -> Any:
    """``f`` of a batch, or zeros where no row is wanted."""
    return if_any(jnp.any(wanted), lambda _: f(rows), _zeros(f, rows))


def _zeros(f: Callable[..., Any], *args: Any) -> Any:
    """Zeros of the shapes that ``f`` gives, which is not computed."""
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(f, *args))
