"""Spaces of other people's environments: which can be trained on, and how their observations become a vector."""

import math
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces.utils import flatdim, flatten
from jaxtyping import Float

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.ppo.action_space import ActionSpace

__all__ = ["NotInSpaceError", "action_space_of", "flat_size", "short_repr", "to_vector"]

_OBSERVATIONS = "Box, Discrete, MultiDiscrete, MultiBinary, and Dict or Tuple of these"


class NotInSpaceError(Exception):
    """An observation that its space does not hold; the message says what came."""


def action_space_of(name: str, space: gymnasium.Space[Any]) -> ActionSpace:
    """The actions of a space.

    Args:
        name: of the environment, for the message.
        space: what it declares.

    Raises:
        ConfigError: a space that no policy here can act in.
    """
    match space:
        case gymnasium.spaces.Box() if np.issubdtype(space.dtype, np.floating):
            low, high = (tuple(np.ravel(b).astype(np.float64).tolist()) for b in (space.low, space.high))
            found = ActionSpace("continuous", str(space.dtype), space.shape, low, high)
        case gymnasium.spaces.Discrete():
            first = int(space.start)
            found = ActionSpace("discrete", str(space.dtype), (), (first,), (first + int(space.n) - 1,))
        case gymnasium.spaces.MultiDiscrete():
            start, count = (np.ravel(v).astype(np.int64) for v in (space.start, space.nvec))
            last = (start + count - 1).tolist()
            found = ActionSpace("multidiscrete", str(space.dtype), space.shape, tuple(start.tolist()), tuple(last))
        case gymnasium.spaces.MultiBinary():
            size = math.prod(space.shape)
            found = ActionSpace("multibinary", str(space.dtype), space.shape, (0,) * size, (1,) * size)
        case _:
            raise ConfigError(
                f"{name} has action space {space}: only a float Box, Discrete, MultiDiscrete and MultiBinary are "
                "supported"
            )
    if not found.size:
        raise ConfigError(f"{name} has action space {space}, which has no components: there is nothing to learn")
    return found


def flat_size(name: str, space: gymnasium.Space[Any]) -> int:
    """Length of an observation as a vector.

    Args:
        name: of the environment, for the message.
        space: what it declares.

    Raises:
        ConfigError: a space that is no vector of fixed length.
    """
    if not _is_flat(space):
        raise ConfigError(f"{name} has observation space {space}: supported are {_OBSERVATIONS}")
    size = flatdim(space)
    if not size:
        raise ConfigError(f"{name} has observation space {space}, which has no components: there is nothing to see")
    return size


def to_vector(space: gymnasium.Space[Any], observation: Any) -> Float[np.ndarray, " obs"]:
    """An observation as a float32 vector, in the order of `gymnasium.spaces.utils.flatten`.

    Raises:
        NotInSpaceError: it is not of the space: another shape, another type, not finite.
    """
    if isinstance(space, gymnasium.spaces.Box):
        return np.ravel(_checked(space, observation, "observation")).astype(np.float32)
    _check(space, observation, "observation")
    return np.asarray(flatten(space, observation)).astype(np.float32)


def _is_flat(space: gymnasium.Space[Any]) -> bool:
    spaces = gymnasium.spaces
    if isinstance(space, spaces.Dict):
        return all(map(_is_flat, space.spaces.values()))
    if isinstance(space, spaces.Tuple):
        return all(map(_is_flat, space.spaces))
    return isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary)


def _check(space: gymnasium.Space[Any], value: Any, where: str) -> None:
    """Refuse what is not of the space. Gymnasium's ``flatten`` takes it, and makes other numbers of it."""
    match space:
        case gymnasium.spaces.Box():
            _checked(space, value, where)
        case gymnasium.spaces.Dict():
            if not hasattr(value, "keys") or set(value.keys()) != set(space.spaces):
                came = f"keys {sorted(map(str, value.keys()))}" if hasattr(value, "keys") else _described(value)
                raise NotInSpaceError(f"{where}: {came}, where its space has {sorted(map(str, space.spaces))}")
            for key, part in space.spaces.items():
                _check(part, value[key], f"{where}[{key!r}]")
        case gymnasium.spaces.Tuple():
            if not isinstance(value, tuple | list) or len(value) != len(space.spaces):
                raise NotInSpaceError(f"{where}: {_described(value)}, where its space is a tuple of {len(space)}")
            for i, (part, own) in enumerate(zip(space.spaces, value, strict=True)):
                _check(part, own, f"{where}[{i}]")
        case _:
            if not space.contains(value):
                raise NotInSpaceError(f"{where}: {_described(value)}, which is not in {space}")


def _checked(space: gymnasium.spaces.Box, value: Any, where: str) -> np.ndarray:
    """An array of the space's shape and kind of number, all finite."""
    try:
        array = np.asarray(value)
    except ValueError as error:  # rows of different lengths
        raise NotInSpaceError(f"{where}: {_described(value)}, which is no array ({error})") from None
    if array.shape != space.shape:
        raise NotInSpaceError(f"{where}: shape {array.shape}, where its space has shape {space.shape}")
    # float64 where float32 is declared is common and harmless: the policy takes float32 either way.
    if not np.can_cast(array.dtype, space.dtype, "same_kind"):
        raise NotInSpaceError(f"{where}: type {array.dtype}, where its space has {space.dtype}")
    if not np.isfinite(array).all():
        raise NotInSpaceError(f"{where}: {array.ravel()[~np.isfinite(array).ravel()][0]}, which is no finite number")
    return array


def _described(value: Any) -> str:
    return f"{type(value).__name__} {short_repr(value)}"


def short_repr(value: Any) -> str:
    """A value as Python writes it, in one line of at most 60 characters."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
