"""Generalised advantage estimation that distinguishes termination from truncation."""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from rl_drug_dosage.types import Array

__all__ = ["discounted_returns", "generalized_advantages"]


def generalized_advantages(
    r_t: Float[Array, "time env"],
    v_tm1: Float[Array, "time env"],
    v_t: Float[Array, "time env"],
    terminated_t: Bool[Array, "time env"],
    done_t: Bool[Array, "time env"],
    *,
    gamma: Float[Array, ""] | float,
    gae_lambda: Float[Array, ""] | float,
    bootstrap_truncation: bool = True,
) -> Float[Array, "time env"]:
    """``A_tm1 = delta_t + gamma lambda (1 - done_t) A_t`` (Schulman et al. 2016, arXiv 1506.02438, eq. 16).

    With ``delta_t = r_t + gamma (1 - terminated_t) v_t - v_tm1``. After termination the value is 0; after truncation
    it is the critic's value of the *final* observation. Advantages never cross the end of an episode.

    Args:
        r_t: reward of the step from ``t-1`` to ``t``.
        v_tm1: value of the observation on which the action was based.
        v_t: value of the next observation, before any reset.
        terminated_t: the step ended the episode in a terminal state.
        done_t: the step ended the episode, by termination or truncation.
        gamma: discount factor.
        gae_lambda: trade-off between bias (0) and variance (1).
        bootstrap_truncation: ``False`` treats a truncation as a termination, as the original implementation did.
    """
    zero_after = terminated_t if bootstrap_truncation else done_t
    delta_t = jnp.asarray(r_t) + gamma * jnp.where(zero_after, 0.0, v_t) - v_tm1
    decay_t = jnp.where(done_t, 0.0, gamma * gae_lambda)

    def backwards(a_t: jax.Array, x: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        delta, decay = x
        a_tm1 = delta + decay * a_t
        return a_tm1, a_tm1

    return jax.lax.scan(backwards, jnp.zeros_like(r_t[0]), (delta_t, decay_t), reverse=True)[1]


def discounted_returns(
    r_t: Float[Array, "time env"],
    done_t: Bool[Array, "time env"],
    g_0: Float[Array, " env"],
    *,
    gamma: Float[Array, ""] | float,
) -> tuple[Float[Array, "time env"], Float[Array, " env"]]:
    """The forward discounted sum whose standard deviation scales the rewards: ``g_t = gamma g_{t-1} + r_t``.

    It restarts at the end of every episode, so it stays bounded even for ``gamma = 1``.

    Returns:
        ``g_t`` for every step, and the value to carry into the next rollout.
    """

    def forwards(g_tm1: Array, x: tuple[Array, Array]) -> tuple[jax.Array, Array]:
        r, done = x
        g = gamma * g_tm1 + r
        return jnp.where(done, 0.0, g), g

    carry, g_t = jax.lax.scan(forwards, g_0, (r_t, done_t))
    return g_t, carry
