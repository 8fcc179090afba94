"""What regimens lead to in every draw: metrics of the interval that counts.

A *way* is a route with a duration of the infusion and a dosing interval. Regimens of one way differ in their amount
only. Of a linear model the contents under a regimen are those of the doses so far plus the amount times the response
to one mg, so that a way is solved once for all its amounts; covariates, lags and occasions may change meanwhile. Where
they do not, one and two compartments have a closed form (`closed`). Other models are solved for every regimen.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from rl_drug_dosage.bedside.belief import Belief
from rl_drug_dosage.bedside.closed import Shots, has_closed_form, in_closed_form
from rl_drug_dosage.bedside.layout import size_class
from rl_drug_dosage.bedside.windows import (
    Measure,
    Option,
    Window,
    Windows,
    columns_of,
    followed_by,
    needs_grid,
    read_metrics,
    window_of,
)
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import (
    Covariates,
    Dose,
    DrugModel,
    Regimen,
    individual_parameters,
    make_regimen,
    outputs_of,
    solve,
    stack_regimens,
)
from rl_drug_dosage.utils.kept_programs import Kept

__all__ = ["metrics"]

_TOGETHER = 64
"""Regimens in a compiled call in closed form."""
_LANES, _ABREAST = 8, 16
"""Ways, and amounts of each, in a compiled call."""


class _Plan(eqx.Module):
    """What a compiled call is about."""

    history: Regimen
    """The doses so far."""
    regimens: Regimen
    """Of a linear model one mg a dose, in every lane; otherwise whole regimens, the history in front."""
    covariates: Covariates
    windows: Windows
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
    grid = any(needs_grid(model, each) for each in wanted)
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
        columns = columns_of(measures, group, windows, grid=False, rows=rows)
        amounts = [o.amount_mg for o in group]
        durations = [o.duration_h for o in group]
        padded = [np.asarray(own + own[-1:] * (rows - len(group))) for own in (amounts, durations)]
        shots = Shots(columns.time_h, columns.after, padded[0], columns.interval_h, padded[1])  # type: ignore[arg-type]
        history, table = belief.regimen, belief.laid.ahead
        own = (belief.found.eta, belief.found.kappa)
        found = _CLOSED(belief.model, measures, doses, history, table, (shots, columns, np.asarray(ahead[0])), own)
        parts.append(np.asarray(found)[: len(group)])
    return np.concatenate(parts)


def _closed(
    model: DrugModel,
    measures: tuple[Measure, ...],
    doses: int,
    history: Regimen,
    covariates: Covariates,
    plan: tuple[Shots, Windows, Float[Array, ""]],
    draws: tuple[Float[Array, "draw eta"], Float[Array, "draw occasion kappa"]],
) -> Float[Array, "option measure draw"]:
    shots, windows, start_h = plan
    contents, area = in_closed_form(model, doses, history, covariates, shots, start_h, *draws)

    def one(eta: Array, kappa: Array, x: Array, a: Array) -> Array:
        p = individual_parameters(model, covariates, eta, kappa)

        def of(x: Array, a: Array, window: Windows) -> Array:
            return read_metrics(model, measures, False, outputs_of(model, p, covariates, x, window.time_h), a, window)

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
            columns_of(measures, leaders, windows, grid=grid, rows=_LANES),
            amounts,
        )
        own = np.asarray(
            _LINEAR(belief.model, measures, grid, plan, np.asarray(len(group)), belief.found.eta, belief.found.kappa)
        )
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
        columns_of(measures, options, windows, grid=grid, rows=rows),
        np.zeros((1, 1)),
    )
    found = _SOLVED(belief.model, measures, grid, plan, belief.found.eta, belief.found.kappa)
    return np.asarray(found)[: len(options)]


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


def _linear(
    model: DrugModel,
    measures: tuple[Measure, ...],
    grid: bool,
    plan: _Plan,
    lanes: Int[Array, ""],
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
                return read_metrics(model, measures, grid, f, a + amount * response.auc_mg_h_per_l, window)

            return jax.vmap(of)(amounts)

        return found.at[lane].set(jax.vmap(one)(p, contents[:, lane], area[:, lane]))

    empty = jnp.zeros((most, eta.shape[0], plan.amounts.shape[1], len(measures)))
    return jax.lax.fori_loop(0, lanes, run, empty)


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
            return read_metrics(model, measures, grid, f, found.auc_mg_h_per_l, window)

        return jax.vmap(one)(eta, kappa).T

    return jax.lax.map(of, jnp.arange(plan.windows.hours.shape[0]))


_CLOSED, _LINEAR, _SOLVED = Kept(_closed), Kept(_linear), Kept(_solved)
