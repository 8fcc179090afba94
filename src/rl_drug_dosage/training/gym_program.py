"""Training on any Gymnasium environment: the environments on the host, the update compiled."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import equinox as eqx
import gymnasium
import jax
import numpy as np
from jaxtyping import Float, UInt32

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.ppo.action_space import ActionSpace
from rl_drug_dosage.ppo.categorical import CATEGORICAL, choose
from rl_drug_dosage.ppo.distribution import to_action
from rl_drug_dosage.ppo.learner import Learner, LearnerState, Rates, Rollout, UpdateMetrics
from rl_drug_dosage.ppo.networks import ActorCritic
from rl_drug_dosage.ppo.normalizer import RunningMoments, scale_by_deviation, standardize
from rl_drug_dosage.ppo.policy import PpoPolicy
from rl_drug_dosage.training.checkpoint import pack, unpack
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
from rl_drug_dosage.training.episodes import Summary, run_gymnasium, summarize
from rl_drug_dosage.training.gym_envs import BatchStep, NotRepeatedError
from rl_drug_dosage.training.gym_make import make_batch, make_one
from rl_drug_dosage.training.iteration import Report
from rl_drug_dosage.training.program import env_record, learner_settings, make_policy, make_rates
from rl_drug_dosage.types import Array
from rl_drug_dosage.utils.seeding import Stream, generator, key_for

__all__ = ["GymProgram", "GymState"]

_COMPILED_ONLY = {"seeds": 1, "frame_stack": 1, "memory": "none", "privileged_critic": False, "harm_limit": 0.0}


class GymState(eqx.Module):
    """The training state, without the environments themselves."""

    learner: LearnerState
    norms: Normalizers
    key: UInt32[Array, " 2"]
    obs: Float[np.ndarray, "env obs"]
    episode_return: Float[np.ndarray, " env"]
    episode_length: Float[np.ndarray, " env"]


class GymProgram:
    """The same learner with a collector that steps any Gymnasium environment.

    Args:
        config: configuration with matching rollout and minibatches (see ``plan``).
        num_updates: number of updates, for the learning rate schedule.
        gym_id: what Gymnasium is asked for; unless given, the configuration's ``env_id``.

    Raises:
        ConfigError: an option that only compiled environments support.
    """

    def __init__(self, config: TrainConfig, num_updates: int, gym_id: str = "") -> None:
        for option, default in _COMPILED_ONLY.items():
            if getattr(config, option) != default:
                raise ConfigError(f"--{option.replace('_', '-')} is for our compiled environments, not {config.env_id}")
        self.compiles_evaluation = False
        self.reward = ""
        self.seeds: tuple[int, ...] = (config.seed,)
        self.env_record: Mapping[str, Any] = env_record(config, config.env_options())
        self.observation_names: Sequence[str] = ()
        self._config = config
        self._gym_id = gym_id or config.env_id
        self._rates = make_rates(config, num_updates)
        batch = make_batch(config, self._gym_id)
        self.envs = batch.envs
        self._space = batch.actions
        self.actions: ActionSpace | None = batch.actions
        masked = config.vectorization == "vector_entry_point"
        settings = learner_settings(config, obs_size=batch.obs_size, action_size=batch.actions.size, masked=masked)
        if batch.actions.choices:
            settings = replace(settings, policy=CATEGORICAL, choices=batch.actions.choices)
        self.learner = Learner(settings)
        self._before: tuple[int, Callable[[], dict[str, np.ndarray]]] = (-1, dict)
        self._learn = jax.jit(self._update)
        self._compiled: Any = None

    def with_numbers(self, config: TrainConfig, num_updates: int) -> Self:
        """New environments and other numbers with the same compiled update.

        Args:
            config: of equal shape, see `training.shared`.
            num_updates: for the learning rate's schedule.
        """
        found = type(self)(config, num_updates, self._gym_id)
        vars(found).update(_learn=self._learn, _compiled=self._compiled)
        return found

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest action of the policy."""
        return self._space.policy_bounds

    def init(self) -> GymState:
        """The state before the first update; starts the first episodes."""
        obs = self.envs.reset()
        norms = initial_normalizers(obs.shape[1], len(obs))
        if self._config.norm_obs and self._config.norm_update == "step":
            moments = _merge(norms.obs, obs)
            norms = eqx.tree_at(lambda n: (n.obs, n.obs_latest), norms, (moments, moments))
        seed = self._config.seed
        return GymState(
            learner=self.learner.init(generator(seed, Stream.INIT)),
            norms=norms,
            key=np.asarray(jax.random.key_data(key_for(seed, Stream.TRAIN))),
            obs=obs,
            episode_return=np.zeros(len(obs)),
            episode_length=np.zeros(len(obs)),
        )

    def compile(self, state: GymState) -> None:
        """Compile the update, or read it from the persistent cache, unless that is done."""
        if self._compiled is not None:
            return
        config, n = self._config, state.obs.shape
        shape = (config.num_steps, n[0])
        zeros, flags = np.zeros(shape, np.float32), np.zeros(shape, bool)
        obs, u = np.zeros((*shape, n[1]), np.float32), np.zeros((*shape, len(self.bounds[0])), np.float32)
        rollout = Transitions(obs, obs, u, zeros, flags, flags, zeros)
        lowered = self._learn.lower(state.learner, rollout, state.norms, state.key, self._rates)
        self._compiled = lowered.compile()

    def policies(self, state: GymState) -> tuple[PpoPolicy, ...]:
        """The policy, with NumPy leaves and the normaliser it was trained with."""
        norm = jax.tree.map(np.asarray, state.norms.obs)
        return (make_policy(self.learner, np.asarray(state.learner.params), norm, self.bounds, self._config),)

    def evaluate(self, policy: PpoPolicy, seed: int, episodes: int) -> Summary:
        """Deterministic episodes, whose resets are seeded from a separate stream."""
        run = run_gymnasium(
            self._make_one,
            policy,
            seed=seed,
            stream=Stream.TRAIN_EVAL,
            episodes=episodes,
            max_steps=self._config.eval_max_steps,
        )
        return summarize(run)

    def snapshot(self, state: GymState) -> dict[str, np.ndarray]:
        """The training state and the environments' state as named tensors.

        The state may be the one before the last iteration, if that came to nothing.
        """
        update, envs = self._before
        own = envs() if update == int(state.learner.update) else self.envs.snapshot()
        return pack(state) | {f"envs.{name}": tensor for name, tensor in own.items()}

    def restore(self, tensors: Mapping[str, np.ndarray], say: Callable[[str], None]) -> GymState:
        """Restore the state of a snapshot; the environments too, or else with new episodes."""
        state: GymState = unpack(self.init(), tensors)
        prefix = "envs."
        own = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        try:
            self.envs.restore(own, state.obs)
        except NotRepeatedError as error:
            say(
                f"the episodes of {self._config.env_id} cannot be continued ({error}): the resumed run starts new "
                "episodes, so it is not bit for bit the run that was never stopped"
            )
            zeros = np.zeros_like(state.episode_return)
            norms = eqx.tree_at(lambda n: n.discounted, state.norms, np.zeros_like(state.norms.discounted))
            return GymState(state.learner, norms, state.key, self.envs.reset(), zeros, zeros)
        return state

    def close(self) -> None:
        """Release the environments."""
        self.envs.close()

    def _make_one(self) -> gymnasium.Env[Any, Any]:
        return make_one(self._gym_id, self._config.env_options())

    def __call__(self, state: GymState) -> tuple[GymState, Report]:
        """One iteration: a rollout on the host, then all epochs in one compiled call."""
        self._before = int(state.learner.update), self.envs.mark()
        rollout, norms, state, episodes = self._collect(state)
        learner, norms, key, metrics, clipped = self._compiled(state.learner, rollout, norms, state.key, self._rates)
        learner, norms, key = jax.device_get((learner, norms, key))
        new = GymState(learner, norms, key, state.obs, state.episode_return, state.episode_length)
        return new, Report(metrics, episodes._replace(reward_clipped=clipped))

    def _update(
        self,
        learner: LearnerState,
        rollout: Transitions,
        norms: Normalizers,
        key: jax.Array,
        rates: tuple[Rates, NormRates],
    ) -> tuple[LearnerState, Normalizers, jax.Array, UpdateMetrics, Array]:
        next_key, update_key = jax.random.split(jax.random.wrap_key_data(key))
        if self._config.norm_update == "rollout":
            ready, norms, clipped = to_rollout(rollout, norms, rates[1], self._config)
        else:
            reward, clipped = clip_rewards(rollout.reward, rates[1], self._config)
            ready = Rollout(*rollout._replace(reward=reward))
        learner, metrics = self.learner.update(learner, ready, rates[0], update_key)
        return learner, norms, jax.random.key_data(next_key), metrics, clipped

    def _collect(self, state: GymState) -> tuple[Transitions, Normalizers, GymState, EpisodeStats]:
        config, rates = self._config, self._rates[1]
        per_step = config.norm_update == "step"
        norms = state.norms if per_step else eqx.tree_at(lambda n: n.obs, state.norms, state.norms.obs_latest)
        norms = jax.tree.map(np.asarray, norms)
        networks, choices = self._host_networks(state.learner), self.learner.settings.choices
        deviation = np.exp(networks.actor_logstd[0])
        noise = self._noise(int(state.learner.update))
        obs, total, length = state.obs, state.episode_return.copy(), state.episode_length.copy()
        rows: list[tuple[np.ndarray, ...]] = []
        ended: list[tuple[float, float]] = []
        in_range: list[np.ndarray] = []
        for eps in noise:
            obs_n = standardize(obs, norms.obs, rates.clip_obs) if config.norm_obs else obs
            mean = networks.actor_mean(obs_n)
            if choices:
                u = choose(mean + eps, choices)
                out = self.envs.step(self.bounds[0] + u)
            else:
                u = mean + deviation * eps
                out = self.envs.step(to_action(u, *self.bounds, config.policy))
            done = out.terminated | out.truncated
            total, length = total + out.reward, length + out.valid
            ended += zip(total[done], length[done], strict=True)
            total, length = np.where(done, 0.0, total), np.where(done, 0.0, length)
            in_range.append(out.in_range[out.valid])
            next_obs, reward, used = out.final_obs, out.reward, obs
            if per_step:
                used = obs_n
                norms, next_obs, reward = _normalize_step(norms, out, done, config, rates)
            rows.append((used, next_obs, u, reward, out.terminated, done, out.valid))
            obs = out.obs
        columns = (np.stack(column) for column in zip(*rows, strict=True))
        dtypes = (np.float32, np.float32, np.float32, np.float32, bool, bool, np.float32)
        transitions = Transitions(*(c.astype(t) for c, t in zip(columns, dtypes, strict=True)))
        sums = np.sum(ended, axis=0) if ended else np.zeros(2)
        share = np.concatenate(in_range).mean() if in_range else np.nan
        stats = EpisodeStats(np.float32(len(ended)), sums[0], sums[1], share, np.float32(0.0))
        return transitions, norms, GymState(state.learner, norms, state.key, obs, total, length), stats

    def _noise(self, update: int) -> Float[np.ndarray, "time env action"]:
        """What makes samples of a rollout's actions: normal, or Gumbel for logits."""
        config, choices = self._config, self.learner.settings.choices
        rng = generator(config.seed, Stream.TRAIN, 2**31, update)
        if choices:
            return rng.gumbel(size=(config.num_steps, config.num_envs, sum(choices))).astype(np.float32)
        return rng.standard_normal((config.num_steps, config.num_envs, self._space.size), dtype=np.float32)

    def _host_networks(self, learner: LearnerState) -> ActorCritic:
        networks: ActorCritic = jax.tree.map(np.asarray, self.learner.networks(np.asarray(learner.params)))
        return networks


