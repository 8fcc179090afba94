"""How patients are treated and watched in a scenario: schedule, doses and laboratory; see also `clinic.events`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rl_drug_dosage.clinic.events import require
from rl_drug_dosage.clinic.units import mg_per_unit
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import Residual
from rl_drug_dosage.pkpd.infusion import infusion_h
from rl_drug_dosage.utils.typed_fields import typed_fields

__all__ = ["Dosage", "Monitoring", "Schedule"]

_LONGEST = 10_000
"""Maximum number of decisions per course; more is taken as a typing error."""


def _ascends(values: Sequence[float]) -> bool:
    return bool(values) and all(math.isfinite(v) for v in values) and list(values) == sorted(set(values))


@typed_fields(ConfigError)
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
        require(0 < self.interval_h < math.inf, "interval_h", self.interval_h, "a time above 0 h")
        require(1 <= self.decisions <= _LONGEST, "decisions", self.decisions, f"a whole number from 1 to {_LONGEST:,}")
        times = self.output_times_h
        fits = _ascends(times) and times[0] > 0 and times[-1] == self.interval_h
        allowed = f"times that ascend from above 0 h to interval_h, {self.interval_h:g} h, the last of them"
        require(fits, "output_times_h", times, allowed)
        require(0 < self.step_h < math.inf, "step_h", self.step_h, "a time above 0 h")
        require(self.shown_unit in {"d", "h", "min"}, "shown_unit", self.shown_unit, "d, h or min")

    @property
    def shown_per_h(self) -> float:
        """Shown units in an hour."""
        return {"d": 1.0 / 24.0, "h": 1.0, "min": 60.0}[self.shown_unit]


@typed_fields(ConfigError)
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
        require(_ascends(grid) and grid[0] >= 0, "amounts", grid, "ascending numbers of at least 0")
        require(grid[0] <= self.usual <= grid[-1], "usual", self.usual, f"a dose from {grid[0]:g} to {grid[-1]:g}")
        require(0 <= self.duration_h < math.inf, "duration_h", self.duration_h, "a time of at least 0 h")
        require(_ascends(self.at_h) and self.at_h[0] >= 0, "at_h", self.at_h, "ascending times of at least 0 h")
        require(0 < self.mg_per_unit < math.inf, "mg_per_unit", self.mg_per_unit, "a number above 0")
        if self.first_at_h:
            ok = _ascends(self.first_at_h) and self.first_at_h[0] >= 0 and not self.intervals_h
            require(ok, "first_at_h", self.first_at_h, "ascending times of at least 0 h, and none with intervals_h")
        if self.highest_rate_per_h is not None:
            fine = 0 < self.highest_rate_per_h < math.inf and self.duration_h > 0
            require(fine, "highest_rate_per_h", self.highest_rate_per_h, "above 0, and only with duration_h above 0 h")
            require(self.per is None, "per", self.per, "none where highest_rate_per_h is given: it is a rate in unit")
        right = mg_per_unit(self.unit, self.duration_h, per=self.per)
        if right is not None and not math.isclose(right, self.mg_per_unit, rel_tol=1e-6):
            raise ConfigError(
                f"mg_per_unit is {self.mg_per_unit:g}, but one administration of 1 {self.unit} is {right:g} mg: "
                f"give mg_per_unit = {right:g}, or another unit"
            )

    @property
    def longest_h(self) -> float:
        """Duration of the infusion of the largest amount."""
        return float(infusion_h(self.amounts[-1], self.duration_h, self.highest_rate_per_h))

    @property
    def separate(self) -> bool:
        """Whether the times of an interval may have different amounts, 0 among them."""
        return bool(self.intervals_h or self.first_at_h)

    def grid(self) -> np.ndarray:
        """The amounts, ``[amount]``."""
        return np.asarray(self.amounts, np.float32)


@typed_fields(ConfigError)
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
        require(_ascends(self.at_h), "at_h", self.at_h, "at least one time, ascending")
        require(0 <= self.turnaround_h < math.inf, "turnaround_h", self.turnaround_h, "a time of at least 0 h")
        require(0 < self.error_scale < math.inf, "error_scale", self.error_scale, "a number above 0")
        require(0 <= self.lloq < math.inf, "lloq", self.lloq, "a level of at least 0")
        require(0 <= self.missed < 1, "missed", self.missed, "a share from 0 to below 1")
        require(0 <= self.error_spread < math.inf, "error_spread", self.error_spread, "a number of at least 0")
        require(-count <= self.guide < count, "guide", self.guide, f"a place in at_h, which has {count}")
