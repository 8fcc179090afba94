"""A history as arrays of the engine, padded to size classes: a new patient runs the programs of the one before.

A covariate holds from its time on (LOCF), and its first value before that. An occasion, for models with inter-occasion
variability, begins with the first dose after a level; the next dose begins a new one. Clocks of the scenario (hours
since the first dose, for example) are filled in.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rl_drug_dosage.bedside.history import Dose, PatientHistory
from rl_drug_dosage.bedside.task import Task
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.errors import ConfigError, UnknownNameError
from rl_drug_dosage.pkpd import Covariates, DrugModel, Levels, Route, make_covariates, make_levels
from rl_drug_dosage.pkpd import Dose as EngineDose
from rl_drug_dosage.pkpd.same_quantity import read_covariates

__all__ = ["Laid", "engine_doses", "lay_out", "missing_covariates", "occasion_starts", "route_of", "size_class"]

_CLASSES = (8, 16, 32, 64, 128, 256, 512, 1024, 2048)
_MOST_OCCASIONS = 4
"""Older occasions are joined: each has random effects of its own, and few old ones tell anything about the next."""


def size_class(count: int, smallest: int = 8) -> int:
    """The number of rows that ``count`` rows are padded to.

    Raises:
        ConfigError: more rows than the largest class.
    """
    for size in (1, 2, 4, *_CLASSES):
        if size >= max(count, smallest):
            return size
    raise ConfigError(f"a history of {count} events; allowed: at most {_CLASSES[-1]}; leave old ones out")


@dataclass(frozen=True)
class Laid:
    """A history for one model.

    Args:
        doses: for the engine, those given.
        covariates: padded, for the estimate.
        ahead: the same, with a new occasion from the next dose on, for forecasts.
        levels: padded.
        occasions: how many past occasions have random effects, a size class.
        seen: how many of them the history has.
    """

    doses: tuple[EngineDose, ...]
    covariates: Covariates
    ahead: Covariates
    levels: Levels
    occasions: int
    seen: int


def missing_covariates(model: DrugModel, history: PatientHistory, scenario: Scenario | None) -> tuple[str, ...]:
    """The covariates that a model needs and nobody told."""
    told = {_called(model, each.name) for each in history.covariates}
    clocks = {clock.name for clock in scenario.clocks} if scenario is not None else set()
    return tuple(c.name for c in model.covariates if c.name not in told | clocks)


def _called(model: DrugModel, name: str) -> str | None:
    return next((c.name for c in model.covariates if c.name == name or c.is_called(name)), None)


def route_of(model: DrugModel, name: str | None) -> Route:
    """A route by its name, or by the compartment that it goes into; None: the first.

    Raises:
        UnknownNameError: no such route.
    """
    routes = model.dosing.routes
    if name is None:
        return routes[0]
    for route in routes:
        if name in {route.name, route.compartment}:
            return route
    if name in model.structure.dosable:
        return Route(name, name)
    raise UnknownNameError(f"route of {model.name}", name, {*(r.name for r in routes), *model.structure.dosable})


def engine_doses(model: DrugModel, doses: Sequence[Dose]) -> tuple[EngineDose, ...]:
    """The doses that were given, for the engine."""
    return tuple(
        EngineDose(d.time_h, d.amount, route_of(model, d.route).compartment, duration_h=d.duration_h)
        for d in doses
        if d.given and d.amount > 0
    )


def occasion_starts(history: PatientHistory) -> tuple[float, ...]:
    """When occasions begin: the first dose, and each dose that is the first one after a level."""
    found: list[float] = []
    given = [d.time_h for d in history.doses if d.given and d.amount > 0]
    for time in given:
        last = found[-1] if found else -math.inf
        if not found or any(last < level.time_h <= time for level in history.levels):
            found.append(time)
    return (found[0], *found[1:][-(_MOST_OCCASIONS - 1) :]) if found else ()


def lay_out(model: DrugModel, task: Task, history: PatientHistory, start_h: float, end_h: float) -> Laid:
    """A history for one model.

    Args:
        model: one of the task's.
        task: gives the scenario, for its clocks.
        history: checked.
        start_h: when the next dose is due.
        end_h: how far ahead is looked.

    Raises:
        ConfigError, CovariateError, ObservationError: values that the engine refuses.
    """
    doses = engine_doses(model, history.doses)
    starts = occasion_starts(history) if model.occasion_etas else ()
    scenario = task.scenario.value if task.scenario is not None else None
    table, ahead = (_covariates(model, scenario, history, starts, (start_h, end_h), new=new) for new in (False, True))
    outputs = [level.output or model.outputs[0].name for level in history.levels]
    levels = make_levels(
        model,
        [level.time_h for level in history.levels],
        [level.value for level in history.levels],
        output=outputs,
        below=[level.below_limit for level in history.levels],
        limit=[level.value if level.below_limit else None for level in history.levels],
        rows=size_class(len(history.levels), 4),
    )
    occasions = size_class(len(starts), 1) if model.occasion_etas else 0
    return Laid(doses, table, ahead, levels, occasions, len(starts))


def _covariates(
    model: DrugModel,
    scenario: Scenario | None,
    history: PatientHistory,
    occasions: Sequence[float],
    ahead: tuple[float, float],
    *,
    new: bool,
) -> Covariates:
    """The padded table; with ``new``, the next dose begins a new occasion."""
    start_h, end_h = ahead
    given = [d.time_h for d in history.doses if d.given and d.amount > 0]
    begin = min([start_h, *given[:1]])
    clocks = {c.name: c.value for c in scenario.clocks} if scenario is not None else {}
    own_clocks = [c.name for c in model.covariates if c.name in clocks]
    edges: Float[np.ndarray, edge] = np.asarray([begin])
    if own_clocks and scenario is not None:
        edges = _edges(scenario, begin, max(end_h, history.now_h))
    times = sorted(
        {begin, *(c.time_h for c in history.covariates), *edges, *occasions[1:], *([start_h] if new else [])}
    )
    columns: dict[str, list[float]] = {}
    for covariate in model.covariates:
        if covariate.name in own_clocks:
            # As in a scenario, the clock of a stretch is that of its end.
            ends = [float(edges[min(np.searchsorted(edges, t + 1e-9, side="right"), len(edges) - 1)]) for t in times]
            columns[covariate.name] = [float(clocks[covariate.name](jnp.asarray(end - begin))) for end in ends]
            continue
        told = [c for c in history.covariates if _called(model, c.name) == covariate.name]
        values = [(c.time_h, read_covariates((covariate,), {covariate.name: c.value})[covariate.name]) for c in told]
        columns[covariate.name] = [_locf(values, t) for t in times]
    occasion = None
    if model.occasion_etas:
        after = size_class(len(occasions), 1)
        past = [max(int(np.searchsorted(occasions, t, side="right")) - 1, 0) for t in times]
        occasion = [after if new and t >= start_h else o for t, o in zip(times, past, strict=True)]
    return _padded(make_covariates(model, columns, times, occasion, "locf"), size_class(len(times), 4))


def _locf(values: Sequence[tuple[float, float]], time_h: float) -> float:
    held = [value for at, value in values if at <= time_h]
    return held[-1] if held else values[0][1]


def _edges(scenario: Scenario, begin_h: float, end_h: float) -> Float[np.ndarray, "edge"]:
    """The times of the scenario's grid from the first dose on, where its clocks are read."""
    schedule = scenario.schedule
    count = math.ceil(max(end_h - begin_h, schedule.interval_h) / schedule.interval_h) + 1
    at = np.arange(count)[:, None] * schedule.interval_h + np.asarray(schedule.output_times_h)[None]
    return begin_h + np.concatenate([[0.0], at.ravel()])


def _padded(table: Covariates, rows: int) -> Covariates:
    """Repeats the last record at later times, which has no effect."""
    extra = rows - table.time_h.shape[-1]

    def lengthen(column: Any, step: float) -> Any:
        column = np.asarray(column)
        return np.concatenate([column, column[-1] + (step * np.arange(1, extra + 1)).astype(column.dtype)])

    return Covariates(
        lengthen(table.time_h, 1e6),
        {name: lengthen(column, 0.0) for name, column in table.values.items()},
        lengthen(table.occasion, 0),
        table.carry,
    )
