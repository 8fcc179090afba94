"""How long an infusion lasts whose rate is limited."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

__all__ = ["infusion_h"]


def infusion_h(amount_mg: Any, least_h: Any, highest_mg_per_h: Any | None) -> Any:
    """Duration in h: max(least, amount / highest rate).

    Args:
        amount_mg: number or array, of any shape.
        least_h: shortest duration.
        highest_mg_per_h: highest rate; None: no limit, every amount takes ``least_h``.

    Returns:
        A number for numbers, an array (also inside compiled code) for arrays.
    """
    if highest_mg_per_h is None:
        return least_h
    if any(isinstance(value, Array) for value in (amount_mg, least_h, highest_mg_per_h)):
        return jnp.maximum(least_h, amount_mg / highest_mg_per_h)
    return max(least_h, amount_mg / highest_mg_per_h)
