"""A batch of any Gymnasium environment, with final observations handled correctly."""

import abc
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import iterate
from jaxtyping import Bool, Float

from rl_drug_dosage.errors import BadPluginError, ConfigError
from rl_drug_dosage.training.gym_contract import Contract, in_range
from rl_drug_dosage.training.gym_spaces import action_space_of
from rl_drug_dosage.utils.seeding import Stream, generator

__all__ = ["BatchStep", "EnvBatch", "NotRepeatedError", "SeparateEnvs", "VectorEnvs"]


class NotRepeatedError(Exception):
    """Episodes that cannot be continued: replayed, they went another way, or they cannot be replayed at all."""


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

    @abc.abstractmethod
    def reset(self) -> Float[np.ndarray, "env obs"]:
        """Start a new episode in every environment."""

    @abc.abstractmethod
    def step(self, action: Float[np.ndarray, "env action"]) -> BatchStep:
        """One step in every environment; finished episodes are restarted."""

    @abc.abstractmethod
    def mark(self) -> Callable[[], dict[str, np.ndarray]]:
        """The state of this moment, to be written out later: cheap, since few of them are."""

    def snapshot(self) -> dict[str, np.ndarray]:
        """The state that ``restore`` needs."""
        return self.mark()()

    @abc.abstractmethod
    def restore(
        self, snapshot: dict[str, np.ndarray], expected: Float[np.ndarray, "env obs"]
    ) -> Float[np.ndarray, "env obs"]:
        """Continue the episodes of a snapshot.

        Args:
            snapshot: from `snapshot`.
            expected: the observations at that moment.

        Raises:
            NotRepeatedError: they cannot be continued; `reset` then starts new ones, with seeds of their own.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Close the environments."""


class SeparateEnvs(EnvBatch):
    """Environments stepped one after the other, each episode with its own seed.

    This makes a run resumable for every environment that is a function of its seed and the actions, as Gymnasium
    requires: a snapshot is the episode number and the actions so far, and restoring replays them.
    """

    def __init__(self, envs: Sequence[gymnasium.Env[Any, Any]], seed: int, *, name: str = "") -> None:
        name = name or _name_of(envs[0])
        self._envs = envs
        self._seed = seed
        self._episode = np.full(len(envs), -1, np.int64)
        self._actions: list[list[np.ndarray]] = [[] for _ in envs]
        self._contract = Contract(name, envs[0].observation_space)
        self._space = action_space_of(name, envs[0].action_space)

    def reset(self) -> Float[np.ndarray, "env obs"]:
        return np.stack([self._restart(i) for i in range(len(self._envs))])

    def step(self, action: Float[np.ndarray, "env action"]) -> BatchStep:
        n = len(self._envs)
        final, start, reward, share = [], [], np.zeros(n), np.full(n, np.nan)
        terminated, truncated = np.zeros(n, bool), np.zeros(n, bool)
        for i, env in enumerate(self._envs):
            out = self._contract.step(env, self._space.to_env(action[i]))
            reward[i], terminated[i], truncated[i], share[i] = out[1:]
            self._actions[i].append(action[i].copy())
            final.append(out.obs)
            start.append(self._restart(i) if out.terminated or out.truncated else out.obs)
        return BatchStep(np.stack(final), np.stack(start), reward, terminated, truncated, np.ones(n, bool), share)

    def mark(self) -> Callable[[], dict[str, np.ndarray]]:
        # An episode's list only grows, and the next episode has a list of its own.
        episode, courses = self._episode.copy(), [(actions, len(actions)) for actions in self._actions]

        def tensors() -> dict[str, np.ndarray]:
            taken = [a for actions, length in courses for a in actions[:length]]
            stacked = np.stack(taken).astype(np.float32) if taken else np.zeros((0, self._space.size), np.float32)
            lengths = np.array([length for _, length in courses], np.int64)
            return {"episode": episode.copy(), "lengths": lengths, "actions": stacked}

        return tensors

    def restore(
        self, snapshot: dict[str, np.ndarray], expected: Float[np.ndarray, "env obs"]
    ) -> Float[np.ndarray, "env obs"]:
        self._episode = snapshot["episode"] - 1  # restarting increments it again
        courses = np.split(snapshot["actions"], np.cumsum(snapshot["lengths"])[:-1])
        try:
            last = np.stack([self._replay(i, course) for i, course in enumerate(courses)])
        except BadPluginError as error:
            raise NotRepeatedError(str(error)) from error
        finally:
            self._episode = snapshot["episode"].copy()
        if not np.array_equal(last, expected):
            raise NotRepeatedError("the same seeds and actions led to other observations")
        return last

    def close(self) -> None:
        for env in self._envs:
            env.close()

    def _replay(self, i: int, course: Float[np.ndarray, "step action"]) -> Float[np.ndarray, " obs"]:
        obs = self._restart(i)
        for action in course:
            out = self._contract.step(self._envs[i], self._space.to_env(action))
            if out.terminated or out.truncated:
                raise NotRepeatedError("an episode ended earlier than before, with the same seed and actions")
            self._actions[i].append(action.copy())
            obs = out.obs
        return obs

    def _restart(self, i: int) -> Float[np.ndarray, " obs"]:
        self._episode[i] += 1
        self._actions[i] = []
        rng = generator(self._seed, Stream.TRAIN, i, int(self._episode[i]))
        return self._contract.reset(self._envs[i], int(rng.integers(2**31)))


