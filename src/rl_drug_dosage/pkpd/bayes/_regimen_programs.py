"""Compiled functions behind `regimens`: metrics of a grid, doses and intervals that attain a limit, courses."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rl_drug_dosage.pkpd.bayes.dose import exposure, reach
from rl_drug_dosage.pkpd.covariates import Covariates
from rl_drug_dosage.pkpd.description import Target
from rl_drug_dosage.pkpd.infusion import infusion_h
from rl_drug_dosage.pkpd.model import DrugModel
from rl_drug_dosage.pkpd.regimen import Regimen
from rl_drug_dosage.pkpd.simulate import predict
from rl_drug_dosage.utils.device_shape import device_shape

__all__ = ["Draws", "Laid", "attaining_h", "attaining_mg", "by_interval", "course", "metrics"]

_DAY_H = 24.0
_HALVINGS = 40
"""Of the range of amounts, to find a dose: to 1e-12 of it."""
_HALVINGS_H = 28
"""Of the range of intervals, to find one: to 4e-9 of it."""
_BATCH = 64
"""Draws whose courses are computed together on a CPU, see `DeviceShape.batch`."""


class Draws(eqx.Module):
    """Random effects: the point estimate first, then draws from the posterior."""

    eta: Float[Array, "draw eta"]
    kappa: Float[Array, "draw occasion kappa"]


class Laid(eqx.Module):
    """One patient's regimens, with one mg a dose, and what says how they are looked at."""

    regimens: Regimen
    covariates: Covariates
    start_h: Float[Array, ""]
    least_h: Float[Array, "way"]
    highest_mg_per_h: Float[Array, "way"]
    interval_h: Float[Array, "way"]


def _dosed(laid: Laid, way: Array | int, amount: Array) -> Regimen:
    """The regimen with an amount, and the durations that it needs."""
    regimen = jax.tree.map(lambda leaf: jnp.asarray(leaf)[way], laid.regimens)
    later = (regimen.time_h >= laid.start_h) & regimen.given
    length = infusion_h(amount, laid.least_h[way], laid.highest_mg_per_h[way])
    amounts = jnp.where(later, amount, regimen.amount_mg)
    durations = jnp.where(later, length, regimen.duration_h)
    return eqx.tree_at(lambda r: (r.amount_mg, r.duration_h), regimen, (amounts, durations))


def _last_h(target: Target, interval_h: Array, count: Array | int) -> Array:
    """How much of ``count`` intervals the metric is taken over: the last one, or of an area over 24 h the last day."""
    return jnp.minimum(jnp.maximum(_DAY_H, interval_h), count * interval_h) if target.metric == "auc24" else interval_h


def _over_draws(
    model: DrugModel, target: Target, laid: Laid, given: Regimen, window: tuple[Array, Array], draws: Draws
) -> Float[Array, "draw"]:
    def one(eta: Array, kappa: Array) -> Array:
        return exposure(model, given, laid.covariates, eta, kappa, target, *window)

    return jax.vmap(one)(draws.eta, draws.kappa)


def _one(
    model: DrugModel, doses: int | None, target: Target, laid: Laid, draws: Draws, way: Array, amount: Array
) -> Float[Array, "draw"]:
    """The metric of one regimen for every draw."""
    interval, start = laid.interval_h[way], laid.start_h
    if doses is None:
        window = (start, start + interval)
    else:
        end = start + doses * interval
        window = (end - _last_h(target, interval, doses), end)
    values = _over_draws(model, target, laid, _dosed(laid, way, amount), window, draws)
    length = infusion_h(amount, laid.least_h[way], laid.highest_mg_per_h[way])
    return jnp.where(length <= interval * (1 + 1e-9), values, jnp.nan)


@eqx.filter_jit
def metrics(
    model: DrugModel, doses: int | None, target: Target, laid: Laid, draws: Draws, amounts: Float[Array, "amount"]
) -> Float[Array, "way amount draw"]:
    # One regimen after the other: the draws are the batch.
    return jax.lax.map(
        lambda way: jax.lax.map(lambda amount: _one(model, doses, target, laid, draws, way, amount), amounts),
        jnp.arange(laid.interval_h.shape[0]),
    )


@eqx.filter_jit
def attaining_mg(  # noqa: PLR0913, PLR0917
    model: DrugModel,
    doses: int | None,
    target: Target,
    laid: Laid,
    draws: Draws,
    limit: Array,
    percentile: Array,
    low_mg: Array,
    high_mg: Float[Array, "way"],
) -> Float[Array, "way"]:
    def search(way: Array) -> Array:
        def metric(dose: Array) -> Array:
            return jnp.percentile(_one(model, doses, target, laid, draws, way, dose), percentile)

        # A nadir falls with the dose: its mirror image rises.
        side = jnp.where(metric(high_mg[way]) >= metric(low_mg), 1.0, -1.0)
        found = reach(lambda dose: side * metric(dose), side * limit, low_mg, high_mg[way], steps=_HALVINGS)
        return jnp.where(found.reached, found.dose_mg, jnp.nan)

    return jax.lax.map(search, jnp.arange(laid.interval_h.shape[0]))


@eqx.filter_jit
def attaining_h(
    model: DrugModel, target: Target, laid: Laid, draws: Draws, numbers: list[Array]
) -> Float[Array, "way amount"]:
    limit, percentile, amounts, (shortest, longest) = numbers

    def search(way: Array, amount: Array) -> Array:
        length = infusion_h(amount, laid.least_h[way], laid.highest_mg_per_h[way])
        low = jnp.maximum(shortest, length)

        def metric(interval: Array) -> Array:
            later = (jnp.asarray(laid.regimens.time_h) >= laid.start_h) & jnp.asarray(laid.regimens.given)
            rows = jnp.where(later, interval, jnp.asarray(laid.regimens.interval_h))
            ways = jnp.full_like(laid.interval_h, interval)
            other = eqx.tree_at(lambda own: (own.regimens.interval_h, own.interval_h), laid, (rows, ways))
            return jnp.percentile(_one(model, None, target, other, draws, way, amount), percentile)

        side = jnp.where(metric(longest) >= metric(low), 1.0, -1.0)
        found = reach(lambda interval: side * metric(interval), side * limit, low, longest, steps=_HALVINGS_H)
        return jnp.where(found.reached & (low < longest), found.dose_mg, jnp.nan)

    ways = jnp.arange(laid.interval_h.shape[0])
    return jax.lax.map(lambda way: jax.lax.map(lambda amount: search(way, amount), amounts), ways)


@eqx.filter_jit
def by_interval(
    model: DrugModel, count: int, target: Target, laid: Laid, draws: Draws, amount: Array
) -> Float[Array, "interval draw"]:
    given, interval = _dosed(laid, 0, amount), laid.interval_h[0]

    def at(k: Array) -> Array:
        end = laid.start_h + k * interval
        return _over_draws(model, target, laid, given, (end - _last_h(target, interval, k), end), draws)

    return jax.lax.map(at, 1.0 + jnp.arange(count))


@eqx.filter_jit
def course(
    model: DrugModel, laid: Laid, draws: Draws, amount: Array, time_h: Float[Array, "time"]
) -> Float[Array, "draw time output"]:
    given = _dosed(laid, 0, amount)

    def one(own: tuple[Array, Array]) -> Array:
        return predict(model, given, laid.covariates, time_h, *own)

    return jax.lax.map(one, (draws.eta, draws.kappa), batch_size=device_shape().batch(_BATCH))
