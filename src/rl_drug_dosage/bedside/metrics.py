"""What regimens lead to in every draw: metrics of the interval that counts.

A *way* is a route with a duration of the infusion and a dosing interval. Regimens of one way differ in their amount
only. Of a linear model the contents under a regimen are those of the doses so far plus the amount times the response to
one mg, so that a way is solved once for all its amounts; covariates, lags and occasions may change meanwhile. Other
models are solved for every regimen.

The interval that counts is the last one before ``start + horizon``: the n-th, with n intervals of at least the horizon.
An AUC24 is that of the last 24 h, or of that interval, scaled to 24 h, where it is longer.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from rl_drug_dosage.bedside.belief import Belief
from rl_drug_dosage.bedside.layout import size_class
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import (
    Covariates,
    Dose,
    DrugModel,
    Mammillary,
    Regimen,
    central_concentration,
    individual_parameters,
    make_regimen,
    outputs_of,
    solve,
    stack_regimens,
)

__all__ = ["Measure", "Option", "Window", "followed_by", "metrics", "window_of"]

_GRID = 97
"""Points of the interval where extremes have no closed form, as in the engine's dose search."""
_DAY_H = 24.0
_ENDS, _CORNERS = 2, 3
"""Columns of a window: where the area begins and ends; the interval's start before and after its dose, and the end of
its infusion."""


@dataclass(frozen=True)
class Measure:
    """A metric of an output; see `rl_drug_dosage.pkpd.description.Metric`.

    Args:
        metric, output: what is taken of what.
        above: of ``time_above``, the level.
    """

    metric: str
    output: str
    above: float | None = None


@dataclass(frozen=True)
class Option:
    """A regimen that may follow the history.

    Args:
        amount_mg: of each dose.
        interval_h: between doses.
        duration_h: of each infusion; 0: a bolus.
        compartment: where it goes.
    """

    amount_mg: float
    interval_h: float
    duration_h: float
    compartment: str

    @property
    def way(self) -> tuple[float, float, str]:
        """What it shares with regimens that differ in their amount only."""
        return self.interval_h, self.duration_h, self.compartment

    @property
    def possible(self) -> bool:
        """Whether the infusion ends within its interval."""
        return self.duration_h <= self.interval_h * (1 + 1e-9)


@dataclass(frozen=True)
class Window:
    """The interval that counts of a way.

    Args:
        count: doses until its end.
        start_h, end_h: the interval.
        area_from_h: where its AUC24 begins.
        dose_end_h: end of the interval's infusion.
    """

    count: int
    start_h: float
    end_h: float
    area_from_h: float
    dose_end_h: float


def window_of(start_h: float, interval_h: float, duration_h: float, horizon_h: float) -> Window:
    """The interval that counts, see the module."""
    count = max(math.ceil(horizon_h / interval_h - 1e-9), 1)
    end = start_h + count * interval_h
    area = min(max(_DAY_H, interval_h), count * interval_h)
    begin = end - interval_h
    return Window(count, begin, end, end - area, min(begin + duration_h, end))


def followed_by(option: Option, start_h: float, count: int, amount_mg: float | None = None) -> tuple[Dose, ...]:
    """The doses of a regimen."""
    amount = option.amount_mg if amount_mg is None else amount_mg
    return tuple(
        Dose(start_h + i * option.interval_h, amount, option.compartment, duration_h=option.duration_h)
        for i in range(count)
    )


class _Windows(eqx.Module):
    """Times of the columns of every way, and what areas are scaled by."""

    time_h: Float[Array, "way time"]
    after: Bool[Array, "way time"]
    hours: Float[Array, "way"]
    """Length of the AUC24's stretch."""
    interval_h: Float[Array, "way"]


