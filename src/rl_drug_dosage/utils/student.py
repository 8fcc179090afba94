"""Student's t distribution, in double precision."""

import jax
from jax.scipy.special import betainc

__all__ = ["student_p", "student_quantile"]

_incomplete_beta = jax.jit(betainc)


def student_p(t: float, df: float) -> float:
    """Probability that Student's t with ``df`` degrees of freedom is at least |t| away from 0.

    It is the regularised incomplete beta function I_x(df / 2, 1 / 2) at x = df / (df + t^2) (DLMF 8.17.1).
    """
    with jax.enable_x64(True):
        return float(_incomplete_beta(0.5 * df, 0.5, df / (df + t * t)))


def student_quantile(df: float, level: float = 0.95) -> float:
    """The t that Student's t with ``df`` degrees of freedom exceeds in absolute value with probability 1 - level."""
    low, high = 0.0, 1.0
    while student_p(high, df) > 1.0 - level:
        high *= 2.0
    for _ in range(50):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if student_p(middle, df) > 1.0 - level else (low, middle)
    return high
