"""Shared by both collectors: the normalisers, and the conversion of raw transitions to a normalised rollout."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from rl_drug_dosage.ppo.advantages import discounted_returns
from rl_drug_dosage.ppo.learner import Rollout
from rl_drug_dosage.ppo.normalizer import RunningMoments, initial_moments, scale_by_deviation, standardize
from rl_drug_dosage.training.config import TrainConfig
from rl_drug_dosage.types import Array

__all__ = ["EpisodeStats", "NormRates", "Normalizers", "Transitions", "initial_normalizers", "to_rollout"]


class Normalizers(eqx.Module):
    """Running statistics of observations and discounted returns, shared by all environments of a run.

    The policy acts with ``obs``, which is also saved in its model file. ``obs_latest`` includes one more rollout and
    replaces ``obs`` at the start of the next one, so acting and learning use the same numbers.
    """

    obs: RunningMoments
    obs_latest: RunningMoments
    returns: RunningMoments
    discounted: Float[Array, " env"]


class NormRates(eqx.Module):
    """Parameters of the reward and observation transforms; traced.

    ``harm_price`` is the penalty per harmful event, ``harm_limit`` and ``harm_lr`` say how it is raised.
    """

    gamma: Float[Array, ""] | float
    clip_obs: Float[Array, ""] | float
    clip_reward: Float[Array, ""] | float
    harm_price: Float[Array, ""] | float = 0.0
    harm_limit: Float[Array, ""] | float = 0.0
    harm_lr: Float[Array, ""] | float = 0.0


class Transitions(NamedTuple):
    """Raw transitions of a rollout; ``next_obs`` is the final observation if the episode ended."""

    obs: Float[Array, "time env obs"]
    next_obs: Float[Array, "time env obs"]
    u: Float[Array, "time env action"]
    reward: Float[Array, "time env"]
    terminated: Bool[Array, "time env"]
    done: Bool[Array, "time env"]
    valid: Float[Array, "time env"]


class EpisodeStats(NamedTuple):
    """Statistics of the episodes that ended in a rollout; ``in_range`` and ``harm`` are over all of its steps.

    The compiled collector returns arrays, the collector on the host NumPy scalars.
    """

    ended: Float[Array, ""] | np.floating
    return_sum: Float[Array, ""] | np.floating
    length_sum: Float[Array, ""] | np.floating
    in_range: Float[Array, ""] | float
    reward_clipped: Float[Array, ""] | np.floating
    harm: Float[Array, ""] | float = 0.0
    lost: Float[Array, ""] | float = 0.0
    """Share of the steps whose simulation was not finite (`envs.functional.Step.lost`)."""


def initial_normalizers(obs_size: int, num_envs: int) -> Normalizers:
    """Normalisers before any data."""
    moments = initial_moments((obs_size,))
    return Normalizers(
        obs=moments, obs_latest=moments, returns=initial_moments(()), discounted=np.zeros(num_envs, np.float32)
    )


def to_rollout(
    raw: Transitions, norms: Normalizers, rates: NormRates, config: TrainConfig
) -> tuple[Rollout, Normalizers, Float[Array, ""]]:
    """Normalise a whole rollout (``norm_update = "rollout"``).

    Observations are normalised with the statistics that the policy acted with; those of the rollout go into
    ``obs_latest``. Rewards are scaled by the standard deviation of the discounted return, including this rollout, so
    that the first update is scaled too.

    Returns:
        The rollout, the updated normalisers, and the fraction of rewards that were clipped.
    """
    obs, next_obs, reward = raw.obs, raw.next_obs, raw.reward
    latest, returns, discounted = norms.obs_latest, norms.returns, norms.discounted
    if config.norm_obs:
        obs, next_obs = (standardize(x, norms.obs, rates.clip_obs) for x in (obs, next_obs))
        latest = latest.merge(*_moments(raw.obs, raw.valid[..., None]))
    if config.norm_reward:
        g_t, discounted = discounted_returns(reward, raw.done, discounted, gamma=rates.gamma)
        returns = returns.merge(*_moments(g_t, raw.valid))
        reward = scale_by_deviation(reward, returns)
    reward, clipped = clip_rewards(reward, rates, config)
    rollout = Rollout(obs, next_obs, raw.u, reward, raw.terminated, raw.done, raw.valid)
    return rollout, Normalizers(norms.obs, latest, returns, discounted), clipped


def clip_rewards(reward: Array, rates: NormRates, config: TrainConfig) -> tuple[Array, Float[Array, ""]]:
    """Clip rewards to ``+- clip_reward``, and return the fraction that was clipped."""
    if not config.clip_reward:
        return reward, jnp.float32(0.0)
    clipped = reward.clip(-rates.clip_reward, rates.clip_reward)
    return clipped, (clipped != reward).mean()


def _moments(x: Array, valid: Array) -> tuple[Array, Array, Array]:
    count = valid.sum()
    n = jnp.maximum(count, 1.0)
    mean = (x * valid).sum((0, 1)) / n
    return mean, ((x - mean) ** 2 * valid).sum((0, 1)) / n, count
