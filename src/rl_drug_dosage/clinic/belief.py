"""Bayesian estimation during treatment: MAP estimate and covariance of a patient, under the controller's model.

The history is simulated again for every trial value of the random effects, with doses as prescribed and times as
planned, because that is all a clinic knows.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from rl_drug_dosage.clinic.areas import added, no_area
from rl_drug_dosage.clinic.interval import (
    administered,
    disturbance_at,
    interval_parameters,
    outputs_at_times,
    play,
    varies,
)
from rl_drug_dosage.clinic.propagators import AtLimitedRate, Outcome, Propagators, play_with, propagators
from rl_drug_dosage.clinic.record import Record, facts_at, results_back
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.timetable import Answer
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.pkpd.bayes.objective import Curvature, objective_of, prior_covariance, split_latent
from rl_drug_dosage.pkpd.bayes.search import plausible, search, starting_points
from rl_drug_dosage.pkpd.residual import normal_moments

__all__ = [
    "Belief",
    "Past",
    "Player",
    "estimate",
    "innovations",
    "level_errors",
    "log_posterior",
    "new_results",
    "occasions_of",
    "past",
    "prior",
]

_MOST_KAPPAS = 12
"""A controller estimates inter-occasion effects if there are at most this many; otherwise it sets them to 0."""
_TOLERANCE = 1e-2
"""Of an estimate, in posterior standard deviations: about what single precision allows after a long history."""
_DISTANCES = (2.0,)
_EVALUATIONS = 40
"""Of one descent; from the last estimate it takes about 5."""


def occasions_of(model: DrugModel, scenario: Scenario) -> int:
    """Number of occasions with kappas to estimate: all occasions of the course, or none."""
    steps = scenario.schedule.decisions
    return steps if 0 < len(model.occasion_etas) * steps <= _MOST_KAPPAS else 0


class Belief(eqx.Module):
    """A MAP estimate with its first-order conditional covariance."""

    z: Float[Array, " z"]
    """Etas, then one row of kappas per estimated occasion."""
    covariance: Float[Array, "z z"]
    converged: Bool[Array, ""]
    """Whether z is a minimum. If not, it is the best point found, and doses are chosen with caution
    (`clinic.doubt.cautious`)."""


def prior(model: DrugModel, scenario: Scenario) -> Belief:
    """The belief before any level: the prior."""
    w = prior_covariance(model, occasions_of(model, scenario))
    return Belief(jnp.zeros(w.shape[0]), jnp.asarray(w, dtype=float), jnp.asarray(True))


class Player:
    """Simulates intervals of one patient for one set of random effects; constant quantities are computed once.

    Args:
        model: the controller's model.
        scenario: the task.
        covariates: the patient's covariate table, see `Record`.
        eta: between-subject random effects.
        kappa: one row per occasion, or None.
        area: whether to compute AUCs.
        disturbance: this patient's multiplier of the scenario's disturbance; None if unknown.
        taken: per interval, 1 if the dose is taken and 0 if it is missed; None if unknown.
    """

    def __init__(
        self,
        model: DrugModel,
        scenario: Scenario,
        covariates: dict[str, Array],
        eta: Array,
        kappa: Array | None,
        *,
        area: bool,
        disturbance: Array | None = None,
        taken: Array | None = None,
    ) -> None:
        self.model, self.scenario, self.area = model, scenario, area
        self.covariates, self.eta, self.kappa = covariates, eta, kappa
        self.disturbance, self.taken = disturbance, taken
        self.fixed: dict[str, Array] | None = None
        self.own: Propagators | None = None
        if not varies(model, scenario) or (kappa is None and not _drifts(model, scenario)):
            zero = jnp.zeros((), jnp.int32)
            self.fixed = interval_parameters(model, scenario, facts_at(covariates, zero), eta, None, jnp.zeros(()))
            if model.structure.linear and scenario.intake is None:
                self.own = propagators(model, scenario, self.fixed, area=area)
                # Areas are wanted for plans, which try many more doses than a grid has.
                if area and isinstance(self.own.slow, AtLimitedRate):
                    self.own = eqx.tree_at(lambda own: own.slow, self.own, self.own.slow.tabulated())

    def parameters(self, j: Array) -> dict[str, Array]:
        """Individual parameters in interval ``j``."""
        if self.fixed is not None:
            return self.fixed
        kappa = None if self.kappa is None or not self.kappa.size else self.kappa[jnp.minimum(j, len(self.kappa) - 1)]
        facts = facts_at(self.covariates, j)
        t_h = j * jnp.asarray(self.scenario.schedule.interval_h, dtype=float)
        return interval_parameters(self.model, self.scenario, facts, self.eta, kappa, t_h)

    def initial(self) -> Array:
        """Contents before the first dose."""
        p = self.parameters(jnp.zeros((), jnp.int32))
        return self.model.structure.initial({name: value[0] for name, value in p.items()})

    def interval(self, x: Array, amount: Answer, j: Array, intake_mg: Array) -> tuple[Outcome, Array]:
        """Play interval ``j``: its outcome, and all outputs ``[grid, output]``."""
        p = self.parameters(j)
        mg = administered(self.scenario, amount, facts_at(self.covariates, j), j)
        mg = mg if self.taken is None else mg * self.taken[j]
        if self.own is not None:
            out = play_with(self.own, x, mg)
        else:
            t_h = j * jnp.asarray(self.scenario.schedule.interval_h, dtype=float)
            out = play(self.model, self.scenario, p, x, mg, t_h, intake_mg=intake_mg, area=self.area)
        values = outputs_at_times(self.model, self.scenario, p, out.at_times)
        if self.disturbance is not None and self.scenario.disturbance is not None:
            t_h = j * jnp.asarray(self.scenario.schedule.interval_h, dtype=float)
            at = self.model.output_index(self.scenario.monitoring.output)
            values = values.at[:, at].add(self.disturbance * disturbance_at(self.scenario, t_h))
        return out, values


def _drifts(model: DrugModel, scenario: Scenario) -> bool:
    names = {c.name for c in model.covariates}
    return bool(names & ({d.name for d in scenario.drifts} | {c.name for c in scenario.clocks}))


class Past(eqx.Module):
    """A patient's simulated history for one set of random effects."""

    contents: Float[Array, " n"]
    area: Float[Array, "*kept"]
    """See `clinic.areas`."""
    predicted: Float[Array, "decision sample"]
    """The monitored output at the sampling times; 0 from now on."""
    baseline: Float[Array, ""]


