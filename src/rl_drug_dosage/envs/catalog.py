"""Finds environments by id, or by a scenario in any form that `registry` accepts."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium

from rl_drug_dosage import registry
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.envs.functional import Env, FunctionalEnv
from rl_drug_dosage.envs.history_stack import HistoryStack
from rl_drug_dosage.envs.scenario_env import env_of
from rl_drug_dosage.errors import BadPluginError, UnknownNameError

__all__ = ["describe", "find_env", "find_ours", "ids", "make", "scenario_ids"]


def ids() -> tuple[str, ...]:
    """Gymnasium ids of all built-in environments."""
    return tuple(
        registry.env_id_of(m) for k in (registry.ENVIRONMENT, registry.SCENARIO) for m in registry.modules(k.room)
    )


def scenario_ids() -> frozenset[str]:
    """Gymnasium ids of the built-in scenarios."""
    return frozenset(registry.env_id_of(module) for module in registry.modules(registry.SCENARIO.room))


def find_ours(reference: object) -> registry.Found[Any] | None:
    """Find an environment or scenario of this package or the user; ``None`` for the id of another Gymnasium package.

    Args:
        reference: an environment id, or an environment or scenario in any form that `registry` accepts. A file or
            module may define either.

    Raises:
        BadPluginError, UnknownNameError: a file or module that defines neither, see `registry.find`.
    """
    if isinstance(reference, registry.Found):
        return reference
    if isinstance(reference, Env):
        return registry.Found("environment", reference, "given in Python")
    somewhere = isinstance(reference, Path) or (isinstance(reference, str) and _somewhere(reference))
    if not somewhere and not isinstance(reference, str):
        return registry.find_scenario(reference)  # type: ignore[arg-type]
    kinds = (registry.SCENARIO, registry.ENVIRONMENT)
    first: BadPluginError | None = None
    for kind in kinds if somewhere else kinds[::-1]:
        try:
            return registry.find(kind, reference)
        except UnknownNameError:
            if somewhere and ":" not in str(reference) and first is None:
                raise
        except BadPluginError as error:
            if not somewhere:
                raise
            first = _telling(first, error)
    if first is None or str(reference).rpartition(":")[2] in gymnasium.registry:
        return None
    raise first


def _telling(first: BadPluginError | None, second: BadPluginError) -> BadPluginError:
    """Of two errors about a file, that of the kind which the file defines."""
    missing = registry.MissingAttributeError
    return second if first is None or (isinstance(first, missing) and not isinstance(second, missing)) else first


def _somewhere(text: str) -> bool:
    """Whether a text is a file or module, which may define either kind; ``ALE/Pong-v5`` is a Gymnasium id."""
    return ":" in text or Path(text).suffix in {".py", ".toml"} or ("/" in text and Path(text).exists())


def find_env(reference: object) -> Env | None:
    """Find an environment by id, or by a scenario; ``None`` for the id of another Gymnasium package.

    Raises:
        BadPluginError, UnknownNameError: see `find_ours`.
    """
    found = find_ours(reference)
    if found is None:
        return None
    return env_of(found.value) if isinstance(found.value, Scenario) else found.value


def make(env: Env, options: Mapping[str, Any], frame_stack: int = 1) -> FunctionalEnv:
    """Build an environment with options; ``frame_stack`` > 1 adds a `HistoryStack`.

    Raises:
        UnknownNameError: an unknown option.
        ConfigError: a value that is not allowed.
    """
    functional = env.make(**options)
    return HistoryStack(functional, frame_stack) if frame_stack > 1 else functional


def describe(functional: FunctionalEnv) -> dict[str, Any]:
    """Properties of an environment that a model file records besides its id and options."""
    window = functional.window
    return {
        "units": {name: axis.unit for name, axis in functional.axes.items()},
        "window": [edge if math.isfinite(edge) else None for edge in (window.low, window.high)],
        "window_of": dataclasses.asdict(window.quantity),
        "horizon": functional.horizon,
    }
