"""The compiled collector: the functional environment's own steps, normalised like anybody else's."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np
import pytest
from gymnasium.wrappers.utils import RunningMeanStd

from rl_drug_dosage.envs.drug_dose_v0 import DrugDose, make_drug_dose
from rl_drug_dosage.envs.functional import where_rows
from rl_drug_dosage.ppo.distribution import to_action
from rl_drug_dosage.ppo.networks import init_actor_critic
from rl_drug_dosage.training.collect import EpisodeStats, Normalizers, Transitions, initial_normalizers, to_rollout
from rl_drug_dosage.training.compiled import draws, gathered, init_batch, walk
from rl_drug_dosage.training.config import TrainConfig
from rl_drug_dosage.training.plan import make_plan
from rl_drug_dosage.training.program import CompiledProgram, make_rates
from rl_drug_dosage.training.report import scalars
from rl_drug_dosage.training.task import make_program

MakeConfig = Callable[..., TrainConfig]
Collected = tuple[Any, Any, Normalizers, EpisodeStats]


def collected(env: DrugDose, config: TrainConfig, rollouts: int = 1, seed: int = 0) -> tuple[Any, list[Collected], Any]:
    """Some rollouts with fixed networks; the starting point, what came of each, and the networks."""
    networks = init_actor_critic(np.random.default_rng(0), obs_size=1, action_size=1, hidden_sizes=(4, 4))
    rates, bounds = make_rates(config, 1)[1], env.action_bounds
    start = jax.jit(lambda env, key: init_batch(env, networks, jax.random.wrap_key_data(key), config, rates))

    @jax.jit
    def run(env: DrugDose, batch: Any, norms: Normalizers, key: Any) -> Collected:
        drawn = draws(env, networks, jax.random.wrap_key_data(key), config)
        walked = walk(env, networks, batch, norms, drawn, bounds, config, rates)
        return gathered(batch.memory, walked, config, rates)

    first = batch, norms = start(env, np.uint32([1, seed]))
    outs = []
    for i in range(rollouts):
        out = run(env, batch, norms, np.uint32([i, seed]))
        _, batch, norms, _ = out
        outs.append(jax.device_get(out))
    return jax.device_get(first), outs, networks


def unrolled(
    env: DrugDose, start: Any, config: TrainConfig, networks: Any, keys: list[np.ndarray]
) -> list[dict[str, Any]]:
    """The same rollouts step by step with the functional environment under the same chance; no normalisation."""
    chances, noises = [], []
    for key in keys:
        chance_key, action_key = jax.random.split(jax.random.wrap_key_data(key))
        shape = (config.num_steps, config.num_envs)
        chances.append(np.asarray(env.draw(chance_key, shape)))
        noises.append(np.asarray(jax.random.normal(action_key, (*shape, 1))))
    step, reset = jax.jit(jax.vmap(env.step)), jax.jit(jax.vmap(env.reset))
    state, obs = start.state, start.obs
    rows = []
    for chance, noise in zip(np.concatenate(chances), np.concatenate(noises), strict=True):
        u = networks.actor_mean(obs) + noise
        out = jax.device_get(step(state, to_action(u, *env.action_bounds, config.policy), chance))
        done = out.terminated | out.truncated
        rows.append(
            {"obs": obs, "next_obs": out.obs, "u": u, "reward": out.reward, "done": out.truncated, "in": out.in_range}
        )
        new_state, new_obs = jax.device_get(reset(chance))
        state, obs = where_rows(done, (new_state, new_obs), (out.state, out.obs))
    return rows


@pytest.fixture(scope="module")
def raw(tiny_config: MakeConfig) -> tuple[DrugDose, TrainConfig, Any, list[Collected], Any]:
    """Two rollouts of 8 steps without normalisation, episodes of 5 steps."""
    env = make_drug_dose(horizon=5, c0=1.9, noise_std=0.05, k_range=(0.03, 0.08))
    config = tiny_config(norm_obs=False, norm_reward=False)
    return env, config, *collected(env, config, 2)


@pytest.mark.long
def test_the_compiled_collector_takes_the_functional_environments_steps(raw: Any) -> None:
    """Same chance, same transitions, and a state that is carried from rollout to rollout."""
    env, config, (start, _), outs, networks = raw
    rows = unrolled(env, start, config, networks, [np.uint32([i, 0]) for i in range(2)])
    for name in ("obs", "next_obs", "u", "reward", "done"):
        got = np.concatenate([getattr(out[0], name) for out in outs])
        np.testing.assert_allclose(got, np.stack([row[name] for row in rows]), rtol=2e-5, atol=2e-6)
    rollout = outs[0][0]
    assert rollout.done.sum() == 3
    assert not rollout.terminated.any()
    assert (rollout.valid == 1).all()
    # where an episode ended, what the step led to is not where the next one begins
    assert (rollout.next_obs[4] != rollout.obs[5]).all()
    np.testing.assert_array_equal(rollout.obs[5], np.float32(1.9))
    np.testing.assert_array_equal(rollout.next_obs[3], rollout.obs[4])


def test_the_compiled_collectors_episode_statistics(raw: Any) -> None:
    """Returns and lengths of whole episodes, those that run across rollouts included, and the share in range."""
    env, config, (start, _), outs, networks = raw
    rows = unrolled(env, start, config, networks, [np.uint32([i, 0]) for i in range(2)])
    rewards = np.stack([row["reward"] for row in rows])
    for i, (count, total, length) in enumerate([(3, rewards[:5].sum(), 15), (6, rewards[5:15].sum(), 30)]):
        stats = outs[i][3]
        assert stats.ended == count
        assert stats.return_sum == pytest.approx(total, rel=1e-5)
        assert stats.length_sum == length
        assert stats.in_range == pytest.approx(np.stack([row["in"] for row in rows])[8 * i : 8 * i + 8].mean())
    np.testing.assert_allclose(outs[1][1].episode_return, rewards[15], rtol=1e-5)
    np.testing.assert_array_equal(outs[1][1].episode_length, 1)


def test_each_environment_has_a_patient_of_its_own(raw: Any) -> None:
    """Different k everywhere and in every episode; another key gives another rollout."""
    *_, outs, _ = raw
    k = np.concatenate([out[1].state.k for out in outs])
    assert np.unique(k).size == k.size


def numpy_scaling(reward: np.ndarray, done: np.ndarray, gamma: float) -> tuple[np.ndarray, float, np.ndarray]:
    """Rewards over the deviation of all discounted sums so far, those of the same rollout included."""
    g = np.zeros(reward.shape)
    running = np.zeros(reward.shape[1])
    for t in range(len(reward)):
        running = gamma * running + reward[t]
        g[t] = running
        running = np.where(done[t], 0.0, running)
    return reward / np.sqrt(g.var() + 1e-8), g.var(), running


def test_the_normalisers_are_shared_and_move_once_a_rollout(raw: Any) -> None:
    """One mean and variance over all environments; acting and learning use those of the rollouts before."""
    _, config, _, outs, _ = raw
    transitions = [Transitions(*out[0][:7]) for out in outs]
    normal = TrainConfig(**{**config.to_record(), "norm_obs": True, "norm_reward": True})
    rates = make_rates(normal, 1)[1]
    first, norms, _ = jax.device_get(to_rollout(transitions[0], initial_normalizers(1, 3), rates, normal))
    np.testing.assert_allclose(first.obs, transitions[0].obs, rtol=1e-6)  # mean 0, variance 1: nothing seen before
    seen = transitions[0].obs.reshape(-1, 1)
    assert norms.obs_latest.mean.shape == (1,)
    np.testing.assert_allclose(norms.obs_latest.mean, seen.mean(0), rtol=1e-4)
    np.testing.assert_allclose(norms.obs_latest.var, seen.var(0), rtol=1e-3)
    scaled, variance, carry = numpy_scaling(transitions[0].reward, transitions[0].done, 0.99)
    np.testing.assert_allclose(first.reward, scaled, rtol=1e-3)
    assert norms.returns.var == pytest.approx(variance, rel=1e-3)
    np.testing.assert_allclose(norms.discounted, carry, rtol=1e-5)

    moved = eqx.tree_at(lambda n: n.obs, norms, norms.obs_latest)
    second = jax.device_get(to_rollout(transitions[1], moved, rates, normal))[0]
    expected = (transitions[1].obs - seen.mean(0)) / np.sqrt(seen.var(0) + 1e-8)
    np.testing.assert_allclose(second.obs, expected, rtol=2e-3, atol=1e-3)


def test_clipped_rewards_are_counted(raw: Any) -> None:
    """``clip_reward`` cuts what it says and reports how often it bit."""
    _, config, _, outs, _ = raw
    transitions = Transitions(*outs[0][0][:7])
    cut = TrainConfig(**{**config.to_record(), "clip_reward": 0.05})
    rollout, _, share = jax.device_get(to_rollout(transitions, initial_normalizers(1, 3), make_rates(cut, 1)[1], cut))
    np.testing.assert_allclose(rollout.reward, transitions.reward.clip(-0.05, 0.05))
    assert share == pytest.approx((np.abs(transitions.reward) > 0.05).mean())
    assert 0 < share <= 1


@pytest.mark.long
def test_the_compiled_collector_normalises_like_gymnasium_step_by_step(tiny_config: MakeConfig) -> None:
    """One environment: Gymnasium's RunningMeanStd over the same numbers in CleanRL's order."""
    env = make_drug_dose(horizon=5, c0=1.9, noise_std=0.05)
    config = tiny_config(num_envs=1, norm_update="step", clip_obs=1e9, norm_reward=False)
    (start, _), outs, _ = collected(env, config)
    rollout, _, norms, _ = outs[0]
    statistics = RunningMeanStd(shape=(1,))
    state, obs = start.state, start.obs

    def normalised(x: np.ndarray) -> np.ndarray:
        statistics.update(x)
        return (x - statistics.mean) / np.sqrt(statistics.var + 1e-8)

    chance = np.asarray(env.draw(jax.random.split(jax.random.wrap_key_data(np.uint32([0, 0])))[0], (8, 1)))
    seen = normalised(obs)
    for t in range(8):
        np.testing.assert_allclose(rollout.obs[t], seen, rtol=2e-3, atol=2e-4)
        out = jax.device_get(
            jax.vmap(env.step)(state, to_action(rollout.u[t], *env.action_bounds, config.policy), chance[t])
        )
        state, seen = out.state, normalised(out.obs)
        np.testing.assert_allclose(rollout.next_obs[t], seen, rtol=2e-3, atol=2e-4)
        if out.truncated:
            state, obs = jax.device_get(jax.vmap(env.reset)(chance[t]))
            seen = normalised(obs)
    np.testing.assert_allclose(norms.obs.mean, statistics.mean, rtol=1e-4)
    np.testing.assert_allclose(norms.obs.var, statistics.var, rtol=1e-3)
    assert norms.obs.count == pytest.approx(10, abs=1e-3)  # the start, eight steps, and one reset


# --- a whole iteration -----------------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_policy_carries_the_statistics_that_it_acted_with(tiny_config: MakeConfig) -> None:
    """After two iterations the saved normaliser is the one of the last rollout, not a fresh one; the run repeats."""
    env, config = make_drug_dose(horizon=5, c0=1.9, noise_std=0.05), tiny_config()
    made = CompiledProgram(env, config, 2, {})
    state = made.init()
    made.compile(state)
    again = made.init()
    middle, report = made(state)
    state, _ = made(middle)
    policy = made.policies(jax.device_get(state))[0]
    np.testing.assert_array_equal(policy.obs_norm.mean, middle.norms.obs_latest.mean)
    np.testing.assert_array_equal(policy.obs_norm.var, middle.norms.obs_latest.var)
    assert policy.obs_norm.count == pytest.approx(24, abs=1e-3)
    values = scalars(jax.device_get(report), 0, config, 1.0)
    assert values["charts/episodic_length"] == 5.0
    assert abs(values["losses/approx_kl"]) < 0.02
    for _ in range(2):
        again, _ = made(again)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((np.asarray(a) == np.asarray(b)).all()), again, state))
    restored = made.restore(made.snapshot(state), print)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((np.asarray(a) == np.asarray(b)).all()), restored, state))


def test_an_elimination_that_was_asked_for_is_trained_on() -> None:
    """``--env-kwargs '{"k": 0.1}'`` means every patient, not one drawn from training's usual range."""
    made = make_program(make_plan(TrainConfig(env_kwargs='{"k": 0.1}')))
    assert isinstance(made, CompiledProgram)
    assert (made._env.k_low, made._env.k_high) == (np.float32(0.1), np.float32(0.1))
