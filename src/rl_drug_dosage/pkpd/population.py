"""Between-subject and inter-occasion variability: from published variances to individual parameters."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from rl_drug_dosage.pkpd._errors import DrugModelError
from rl_drug_dosage.pkpd.covariates import Covariates, draw_covariates
from rl_drug_dosage.pkpd.description import Correlation, Eta, Values
from rl_drug_dosage.pkpd.model import DrugModel

__all__ = [
    "Patient",
    "draw_patient",
    "draw_patients",
    "individual_parameters",
    "occasion_omega",
    "omega",
    "omega_squared",
    "square_root",
]


def omega_squared(eta: Eta) -> float:
    """Variance of a random effect, from its published size and `Eta.kind`."""
    size = eta.size.fraction()
    match eta.kind:
        case "var":
            return size
        case "sd" | "cv_approx":
            return size * size
        case "cv_exact":
            return float(np.log1p(size * size))


def _covariance(name: str, etas: Sequence[Eta], correlations: Sequence[Correlation]) -> Float[np.ndarray, "eta eta"]:
    order = {eta.parameter: i for i, eta in enumerate(etas)}
    matrix = np.diag([omega_squared(eta) for eta in etas]).reshape(len(etas), len(etas))
    for c in correlations:
        if c.first not in order or c.second not in order:
            raise DrugModelError(
                f"drug {name!r}: a correlation of {c.first!r} and {c.second!r}, but etas are {list(order)}"
            )
        i, j = order[c.first], order[c.second]
        value = c.size.fraction() * (np.sqrt(matrix[i, i] * matrix[j, j]) if c.kind == "corr" else 1.0)
        matrix[i, j] = matrix[j, i] = value
    if len(etas) and np.linalg.eigvalsh(matrix).min() < -1e-12 * matrix.max():
        raise DrugModelError(f"drug {name!r}: omega is not positive semi-definite: check its correlations")
    return matrix


def omega(model: DrugModel) -> Float[np.ndarray, "eta eta"]:
    """Covariance matrix of the between-subject etas, in the order of ``model.etas``."""
    return _covariance(model.name, model.etas, model.correlations)


def occasion_omega(model: DrugModel) -> Float[np.ndarray, "kappa kappa"]:
    """Covariance matrix of the kappas of one occasion, in the order of ``model.occasion_etas``."""
    return _covariance(model.name, model.occasion_etas, model.occasion_correlations)


def _apply(form: str, typical: Array, eta: Array) -> Array:
    match form:
        case "lognormal":
            return typical * jnp.exp(eta)
        case "proportional":
            return typical * (1.0 + eta)
        case "additive":
            return typical + eta
        case _:
            return jax.nn.sigmoid(jax.scipy.special.logit(typical) + eta)


def individual_parameters(
    model: DrugModel,
    covariates: Covariates,
    eta: Float[Array, "eta"],
    kappa: Float[Array, "occasion kappa"] | None = None,
) -> dict[str, Float[Array, "record"]]:
    """Parameters of one patient for every covariate record, in engine units.

    Args:
        model: the drug.
        covariates: one patient's table.
        eta: between-subject random effects, in the order of ``model.etas``.
        kappa: inter-occasion random effects, one row per occasion; None, or an occasion without a row, means 0.
    """
    theta = model.theta_values()
    shifts = {e.parameter: eta[i] for i, e in enumerate(model.etas)}
    forms = {e.parameter: e.form for e in (*model.occasion_etas, *model.etas)}

    def one(values: Values, occasion: Array) -> dict[str, Array]:
        total = dict(shifts)
        if kappa is not None and model.occasion_etas:
            rows = jnp.concatenate([kappa, jnp.zeros((1, kappa.shape[-1]), dtype=kappa.dtype)])
            own = rows[jnp.minimum(occasion, kappa.shape[0])]
            for i, e in enumerate(model.occasion_etas):
                total[e.parameter] = total.get(e.parameter, 0.0) + own[i]
        typical = model.parameters(theta, values)
        p = {k: jnp.asarray(v, dtype=float) for k, v in typical.items()}
        p |= {name: _apply(forms[name], p[name], shift) for name, shift in total.items()}
        return {k: jnp.asarray(v, dtype=float) for k, v in model.finish(p, values).items()}

    return jax.vmap(one)(covariates.values, covariates.occasion)


class Patient(eqx.Module):
    """A virtual patient: covariates and random effects; leading axes are patients."""

    covariates: Covariates
    eta: Float[Array, "eta"]
    kappa: Float[Array, "occasion kappa"]


def square_root(matrix: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """A square root L with L L' = matrix, also if a variance is 0."""
    values, vectors = np.linalg.eigh(matrix) if matrix.size else (np.zeros(0), np.zeros((0, 0)))
    return vectors * np.sqrt(np.maximum(values, 0.0))


def draw_patient(model: DrugModel, key: PRNGKeyArray, occasions: int = 1) -> Patient:
    """One virtual patient, determined by its key alone."""
    for_covariates, for_eta, for_kappa = jax.random.split(key, 3)
    between, within = (
        jnp.asarray(square_root(omega(model)), dtype=float),
        jnp.asarray(square_root(occasion_omega(model)), dtype=float),
    )
    return Patient(
        covariates=draw_covariates(model, for_covariates),
        eta=between @ jax.random.normal(for_eta, (len(model.etas),)),
        kappa=jax.random.normal(for_kappa, (occasions, len(model.occasion_etas))) @ within.T,
    )


def draw_patients(model: DrugModel, key: PRNGKeyArray, first: int | Array, count: int, occasions: int = 1) -> Patient:
    """Patients ``first .. first + count - 1`` of the cohort that ``key`` identifies, the same for any range."""
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(first + jnp.arange(count))
    return jax.vmap(lambda k: draw_patient(model, k, occasions))(keys)
