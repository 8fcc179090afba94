"""A grid of regimens under posterior draws: what each would do, and the dose that attains a limit exactly.

A *way* is a route and a dosing interval; with an amount it is a regimen. Regimens follow the doses so far, from
``start_h`` on, and are looked at in their n-th interval or at steady state (of the kinetics at ``start_h``). An
infusion whose rate is limited lasts as long as its amount needs; where that is longer than the interval, the metric is
not a number.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rl_drug_dosage.pkpd._errors import RegimenError
from rl_drug_dosage.pkpd.bayes import _regimen_programs as programs
from rl_drug_dosage.pkpd.bayes._regimen_programs import Draws, Laid
from rl_drug_dosage.pkpd.covariates import Covariates, stack_covariates
from rl_drug_dosage.pkpd.description import Route, Target
from rl_drug_dosage.pkpd.model import DrugModel
from rl_drug_dosage.pkpd.regimen import Dose, Regimen, every, make_regimen, stack_regimens

__all__ = ["Candidate", "Draws", "Search", "Way", "prepare_search"]


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
    laid: tuple[Laid, ...]
    most_mg: tuple[tuple[float, ...], ...]

    def metrics(
        self, patient: int, draws: Draws, target: Target, amounts_mg: Sequence[float]
    ) -> Float[np.ndarray, "way amount draw"]:
        """The target's metric of every regimen for every draw; not a number where a regimen is impossible."""
        grid = jnp.asarray(amounts_mg, dtype=float)
        return np.array(programs.metrics(self.model, self.doses, target, self.laid[patient], draws, grid))

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
        return np.array(
            programs.attaining_mg(self.model, self.doses, target, laid, draws, value, share, lowest, highest)
        )

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
        return np.array(programs.attaining_h(self.model, target, self.laid[patient], draws, numbers))

    def by_interval(
        self, patient: int, draws: Draws, target: Target, amount_mg: float
    ) -> Float[np.ndarray, "interval draw"]:
        """The metric in the first, second, ... interval of the first way, with this amount; not at steady state."""
        assert self.doses is not None
        return np.array(
            programs.by_interval(self.model, self.doses, target, self.laid[patient], draws, jnp.asarray(amount_mg))
        )

    def course(
        self, patient: int, draws: Draws, amount_mg: float, time_h: Float[np.ndarray, "time"]
    ) -> Float[np.ndarray, "draw time output"]:
        """Predictions under the doses so far and those of the first way, with this amount; not at steady state."""
        times = jnp.asarray(time_h, dtype=float)
        return np.array(programs.course(self.model, self.laid[patient], draws, jnp.asarray(amount_mg), times))


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
            Laid(
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
