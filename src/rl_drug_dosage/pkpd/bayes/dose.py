"""Dose search: the dose or interval that reaches a target, for one parameter set or over a posterior."""

import itertools
from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from rl_drug_dosage.pkpd._errors import DrugModelError, RegimenError
from rl_drug_dosage.pkpd.bayes.posterior import Posterior
from rl_drug_dosage.pkpd.covariates import Covariates
from rl_drug_dosage.pkpd.description import DosingOptions, Route, Target
from rl_drug_dosage.pkpd.infusion import infusion_h
from rl_drug_dosage.pkpd.model import DrugModel
from rl_drug_dosage.pkpd.population import individual_parameters
from rl_drug_dosage.pkpd.regimen import Dose, Regimen, every, make_regimen, stack_regimens
from rl_drug_dosage.pkpd.simulate import outputs_of, solve

__all__ = ["DoseFound", "RegimenChoice", "attains", "choose_regimen", "exposure", "reach", "with_dose"]

_POINTS = 97
"""Time points used for a peak or a time above a limit: every 15 minutes over a day."""


class DoseFound(eqx.Module):
    """A continuous dose. If it lies outside the bounds, ``reached`` is False and the nearer bound is returned."""

    dose_mg: Float[Array, ""]
    value: Float[Array, ""]
    reached: Bool[Array, ""]


class RegimenChoice(eqx.Module):
    """The best cell of a grid of intervals and doses, and the whole grid."""

    dose_mg: float
    interval_h: float
    attainment: Float[np.ndarray, "interval dose"]
    """Fraction of posterior draws inside the target."""
    median: Float[np.ndarray, "interval dose"]
    """Median of the target's metric over the draws."""


def with_dose(regimen: Regimen, dose_mg: Float[Array, ""], from_h: float, route: Route | None = None) -> Regimen:
    """Set every dose from ``from_h`` on to ``dose_mg``.

    Infusion durations or rates are unchanged, unless ``route`` limits the rate: the dose then lasts as long as it must.
    """
    later = jnp.asarray(regimen.time_h >= from_h) & jnp.asarray(regimen.given)
    amounts = jnp.where(later, dose_mg, jnp.asarray(regimen.amount_mg, dtype=float))
    given = eqx.tree_at(lambda r: r.amount_mg, regimen, amounts)
    if route is None or route.max_rate_mg_per_h is None:
        return given
    length_h = infusion_h(jnp.asarray(dose_mg, dtype=float), route.duration_h, route.max_rate_mg_per_h)
    durations = jnp.where(later, length_h, jnp.asarray(regimen.duration_h, dtype=float))
    return eqx.tree_at(lambda r: r.duration_h, given, durations)


def exposure(
    model: DrugModel,
    regimen: Regimen,
    covariates: Covariates,
    eta: Float[Array, "eta"],
    kappa: Float[Array, "occasion kappa"] | None,
    target: Target,
    start_h: float | Array,
    end_h: float | Array,
) -> Float[Array, ""]:
    """The target's metric over [start_h, end_h] for one parameter set. A pure function.

    ``trough`` and ``value``: the output at ``end_h``, before a dose given at that time. ``peak``, ``nadir`` and
    ``time_above``: over equally spaced times and, for the peak, the ends of infusions. ``auc24``: AUC over the window,
    scaled to 24 h. ``auc_total``: AUC from the first dose to ``end_h``. ``average``: AUC over the window divided by its
    length. AUCs are exact.

    Raises:
        DrugModelError: the AUC of an output that is not a multiple of the central concentration, or ``time_above``
            without a lower limit.
    """
    at = model.output_index(target.output)
    scale = model.outputs[at].auc_scale
    p = individual_parameters(model, covariates, eta, kappa)
    if target.metric in {"auc24", "auc_total", "average"}:
        if scale is None:
            raise DrugModelError(
                f"{target.output!r} of {model.name} has no area: set auc_scale, or choose another metric"
            )
        times = jnp.asarray([start_h, end_h], dtype=float)
        areas = solve(model.structure, p, regimen, covariates, times, auc=True).auc_mg_h_per_l * scale
        if target.metric == "auc_total":
            return areas[1]
        return (areas[1] - areas[0]) / (end_h - start_h) * (24.0 if target.metric == "auc24" else 1.0)
    if target.metric in {"trough", "value"}:
        times = jnp.asarray([end_h], dtype=float)
    else:
        times = jnp.linspace(start_h, end_h, _POINTS)
        if target.metric == "peak":
            ends = jnp.asarray(regimen.time_h + regimen.duration_h, dtype=float)
            times = jnp.concatenate([times, jnp.clip(ends, start_h, end_h)])
    # A bolus peaks just after it is given; a trough, and the end of the window, are taken before the next dose.
    after = (times < end_h) & (target.metric == "peak")
    contents = solve(model.structure, p, regimen, covariates, times, after).contents
    values = outputs_of(model, p, covariates, contents, times)[:, at]
    if target.metric == "time_above":
        if target.low is None:
            raise DrugModelError(f"time above needs a lower limit: the target on {target.output!r} has none")
        return jnp.mean(values[1:] > target.low)
    return jnp.min(values) if target.metric == "nadir" else jnp.max(values)


