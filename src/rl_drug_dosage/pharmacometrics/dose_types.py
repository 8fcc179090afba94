"""What a dose search finds for a patient."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from jaxtyping import Bool, Float

from rl_drug_dosage.pharmacometrics.dose_ranking import RegimenRow
from rl_drug_dosage.pkpd.bayes import Fitted, PatientData

__all__ = ["Course", "Onset", "PatientDoses", "Wait"]


@dataclass(frozen=True)
class Wait:
    """Until the level is low enough for the next dose, in the engine's hours; infinity where it never is."""

    map_h: float
    """Of the point estimate."""
    median_h: float
    low_h: float
    """5th percentile over the posterior."""
    high_h: float
    """95th percentile."""
    needed_h: float
    """When the asked share of the posterior is below the level."""
    never: float
    """Fraction of the posterior that is never below it."""

    @classmethod
    def of(cls, hours: Float[np.ndarray, "draw"], percentile: float) -> Self:
        """From the times of the point estimate and of the draws."""
        own = np.sort(hours[1:])

        def at(share: float) -> float:
            # Without interpolation: an infinite time among finite ones has no middle.
            return float(own[min(math.ceil(share / 100.0 * own.size), own.size) - 1])

        return cls(float(hours[0]), at(50.0), at(5.0), at(95.0), at(percentile), float(np.mean(~np.isfinite(own))))


@dataclass(frozen=True)
class Onset:
    """Time to target under the best regimen: the end of the first dosing interval whose metric is in the window."""

    interval_h: float
    inside: tuple[float, ...]
    """Probability of being in the window in the first, second, ... interval."""
    map_h: float
    """After the start; infinity where it is not reached in these intervals."""
    median_h: float
    low_h: float
    high_h: float
    """5th and 95th percentile."""
    never: float
    """Fraction of the posterior that is in the window in none of them."""

    @classmethod
    def of(cls, inside: Bool[np.ndarray, "interval draw"], interval_h: float) -> Self:
        """From whether each interval is in the window, the point estimate first."""
        first = np.where(inside.any(axis=0), interval_h * (1.0 + np.argmax(inside, axis=0)), np.inf)
        wait = Wait.of(first, 50.0)
        shares = tuple(float(share) for share in inside[:, 1:].mean(axis=1))
        return cls(interval_h, shares, wait.map_h, wait.median_h, wait.low_h, wait.high_h, wait.never)


@dataclass(frozen=True)
class Course:
    """Predictions of the target's output under the doses so far and the best regimen."""

    time_h: Float[np.ndarray, "time"]
    map: Float[np.ndarray, "time"]
    bands: Float[np.ndarray, "5 time"]
    """5th, 25th, 50th, 75th and 95th percentile."""

    @classmethod
    def of(cls, time_h: Float[np.ndarray, "time"], values: Float[np.ndarray, "draw time"]) -> Self:
        """From the courses of the point estimate and of the draws."""
        return cls(time_h, values[0], np.percentile(values[1:], [5.0, 25.0, 50.0, 75.0, 95.0], axis=0))


@dataclass(frozen=True)
class PatientDoses:
    """One patient."""

    fitted: Fitted
    data: PatientData
    start_h: float
    """When the searched doses begin, for the engine."""
    offset_h: float
    """By how much that is ahead of the file's hours."""
    rows: tuple[RegimenRow, ...]
    """Possible regimens, best first."""
    impossible: int
    """Regimens whose infusion is longer than their interval, or whose metric is not finite."""
    wait: Wait | None
    onset: Onset
    course: Course
    effective: float
    """Proposals behind the draws."""
    warnings: tuple[str, ...]

    @property
    def name(self) -> str:
        """As in the table."""
        return self.fitted.name

    @property
    def best(self) -> RegimenRow:
        """The regimen that the criterion puts first."""
        return self.rows[0]
