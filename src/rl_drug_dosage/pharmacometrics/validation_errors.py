"""Prediction errors of a model: bias, imprecision, accuracy and calibration, with intervals over patients.

With the prediction f and the level y (Sheiner and Beal 1981, J Pharmacokinet Biopharm 9:503, in relative form, as in
Broeker 2019, Clin Microbiol Infect 25:1286, and Guo 2019, Antimicrob Agents Chemother 63:e02543-18):

    prediction error PE      100 (f - y) / y, in %
    rBias                    mean of PE; the median beside it, since one level near 0 may rule a mean
    rRMSE                    square root of the mean of PE^2; the median of |PE| beside it
    P20, P30                 share of levels with |PE| <= 20 %, <= 30 %, in %
    covered90                share of levels between the 5th and the 95th percentile of their predictive distribution
    log density              mean ln p(y | earlier levels), see `validation_forecasts`; the higher the better

Levels outside quantification, or 0, have no relative error: they count in the log density only. Intervals are 95 %
percentile intervals of 2,000 bootstrap samples of patients, each with all levels (Efron 1979, Ann Stat 7:1): levels of
one patient are alike, and more of them are not more patients.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from rl_drug_dosage.pharmacometrics.validation_forecasts import Forecasts
from rl_drug_dosage.pharmacometrics.validation_levels import LevelTable
from rl_drug_dosage.utils.seeding import Stream, generator

__all__ = ["MEASURES", "About", "ErrorRow", "Interval", "Resamples", "error_row", "interval_of", "resamples"]

type Resamples = Int[np.ndarray, "sample patient"]
"""How often each sample has each patient."""

_SAMPLES = 2000
_BOUNDS = (2.5, 97.5)
_BLOCK = 4_000_000
"""Numbers in memory while medians are resampled: 32 MB."""
_FEWEST_SAMPLES = 400
_LOW, _HIGH = 0.05, 0.95

MEASURES = (
    "rbias_pct",
    "median_pe_pct",
    "rrmse_pct",
    "median_ape_pct",
    "p20_pct",
    "p30_pct",
    "covered90_pct",
    "log_density",
)
"""In the order of tables."""


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval; NaN where it cannot be computed."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class About:
    """Which levels a row is about.

    Args:
        output: what was measured.
        kind: ``"a priori"`` (covariates alone, every level) or ``"forecast"`` (from earlier levels).
        earlier: number of earlier levels; None: any (of a forecast: at least one).
        by, group: the column and its values, of a subgroup; empty: everybody.
    """

    output: str
    kind: Literal["a priori", "forecast"]
    earlier: int | None = None
    by: str = ""
    group: str = ""


@dataclass(frozen=True)
class ErrorRow:
    """The errors of one model on some levels.

    Args:
        model: its name, or that of an average.
        about: which levels.
        patients, levels: how many there are.
        compared: levels with a relative error.
        measures: see `MEASURES`.
    """

    model: str
    about: About
    patients: int
    levels: int
    compared: int
    measures: dict[str, Interval] = field(default_factory=dict)


def resamples(patients: int, seed: int, samples: int = _SAMPLES) -> Resamples:
    """Bootstrap samples of patients, the same for every comparison, so that differences are paired."""
    rng = generator(seed, Stream.EVALUATE, 1)
    return rng.multinomial(patients, np.full(patients, 1.0 / patients), size=samples)


def interval_of(value: float, samples: Float[np.ndarray, "sample"]) -> Interval:
    """A number and the percentiles of its bootstrap samples; those without a patient concerned are left out."""
    known = samples[np.isfinite(samples)]
    if not known.size or not np.isfinite(value):
        return Interval(float(value), np.nan, np.nan)
    low, high = np.percentile(known, _BOUNDS)
    return Interval(float(value), float(low), float(high))


def error_row(
    table: LevelTable, forecasts: Forecasts, which: Bool[np.ndarray, "level"], drawn: Resamples, about: About
) -> ErrorRow:
    """The errors on some levels.

    Args:
        table: all levels.
        forecasts: of the model.
        which: the levels.
        drawn: bootstrap samples of the patients.
        about: what to call these levels.
    """
    predicted = forecasts.apriori if about.kind == "a priori" else forecasts.forecast
    number = which & table.number
    error = 100.0 * (predicted[number] / table.value[number] - 1.0)
    size, who = np.abs(error), table.patient[number]
    people = np.unique(table.patient[which]).size
    # Intervals need patients to resample.
    drawn = drawn if people > 1 else drawn[:0]

    def mean(values: np.ndarray, of: np.ndarray, root: bool = False) -> Interval:
        found, samples = _mean(values, of, drawn)
        return interval_of(np.sqrt(found), np.sqrt(samples)) if root else interval_of(found, samples)

    measures = {
        "rbias_pct": mean(error, who),
        "median_pe_pct": interval_of(*_median(error, who, drawn)),
        "rrmse_pct": mean(error**2, who, root=True),
        "median_ape_pct": interval_of(*_median(size, who, drawn)),
        "p20_pct": mean(100.0 * (size <= 20.0), who),
        "p30_pct": mean(100.0 * (size <= 30.0), who),
    }
    if about.kind == "forecast":
        inside = (forecasts.pit >= _LOW) & (forecasts.pit <= _HIGH)
        seen = which & (table.side == 0)
        measures["covered90_pct"] = mean(100.0 * inside[seen], table.patient[seen])
        measures["log_density"] = mean(forecasts.log_density[which], table.patient[which])
    return ErrorRow(forecasts.name, about, people, int(which.sum()), int(number.sum()), measures)


def _mean(values: np.ndarray, who: np.ndarray, drawn: Resamples) -> tuple[float, np.ndarray]:
    """The mean over levels, and over those of every bootstrap sample."""
    people = drawn.shape[1]
    sums, counts = np.bincount(who, values, people), np.bincount(who, minlength=people)
    if not values.size:
        return np.nan, np.full(len(drawn), np.nan)
    with np.errstate(invalid="ignore"):
        return float(np.mean(values)), (drawn @ sums) / (drawn @ counts)


def _median(values: np.ndarray, who: np.ndarray, drawn: Resamples) -> tuple[float, np.ndarray]:
    """The median over levels, and over those of every bootstrap sample."""
    if not values.size:
        return np.nan, np.full(len(drawn), np.nan)
    at = np.argsort(values)
    ordered, own = values[at], who[at]
    # A sample costs as much as there are levels; percentiles of a few hundred will do for thousands of levels.
    drawn = drawn[: max(_FEWEST_SAMPLES, _BLOCK // values.size)]
    blocks = [_weighted_median(ordered, drawn[rows][:, own]) for rows in _rows(len(drawn), values.size)]
    return float(np.median(values)), np.concatenate(blocks) if blocks else np.zeros(0)


def _weighted_median(ordered: np.ndarray, weights: Int[np.ndarray, "sample level"]) -> np.ndarray:
    """The lowest value up to which at least half of the weight lies; NaN without weight."""
    total = np.cumsum(weights, axis=1)
    at = np.argmax(2 * total >= total[:, -1:], axis=1)
    return np.where(total[:, -1] > 0, ordered[at], np.nan)


def _rows(samples: int, levels: int) -> Iterator[slice]:
    size = max(1, _BLOCK // levels)
    for start in range(0, samples, size):
        yield slice(start, start + size)
