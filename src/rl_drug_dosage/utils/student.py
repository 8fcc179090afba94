"""Student's t distribution, in double precision."""

import math

__all__ = ["student_p", "student_quantile"]

_TINY, _ENOUGH, _MOST = 1e-300, 1e-15, 10_000


def student_p(t: float, df: float) -> float:
    """Probability that Student's t with ``df`` degrees of freedom is at least |t| away from 0.

    It is the regularised incomplete beta function I_x(df / 2, 1 / 2) at x = df / (df + t^2) (DLMF 8.17.1).
    """
    x = df / (df + t * t) if math.isfinite(t) else 0.0
    a, b = 0.5 * df, 0.5
    if x in {0.0, 1.0}:
        return x
    log_front = a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(log_front)
    # The continued fraction converges fast on this side; I_x(a, b) = 1 - I_(1-x)(b, a) on the other.
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _fraction(a, b, x) / a
    return 1.0 - front * _fraction(b, a, 1.0 - x) / b


def _fraction(a: float, b: float, x: float) -> float:
    """1 / (1 + d_1 / (1 + d_2 / ...)) of DLMF 8.17.22, by the modified method of Lentz."""
    value = c = 1.0
    d = 0.0
    for j in range(1, _MOST):
        m = j // 2
        over = (a + 2 * m - 1) * (a + 2 * m) if j % 2 == 0 else (a + 2 * m) * (a + 2 * m + 1)
        term = (m * (b - m) * x if j % 2 == 0 else -(a + m) * (a + b + m) * x) / over
        d = 1.0 / ((1.0 + term * d) or _TINY)
        c = (1.0 + term / c) or _TINY
        value *= c * d
        if abs(c * d - 1.0) < _ENOUGH:
            break
    return 1.0 / value


def student_quantile(df: float, level: float = 0.95) -> float:
    """The t that Student's t with ``df`` degrees of freedom exceeds in absolute value with probability 1 - level."""
    low, high = 0.0, 1.0
    while student_p(high, df) > 1.0 - level:
        high *= 2.0
    for _ in range(50):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if student_p(middle, df) > 1.0 - level else (low, middle)
    return high