def past(player: Player, record: Record) -> Past:
    """Simulate the recorded doses up to now."""
    scenario, model = player.scenario, player.model
    at = model.output_index(scenario.monitoring.output)
    slots = jnp.asarray([scenario.schedule.output_times_h.index(t) for t in scenario.monitoring.at_h])
    first = player.initial()
    grid = len(scenario.schedule.output_times_h)
    start = outputs_at_times(
        model, scenario, player.parameters(jnp.zeros((), jnp.int32)), jnp.broadcast_to(first, (grid, first.size))
    )[0, at]

    def step(j: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        x, area, predicted = carry
        out, values = player.interval(x, record.prescription(j), j, record.intake_mg[j])
        return out.contents, added(area, out.area), predicted.at[j].set(values[slots, at])

    contents, area, predicted = jax.lax.fori_loop(
        0, record.k, step, (first, no_area(scenario), jnp.zeros(record.level.shape, dtype=float))
    )
    return Past(contents, area, predicted, start)


def new_results(scenario: Scenario) -> Bool[np.ndarray, " decision"]:
    """Decisions at which the belief is updated: allowed by the scenario, and new results may have arrived."""
    count = results_back(scenario)
    fresh, seen = np.zeros(scenario.schedule.decisions, bool), 0
    for k in range(scenario.schedule.decisions) if scenario.estimated_at is None else scenario.estimated_at:
        fresh[k], seen = count[k] > seen, count[k]
    return fresh


def level_errors(
    model: DrugModel, scenario: Scenario, f: Float[Array, " level"], y: Float[Array, " level"]
) -> tuple[Float[Array, " level"], Float[Array, " level"], Bool[Array, " level"]]:
    """`normal_moments` of levels of the monitored output under the controller's residual error."""
    residual = model.outputs[model.output_index(scenario.monitoring.output)].residual or scenario.monitoring.error
    assert residual is not None
    return normal_moments(residual, f, y)


def estimate(
    model: DrugModel,
    scenario: Scenario,
    record: Record,
    start: Float[Array, " z"],
    *,
    max_evaluations: int = _EVALUATIONS,
    wanted: Bool[Array, ""] | bool = True,
) -> Belief:
    """MAP estimate from a record, by the search of `map_estimate`.

    From the last estimate few evaluations are needed, if the new results agree with it. After others, such as a toxic
    level, the search goes on until it has converged, and starts again elsewhere if it does not.

    Args:
        model: the controller's model.
        scenario: the task.
        record: the patient's record.
        start: initial value: the last estimate.
        max_evaluations: of each of the two descents.
        wanted: see `search`.
    """
    occasions = occasions_of(model, scenario)
    objective, precision, used = _objective(model, scenario, record)
    w = prior_covariance(model, occasions)
    sd, levels = jnp.asarray(np.sqrt(np.diag(w)), dtype=float), jnp.sum(used).astype(start.dtype)

    def moments(z: Array) -> tuple[tuple[Array, Array], Array]:
        eta, kappa = split_latent(model, z, occasions)
        player = Player(model, scenario, record.covariates, eta, kappa if occasions else None, area=False)
        return _moments(model, scenario, past(player, record), record)

    def accept(at: Curvature, z: Array) -> Array:
        return plausible(at, z, sd, levels)

    _, curvature = objective(moments)
    found = search(
        curvature,
        start,
        precision,
        others=jnp.asarray(starting_points(w, _DISTANCES), dtype=float),
        accept=accept,
        tolerance=_TOLERANCE,
        max_evaluations=max_evaluations,
        wanted=wanted,
    )
    good = jnp.all(jnp.isfinite(found.z)) & jnp.isfinite(found.at.value)
    covariance = jnp.linalg.inv(jnp.where(good, found.at.hessian, precision))
    return Belief(jnp.where(good, found.z, start), covariance, found.converged & good)


def log_posterior(
    model: DrugModel, scenario: Scenario, record: Record, z: Float[Array, " z"], seen: "Past"
) -> Float[Array, ""]:
    """Log posterior density at z, up to a constant, from the history simulated with z."""
    objective, _, _ = _objective(model, scenario, record)
    half, _ = objective(lambda _: _moments(model, scenario, seen, record))
    return -half(z)


def _objective(model: DrugModel, scenario: Scenario, record: Record) -> tuple[Callable[..., Any], Array, Array]:
    """`objective_of` for a record, still without its moments; the prior precision; which levels are used."""
    precision = jnp.asarray(np.linalg.inv(prior_covariance(model, occasions_of(model, scenario))), dtype=float)
    used, below = record.known.ravel(), record.below.ravel()
    if scenario.monitoring.baseline:
        used, below = jnp.append(used, record.baseline > 0), jnp.append(below, jnp.asarray(False))
    return partial(objective_of, precision=precision, below=below, used=used), precision, used


def _moments(
    model: DrugModel, scenario: Scenario, seen: "Past", record: Record
) -> tuple[tuple[Float[Array, " level"], Float[Array, " level"]], Bool[Array, " level"]]:
    """((prediction - observation, log variance), lost) of all levels; that before the first dose comes last.

    A level that is not known is 1 here, and not used.
    """
    f, y = seen.predicted.ravel(), jnp.where(record.known, record.level, 1.0).ravel()
    if scenario.monitoring.baseline:
        f, y = jnp.append(f, seen.baseline), jnp.append(y, jnp.where(record.baseline > 0, record.baseline, 1.0))
    error, log_variance, lost = level_errors(model, scenario, f, y)
    return (error, log_variance), lost


def innovations(model: DrugModel, scenario: Scenario, seen: Past, record: Record) -> Float[Array, "decision sample"]:
    """Levels minus predictions, in standard deviations of the residual error; 0 where no level is known."""
    error, log_variance, _ = level_errors(
        model, scenario, seen.predicted.ravel(), jnp.where(record.known, record.level, 1.0).ravel()
    )
    u = (-error * jnp.exp(-0.5 * log_variance)).reshape(record.level.shape)
    return jnp.where(record.known, u, 0.0)
