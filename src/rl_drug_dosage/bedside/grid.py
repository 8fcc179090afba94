"""Which regimens may be recommended: amounts, intervals and infusions of the label, and the limits of the shield."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from rl_drug_dosage.bedside.history import PatientHistory
from rl_drug_dosage.bedside.task import Task
from rl_drug_dosage.bedside.windows import Option
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import Route

__all__ = ["Grid", "grid_of", "horizon_of", "infusion_of", "mg_per_unit_of", "present_interval_h"]

_HORIZON_H = 48.0
_DAY_H = 24.0
_SAME_H = 1e-6
"""Times that are nearer are one time."""


@dataclass(frozen=True)
class Grid:
    """What may be recommended.

    Args:
        route: how.
        amounts_mg: ascending.
        intervals_h: of the label.
        usual_h: of these, the one that is nearest to the patient's present interval.
        most_mg, most_daily_mg: limits of the scenario's shield; infinite where there is none.
        why: the limits in words.
    """

    route: Route
    amounts_mg: tuple[float, ...]
    intervals_h: tuple[float, ...]
    usual_h: float
    most_mg: float = math.inf
    most_daily_mg: float = math.inf
    why: str = ""

    def option(self, amount_mg: float, interval_h: float) -> Option:
        """One regimen of the grid."""
        return Option(amount_mg, interval_h, self.route.duration_of(amount_mg), self.route.compartment)

    def allows(self, option: Option) -> bool:
        """Whether a regimen keeps the limits and its infusion ends within the interval."""
        daily = _DAY_H * option.amount_mg / option.interval_h
        kept = option.amount_mg <= self.most_mg * (1 + 1e-9) and daily <= self.most_daily_mg * (1 + 1e-9)
        return kept and option.possible


def grid_of(
    task: Task,
    history: PatientHistory,
    route: Route,
    *,
    amounts_mg: Sequence[float] = (),
    intervals_h: Sequence[float] = (),
) -> Grid:
    """The regimens that may be recommended.

    Args:
        task: what is asked.
        history: its last dose limits the next one, where the scenario's shield has a factor.
        route: how.
        amounts_mg: in place of the label's; empty: those.
        intervals_h: of those on the label; empty: all.

    Raises:
        ConfigError: an interval that is not on the label, an amount that is none.
    """
    label_h, label_mg = _label_intervals(task), _label_amounts(task)
    for interval in intervals_h:
        if not any(math.isclose(interval, own) for own in label_h):
            listed = ", ".join(f"{own:g}" for own in sorted(label_h))
            raise ConfigError(
                f"an interval of {interval:g} h is not on the label of {task.first.name}; allowed: {listed} h"
            )
    for amount in amounts_mg:
        if not (math.isfinite(amount) and amount > 0):
            raise ConfigError(f"an amount of {amount:g} mg; allowed: finite amounts above 0; correct it")
    most, daily, why = _limits(task, history)
    amounts = sorted(set(map(float, amounts_mg or label_mg)))
    # One amount above the largest dose is looked at, to tell whether the limit matters.
    amounts = [a for i, a in enumerate(amounts) if a <= most or i == 0 or amounts[i - 1] <= most]
    intervals = tuple(map(float, intervals_h or label_h))
    present = present_interval_h(history) or intervals[0]
    usual = min(intervals, key=lambda own: abs(math.log(own / present)))
    return Grid(route, tuple(amounts), intervals, usual, most, daily, why)


def present_interval_h(history: PatientHistory) -> float | None:
    """The median time between doses, given or missed; None where there are fewer than two."""
    times = sorted({dose.time_h for dose in history.doses})
    gaps = sorted(b - a for a, b in itertools.pairwise(times) if b - a > _SAME_H)
    return gaps[len(gaps) // 2] if gaps else None


def _label_intervals(task: Task) -> tuple[float, ...]:
    """Those of the drug model, and the scenario's."""
    found = list(task.dosing.intervals_h)
    if task.scenario is not None:
        dosage, schedule = task.scenario.value.dosage, task.scenario.value.schedule
        found += dosage.intervals_h or (schedule.interval_h / len(dosage.at_h),)
    return tuple(dict.fromkeys(found))


