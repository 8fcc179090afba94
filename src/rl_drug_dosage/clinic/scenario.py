"""A dosing task as values: drug, cohort, monitoring, prescription, goal, reward, horizon.

A scenario file is ``scenarios/<name>_v<version>.py`` with one attribute, ``SCENARIO = Scenario(...)``. Time is cut into
equal decision intervals; a dose is chosen at the start of each. A changed number is a new version.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Array

from rl_drug_dosage.clinic.cohort import completed
from rl_drug_dosage.clinic.events import Adherence, Clock, Disturbance, Drift, Dropout, Intake
from rl_drug_dosage.clinic.fit import misfits, refuse_test_only
from rl_drug_dosage.clinic.label_rules import LabelRule
from rl_drug_dosage.clinic.timetable import timetable
from rl_drug_dosage.clinic.units import is_per, is_substance
from rl_drug_dosage.clinic.ward import Dosage, Monitoring, Schedule
from rl_drug_dosage.errors import ConfigError, UnknownNameError
from rl_drug_dosage.pkpd import Covariate, DrugModel, Eta, Target, Values
from rl_drug_dosage.pkpd.description import Metric
from rl_drug_dosage.pkpd.distributions import Distribution
from rl_drug_dosage.registry import DRUG, is_file_reference, load_drug
from rl_drug_dosage.utils.by_value import ByValue
from rl_drug_dosage.utils.typed_fields import ALSO, typed_fields

if TYPE_CHECKING:
    from rl_drug_dosage.clinic.record import Record

__all__ = [
    "Goal",
    "Harm",
    "Judged",
    "Scenario",
    "ShieldLimits",
    "TrainingSettings",
    "intervals_before",
    "whole_days",
]

_RECIPES = ("correction", "chart")


@typed_fields(ConfigError)
@dataclass(frozen=True)
class Harm:
    """An event to be counted: a metric beyond a limit in an interval.

    Args:
        name: what tables call it.
        metric, output: as those of a target, see `rl_drug_dosage.pkpd.Target`.
        above, below: one of the two limits.
        source: of the limit.
        from_h: intervals that start earlier are not counted.
    """

    name: str
    metric: Metric
    output: str
    source: str
    above: float | None = None
    below: float | None = None
    from_h: float = 0.0

    def __post_init__(self) -> None:
        if (self.above is None) == (self.below is None):
            raise ConfigError(f"harm {self.name!r} needs above or below, not {self.above} and {self.below}")


@typed_fields(ConfigError)
@dataclass(frozen=True)
class Goal:
    """What the task is about. A patient's attainment is the share of judged intervals (or points) in every window.

    Args:
        title: the primary endpoint in words, with its unit.
        targets: all must be met.
        harms: events that are counted.
        judged: decision intervals that count; None means all, or, with AUC24 and shorter intervals, all that end a
            whole day.
        steady: whether the best dose of a patient becomes constant, so that further changes are a burden without
            need; None: not stated. Where it is not True, changes of dose are counted and not judged.
        steady_text: why it does, or does not, in one sentence; needed with ``steady``.

    Raises:
        ConfigError: no targets; an edge, an aim or a metric that is not allowed; ``steady`` without a reason, or a
            reason without it.
    """

    title: str
    targets: tuple[Target, ...]
    harms: tuple[Harm, ...] = ()
    judged: tuple[int, ...] | None = None
    steady: bool | None = None
    steady_text: str = ""

    def __post_init__(self) -> None:
        if (self.steady is None) != (not self.steady_text.strip()):
            lacks = (
                "steady_text, the reason in one sentence" if self.steady_text.strip() == "" else "steady, True or False"
            )
            raise ConfigError(
                f"goal {self.title!r}: steady is {self.steady} and steady_text is {self.steady_text!r}; allowed: both "
                f"or neither; give {lacks}, or leave both out"
            )
        if not self.targets:
            raise ConfigError(f"goal {self.title!r} has no targets: give at least one")
        pairs = [(t.metric, t.output) for t in self.targets] + [(h.metric, h.output) for h in self.harms]
        for metric, output in pairs:
            if metric in {"average", "time_above"}:
                raise ConfigError(
                    f"a goal cannot be about {metric!r} of {output!r}: use trough, peak, nadir, value or an AUC"
                )
        for target in self.targets:
            for from_h, low, high in ((0.0, target.low, target.high), *target.later):
                closed = [edge for edge in (low, high) if edge is not None]
                if not closed or not all(map(math.isfinite, closed)) or closed != sorted(set(closed)):
                    raise ConfigError(
                        f"the target on {target.metric} of {target.output!r} is from {low} to {high} at {from_h:g} h: "
                        "give two finite edges, the lower one first, or one"
                    )
                if closed[0] < 0 and is_substance(target.unit):
                    raise ConfigError(
                        f"the target on {target.metric} of {target.output!r} is from {closed[0]:g} {target.unit} at "
                        f"{from_h:g} h: allowed is an edge of at least 0"
                    )
                aim = target.aim
                if aim is not None and not (low is None or low <= aim) & (high is None or aim <= high):
                    raise ConfigError(
                        f"the aim {aim:g} of the target on {target.metric} of {target.output!r} is not within {low} "
                        f"to {high}: correct it"
                    )


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
        aim: what each target is steered to in this interval.
        harms: 1 for each harm of the goal that happened, in order, ``[harm]``.
    """

    values: Mapping[str, Array]
    start: Mapping[str, Array]
    metrics: tuple[Array, ...]
    low: tuple[Array, ...]
    high: tuple[Array, ...]
    amount: Array
    interval: Array
    last: Array
    aim: tuple[Array, ...] = ()
    harms: Array | tuple[()] = ()