def metrics(
    belief: Belief, measures: Sequence[Measure], options: Sequence[Option], start_h: float, horizon_h: float
) -> Float[np.ndarray, "option measure draw"]:
    """Metrics of regimens for every draw, the point estimate first. Inside `jax.enable_x64`.

    Args:
        belief: of one model.
        measures: what is wanted.
        options: regimens, whose infusions end within their intervals.
        start_h: when their first dose is due.
        horizon_h: see the module.

    Raises:
        ConfigError: the area of an output that is not a multiple of the central concentration.
    """
    model, wanted = belief.model, tuple(measures)
    for each in wanted:
        output = model.outputs[model.output_index(each.output)]
        if each.metric in {"auc24", "auc_total", "average"} and output.auc_scale is None:
            raise ConfigError(f"{each.output!r} of {model.name} has no area; choose another metric with target=")
    ways = list(dict.fromkeys(option.way for option in options))
    grid = any(_needs_grid(model, each) for each in wanted)
    windows = [window_of(start_h, interval, duration, horizon_h) for interval, duration, _ in ways]
    columns = _columns(ways, windows, grid, size_class(len(ways), 1))
    place = np.asarray([ways.index(option.way) for option in options])
    amounts = np.asarray([option.amount_mg for option in options])
    rows = size_class(len(options), 16 if model.structure.linear else 1)
    place, amounts = (np.concatenate([v, np.repeat(v[-1:], rows - v.size)]) for v in (place, amounts))
    own = (belief.found.eta, belief.found.kappa)
    if model.structure.linear:
        units = _regimens(belief, (), ways, windows, start_h, np.ones(len(ways)))
        run = _linear
        tables = (belief.regimen, units)
    else:
        of_each = [ways[w] for w in place], [windows[w] for w in place]
        run = _solved
        tables = (_regimens(belief, belief.laid.doses, *of_each, start_h, amounts),)
    found = run(model, wanted, grid, *tables, belief.laid.ahead, columns, place, amounts, *own)
    return np.asarray(found)[: len(options)]


def _needs_grid(model: DrugModel, measure: Measure) -> bool:
    """Whether extremes may lie between the columns of every window."""
    if measure.metric == "time_above":
        return True
    if measure.metric not in {"peak", "nadir"}:
        return False
    structure, output = model.structure, model.outputs[model.output_index(measure.output)]
    # Without absorption and effect site the concentration rises only while an infusion runs.
    plain = isinstance(structure, Mammillary) and not structure.depot and not structure.effect
    return not (plain and output.value is central_concentration)


def _regimens(
    belief: Belief,
    before: Sequence[Dose],
    ways: Sequence[tuple[float, float, str]],
    windows: Sequence[Window],
    start_h: float,
    amounts: Sequence[float] | Float[np.ndarray, "way"],
) -> Regimen:
    """The doses of every way, after those of a history, padded."""
    count = size_class(max(w.count for w in windows) + len(before))
    structure = belief.model.structure
    found = []
    for (interval, duration, compartment), window, amount in zip(ways, windows, amounts, strict=True):
        option = Option(float(amount), interval, duration, compartment)
        doses = (*before, *followed_by(option, start_h, window.count)) if amount > 0 else tuple(before)
        found.append(make_regimen(doses, structure, rows=count))
    found += found[-1:] * (size_class(len(ways), 1) - len(ways))
    return stack_regimens(found)


def _columns(
    ways: Sequence[tuple[float, float, str]], windows: Sequence[Window], grid: bool, rows: int
) -> _Windows:
    table, flags, hours, intervals = [], [], [], []
    for (interval, _, _), window in zip(ways, windows, strict=True):
        times = [window.area_from_h, window.end_h, window.start_h, window.start_h, window.dose_end_h]
        # Before the dose of the interval, after it, and after a bolus at the end of no infusion.
        marks = [False, False, False, True, window.dose_end_h < window.end_h]
        if grid:
            times += np.linspace(window.start_h, window.end_h, _GRID).tolist()
            marks += [False] * _GRID
        table.append(times)
        flags.append(marks)
        hours.append(window.end_h - window.area_from_h)
        intervals.append(interval)

    def padded(values: list[list[float]] | list[float] | list[list[bool]]) -> np.ndarray:
        column = np.asarray(values)
        return np.concatenate([column, np.repeat(column[-1:], rows - column.shape[0], axis=0)])

    return _Windows(padded(table), padded(flags), padded(hours), padded(intervals))  # type: ignore[arg-type]


