"""A batch of any Gymnasium environment with Box spaces, with final observations handled correctly."""

import abc
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from jaxtyping import Bool, Float

from rl_drug_dosage.errors import ConfigError, UnknownNameError
from rl_drug_dosage.training.config import TrainConfig
from rl_drug_dosage.utils.seeding import Stream, generator

__all__ = ["BatchStep", "EnvBatch", "SeparateEnvs", "VectorEnvs", "action_bounds", "make_batch", "make_one"]


class BatchStep(NamedTuple):
    """One step of every environment.

    ``final_obs`` is the observation after the step, ``obs`` the one from which the next step starts. ``valid`` is
    false if a vector environment only reset (NEXT_STEP), so there is no transition to learn from.
    """

    final_obs: Float[np.ndarray, "env obs"]
    obs: Float[np.ndarray, "env obs"]
    reward: Float[np.ndarray, " env"]
    terminated: Bool[np.ndarray, " env"]
    truncated: Bool[np.ndarray, " env"]
    valid: Bool[np.ndarray, " env"]
    in_range: Float[np.ndarray, " env"]


class EnvBatch(abc.ABC):
    """A batch of environments stepped together."""

    resumable: bool
    """Whether a resumed run continues exactly the same episodes."""

    @abc.abstractmethod
    def reset(self) -> Float[np.ndarray, "env obs"]:
        """Start a new episode in every environment."""

    @abc.abstractmethod
    def step(self, action: Float[np.ndarray, "env action"]) -> BatchStep:
        """One step in every environment; finished episodes are restarted."""

    @abc.abstractmethod
    def snapshot(self) -> dict[str, np.ndarray]:
        """The state that ``restore`` needs."""

    @abc.abstractmethod
    def restore(self, snapshot: dict[str, np.ndarray]) -> Float[np.ndarray, "env obs"]:
        """Continue from a snapshot, or as close to it as the environments allow."""

    @abc.abstractmethod
    def close(self) -> None:
        """Close the environments."""


class SeparateEnvs(EnvBatch):
    """Environments stepped one after the other, each episode with its own seed.

    This makes a run resumable for every environment that is a function of its seed and the actions, as Gymnasium
    requires: a snapshot is the episode number and the actions so far, and restoring replays them.
    """

    resumable = True

    def __init__(self, envs: list[gymnasium.Env[Any, Any]], seed: int) -> None:
        self._envs = envs
        self._seed = seed
        self._episode = np.full(len(envs), -1, np.int64)
        self._actions: list[list[np.ndarray]] = [[] for _ in envs]
        self._shape = envs[0].action_space.shape or ()

    def reset(self) -> Float[np.ndarray, "env obs"]:
        return np.stack([self._restart(i) for i in range(len(self._envs))])

    def step(self, action: Float[np.ndarray, "env action"]) -> BatchStep:
        n = len(self._envs)
        final, start, reward, in_range = [], [], np.zeros(n), np.full(n, np.nan)
        terminated, truncated = np.zeros(n, bool), np.zeros(n, bool)
        for i, env in enumerate(self._envs):
            obs, reward[i], terminated[i], truncated[i], info = env.step(action[i].reshape(self._shape))
            self._actions[i].append(action[i].copy())
            final.append(_flat(obs))
            start.append(self._restart(i) if terminated[i] or truncated[i] else final[-1])
            in_range[i] = info.get("in_range", np.nan)
        return BatchStep(np.stack(final), np.stack(start), reward, terminated, truncated, np.ones(n, bool), in_range)

    def snapshot(self) -> dict[str, np.ndarray]:
        lengths = np.array([len(actions) for actions in self._actions], np.int64)
        taken = [a for actions in self._actions for a in actions]
        size = math.prod(self._shape)
        stacked = np.stack(taken).astype(np.float32) if taken else np.zeros((0, size), np.float32)
        return {"episode": self._episode.copy(), "lengths": lengths, "actions": stacked}

    def restore(self, snapshot: dict[str, np.ndarray]) -> Float[np.ndarray, "env obs"]:
        self._episode = snapshot["episode"] - 1  # restarting increments it again
        courses = np.split(snapshot["actions"], np.cumsum(snapshot["lengths"])[:-1])
        last = []
        for i, (env, course) in enumerate(zip(self._envs, courses, strict=True)):
            obs = self._restart(i)
            for action in course:
                obs = _flat(env.step(action.reshape(self._shape))[0])
                self._actions[i].append(action.copy())
            last.append(obs)
        return np.stack(last)

    def close(self) -> None:
        for env in self._envs:
            env.close()

    def _restart(self, i: int) -> Float[np.ndarray, " obs"]:
        self._episode[i] += 1
        self._actions[i] = []
        rng = generator(self._seed, Stream.TRAIN, i, int(self._episode[i]))
        return _flat(self._envs[i].reset(seed=int(rng.integers(2**31)))[0])


