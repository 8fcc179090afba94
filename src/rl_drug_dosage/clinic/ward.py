"""How patients are treated and watched in a scenario: schedule, doses, laboratory, adherence and disturbances."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Array

from rl_drug_dosage.clinic.units import mg_per_unit
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import Residual

__all__ = ["Adherence", "Clock", "Disturbance", "Dosage", "Drift", "Dropout", "Intake", "Monitoring", "Schedule"]

_LONGEST = 10_000
"""Maximum number of decisions per course; more is taken as a typing error."""


def _require(ok: bool, what: str, came: object, allowed: str) -> None:
    if not ok:
        raise ConfigError(f"{what} is {came!r}: allowed is {allowed}")


def _ascends(values: Sequence[float]) -> bool:
    return bool(values) and all(math.isfinite(v) for v in values) and list(values) == sorted(set(values))


@dataclass(frozen=True)
class Schedule:
    """When decisions are made, and when outputs are computed.

    Args:
        interval_h: between two decisions.
        decisions: their number: the horizon.
        output_times_h: times after a decision at which outputs are computed, ascending; the last is ``interval_h``.
        step_h: longest substep where the drug model has no closed form.
        shown_unit: the unit of time of tables and axes: days, hours or minutes.
    """

    interval_h: float
    decisions: int
    output_times_h: tuple[float, ...]
    step_h: float = 1.0
    shown_unit: Literal["d", "h", "min"] = "d"

    def __post_init__(self) -> None:
        _require(0 < self.interval_h < math.inf, "interval_h", self.interval_h, "a time above 0 h")
        _require(1 <= self.decisions <= _LONGEST, "decisions", self.decisions, f"a whole number from 1 to {_LONGEST:,}")
        times = self.output_times_h
        fits = _ascends(times) and times[0] > 0 and times[-1] == self.interval_h
        allowed = f"times that ascend from above 0 h to interval_h, {self.interval_h:g} h, the last of them"
        _require(fits, "output_times_h", times, allowed)
        _require(0 < self.step_h < math.inf, "step_h", self.step_h, "a time above 0 h")
        _require(self.shown_unit in {"d", "h", "min"}, "shown_unit", self.shown_unit, "d, h or min")

    @property
    def shown_per_h(self) -> float:
        """Shown units in an hour."""
        return {"d": 1.0 / 24.0, "h": 1.0, "min": 60.0}[self.shown_unit]


@dataclass(frozen=True)
class Dosage:
    """What may be prescribed at a decision: an amount on the grid, given ``len(at_h)`` times in the interval.

    Args:
        amounts: the grid, ascending, in ``unit``.
        unit: of an amount: ``"mg"``, ``"mg/kg"``, ``"mg/min"``.
        compartment: where it goes.
        duration_h: of the infusion, at least; 0 for a bolus or an oral dose.
        at_h: when it is given, after the decision.
        first_at_h: when it is given in the first interval, if not ``at_h``.
        highest_rate_per_h: in ``unit`` per h; a dose that would be faster is infused for longer than ``duration_h``.
        intervals_h: dosing intervals that a policy may choose between, the default first; in place of ``at_h``. See
            `clinic.timetable`.
        per: a covariate that an amount is multiplied by (``"wt_kg"``).
        mg_per_unit: engine mg of one administration of one unit; checked where it follows from the unit.
        source: where the grid comes from.
        usual: the label's dose for a typical patient, in ``unit``; fallback doses derive from it.
    """

    amounts: tuple[float, ...]
    unit: str
    compartment: str
    source: str
    usual: float
    duration_h: float = 0.0
    at_h: tuple[float, ...] = (0.0,)
    per: str | None = None
    mg_per_unit: float = 1.0
    intervals_h: tuple[float, ...] = ()
    first_at_h: tuple[float, ...] = ()
    highest_rate_per_h: float | None = None

    def __post_init__(self) -> None:
        grid = self.amounts
        _require(_ascends(grid) and grid[0] >= 0, "amounts", grid, "ascending numbers of at least 0")
        _require(grid[0] <= self.usual <= grid[-1], "usual", self.usual, f"a dose from {grid[0]:g} to {grid[-1]:g}")
        _require(0 <= self.duration_h < math.inf, "duration_h", self.duration_h, "a time of at least 0 h")
        _require(_ascends(self.at_h) and self.at_h[0] >= 0, "at_h", self.at_h, "ascending times of at least 0 h")
        _require(0 < self.mg_per_unit < math.inf, "mg_per_unit", self.mg_per_unit, "a number above 0")
        if self.first_at_h:
            ok = _ascends(self.first_at_h) and self.first_at_h[0] >= 0 and not self.intervals_h
            _require(ok, "first_at_h", self.first_at_h, "ascending times of at least 0 h, and none with intervals_h")
        if self.highest_rate_per_h is not None:
            fine = 0 < self.highest_rate_per_h < math.inf and self.duration_h > 0
            _require(fine, "highest_rate_per_h", self.highest_rate_per_h, "above 0, and only with duration_h above 0 h")
            _require(self.per is None, "per", self.per, "none where highest_rate_per_h is given: it is a rate in unit")
        right = mg_per_unit(self.unit, self.duration_h, per=self.per)
        if right is not None and not math.isclose(right, self.mg_per_unit, rel_tol=1e-6):
            raise ConfigError(
                f"mg_per_unit is {self.mg_per_unit:g}, but one administration of 1 {self.unit} is {right:g} mg: "
                f"give mg_per_unit = {right:g}, or another unit"
            )

    @property
    def longest_h(self) -> float:
        """Duration of the infusion of the largest amount."""
        limited = self.highest_rate_per_h
        return self.duration_h if limited is None else max(self.duration_h, self.amounts[-1] / limited)

    @property
    def separate(self) -> bool:
        """Whether the times of an interval may have different amounts, 0 among them."""
        return bool(self.intervals_h or self.first_at_h)

    def grid(self) -> np.ndarray:
        """The amounts, ``[amount]``."""
        return np.asarray(self.amounts, np.float32)


@dataclass(frozen=True)
class Monitoring:
    """What is measured, when, and how well.

    Args:
        output: name of the measured output; every model of the scenario has it.
        at_h: times after a decision, each a time of the schedule's grid; one column of levels each.
        source: of the plan.
        intervals: the decision intervals with samples; None means all.
        turnaround_h: from sample to result.
        error: assay error in place of the simulator's published residual error; needed where that has none.
        error_scale: multiplies the error's standard deviation.
        lloq: limit of quantification, in the output's unit; below it a result reads "below".
        baseline: a level is drawn before the first dose.
        missed: share of samples that are never drawn.
        error_spread: each patient's error is multiplied by exp(N(0, error_spread^2)), for training across wards.
        guide: index into ``at_h``: the level used by rules that adjust to a single level; default: the last.
    """

    output: str
    at_h: tuple[float, ...]
    source: str
    intervals: tuple[int, ...] | None = None
    turnaround_h: float = 0.0
    error: Residual | None = None
    error_scale: float = 1.0
    lloq: float = 0.0
    baseline: bool = False
    missed: float = 0.0
    guide: int = -1
    error_spread: float = 0.0

    def __post_init__(self) -> None:
        count = len(self.at_h)
        _require(_ascends(self.at_h), "at_h", self.at_h, "at least one time, ascending")
        _require(0 <= self.turnaround_h < math.inf, "turnaround_h", self.turnaround_h, "a time of at least 0 h")
        _require(0 < self.error_scale < math.inf, "error_scale", self.error_scale, "a number above 0")
        _require(0 <= self.lloq < math.inf, "lloq", self.lloq, "a level of at least 0")
        _require(0 <= self.missed < 1, "missed", self.missed, "a share from 0 to below 1")
        _require(0 <= self.error_spread < math.inf, "error_spread", self.error_spread, "a number of at least 0")
        _require(-count <= self.guide < count, "guide", self.guide, f"a place in at_h, which has {count}")


@dataclass(frozen=True)
class Adherence:
    """Adherence: missed and late doses.

    Args:
        missed_mean, missed_sd: each patient's share of missed doses is Beta with this mean and sd (ReiL's adherence
            model has mean 0.20, sd 0.21); 0 means none. The record holds what was prescribed.
        late_mean_h: mean of the exponentially distributed delay of a dose; the delay is not recorded.
        late_max_h: longest delay.
    """

    missed_mean: float = 0.0
    missed_sd: float = 0.0
    late_mean_h: float = 0.0
    late_max_h: float = 0.0

    def __post_init__(self) -> None:
        mean, sd = self.missed_mean, self.missed_sd
        _require(0 <= mean < 1, "missed_mean", mean, "a share from 0 to below 1")
        if mean > 0:
            # A Beta distribution has no larger spread.
            most = math.sqrt(mean * (1.0 - mean))
            _require(
                0 < sd < most, "missed_sd", sd, f"a number above 0 and below {most:.3g}, with missed_mean {mean:g}"
            )
        _require(0 <= self.late_mean_h < math.inf, "late_mean_h", self.late_mean_h, "a time of at least 0 h")
        _require(0 <= self.late_max_h < math.inf, "late_max_h", self.late_max_h, "a time of at least 0 h")
        if self.late_mean_h > 0:
            _require(self.late_max_h > 0, "late_max_h", self.late_max_h, "a time above 0 h where doses come late")


@dataclass(frozen=True)
class Drift:
    """A covariate that changes during the course: x_k = end + (x_0 - end) exp(-t / tau), times exp of a random walk.

    Args:
        name: the covariate.
        end: its final value; None: it stays around its first value.
        tau_h: time constant.
        walk_sd: sd of the log-scale step of one interval.
        source: of the numbers.
    """

    name: str
    end: float | None
    tau_h: float
    walk_sd: float
    source: str

    def __post_init__(self) -> None:
        _require(0 < self.tau_h < math.inf, f"tau_h of the drift of {self.name}", self.tau_h, "a time above 0 h")
        _require(0 <= self.walk_sd < math.inf, f"walk_sd of the drift of {self.name}", self.walk_sd, "at least 0")


@dataclass(frozen=True)
class Clock:
    """A model covariate that is a known function of time since the start (h)."""

    name: str
    value: Callable[[Array], Array]


@dataclass(frozen=True)
class Intake:
    """Intake besides the drug, such as meals: a bolus at the start of some intervals.

    Args:
        compartment: where it goes.
        schedule: (interval within ``period``, mean amount in mg), repeated every ``period`` intervals.
        period: in intervals.
        cv: coefficient of variation of the amount taken around the announced one.
        announced: whether the clinic knows the mean amount beforehand.
        source: of the numbers.
    """

    compartment: str
    schedule: tuple[tuple[int, float], ...]
    period: int
    cv: float
    announced: bool
    source: str


@dataclass(frozen=True)
class Disturbance:
    """A disturbance of the monitored output outside all drug models, such as surgical stimulation.

    Args:
        profile: (time in h, value) points, interpolated linearly.
        sd: each patient's profile is multiplied by exp(N(0, sd^2)).
        source: of the numbers.
    """

    profile: tuple[tuple[float, float], ...]
    sd: float
    source: str


@dataclass(frozen=True)
class Dropout:
    """When a patient drops out.

    Args:
        output: the output that the limits apply to.
        above: drops out if the output is above this at the end of ``times`` consecutive intervals and the dose is not
            lowered.
        times: number of consecutive intervals.
        source: of the rule.
        below: drops out if the output is below this at the end of ``times`` consecutive intervals, regardless of dose.
        lost: an output above this, or NaN, means that the equations fell faster than the step: it counts as 0
            for the whole interval, and the compartment contents are left unchanged.
    """

    output: str
    above: float | None
    times: int
    source: str
    below: float | None = None
    lost: float | None = None

    def __post_init__(self) -> None:
        if (self.above is None) == (self.below is None):
            raise ConfigError(f"a dropout needs above or below, not {self.above} and {self.below}")
        _require(self.times >= 1, "times of a dropout", self.times, "a whole number of at least 1")