class VectorEnvs(EnvBatch):
    """A Gymnasium vector environment, in the autoreset mode that it declares."""

    def __init__(self, envs: VectorEnv[Any, Any, Any], seed: int, *, name: str = "") -> None:
        declared = envs.metadata.get("autoreset_mode")
        if declared is None:
            raise ConfigError("the vector environment does not declare metadata['autoreset_mode'], which is required")
        name = name or _name_of(envs)
        self._envs = envs
        self._mode = AutoresetMode(declared)
        self._seed = seed
        self._resets = 0
        self._ended = np.zeros(envs.num_envs, bool)
        self._contract = Contract(name, envs.single_observation_space)
        self._space = action_space_of(name, envs.single_action_space)

    def reset(self) -> Float[np.ndarray, "env obs"]:
        self._ended[:] = False
        return self._start()

    def step(self, action: Float[np.ndarray, "env action"]) -> BatchStep:
        contract, count = self._contract, self._envs.num_envs
        with contract.watched("step"):
            obs, reward, terminated, truncated, info = self._envs.step(self._batched(action))
        reward = contract.rewards(reward, count)
        terminated, truncated = (
            contract.flags(n, v, count) for n, v in (("terminated", terminated), ("truncated", truncated))
        )
        final = start = self._rows("step", obs)
        done = terminated | truncated
        valid = np.ones(count, bool)
        if self._mode is AutoresetMode.NEXT_STEP:
            valid, self._ended = ~self._ended, done
        elif done.any() and self._mode is AutoresetMode.SAME_STEP:
            final = final.copy()
            for i in np.flatnonzero(done):
                final[i] = contract.vector("step", info["final_obs"][i])
        elif done.any():
            start = self._start(done)
        share = _shares(info.get("in_range"), count)
        if "in_range" in (last := info.get("final_info", {})):  # SAME_STEP stores the info of a final step here
            share[done] = _shares(last["in_range"], count)[done]
        return BatchStep(final, start, reward, terminated, truncated, valid, share)

    def mark(self) -> Callable[[], dict[str, np.ndarray]]:
        resets = self._resets
        return lambda: {"resets": np.array(resets, np.int64)}

    def restore(
        self, snapshot: dict[str, np.ndarray], expected: Float[np.ndarray, "env obs"]
    ) -> Float[np.ndarray, "env obs"]:
        self._resets = int(snapshot["resets"])
        raise NotRepeatedError("a vector environment does not expose its state")

    def close(self) -> None:
        self._envs.close()

    def _batched(self, action: Float[np.ndarray, "env action"]) -> Any:
        return np.asarray(self._space.to_env(action)).reshape(self._envs.action_space.shape or (len(action),))

    def _start(self, only: np.ndarray | None = None) -> Float[np.ndarray, "env obs"]:
        """Start episodes, in the environments of ``only`` alone if it is given."""
        options: dict[str, Any] = {} if only is None else {"options": {"reset_mask": only}}
        with self._contract.watched("reset"):
            obs, _ = self._envs.reset(seed=self._seeds(), **options)
        return self._rows("reset", obs)

    def _rows(self, method: str, obs: Any) -> Float[np.ndarray, "env obs"]:
        plain = isinstance(obs, np.ndarray) and obs.dtype != object and len(obs) == self._envs.num_envs
        rows = obs if plain else iterate(self._envs.observation_space, obs)
        return np.stack([self._contract.vector(method, row) for row in rows])

    def _seeds(self) -> Any:  # Gymnasium's annotation omits that a list is allowed
        self._resets += 1
        return generator(self._seed, Stream.TRAIN, self._resets).integers(2**31, size=self._envs.num_envs).tolist()


def _name_of(env: Any) -> str:
    spec = getattr(env, "spec", None)
    return str(spec.id) if spec is not None else type(env).__name__


def _shares(came: Any, count: int) -> Float[np.ndarray, " env"]:
    """``in_range`` of each environment; not a number where it is not told, or is something else by that name."""
    rows: Any = np.asarray(came, object).ravel() if came is not None else []
    return np.array([in_range(v) for v in rows] if len(rows) == count else [np.nan] * count, np.float64)
