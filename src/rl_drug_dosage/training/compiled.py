"""The compiled collector: policy and environment in one scan, for our own environments."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float, PRNGKeyArray

from rl_drug_dosage.envs.functional import FunctionalEnv, State, Step
from rl_drug_dosage.ppo.distribution import to_action
from rl_drug_dosage.ppo.learner import Rollout
from rl_drug_dosage.ppo.networks import ActorCritic
from rl_drug_dosage.ppo.normalizer import RunningMoments, scale_by_deviation, standardize
from rl_drug_dosage.training.collect import (
    EpisodeStats,
    Normalizers,
    NormRates,
    Transitions,
    clip_rewards,
    initial_normalizers,
    to_rollout,
)
from rl_drug_dosage.training.config import TrainConfig
from rl_drug_dosage.training.rollout_parts import in_parts, number_of_parts
from rl_drug_dosage.types import Array

__all__ = ["BatchState", "Draws", "Walked", "draws", "gathered", "init_batch", "walk"]


class BatchState(eqx.Module):
    """The state of the environments between two steps, carried from rollout to rollout (detail 1)."""

    state: State
    obs: Float[Array, "env obs"]
    obs_n: Float[Array, "env obs"]
    episode_return: Float[Array, " env"]
    episode_length: Float[Array, " env"]
    memory: Float[Array, "env memory"] | None


class Draws(NamedTuple):
    """Random numbers of a rollout: what happens to patients, and how actions deviate from their mean."""

    chance: Float[jax.Array, "time env chance"]
    eps: Float[jax.Array, "time env action"]


class Walked(NamedTuple):
    """A rollout of some environments."""

    batch: BatchState
    norms: Normalizers
    raw: Transitions
    ended: tuple[Float[Array, " time"], ...]
    """Of every step: sums of the returns and of the lengths of episodes that ended; shares in range, harm, lost."""


def init_batch(
    env: FunctionalEnv, networks: ActorCritic, key: PRNGKeyArray, config: TrainConfig, rates: NormRates
) -> tuple[BatchState, Normalizers]:
    """New episodes and normalisers."""
    n = config.num_envs
    state, obs = in_parts(env.reset_batch, env.draw(key, (n,)), number_of_parts(env, config))
    norms = initial_normalizers(obs.shape[1], n)
    obs_n = obs
    if config.norm_obs and config.norm_update == "step":
        moments = _merge_batch(norms.obs, obs, jnp.ones(n))
        norms = eqx.tree_at(lambda m: (m.obs, m.obs_latest), norms, (moments, moments))
        obs_n = standardize(obs, moments, rates.clip_obs)
    zeros = jnp.zeros(n, jnp.float32)
    return BatchState(state, obs, obs_n, zeros, zeros, networks.start((n,))), norms


def _acting(norms: Normalizers, config: TrainConfig) -> Normalizers:
    """The normalisers at the start of a rollout."""
    found: Normalizers = norms
    if config.norm_update != "step":
        found = eqx.tree_at(lambda m: m.obs, norms, norms.obs_latest)
    return found


def draws(env: FunctionalEnv, networks: ActorCritic, key: PRNGKeyArray, config: TrainConfig) -> Draws:
    """All random numbers of a rollout, in two calls."""
    shape = (config.num_steps, config.num_envs)
    chance_key, action_key = jax.random.split(key)
    eps = jax.random.normal(action_key, (*shape, networks.actor_logstd.shape[1]))
    return Draws(env.draw(chance_key, shape), eps)


def walk(
    env: FunctionalEnv,
    networks: ActorCritic,
    batch: BatchState,
    norms: Normalizers,
    drawn: Draws,
    bounds: tuple[Array, Array],
    config: TrainConfig,
    rates: NormRates,
) -> Walked:
    """Policy and environments step by step; the values are computed afterwards, in one wide operation.

    The learner uses the reward minus ``rates.harm_price`` times the harm; the reported reward excludes this penalty.
    """
    per_step = config.norm_update == "step"
    # Where nothing is valued beyond the end of an episode, only the statistics of every step look at its last one.
    final = config.bootstrap_truncation or per_step
    norms = _acting(norms, config)
    obs_norm = norms.obs  # frozen for this rollout unless the normalisers are updated every step

    def step(carry: tuple[BatchState, Normalizers], x: Draws) -> tuple[Any, Any]:
        now, norms = carry
        chance, eps = x
        obs_n = now.obs_n if per_step or not config.norm_obs else standardize(now.obs, obs_norm, rates.clip_obs)
        mean, memory = networks.act(obs_n, now.memory)
        u = mean + jnp.exp(networks.actor_logstd) * eps
        action = to_action(u, *bounds, config.policy)
        out, state, obs = env.step_and_reset(now.state, action, chance, final=final)
        own = out.reward
        if config.harm_limit:
            out = out._replace(reward=own - rates.harm_price * out.harm)
        done = out.terminated | out.truncated
        next_obs_n, obs_n_tp1, reward = out.obs, obs, out.reward
        if per_step:
            norms, next_obs_n, obs_n_tp1, reward = _normalize_step(norms, out, obs, done, config, rates)
        total, length = now.episode_return + own, now.episode_length + 1.0
        ended = (
            jnp.where(done, total, 0.0).sum(),
            jnp.where(done, length, 0.0).sum(),
            out.in_range.mean(),
            jnp.mean(out.harm),
            jnp.mean(jnp.asarray(out.lost, jnp.float32)),
        )
        if memory is not None:
            memory = jnp.where(done[:, None], 0.0, memory)  # LSTM detail 3: an episode begins with a zero state
        new = BatchState(state, obs, obs_n_tp1, jnp.where(done, 0.0, total), jnp.where(done, 0.0, length), memory)
        record = Transitions(
            obs_n if per_step else now.obs, next_obs_n, u, reward, out.terminated, done, jnp.ones_like(reward)
        )
        return (new, norms), (record, ended)

    (batch, norms), (raw, ended) = jax.lax.scan(step, (batch, norms), drawn)
    return Walked(batch, norms, raw, ended)


def gathered(
    remembered: Float[Array, "env memory"] | None, walked: Walked, config: TrainConfig, rates: NormRates
) -> tuple[Rollout, BatchState, Normalizers, EpisodeStats]:
    """What is learnt from, of all environments.

    Args:
        remembered: recurrent states before the first step, if the policy has one.
        walked: of all environments.
        config: of the training.
        rates: for rewards and observations.
    """
    batch, norms, raw, (returns, lengths, in_range, harm, lost) = walked
    if config.norm_update == "step":
        reward, clipped = clip_rewards(raw.reward, rates, config)
        rollout = Rollout(raw.obs, raw.next_obs, raw.u, reward, raw.terminated, raw.done, raw.valid)
    else:
        rollout, norms, clipped = to_rollout(raw, norms, rates, config)
    count = raw.done.sum().astype(jnp.float32)
    stats = EpisodeStats(count, returns.sum(), lengths.sum(), in_range.mean(), clipped, harm.mean(), lost.mean())
    return rollout._replace(memory=remembered), batch, norms, stats


def _normalize_step(
    norms: Normalizers, out: Step, obs: jax.Array, done: jax.Array, config: TrainConfig, rates: NormRates
) -> tuple[Normalizers, jax.Array, jax.Array, jax.Array]:
    """CleanRL's order: first the observation of the step updates the statistics and is normalised, then the reset's."""
    moments, returns, discounted = norms.obs, norms.returns, norms.discounted
    next_obs_n, obs_n, reward = out.obs, obs, out.reward
    if config.norm_obs:
        moments = _merge_batch(moments, out.obs, jnp.ones_like(reward))
        next_obs_n = standardize(out.obs, moments, rates.clip_obs)
        moments = _merge_batch(moments, obs, done.astype(jnp.float32))
        obs_n = jnp.where(done[:, None], standardize(obs, moments, rates.clip_obs), next_obs_n)
    if config.norm_reward:
        discounted = rates.gamma * discounted + reward
        returns = returns.merge(discounted.mean(), discounted.var(), jnp.float32(reward.size))
        reward = scale_by_deviation(reward, returns)
        discounted = jnp.where(done, 0.0, discounted)
    return Normalizers(moments, moments, returns, discounted), next_obs_n, obs_n, reward


def _merge_batch(moments: RunningMoments, x: Float[Array, "env obs"], weight: Float[Array, " env"]) -> RunningMoments:
    count = weight.sum()
    n = jnp.maximum(count, 1.0)
    mean = (x * weight[:, None]).sum(0) / n
    return moments.merge(mean, ((x - mean) ** 2 * weight[:, None]).sum(0) / n, count)
