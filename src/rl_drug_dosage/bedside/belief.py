"""What one model believes of one patient: the estimate, and draws from the exact posterior.

Proposals from a t distribution around the MAP estimate, with the covariance of its Laplace approximation, are
reweighted by the exact posterior density and resampled (`pkpd.bayes.posterior`). Where few of them bear the weight,
random-walk Metropolis steps spread the draws again: they leave the posterior as it is. The kappas of the next occasion
are drawn from their own distribution.
"""

import itertools
import math
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from rl_drug_dosage.bedside.layout import Laid, size_class
from rl_drug_dosage.pkpd import (
    Covariates,
    DrugModel,
    Levels,
    Regimen,
    check_parameters,
    individual_parameters,
    make_regimen,
    occasion_omega,
    outputs_of,
    refuse_levels_before_doses,
    solve,
)
from rl_drug_dosage.pkpd.bayes import Estimate, map_estimate, prior_covariance, split_latent
from rl_drug_dosage.pkpd.bayes.library_patient import level_log_likelihoods
from rl_drug_dosage.pkpd.population import square_root
from rl_drug_dosage.utils.kept_programs import Kept, returned

__all__ = ["Belief", "believe"]

_PROPOSALS = 4
"""Proposals for each draw."""
_FEW = 100.0
"""Effective proposals below which draws are moved."""
_STEPS = 24
"""Metropolis steps of each draw."""
_DEGREES, _WIDENING = 5.0, 1.2
"""Degrees of freedom and scale of the proposals: their tails are heavier than the posterior's."""
_MOST_CHI = 60.0
"""Chi squared of 5 degrees of freedom is larger once in 10^11."""
_STEP = 0.02
"""Of second differences, in standard deviations of the estimate."""

type _Drawn = tuple[
    Float[Array, "draw z"], Float[Array, "draw"], Float[Array, "draw level"], Float[Array, "draw level"]
]
"""Random effects, ln p(levels, z), its part from each level, and the predictions."""


@returned
class Believed(eqx.Module):
    """What the compiled program returns; of draws, the point estimate is the first."""

    estimate: Estimate
    eta: Float[Array, "draw eta"]
    kappa: Float[Array, "draw occasion kappa"]
    """The last occasion is the next one."""
    effective: Float[Array, ""]
    log_evidence: Float[Array, ""]
    laplace_log_evidence: Float[Array, ""]
    log_likelihood: Float[Array, "draw level"]
    predicted: Float[Array, "draw level"]
    typical: dict[str, Float[Array, "record"]]
    parameters: dict[str, Float[Array, "record"]]
    minimum: Bool[Array, ""]


@dataclass(frozen=True)
class Belief:
    """One model's belief.

    Args:
        model: which.
        laid: the history as it reads it.
        regimen: the doses so far, padded.
        found: arrays of NumPy, the point estimate first.
        sd: prior standard deviations of the stacked random effects.
    """

    model: DrugModel
    laid: Laid
    regimen: Regimen
    found: Believed
    sd: Float[np.ndarray, "z"]

    @property
    def effective(self) -> float:
        """Proposals that the draws rest on."""
        return float(self.found.effective)

    @property
    def log_evidence(self) -> float:
        """Ln p(levels | model): from the proposals, or by Laplace's approximation where too few bear it."""
        enough = self.effective >= _FEW and np.isfinite(self.found.log_evidence)
        return float(self.found.log_evidence if enough else self.found.laplace_log_evidence)

    @property
    def few(self) -> bool:
        """Whether the draws rest on few proposals, and were moved."""
        return self.effective < _FEW

    @property
    def sound(self) -> bool:
        """Whether the estimate has converged at a minimum that the model can explain."""
        estimate = self.found.estimate
        return bool(estimate.converged) and bool(estimate.plausible) and bool(self.found.minimum)


def believe(model: DrugModel, laid: Laid, *, draws: int, seed: int) -> Belief:
    """Estimate one patient and draw from the posterior. Inside `jax.enable_x64`.

    Args:
        model: the drug.
        laid: the history.
        draws: how many.
        seed: of the draws.

    Raises:
        CovariateError: covariates under which a parameter is not positive or not finite.
        ObservationError: a level before the first dose.
        RegimenError: a dose that the engine refuses.
    """
    regimen = make_regimen(laid.doses, model.structure, rows=size_class(len(laid.doses)))
    refuse_levels_before_doses(laid.levels, regimen, model)
    key = jax.random.key(seed)
    own = (model, laid.occasions, draws, regimen, laid.covariates, laid.levels, key)
    found: Believed = jax.device_get(_BELIEVED(*own))
    values = laid.covariates.values
    check_parameters(model, found.typical, values, ["the patient"])
    check_parameters(model, found.parameters, values, ["the patient, at the estimate"])
    sd = np.sqrt(np.diag(prior_covariance(model, laid.occasions)))
    return Belief(model, laid, regimen, found, sd)


