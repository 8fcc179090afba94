"""Training on one of our environments, for one seed or many."""

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from rl_drug_dosage.envs.catalog import describe
from rl_drug_dosage.envs.functional import FunctionalEnv
from rl_drug_dosage.envs.privileged import with_truth
from rl_drug_dosage.ppo.action_space import ActionSpace
from rl_drug_dosage.ppo.learner import Learner, LearnerSettings, LearnerState, Rates
from rl_drug_dosage.ppo.loss import Coefficients
from rl_drug_dosage.ppo.normalizer import RunningMoments
from rl_drug_dosage.ppo.policy import PpoPolicy
from rl_drug_dosage.training.checkpoint import pack, unpack
from rl_drug_dosage.training.collect import NormRates
from rl_drug_dosage.training.compiled import init_batch
from rl_drug_dosage.training.config import TrainConfig
from rl_drug_dosage.training.episodes import Summary, run_compiled, summarize
from rl_drug_dosage.training.iteration import Iteration, Report, TrainState
from rl_drug_dosage.utils.device_shape import ONE_CORE_EACH
from rl_drug_dosage.utils.seeding import Stream, generator, key_for

__all__ = ["CompiledProgram", "env_record", "learner_settings", "make_policy", "make_rates"]


def learner_settings(
    config: TrainConfig, *, obs_size: int, action_size: int, visible: int | None = None, masked: bool = False
) -> LearnerSettings:
    """The part of the configuration that shapes the update."""
    return LearnerSettings(
        obs_size=obs_size,
        action_size=action_size,
        num_minibatches=config.num_minibatches,
        update_epochs=config.update_epochs,
        policy=config.policy,
        hidden_sizes=(config.hidden_size, config.hidden_size),
        visible=visible,
        init_logstd=config.init_logstd,
        memory_size=config.memory_size if config.memory == "gru" else 0,
        anneal_lr=config.anneal_lr,
        norm_adv=config.norm_adv,
        clip_vloss=config.clip_vloss,
        entropy_bonus=config.ent_coef > 0,
        bootstrap_truncation=config.bootstrap_truncation,
        early_stop=config.target_kl > 0,
        adaptive_lr=config.desired_kl > 0,
        masked=masked,
    )


def make_rates(config: TrainConfig, num_updates: int) -> tuple[Rates, NormRates]:
    """The numbers of the configuration that are arguments of the compiled program."""

    def f(number: float) -> np.ndarray:
        return np.asarray(number, np.float32)

    rates = Rates(
        learning_rate=f(config.learning_rate),
        gamma=f(config.gamma),
        gae_lambda=f(config.gae_lambda),
        max_grad_norm=f(config.max_grad_norm),
        coefficients=Coefficients(f(config.clip_coef), f(config.ent_coef), f(config.vf_coef)),
        target_kl=f(config.target_kl),
        desired_kl=f(config.desired_kl),
        num_updates=np.asarray(num_updates, np.int32),
    )
    limits = {"harm_limit": f(config.harm_limit), "harm_lr": f(config.harm_lr)}
    return rates, NormRates(f(config.gamma), f(config.clip_obs), f(config.clip_reward), **limits)


def env_record(config: TrainConfig, options: Mapping[str, Any]) -> dict[str, Any]:
    """What the model file records of the environment, enough to make it again."""
    return {"id": config.env_id, "options": dict(options), "frame_stack": config.frame_stack}


def make_policy(
    learner: Learner,
    flat: np.ndarray,
    obs_norm: RunningMoments,
    bounds: tuple[np.ndarray, np.ndarray],
    config: TrainConfig,
) -> PpoPolicy:
    """The policy in a flat parameter vector, with NumPy leaves."""
    networks = jax.tree.map(np.asarray, learner.networks(flat))
    clip = np.asarray(config.clip_obs, np.float32)
    settings = learner.settings
    return PpoPolicy(networks, obs_norm, *bounds, clip, settings.policy, config.norm_obs, settings.choices)


def _reward_of(env: Any) -> str:
    """The function that gives a scenario's reward and where it is written; empty where there is no such function."""
    while not hasattr(env, "scenario") and hasattr(env, "inner"):
        env = env.inner
    function = None if getattr(env, "by_goal", False) else getattr(getattr(env, "scenario", None), "reward", None)
    code = getattr(function, "__code__", None)
    if code is None:
        return ""
    return f"the function {code.co_name!r} of {Path(code.co_filename).name}, line {code.co_firstlineno}"


