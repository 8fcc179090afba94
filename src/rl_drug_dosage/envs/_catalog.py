"""Our environments by their public id."""

from collections.abc import Mapping
from typing import Any

from rl_drug_dosage._gymnasium_registration import env_id
from rl_drug_dosage.envs._functional import Env, FunctionalEnv
from rl_drug_dosage.envs._stack import HistoryStack
from rl_drug_dosage.utils import plugins

__all__ = ["describe", "find", "ids", "make"]

_PACKAGE = "rl_drug_dosage.envs"


def ids() -> tuple[str, ...]:
    """The ids of all environments of ours."""
    return tuple(env_id(name) for name in plugins.names(_PACKAGE))


def find(wanted: str) -> Env | None:
    """The environment of that id, or ``None`` if it is not one of ours."""
    by_id = {env_id(name): name for name in plugins.names(_PACKAGE)}
    return plugins.load(_PACKAGE, by_id[wanted], attribute="ENV", kind=Env) if wanted in by_id else None


def make(env: Env, options: Mapping[str, Any], frame_stack: int = 1) -> FunctionalEnv:
    """Build an environment with its options, and its memory if it has one.

    Raises:
        UnknownNameError: an option that it does not have.
        ConfigError: a value that is not allowed.
    """
    functional = env.make(**options)
    return HistoryStack(functional, frame_stack) if frame_stack > 1 else functional


def describe(functional: FunctionalEnv) -> dict[str, Any]:
    """What a model file records of an environment besides its id and options."""
    return {
        "units": {name: axis.unit for name, axis in functional.axes.items()},
        "window": [functional.window.low, functional.window.high],
        "horizon": functional.horizon,
    }
