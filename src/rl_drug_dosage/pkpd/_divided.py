"""Divided differences of the exponential: the one special function of linear pharmacokinetics.

For rate constants l_1..l_k and a time t,

    E(l_1; t) = exp(-l_1 t),        E(l_1..l_k; t) = (exp(-l_1 .) * ... * exp(-l_k .))(t)

is the k-fold convolution of exponentials. Up to sign it is the divided difference of s -> exp(-s t) at the rates; it
is positive, symmetric in the rates, and defined when rates coincide. A rate of 0 integrates: E(l, 0; t) is the response
to a constant infusion. Every amount of a linear model is a sum of positive multiples of such terms, so there is no
cancellation.

The recurrence E(l_1..l_k) = (E(l_1..l_{k-1}) - E(l_2..l_k)) / (l_k - l_1) over sorted rates loses digits when the
rates are close (spread t small); there the Taylor series around the largest rate, all of whose terms are positive,

    E = t^{k-1} exp(-l_k t) sum_q h_q((l_k - l_1) t, ..., 0) / (q + k - 1)!

with h_q the complete homogeneous symmetric polynomials, is used instead. The split follows McCurdy, Ng and Parlett,
Accurate computation of divided differences of the exponential function, Math. Comp. 1984;43:501-528.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["convolved_exponentials", "convolved_exponentials_at"]

_SERIES_BELOW = 1.0
"""Spread (l_k - l_1) t below which the series is used: the recurrence then loses less than a factor of k."""


def _terms() -> int:
    """Terms after which 1 / q! is below the rounding of the working precision."""
    return 19 if jnp.asarray(0.0).dtype == jnp.float64 else 11


def _phi(z: Array) -> Array:
    """(1 - exp(-z)) / z for z >= 0, continuous at 0."""
    small = z < 1e-3
    safe = jnp.where(small, 1.0, z)
    return jnp.where(small, 1.0 - z * (0.5 - z * (1 / 6 - z / 24)), -jnp.expm1(-safe) / safe)


def _sorted(values: Sequence[Array]) -> list[Array]:
    """Ascending, by compare-and-exchange: k is at most 6 and the values are fused element by element."""
    ordered = list(values)
    for end in range(len(ordered) - 1, 0, -1):
        for i in range(end):
            low, high = jnp.minimum(ordered[i], ordered[i + 1]), jnp.maximum(ordered[i], ordered[i + 1])
            ordered[i], ordered[i + 1] = low, high
    return ordered


def _series(rates: Array, t: Array, width: int) -> Array:
    """E of every ``width + 1`` neighbours by the Taylor series around the largest, summed by nested Horner schemes."""
    count = rates.shape[0] - width
    largest = rates[width:]
    # Beyond the bound the series is discarded; clipping keeps it, and its gradient, finite there.
    z = [jnp.minimum((largest - rates[i : i + count]) * t, _SERIES_BELOW) for i in range(width)]
    sums = [jnp.zeros_like(largest)] * width
    for q in range(_terms(), -1, -1):
        inner: Array | float = 1.0 / math.factorial(q + width)
        for i, z_i in enumerate(z):
            inner = sums[i] = inner + z_i * sums[i]
    return t**width * jnp.exp(-largest * t) * sums[-1]


def convolved_exponentials(rates_per_h: Sequence[Array], t_h: Float[Array, "..."]) -> Float[Array, "..."]:
    """E(l_1..l_k; t), in h^(k-1), elementwise over any trailing shape.

    Args:
        rates_per_h: the rate constants, >= 0, in any order, equal ones allowed.
        t_h: time, >= 0.

    Returns:
        The k-fold convolution. Its relative error is a few rounding units plus that of l t.
    """
    t = jnp.asarray(t_h, dtype=float)
    rates = jnp.stack(_sorted([jnp.asarray(rate, dtype=float) for rate in rates_per_h]))
    if rates.shape[0] == 1:
        return jnp.exp(-rates[0] * t)
    level = t * jnp.exp(-rates[:-1] * t) * _phi((rates[1:] - rates[:-1]) * t)
    for width in range(2, rates.shape[0]):
        gap = rates[width:] - rates[:-width]
        near = gap * t < _SERIES_BELOW
        quotient = (level[:-1] - level[1:]) / jnp.where(near, 1.0, gap)
        level = jnp.where(near, _series(rates, t, width), quotient)
    return level[0]


def convolved_exponentials_at(nodes: Sequence[tuple[Array, ...]], t_h: Float[Array, ""]) -> list[Float[Array, ""]]:
    """E of many sets of rates at one time point.

    Sets of equal size are evaluated together. The barrier stops the compiler from repeating that work at every use,
    which makes compiled programs several times smaller.
    """
    values: dict[int, Array] = {}
    for size in {len(rates) for rates in nodes}:
        members = [i for i, rates in enumerate(nodes) if len(rates) == size]
        columns = [jnp.stack([jnp.asarray(nodes[i][k], dtype=float) for i in members]) for k in range(size)]
        together = jax.lax.optimization_barrier(
            convolved_exponentials(columns, jnp.broadcast_to(jnp.asarray(t_h, dtype=float), columns[0].shape))
        )
        values |= {i: together[place] for place, i in enumerate(members)}
    return [values[i] for i in range(len(nodes))]
