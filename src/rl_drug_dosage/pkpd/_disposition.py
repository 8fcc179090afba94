"""Disposition rates of one-, two- and three-compartment models, and Newton's matrices over them, without cancellation.

Notation as in `linear`: k10 elimination; (k1i, ki1) to and from peripheral compartment i; alpha >= beta >= gamma the
disposition rates. Used throughout: they interlace with the ki1, and their sum is k10 + sum(k1i) + sum(ki1).
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array

__all__ = ["disposition"]


def disposition(k10: Array, couplings: Sequence[tuple[Array, Array]]) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Rates (fastest first) and Newton's matrices I, A + alpha I, (A + alpha I)(A + beta I).

    Args:
        k10: elimination rate constant, 1/h.
        couplings: (k1i, ki1) of each peripheral compartment, 1/h; none, one or two.

    Returns:
        The rates, 1/h, and as many matrices over (central, peripheral1, peripheral2).
    """
    k10 = jnp.asarray(k10, dtype=float)
    if not couplings:
        return (k10,), (jnp.eye(1),)
    if len(couplings) == 1:
        return _two(k10, *couplings[0])
    return _three(k10, *couplings[0], *couplings[1])


def _two(k10: Array, k12: Array, k21: Array) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Two rates: alpha - k21 and k21 - beta are the roots of z^2 -+ d z - k12 k21 with d = k10 + k12 - k21."""
    d = k10 + k12 - k21
    tiny = jnp.finfo(d.dtype).tiny
    product = k12 * k21
    larger = 0.5 * (jnp.abs(d) + jnp.sqrt(d * d + 4.0 * product + tiny))
    smaller = product / jnp.maximum(larger, tiny)
    alpha_less_k21 = jnp.where(d >= 0, larger, smaller)
    k21_less_beta = jnp.where(d >= 0, smaller, larger)
    alpha = k21 + alpha_less_k21
    beta = k10 * k21 / alpha
    matrix = jnp.stack([jnp.stack([k21_less_beta, k21]), jnp.stack([k12, alpha_less_k21])])
    return (alpha, beta), (jnp.eye(2), matrix)


def _slowest(a2: Array, a1: Array, a0: Array) -> Array:
    """Smallest root of z^3 - a2 z^2 + a1 z - a0, whose roots are real and positive, to full relative accuracy.

    Laguerre's method, started at 0, converges to it monotonically and cubically. Two Newton steps then remove the
    rounding error and carry exact first and second derivatives.
    """
    z = jnp.zeros_like(a0)
    fixed = [jax.lax.stop_gradient(a) for a in (a2, a1, a0)]
    for _ in range(4):
        p, dp, half_ddp = _cubic(z, *fixed)
        root = jnp.sqrt(jnp.maximum(4.0 * dp * dp - 12.0 * p * half_ddp, 0.0))
        z = jnp.maximum(z - 3.0 * p / jnp.maximum(dp + root, jnp.finfo(z.dtype).tiny), 0.0)
    for _ in range(2):
        p, dp, _ = _cubic(z, a2, a1, a0)
        flat = dp < 1e-3 * a1  # a double root: there z is as good as the coefficients allow
        z = jnp.where(flat, z, z - p / jnp.where(flat, 1.0, dp))
    return z


def _cubic(z: Array, a2: Array, a1: Array, a0: Array) -> tuple[Array, Array, Array]:
    """Value, first derivative and half the second of z^3 - a2 z^2 + a1 z - a0."""
    return ((z - a2) * z + a1) * z - a0, (3.0 * z - 2.0 * a2) * z + a1, 3.0 * z - a2


def _clustered(diagonal: tuple[Array, Array, Array], loops: tuple[Array, Array]) -> tuple[Array, Array, Array, Array]:
    """Rates as mean + y, for three rates that lie close together: their differences keep full precision.

    y solves y^3 - P y - Q = 0, with P and Q from the differences of the diagonal; the root farthest from the mean is
    always simple, and the other two follow from it.

    Returns:
        The three rates, ascending, and P / mean^2, the squared relative spread.
    """
    d1, d2, d3 = diagonal
    mean = (d1 + d2 + d3) / 3.0
    e1, e2, e3 = ((d1 - d2) + (d1 - d3)) / 3.0, ((d2 - d1) + (d2 - d3)) / 3.0, ((d3 - d1) + (d3 - d2)) / 3.0
    tiny = jnp.finfo(mean.dtype).tiny ** 0.5
    scale = 0.5 * (e1 * e1 + e2 * e2 + e3 * e3) + loops[0] + loops[1]
    p = jnp.maximum(scale, (tiny * mean) ** 2 + tiny)
    q = e1 * e2 * e3 - loops[0] * e3 - loops[1] * e2
    sign = jnp.where(q >= 0, 1.0, -1.0)
    fixed_p, fixed_q = jax.lax.stop_gradient(p), jax.lax.stop_gradient(jnp.abs(q))
    radius = jnp.sqrt(fixed_p / 3.0)
    y = 2.0 * radius * jnp.cos(jnp.arccos(jnp.minimum(fixed_q / (2.0 * radius**3), 1.0)) / 3.0)
    for _ in range(2):
        y = y - (y * (y * y - p) - jnp.abs(q)) / (3.0 * y * y - p)
    half_gap = 0.5 * jnp.sqrt(jnp.maximum(4.0 * p - 3.0 * y * y, jnp.finfo(p.dtype).eps ** 2 * p))
    far, low, high = sign * y, -0.5 * sign * y - half_gap, -0.5 * sign * y + half_gap
    smallest = jnp.minimum(far, low)
    largest = jnp.maximum(far, high)
    middle = jnp.where(q >= 0, high, low)
    return mean + smallest, mean + middle, mean + largest, scale / (mean * mean)


def _three(k10: Array, k12: Array, k21: Array, k13: Array, k31: Array) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Smallest rate from the cubic, the others from the deflated quadratic; matrix entries without subtraction."""
    a2 = k10 + k12 + k13 + k21 + k31
    a1 = k10 * (k21 + k31) + k21 * k31 + k12 * k31 + k13 * k21
    a0 = k10 * k21 * k31
    tiny = jnp.finfo(a2.dtype).tiny
    gamma = jax.lax.optimization_barrier(_slowest(a2, a1, a0))
    total, product = a2 - gamma, a1 - gamma * (a2 - gamma)
    spread = jnp.maximum(total * total - 4.0 * product, (jnp.finfo(a2.dtype).eps * total) ** 2)
    alpha = 0.5 * (total + jnp.sqrt(spread))
    beta = product / alpha
    near_low, near_middle, near_high, closeness = jax.lax.optimization_barrier(
        _clustered((k10 + k12 + k13, k21, k31), (k12 * k21, k13 * k31))
    )
    clustered = closeness < 0.02
    gamma = jnp.where(clustered, near_low, gamma)
    beta = jnp.where(clustered, near_middle, beta)
    alpha = jnp.where(clustered, near_high, alpha)

    second_is_faster = k21 >= k31
    fast, slow = jnp.maximum(k21, k31), jnp.minimum(k21, k31)
    to_fast, to_slow = jnp.where(second_is_faster, k12, k13), jnp.where(second_is_faster, k13, k12)
    # slow - gamma: by subtraction, or from k10 / gamma = 1 + to_fast / (fast - gamma) + to_slow / (slow - gamma),
    # whichever loses fewer digits.
    direct = jnp.maximum(slow - gamma, tiny)
    safe_gamma = jnp.maximum(gamma, tiny)
    inverse = k10 / safe_gamma - 1.0 - to_fast / jnp.maximum(fast - gamma, tiny)
    secular = to_slow / jnp.where(inverse > 0, inverse, 1.0)
    better = (inverse > 0) & (k10 * direct * direct < gamma * gamma * to_slow)
    slow_less_gamma = jnp.where(better, secular, direct)
    fast_less_gamma = (fast - slow) + slow_less_gamma
    k21_less_gamma = jnp.where(second_is_faster, fast_less_gamma, slow_less_gamma)
    k31_less_gamma = jnp.where(second_is_faster, slow_less_gamma, fast_less_gamma)

    alpha_less_k21 = jnp.maximum(alpha - k21, tiny)
    alpha_less_k31 = jnp.maximum(alpha - k31, tiny)
    central = jnp.maximum(alpha - (k10 + k12 + k13), 0.0)
    zero = jnp.zeros_like(k10)
    first = _matrix([[central, k21, k31], [k12, alpha_less_k21, zero], [k13, zero, alpha_less_k31]])

    def diagonal(k1i: Array, ki1: Array, own: Array, other: Array, is_faster: Array) -> Array:
        """k1i ki1 + (alpha - ki1)(beta - ki1), which equals k1i ki1 (kj1 - gamma) / (ki1 - gamma)."""
        return jnp.where(is_faster, k1i * ki1 * other / own, k1i * ki1 + (alpha - ki1) * jnp.maximum(beta - ki1, 0.0))

    second = _matrix(
        [
            [k21_less_gamma * k31_less_gamma, k21 * k31_less_gamma, k31 * k21_less_gamma],
            [k12 * k31_less_gamma, diagonal(k12, k21, k21_less_gamma, k31_less_gamma, second_is_faster), k12 * k31],
            [k13 * k21_less_gamma, k13 * k21, diagonal(k13, k31, k31_less_gamma, k21_less_gamma, ~second_is_faster)],
        ]
    )
    return (alpha, beta, gamma), (jnp.eye(3), first, second)


def _matrix(rows: list[list[Array]]) -> Array:
    return jnp.stack([jnp.stack(jnp.broadcast_arrays(*row)) for row in rows])
