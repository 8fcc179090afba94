"""The metrics of published trials, as functions of a scenario and a trial that give a number per patient.

What a paper counts on measured levels is counted on ours as measured, assay error included.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.trials.burden import burden
from rl_drug_dosage.trials.statistics import RESAMPLES, Interval
from rl_drug_dosage.trials.trial import Trial

__all__ = [
    "Column",
    "among",
    "any_above",
    "late_change",
    "left_early",
    "level_in_range",
    "measured_levels",
    "metric_beyond",
    "performance_error",
    "share_in_range",
    "share_of_ends_in_range",
    "sum_of_rewards",
    "summarised",
    "total_dose",
    "unanswered_excess",
]

Column = Callable[[Scenario, Trial], Float[np.ndarray, " patient"]]
"""(scenario, trial) -> a number per patient; NaN for a patient who does not count."""

_AT_ONCE = 2_000_000
"""Resampled patients held at a time."""


def measured_levels(trial: Trial, levels: int) -> Float[np.ndarray, "patient level"]:
    """The level before the first dose, then the last one measured in each interval, of which the first are kept.

    Args:
        trial: results of one policy.
        levels: how many, the first one included.
    """
    return np.concatenate([trial.baseline[:, None], trial.measured[:, : levels - 1, -1]], axis=1)


def unanswered_excess(
    levels: Float[np.ndarray, "patient day"], doses: Float[np.ndarray, "patient day"], limit: float
) -> Bool[np.ndarray, " patient"]:
    """Whether three levels in a row exceed a limit and in no such case the third dose is below the first.

    The rule of `terminate_trial` in results/1_systems_pharmacology_model/results.ipynb of DavAug/mipd-warfarin, which
    leaves the last level out. A dose answers the level of the same day.

    Args:
        levels: one a day, the first before the first dose.
        doses: one a day; the last is not looked at.
        limit: above which a level is too high.
    """
    above = levels > limit
    thrice = above[:, :-3] & above[:, 1:-2] & above[:, 2:-1]
    lowered = doses[:, 2 : levels.shape[1] - 1] < doses[:, : levels.shape[1] - 3]
    return thrice.any(axis=1) & ~(thrice & lowered).any(axis=1)


def _inside(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return (values >= low) & (values <= high)


def level_in_range(low: float, high: float, *, levels: int, limit: float) -> Column:
    """100 where the last of ``levels`` measured levels is within a range and the patient has not left, else 0.

    Args:
        low: edge, included.
        high: edge, included.
        levels: number of levels, the one before the first dose included.
        limit: of `unanswered_excess`, by which patients leave.
    """

    def column(scenario: Scenario, trial: Trial) -> Float[np.ndarray, " patient"]:
        found = measured_levels(trial, levels)
        return 100.0 * (_inside(found[:, -1], low, high) & ~unanswered_excess(found, trial.dose, limit))

    return column


def share_in_range(low: float, high: float, *, levels: int, limit: float) -> Column:
    """Percentage of a patient's measured levels within a range; NaN for patients who leave, see `level_in_range`."""

    def column(scenario: Scenario, trial: Trial) -> Float[np.ndarray, " patient"]:
        found = measured_levels(trial, levels)
        share = 100.0 * _inside(found, low, high).mean(axis=1)
        return np.where(unanswered_excess(found, trial.dose, limit), np.nan, share)

    return column


def left_early(*, levels: int, limit: float) -> Column:
    """100 where the patient leaves by the rule of `unanswered_excess`, else 0."""

    def column(scenario: Scenario, trial: Trial) -> Float[np.ndarray, " patient"]:
        return 100.0 * unanswered_excess(measured_levels(trial, levels), trial.dose, limit)

    return column


def any_above(limit: float, *, levels: int) -> Column:
    """100 where any of the measured levels exceeds a limit, else 0."""

    def column(scenario: Scenario, trial: Trial) -> Float[np.ndarray, " patient"]:
        return 100.0 * (measured_levels(trial, levels) > limit).any(axis=1)

    return column


def late_change(scenario: Scenario, trial: Trial) -> Float[np.ndarray, " patient"]:
    """Mean change of dose over the last third of a course, % of the mean dose there, see `burden.course_burden`."""
    return burden(scenario, trial)["change_last_third_pct"]


def share_of_ends_in_range(low: float, high: float) -> Column:
    """Percentage of intervals that end with the monitored output, without assay error, within a range."""

    def column(scenario: Scenario, trial: Trial) -> Float[np.ndarray, " patient"]:
        return 100.0 * (_inside(trial.values[:, :, -1], low, high) & trial.alive).mean(axis=1)

    return column


def among(column: Column, who: Callable[[Trial], Bool[np.ndarray, " patient"]]) -> Column:
    """The same for some patients only; NaN for the others."""

    def some(scenario: Scenario, trial: Trial) -> Float[np.ndarray, " patient"]:
        return np.where(who(trial), column(scenario, trial), np.nan)

    return some


def metric_beyond(*, below: float = -np.inf, above: float = np.inf) -> Column:
    """Percentage of intervals in which the metric of the goal's first target is below a limit, or at or above one.

    Give one of the two.
    """

    def column(scenario: Scenario, trial: Trial) -> Float[np.ndarray, " patient"]:
        value = trial.metrics[:, :, 0]
        return 100.0 * ((value < below) | (value >= above)).mean(axis=1)

    return column


def total_dose(scenario: Scenario, trial: Trial) -> Float[np.ndarray, " patient"]:
    """Sum of the doses of a course with one administration a decision, in the dosage's unit."""
    return trial.dose.sum(axis=1)


def sum_of_rewards(scenario: Scenario, trial: Trial) -> Float[np.ndarray, " patient"]:
    """Sum of the rewards of a course, not discounted."""
    return trial.reward.sum(axis=1)


def performance_error(target: float, *, from_decision: int, absolute: bool) -> Column:
    """A patient's median performance error, or median absolute one, in %: (value - target) / target.

    Varvel JR et al. J Pharmacokinet Biopharm 1992;20:63-94. Values are those of the monitored output, without noise of
    the monitor, at the end of each interval.

    Args:
        target: of the output.
        from_decision: first interval that counts, from 0.
        absolute: whether the errors are taken without their sign.
    """

    def column(scenario: Scenario, trial: Trial) -> Float[np.ndarray, " patient"]:
        error = 100.0 * (trial.values[:, from_decision:, -1] - target) / target
        return np.median(np.abs(error) if absolute else error, axis=1)

    return column


def summarised(
    column: Float[np.ndarray, " patient"], over: Literal["mean", "median"], rng: np.random.Generator
) -> Interval | None:
    """Mean or median over the patients who count, with its 95 % percentile bootstrap interval; None: nobody counts.

    Args:
        column: a number per patient; NaN does not count.
        over: the summary.
        rng: chance of the resamples.
    """
    counted = column[~np.isnan(column)]
    if not counted.size:
        return None
    of = np.mean if over == "mean" else np.median
    # Few at a time, so that a large cohort needs no more memory than its trial.
    at_once = max(1, _AT_ONCE // counted.size)
    sizes = [min(at_once, RESAMPLES - start) for start in range(0, RESAMPLES, at_once)]
    drawn = (counted[rng.integers(0, counted.size, (size, counted.size))] for size in sizes)
    low, high = np.percentile(np.concatenate([of(resample, axis=1) for resample in drawn]), [2.5, 97.5])
    return Interval(float(of(counted)), float(low), float(high))