class CompiledProgram:
    """Training on one of our environments.

    Args:
        env: the environment.
        config: rollout and minibatches must fit (``plan`` sees to it).
        num_updates: for the learning rate's schedule.
        options: the environment's, for the model file.
        evaluated: what the policy is evaluated on; the environment itself unless told.
        source: ``file`` and ``sha256`` of a scenario that is not built in, for the model file.
        files: names and SHA-256 of all files that define that scenario, for the model file.
        drugs: names and SHA-256 of drug models from the user's files, for the model file.

    Raises:
        ConfigError: a privileged critic in an environment that has no more to show.
    """

    def __init__(
        self,
        env: FunctionalEnv,
        config: TrainConfig,
        num_updates: int,
        options: Mapping[str, Any],
        evaluated: FunctionalEnv | None = None,
        *,
        source: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
        drugs: Mapping[str, str] | None = None,
    ) -> None:
        self.compiles_evaluation = True
        self.reward = _reward_of(env)
        self.actions: ActionSpace | None = None  # float32 within the bounds
        self.seeds: tuple[int, ...] = tuple(config.seed + i for i in range(config.seeds))
        own: dict[str, Any] = {"source": dict(source)} if source else {}
        own |= {"files": dict(files)} if files else {}
        own |= {"drugs": dict(drugs)} if drugs else {}
        own["observations"] = [[f.name, f.unit] for f in (evaluated or env).observation_names]
        self.env_record: Mapping[str, Any] = env_record(config, options) | describe(env) | own
        self.observation_names: Sequence[str] = tuple(f.name for f in env.observation_names)
        self._evaluated = env if evaluated is None else evaluated
        visible = len(env.observation_bounds[0])
        if config.privileged_critic:
            env = with_truth(env)
        self._env = env
        self._config = config
        self._rates = make_rates(config, num_updates)
        self._bounds = env.action_bounds
        obs_size, action_size = (len(b[0]) for b in (env.observation_bounds, env.action_bounds))
        self.learner = Learner(learner_settings(config, obs_size=obs_size, action_size=action_size, visible=visible))
        self._iterate = Iteration(env, self.learner, config)
        # For one seed at a time: side by side, beliefs compile longer. Short loops divided among cores run far longer.
        self._begin = jax.jit(self._start, compiler_options=ONE_CORE_EACH)

    def with_numbers(self, config: TrainConfig, num_updates: int) -> Self:
        """The same compiled functions with other numbers.

        Args:
            config: of equal shape, see `training.shared`.
            num_updates: for the learning rate's schedule.
        """
        found = copy.copy(self)
        vars(found).update(
            seeds=tuple(config.seed + i for i in range(config.seeds)),
            _config=config,
            _rates=make_rates(config, num_updates),
            # The initial deviation is a value of the first parameters, which are made on the host.
            learner=Learner(dataclasses.replace(self.learner.settings, init_logstd=config.init_logstd)),
        )
        return found

    @property
    def _many(self) -> bool:
        return self._config.seeds > 1

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest action."""
        return self._bounds

    def init(self) -> TrainState:
        """The state before the first update."""
        each: list[TrainState] = [jax.device_get(self._begin(*self._beginning(seed))) for seed in self.seeds]
        return jax.tree.map(lambda *x: np.stack(x), *each) if self._many else each[0]

    def _beginning(self, seed: int) -> tuple[Any, ...]:
        """Arguments of `_start`."""
        key = np.asarray(jax.random.key_data(key_for(seed, Stream.TRAIN)))
        return self._env, self.learner.init(generator(seed, Stream.INIT)), key, self._rates[1]

    def compile(self, state: TrainState) -> None:
        """Compile the iteration, or read it from the persistent cache, unless that is done."""
        self._iterate.compile(self._env, state, self._rates, self._bounds)

    def __call__(self, state: TrainState) -> tuple[TrainState, Report]:
        """One iteration: ``num_envs x num_steps`` environment steps and all epochs on them."""
        return self._iterate(self._env, state, self._rates, self._bounds)

    def policies(self, state: TrainState) -> tuple[PpoPolicy, ...]:
        """The policy of each seed, with NumPy leaves and the normaliser that it was trained with."""
        flat, obs_norm = jax.device_get((state.learner.params, state.norms.obs))
        if not self._many:
            flat, obs_norm = flat[None], jax.tree.map(lambda x: x[None], obs_norm)
        return tuple(
            make_policy(self.learner, flat[i], jax.tree.map(lambda x, i=i: x[i], obs_norm), self._bounds, self._config)
            for i in range(len(self.seeds))
        )

    def evaluate(self, policy: PpoPolicy, seed: int, episodes: int) -> Summary:
        """Deterministic episodes on patients of their own stream."""
        return summarize(run_compiled(self._evaluated, policy, seed=seed, stream=Stream.TRAIN_EVAL, episodes=episodes))

    def snapshot(self, state: TrainState) -> dict[str, np.ndarray]:
        """The state as named tensors."""
        return pack(jax.device_get(state))

    def restore(self, tensors: Mapping[str, np.ndarray], say: Callable[[str], None]) -> TrainState:
        """The state of a snapshot."""
        del say  # nothing of it is lost
        like = jax.eval_shape(self._start, *self._beginning(self.seeds[0]))
        if self._many:
            like = jax.tree.map(lambda x: jax.ShapeDtypeStruct((len(self.seeds), *x.shape), x.dtype), like)
        restored: TrainState = unpack(like, tensors)
        return restored

    def close(self) -> None:
        """Nothing is held."""

    def _start(self, env: FunctionalEnv, learner: LearnerState, key: jax.Array, rates: NormRates) -> TrainState:
        key, start = jax.random.split(jax.random.wrap_key_data(key))
        batch, norms = init_batch(env, self.learner.networks(learner.params), start, self._config, rates)
        norms = jax.tree.map(jnp.asarray, norms)
        return TrainState(learner, batch, norms, jax.random.key_data(key), jnp.zeros(()))
