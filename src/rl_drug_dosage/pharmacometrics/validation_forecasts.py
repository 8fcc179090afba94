"""What a model forecasts of every level from the levels before it, for all patients in two compiled programs.

With z the random effects of a patient, and y_1, y_2, ... the levels in the order of time:

    a-priori prediction     f_j(0): covariates and doses only, every random effect 0
    forecast                f_j(z^), z^ the MAP estimate (`pkpd.bayes`) from the levels with an earlier time
    log predictive density  ln p(y_j | y_1 .. y_(j-1)) = ln Z_j - ln Z_(j-1),  Z_k = integral p(y_1 .. y_k | z) p(z) dz

Doses are those that were given, and covariates those that the file has at the level's time. The log densities of a
patient add up to the evidence ln Z of all levels (Dawid 1984, J R Stat Soc A 147:278, prequential). Z_k is computed by
importance sampling: proposals from a multivariate t around the estimate from k levels, of its Laplace scale, widened
(as in `pkpd.bayes.posterior`). The same draws, weighted, give the predictive distribution of the next level:

    PIT_j = P(Y <= y_j | earlier levels),  uniform between 0 and 1 if the model is right

A level below quantification contributes the probability of being below (M3), in the estimate and in the density; its
PIT is that probability. Densities are per unit of the file, so that models with errors on different scales, or in
different units, are compared on one.
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from rl_drug_dosage.pharmacometrics.validation_data import Candidate
from rl_drug_dosage.pharmacometrics.validation_levels import LevelTable
from rl_drug_dosage.pkpd import (
    Covariates,
    DrugModel,
    Levels,
    Regimen,
    RegimenError,
    individual_parameters,
    make_regimen,
    outputs_of,
    solve,
    stack_covariates,
    stack_levels,
    stack_regimens,
)
from rl_drug_dosage.pkpd.bayes import map_estimate, prior_covariance, split_latent
from rl_drug_dosage.pkpd.residual import residual_moments
from rl_drug_dosage.pkpd.timeline import build_timeline, delivery_is_fixed
from rl_drug_dosage.utils.device_shape import device_shape
from rl_drug_dosage.utils.seeding import Stream, generator

__all__ = ["FEW", "Forecasts", "Patients", "forecast", "occasions_of", "outputs_under", "stacked"]

type Patients = tuple[Regimen, Covariates, Levels]

_DRAWS, _DRAWS_ODE = 256, 128
"""Proposals for each patient and number of levels, half of them antithetic; fewer where each is an integration."""
_DEGREES, _WIDENING = 5.0, 1.1
"""Of the proposal: its tails are heavier than those of any posterior under a Gaussian prior."""
_AT_ONCE = 16
"""Patients times numbers of levels whose draws are in memory together on a CPU, see `DeviceShape.batch`."""
FEW = 20.0
"""Effective proposals below which a density is doubtful."""


@dataclass(frozen=True)
class Forecasts:
    """What one model, or an average of models, says of every level of `LevelTable`, in the units of the file."""

    name: str
    apriori: Float[np.ndarray, "level"]
    """Prediction with every random effect 0."""
    forecast: Float[np.ndarray, "level"]
    """Prediction at the estimate from the earlier levels; the a-priori prediction where there is none."""
    log_density: Float[np.ndarray, "level"]
    """Of the level given those before it."""
    pit: Float[np.ndarray, "level"]
    """Probability of a level of at most this, given the earlier levels."""
    effective: Float[np.ndarray, "level"]
    """Effective number of proposals behind ``pit``."""
    doubtful: tuple[str, ...]
    """Patients with an estimate that did not converge or is implausible, see `pkpd.bayes.search`."""


def occasions_of(candidate: Candidate) -> int:
    """Number of occasions with random effects of their own."""
    if not candidate.model.occasion_etas:
        return 0
    return 1 + max(int(np.max(patient.covariates.occasion)) for patient in candidate.patients)


def stacked(candidate: Candidate) -> Patients:
    """The patients of a model as one, padded."""
    return (
        stack_regimens([make_regimen(p.doses, candidate.model.structure) for p in candidate.patients]),
        stack_covariates([p.covariates for p in candidate.patients]),
        stack_levels([p.levels for p in candidate.patients]),
    )


def outputs_under(
    model: DrugModel, regimen: Regimen, covariates: Covariates, levels: Levels, occasions: int
) -> Callable[[Float[Array, "z"]], Float[Array, "level output"]]:
    """All outputs of one patient at each level, as a function of the random effects."""
    times, after = levels.time_h, levels.after_dose

    def parameters(z: Array) -> dict[str, Array]:
        eta, kappa = split_latent(model, z, occasions)
        return individual_parameters(model, covariates, eta, kappa)

    typical = parameters(jnp.zeros(len(model.etas) + occasions * len(model.occasion_etas)))
    fixed = delivery_is_fixed(typical)
    timeline = build_timeline(model.structure, regimen, covariates, typical, times, after) if fixed else None

    def run(z: Array) -> Array:
        p = parameters(z)
        solution = solve(model.structure, p, regimen, covariates, times, after, timeline=timeline)
        return outputs_of(model, p, covariates, solution.contents, times)

    return run


def forecast(candidate: Candidate, table: LevelTable, *, seed: int = 1) -> Forecasts:
    """Forecast every level from those before it.

    Args:
        candidate: the model, with the patients as it reads them.
        table: the levels that count.
        seed: of the proposals.

    Raises:
        RegimenError: a level for which the model has no finite prediction.
    """
    model, occasions = candidate.model, occasions_of(candidate)
    counts = np.bincount(table.patient)
    with jax.enable_x64(True):
        patients = jax.tree.map(jnp.asarray, stacked(candidate))
        order = np.full(patients[2].time_h.shape, 1_000_000)
        order[table.patient, table.place] = table.order
        z, covariance, good = _successive(model, occasions, patients, jnp.asarray(order), jnp.arange(counts.max() + 1))
        # (patient, number of levels known) that there are.
        who = np.repeat(np.arange(counts.size), counts + 1)
        known = np.concatenate([np.arange(n + 1) for n in counts])
        noise = _noise(z.shape[-1], _DRAWS if model.structure.linear else _DRAWS_ODE, seed)
        pairs = (z[known, who], covariance[known, who], jnp.asarray(who), jnp.asarray(known))
        seen = jax.device_get(_looks(model, occasions, patients, jnp.asarray(order), pairs, noise))
        good = np.asarray(good)[known, who]
    return _as_table(candidate, table, counts, seen, [candidate.patients[i].name for i in who[~good]])


@functools.partial(jax.jit, static_argnums=(0, 1))
def _successive(
    model: DrugModel,
    occasions: int,
    patients: Patients,
    order: Int[Array, "patient level"],
    known: Int[Array, "step"],
) -> tuple[Array, Array, Array]:
    """MAP estimates of every patient from the first 0, 1, 2, ... levels, each starting where the last one ended."""

    def one(own: Patients, place: Array, start: Array, count: Array) -> tuple[Array, Array, Array]:
        regimen, covariates, levels = own
        seen = eqx.tree_at(lambda tree: tree.used, levels, levels.used & (place < count))
        found = map_estimate(model, regimen, covariates, seen, occasions=occasions, start=start)
        return found.latent, found.covariance, found.converged & found.plausible

    def step(start: Array, count: Array) -> tuple[Array, tuple[Array, Array, Array]]:
        z, covariance, good = jax.vmap(one, in_axes=(0, 0, 0, None))(patients, order, start, count)
        return jnp.where(good[:, None], z, 0.0), (z, covariance, good)

    size = len(model.etas) + occasions * len(model.occasion_etas)
    return jax.lax.scan(step, jnp.zeros((order.shape[0], size)), known)[1]


def _noise(size: int, draws: int, seed: int) -> tuple[Float[np.ndarray, "draw z"], Float[np.ndarray, "draw"]]:
    """Standard t vectors in antithetic pairs, and their log densities."""
    rng = generator(seed, Stream.EVALUATE, 0)
    half = rng.standard_normal((draws // 2, size)) * np.sqrt(_DEGREES / rng.chisquare(_DEGREES, (draws // 2, 1)))
    noise = np.concatenate([half, -half])
    constant = math.lgamma((_DEGREES + size) / 2) - math.lgamma(_DEGREES / 2) - size / 2 * math.log(_DEGREES * math.pi)
    return noise, constant - 0.5 * (_DEGREES + size) * np.log1p(np.sum(noise**2, axis=1) / _DEGREES)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _looks(
    model: DrugModel,
    occasions: int,
    patients: Patients,
    order: Int[Array, "patient level"],
    pairs: tuple[Array, Array, Array, Array],
    noise: tuple[Array, Array],
) -> tuple[Array, Array, Array, Array]:
    """`_look` for pairs of a patient and a number of known levels: estimate, its covariance, patient, number."""

    def one(pair: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        at, spread, patient, count = pair
        own = jax.tree.map(lambda leaf: leaf[patient], patients)
        return _look(model, occasions, own, order[patient] < count, at, spread, noise)

    return jax.lax.map(one, pairs, batch_size=device_shape().batch(_AT_ONCE))


def _look(
    model: DrugModel,
    occasions: int,
    patient: Patients,
    known: Array,
    z: Float[Array, "z"],
    covariance: Float[Array, "z z"],
    noise: tuple[Array, Array],
) -> tuple[Array, Array, Array, Array]:
    """Log evidence of the known levels, effective proposals, and prediction and PIT of every level."""
    regimen, covariates, levels = patient
    standard, log_standard = noise
    prior = prior_covariance(model, occasions)
    factor = jnp.linalg.cholesky(covariance)
    factor = _WIDENING * jnp.where(jnp.all(jnp.isfinite(factor)), factor, np.linalg.cholesky(prior))
    draws = z + standard @ factor.T
    f = jax.vmap(outputs_under(model, regimen, covariates, levels, occasions))(jnp.concatenate([z[None], draws]))
    best = jnp.take_along_axis(f[0], levels.output[:, None], axis=1)[:, 0]
    y, above = levels.value, jnp.zeros_like(levels.below) if levels.above is None else levels.above

    def likelihood(outputs: Array) -> tuple[Array, Array]:
        error, log_variance, _ = residual_moments(model, levels.output, outputs, y, levels.weight)
        u = -error * jnp.exp(-0.5 * log_variance)
        outside = jax.scipy.stats.norm.logcdf(jnp.where(above, -u, u))
        return jnp.where(levels.censored, outside, -0.5 * (math.log(2 * math.pi) + log_variance + u * u)), u

    log_likelihood, u = jax.vmap(likelihood)(f[1:])
    quadratic = jnp.sum((draws @ np.linalg.inv(prior)) * draws, axis=1)
    log_prior = -0.5 * (quadratic + np.linalg.slogdet(2.0 * math.pi * prior)[1])
    log_proposal = log_standard - jnp.sum(jnp.log(jnp.diagonal(factor)))
    log_weight = jnp.sum(jnp.where(known & levels.used, log_likelihood, 0.0), axis=1) + log_prior - log_proposal
    log_weight = jnp.where(jnp.isfinite(log_weight), log_weight, -jnp.inf)
    weight = jax.nn.softmax(log_weight)
    below = jax.scipy.stats.norm.cdf(u)
    pit = weight @ jnp.where(jnp.isfinite(below), below, 0.0)
    evidence = jax.nn.logsumexp(log_weight) - math.log(standard.shape[0])
    evidence = jnp.where(jnp.any(known & levels.used), evidence, 0.0)
    return evidence, 1.0 / jnp.sum(weight**2), best, pit


def _as_table(
    candidate: Candidate,
    table: LevelTable,
    counts: Int[np.ndarray, "patient"],
    seen: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    doubtful: Sequence[str],
) -> Forecasts:
    """Of all pairs, what concerns each level: the pair of its patient and the number of levels before it."""
    evidence, effective, best, pit = seen
    first = np.concatenate([[0], np.cumsum(counts + 1)])[table.patient]
    log_density = evidence[first + table.order + 1] - evidence[first + table.order]
    written = [
        output.residual is not None and output.residual.kind == "lognormal" for output in candidate.model.outputs
    ]
    own = np.concatenate([p.levels.output[p.levels.used] for p in candidate.patients])
    inside = table.side == 0
    # From the density of a logarithm, or per unit of the model, to that per unit of the file.
    per_unit = np.where(np.asarray(written)[own], 1.0 / np.where(table.number, table.value, 1.0), candidate.factor)
    log_density = log_density + np.where(inside, np.log(per_unit), 0.0)
    at = first + table.earlier
    _refuse_no_prediction(candidate, table, np.isfinite(best[at, table.place]) & np.isfinite(log_density))
    return Forecasts(
        name=candidate.name,
        apriori=best[first, table.place] / candidate.factor,
        forecast=best[at, table.place] / candidate.factor,
        log_density=log_density,
        pit=pit[at, table.place],
        effective=effective[at],
        doubtful=tuple(dict.fromkeys(doubtful)),
    )


def _refuse_no_prediction(candidate: Candidate, table: LevelTable, finite: Bool[np.ndarray, "level"]) -> None:
    """Refuse a prediction that is no number, which a steady state that is never reached leaves behind.

    Raises:
        RegimenError: names patient and time.
    """
    if finite.all():
        return
    i = int(np.flatnonzero(~finite)[0])
    raise RegimenError(
        f"patient {candidate.patients[table.patient[i]].name}: {candidate.name} has no finite prediction at "
        f"{table.hours[i]:g} h; check amounts and times (a steady state exists only if more can be eliminated than is "
        "given)"
    )
