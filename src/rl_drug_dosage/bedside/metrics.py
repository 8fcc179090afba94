"""What regimens lead to in every draw: metrics of the interval that counts.

A *way* is a route with a duration of the infusion and a dosing interval. Regimens of one way differ in their amount
only. Of a linear model the contents under a regimen are those of the doses so far plus the amount times the response
to one mg, so that a way is solved once for all its amounts; covariates, lags and occasions may change meanwhile. Where
they do not, one and two compartments have a closed form (`closed`). Other models are solved for every regimen.

The interval that counts is the last one before ``start + horizon``: the n-th, with n intervals of at least the horizon.
An AUC24 is that of the last 24 h, or of that interval, scaled to 24 h, where it is longer.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from rl_drug_dosage.bedside.belief import Belief
from rl_drug_dosage.bedside.closed import Shots, has_closed_form, in_closed_form
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
_TOGETHER = 64
"""Regimens in a compiled call in closed form."""
_LANES, _ABREAST = 8, 16
"""Ways, and amounts of each, in a compiled call."""
_NEEDS = {
    "auc24": ("area", "end"),
    "average": ("start", "end"),
    "auc_total": ("end",),
    "peak": ("dosed", "infused"),
    "nadir": ("start", "end"),
    "time_above": (),
}
"""Metric -> the moments of a window that it is made of: where the AUC24 begins, the end, the start before and after its
dose, the end of its infusion. Others are the value at the end."""


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


class _Plan(eqx.Module):
    """What a compiled call is about."""

    history: Regimen
    """The doses so far."""
    regimens: Regimen
    """Of a linear model one mg a dose, in every lane; otherwise whole regimens, the history in front."""
    covariates: Covariates
    windows: _Windows
    amounts: Float[np.ndarray, "lane amount"]


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
    grid = any(_needs_grid(model, each) for each in wanted)
    most = max(window_of(start_h, o.interval_h, o.duration_h, horizon_h).count for o in options)
    central = all(option.compartment == "central" for option in options)
    if not grid and central and has_closed_form(belief, start_h, most):
        return _of_closed(belief, wanted, options, (start_h, horizon_h), size_class(most))
    run = _of_lanes if model.structure.linear else _of_each
    return run(belief, wanted, grid, options, (start_h, horizon_h))


def _of_closed(
    belief: Belief, measures: tuple[Measure, ...], options: Sequence[Option], ahead: tuple[float, float], doses: int
) -> Float[np.ndarray, "option measure draw"]:
    """Of one and two compartments, where nothing changes meanwhile."""
    parts = []
    for first in range(0, len(options), _TOGETHER):
        group = options[first : first + _TOGETHER]
        windows = [window_of(ahead[0], o.interval_h, o.duration_h, ahead[1]) for o in group]
        rows = size_class(len(group), 16)
        columns = _columns(measures, group, windows, grid=False, rows=rows)
        amounts = [o.amount_mg for o in group]
        durations = [o.duration_h for o in group]
        padded = [np.asarray(own + own[-1:] * (rows - len(group))) for own in (amounts, durations)]
        shots = Shots(columns.time_h, columns.after, padded[0], columns.interval_h, padded[1])  # type: ignore[arg-type]
        history, table = belief.regimen, belief.laid.ahead
        own = (belief.found.eta, belief.found.kappa)
        found = _closed(belief.model, measures, doses, history, table, (shots, columns, np.asarray(ahead[0])), own)
        parts.append(np.asarray(found)[: len(group)])
    return np.concatenate(parts)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _closed(
    model: DrugModel,
    measures: tuple[Measure, ...],
    doses: int,
    history: Regimen,
    covariates: Covariates,
    plan: tuple[Shots, _Windows, Float[Array, ""]],
    draws: tuple[Float[Array, "draw eta"], Float[Array, "draw occasion kappa"]],
) -> Float[Array, "option measure draw"]:
    shots, windows, start_h = plan
    contents, area = in_closed_form(model, doses, history, covariates, shots, start_h, *draws)

    def one(eta: Array, kappa: Array, x: Array, a: Array) -> Array:
        p = individual_parameters(model, covariates, eta, kappa)

        def of(x: Array, a: Array, window: _Windows) -> Array:
            return _read(model, measures, False, outputs_of(model, p, covariates, x, window.time_h), a, window)

        return jax.vmap(of)(x, a, windows)

    return jnp.moveaxis(jax.vmap(one)(*draws, contents, area), 0, 2)


def _of_lanes(
    belief: Belief, measures: tuple[Measure, ...], grid: bool, options: Sequence[Option], ahead: tuple[float, float]
) -> Float[np.ndarray, "option measure draw"]:
    """Of a linear model. A lane is a way with a few amounts; a call has several, and runs as many as it needs."""
    by_way: dict[tuple[float, float, str], list[int]] = {}
    for i, option in enumerate(options):
        by_way.setdefault(option.way, []).append(i)
    lanes = [own[k : k + _ABREAST] for own in by_way.values() for k in range(0, len(own), _ABREAST)]
    found = np.empty((len(options), len(measures), belief.found.eta.shape[0]))
    for first in range(0, len(lanes), _LANES):
        group = lanes[first : first + _LANES]
        leaders = [options[lane[0]] for lane in group]
        windows = [window_of(ahead[0], o.interval_h, o.duration_h, ahead[1]) for o in leaders]
        units = _regimens(belief, (), leaders, windows, ahead[0], [1.0] * len(leaders), _LANES)
        amounts = np.zeros((_LANES, _ABREAST))
        for w, lane in enumerate(group):
            amounts[w, : len(lane)] = [options[i].amount_mg for i in lane]
        plan = _Plan(
            belief.regimen,
            units,
            belief.laid.ahead,
            _columns(measures, leaders, windows, grid=grid, rows=_LANES),
            amounts,
        )
        own = np.asarray(_linear(belief.model, measures, grid, plan, len(group), belief.found.eta, belief.found.kappa))
        for w, lane in enumerate(group):
            found[lane] = np.moveaxis(own[w, :, : len(lane)], 0, 2)
    return found


def _of_each(
    belief: Belief, measures: tuple[Measure, ...], grid: bool, options: Sequence[Option], ahead: tuple[float, float]
) -> Float[np.ndarray, "option measure draw"]:
    """Of any model: every regimen is solved."""
    windows = [window_of(ahead[0], o.interval_h, o.duration_h, ahead[1]) for o in options]
    rows = size_class(len(options), 1)
    amounts = [o.amount_mg for o in options]
    regimens = _regimens(belief, belief.laid.doses, options, windows, ahead[0], amounts, rows)
    plan = _Plan(
        belief.regimen,
        regimens,
        belief.laid.ahead,
        _columns(measures, options, windows, grid=grid, rows=rows),
        np.zeros((1, 1)),
    )
    found = _solved(belief.model, measures, grid, plan, belief.found.eta, belief.found.kappa)
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
    options: Sequence[Option],
    windows: Sequence[Window],
    start_h: float,
    amounts: Sequence[float],
    rows: int,
) -> Regimen:
    """The doses of every regimen, after those of a history, padded to as many rows of as many doses."""
    count = size_class(max(w.count for w in windows) + len(before))
    structure, found = belief.model.structure, []
    for option, window, amount in zip(options, windows, amounts, strict=True):
        following = followed_by(option, start_h, window.count, amount) if amount > 0 else ()
        found.append(make_regimen((*before, *following), structure, rows=count))
    return stack_regimens(found + found[-1:] * (rows - len(found)))


def _moments(measures: Sequence[Measure]) -> tuple[str, ...]:
    """The moments that metrics are made of, each once."""
    return tuple(dict.fromkeys(name for each in measures for name in _NEEDS.get(each.metric, ("end",)))) or ("end",)


def _columns(
    measures: Sequence[Measure], options: Sequence[Option], windows: Sequence[Window], *, grid: bool, rows: int
) -> _Windows:
    table, flags, hours = [], [], []
    for window in windows:
        # A bolus has no infusion: at its end the dose counts.
        moments = {
            "area": (window.area_from_h, False),
            "end": (window.end_h, False),
            "start": (window.start_h, False),
            "dosed": (window.start_h, True),
            "infused": (window.dose_end_h, window.dose_end_h < window.end_h),
        }
        chosen = [moments[name] for name in _moments(measures)]
        if grid:
            chosen += [(float(t), False) for t in np.linspace(window.start_h, window.end_h, _GRID)]
        table.append([time for time, _ in chosen])
        flags.append([after for _, after in chosen])
        hours.append(window.end_h - window.area_from_h)

    def padded(values: Sequence[Any]) -> Any:
        column = np.asarray(values)
        return np.concatenate([column, np.repeat(column[-1:], rows - column.shape[0], axis=0)])

    return _Windows(padded(table), padded(flags), padded(hours), padded([o.interval_h for o in options]))


@partial(jax.jit, static_argnums=(0, 1, 2))
def _linear(
    model: DrugModel,
    measures: tuple[Measure, ...],
    grid: bool,
    plan: _Plan,
    lanes: int,
    eta: Float[Array, "draw eta"],
    kappa: Float[Array, "draw occasion kappa"],
) -> Float[Array, "lane draw amount measure"]:
    """Of a linear model: every way is solved once. Only the first ``lanes`` are run."""
    structure, windows, covariates = model.structure, plan.windows, plan.covariates
    most, times = windows.time_h.shape
    p = jax.vmap(lambda e, k: individual_parameters(model, covariates, e, k))(eta, kappa)

    def before(p: dict[str, Array]) -> tuple[Array, Array]:
        at, after = windows.time_h.reshape(-1), windows.after.reshape(-1)
        past = solve(structure, p, plan.history, covariates, at, after, auc=True)
        return past.contents.reshape((most, times, -1)), past.auc_mg_h_per_l.reshape((most, times))

    contents, area = jax.vmap(before)(p)

    def run(lane: Array, found: Array) -> Array:
        regimen, window, amounts = jax.tree.map(
            lambda leaf: jnp.asarray(leaf)[lane], (plan.regimens, windows, plan.amounts)
        )

        def one(p: dict[str, Array], x: Array, a: Array) -> Array:
            response = solve(structure, p, regimen, covariates, window.time_h, window.after, auc=True)

            def of(amount: Array) -> Array:
                f = outputs_of(model, p, covariates, x + amount * response.contents, window.time_h)
                return _read(model, measures, grid, f, a + amount * response.auc_mg_h_per_l, window)

            return jax.vmap(of)(amounts)

        return found.at[lane].set(jax.vmap(one)(p, contents[:, lane], area[:, lane]))

    empty = jnp.zeros((most, eta.shape[0], plan.amounts.shape[1], len(measures)))
    return jax.lax.fori_loop(0, lanes, run, empty)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _solved(
    model: DrugModel,
    measures: tuple[Measure, ...],
    grid: bool,
    plan: _Plan,
    eta: Float[Array, "draw eta"],
    kappa: Float[Array, "draw occasion kappa"],
) -> Float[Array, "option measure draw"]:
    """Of any model: every regimen is solved, one after the other."""
    covariates = plan.covariates

    def of(option: Array) -> Array:
        regimen, window = jax.tree.map(lambda leaf: jnp.asarray(leaf)[option], (plan.regimens, plan.windows))

        def one(eta: Array, kappa: Array) -> Array:
            p = individual_parameters(model, covariates, eta, kappa)
            found = solve(model.structure, p, regimen, covariates, window.time_h, window.after, auc=True)
            f = outputs_of(model, p, covariates, found.contents, window.time_h)
            return _read(model, measures, grid, f, found.auc_mg_h_per_l, window)

        return jax.vmap(one)(eta, kappa).T

    return jax.lax.map(of, jnp.arange(plan.windows.hours.shape[0]))


def _read(
    model: DrugModel,
    measures: tuple[Measure, ...],
    grid: bool,
    f: Float[Array, "time output"],
    area: Float[Array, "time"],
    window: _Windows,
) -> Float[Array, "measure"]:
    """The metrics, out of the columns of a window."""
    found, moments = [], _moments(measures)
    place = {name: i for i, name in enumerate(moments)}
    for measure in measures:
        at = model.output_index(measure.output)
        scale, y = model.outputs[at].auc_scale or 1.0, f[:, at]
        between = y[len(moments) :] if grid else y[:0]
        found.append(_metric(measure, scale, y, area, between, window, place))
    return jnp.stack(found)


def _metric(  # noqa: PLR0911 - one line a metric
    measure: Measure,
    scale: float,
    y: Float[Array, "time"],
    area: Float[Array, "time"],
    between: Float[Array, "point"],
    window: _Windows,
    place: Mapping[str, int],
) -> Float[Array, ""]:
    """One metric; ``between`` are the points of the interval, where extremes need them."""
    match measure.metric:
        case "auc24":
            return (area[place["end"]] - area[place["area"]]) / window.hours * _DAY_H * scale
        case "auc_total":
            return area[place["end"]] * scale
        case "average":
            return (area[place["end"]] - area[place["start"]]) / window.interval_h * scale
        case "peak":
            ends = jnp.stack([y[place["dosed"]], y[place["infused"]]])
            return jnp.max(jnp.concatenate([ends, between[1:]]))
        case "nadir":
            ends = jnp.stack([y[place["start"]], y[place["end"]]])
            return jnp.min(jnp.concatenate([ends, between]))
        case "time_above":
            return jnp.mean(between[1:] > (measure.above or 0.0))
        case _:
            return y[place["end"]]
