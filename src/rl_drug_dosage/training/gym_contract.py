"""What other people's environments return, held against Gymnasium's contract; every breach is one line."""

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Never

import gymnasium
import numpy as np
from jaxtyping import Bool, Float

from rl_drug_dosage.errors import BadPluginError, RlDrugDosageError, in_one_line
from rl_drug_dosage.training.gym_spaces import NotInSpaceError, short_repr, to_vector

__all__ = ["Contract", "Step", "in_range"]

_RESET = "reset(seed=..., options=...) returns (observation, info)"
_STEP = "step() returns (observation, reward, terminated, truncated, info)"
_REWARD = "the reward is one finite number"
_FLAG = "terminated and truncated are each True or False"
_OBSERVATION = "an observation is in observation_space"
_INFO = "info is a dict"


class Step(NamedTuple):
    """One step of one environment, checked."""

    obs: Float[np.ndarray, " obs"]
    reward: float
    terminated: bool
    truncated: bool
    in_range: float


class Contract:
    """Resets and steps environments of one kind, and refuses what Gymnasium's contract does not allow.

    Args:
        name: of the environment, for messages.
        space: of its observations.
    """

    def __init__(self, name: str, space: gymnasium.Space[Any]) -> None:
        self.name, self.space = name, space

    def reset(self, env: Any, seed: int) -> Float[np.ndarray, " obs"]:
        """The first observation of an episode.

        Raises:
            BadPluginError: the environment raised an error, or returned something else than its contract says.
        """
        with self.watched("reset"):
            came = env.reset(seed=seed)
        if not isinstance(came, tuple) or len(came) != 2:
            self.refuse("reset", f"returned {_shape_of(came)}", _RESET)
        self._check_info("reset", came[1])
        return self.vector("reset", came[0])

    def step(self, env: Any, action: Any) -> Step:
        """One step.

        Raises:
            BadPluginError: as for `reset`.
        """
        with self.watched("step"):
            came = env.step(action)
        if not isinstance(came, tuple) or len(came) != 5:
            self.refuse("step", f"returned {_shape_of(came)}", _STEP)
        obs, reward, terminated, truncated, info = came
        self._check_info("step", info)
        number = self._reward(reward)
        ended, cut = self._flag("terminated", terminated), self._flag("truncated", truncated)
        return Step(self.vector("step", obs), number, ended, cut, in_range(info.get("in_range")))

    def vector(self, method: str, observation: Any) -> Float[np.ndarray, " obs"]:
        """An observation as a vector.

        Raises:
            BadPluginError: it is not of the space.
        """
        try:
            return to_vector(self.space, observation)
        except NotInSpaceError as error:
            self.refuse(method, f"returned {error}", _OBSERVATION)

    def rewards(self, came: Any, count: int) -> Float[np.ndarray, " env"]:
        """The rewards of a vector environment.

        Raises:
            BadPluginError: not a finite number for each environment.
        """
        array = _numbers(came)
        if array is None or array.shape != (count,) or not np.isfinite(array).all():
            self.refuse("step", f"returned the rewards {_described(came)}", f"there are {count} finite numbers")
        return array

    def flags(self, name: str, came: Any, count: int) -> Bool[np.ndarray, " env"]:
        """``terminated`` or ``truncated`` of a vector environment.

        Raises:
            BadPluginError: not True or False for each environment.
        """
        array = np.asarray(came)
        if array.shape != (count,) or array.dtype != np.bool_:
            self.refuse("step", f"returned {name} {_described(came)}", f"there are {count} of True or False")
        return array

    @contextlib.contextmanager
    def watched(self, method: str) -> Iterator[None]:
        """Put an error of the environment's own code into one line.

        Raises:
            BadPluginError: whatever the code raised.
        """
        try:
            yield
        except RlDrugDosageError:
            raise
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            text = in_one_line(error)
            if _is_of_gymnasium(frame.filename):
                # A wrapper that cannot make sense of what came: its own words say little of the environment.
                contract = _STEP if method == "step" else _RESET
                self.refuse(method, f"failed ({text})", contract, error)
            at = f" ({frame.filename}, line {frame.lineno}: {frame.line})" if frame.line else f" ({frame.filename})"
            raise BadPluginError(f"environment {self.name}: {method}() raised {text}{at}") from error

    def refuse(self, method: str, came: str, contract: str, cause: BaseException | None = None) -> Never:
        """Say what came and what is allowed.

        Raises:
            BadPluginError: always.
        """
        raise BadPluginError(
            f"environment {self.name}: {method}() {came}; Gymnasium's contract: {contract}. "
            "gymnasium.utils.env_checker.check_env finds such faults"
        ) from cause

    def _check_info(self, method: str, info: Any) -> None:
        if not isinstance(info, dict):
            self.refuse(method, f"returned the info {_described(info)}", _INFO)

    def _reward(self, reward: Any) -> float:
        array = _numbers(reward)
        if array is None or array.shape != ():
            self.refuse("step", f"returned the reward {_described(reward)}", _REWARD)
        if not np.isfinite(array):
            self.refuse("step", f"returned the reward {float(array)}", _REWARD)
        return float(array)

    def _flag(self, name: str, value: Any) -> bool:
        if not isinstance(value, bool | np.bool_):
            array = np.asarray(value)
            if array.shape != () or array.dtype.kind not in "biu" or array not in (0, 1):
                self.refuse("step", f"returned {name} {_described(value)}", _FLAG)
        return bool(value)


def in_range(value: Any) -> float:
    """What ``info`` says of the window; not a number where it says nothing, or something else by that name."""
    array = _numbers(value)
    return float(array) if array is not None and array.shape == () else float("nan")


def _numbers(value: Any) -> np.ndarray | None:
    """An array of float64; None for what is no real number."""
    try:
        array = np.asarray(value)
    except ValueError:
        return None
    return array.astype(np.float64) if array.dtype.kind in "biuf" else None


def _is_of_gymnasium(filename: str) -> bool:
    """Whether the code is Gymnasium's own around an environment, not one of the environments that it brings."""
    around = (Path(gymnasium.__file__).parent / name for name in ("core.py", "wrappers", "vector", "utils"))
    return any(place == Path(filename) or place in Path(filename).parents for place in around)


def _shape_of(value: Any) -> str:
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return _described(value)


def _described(value: Any) -> str:
    kind = type(value).__name__
    if isinstance(value, np.ndarray):
        kind += f" of shape {value.shape} and type {value.dtype}"
    return f"{short_repr(value)} ({kind})"