def _believed(
    model: DrugModel,
    occasions: int,
    draws: int,
    regimen: Regimen,
    covariates: Covariates,
    levels: Levels,
    key: PRNGKeyArray,
) -> Believed:
    keys = jax.random.split(key, 5)
    estimate = map_estimate(model, regimen, covariates, levels, occasions=occasions)
    z0, spread = estimate.latent, jnp.linalg.cholesky(estimate.covariance)
    density = partial(_density, model, occasions, regimen, covariates, levels)
    standard, log_proposal = _standard(keys[0], keys[1], _evenly(_PROPOSALS * draws, z0.shape[0]))
    # Estimate, stencil and proposals in one batch: one solver to compile.
    stencil = _stencil(z0.shape[0])
    points = z0 + jnp.concatenate([jnp.zeros((1, z0.shape[0])), stencil, _WIDENING * standard]) @ spread.T
    height, log_likelihood, predicted = jax.vmap(density)(points)
    first = 1 + stencil.shape[0]
    hessian = _hessian(height[:first], z0.shape[0])
    log_spread = jnp.sum(jnp.log(jnp.diagonal(spread)))
    log_weight = height[first:] - (log_proposal - z0.shape[0] * math.log(_WIDENING) - log_spread)
    log_weight = jnp.where(jnp.isfinite(log_weight), log_weight, -jnp.inf)
    weight = jax.nn.softmax(log_weight)
    places = (jax.random.uniform(keys[2]) + jnp.arange(draws)) / draws
    # In the order of the first random effect, mostly clearance's, of which draws then take even steps.
    order = jnp.argsort(standard[:, 0])
    at = jnp.searchsorted(jnp.cumsum(weight[order]), places)
    chosen = first + order[jnp.clip(at, 0, weight.shape[0] - 1)]
    effective = 1.0 / jnp.sum(weight**2)
    own = (points[chosen], height[chosen], log_likelihood[chosen], predicted[chosen])
    own = jax.lax.cond(effective < _FEW, lambda it: _moved(density, it, spread, keys[3]), lambda it: it, own)
    z, _, log_likelihood, predicted = jax.tree.map(
        lambda point, drawn: jnp.concatenate([point[:1], drawn]), (points, height, log_likelihood, predicted), own
    )
    eta, kappa = split_latent(model, z, occasions)
    factor = jnp.asarray(square_root(occasion_omega(model)), dtype=float)
    following = (jax.random.normal(keys[4], (draws + 1, factor.shape[0])) @ factor.T).at[0].set(0.0)
    laplace = height[0] + 0.5 * (z0.shape[0] * math.log(2 * math.pi) - jnp.linalg.slogdet(hessian)[1]) + log_spread
    minimum = jnp.all(jnp.linalg.eigvalsh(hessian) > 0)
    return Believed(
        estimate=estimate,
        eta=eta,
        kappa=jnp.concatenate([kappa, following[:, None]], axis=1),
        effective=effective,
        log_evidence=jax.nn.logsumexp(log_weight) - math.log(_PROPOSALS * draws),
        laplace_log_evidence=jnp.where(minimum, laplace, jnp.nan),
        log_likelihood=log_likelihood,
        predicted=predicted,
        typical=dict(individual_parameters(model, covariates, jnp.zeros(len(model.etas)))),
        parameters=dict(individual_parameters(model, covariates, estimate.eta, estimate.kappa)),
        minimum=minimum,
    )


_BELIEVED = Kept(_believed)


def _density(
    model: DrugModel,
    occasions: int,
    regimen: Regimen,
    covariates: Covariates,
    levels: Levels,
    z: Float[Array, "z"],
) -> tuple[Float[Array, ""], Float[Array, "level"], Float[Array, "level"]]:
    """Ln p(levels, z), its part from each level, and the predictions."""
    prior = prior_covariance(model, occasions)
    p = individual_parameters(model, covariates, *split_latent(model, z, occasions))
    contents = solve(model.structure, p, regimen, covariates, levels.time_h, levels.after_dose).contents
    f = outputs_of(model, p, covariates, contents, levels.time_h)
    own = jnp.take_along_axis(f, jnp.asarray(levels.output)[:, None], axis=1)[:, 0]
    each = level_log_likelihoods(model, f, levels)
    constant = 0.5 * float(np.linalg.slogdet(prior)[1]) + 0.5 * len(prior) * math.log(2 * math.pi)
    of_prior = -0.5 * z @ jnp.asarray(np.linalg.inv(prior), dtype=float) @ z - constant
    return jnp.sum(each) + of_prior, each, own