Reward = Callable[[Judged], Array]
Rule = Callable[[Values, "Record"], Array]


@typed_fields(ConfigError)
@dataclass(frozen=True)
class ShieldLimits:
    """Limits of the safety shield (`clinic.shield`); None: no such limit.

    Args:
        dose: of one administration, in the dosage's unit.
        day: per 24 h.
        factor: of the last dose above 0; where dosing intervals are chosen, of its amount per day as well.
        factor_intervals: how long a dose above 0 counts as the last one, in decision intervals. After a longer pause
            the step cap does not act, so that treatment can begin again; a dose of 0 alone does not lift it. 7 is this
            project's choice: a week of daily decisions.
        on_board: on the sum of the dose and of those before, each halved every ``half_life_h``.
        half_life_h: of the drug on board.
        level: the monitored output of a typical patient with the same covariates, at the output times of the interval
            ahead: above it, or below it where ``lowers``.
        lowers: more drug lowers the monitored output.

    Raises:
        ConfigError: a limit that is neither None nor a finite number above 0.
    """

    dose: float | None = None
    day: float | None = None
    factor: float | None = None
    factor_intervals: int = 7
    on_board: float | None = None
    half_life_h: float = 24.0
    level: float | None = None
    lowers: bool = False

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name == "lowers":
                if not isinstance(value, bool):
                    raise ConfigError(f"lowers of the shield is {value!r}: allowed is True or False")
            elif not (value is None and f.default is None) and not _is_limit(value):
                absent = ", or None for no such limit" if f.default is None else ""
                raise ConfigError(f"{f.name} of the shield is {value!r}: allowed is a finite number above 0{absent}")


