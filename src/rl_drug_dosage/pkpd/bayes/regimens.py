"""A grid of regimens under posterior draws: what each would do, and the dose that attains a limit exactly.

A *way* is a route and a dosing interval; with an amount it is a regimen. Regimens follow the doses so far, from
``start_h`` on, and are looked at in their n-th interval or at steady state (of the kinetics at ``start_h``). An
infusion whose rate is limited lasts as long as its amount needs; where that is longer than the interval, the metric is
not a number.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rl_drug_dosage.pkpd._errors import RegimenError
from rl_drug_dosage.pkpd.bayes.dose import exposure, reach
from rl_drug_dosage.pkpd.covariates import Covariates, stack_covariates
from rl_drug_dosage.pkpd.description import Route, Target
from rl_drug_dosage.pkpd.infusion import infusion_h
from rl_drug_dosage.pkpd.model import DrugModel
from rl_drug_dosage.pkpd.regimen import Dose, Regimen, every, make_regimen, stack_regimens
from rl_drug_dosage.pkpd.simulate import predict

__all__ = ["Candidate", "Draws", "Search", "Way", "prepare_search"]

_DAY_H = 24.0
_HALVINGS = 40
"""Of the range of amounts, to find a dose: to 1e-12 of it."""
_HALVINGS_H = 28
"""Of the range of intervals, to find one: to 4e-9 of it."""
_BATCH = 64
"""Draws whose courses are computed together."""


@dataclass(frozen=True)
class Way:
    """How amounts are given."""

    route: Route
    interval_h: float

    @property
    def most_mg(self) -> float:
        """The amount whose infusion fills the interval; infinity where the route does not limit the rate."""
        rate = self.route.max_rate_mg_per_h
        return math.inf if rate is None else rate * self.interval_h


@dataclass(frozen=True)
class Candidate:
    """A patient whose doses are searched.

    Args:
        doses: so far; none at or after ``start_h``.
        covariates: the last record holds for the future.
        start_h: when the first searched dose is due.
        ways: of giving an amount; as many for every patient of a search.
    """

    doses: tuple[Dose, ...]
    covariates: Covariates
    start_h: float
    ways: tuple[Way, ...]


class Draws(eqx.Module):
    """Random effects: the point estimate first, then draws from the posterior."""

    eta: Float[Array, "draw eta"]
    kappa: Float[Array, "draw occasion kappa"]


class _Laid(eqx.Module):
    """One patient's regimens, with one mg a dose, and what says how they are looked at."""

    regimens: Regimen
    covariates: Covariates
    start_h: Float[Array, ""]
    least_h: Float[Array, "way"]
    highest_mg_per_h: Float[Array, "way"]
    interval_h: Float[Array, "way"]


@dataclass(frozen=True)
class Search:
    """Regimens of all patients, laid out in the same shapes so that each program compiles once.

    Args:
        model: the drug.
        doses: the interval that counts, from 1; None: steady state.
        laid: of each patient.
        most_mg: of each patient's ways, see `Way.most_mg`.
    """

    model: DrugModel
    doses: int | None
    laid: tuple[_Laid, ...]
    most_mg: tuple[tuple[float, ...], ...]

    def metrics(
        self, patient: int, draws: Draws, target: Target, amounts_mg: Sequence[float]
    ) -> Float[np.ndarray, "way amount draw"]:
        """The target's metric of every regimen for every draw; not a number where a regimen is impossible."""
        grid = jnp.asarray(amounts_mg, dtype=float)
        return np.array(_metrics(self.model, self.doses, target, self.laid[patient], draws, grid))

    def attaining_mg(
        self, patient: int, draws: Draws, target: Target, limit: float, percentile: float, range_mg: tuple[float, float]
    ) -> Float[np.ndarray, "way"]:
        """The dose of each way at which a percentile of the metric over the draws reaches a limit.

        Args:
            patient: which.
            draws: over which the percentile is taken; one for the point estimate.
            target: gives the metric, which must rise, or fall, with the dose.
            limit: to reach.
            percentile: from 0 to 100.
            range_mg: where to look; it ends where an infusion would fill its interval.

        Returns:
            Doses in mg; not a number where none within the range attains the limit.
        """
        highest = jnp.asarray([min(range_mg[1], most) for most in self.most_mg[patient]])
        value, share, lowest = (jnp.asarray(v, dtype=float) for v in (limit, percentile, range_mg[0]))
        laid = self.laid[patient]
        return np.array(_attaining(self.model, self.doses, target, laid, draws, value, share, lowest, highest))

    def attaining_h(
        self,
        patient: int,
        draws: Draws,
        target: Target,
        limit: float,
        percentile: float,
        amounts_mg: Sequence[float],
        range_h: tuple[float, float],
    ) -> Float[np.ndarray, "way amount"]:
        """The interval of each route and amount at which a percentile of the metric attains a limit at steady state.

        Args:
            patient: which.
            draws: over which the percentile is taken; one for the point estimate.
            target: gives the metric, which must fall with the interval, or rise with it.
            limit: to attain.
            percentile: from 0 to 100.
            amounts_mg: of each dose.
            range_h: where to look; it begins where an infusion fills its interval.

        Returns:
            Intervals in h, the same for all ways of a route; not a number where none within the range attains it.
        """
        assert self.doses is None
        numbers = [jnp.asarray(v, dtype=float) for v in (limit, percentile, amounts_mg, range_h)]
        return np.array(_attaining_h(self.model, target, self.laid[patient], draws, numbers))

    def by_interval(
        self, patient: int, draws: Draws, target: Target, amount_mg: float
    ) -> Float[np.ndarray, "interval draw"]:
        """The metric in the first, second, ... interval of the first way, with this amount; not at steady state."""
        assert self.doses is not None
        return np.array(_by_interval(self.model, self.doses, target, self.laid[patient], draws, jnp.asarray(amount_mg)))

    def course(
        self, patient: int, draws: Draws, amount_mg: float, time_h: Float[np.ndarray, "time"]
    ) -> Float[np.ndarray, "draw time output"]:
        """Predictions under the doses so far and those of the first way, with this amount; not at steady state."""
        times = jnp.asarray(time_h, dtype=float)
        return np.array(_course(self.model, self.laid[patient], draws, jnp.asarray(amount_mg), times))


