"""Draws from the posterior, when its Gaussian approximation is not enough.

Proposals come from a multivariate t distribution centred on the maximum, with the scale of the Hessian there. Each is
weighted by posterior over proposal density, and the proposals are resampled by weight (sampling importance resampling,
Rubin 1988). The effective sample size tells whether there were enough proposals.
"""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rl_drug_dosage.pkpd.bayes.evidence import log_joint_constant
from rl_drug_dosage.pkpd.bayes.map import Estimate
from rl_drug_dosage.pkpd.bayes.objective import make_objective, split_latent
from rl_drug_dosage.pkpd.covariates import Covariates
from rl_drug_dosage.pkpd.model import DrugModel
from rl_drug_dosage.pkpd.regimen import Regimen
from rl_drug_dosage.pkpd.residual import Levels
from rl_drug_dosage.utils.kept_programs import returned

__all__ = ["Posterior", "importance_posterior", "laplace_covariance", "laplace_posterior", "point_posterior"]

_DEGREES = 5.0
"""Degrees of freedom of the proposal: its tails are heavier than any posterior under a Gaussian prior."""
_WIDENING = 1.2
"""Scale of the proposal relative to the Gaussian approximation, for posteriors wider than their curvature suggests."""


@returned
class Posterior(eqx.Module):
    """Equally weighted draws of one patient's random effects."""

    eta: Float[Array, "draw eta"]
    kappa: Float[Array, "draw occasion kappa"]
    effective: Float[Array, ""]
    """Effective sample size of the weights, in proposals; do not trust the draws if it is below about 100."""
    log_evidence: Float[Array, ""] | None = None
    """Estimate of ln p(levels), where the draws give one, see `evidence`."""


def laplace_covariance(half_objective: Callable[[Array], Array], z: Float[Array, "z"]) -> Float[Array, "z z"]:
    """Covariance of the Laplace approximation: the inverse of the exact Hessian of OBJ / 2 at its minimum."""
    return jnp.linalg.inv(jax.jacfwd(jax.jacfwd(half_objective))(z))


def point_posterior(estimate: Estimate) -> Posterior:
    """The estimate as a posterior of one draw, for dose searches that use the point estimate only."""
    return Posterior(estimate.eta[None], estimate.kappa[None], jnp.asarray(1.0))


def laplace_posterior(model: DrugModel, estimate: Estimate, key: PRNGKeyArray, *, draws: int = 200) -> Posterior:
    """Draws from the Gaussian centred on the estimate, with its (first-order conditional) covariance."""
    noise = jax.random.normal(key, (draws, estimate.latent.shape[0]))
    z = estimate.latent + noise @ jnp.linalg.cholesky(estimate.covariance).T
    eta, kappa = split_latent(model, z, estimate.kappa.shape[0])
    return Posterior(eta, kappa, jnp.asarray(float(draws)))


def importance_posterior(
    model: DrugModel,
    regimen: Regimen,
    covariates: Covariates,
    levels: Levels,
    estimate: Estimate,
    key: PRNGKeyArray,
    *,
    proposals: int = 2000,
    draws: int = 200,
) -> Posterior:
    """Draws from the exact posterior of one patient, by importance resampling. Pure, works under `vmap`.

    Args:
        model: as in `map_estimate`; so are the next three.
        regimen: one patient's doses.
        covariates: the patient's covariate table.
        levels: the patient's levels.
        estimate: the result of `map_estimate` for this patient.
        key: random key.
        proposals: number of weighted proposals.
        draws: number of draws returned, by systematic resampling.
    """
    occasions = estimate.kappa.shape[0]
    half_objective, _ = make_objective(model, regimen, covariates, levels, occasions)
    size = estimate.latent.shape[0]
    factor = jnp.linalg.cholesky(estimate.covariance)
    for_normal, for_chi, for_draw = jax.random.split(key, 3)
    chi = 2.0 * jax.random.gamma(for_chi, 0.5 * _DEGREES, (proposals, 1))
    standard = jax.random.normal(for_normal, (proposals, size)) * jnp.sqrt(_DEGREES / chi)
    z = estimate.latent + _WIDENING * standard @ factor.T
    log_proposal = -0.5 * (_DEGREES + size) * jnp.log1p(jnp.sum(standard**2, axis=1) / _DEGREES)
    log_weight = -jax.vmap(half_objective)(z) - log_proposal
    log_weight = jnp.where(jnp.isfinite(log_weight), log_weight, -jnp.inf)
    weight = jax.nn.softmax(log_weight)
    positions = (jax.random.uniform(for_draw) + jnp.arange(draws)) / draws
    chosen = jnp.clip(jnp.searchsorted(jnp.cumsum(weight), positions), 0, proposals - 1)
    eta, kappa = split_latent(model, z[chosen], occasions)
    # ln of the mean of p(levels, z) / q(z), with the constants of both densities.
    log_evidence = jax.nn.logsumexp(log_weight) - jnp.log(proposals) - _log_constant(size, factor)
    log_evidence += log_joint_constant(model, levels, occasions)
    return Posterior(eta, kappa, 1.0 / jnp.sum(weight**2), log_evidence)


def _log_constant(size: int, factor: Float[Array, "z z"]) -> Array:
    """Logarithm of the constant of the proposal, a multivariate t density."""
    gammas = math.lgamma(0.5 * (_DEGREES + size)) - math.lgamma(0.5 * _DEGREES)
    constant = gammas - 0.5 * size * math.log(math.pi * _DEGREES) - size * math.log(_WIDENING)
    return constant - jnp.sum(jnp.log(jnp.diagonal(factor)))
