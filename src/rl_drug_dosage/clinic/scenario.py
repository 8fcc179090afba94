"""A dosing task as values: drug, cohort, monitoring, prescription, goal, reward, horizon.

A scenario file is ``envs/<name>_v<version>.py`` with one attribute, ``SCENARIO = Scenario(...)``. Time is cut into
equal decision intervals; a dose is chosen at the start of each. A changed number is a new version.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Array

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import Covariate, Eta, Residual, Values
from rl_drug_dosage.pkpd.distributions import Distribution

if TYPE_CHECKING:
    from rl_drug_dosage.clinic.record import Record

__all__ = [
    "Clock",
    "Disturbance",
    "Dosage",
    "Drift",
    "Dropout",
    "Goal",
    "Harm",
    "Intake",
    "Judged",
    "Limits",
    "Monitoring",
    "Scenario",
    "Schedule",
    "Window",
]

Metric = Literal["end", "points", "peak", "nadir", "auc24", "auc_total"]
"""``end``: the output at the end of the interval; ``points``: at every grid time of it; ``peak``, ``nadir``: the
largest and smallest of those; ``auc24``: area over the interval, per 24 h; ``auc_total``: area since the start."""


@dataclass(frozen=True)
class Schedule:
    """When decisions are made, and when outputs are looked at.

    Args:
        interval_h: between two decisions.
        decisions: how many there are: the horizon.
        grid_h: times after a decision at which outputs are computed, ascending; the last one is ``interval_h``.
        step_h: longest substep where the drug model has no closed form.
        day_h: what tables and axes call a unit of time: 24 shows days, 1 hours, 1/60 minutes.
    """

    interval_h: float
    decisions: int
    grid_h: tuple[float, ...]
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
class Limits:
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


@dataclass(frozen=True)
class Window:
    """One condition of the goal, judged at the end of an interval.

    Args:
        metric: see `Metric`.
        output: of which output (areas are those of the central concentration, in the output's ``auc_scale``).
        low, high: edges; None is open; a tuple of (from_h, value) changes in the course.
        unit: of the metric.
        source: of the window.
        aim: what a controller steers to; None means the middle (on the log scale if ``log``), or the closed edge.
        log: deviations are measured as ratios.
    """

    metric: Metric
    output: str
    low: float | tuple[tuple[float, float], ...] | None
    high: float | tuple[tuple[float, float], ...] | None
    unit: str
    source: str
    aim: float | None = None
    log: bool = True


@dataclass(frozen=True)
class Harm:
    """An event to be counted: a metric beyond a limit in an interval.

    Args:
        name: what tables call it.
        metric, output: see `Window`.
        above, below: one of the two limits.
        source: of the limit.
        from_h: intervals that start earlier are not looked at.
    """

    name: str
    metric: Metric
    output: str
    source: str
    above: float | None = None
    below: float | None = None
    from_h: float = 0.0


@dataclass(frozen=True)
class Goal:
    """What the task is about. A patient's attainment is the share of judged intervals (or points) in every window.

    Args:
        title: the primary endpoint in words, with its unit.
        windows: all of them have to hold.
        harms: events that are counted.
        judged: decision intervals that count; None means all.
    """

    title: str
    windows: tuple[Window, ...]
    harms: tuple[Harm, ...] = ()
    judged: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Judged:
    """What a reward is computed from, one interval of one patient.

    Args:
        values: outputs by name at the grid times, ``[grid]``.
        start: outputs by name before the first dose.
        metrics: the windows' metrics, in order, ``[point]`` each.
        low, high: the windows' edges in this interval.
        amount: the dose, in the dosage's unit.
        interval: index of the interval.
        last: whether it is the last one.
    """

    values: Mapping[str, Array]
    start: Mapping[str, Array]
    metrics: tuple[Array, ...]
    low: tuple[Array, ...]
    high: tuple[Array, ...]
    amount: Array
    interval: Array
    last: Array


Reward = Callable[[Judged], Array]
Rule = Callable[[Values, "Record"], Array]


@dataclass(frozen=True, eq=False)
class Scenario:
    """One dosing task. Compared by identity, so that it can be a static argument of a compiled function.

    Args:
        title: one line for tables.
        models: drug models that can simulate it and be believed; the first one is the default of both.
        covariates: what is known of a patient: every covariate that a model needs, save clocks.
        schedule, dosage, monitoring, goal: see their classes.
        reward: of one interval, for learners.
        reward_text: the same in words, with its source.
        label: the label's or guideline's dose, from the covariates and the record, in the dosage's unit.
        label_text: the same in words, with its source.
        limits: missed and late doses.
        drifts, clocks, intakes: see their classes.
        disturbance, dropout: see their classes.
        daily_etas: inter-occasion variability that the scenario adds to its simulator (occasion: an interval).
        etas: random effects of models that publish none.
        spread: parameter of the drug models -> sd of the log-normal spread that training may add to it, see
            `clinic.interval.randomised`.
        elsewhere: covariate -> how it is distributed among the patients of other wards, for training.
        strata: (name, covariate, edges) by which results are broken down.
        look_ahead: intervals that a planning controller looks ahead.
        estimated_at: decisions, ascending, at which a Bayesian controller forms its belief anew; None means after all
            new results. Where a level comes with every decision an estimate costs as many intervals as have passed.
        estimated: parameters whose random effects a controller estimates, the others taken as typical; None means
            all. The simulator keeps all.
        shield: limits of the safety shield, see `clinic.shield.Shield`, and ``lowers`` 1.0 where more drug lowers the
            monitored output.
        training: settings of `train` that suit this task, in place of the usual defaults.
    """

    title: str
    models: tuple[str, ...]
    covariates: tuple[Covariate, ...]
    schedule: Schedule
    dosage: Dosage
    monitoring: Monitoring
    goal: Goal
    reward: Reward
    reward_text: str
    label: Rule
    label_text: str
    limits: Limits = Limits()
    drifts: tuple[Drift, ...] = ()
    clocks: tuple[Clock, ...] = ()
    intake: Intake | None = None
    disturbance: Disturbance | None = None
    dropout: Dropout | None = None
    daily_etas: tuple[Eta, ...] = ()
    etas: tuple[Eta, ...] = ()
    spread: Mapping[str, float] = field(default_factory=dict)
    elsewhere: Mapping[str, Distribution] = field(default_factory=dict)
    strata: tuple[tuple[str, str, tuple[float, ...]], ...] = ()
    look_ahead: int = 8
    estimated_at: tuple[int, ...] | None = None
    estimated: tuple[str, ...] | None = None
    shield: Mapping[str, float] = field(default_factory=dict)
    training: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        grid = self.schedule.grid_h
        if list(grid) != sorted(set(grid)) or grid[-1] != self.schedule.interval_h or grid[0] <= 0:
            raise ConfigError(f"{self.title}: grid {grid} must ascend from above 0 to the interval")
        strangers = sorted(set(self.monitoring.at_h) - set(grid))
        if strangers:
            raise ConfigError(f"{self.title}: samples at {strangers} h are not on the grid {grid}")
        names = {c.name for c in self.covariates}
        for drift in self.drifts:
            if drift.name not in names:
                raise ConfigError(f"{self.title}: a drift of {drift.name!r}, but covariates are {sorted(names)}")

    @property
    def horizon_h(self) -> float:
        """Length of a course."""
        return self.schedule.interval_h * self.schedule.decisions

    @property
    def records(self) -> int:
        """Rows of a covariate table: one an interval where something drifts, else one."""
        return self.schedule.decisions if self.drifts else 1

    def sampled(self) -> np.ndarray:
        """Which intervals have samples, ``[decision]``."""
        at = np.ones(self.schedule.decisions, bool)
        if self.monitoring.intervals is not None:
            at[:] = False
            at[list(self.monitoring.intervals)] = True
        return at

    def judged(self) -> np.ndarray:
        """Which intervals count, ``[decision]``."""
        at = np.ones(self.schedule.decisions, bool)
        if self.goal.judged is not None:
            at[:] = False
            at[list(self.goal.judged)] = True
        return at

    def edges(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Low and high edge and aim of every window in every interval, ``[decision, window]``."""
        ends = (np.arange(self.schedule.decisions) + 1.0) * self.schedule.interval_h
        low = np.stack([_stepwise(w.low, ends, -np.inf) for w in self.goal.windows], axis=1)
        high = np.stack([_stepwise(w.high, ends, np.inf) for w in self.goal.windows], axis=1)
        aim = np.empty_like(low)
        for i, w in enumerate(self.goal.windows):
            both = np.isfinite(low[:, i]) & np.isfinite(high[:, i])
            with np.errstate(invalid="ignore"):
                middle = np.sqrt(np.abs(low[:, i] * high[:, i])) if w.log else 0.5 * (low[:, i] + high[:, i])
            aim[:, i] = np.where(both, middle, np.where(np.isfinite(low[:, i]), low[:, i], high[:, i]))
            if w.aim is not None:
                aim[:, i] = w.aim
        return low.astype(np.float32), high.astype(np.float32), aim.astype(np.float32)


def _stepwise(edge: float | tuple[tuple[float, float], ...] | None, ends_h: np.ndarray, open_: float) -> np.ndarray:
    """An edge's value in each interval; a step at t holds for intervals that end after t."""
    if edge is None:
        return np.full(ends_h.shape, open_)
    if not isinstance(edge, tuple):
        return np.full(ends_h.shape, float(edge))
    values = np.full(ends_h.shape, open_)
    for from_h, value in edge:
        values = np.where(ends_h > from_h + 1e-9, value, values)
    return values
