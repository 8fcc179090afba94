"""Few seeds in one number: the interquartile mean with stratified bootstrap intervals (Agarwal et al. 2021, rliable).

Agarwal, Schwarzer, Castro, Courville, Bellemare: Deep reinforcement learning at the edge of the statistical precipice,
NeurIPS 2021, arXiv 2108.13264.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

__all__ = ["RESAMPLES", "interquartile_mean", "stratified_interval"]

RESAMPLES = 2000
_TRIMMED = 0.25
_LEVEL_PCT = 95.0


def interquartile_mean(scores: Float[np.ndarray, "*rest score"]) -> Float[np.ndarray, "*rest"]:
    """Mean of the middle half of the scores along the last axis.

    Of n sorted scores the floor(n / 4) lowest and as many of the highest are left out, so that up to three scores are
    all averaged. This is ``scipy.stats.trim_mean(scores, 0.25)``, as in rliable.
    """
    n = scores.shape[-1]
    cut = int(_TRIMMED * n)
    found: np.ndarray = np.sort(scores, axis=-1)[..., cut : n - cut].mean(-1)
    return found


def stratified_interval(
    strata: Sequence[Float[np.ndarray, "*rest seed"]], rng: np.random.Generator, resamples: int = RESAMPLES
) -> tuple[Float[np.ndarray, "*rest"], Float[np.ndarray, "*rest"]]:
    """95 % percentile bootstrap interval of the interquartile mean of all scores together.

    Seeds are drawn with replacement within each stratum, never across: a task with easy scores stays as frequent as it
    is. A seed is drawn as a whole, so that leading axes, such as the steps of a curve, have the same resamples.

    Args:
        strata: the scores of each task, one column a training seed; leading axes agree.
        rng: chance of the resamples.
        resamples: how many.
    """
    drawn = []
    for scores in strata:
        n = scores.shape[-1]
        drawn.append(scores[..., rng.integers(n, size=(resamples, n))])
    means = interquartile_mean(np.concatenate(drawn, axis=-1))
    low, high = np.percentile(means, [(100.0 - _LEVEL_PCT) / 2.0, (100.0 + _LEVEL_PCT) / 2.0], axis=-1)
    return low, high
