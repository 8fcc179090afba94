"""Running mean and variance of a stream, merged batch by batch."""

from typing import Any, Self

import equinox as eqx
import numpy as np
from jaxtyping import Float

from rl_drug_dosage.types import Array

__all__ = ["EPSILON", "RunningMoments", "initial_moments", "scale_by_deviation", "standardize"]

EPSILON = 1e-8
"""Added to a variance before the square root, as in Gymnasium's NormalizeObservation and NormalizeReward."""


class RunningMoments(eqx.Module):
    """Mean, population variance and count of everything merged so far.

    Works with NumPy and JAX arrays: it uses only their operators.
    """

    mean: Float[Array, "*shape"]
    var: Float[Array, "*shape"]
    count: Float[Array, ""]

    def merge(self, mean: Any, var: Any, count: Any) -> Self:
        """Add a batch of ``count`` samples, given by its moments (Chan, Golub & LeVeque 1983, eq. 2.1).

        ``mean <- mean + d n_b / n``, ``var <- (n_a var_a + n_b var_b + d^2 n_a n_b / n) / n`` with ``d`` the
        difference of the means and ``n = n_a + n_b``. An empty batch has no effect.
        """
        total = self.count + count
        delta = mean - self.mean
        weight = count / total
        merged = (self.count * self.var + count * var) / total + delta**2 * (self.count / total) * weight
        return type(self)(mean=self.mean + delta * weight, var=merged, count=total)


def initial_moments(shape: tuple[int, ...]) -> RunningMoments:
    """Mean 0, variance 1, and a count of 1e-4: enough to avoid division by zero, too small to matter later."""
    return RunningMoments(
        mean=np.zeros(shape, np.float32), var=np.ones(shape, np.float32), count=np.asarray(1e-4, np.float32)
    )


def standardize(x: Any, moments: RunningMoments, clip: Any) -> Any:
    """``(x - mean) / sqrt(var + 1e-8)``, clipped to ``[-clip, clip]``."""
    return ((x - moments.mean) / (moments.var + EPSILON) ** 0.5).clip(-clip, clip)


def scale_by_deviation(x: Any, moments: RunningMoments) -> Any:
    """``x / sqrt(var + 1e-8)``: the mean is not subtracted, so a reward keeps its sign."""
    return x / (moments.var + EPSILON) ** 0.5