@cache
def _evenly(count: int, size: int) -> tuple[Float[np.ndarray, "proposal z"], Float[np.ndarray, "proposal"]]:
    """Points that fill the unit cube evenly, and as many quantiles of chi squared.

    Means of even points err less than those of random ones, so that a recommendation hangs less on the seed. The points
    are multiples, modulo 1, of powers of 1 / r with r^(size + 1) = r + 1 (a Kronecker sequence with the generalised
    golden ratio: Roberts M. The unreasonable effectiveness of quasirandom sequences, 2018).
    """
    ratio = 2.0
    for _ in range(60):
        ratio = (1.0 + ratio) ** (1.0 / (size + 1))
    points = np.outer(np.arange(1, count + 1), ratio ** -np.arange(1.0, size + 1)) % 1.0
    values: Float[np.ndarray, place] = np.linspace(0.0, _MOST_CHI, 20_001)
    # The distribution function of chi squared with 5 degrees of freedom.
    erf = np.asarray([math.erf(x) for x in np.sqrt(0.5 * values)])
    share = erf - np.sqrt(2.0 * values / np.pi) * np.exp(-0.5 * values) * (1.0 + values / 3.0)
    return points, np.interp((np.arange(count) + 0.5) / count, share, values)


def _standard(
    for_shift: PRNGKeyArray,
    for_chi: PRNGKeyArray,
    evenly: tuple[Float[np.ndarray, "proposal z"], Float[np.ndarray, "proposal"]],
) -> tuple[Float[Array, "proposal z"], Float[Array, "proposal"]]:
    """Draws of a multivariate t distribution of unit scale, and their log density.

    The even points are shifted at random, modulo 1 (Cranley and Patterson 1976), so that each is uniform.
    """
    points, quantiles = evenly
    size = points.shape[1]
    chi = jax.random.permutation(for_chi, jnp.asarray(quantiles))[:, None]
    # Half a step of float32 away from 0 and 1, whose normal quantiles are infinite.
    uniform = jnp.clip((points + jax.random.uniform(for_shift, (size,), points.dtype)) % 1.0, 3e-8, 1.0 - 3e-8)
    drawn = jax.scipy.special.ndtri(uniform) * jnp.sqrt(_DEGREES / chi)
    constant = math.lgamma(0.5 * (_DEGREES + size)) - math.lgamma(0.5 * _DEGREES)
    constant -= 0.5 * size * math.log(math.pi * _DEGREES)
    return drawn, constant - 0.5 * (_DEGREES + size) * jnp.log1p(jnp.sum(drawn**2, axis=1) / _DEGREES)


def _stencil(size: int) -> Float[np.ndarray, "point z"]:
    """Points around 0 for second differences: +-h e_i, then +-h (e_i + e_j)."""
    unit = np.eye(size)
    pairs = [unit[i] + unit[j] for i, j in itertools.combinations(range(size), 2)]
    steps = _STEP * np.asarray([*unit, *pairs])
    return np.concatenate([steps, -steps])


def _hessian(height: Float[Array, "point"], size: int) -> Float[Array, "z z"]:
    """The Hessian of -ln p(levels, z), in units of the estimate's covariance, from its values on the stencil."""
    ahead, behind = jnp.split(height[1:], 2)
    bend = -(ahead + behind - 2.0 * height[0]) / _STEP**2
    hessian = jnp.diag(bend[:size])
    for at, (i, j) in enumerate(itertools.combinations(range(size), 2)):
        mixed = 0.5 * (bend[size + at] - bend[i] - bend[j])
        hessian = hessian.at[i, j].set(mixed).at[j, i].set(mixed)
    return hessian


def _moved(density: Any, own: _Drawn, spread: Float[Array, "z z"], key: PRNGKeyArray) -> _Drawn:
    """Random-walk Metropolis, with 2.38 / sqrt(n) of the estimate's covariance (Roberts 1997)."""
    scale = 2.38 / own[0].shape[1] ** 0.5

    def step(state: _Drawn, each: PRNGKeyArray) -> tuple[_Drawn, None]:
        for_step, for_choice = jax.random.split(each)
        trial = state[0] + scale * jax.random.normal(for_step, state[0].shape) @ spread.T
        other = (trial, *jax.vmap(density)(trial))
        accept = jnp.log(jax.random.uniform(for_choice, state[1].shape)) < other[1] - state[1]
        return tuple(  # type: ignore[return-value]
            jnp.where(accept.reshape((-1, *[1] * (new.ndim - 1))), new, old)
            for new, old in zip(other, state, strict=True)
        ), None

    return jax.lax.scan(step, own, jax.random.split(key, _STEPS))[0]
