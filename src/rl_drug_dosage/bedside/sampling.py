"""When the next level would tell most about the quantity that the dose is chosen for.

A level y at time t, with f_t its prediction and v_t its residual variance in every draw, leaves of the variance of a
quantity M about 1 - R^2 (linear regression of M on y):

    R^2(t) = Cov(M, f_t)^2 / (Var M (Var f_t + E v_t))

The best time has the largest R^2. Times while an infusion runs are left out: a level drawn then may be contaminated.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from rl_drug_dosage.pkpd import Residual
from rl_drug_dosage.pkpd.residual import variance

__all__ = ["Sampling", "best_sampling", "explained"]


@dataclass(frozen=True)
class Sampling:
    """The best time of the next level.

    Args:
        time_h: when.
        reduction: expected share of the quantity's variance that the level takes away.
        quantity: what is told about.
    """

    time_h: float
    reduction: float
    quantity: str


def explained(
    residual: Residual, quantity: Float[np.ndarray, "draw"], levels: Float[np.ndarray, "draw time"]
) -> Float[np.ndarray, "time"]:
    """R^2 of every time, see the module; under a log-normal error, levels are taken as logarithms."""
    noise = np.asarray(variance(residual, jnp.asarray(levels)))
    noise = np.broadcast_to(noise, levels.shape)
    y = np.log(np.maximum(levels, 1e-12)) if residual.kind == "lognormal" else levels
    m, centred = quantity - quantity.mean(), y - y.mean(axis=0)
    shared = m @ centred / m.size
    spread = float(np.mean(m**2))
    if spread <= 0:
        return np.zeros(levels.shape[1])
    return shared**2 / (spread * (np.mean(centred**2, axis=0) + noise.mean(axis=0)))


def best_sampling(
    residual: Residual,
    quantity: Float[np.ndarray, "draw"],
    name: str,
    time_h: Float[np.ndarray, "time"],
    levels: Float[np.ndarray, "draw time"],
    allowed: Bool[np.ndarray, "time"],
) -> Sampling | None:
    """The best of the allowed times; None where there is none.

    Args:
        residual: of the output that would be measured.
        quantity: for every draw.
        name: of the quantity, for people.
        time_h: of the curve.
        levels: the curve of every draw.
        allowed: which times may be chosen.
    """
    places = np.flatnonzero(allowed)
    if not places.size:
        return None
    found = explained(residual, quantity, levels[:, places])
    best = int(np.argmax(found))
    return Sampling(float(time_h[places[best]]), float(found[best]), name)