def _is_limit(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0 < float(value) < math.inf


@typed_fields(ConfigError)
@dataclass(frozen=True)
class TrainingSettings:
    """Settings of `train` that suit a task, in place of those of ``--preset scenario``; None: as usual.

    Args:
        recipe: what they are settings of: ``correction`` (the policy corrects the best Bayesian dose) or ``chart`` (it
            doses from the chart); see `training.recipe`.
        total_timesteps, num_envs, num_steps, num_minibatches, update_epochs, learning_rate, gamma, gae_lambda,
            hidden_size, init_logstd, memory, memory_size, harm_limit: the option of that name, see ``train --help``.
        env: options of the environment.

    Raises:
        ConfigError: another recipe.
    """

    recipe: str = "correction"
    total_timesteps: int | None = None
    num_envs: int | None = None
    num_steps: int | None = None
    num_minibatches: int | None = None
    update_epochs: int | None = None
    learning_rate: float | None = None
    gamma: float | None = None
    gae_lambda: float | None = None
    hidden_size: int | None = None
    init_logstd: float | None = None
    memory: str | None = None
    memory_size: int | None = None
    harm_limit: float | None = None
    env: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.recipe not in _RECIPES:
            raise ConfigError(f"recipe must be one of {', '.join(_RECIPES)}, not {self.recipe!r}")

    def given(self) -> dict[str, object]:
        """The settings of `train` that are given, without ``env``."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in {"recipe", "env"}}
        return {name: value for name, value in values.items() if value is not None}


@typed_fields(ConfigError)
@dataclass(frozen=True, eq=False)
class Scenario(ByValue):
    """One dosing task. Compared by value, so that equal tasks share their compiled programs.

    Args:
        title: one line for tables.
        models: drug models for simulator and controller, names or values; the first is the default for both.
        covariates: what is known of a patient, without clocks. Those that a model needs and that are left out are those
            of the drug model, the first one that has them. `clinic.cohort.drawn` changes how those are drawn; a mapping
            from names to distributions is short for it. Complete ones are drawn in the order given; where some are left
            out, all that a model has are drawn in its order, and the scenario's own after them.
        schedule, dosage, monitoring, goal: see their classes.
        reward: of one interval, for learners: a function, or one of `clinic.rewards`.
        reward_text: the same in words, with its source.
        label: the label's or guideline's dose, from the covariates and the record, in the dosage's unit: a function,
            or a `LabelRule`.
        label_text: the same in words, with its source.
        adherence: missed and late doses.
        drifts, clocks, intakes: see their classes.
        disturbance, dropout: see their classes.
        daily_etas: inter-occasion variability that the scenario adds to its simulator (occasion: an interval).
        etas: random effects of models that publish none.
        spread: parameter of the drug models -> sd of the log-normal spread that training may add to it, see
            `clinic.interval.randomised`.
        elsewhere: covariate -> its distribution among the patients of other wards, for training.
        strata: (name, covariate, edges) for subgroup results.
        look_ahead: planning horizon of a controller, in intervals.
        estimated_at: decisions, ascending, at which a Bayesian controller updates its estimate; None: whenever there
            are new results. The cost of an estimate grows with the number of past intervals.
        estimated: parameters whose random effects a controller estimates; the others are fixed to typical values.
            None: all. The simulator always uses all random effects.
        shield, training: see their classes.
        test_only: drug models that only simulate test patients, names or values. Nobody who chooses looks at them:
            training, tuning, beliefs and controllers refuse them, see `clinic.fit.refuse_test_only`.
        drugs: drug models that are not built in; values given in ``models`` and ``test_only`` are stored here.
    """

    title: str
    models: tuple[Any, ...]
    schedule: Schedule
    dosage: Dosage
    monitoring: Monitoring
    goal: Goal
    reward: Reward
    reward_text: str
    label: Rule
    label_text: str
    covariates: tuple[Covariate, ...] = field(default=(), metadata={ALSO: Mapping})
    adherence: Adherence = field(default_factory=Adherence)
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
    shield: ShieldLimits = ShieldLimits()
    training: TrainingSettings = TrainingSettings()
    test_only: tuple[Any, ...] = ()
    drugs: tuple[DrugModel, ...] = ()

    def __post_init__(self) -> None:
        for role in ("models", "test_only"):
            given = tuple(_value(m) for m in getattr(self, role))
            own = (*self.drugs, *(m for m in given if isinstance(m, DrugModel) and m not in self.drugs))
            object.__setattr__(self, "drugs", own)
            object.__setattr__(self, role, tuple(m.name if isinstance(m, DrugModel) else m for m in given))
        if not self.models or len(set(self.models)) != len(self.models):
            raise ConfigError(f"{self.title}: drug models are {self.models}: give at least one, each once")
        if len(set(self.test_only)) != len(self.test_only):
            raise ConfigError(f"{self.title}: test_only is {self.test_only}: give each drug model once")
        for name in self.models:
            refuse_test_only(self, name)
        object.__setattr__(self, "covariates", completed(self))
        timetable(self.schedule, self.dosage)
        self._check_times()
        self._check_covariates()
        for name in (*self.models, *self.test_only):
            if wrong := misfits(self, self.drug(name)):
                raise ConfigError(f"{self.title}: drug model {name!r} does not fit: {'; '.join(wrong)}")
        self._check_functions()

    def _check_times(self) -> None:
        schedule = self.schedule
        for what, times in (("monitoring.at_h", self.monitoring.at_h), ("dosage.at_h", self.dosage.at_h)):
            late = [t for t in times if t > schedule.interval_h]
            if late:
                self._refuse(f"{what} {late} h", f"up to the interval of {schedule.interval_h:g} h")
        strangers = sorted(set(self.monitoring.at_h) - set(schedule.output_times_h))
        if strangers:
            self._refuse(f"monitoring.at_h {strangers} h", f"output times, {schedule.output_times_h} h")
        longest_h, last_h = self.dosage.longest_h, timetable(schedule, self.dosage).at_h[-1]
        if last_h + longest_h > schedule.interval_h * (1.0 + 1e-9):
            self._refuse(
                f"dosage.duration_h: an infusion of {longest_h:g} h from {last_h:g} h on",
                f"one that ends within the interval of {schedule.interval_h:g} h",
            )
        listed = {
            "monitoring.intervals": self.monitoring.intervals,
            "goal.judged": self.goal.judged,
            "estimated_at": self.estimated_at,
        }
        for what, places in listed.items():
            if places is not None and (not places or not all(0 <= k < schedule.decisions for k in places)):
                self._refuse(f"{what} {places}", f"some of the decisions, from 0 to {schedule.decisions - 1}")
        course_h = schedule.decisions * schedule.interval_h
        if self.monitoring.turnaround_h >= course_h:
            self._refuse(
                f"monitoring.turnaround_h {self.monitoring.turnaround_h:g} h", f"below {course_h:g} h, the course"
            )
        if self.look_ahead < 1:
            self._refuse(f"look_ahead {self.look_ahead}", "a whole number of at least 1")

    def _check_covariates(self) -> None:
        names = [c.name for c in self.covariates]
        wanted = [(f"drifts[{i}].name", d.name) for i, d in enumerate(self.drifts)]
        wanted += [("elsewhere", name) for name in self.elsewhere]
        wanted += [(f"strata[{i}]", name) for i, (_, name, _) in enumerate(self.strata)]
        if self.dosage.per is not None:
            wanted.append(("dosage.per", self.dosage.per))
        for what, name in wanted:
            if name not in names:
                self._refuse(f"{what} {name!r}", f"its covariates, {', '.join(names) or 'none'}")
        per = next((c for c in self.covariates if c.name == self.dosage.per), None)
        if per is not None and not is_per(self.dosage.unit, per.unit):
            self._refuse(f"dosage.unit {self.dosage.unit} times {per.name}", f"a unit per {per.unit}")
        if isinstance(self.label, LabelRule):
            self.label.check(self.dosage, self.covariates)

    def _check_functions(self) -> None:
        from rl_drug_dosage.clinic.scenario_faults import scenario_faults  # it is about records, and those about this

        for fault in scenario_faults(self):
            self._refuse(fault.came, f"{fault.allowed}; {fault.remedy}")

    def _refuse(self, came: str, allowed: str) -> None:
        raise ConfigError(f"{self.title}: {came}; allowed: {allowed}")

    def drug(self, name: str) -> DrugModel:
        """One of ``models`` or ``test_only``.

        Raises:
            UnknownNameError: not one of them.
        """
        if name not in (*self.models, *self.test_only):
            raise UnknownNameError(f"model for {self.title!r}", name, (*self.models, *self.test_only))
        return next((d for d in self.drugs if d.name == name), None) or load_drug(name)

    def doses(self, drug: str) -> bool:
        """Whether every model is one of a drug, by `DrugModel.drug`; "propofol with remifentanil" is one of both."""
        return all(drug in self.drug(name).drug.split(" with ") for name in self.models)

    @property
    def horizon_h(self) -> float:
        """Length of a course."""
        return self.schedule.interval_h * self.schedule.decisions

    @property
    def records(self) -> int:
        """Rows of a covariate table: one per interval if a covariate drifts, otherwise one."""
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
        judged = self.whole_days().judged
        if judged is not None:
            at[:] = False
            at[list(judged)] = True
        return at

    def whole_days(self) -> Goal:
        """See `whole_days`."""
        return whole_days(self.schedule, self.goal)

    def edges(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Low and high edge and aim of every target in every interval, ``[decision, target]``."""
        ends = (np.arange(self.schedule.decisions) + 1.0) * self.schedule.interval_h
        low, high = (np.stack(e, axis=1) for e in zip(*(_edges(t, ends) for t in self.goal.targets), strict=True))
        aim = np.empty_like(low)
        for i, w in enumerate(self.goal.targets):
            both = np.isfinite(low[:, i]) & np.isfinite(high[:, i])
            with np.errstate(invalid="ignore"):
                middle = np.sqrt(np.abs(low[:, i] * high[:, i])) if w.log else 0.5 * (low[:, i] + high[:, i])
            aim[:, i] = np.where(both, middle, np.where(np.isfinite(low[:, i]), low[:, i], high[:, i]))
            if w.aim is not None:
                aim[:, i] = w.aim
        return low.astype(np.float32), high.astype(np.float32), aim.astype(np.float32)


def intervals_before(schedule: Schedule, goal: Goal) -> int:
    """How many intervals before an interval belong to the 24 h that end with it; 0 where no AUC24 is judged."""
    wanted = "auc24" in [*(t.metric for t in goal.targets), *(h.metric for h in goal.harms)]
    count = round(24.0 / schedule.interval_h)
    whole = count > 1 and math.isclose(count * schedule.interval_h, 24.0, rel_tol=1e-6)
    return count - 1 if wanted and whole else 0


def whole_days(schedule: Schedule, goal: Goal) -> Goal:
    """The goal, with the intervals that end a whole day as those that count, where that is its default."""
    back = intervals_before(schedule, goal)
    if not back or goal.judged is not None:
        return goal
    return dataclasses.replace(goal, judged=tuple(range(back, schedule.decisions)))


def _edges(target: Target, ends_h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Low and high edge of a target in each interval; infinite where it is open."""
    low, high = np.empty(ends_h.shape), np.empty(ends_h.shape)
    for from_h, low_now, high_now in ((-np.inf, target.low, target.high), *target.later):
        holds = ends_h > from_h + 1e-9
        low[holds] = -np.inf if low_now is None else low_now
        high[holds] = np.inf if high_now is None else high_now
    return low, high


def _value(model: Any) -> Any:
    """A drug model as stored in the scenario: a name, or a value if it was read from a file."""
    if isinstance(model, Path) or (isinstance(model, str) and is_file_reference(DRUG, model)):
        return load_drug(model)
    return model
