"""Functions from concentration to effect."""

import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["bis", "emax", "inr", "response_surface"]


def _power(x: Array, exponent: Array | float) -> Array:
    """x^exponent for x >= 0, with a finite gradient at 0."""
    positive = x > 0
    return jnp.where(positive, jnp.where(positive, x, 1.0) ** exponent, 0.0)


def emax(
    concentration: Float[Array, "..."], maximum: Array | float, ec50: Array | float, gamma: Array | float = 1.0
) -> Float[Array, "..."]:
    """Emax (gamma 1) or sigmoid Emax (Hill): maximum C^gamma / (ec50^gamma + C^gamma). Negative C counts as 0."""
    ratio = _power(jnp.asarray(concentration) / ec50, gamma)
    return maximum * ratio / (1.0 + ratio)


def inr(
    baseline: Array | float,
    maximum: Array | float,
    first_chain: Array,
    second_chain: Array,
    power: Array | float = 1.0,
    *,
    product: bool = False,
) -> Float[Array, "..."]:
    """INR from the two transit chains of the warfarin models; each chain is 1 without drug and falls towards 0 with it.

    baseline + maximum (1 - x)^power, where x is the chains' mean (Hamberg 2010) or their ``product`` (Hamberg 2007).
    """
    activity = first_chain * second_chain if product else 0.5 * (first_chain + second_chain)
    return baseline + maximum * _power(1.0 - activity, power)


def bis(
    effect_concentration: Float[Array, "..."], baseline: Array | float, ec50: Array | float, gamma: Array | float
) -> Float[Array, "..."]:
    """Bispectral index under one drug: baseline (1 - C^gamma / (ec50^gamma + C^gamma))."""
    return baseline - emax(effect_concentration, baseline, ec50, gamma)


def response_surface(
    first: Float[Array, "..."],
    second: Float[Array, "..."],
    baseline: Array | float,
    first_ec50: Array | float,
    second_ec50: Array | float,
    gamma: Array | float,
    beta: Array | float = 0.0,
) -> Float[Array, "..."]:
    """Effect of two interacting drugs (Minto 2000, as Bouillon 2004 uses it for propofol and remifentanil on BIS).

    With u_i = C_i / ec50_i and fraction t = u_2 / (u_1 + u_2): baseline (1 - w^gamma / (1 + w^gamma)), w =
    (u_1 + u_2) / (1 - beta t + beta t^2).
    """
    u1, u2 = jnp.asarray(first) / first_ec50, jnp.asarray(second) / second_ec50
    total = u1 + u2
    share = u2 / jnp.where(total > 0, total, 1.0)
    return baseline - emax(total / (1.0 - beta * share + beta * share * share), baseline, 1.0, gamma)
