"""How well a model predicted a patient's levels: the evidence ln p(levels | model), and weights of models by it.

With OBJ as in `objective` (z the random effects, W their prior covariance), n measured levels that are not outside the
limits of quantification, and q random effects, the joint density of levels and random effects is

    -2 ln p(y, z) = OBJ(z) + n ln 2 pi + 2 sum ln y (log-normal errors only) + ln det W + q ln 2 pi

Levels outside the limits enter by their probability (M3), which has no constant. The second sum turns the density of
ln y into that of y, without which models with different kinds of error could not be compared. Laplace's approximation
replaces the integral over z by that of the Gaussian with the same maximum and curvature:

    ln p(y) = -1/2 [OBJ(z^) + ln det W + ln det H + n ln 2 pi + 2 sum ln y],   H the Hessian of OBJ / 2 at z^

H is the exact Hessian here, not the first-order conditional one behind NONMEM's OBJ_i. The density has the unit of the
levels to the power -n: evidence is comparable only between models that read the same levels in the same unit.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rl_drug_dosage.pkpd.bayes.map import Estimate
from rl_drug_dosage.pkpd.bayes.objective import make_objective, prior_covariance
from rl_drug_dosage.pkpd.bayes.search import scaled_hessian
from rl_drug_dosage.pkpd.covariates import Covariates
from rl_drug_dosage.pkpd.model import DrugModel
from rl_drug_dosage.pkpd.regimen import Regimen
from rl_drug_dosage.pkpd.residual import Levels

__all__ = [
    "laplace_log_evidence",
    "log_density_constants",
    "log_joint_constant",
    "model_weights",
]


def log_density_constants(model: DrugModel, levels: Levels) -> Float[Array, "level"]:
    """What has to be added to -OBJ / 2 of each level for the logarithm of its density: -1/2 ln 2 pi, and -ln y.

    The second for outputs with a log-normal error. 0 for levels that are not used or outside quantification.
    """
    lognormal = [o.residual is not None and o.residual.kind == "lognormal" for o in model.outputs]
    value = jnp.asarray(levels.value, dtype=float)
    of_log = jnp.where(jnp.asarray(lognormal)[levels.output], -jnp.log(jnp.where(value > 0, value, 1.0)), 0.0)
    seen = jnp.asarray(levels.used) & ~jnp.asarray(levels.censored)
    return jnp.where(seen, of_log - 0.5 * math.log(2.0 * math.pi), 0.0)


def log_joint_constant(model: DrugModel, levels: Levels, occasions: int) -> Float[Array, ""]:
    """What is ln p(levels, z) + OBJ(z) / 2, which does not depend on z."""
    prior = prior_covariance(model, occasions)
    of_prior = 0.5 * float(np.linalg.slogdet(prior)[1]) + 0.5 * len(prior) * math.log(2.0 * math.pi)
    return jnp.sum(log_density_constants(model, levels)) - of_prior


def laplace_log_evidence(
    model: DrugModel, regimen: Regimen, covariates: Covariates, levels: Levels, estimate: Estimate
) -> Float[Array, ""]:
    """Log evidence ln p(levels) by Laplace's approximation; in 1 / (unit of a level)^n. Pure, works under `vmap`.

    Args:
        model: static.
        regimen: one patient's doses.
        covariates: the patient's covariate table.
        levels: the patient's levels.
        estimate: the result of `map_estimate` for this patient.

    Returns:
        The evidence; not a number where OBJ has no minimum at the estimate.
    """
    occasions = estimate.kappa.shape[0]
    _, curvature = make_objective(model, regimen, covariates, levels, occasions)
    bend = scaled_hessian(lambda z: curvature(z).gradient, estimate.latent, estimate.covariance)
    sign, log_det = jnp.linalg.slogdet(bend)
    minimum = jnp.all(jnp.linalg.eigvalsh(bend) > 0) & (sign > 0)
    half_log_det_hessian = 0.5 * (log_det - jnp.linalg.slogdet(estimate.covariance)[1])
    of_gaussian = 0.5 * estimate.latent.shape[0] * math.log(2.0 * math.pi) - half_log_det_hessian
    found = log_joint_constant(model, levels, occasions) - 0.5 * estimate.objective + of_gaussian
    return jnp.where(minimum, found, jnp.nan)


def model_weights(
    log_evidence: Float[Array, "*patients model"], prior: Float[Array, "model"]
) -> Float[Array, "*patients model"]:
    """Posterior probabilities of models: prior probability times evidence, scaled to sum to 1.

    Args:
        log_evidence: of each model, from the same levels in the same unit.
        prior: weights > 0 before the levels; their sum does not matter.

    Returns:
        The weights; not a number where an evidence is not one.
    """
    return jax.nn.softmax(log_evidence + jnp.log(prior), axis=-1)
