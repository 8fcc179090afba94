"""Which regimens may be recommended, what each leads to under all models together, and which is best.

Regimens are the amounts and intervals of the label (the dosing of the drug model and of its scenario, with the latter's
infusions), within the limits of the scenario's shield. A long grid of amounts is looked at coarsely first and then, for every interval, between the neighbours of its
best amount.

The best is the most probable to meet every window; among regimens within one per cent of it, the one with the least
harm, then the one whose median is nearest to the aim, then the smaller daily dose.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from rl_drug_dosage.bedside.history import PatientHistory
from rl_drug_dosage.bedside.metrics import Measure, Option, window_of
from rl_drug_dosage.bedside.task import Task, with_window_at
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pharmacometrics.dose_aims import Aim
from rl_drug_dosage.pkpd import Route

__all__ = [
    "Grid",
    "Row",
    "grid_of",
    "horizon_of",
    "infusion_of",
    "measures_of",
    "mg_per_unit_of",
    "rows_of",
    "shown",
    "sorted_rows",
    "table",
]

_COARSE = 16
"""Amounts of an interval that are looked at together."""
_SHOWN = 20
_HORIZON_H = 48.0
_DAY_H = 24.0


@dataclass(frozen=True)
class Row:
    """One regimen. Probabilities are fractions; the metric is that of the first window, in its unit.

    Args:
        option: the regimen.
        target: probability of meeting every window.
        harms: probability of each harm.
        below, above: probability of being outside the first window.
        estimate: the metric of the point estimate of the most probable model.
        percentiles: 5th, 25th, 50th, 75th and 95th of the metric.
        distance: of the median from the aim.
    """

    option: Option
    target: float
    harms: tuple[float, ...]
    below: float
    above: float
    estimate: float
    percentiles: tuple[float, float, float, float, float]
    distance: float

    @property
    def daily_mg(self) -> float:
        """Amount in 24 h."""
        return _DAY_H * self.option.amount_mg / self.option.interval_h


@dataclass(frozen=True)
class Grid:
    """What may be recommended.

    Args:
        route: how.
        amounts_mg: ascending.
        intervals_h: of the label.
        most_mg, most_daily_mg: limits of the scenario's shield; infinite where there is none.
        why: the limits in words.
    """

    route: Route
    amounts_mg: tuple[float, ...]
    intervals_h: tuple[float, ...]
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
    return Grid(route, tuple(amounts), tuple(map(float, intervals_h or label_h)), most, daily, why)


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

    An area since the first dose counts at the end of the course, where a scenario says how long it is.

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
    return max(_HORIZON_H if usual >= 1.0 else 0.0, 2.0 * usual)


def measures_of(task: Task) -> tuple[Measure, ...]:
    """The metrics of all windows and harms, each once."""
    wanted = [Measure(a.target.metric, a.target.output, _level(a)) for a in task.aims]
    wanted += [Measure(h.metric, h.output) for h in task.harms]
    return tuple(dict.fromkeys(wanted))


def _level(aim: Aim) -> float | None:
    return aim.target.low if aim.target.metric == "time_above" else None


def rows_of(
    task: Task,
    options: Sequence[Option],
    values: Float[np.ndarray, "option measure draw"],
    start_h: float,
    horizon_h: float,
    first_dose_h: float,
) -> list[Row]:
    """What each regimen leads to.

    Args:
        task: windows and harms.
        options: the regimens.
        values: the measures of `measures_of`, the point estimate first.
        start_h: when the regimens begin.
        horizon_h: see `metrics`.
        first_dose_h: from which windows that change during treatment count their hours.
    """
    measures, found = measures_of(task), []
    for option, own in zip(options, values, strict=True):
        end = window_of(start_h, option.interval_h, option.duration_h, horizon_h).end_h
        aims = [with_window_at(aim, end - first_dose_h) for aim in task.aims]
        columns = [own[measures.index(Measure(a.target.metric, a.target.output, _level(a)))] for a in aims]
        inside: Bool[np.ndarray, draw] = np.all(
            [a.inside(column[1:]) for a, column in zip(aims, columns, strict=True)], axis=0
        )
        harms = []
        for harm in task.harms:
            column = own[measures.index(Measure(harm.metric, harm.output))][1:]
            hit = column > harm.above if harm.above is not None else column < harm.below
            harms.append(float(np.mean(hit)))
        first = columns[0]
        percentiles = np.percentile(first[1:], [5, 25, 50, 75, 95]).tolist()
        found.append(
            Row(
                option=option,
                target=float(np.mean(inside)),
                harms=tuple(harms),
                below=float(np.mean(aims[0].below(first[1:]))),
                above=float(np.mean(aims[0].above(first[1:]))),
                estimate=float(first[0]),
                percentiles=tuple(percentiles),
                distance=float(aims[0].distance(np.asarray(percentiles[2]))),
            )
        )
    return found


def sorted_rows(rows: Sequence[Row]) -> list[Row]:
    """Best first, see the module."""
    if not rows:
        return []
    top = max(row.target for row in rows)

    def key(row: Row) -> tuple[float, ...]:
        near = top - row.target <= 0.01 + 1e-12
        harm = round(max(row.harms, default=0.0), 2)
        first = (0.0, harm) if near else (1.0, -row.target)
        return (*first, row.distance, row.daily_mg, -row.option.interval_h)

    return sorted(rows, key=key)


def table(grid: Grid, evaluate: Callable[[list[Option]], list[Row]]) -> list[Row]:
    """Every regimen that was looked at, best first.

    Args:
        grid: what may be recommended.
        evaluate: gives the rows of regimens.
    """
    places = {i: _spread(0, len(grid.amounts_mg) - 1) for i in grid.intervals_h}
    seen: dict[Option, Row] = {}
    while any(places.values()):
        wanted = [grid.option(grid.amounts_mg[k], i) for i, own in places.items() for k in own]
        wanted = [option for option in wanted if option.possible and option not in seen]
        seen |= {row.option: row for row in evaluate(wanted)} if wanted else {}
        places = {i: _between(grid, i, seen) for i in grid.intervals_h}
    return sorted_rows(list(seen.values()))


def _spread(low: int, high: int) -> list[int]:
    """At most a dozen places from ``low`` to ``high``."""
    if high < low:
        return []
    return sorted(set(np.linspace(low, high, min(high - low + 1, _COARSE)).round().astype(int).tolist()))


def _between(grid: Grid, interval_h: float, seen: dict[Option, Row]) -> list[int]:
    """Places around the best amount of an interval that were not looked at."""
    known = [k for k, amount in enumerate(grid.amounts_mg) if grid.option(amount, interval_h) in seen]
    if not known:
        return []
    rows = sorted_rows([seen[grid.option(grid.amounts_mg[k], interval_h)] for k in known])
    best = grid.amounts_mg.index(rows[0].option.amount_mg)
    low = max((k for k in known if k < best), default=best)
    high = min((k for k in known if k > best), default=best)
    return [k for part in (_spread(low + 1, best - 1), _spread(best + 1, high - 1)) for k in part]


def shown(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The best regimen of each interval and the best ones of all, at most twenty, best first."""
    firsts = {row.option.interval_h: row for row in reversed(rows)}
    kept = list(firsts.values())[:_SHOWN]
    kept += [row for row in rows if row not in kept][: _SHOWN - len(kept)]
    return tuple(row for row in rows if row in kept)
