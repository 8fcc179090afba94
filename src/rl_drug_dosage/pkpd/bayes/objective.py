"""The log posterior of a patient's random effects: NONMEM's conditional objective.

With z the stacked random effects (eta, then one kappa per estimated occasion), prior covariance W (omega, then one
block of occasion omega per occasion), predictions f(z), residual variances v(f(z)) and levels y,

    OBJ(z) = sum [ln v + (y - f)^2 / v] + z' W^-1 z                                   (= -2 log posterior + constant)

Levels below quantification contribute -2 ln Phi((L - f) / sqrt v) instead (M3), levels above it
-2 ln Phi((f - U) / sqrt v). v is evaluated at z (interaction), and divided by the weight of a level that has one. The
Gauss-Newton Hessian of OBJ / 2 used throughout, with a = df/dz and c = d ln v/dz, is the first-order conditional one,

    H(z) = W^-1 + sum [a a' / v + c c' / 2]       (M3: + m (m + u) du du', u = (L - f)/sqrt v, m = phi(u)/Phi(u))

whose inverse at the maximum is NONMEM's ETC (FOCE with interaction), and the individual objective that NONMEM prints is

    OBJ_i = OBJ(z^) + ln det W - ln det ETC = OBJ(z^) + ln det W + ln det H(z^)

Occasions that are not estimated (future ones) have kappa = 0. A flattened prior (`prior`) has W / weight for W here.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from rl_drug_dosage.pkpd._errors import DrugModelError
from rl_drug_dosage.pkpd.covariates import Covariates
from rl_drug_dosage.pkpd.model import DrugModel
from rl_drug_dosage.pkpd.population import individual_parameters, occasion_omega, omega
from rl_drug_dosage.pkpd.regimen import Regimen
from rl_drug_dosage.pkpd.residual import Levels, residual_moments
from rl_drug_dosage.pkpd.simulate import outputs_of, solve
from rl_drug_dosage.pkpd.timeline import build_timeline, delivery_is_fixed

__all__ = ["Curvature", "latent_size", "make_objective", "objective_of", "prior_covariance", "split_latent"]


class Curvature(eqx.Module):
    """OBJ / 2 at a point: value, gradient, Gauss-Newton Hessians."""

    value: Float[Array, ""]
    gradient: Float[Array, "z"]
    hessian: Float[Array, "z z"]
    """H, the first-order conditional one: expected over levels at z."""
    bend: Float[Array, "z z"]
    """W^-1 + sum [du du' + c c' / 2], which takes the levels as they are, for steps. Both are equal where predictions
    meet the levels; far from them H is many times too small if the error is proportional, and its steps too long."""
    misfit: Float[Array, ""]
    """sum u^2 + z' W^-1 z, with -2 ln Phi(u) for levels below quantification: the part of OBJ that is at least 0. At
    the minimum it is about chi-squared, with a degree of freedom for each level, if the model is right."""
    lost: Int[Array, ""]
    """Number of levels that are predicted to be 0 and were measured, see `normal_moments`."""


def latent_size(model: DrugModel, occasions: int) -> int:
    """Number of random effects: etas and ``occasions`` rows of kappas."""
    return len(model.etas) + occasions * len(model.occasion_etas)


def split_latent(
    model: DrugModel, z: Float[Array, "... z"], occasions: int
) -> tuple[Float[Array, "... eta"], Float[Array, "... occasion kappa"]]:
    """Eta and kappa out of z."""
    etas = len(model.etas)
    return z[..., :etas], z[..., etas:].reshape((*z.shape[:-1], occasions, len(model.occasion_etas)))


def prior_covariance(model: DrugModel, occasions: int) -> Float[np.ndarray, "z z"]:
    """W, block-diagonal.

    Raises:
        DrugModelError: W is singular (an eta with variance 0), so that eta cannot be estimated.
    """
    blocks = [omega(model), *([occasion_omega(model)] * occasions)]
    size = sum(block.shape[0] for block in blocks)
    w, at = np.zeros((size, size)), 0
    for block in blocks:
        w[at : at + block.shape[0], at : at + block.shape[0]] = block
        at += block.shape[0]
    if size == 0 or np.linalg.eigvalsh(w).min() <= 0:
        raise DrugModelError(f"drug {model.name!r}: omega is empty or singular: estimation needs variances > 0")
    return w


def make_objective(
    model: DrugModel,
    regimen: Regimen,
    covariates: Covariates,
    levels: Levels,
    occasions: int,
) -> tuple[Callable[[Float[Array, "z"]], Float[Array, ""]], Callable[[Float[Array, "z"]], Curvature]]:
    """OBJ / 2 of one patient as a function of z, and the same with gradient and Gauss-Newton Hessian.

    The first can be differentiated directly. The second costs one solution of the model with its tangents.
    """
    precision = jnp.asarray(np.linalg.inv(prior_covariance(model, occasions)), dtype=float)
    y, below, used = (jnp.asarray(a) for a in (levels.value, levels.below, levels.used))
    y = jnp.asarray(y, dtype=float)
    empty = jnp.zeros(latent_size(model, occasions))

    def parameters(z: Array) -> dict[str, Array]:
        eta, kappa = split_latent(model, z, occasions)
        return individual_parameters(model, covariates, eta, kappa)

    typical = parameters(empty)
    timeline = None
    if delivery_is_fixed(typical):
        timeline = build_timeline(model.structure, regimen, covariates, typical, levels.time_h, levels.after_dose)

    def moments(z: Array) -> tuple[tuple[Array, Array], Array]:
        p = parameters(z)
        solution = solve(model.structure, p, regimen, covariates, levels.time_h, levels.after_dose, timeline=timeline)
        f = outputs_of(model, p, covariates, solution.contents, levels.time_h)
        error, log_variance, lost = residual_moments(model, levels.output, f, y, levels.weight)
        return (error, log_variance), lost

    return objective_of(moments, precision, below, used, levels.above)


def objective_of(
    moments: Callable[
        [Float[Array, "z"]], tuple[tuple[Float[Array, "level"], Float[Array, "level"]], Bool[Array, "level"]]
    ],
    precision: Float[Array, "z z"],
    below: Bool[Array, "level"],
    used: Bool[Array, "level"],
    above: Bool[Array, "level"] | None = None,
) -> tuple[Callable[[Float[Array, "z"]], Float[Array, ""]], Callable[[Float[Array, "z"]], Curvature]]:
    """OBJ / 2 for any function that predicts the levels, and the same with gradient and Gauss-Newton Hessian.

    Args:
        moments: z -> ((prediction - observation, log variance), lost) of each level, see `normal_moments`.
        precision: W^-1.
        below: levels below the limit of quantification; the observation is then the limit.
        used: levels that enter the objective.
        above: levels above the limit of quantification; the observation is then the limit. None where no level is.
    """
    censored = below if above is None else below | jnp.asarray(above)
    # Being above a limit is being below its mirror image.
    side = None if above is None else jnp.where(jnp.asarray(above), -1.0, 1.0)

    def halves(error: Array, log_variance: Array) -> tuple[Array, Array]:
        """OBJ / 2 of each level, and u = (y - f) / sqrt v."""
        u = -error * jnp.exp(-0.5 * log_variance)
        u = u if side is None else u * side
        seen = 0.5 * (log_variance + u * u)
        return jnp.where(used, jnp.where(censored, -jax.scipy.stats.norm.logcdf(u), seen), 0.0), u

    def value(z: Array) -> Array:
        return jnp.sum(halves(*moments(z)[0])[0]) + 0.5 * z @ precision @ z

    def curvature(z: Array) -> Curvature:
        push = jax.vmap(lambda v: jax.jvp(moments, (z,), (v,), has_aux=True), out_axes=((None, None), (0, 0), None))
        (error, log_variance), (a, c), lost = push(jnp.eye(z.shape[0]))
        half, u = halves(error, log_variance)
        du = -a * jnp.exp(-0.5 * log_variance)
        du = (du if side is None else du * side) - 0.5 * u * c
        mills = jnp.exp(jax.scipy.stats.norm.logpdf(u) - jax.scipy.stats.norm.logcdf(u))
        slope = jnp.where(used, jnp.where(censored, -mills, u), 0.0)
        both = jnp.where(used & ~censored, 0.5, 0.0)
        tail = jnp.where(used & censored, mills * (mills + u), 0.0)
        fit, seen = jnp.where(used & ~censored, jnp.exp(-log_variance), 0.0), jnp.where(used & ~censored, 1.0, 0.0)
        of_all = precision + (c * both) @ c.T + (du * tail) @ du.T
        prior = z @ precision @ z
        return Curvature(
            value=jnp.sum(half) + 0.5 * prior,
            gradient=precision @ z + du @ slope + c @ both,
            hessian=of_all + (a * fit) @ a.T,
            bend=of_all + (du * seen) @ du.T,
            misfit=jnp.sum(jnp.where(used, jnp.where(censored, 2.0 * half, u * u), 0.0)) + prior,
            lost=jnp.sum(lost & used & ~censored, dtype=jnp.int32),
        )

    return value, curvature
