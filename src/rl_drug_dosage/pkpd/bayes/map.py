"""Maximum a posteriori estimates by a damped Gauss-Newton method (Levenberg-Marquardt), see `search`.

`map_estimate` fits one patient. It is a pure function, so `jax.vmap` and `jax.jit` apply. `map_estimates` fits many
patients in one call, in groups that iterate until the last patient of the group has converged. Each patient reports its
own convergence. `fit_many` compiles that and runs it on all cores.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from rl_drug_dosage.pkpd.bayes.objective import latent_size, make_objective, prior_covariance, split_latent
from rl_drug_dosage.pkpd.bayes.search import plausible, search, starting_points
from rl_drug_dosage.pkpd.covariates import Covariates
from rl_drug_dosage.pkpd.model import DrugModel
from rl_drug_dosage.pkpd.regimen import Regimen
from rl_drug_dosage.pkpd.residual import Levels
from rl_drug_dosage.utils.device_shape import ONE_CORE_EACH, device_shape
from rl_drug_dosage.utils.kept_programs import Kept, returned
from rl_drug_dosage.utils.on_devices import on_devices

__all__ = ["Estimate", "fit_many", "map_estimate", "map_estimates"]


@returned
class Estimate(eqx.Module):
    """A patient's estimated random effects; leading axes are patients."""

    eta: Float[Array, "eta"]
    kappa: Float[Array, "occasion kappa"]
    covariance: Float[Array, "z z"]
    """Covariance of the stacked (eta, kappa): the inverse Gauss-Newton Hessian, NONMEM's ETC."""
    objective: Float[Array, ""]
    """OBJ at the estimate, see `objective`."""
    printed_objective: Float[Array, ""]
    """OBJ_i as NONMEM prints it."""
    converged: Bool[Array, ""]
    """The gradient is 0 within tolerance. If False, do not use the estimate without a warning."""
    plausible: Bool[Array, ""]
    """See `search.plausible`. If False, the data or the model may be wrong, or this is a local minimum."""
    misfit: Float[Array, ""]
    """See `objective.Curvature`."""
    lost: Int[Array, ""]
    """Number of measured levels that are predicted to be 0."""
    iterations: Int[Array, ""]

    @property
    def latent(self) -> Float[Array, "z"]:
        """(eta, kappa) stacked."""
        return jnp.concatenate([self.eta, self.kappa.reshape((*self.kappa.shape[:-2], -1))], axis=-1)


def _default_tolerance() -> float:
    return 1e-7 if jnp.asarray(0.0).dtype == jnp.float64 else 1e-3


def map_estimate(
    model: DrugModel,
    regimen: Regimen,
    covariates: Covariates,
    levels: Levels,
    *,
    occasions: int = 1,
    start: Float[Array, "z"] | None = None,
    tolerance: float | None = None,
    max_iterations: int = 200,
) -> Estimate:
    """Maximise the posterior of one patient's random effects.

    If the first descent does not converge or ends at an implausible estimate, another starts from the best of
    `starting_points`, and the lower end counts.

    Args:
        model: static.
        regimen: one patient's doses.
        covariates: the patient's covariate table.
        levels: the patient's levels; if there are none (none used), the estimate is the prior mode.
        occasions: how many occasions (0 .. occasions - 1) have kappas to estimate; static.
        start: initial value of z; None means 0.
        tolerance: for the length of the next step in posterior standard deviations, sqrt(g' H^-1 g); None means 1e-7
            in float64, 1e-3 in float32.
        max_iterations: evaluations after which a descent is reported as not converged.

    Returns:
        The estimate, with its flags.
    """
    occasions = occasions if model.occasion_etas else 0
    _, curvature = make_objective(model, regimen, covariates, levels, occasions)
    z0 = jnp.zeros(latent_size(model, occasions)) if start is None else start
    tolerance = _default_tolerance() if tolerance is None else tolerance
    prior = prior_covariance(model, occasions)
    sd, used = jnp.asarray(np.sqrt(np.diag(prior))), jnp.sum(jnp.asarray(levels.used)).astype(z0.dtype)
    found = search(
        curvature,
        z0,
        jnp.asarray(np.linalg.inv(prior), dtype=float),
        others=jnp.asarray(starting_points(prior), dtype=float),
        accept=lambda at, z: plausible(at, z, sd, used),
        tolerance=tolerance,
        max_evaluations=max_iterations,
    )
    z, at = found.z, found.at
    log_det_prior = float(np.linalg.slogdet(prior)[1])
    eta, kappa = split_latent(model, z, occasions)
    return Estimate(
        eta=eta,
        kappa=kappa,
        covariance=jnp.linalg.inv(at.hessian),
        objective=2.0 * at.value,
        printed_objective=2.0 * at.value + log_det_prior + jnp.linalg.slogdet(at.hessian)[1],
        converged=found.converged,
        plausible=plausible(at, z, sd, used),
        misfit=at.misfit,
        lost=at.lost,
        iterations=found.evaluations,
    )


