"""The kinds of residual error: variances, and measurements."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.pkpd.description import Residual

__all__ = ["logit_of", "variance", "with_error"]


def variance(residual: Residual, f: Array) -> Array:  # noqa: PLR0911 - one case a kind of error
    """Variance of the residual error at a prediction f, on the scale of `residual.residual_moments`."""
    a, b = residual.a, residual.b
    match residual.kind:
        case "additive":
            return jnp.full_like(f, a * a)
        case "proportional":
            return (b * f) ** 2
        case "combined1":
            return (a + b * _powered(residual, f)) ** 2
        case "combined2":
            return a * a + (b * _powered(residual, f)) ** 2
        case "lognormal":
            return jnp.full_like(f, b * b)
        case "power":
            return (b * _powered(residual, f)) ** 2
        case "logit":
            return jnp.full_like(f, a * a)


def _powered(residual: Residual, f: Array) -> Array:
    """f^c, with a slope that is finite where f is 0."""
    return f if residual.power is None else jnp.where(f > 0, jnp.power(jnp.where(f > 0, f, 1.0), residual.c), 0.0)


def logit_of(residual: Residual, value: Array) -> Array:
    """Of the place between low and high, which ends a little inside them."""
    place = (value - residual.low) / (residual.high - residual.low)
    edge = jnp.finfo(place.dtype).eps
    inside = jnp.clip(place, edge, 1.0 - edge)
    return jnp.log(inside) - jnp.log1p(-inside)


def with_error(residual: Residual, f: Array, shift: Array) -> Array:
    """A measurement: the prediction, shifted on the scale on which the error is normal."""
    if residual.kind == "lognormal":
        return f * jnp.exp(shift)
    if residual.kind == "logit":
        place = jax.nn.sigmoid(logit_of(residual, f) + shift)
        return residual.low + (residual.high - residual.low) * place
    return f + shift
