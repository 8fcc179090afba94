"""Which regimens may be recommended, what each leads to under all models together, and which is best.

Regimens are the amounts and intervals of the label (the dosing of the drug model and of its scenario, with the latter's
infusions), within the limits of the scenario's shield. A long grid of amounts is looked at coarsely first and then, for
every interval, between the neighbours of its best amount.

The best has the highest score: its chance of meeting every window, minus half of its largest chance of a harm, minus
ten points for every doubling or halving of the patient's present interval (before any dose, of the label's first). Of
equal ones the median that is nearest to the aim counts, then the smaller daily dose. What a harm and an interval weigh
is this project's choice. The score has no steps, so that it is no matter of a few draws which of two regimens leads,
unless they are about as good. Where no regimen has a chance (`LIKELY`), the nearest to the aim is the best.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from rl_drug_dosage.bedside.grid import Grid
from rl_drug_dosage.bedside.task import Task, with_window_at
from rl_drug_dosage.bedside.windows import Measure, Option, window_of
from rl_drug_dosage.pharmacometrics.dose_aims import Aim

__all__ = ["LIKELY", "Row", "measures_of", "rows_of", "shown", "sorted_rows", "table"]

_COARSE = 16
"""Amounts of an interval that are looked at together."""
_SHOWN = 20
_HARM, _INTERVAL = 0.5, 0.1
"""What a chance of a harm, and a doubling of the interval, cost in chance of the target. Unverified: our choice."""
LIKELY = 0.1
"""Chance of the target below which no regimen is likely to meet it."""
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


def sorted_rows(rows: Sequence[Row], usual_h: float) -> list[Row]:
    """Best first, see the module.

    Args:
        rows: regimens.
        usual_h: the patient's present interval.
    """
    hopeless = max((row.target for row in rows), default=1.0) < LIKELY

    def key(row: Row) -> tuple[float, ...]:
        if hopeless:
            return (row.distance, row.daily_mg, -row.option.interval_h)
        doublings = abs(math.log2(row.option.interval_h / usual_h))
        score = row.target - _HARM * max(row.harms, default=0.0) - _INTERVAL * doublings
        return (-round(score, 6), row.distance, row.daily_mg, -row.option.interval_h)

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
    return sorted_rows(list(seen.values()), grid.usual_h)


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
    rows = sorted_rows([seen[grid.option(grid.amounts_mg[k], interval_h)] for k in known], grid.usual_h)
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