def map_estimates(
    model: DrugModel,
    regimens: Regimen,
    covariates: Covariates,
    levels: Levels,
    *,
    occasions: int = 1,
    group: int | None = None,
) -> Estimate:
    """`map_estimate` for many patients, to be called from compiled code; see `fit_many` for the fastest way.

    Args:
        model: static.
        regimens: stacked, see `stack_regimens`.
        covariates: stacked.
        levels: stacked.
        occasions: as for `map_estimate`.
        group: number of patients that iterate together, who wait for the slowest of them; None: see `DeviceShape`.
    """
    patients = levels.time_h.shape[0]
    size = min(device_shape().group if group is None else group, patients)
    groups = -(-patients // size)

    def fit(own: tuple[Regimen, Covariates, Levels]) -> Estimate:
        return jax.vmap(lambda *patient: map_estimate(model, *patient, occasions=occasions))(*own)

    # The last group is padded with the first patients, which are then fitted twice.
    order = (jnp.arange(groups * size) % patients).reshape(groups, size)
    grouped = jax.tree.map(lambda leaf: jnp.asarray(leaf)[order], (regimens, covariates, levels))
    return jax.tree.map(
        lambda leaf: leaf.reshape((groups * size, *leaf.shape[2:]))[:patients], jax.lax.map(fit, grouped)
    )


_GROUPS_AT_ONCE = 8
"""Most groups in one call. Of 1, 2, 4, 8 and 10, with 10,000 patients on two cores, 8 and 10 were the fastest; calls
of one group were less than half as fast for one compartment."""


def fit_many(
    model: DrugModel, regimens: Regimen, covariates: Covariates, levels: Levels, *, occasions: int = 1
) -> Estimate:
    """`map_estimates`, compiled, and run on all cores or accelerators. A call fits a few groups, several run at a time.

    The number of cores does not change a bit: in every call a group of patients is fitted by the same instructions. The
    program is kept for other patients with as many rows, also between processes (`utils.kept_programs`).

    Args:
        model: static.
        regimens: stacked, see `stack_regimens`.
        covariates: stacked.
        levels: stacked.
        occasions: as for `map_estimate`.

    Returns:
        The estimates, in the order of the patients; arrays of NumPy.
    """
    shape, patients = device_shape(), np.shape(levels.time_h)[0]
    group = min(shape.group, shape.share(patients))
    groups = -(-patients // group)
    size = group * min(-(-groups // shape.threads), _GROUPS_AT_ONCE)
    tree = jax.tree.map(np.asarray, (regimens, covariates, levels))
    double = jnp.asarray(0.0).dtype == jnp.float64

    def call(start: int) -> Any:
        # The last call is filled up with the first patients, so that all run the same program.
        numbers = np.arange(start, start + size) % patients
        own = tree if size == patients else jax.tree.map(lambda leaf: leaf[numbers], tree)
        with jax.enable_x64(double):  # a thread has a setting of its own
            return jax.device_get(_FITTED(model, occasions, group, *own))

    parts = on_devices(call, range(0, patients, size))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:patients], *parts)


def _fitted(model: DrugModel, occasions: int, group: int, *own: Any) -> Estimate:
    return map_estimates(model, *own, occasions=occasions, group=group)


_FITTED = Kept(_fitted, ONE_CORE_EACH)
