"""What is not known of a future occasion: its kappas, drawn from their own distribution."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from rl_drug_dosage.pkpd import Covariates, DrugModel, occasion_omega

__all__ = ["next_occasion", "with_next_kappa"]

_MOMENT_H = 1e-6
"""By how much the next occasion begins before its first dose."""


def next_occasion(covariates: Covariates, start_h: float) -> Covariates:
    """The table with one more record: the next occasion, from just before ``start_h`` on, with the last values.

    Args:
        covariates: one patient's table, whose last record is before ``start_h``.
        start_h: when the first dose of the occasion is due.
    """
    times = np.asarray(covariates.time_h, dtype=float)
    begin = start_h - _MOMENT_H
    # A record holds up to its time (NOCB) or from its time (LOCF).
    if covariates.carry == "nocb":
        times = np.append(np.append(times[:-1], max(begin, times[-1])), max(begin, times[-1]) + 1.0)
    else:
        times = np.append(times, max(begin, times[-1] + _MOMENT_H))
    occasion = np.append(covariates.occasion, np.max(covariates.occasion) + 1).astype(np.int32)
    values = {name: np.append(column, column[-1]) for name, column in covariates.values.items()}
    return dataclasses.replace(covariates, time_h=times, values=values, occasion=occasion)  # type: ignore[arg-type]


def with_next_kappa(
    model: DrugModel, kappa: Float[Array, "draw occasion kappa"], occasions: int, key: PRNGKeyArray
) -> Float[Array, "draw more kappa"]:
    """Draws with the kappas of one more occasion: 0 for the first draw, the point estimate, and drawn for the others.

    Args:
        model: gives their covariance.
        kappa: of the occasions so far.
        occasions: how many of them are the patient's own; later rows are padding.
        key: random key.
    """
    covariance = occasion_omega(model)
    values, vectors = np.linalg.eigh(covariance)
    factor = jnp.asarray(vectors * np.sqrt(np.maximum(values, 0.0)), dtype=float)
    drawn = jax.random.normal(key, (kappa.shape[0], covariance.shape[0])) @ factor.T
    drawn = drawn.at[0].set(0.0)
    return jnp.concatenate([kappa[:, :occasions], drawn[:, None], kappa[:, occasions:]], axis=1)
