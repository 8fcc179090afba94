"""A condition in a batch that is skipped as a whole where no element needs it."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

__all__ = ["if_any"]


def if_any[T](wanted: Bool[Array, ""], f: Callable[[T], T], x: T) -> T:
    """``f(x)`` if it is wanted, else ``x``.

    Under `jax.vmap` a condition becomes a selection between two results that are both computed. This one is computed
    only if some element of the batch wants it: it is a loop of at most one round.
    """

    def once(carry: tuple[Array, T]) -> tuple[Array, T]:
        return jnp.zeros_like(carry[0]), f(carry[1])

    return jax.lax.while_loop(lambda carry: carry[0], once, (wanted, x))[1]