def prepare_search(model: DrugModel, patients: Sequence[Candidate], *, doses: int | None) -> Search:
    """Lay out the regimens of all patients.

    Args:
        model: the drug.
        patients: histories, each with its ways of dosing.
        doses: the interval that counts, from 1; None: steady state.

    Raises:
        RegimenError: a dose of the history at or after the start, or an infusion that is longer than its interval.
    """
    stacked = stack_regimens([_after(model, one, way, doses) for one in patients for way in one.ways])
    tables = stack_covariates([one.covariates for one in patients])
    laid, count = [], len(patients[0].ways)
    for i, one in enumerate(patients):
        routes = [way.route for way in one.ways]
        laid.append(
            _Laid(
                regimens=jax.tree.map(lambda leaf, i=i: leaf[i * count : (i + 1) * count], stacked),
                covariates=jax.tree.map(lambda leaf, i=i: leaf[i], tables),
                start_h=jnp.asarray(one.start_h, dtype=float),
                least_h=jnp.asarray([route.duration_h for route in routes], dtype=float),
                highest_mg_per_h=jnp.asarray([route.max_rate_mg_per_h or math.inf for route in routes], dtype=float),
                interval_h=jnp.asarray([way.interval_h for way in one.ways], dtype=float),
            )
        )
    return Search(model, doses, tuple(laid), tuple(tuple(way.most_mg for way in one.ways) for one in patients))


def _after(model: DrugModel, patient: Candidate, way: Way, doses: int | None) -> Regimen:
    """The history, and one mg a dose from the start on."""
    route, start = way.route, patient.start_h
    if route.duration_h > way.interval_h * (1 + 1e-9):
        raise RegimenError(
            f"{route.name} takes {route.duration_h:g} h, longer than an interval of {way.interval_h:g} h: leave one of "
            "them out"
        )
    last = max((d.time_h + d.additional * d.interval_h for d in patient.doses), default=-math.inf)
    if last >= start:
        raise RegimenError(
            f"a dose at {last:g} h is not before the start of the search at {start:g} h: leave the doses from then on "
            "out, or start later"
        )
    first = Dose(start, 1.0, route.compartment, duration_h=route.duration_h)
    if doses is not None:
        return make_regimen([*patient.doses, *every(first, way.interval_h, doses)], model.structure)
    # A limited rate may fill the interval: the row of an infusion of the interval before is laid out for it.
    longest = route.duration_h if route.max_rate_mg_per_h is None else way.interval_h
    steady = Dose(start, 1.0, route.compartment, duration_h=longest, interval_h=way.interval_h, steady_state=1)
    return make_regimen([*patient.doses, steady], model.structure)


def _dosed(laid: _Laid, way: Array | int, amount: Array) -> Regimen:
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
    model: DrugModel, target: Target, laid: _Laid, given: Regimen, window: tuple[Array, Array], draws: Draws
) -> Float[Array, "draw"]:
    def one(eta: Array, kappa: Array) -> Array:
        return exposure(model, given, laid.covariates, eta, kappa, target, *window)

    return jax.vmap(one)(draws.eta, draws.kappa)


def _one(
    model: DrugModel, doses: int | None, target: Target, laid: _Laid, draws: Draws, way: Array, amount: Array
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
def _metrics(
    model: DrugModel, doses: int | None, target: Target, laid: _Laid, draws: Draws, amounts: Float[Array, "amount"]
) -> Float[Array, "way amount draw"]:
    # One regimen after the other: the draws are the batch.
    return jax.lax.map(
        lambda way: jax.lax.map(lambda amount: _one(model, doses, target, laid, draws, way, amount), amounts),
        jnp.arange(laid.interval_h.shape[0]),
    )


@eqx.filter_jit
def _attaining(  # noqa: PLR0913, PLR0917
    model: DrugModel,
    doses: int | None,
    target: Target,
    laid: _Laid,
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
def _attaining_h(
    model: DrugModel, target: Target, laid: _Laid, draws: Draws, numbers: list[Array]
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
def _by_interval(
    model: DrugModel, count: int, target: Target, laid: _Laid, draws: Draws, amount: Array
) -> Float[Array, "interval draw"]:
    given, interval = _dosed(laid, 0, amount), laid.interval_h[0]

    def at(k: Array) -> Array:
        end = laid.start_h + k * interval
        return _over_draws(model, target, laid, given, (end - _last_h(target, interval, k), end), draws)

    return jax.lax.map(at, 1.0 + jnp.arange(count))


@eqx.filter_jit
def _course(
    model: DrugModel, laid: _Laid, draws: Draws, amount: Array, time_h: Float[Array, "time"]
) -> Float[Array, "draw time output"]:
    given = _dosed(laid, 0, amount)

    def one(own: tuple[Array, Array]) -> Array:
        return predict(model, given, laid.covariates, time_h, *own)

    return jax.lax.map(one, (draws.eta, draws.kappa), batch_size=_BATCH)
