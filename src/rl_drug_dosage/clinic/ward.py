"""How patients are treated and watched in a scenario: schedule, doses, laboratory, and what nobody controls."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Array

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import Residual

__all__ = ["Adherence", "Clock", "Disturbance", "Dosage", "Drift", "Dropout", "Intake", "Monitoring", "Schedule"]


@dataclass(frozen=True)
class Schedule:
    """When decisions are made, and when outputs are looked at.

    Args:
        interval_h: between two decisions.
        decisions: how many there are: the horizon.
        output_times_h: times after a decision at which outputs are computed, ascending; the last is ``interval_h``.
        step_h: longest substep where the drug model has no closed form.
        shown_unit: the unit of time of tables and axes: days, hours or minutes.
    """

    interval_h: float
    decisions: int
    output_times_h: tuple[float, ...]
    step_h: float = 1.0
    shown_unit: Literal["d", "h", "min"] = "d"

    @property
    def shown_per_h(self) -> float:
        """Shown units in an hour."""
        return {"d": 1.0 / 24.0, "h": 1.0, "min": 60.0}[self.shown_unit]


@dataclass(frozen=True)
class Dosage:
    """What may be prescribed at a decision: an amount of the grid, given ``len(at_h)`` times in the interval.

    Args:
        amounts: the grid, ascending, in ``unit``.
        unit: of an amount: ``"mg"``, ``"mg/kg"``, ``"mg/min"``.
        compartment: where it goes.
        duration_h: of the infusion; 0 for a bolus or an oral dose.
        at_h: when it is given, after the decision.
        intervals_h: dosing intervals that a policy may choose between, the default first; in place of ``at_h``. See
            `clinic.timetable`.
        per: a covariate that an amount is multiplied by (``"wt_kg"``).
        mg_per_unit: engine mg of one administration of one unit.
        source: where the grid comes from.
        usual: the dose that the label gives a typical patient, in ``unit``: what a cautious fallback is made from.
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
        error_spread: each patient's error is multiplied by exp(N(0, error_spread^2)), for training on many wards.
        guide: which of ``at_h`` rules that steer by one level look at; the last one unless another says more.
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


@dataclass(frozen=True)
class Adherence:
    """Doses that the clinic cannot count on.

    Args:
        missed_mean, missed_sd: each patient's share of missed doses is Beta with this mean and sd (ReiL's adherence
            model has mean 0.20, sd 0.21); 0 means none. The record holds what was prescribed.
        late_mean_h: doses come late by an exponential time with this mean, unrecorded.
        late_max_h: at most this late.
    """

    missed_mean: float = 0.0
    missed_sd: float = 0.0
    late_mean_h: float = 0.0
    late_max_h: float = 0.0


@dataclass(frozen=True)
class Drift:
    """A covariate that changes in the course: x_k = end + (x_0 - end) exp(-t / tau), times exp of a random walk.

    Args:
        name: the covariate.
        end: where it goes to; None means that it stays around its first value.
        tau_h: time constant.
        walk_sd: sd of the log-scale step of one interval.
        source: why.
    """

    name: str
    end: float | None
    tau_h: float
    walk_sd: float
    source: str


@dataclass(frozen=True)
class Clock:
    """A covariate of some model that is a known function of time since the start (h)."""

    name: str
    value: Callable[[Array], Array]


@dataclass(frozen=True)
class Intake:
    """Something else that enters the body, such as meals: a bolus at the start of some intervals.

    Args:
        compartment: where it goes.
        schedule: (interval within ``period``, mean amount in mg), repeated every ``period`` intervals.
        period: in intervals.
        cv: of the amount taken around the announced one.
        announced: whether the clinic is told the mean amount beforehand.
        source: why.
    """

    compartment: str
    schedule: tuple[tuple[int, float], ...]
    period: int
    cv: float
    announced: bool
    source: str


@dataclass(frozen=True)
class Disturbance:
    """Something added to the monitored output that no drug model knows, such as surgical stimulation.

    Args:
        profile: (time in h, value) corners, joined by lines.
        sd: each patient's profile is multiplied by exp(N(0, sd^2)).
        source: why.
    """

    profile: tuple[tuple[float, float], ...]
    sd: float
    source: str


@dataclass(frozen=True)
class Dropout:
    """When a patient leaves.

    Args:
        output: of the limit.
        above: leaves when the output ends above it ``times`` intervals running and the dose is not lowered.
        times: how often.
        source: of the rule.
        below: leaves when the output ends below it ``times`` intervals running, whatever the dose.
        lost: an output above this, or none, is an equation that fell faster than its step: it counts as 0 for the whole
            interval, and the patient's contents stay what they were.
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
