"""The evidence of several models for each patient, and the weights of the models by it."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rl_drug_dosage.pharmacometrics.across_levels import Paired
from rl_drug_dosage.pharmacometrics.estimation import Estimation
from rl_drug_dosage.pkpd.bayes.evidence import laplace_log_evidence, model_weights

__all__ = ["Compared", "compare"]

_SURE = 0.5
"""Laplace's and the sampled log evidence that differ by more are mentioned: a factor of 1.6 in the odds."""
_FEW = 100.0
"""Effective draws below which a sampled evidence is not relied on."""


@dataclass(frozen=True)
class Compared:
    """Evidence and weights of each model for each patient; what is not known is not a number.

    Args:
        prior: weights before the levels.
        laplace: log evidence by Laplace's approximation, in 1 / (unit of the first model's levels)^n.
        sampled: log evidence estimated from draws.
        weight: posterior weights, by the sampled evidence where all models have one, otherwise by Laplace's.
        warnings: of each patient.
    """

    prior: Float[np.ndarray, "model"]
    laplace: Float[np.ndarray, "patient model"]
    sampled: Float[np.ndarray, "patient model"]
    weight: Float[np.ndarray, "patient model"]
    warnings: tuple[tuple[str, ...], ...]


def compare(estimations: Sequence[Estimation], pairs: Sequence[Paired], prior: Float[np.ndarray, "model"]) -> Compared:
    """Evidence and weights. Inside `jax.enable_x64`.

    Args:
        estimations: one a model.
        pairs: how each model's levels relate to the first's.
        prior: weights before the levels.
    """
    laplace = np.stack([_laplace(one, its) for one, its in zip(estimations, pairs, strict=True)], axis=1)
    sampled = np.stack([_sampled(one, its) for one, its in zip(estimations, pairs, strict=True)], axis=1)
    by_draws = np.all(np.isfinite(sampled), axis=1)
    weight = np.asarray(model_weights(jnp.where(by_draws[:, None], sampled, laplace), jnp.asarray(prior)))
    names = [one.model.name for one in estimations]
    warnings = [_warnings(names, *row) for row in zip(laplace, sampled, weight, strict=True)]
    return Compared(prior, laplace, sampled, weight, tuple(warnings))


def _laplace(one: Estimation, its: Paired) -> Float[np.ndarray, "patient"]:
    look = jax.jit(jax.vmap(lambda *patient: laplace_log_evidence(one.model, *patient)))
    found = np.asarray(jax.device_get(look(*one.tables))) + its.log_change
    return np.where([bool(p.fitted.estimate.converged) for p in one.patients], found, np.nan)


def _sampled(one: Estimation, its: Paired) -> Float[np.ndarray, "patient"]:
    """Not a number where too few draws bear it."""
    posterior = None if one.drawn is None else one.drawn.posterior
    if posterior is None or posterior.log_evidence is None:
        return np.full(len(one.patients), np.nan)
    enough = np.asarray(posterior.effective) >= _FEW
    return np.where(enough, np.asarray(posterior.log_evidence) + its.log_change, np.nan)


def _warnings(
    names: Sequence[str],
    laplace: Float[np.ndarray, "model"],
    sampled: Float[np.ndarray, "model"],
    weight: Float[np.ndarray, "model"],
) -> tuple[str, ...]:
    found = []
    if not np.all(np.isfinite(weight)):
        without = ", ".join(n for n, a, b in zip(names, laplace, sampled, strict=True) if not np.isfinite([a, b]).any())
        remedy = "leave it out, or choose --posterior library, which needs no maximum"
        found.append(f"no weights and no average: no evidence for {without or names[0]}; {remedy}")
    for name, a, b in zip(names, laplace, sampled, strict=True):
        if abs(a - b) > _SURE:
            found.append(f"log evidence for {name}: {a:.2f} by Laplace's approximation, {b:.2f} by draws, which counts")
    return tuple(found)
