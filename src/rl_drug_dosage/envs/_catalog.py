"""Our environments by their public id."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rl_drug_dosage._gymnasium_registration import env_id
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.envs._functional import Env, FunctionalEnv
from rl_drug_dosage.envs._scenario_env import env_of
from rl_drug_dosage.envs._stack import HistoryStack
from rl_drug_dosage.errors import UnknownNameError
from rl_drug_dosage.utils import plugins

__all__ = [
    "NamedScenario",
    "describe",
    "find",
    "find_scenario",
    "ids",
    "load_env",
    "make",
    "scenario_ids",
    "scenario_names",
]

_PACKAGE = "rl_drug_dosage.envs"


def ids() -> tuple[str, ...]:
    """The ids of all environments of ours."""
    return tuple(env_id(name) for name in plugins.names(_PACKAGE))


def find(wanted: str) -> Env | None:
    """The environment of that id, or ``None`` if it is not one of ours."""
    by_id = {env_id(name): name for name in plugins.names(_PACKAGE)}
    return load_env(by_id[wanted]) if wanted in by_id else None


def load_env(module: str) -> Env:
    """The environment of a module: its ``ENV``, or that of its ``SCENARIO``."""
    content = plugins.load_one_of(_PACKAGE, module, {"ENV": Env, "SCENARIO": Scenario})
    return env_of(content) if isinstance(content, Scenario) else content


@dataclass(frozen=True)
class NamedScenario:
    """A scenario with the names that it goes by.

    Args:
        name: on the command line: ``"vancomycin"``, the version only where it is not the newest.
        env_id: Gymnasium's.
        module: its file in ``envs/``.
        scenario: the task.
    """

    name: str
    env_id: str
    module: str
    scenario: Scenario


_VERSION = re.compile(r"_v(\d+)$")


def scenario_names() -> dict[str, str]:
    """Every scenario's name on the command line and its module; the newest version goes without a number."""
    found: dict[str, str] = {}
    newest: dict[str, tuple[int, str]] = {}
    for module in plugins.names(_PACKAGE):
        match = _VERSION.search(module)
        if match is None or isinstance(plugins.load_one_of(_PACKAGE, module, {"ENV": Env, "SCENARIO": Scenario}), Env):
            continue
        found[plugins.public_name(module)] = module
        stem = plugins.public_name(module[: match.start()])
        newest[stem] = max(newest.get(stem, (0, "")), (int(match.group(1)), module))
    return {**{stem: module for stem, (_, module) in newest.items()}, **found}


def scenario_ids() -> frozenset[str]:
    """The Gymnasium ids of the scenarios."""
    return frozenset(env_id(module) for module in scenario_names().values())


def find_scenario(wanted: str) -> NamedScenario:
    """A scenario by any of its names: ``vancomycin``, ``vancomycin-v1``, ``Vancomycin-v1``.

    Raises:
        UnknownNameError: no such scenario.
    """
    names = scenario_names()
    by_id = {env_id(module): module for module in names.values()}
    module = names.get(wanted) or by_id.get(wanted)
    if module is None:
        raise UnknownNameError(
            "scenario", wanted, [name for name in names if not _VERSION.search(name.replace("-", "_"))]
        )
    scenario = plugins.load(_PACKAGE, module, attribute="SCENARIO", kind=Scenario)
    shortest = min((name for name, m in names.items() if m == module), key=len)
    return NamedScenario(shortest, env_id(module), module, scenario)


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
