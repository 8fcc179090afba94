"""The 90 % intervals of an estimation.

Of the Laplace posterior, with z the random effects, C their covariance at the estimate and p an individual parameter:
p exp(-+ 1.645 s), s^2 = g' C g, g = d ln p / dz, exact for log-normal random effects. Of the other posteriors: the 5th
and 95th percentile over their draws, see `estimation_posterior`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rl_drug_dosage.pharmacometrics.estimation_posterior import Drawn, draw
from rl_drug_dosage.pkpd import Covariates, DrugModel, Levels, Regimen, individual_parameters
from rl_drug_dosage.pkpd.bayes import Estimate, split_latent

__all__ = ["spread_of"]

_Z95 = 1.6448536269514722
"""95th percentile of the standard normal distribution."""


def spread_of(kind: str) -> Callable[..., "_Bounds"]:
    """How a kind of posterior gives intervals: (model, regimen, covariates, levels, estimate, key) -> bounds.

    Args:
        kind: see `estimation_posterior`.

    Returns:
        A function to bounds of every parameter and random effect by name, the effective number of proposals, and the
        draws, None where nothing is drawn.
    """
    return _laplace if kind == "laplace" else _drawn(kind)


def _parameters(model: DrugModel, covariates: Covariates, at: Estimate, z: Float[Array, "z"]) -> dict[str, Array]:
    """Individual parameters by record, and the random effects."""
    eta, kappa = split_latent(model, z, at.kappa.shape[0])
    return individual_parameters(model, covariates, eta, kappa) | {"eta": eta, "kappa": kappa}


type _Bounds = tuple[dict[str, tuple[Array, Array]], Array, Drawn | None]


def _laplace(
    model: DrugModel, regimen: Regimen, covariates: Covariates, levels: Levels, at: Estimate, key: PRNGKeyArray
) -> _Bounds:
    """Bounds of every parameter and random effect, and as many effective draws as one could wish."""
    best = _parameters(model, covariates, at, at.latent)
    slopes = jax.jacfwd(lambda z: _parameters(model, covariates, at, z))(at.latent)
    bounds = {}
    for name, value in best.items():
        sd = jnp.sqrt(jnp.einsum("...i,ij,...j->...", slopes[name], at.covariance, slopes[name]))
        plain = (value - _Z95 * sd, value + _Z95 * sd)
        if name in {"eta", "kappa"}:
            bounds[name] = plain
            continue
        factor = jnp.exp(_Z95 * sd / jnp.where(value > 0, value, 1.0))
        bounds[name] = (
            jnp.where(value > 0, value / factor, plain[0]),
            jnp.where(value > 0, value * factor, plain[1]),
        )
    return bounds, jnp.asarray(jnp.inf), None


def _drawn(kind: str) -> Callable[..., _Bounds]:
    """Percentiles over draws from the exact posterior, the effective number of proposals, and the draws."""

    def spread(
        model: DrugModel, regimen: Regimen, covariates: Covariates, levels: Levels, at: Estimate, key: PRNGKeyArray
    ) -> _Bounds:
        drawn = draw(kind, model, regimen, covariates, levels, at, key)
        eta, kappa = drawn.posterior.eta, drawn.posterior.kappa
        draws = jax.vmap(lambda eta, kappa: individual_parameters(model, covariates, eta, kappa))(eta, kappa)
        draws |= {"eta": eta, "kappa": kappa}
        bounds = {name: tuple(jnp.percentile(values, jnp.array([5.0, 95.0]), axis=0)) for name, values in draws.items()}
        # Proposals are what `resample` has; the other kinds speak for themselves, see `doubts`.
        effective = drawn.posterior.effective if kind == "resample" else jnp.asarray(jnp.inf)
        return bounds, effective, drawn  # type: ignore[return-value]

    return spread