def attains(value: Float[Array, "..."], target: Target) -> Bool[Array, "..."]:
    """Whether a metric lies inside the target window."""
    low = -jnp.inf if target.low is None else target.low
    high = jnp.inf if target.high is None else target.high
    return (value >= low) & (value <= high)


def reach(
    metric: Callable[[Float[Array, ""]], Float[Array, ""]],
    target: float | Array,
    low_mg: float | Array,
    high_mg: float | Array,
    *,
    steps: int | None = None,
) -> DoseFound:
    """The dose at which an increasing metric reaches a value, by bisection to rounding. Pure, works under `vmap`.

    Args:
        metric: dose in mg -> exposure; a posterior mean or median if it averages over draws.
        target: the value to reach.
        low_mg: lower bound of the search.
        high_mg: upper bound.
        steps: halvings; None: to rounding.
    """
    if steps is None:
        steps = 60 if jnp.asarray(0.0).dtype == jnp.float64 else 26

    def halve(_: int, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = 0.5 * (low + high)
        below = metric(middle) < target
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    bounds = (jnp.asarray(low_mg, dtype=float), jnp.asarray(high_mg, dtype=float))
    at_low, at_high = metric(bounds[0]), metric(bounds[1])
    low, high = jax.lax.fori_loop(0, steps, halve, bounds)
    dose = jnp.where(at_low >= target, bounds[0], jnp.where(at_high <= target, bounds[1], 0.5 * (low + high)))
    return DoseFound(dose, metric(dose), (at_low <= target) & (at_high >= target))


def choose_regimen(
    model: DrugModel,
    history: Sequence[Dose],
    covariates: Covariates,
    posterior: Posterior,
    target: Target,
    *,
    start_h: float,
    horizon_h: float,
    dosing: DosingOptions | None = None,
) -> RegimenChoice:
    """The dose and interval with the highest probability of target attainment over posterior draws.

    Future doses start at ``start_h`` and continue for ``horizon_h``. The metric is taken over the last interval of the
    horizon (AUC24: over the last day). Ties are broken by the median closest to the middle of the window, then by the
    smaller dose.

    Args:
        model: the drug.
        history: the doses so far.
        covariates: the patient's covariate table; it may contain future records.
        posterior: draws (`point_posterior` for a point estimate). Occasions without drawn kappas have kappa 0.
        target: the target to attain.
        start_h: when the next dose is due.
        horizon_h: how long doses are given.
        dosing: the allowed amounts and intervals, and the route (its first); None means the model's own.

    Raises:
        RegimenError: an interval that does not divide the horizon; no doses to choose from.
    """
    dosing = model.dosing if dosing is None else dosing
    if not dosing.are_named:
        raise RegimenError(f"{model.name} names no doses to choose from: give `dosing`")
    amounts, intervals, way = dosing.amounts_mg, dosing.intervals_h, dosing.routes[0]
    end_h = start_h + horizon_h
    regimens, windows = [], []
    for interval in intervals:
        count = round(horizon_h / interval)
        if count < 1 or abs(count * interval - horizon_h) > 1e-9 * horizon_h:
            raise RegimenError(
                f"an interval of {interval:g} h does not divide the horizon of {horizon_h:g} h: change one"
            )
        first = Dose(start_h, 1.0, compartment=way.compartment, duration_h=way.duration_h)
        regimens.append(make_regimen([*history, *every(first, interval, count)], model.structure))
        windows.append(min(24.0, horizon_h) if target.metric == "auc24" else interval)

    def metric(regimen: Regimen, window_h: Array, dose: Array, one_eta: Array, one_kappa: Array) -> Array:
        given = with_dose(regimen, dose, start_h, way)
        return exposure(model, given, covariates, one_eta, one_kappa, target, end_h - window_h, end_h)

    over_draws = jax.vmap(metric, in_axes=(None, None, None, 0, 0))
    over_doses = jax.vmap(over_draws, in_axes=(None, None, 0, None, None))
    over_intervals = jax.jit(jax.vmap(over_doses, in_axes=(0, 0, None, None, None)))
    grid = jnp.asarray(amounts, dtype=float)
    values = np.asarray(
        over_intervals(
            stack_regimens(regimens), jnp.asarray(windows, dtype=float), grid, posterior.eta, posterior.kappa
        )
    )
    attained, median = np.asarray(attains(jnp.asarray(values), target)).mean(axis=-1), np.median(values, axis=-1)
    aim = np.mean([edge for edge in (target.low, target.high) if edge is not None])
    best = min(
        itertools.product(range(len(intervals)), range(len(amounts))),
        key=lambda cell: (-attained[cell], abs(median[cell] - aim), amounts[cell[1]]),
    )
    return RegimenChoice(amounts[best[1]], intervals[best[0]], attained, median)