@partial(jax.jit, static_argnums=(0, 1, 2))
def _linear(
    model: DrugModel,
    measures: tuple[Measure, ...],
    grid: bool,
    history: Regimen,
    units: Regimen,
    covariates: Covariates,
    windows: _Windows,
    place: Int[Array, "option"],
    amounts: Float[Array, "option"],
    eta: Float[Array, "draw eta"],
    kappa: Float[Array, "draw occasion kappa"],
) -> Float[Array, "option measure draw"]:
    """Of a linear model: every way is solved once."""
    structure = model.structure
    ways, times = windows.time_h.shape

    def one(eta: Array, kappa: Array) -> Array:
        p = individual_parameters(model, covariates, eta, kappa)
        at, after = windows.time_h.reshape(-1), windows.after.reshape(-1)
        past = solve(structure, p, history, covariates, at, after, auc=True)

        def response(way: Array) -> tuple[Array, Array]:
            regimen = jax.tree.map(lambda leaf: jnp.asarray(leaf)[way], units)
            found = solve(structure, p, regimen, covariates, windows.time_h[way], windows.after[way], auc=True)
            return found.contents, found.auc_mg_h_per_l

        contents, area = jax.vmap(response)(jnp.arange(ways))
        before = past.contents.reshape((ways, times, -1)), past.auc_mg_h_per_l.reshape((ways, times))

        def regimen_of(way: Array, amount: Array) -> Array:
            x, a = before[0][way] + amount * contents[way], before[1][way] + amount * area[way]
            f = outputs_of(model, p, covariates, x, windows.time_h[way])
            return _read(model, measures, grid, f, a, windows.hours[way], windows.interval_h[way])

        return jax.vmap(regimen_of)(place, amounts)

    return jnp.moveaxis(jax.vmap(one)(eta, kappa), 0, 2)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _solved(
    model: DrugModel,
    measures: tuple[Measure, ...],
    grid: bool,
    regimens: Regimen,
    covariates: Covariates,
    windows: _Windows,
    place: Int[Array, "option"],
    amounts: Float[Array, "option"],
    eta: Float[Array, "draw eta"],
    kappa: Float[Array, "draw occasion kappa"],
) -> Float[Array, "option measure draw"]:
    """Of any model: every regimen is solved, one after the other."""

    def of(option: Array) -> Array:
        regimen = jax.tree.map(lambda leaf: jnp.asarray(leaf)[option], regimens)
        way = jnp.asarray(place)[option]

        def one(eta: Array, kappa: Array) -> Array:
            p = individual_parameters(model, covariates, eta, kappa)
            times, after = windows.time_h[way], windows.after[way]
            found = solve(model.structure, p, regimen, covariates, times, after, auc=True)
            f = outputs_of(model, p, covariates, found.contents, times)
            return _read(model, measures, grid, f, found.auc_mg_h_per_l, windows.hours[way], windows.interval_h[way])

        return jax.vmap(one)(eta, kappa).T

    del amounts
    return jax.lax.map(of, jnp.arange(jnp.shape(place)[0]))


def _read(
    model: DrugModel,
    measures: tuple[Measure, ...],
    grid: bool,
    f: Float[Array, "time output"],
    area: Float[Array, "time"],
    hours: Float[Array, ""],
    interval_h: Float[Array, ""],
) -> Float[Array, "measure"]:
    """The metrics, out of the columns of a window."""
    found = []
    for measure in measures:
        at = model.output_index(measure.output)
        scale, y = model.outputs[at].auc_scale, f[:, at]
        between = y[_ENDS + _CORNERS :] if grid else y[:0]
        match measure.metric:
            case "auc24":
                value = (area[1] - area[0]) / hours * _DAY_H * scale
            case "auc_total":
                value = area[1] * scale
            case "average":
                value = (area[1] - area[2]) / interval_h * scale
            case "peak":
                value = jnp.max(jnp.concatenate([y[3:5], between[1:]]))
            case "nadir":
                value = jnp.min(jnp.concatenate([y[1:3], between]))
            case "time_above":
                value = jnp.mean(between[1:] > measure.above)
            case _:
                value = y[1]
        found.append(value)
    return jnp.stack(found)