class VectorEnvs(EnvBatch):
    """A Gymnasium vector environment, in the autoreset mode that it declares."""

    resumable = False

    def __init__(self, envs: VectorEnv[Any, Any, Any], seed: int) -> None:
        declared = envs.metadata.get("autoreset_mode")
        if declared is None:
            raise ConfigError("the vector environment does not declare metadata['autoreset_mode'], which is required")
        self._envs = envs
        self._mode = AutoresetMode(declared)
        self._seed = seed
        self._resets = 0
        self._ended = np.zeros(envs.num_envs, bool)

    def reset(self) -> Float[np.ndarray, "env obs"]:
        self._ended[:] = False
        return self._rows(self._envs.reset(seed=self._seeds())[0])

    def step(self, action: Float[np.ndarray, "env action"]) -> BatchStep:
        shaped = action.reshape(self._envs.action_space.shape or ())
        obs, reward, terminated, truncated, info = self._envs.step(shaped)
        final = start = self._rows(obs)
        done = np.asarray(terminated | truncated)
        valid = np.ones(len(done), bool)
        if self._mode is AutoresetMode.NEXT_STEP:
            valid, self._ended = ~self._ended, done
        elif done.any() and self._mode is AutoresetMode.SAME_STEP:
            final = final.copy()
            for i in np.flatnonzero(done):
                final[i] = _flat(info["final_obs"][i])
        elif done.any():
            start = self._rows(self._envs.reset(seed=self._seeds(), options={"reset_mask": done})[0])
        in_range = np.array(info.get("in_range", np.full(len(done), np.nan)), np.float64)
        if "in_range" in (last := info.get("final_info", {})):  # SAME_STEP stores the info of a final step here
            in_range[done] = np.asarray(last["in_range"], np.float64)[done]
        return BatchStep(final, start, np.asarray(reward, np.float64), terminated, truncated, valid, in_range)

    def snapshot(self) -> dict[str, np.ndarray]:
        return {"resets": np.array(self._resets, np.int64)}

    def restore(self, snapshot: dict[str, np.ndarray]) -> Float[np.ndarray, "env obs"]:
        self._resets = int(snapshot["resets"])
        return self.reset()

    def close(self) -> None:
        self._envs.close()

    def _rows(self, obs: Any) -> Float[np.ndarray, "env obs"]:
        return np.array(obs, np.float32).reshape(self._envs.num_envs, -1)

    def _seeds(self) -> Any:  # Gymnasium's annotation omits that a list is allowed
        self._resets += 1
        return generator(self._seed, Stream.TRAIN, self._resets).integers(2**31, size=self._envs.num_envs).tolist()


def make_one(env_id: str, options: dict[str, Any]) -> gymnasium.Env[Any, Any]:
    """One environment from Gymnasium's registry.

    Raises:
        UnknownNameError: the environment is not registered.
        ConfigError: it cannot be made, or its spaces are not Box spaces.
    """
    _require_registered(env_id)
    return _with_boxes(_make(lambda: gymnasium.make(env_id, **options), env_id))


def make_batch(config: TrainConfig, env_id: str = "") -> tuple[EnvBatch, int, tuple[np.ndarray, np.ndarray]]:
    """The environments of a run, the size of an observation, and the bounds of the action.

    Args:
        config: of the run.
        env_id: what Gymnasium is asked for, ``module:Id-v0`` where its module has to be imported first; unless
            given, the configuration's.
    """
    env_id = env_id or config.env_id
    options = config.env_options()
    one = make_one(env_id, options)
    obs_size, bounds = math.prod(one.observation_space.shape or ()), action_bounds(one.action_space, config.policy)
    if config.vectorization == "sync":
        others = [make_one(env_id, options) for _ in range(config.num_envs - 1)]
        return SeparateEnvs([one, *others], config.seed), obs_size, bounds
    one.close()
    extra: dict[str, Any] = {}
    if config.vectorization == "async":
        # spawn: a forked process would inherit the locks of JAX's threads
        extra["vector_kwargs"] = {"autoreset_mode": AutoresetMode.DISABLED, "context": "spawn"}
    make = lambda: gymnasium.make_vec(  # noqa: E731 - one call, made under one error handler
        env_id, num_envs=config.num_envs, vectorization_mode=config.vectorization, **extra, **options
    )
    return VectorEnvs(_make(make, env_id), config.seed), obs_size, bounds


def action_bounds(space: gymnasium.Space[Any], policy: str) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest action, flat.

    Raises:
        ConfigError: a bounded policy on an unbounded space.
    """
    low, high = (np.ravel(b).astype(np.float32) for b in (space.low, space.high))  # type: ignore[attr-defined]
    if policy != "gaussian-raw" and not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise ConfigError(f"the action space {space} has no bounds for policy {policy!r}: use --policy gaussian-raw")
    return low, high


def _require_registered(env_id: str) -> None:
    name = env_id.rpartition(":")[2]
    if ":" not in env_id and name not in gymnasium.registry:
        raise UnknownNameError("environment", env_id, gymnasium.registry)


def _make[T](make: Callable[[], T], env_id: str) -> T:
    try:
        return make()
    except (gymnasium.error.Error, TypeError, ValueError, ImportError) as error:
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise ConfigError(f"environment {env_id} cannot be made: {first[0]}") from error


def _with_boxes(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    box = gymnasium.spaces.Box
    name = env.spec.id if env.spec is not None else type(env).__name__
    if not isinstance(env.action_space, box) or not np.issubdtype(env.action_space.dtype, np.floating):
        raise ConfigError(f"{name} has action space {env.action_space}: only a float Box is supported")
    if not isinstance(env.observation_space, box):
        raise ConfigError(
            f"{name} has observation space {env.observation_space}: only a Box is supported "
            "(gymnasium.wrappers.FlattenObservation makes one)"
        )
    return env


def _flat(obs: Any) -> Float[np.ndarray, " obs"]:
    return np.ravel(obs).astype(np.float32)
