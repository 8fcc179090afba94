"""The action distribution: from the network's Gaussian to a dose, and its log-probability and entropy.

The Gaussian is on the scale of the unit action, where -1 is the lowest and +1 the highest dose. ``u`` is its sample
(neither clipped nor squashed; the log-probability refers to it), ``a`` the action passed to the environment.

=================  ==============================================  ===============================================
policy             action                                          used by
=================  ==============================================  ===============================================
``tanh-gaussian``  ``low + (tanh(u) + 1) / 2 (high - low)``        the default: every sample is an allowed dose
``gaussian``       ``low + (clip(u, -1, 1) + 1) / 2 (high - low)``  for comparison
``gaussian-raw``   ``clip(u, low, high)``                          CleanRL's, in raw dose units (``--preset blog``)
=================  ==============================================  ===============================================
"""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rl_drug_dosage.types import Array

__all__ = ["POLICIES", "entropy", "log_prob", "to_action"]

POLICIES = ("tanh-gaussian", "gaussian", "gaussian-raw")

_LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)

# Gauss-Hermite nodes for E[f(z)], z ~ N(0, 1): the entropy is deterministic, so the loss needs no random numbers.
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(16)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def to_action(u: Any, low: Any, high: Any, policy: str) -> Any:
    """Convert a sample to the action for the environment; NumPy in gives NumPy out, JAX in gives JAX out.

    Args:
        u: the Gaussian's sample (or its mean, for the deterministic policy), ``[..., action]``.
        low: lowest action, in the units of the environment, ``[action]``.
        high: highest action, in the same units and shape.
        policy: one of ``POLICIES``.
    """
    if policy == "gaussian-raw":
        return u.clip(low, high)
    xp = np if isinstance(u, np.ndarray) else jnp
    unit = xp.tanh(u) if policy == "tanh-gaussian" else u.clip(-1.0, 1.0)
    # The outer clip removes rounding error only: float32 can exceed the highest dose by one unit in the last place.
    return (low + 0.5 * (unit + 1.0) * (high - low)).clip(low, high)


def log_prob(
    u: Float[Array, "*batch action"], mean: Float[Array, "*batch action"], logstd: Float[Array, "1 action"]
) -> Float[Array, "*batch"]:
    """``sum_i log N(u_i; mean_i, exp(logstd_i))`` over independent components.

    The Jacobian of the squashing is omitted: it depends only on ``u`` and cancels in every probability ratio.
    """
    z = (u - mean) * jnp.exp(-logstd[0])
    return (-0.5 * z * z - logstd[0] - _LOG_SQRT_2PI).sum(-1)


def entropy(
    mean: Float[Array, "*batch action"],
    logstd: Float[Array, "1 action"],
    policy: str,
    weight: Float[Array, "*batch"] | None = None,
) -> Float[Array, ""]:
    """Mean entropy over the batch (weighted), in nats, of the unit action (of the raw action for ``gaussian-raw``).

    Gaussian: ``sum(0.5 + log sqrt(2 pi) + logstd)``. Squashed: that plus ``E[log(1 - tanh(u)^2)]``, by 16-point
    Gauss-Hermite quadrature. For the clipped Gaussian the entropy before clipping is reported, as in the literature.
    """
    gaussian = (0.5 + _LOG_SQRT_2PI + logstd[0]).sum()
    if policy != "tanh-gaussian":
        return gaussian
    nodes, weights = jnp.asarray(_NODES, mean.dtype), jnp.asarray(_WEIGHTS, mean.dtype)
    u = mean[..., None] + jnp.exp(logstd[0])[:, None] * nodes
    # log(1 - tanh^2 u) = 2 (log 2 - u - softplus(-2u)), which does not underflow for large |u|
    log_slope = 2.0 * (math.log(2.0) - u - jnp.logaddexp(0.0, -2.0 * u))
    each = (log_slope @ weights).sum(-1)
    if weight is None:
        return gaussian + each.mean()
    return gaussian + (each * weight).sum() / jnp.maximum(weight.sum(), 1.0)
