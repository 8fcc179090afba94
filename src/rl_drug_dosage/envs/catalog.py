"""Our environments by what somebody writes: an id, a scenario in any form that `registry` knows."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from rl_drug_dosage import registry
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.envs.functional import Env, FunctionalEnv
from rl_drug_dosage.envs.history_stack import HistoryStack
from rl_drug_dosage.envs.scenario_env import env_of, with_named_models
from rl_drug_dosage.errors import UnknownNameError

__all__ = ["describe", "find_env", "ids", "make", "prepared", "scenario_ids"]


def ids() -> tuple[str, ...]:
    """The Gymnasium ids of all environments that come with the package."""
    return tuple(
        registry.env_id_of(m) for k in (registry.ENVIRONMENT, registry.SCENARIO) for m in registry.modules(k.room)
    )


def scenario_ids() -> frozenset[str]:
    """The Gymnasium ids of the scenarios that come with the package."""
    return frozenset(registry.env_id_of(module) for module in registry.modules(registry.SCENARIO.room))


def find_env(reference: object) -> Env | None:
    """The environment of an id, or of a scenario's name, file, entry point or value; ``None`` for somebody else's id.

    Raises:
        BadPluginError, UnknownNameError: a file that is no scenario, see `registry.find`.
    """
    for kind in (registry.ENVIRONMENT, registry.SCENARIO):
        try:
            found = registry.find(kind, reference).value
        except UnknownNameError:
            if isinstance(reference, str) and registry.is_file_reference(registry.SCENARIO, reference):
                raise
            continue
        return env_of(found) if isinstance(found, Scenario) else found
    return None


def prepared(reference: object, options: Mapping[str, Any]) -> tuple[Env | None, dict[str, Any]]:
    """`find_env` with options that the user wrote: drug models in them may be files, which are replaced by their names.

    Raises:
        UnknownNameError, BadPluginError, ConfigError: see `find_env` and `clinic.fit.with_models`.
    """
    env = find_env(reference)
    if env is None or not any(name in options for name in ("simulator", "belief", "mixture")):
        return env, dict(options)
    try:
        scenario = registry.load_scenario(reference)  # type: ignore[arg-type]
    except UnknownNameError:
        return env, dict(options)
    scenario, named = with_named_models(scenario, options)
    return env_of(scenario), named


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
    window = functional.window
    return {
        "units": {name: axis.unit for name, axis in functional.axes.items()},
        "window": [edge if math.isfinite(edge) else None for edge in (window.low, window.high)],
        "window_of": dataclasses.asdict(window.quantity),
        "horizon": functional.horizon,
    }
