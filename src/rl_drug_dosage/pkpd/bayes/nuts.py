"""The no-U-turn sampler (Hoffman and Gelman 2014) as the slow reference, by blackjax (extra ``nuts``).

Four chains a patient, in units of the prior (see `library`), each with a warm-up of its own that adapts the step size
and a dense mass matrix over growing windows, as Stan does. The rank-normalised split R-hat and the bulk effective
sample size of Vehtari 2021 tell whether the chains agree and how many independent draws they are worth.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rl_drug_dosage.errors import DependencyError
from rl_drug_dosage.pkpd.bayes.library_patient import prior_factor
from rl_drug_dosage.pkpd.bayes.objective import make_objective, split_latent
from rl_drug_dosage.pkpd.bayes.posterior import Posterior
from rl_drug_dosage.pkpd.covariates import Covariates
from rl_drug_dosage.pkpd.model import DrugModel
from rl_drug_dosage.pkpd.regimen import Regimen
from rl_drug_dosage.pkpd.residual import Levels

__all__ = ["Chains", "nuts_posterior", "require_blackjax"]


_CHAINS = 4


class Chains(eqx.Module):
    """Diagnostics of the chains."""

    rhat: Float[Array, ""]
    """The largest R-hat of a random effect; above 1.01 the chains do not agree."""
    divergent: Int[Array, ""]
    """Transitions after the warm-up whose energy was lost: the posterior has corners that the chains cannot enter."""


def require_blackjax() -> Any:
    """The module blackjax.

    Raises:
        DependencyError: it is not installed.
    """
    try:
        import blackjax
        import blackjax.diagnostics
    except ImportError:
        raise DependencyError.of(
            "posterior nuts", "blackjax", "nuts", "choose --posterior library or resample"
        ) from None
    return blackjax


def nuts_posterior(
    model: DrugModel,
    regimen: Regimen,
    covariates: Covariates,
    levels: Levels,
    occasions: int,
    key: PRNGKeyArray,
    *,
    warm_up: int = 500,
    draws: int = 1000,
) -> tuple[Posterior, Chains]:
    """Draws from the exact posterior of one patient by NUTS. Pure, works under `vmap`.

    Args:
        model: static.
        regimen: one patient's doses.
        covariates: the patient's covariate table.
        levels: the patient's levels.
        occasions: how many occasions have kappas; static.
        key: random key.
        warm_up: transitions of each chain that adapt the sampler and are thrown away.
        draws: transitions that are kept, of all chains together.

    Raises:
        DependencyError: blackjax is not installed.
    """
    blackjax = require_blackjax()
    occasions = occasions if model.occasion_etas else 0
    factor = jnp.asarray(prior_factor(model, occasions), dtype=float)
    log_density = _log_density(model, regimen, covariates, levels, occasions)

    def chain(key: PRNGKeyArray) -> tuple[Array, Array]:
        for_start, for_warm_up, for_draws = jax.random.split(key, 3)
        # From anywhere that the prior allows, so that R-hat can see chains that end in different places.
        start = jax.random.normal(for_start, (factor.shape[0],))
        adapt = blackjax.window_adaptation(
            blackjax.nuts, log_density, is_mass_matrix_diagonal=False, target_acceptance_rate=0.9,
            adaptation_info_fn=lambda *_: None,
        )  # fmt: skip
        (state, found), _ = adapt.run(for_warm_up, start, warm_up)
        step = blackjax.nuts(log_density, **found).step

        def go_on(state: Any, key: PRNGKeyArray) -> tuple[Any, tuple[Array, Array]]:
            state, info = step(key, state)
            return state, (state.position, info.is_divergent)

        _, kept = jax.lax.scan(go_on, state, jax.random.split(for_draws, draws // _CHAINS))
        return kept

    x, divergent = jax.vmap(chain)(jax.random.split(key, _CHAINS))
    rhat, effective = blackjax.diagnostics.rhat(x), blackjax.diagnostics.ess_bulk(x)
    eta, kappa = split_latent(model, x.reshape(-1, x.shape[-1]) @ factor.T, occasions)
    return Posterior(eta, kappa, jnp.min(effective)), Chains(jnp.max(rhat), jnp.sum(divergent, dtype=jnp.int32))


def _log_density(
    model: DrugModel, regimen: Regimen, covariates: Covariates, levels: Levels, occasions: int
) -> Callable[[Float[Array, "z"]], Float[Array, ""]]:
    """Logarithm of the posterior density up to a constant, as a function of the random effects in units of the prior.

    Its gradient is taken in forward mode, for which every structure is made; reverse mode does not pass their loops.
    """
    factor = jnp.asarray(prior_factor(model, occasions), dtype=float)
    half_objective, curvature = make_objective(model, regimen, covariates, levels, occasions)

    @jax.custom_vjp
    def log_density(x: Array) -> Array:
        return -half_objective(factor @ x)

    def forward(x: Array) -> tuple[Array, Array]:
        at = curvature(factor @ x)
        return -at.value, -(at.gradient @ factor)

    log_density.defvjp(forward, lambda slope, up: (slope * up,))
    return log_density