def _normalize_step(
    norms: Normalizers, out: BatchStep, done: np.ndarray, config: TrainConfig, rates: NormRates
) -> tuple[Normalizers, np.ndarray, np.ndarray]:
    """CleanRL's order: first the observation of the step updates the statistics and is normalised, then the reset's.

    A row that only reset (NEXT_STEP) counts its observation as that of a reset, and has no reward.
    """
    moments, returns, discounted = norms.obs, norms.returns, norms.discounted
    next_obs, reward, valid = out.final_obs, out.reward, out.valid
    if config.norm_obs:
        if valid.any():
            moments = _merge(moments, out.final_obs[valid])
        next_obs = standardize(out.final_obs, moments, rates.clip_obs)
        restarted = (out.obs != out.final_obs).any(1) & done
        fresh = np.concatenate([out.obs[restarted], out.final_obs[~valid]])
        if len(fresh):
            moments = _merge(moments, fresh)
    if config.norm_reward:
        discounted = rates.gamma * discounted + reward
        if valid.any():
            some = discounted[valid]
            returns = returns.merge(some.mean(), some.var(), np.float32(len(some)))
        reward = scale_by_deviation(reward, returns)
        discounted = np.where(done, 0.0, discounted).astype(np.float32)
    return Normalizers(moments, moments, returns, discounted), next_obs, reward


def _merge(moments: RunningMoments, x: np.ndarray) -> RunningMoments:
    return moments.merge(x.mean(0), x.var(0), np.float32(len(x)))
