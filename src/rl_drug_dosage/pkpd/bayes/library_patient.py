"""One patient on a library of support patients: likelihoods of the levels, and draws from the posterior."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from rl_drug_dosage.pkpd.bayes.evidence import log_density_constants
from rl_drug_dosage.pkpd.bayes.library import Library, draw_library, learn, resampled, weighed
from rl_drug_dosage.pkpd.bayes.objective import prior_covariance, split_latent
from rl_drug_dosage.pkpd.bayes.posterior import Posterior
from rl_drug_dosage.pkpd.covariates import Covariates
from rl_drug_dosage.pkpd.model import DrugModel
from rl_drug_dosage.pkpd.population import individual_parameters
from rl_drug_dosage.pkpd.regimen import Regimen
from rl_drug_dosage.pkpd.residual import Levels, residual_moments
from rl_drug_dosage.pkpd.simulate import outputs_of, solve
from rl_drug_dosage.pkpd.timeline import build_timeline, delivery_is_fixed

__all__ = ["level_log_likelihoods", "library_posterior", "make_log_likelihoods", "prior_factor"]

_FLOOR = -1e9
"""Log-likelihood of a level that a support patient cannot have, or whose prediction is not finite."""


def prior_factor(model: DrugModel, occasions: int) -> Float[np.ndarray, "z z"]:
    """L with L L' = W, which turns x into random effects: z = L x.

    Raises:
        DrugModelError: a random effect with variance 0.
    """
    return np.linalg.cholesky(prior_covariance(model, occasions))


def level_log_likelihoods(
    model: DrugModel, predicted: Float[Array, "level output"], levels: Levels
) -> Float[Array, "level"]:
    """Log density ln p(level | prediction) of each level, in 1 / unit of the level; 0 for levels that are not used.

    Args:
        model: whose residual errors are used.
        predicted: every output at every level.
        levels: the levels; those outside the limits of quantification count by their probability (M3).
    """
    y = jnp.asarray(levels.value, dtype=float)
    error, log_variance, _ = residual_moments(model, levels.output, predicted, y, levels.weight)
    u = -error * jnp.exp(-0.5 * log_variance)
    seen = log_density_constants(model, levels) - 0.5 * (log_variance + u * u)
    side = 1.0 if levels.above is None else jnp.where(jnp.asarray(levels.above), -1.0, 1.0)
    found = jnp.where(jnp.asarray(levels.censored), jax.scipy.stats.norm.logcdf(side * u), seen)
    found = jnp.where(jnp.isfinite(found), jnp.maximum(found, _FLOOR), _FLOOR)
    return jnp.where(jnp.asarray(levels.used), found, 0.0)


def make_log_likelihoods(
    model: DrugModel, regimen: Regimen, covariates: Covariates, levels: Levels, occasions: int
) -> Callable[[Float[Array, "z"]], Float[Array, "level"]]:
    """Log density ln p(level | x) of every level, as a function of the random effects in units of the prior.

    Args:
        model: static.
        regimen: one patient's doses.
        covariates: the patient's covariate table.
        levels: the patient's levels.
        occasions: how many occasions have kappas; static.
    """
    factor = jnp.asarray(prior_factor(model, occasions), dtype=float)

    def parameters(z: Array) -> dict[str, Array]:
        return individual_parameters(model, covariates, *split_latent(model, z, occasions))

    typical = parameters(jnp.zeros(factor.shape[0]))
    timeline = None
    if delivery_is_fixed(typical):
        timeline = build_timeline(model.structure, regimen, covariates, typical, levels.time_h, levels.after_dose)

    def of(x: Array) -> Array:
        p = parameters(factor @ x)
        solution = solve(model.structure, p, regimen, covariates, levels.time_h, levels.after_dose, timeline=timeline)
        return level_log_likelihoods(model, outputs_of(model, p, covariates, solution.contents, levels.time_h), levels)

    return of


def library_posterior(
    model: DrugModel,
    regimen: Regimen,
    covariates: Covariates,
    levels: Levels,
    occasions: int,
    key: PRNGKeyArray,
    *,
    size: int = 4096,
    draws: int = 1000,
) -> tuple[Posterior, Library, Float[Array, ""]]:
    """Draws from the exact posterior of one patient on a library; no estimate is needed. Pure, works under `vmap`.

    Args:
        model: static.
        regimen: one patient's doses.
        covariates: the patient's covariate table.
        levels: the patient's levels.
        occasions: how many occasions have kappas; static.
        key: random key.
        size: number of support patients from the prior; a quarter of them are moved, where moves are needed.
        draws: number of draws returned.

    Returns:
        The draws, with the effective sample size they rest on; the library after all levels; and the effective sample
        size that the support patients from the prior would have had without any move.
    """
    occasions = occasions if model.occasion_etas else 0
    for_prior, for_moves, for_draws = jax.random.split(key, 3)
    factor = jnp.asarray(prior_factor(model, occasions), dtype=float)
    run = make_log_likelihoods(model, regimen, covariates, levels, occasions)
    library = draw_library(factor.shape[0], levels.time_h.shape[0], for_prior, size=size)
    library = eqx.tree_at(lambda it: it.log_likelihood, library, jax.vmap(run)(library.x))
    power = jnp.asarray(levels.used, dtype=library.x.dtype)
    unmoved = weighed(library, power)
    count, bound = size // 4, size / 8.0
    known = learn(library, run, power, for_moves, bound=bound, count=count)
    # Where the prior's support patients are enough, all of them are used.
    enough = known.moves == 0
    pool = jnp.where(enough, unmoved.effective, known.effective)
    first, second = resampled(unmoved, for_draws, draws), resampled(known, for_draws, draws)
    eta, kappa = split_latent(model, jnp.where(enough, first.x, second.x) @ factor.T, occasions)
    complete = jnp.all(known.power == power)
    effective = jnp.where(complete, pool, 0.0)
    evidence = jnp.where(enough, unmoved.log_evidence, known.log_evidence)
    return Posterior(eta, kappa, effective, evidence), known, unmoved.effective