def _label_amounts(task: Task) -> tuple[float, ...]:
    """Those of the drug model, and the scenario's where they are not per size of the body."""
    found = list(task.dosing.amounts_mg)
    if task.scenario is not None and task.scenario.value.dosage.per is None:
        dosage = task.scenario.value.dosage
        found += [amount * dosage.mg_per_unit for amount in dosage.amounts if amount > 0]
    return tuple(found)


def infusion_of(task: Task, route: Route, history: PatientHistory) -> Route:
    """The route with the scenario's infusion, which may limit its rate."""
    per_unit = mg_per_unit_of(task, history)
    if task.scenario is None or per_unit is None:
        return route
    dosage = task.scenario.value.dosage
    if dosage.compartment != route.compartment or dosage.duration_h <= 0:
        return route
    rate = None if dosage.highest_rate_per_h is None else dosage.highest_rate_per_h * per_unit
    return Route(f"infusion of the scenario {task.scenario.name}", route.compartment, dosage.duration_h, rate)


def _limits(task: Task, history: PatientHistory) -> tuple[float, float, str]:
    """Largest dose and daily dose, mg, and the reason."""
    if task.scenario is None:
        return math.inf, math.inf, ""
    scenario = task.scenario.value
    shield, per_unit = scenario.shield, mg_per_unit_of(task, history)
    if per_unit is None:
        return math.inf, math.inf, ""
    most = math.inf if shield.dose is None else shield.dose * per_unit
    daily = math.inf if shield.day is None else shield.day * per_unit
    said = [f"at most {most:g} mg a dose"] if most < math.inf else []
    said += [f"at most {daily:g} mg in 24 h"] if daily < math.inf else []
    last = [d for d in history.doses if d.given]
    if shield.factor is not None and last:
        step = shield.factor * last[-1].amount
        if step < most:
            most = step
            said.append(f"at most {shield.factor:g} times the last dose, {step:g} mg")
    return most, daily, f"shield of the scenario {task.scenario.name}: {', '.join(said)}" if said else ""


def mg_per_unit_of(task: Task, history: PatientHistory) -> float | None:
    """Engine mg of one unit of the scenario's dose for this patient; None where the patient's size is not known."""
    if task.scenario is None:
        return None
    dosage = task.scenario.value.dosage
    if dosage.per is None:
        return dosage.mg_per_unit
    covariate = next(c for c in task.scenario.value.covariates if c.name == dosage.per)
    told = [c.value for c in history.covariates if c.name == covariate.name or covariate.is_called(c.name)]
    return dosage.mg_per_unit * told[-1] if told else None


def horizon_of(task: Task, grid: Grid, history: PatientHistory, start_h: float, asked_h: float | None) -> float:
    """How far ahead the interval that counts ends: as asked, or two days and at least two of the label's intervals.

    The level of an effect, which lags behind the doses, counts as far ahead as the scenario's controllers look. An
    area since the first dose counts at the end of the course, where a scenario says how long it is.

    Raises:
        ConfigError: not above 0.
    """
    if asked_h is not None:
        if not (math.isfinite(asked_h) and asked_h > 0):
            raise ConfigError(f"a horizon of {asked_h:g} h; allowed: a finite time above 0 h; correct it")
        return asked_h
    if task.scenario is not None and any(aim.target.metric == "auc_total" for aim in task.aims):
        first = min((d.time_h for d in history.doses if d.given), default=start_h)
        left = first + task.scenario.value.horizon_h - start_h
        return max(left, min(grid.intervals_h))
    usual = grid.intervals_h[0]
    return max(_HORIZON_H if usual >= 1.0 else 0.0, 2.0 * usual, _settled_h(task))


def _settled_h(task: Task) -> float:
    """How far the scenario's controllers look ahead, where an effect has to be in range that lags behind the doses."""
    names = {aim.target.output for aim in task.aims if aim.target.metric in {"trough", "value"}}
    lags = any(model.outputs[model.output_index(name)].auc_scale is None for name in names for model in task.models)
    scenario = None if task.scenario is None else task.scenario.value
    return scenario.look_ahead * scenario.schedule.interval_h if lags and scenario is not None else 0.0
