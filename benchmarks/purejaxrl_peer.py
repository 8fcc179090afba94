"""PureJaxRL's PPO on one of this project's environments, for ``bench.py``: the algorithm, written for this comparison.

It follows ``ppo_continuous_action.py`` and its wrappers at commit 31756b197773a52db763fdbe6d635e4b46522a73 of
github.com/luchris429/purejaxrl (Lu et al. 2022), operation by operation, with the settings of the run that it is
compared with: normalisers updated every step, a value and two random keys per step, an episode begun again in every
step and selected, one gather of every array per epoch, gradients by JAX, Adam with clipping by global norm from optax
on a tree of parameters, learning rate by a schedule, the whole training one `jax.lax.scan`. Its libraries for layers
and distributions leave no trace in a compiled program, so the layers and the Gaussian are written out here.

"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rl_drug_dosage.envs.functional import FunctionalEnv
from rl_drug_dosage.ppo.networks import orthogonal
from rl_drug_dosage.training.config import TrainConfig

__all__ = ["peer_training"]

type Params = dict[str, Any]


class _Moments(NamedTuple):
    mean: jax.Array
    var: jax.Array
    count: jax.Array


class _World(NamedTuple):
    """Environments and what the wrappers keep of them."""

    state: Any
    obs: _Moments
    returns: _Moments
    discounted: jax.Array
    episode_return: jax.Array
    episode_length: jax.Array


class _Step(NamedTuple):
    done: jax.Array
    action: jax.Array
    value: jax.Array
    reward: jax.Array
    log_prob: jax.Array
    obs: jax.Array
    episode: tuple[jax.Array, jax.Array]


def _merged(moments: _Moments, batch: jax.Array) -> _Moments:
    n = batch.shape[0]
    delta, total = batch.mean(axis=0) - moments.mean, moments.count + n
    squares = moments.var * moments.count + batch.var(axis=0) * n + delta**2 * moments.count * n / total
    return _Moments(moments.mean + delta * n / total, squares / total, total)


class _Env:
    """The environment in the wrappers that PureJaxRL puts around one of Brax."""

    def __init__(self, env: FunctionalEnv, config: TrainConfig) -> None:
        self.env, self.gamma = env, config.gamma
        low, high = env.action_bounds
        self._low, self._span = low, 0.5 * (high - low)

    def reset(self, keys: jax.Array) -> tuple[jax.Array, _World]:
        state, obs = jax.vmap(lambda key: self.env.reset(self.env.draw(key, ())))(keys)
        n = obs.shape[0]
        moments = _merged(_Moments(jnp.zeros(obs.shape[1]), jnp.ones(obs.shape[1]), jnp.float32(1e-4)), obs)
        returns = _Moments(jnp.zeros(()), jnp.ones(()), jnp.float32(1e-4))
        world = _World(state, moments, returns, jnp.zeros(n), jnp.zeros(n), jnp.zeros(n))
        return (obs - moments.mean) / jnp.sqrt(moments.var + 1e-8), world

    def _one(self, key: jax.Array, state: Any, action: jax.Array) -> Any:
        chance = self.env.draw(key, ())
        out = self.env.step(state, self._low + (jnp.clip(action, -1.0, 1.0) + 1.0) * self._span, chance)
        done = out.terminated | out.truncated
        again, obs = self.env.reset(chance)
        state = jax.tree.map(lambda new, old: jnp.where(done, new, old), again, out.state)
        return jnp.where(done, obs, out.obs), state, out.reward, done

    def step(self, keys: jax.Array, world: _World, action: jax.Array) -> Any:
        obs, state, reward, done = jax.vmap(self._one)(keys, world.state, action)
        total, length = world.episode_return + reward, world.episode_length + 1
        moments = _merged(world.obs, obs)
        discounted = world.discounted * self.gamma * (1 - done) + reward
        returns = _merged(world.returns, discounted)
        world = _World(state, moments, returns, discounted, total * (1 - done), length * (1 - done))
        scaled = reward / jnp.sqrt(returns.var + 1e-8)
        return (obs - moments.mean) / jnp.sqrt(moments.var + 1e-8), world, scaled, done, (total * done, length * done)


def _init(rng: np.random.Generator, obs_size: int, action_size: int, hidden: int) -> Params:
    def layers(out: int, gain: float) -> list[tuple[np.ndarray, np.ndarray]]:
        shapes = ((obs_size, hidden), (hidden, hidden), (hidden, out))
        gains = (math.sqrt(2.0), math.sqrt(2.0), gain)
        return [(orthogonal(rng, s, g), np.zeros(s[1], np.float32)) for s, g in zip(shapes, gains, strict=True)]

    return {"actor": layers(action_size, 0.01), "critic": layers(1, 1.0), "log_std": np.zeros(action_size, np.float32)}


def _apply(params: Params, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    def dense(layers: Any) -> jax.Array:
        h = x
        for weight, bias in layers[:-1]:
            h = jnp.tanh(h @ weight + bias)
        return h @ layers[-1][0] + layers[-1][1]

    return dense(params["actor"]), dense(params["critic"])[..., 0]


def _log_prob(params: Params, mean: jax.Array, action: jax.Array) -> jax.Array:
    z = (action - mean) / jnp.exp(params["log_std"])
    return (-0.5 * z**2 - params["log_std"] - 0.5 * math.log(2 * math.pi)).sum(-1)


def _entropy(params: Params) -> jax.Array:
    return (0.5 + 0.5 * math.log(2 * math.pi) + params["log_std"]).sum()


def peer_training(env: FunctionalEnv, config: TrainConfig, updates: int) -> tuple[Any, Callable[[Any], Any]]:
    """A first state and the compiled training of so many updates, from state to state and the log of its episodes.

    Args:
        env: the environment.
        config: shapes, rates and coefficients.
        updates: of one call; the learning rate falls over the updates of the whole configuration.
    """
    wrapped, count = _Env(env, config), max(1, config.total_timesteps // (config.num_steps * config.num_envs))
    steps_per_update = config.num_minibatches * config.update_epochs

    def schedule(step: jax.Array) -> jax.Array:
        return config.learning_rate * (1.0 - (step // steps_per_update) / count)

    optimizer = optax.chain(
        optax.clip_by_global_norm(config.max_grad_norm), optax.adam(learning_rate=schedule, eps=1e-5)
    )
    update = _update(wrapped, config, optimizer)
    sizes = (len(env.observation_bounds[0]), len(env.action_bounds[0]))
    params = _init(np.random.default_rng(config.seed), *sizes, config.hidden_size)
    key, start = jax.random.split(jax.random.key(config.seed))
    obs, world = jax.jit(wrapped.reset)(jax.random.split(start, config.num_envs))
    first = (params, jax.jit(optimizer.init)(params), world, obs, key)
    train = jax.jit(lambda state: jax.lax.scan(update, state, None, updates))
    return first, train.lower(first).compile()


def _update(env: _Env, config: TrainConfig, optimizer: optax.GradientTransformation) -> Callable[..., Any]:
    eps, batch_size = config.clip_coef, config.num_steps * config.num_envs

    def env_step(carry: Any, _: None) -> Any:
        params, world, obs, key = carry
        key, action_key = jax.random.split(key)
        mean, value = _apply(params, obs)
        action = mean + jnp.exp(params["log_std"]) * jax.random.normal(action_key, mean.shape)
        log_prob = _log_prob(params, mean, action)
        key, step_key = jax.random.split(key)
        keys = jax.random.split(step_key, config.num_envs)
        after, world, reward, done, episode = env.step(keys, world, action)
        return (params, world, after, key), _Step(done, action, value, reward, log_prob, obs, episode)

    def advantages_of(steps: _Step, last: jax.Array) -> jax.Array:
        def back(carry: Any, now: _Step) -> Any:
            advantage, after = carry
            delta = now.reward + config.gamma * after * (1 - now.done) - now.value
            advantage = delta + config.gamma * config.gae_lambda * (1 - now.done) * advantage
            return (advantage, now.value), advantage

        return jax.lax.scan(back, (jnp.zeros_like(last), last), steps, reverse=True, unroll=16)[1]

    def loss(params: Params, steps: _Step, advantage: jax.Array, target: jax.Array) -> Any:
        mean, value = _apply(params, steps.obs)
        near = steps.value + (value - steps.value).clip(-eps, eps)
        value_loss = 0.5 * jnp.maximum((value - target) ** 2, (near - target) ** 2).mean()
        ratio = jnp.exp(_log_prob(params, mean, steps.action) - steps.log_prob)
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        policy_loss = -jnp.minimum(ratio * advantage, jnp.clip(ratio, 1.0 - eps, 1.0 + eps) * advantage).mean()
        entropy = _entropy(params)
        total = policy_loss + config.vf_coef * value_loss - config.ent_coef * entropy
        return total, (value_loss, policy_loss, entropy)

    def minibatch(carry: Any, batch: Any) -> Any:
        params, opt_state = carry
        losses, grad = jax.value_and_grad(loss, has_aux=True)(params, *batch)
        step, opt_state = optimizer.update(grad, opt_state, params)
        return (optax.apply_updates(params, step), opt_state), losses

    def update(carry: Any, _: None) -> Any:
        params, opt_state, world, obs, key = carry
        (_, world, obs, key), steps = jax.lax.scan(env_step, (params, world, obs, key), None, config.num_steps)
        advantage = advantages_of(steps, _apply(params, obs)[1])
        batch = jax.tree.map(lambda x: x.reshape(batch_size, *x.shape[2:]), (steps, advantage, advantage + steps.value))

        def epoch(carry: Any, _: None) -> Any:
            learnt, key = carry
            key, shuffle_key = jax.random.split(key)
            order = jax.random.permutation(shuffle_key, batch_size)
            shuffled = jax.tree.map(
                lambda x: jnp.take(x, order, axis=0).reshape(config.num_minibatches, -1, *x.shape[1:]), batch
            )
            learnt, losses = jax.lax.scan(minibatch, learnt, shuffled)
            return (learnt, key), losses

        ((params, opt_state), key), _ = jax.lax.scan(epoch, ((params, opt_state), key), None, config.update_epochs)
        return (params, opt_state, world, obs, key), steps.episode

    return update
