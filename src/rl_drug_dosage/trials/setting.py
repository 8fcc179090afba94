"""What a policy is built for: from references to a scenario and two drug models, and from a model file.

A path or a module name is followed where the user gave it. What stands in a model file is data: a plain name in it may
be that of something built in or installed, and nothing else is looked up.
"""

import dataclasses
import re
from pathlib import Path
from typing import Any

from rl_drug_dosage.clinic.adjust import adjusted
from rl_drug_dosage.clinic.fit import with_models
from rl_drug_dosage.clinic.policy import Setting
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.simulators import model_of, simulator_of
from rl_drug_dosage.errors import ModelFileError, UnknownNameError
from rl_drug_dosage.policies.adapters.learnt import check_source
from rl_drug_dosage.ppo.model_file import Model
from rl_drug_dosage.registry import (
    ENVIRONMENT,
    SCENARIO,
    Found,
    Kind,
    find,
    find_scenario,
    is_file_reference,
)

__all__ = ["by_name", "scenario_of", "setting_for", "setting_of", "task_of"]


def setting_for(
    scenario: object, simulator: object = None, controller: object = None, *, accept_changed: bool = False
) -> Setting:
    """The setting of a scenario, in any form that `registry` knows, and two drug models.

    Args:
        scenario: the task; a `Found` one is taken as it is.
        simulator: the drug model that patients follow, not necessarily one of the scenario's; None: its first.
        controller: the one that policies believe, likewise.
        accept_changed: see `Setting`.

    Raises:
        UnknownNameError, BadPluginError: see `registry.find`.
        ConfigError: a drug model that does not fit the scenario.
    """
    task = task_of(scenario)
    first = task.value.models[0]
    value, (simulated, believed) = with_models(task.value, simulator or first, controller or first)
    task = dataclasses.replace(task, value=value)
    return Setting(task, model_of(value, believed), simulator_of(value, simulated), accept_changed)


def task_of(scenario: object) -> Found[Scenario]:
    """A scenario in any form that `registry` knows; a `Found` one as it is."""
    return scenario if isinstance(scenario, Found) else find_scenario(scenario)  # type: ignore[arg-type]


_NAME = re.compile(r"[\w.+-]+")


def by_name(kind: Kind, name: str) -> Found[Any] | None:
    """What a plain name from a file leads to; None where it is none, or nothing carries it."""
    if not _NAME.fullmatch(name) or is_file_reference(kind, name):
        return None
    try:
        return find(kind, name)
    except UnknownNameError:
        return None


def scenario_of(model: Model, path: Path, scenario: object = None) -> Found[Scenario] | None:
    """The scenario that a model file was trained on; None where it was trained on something else.

    Args:
        model: the file's contents.
        path: of the file, for messages.
        scenario: given by the user; None: the file's own one, where that is built in or installed.

    Raises:
        ModelFileError: the scenario is not known here, or is not the file's.
    """
    if scenario is not None:
        found: Found[Scenario] = task_of(scenario)
        if found.env_id != model.env_id:
            raise ModelFileError(
                f"{path} was trained for {model.env_id}, not for {found.env_id}: leave the scenario out, or give the "
                "one that it was trained on"
            )
        return found
    if model.source:
        file = Path(model.source["file"]).name
        raise ModelFileError(
            f"{path} was trained on a scenario of your own: give its file beside the model (--scenario {file})"
        )
    if by_name(ENVIRONMENT, model.env_id) is not None:
        return None
    return by_name(SCENARIO, model.env_id)


def setting_of(
    model: Model,
    path: Path,
    task: Found[Scenario],
    *,
    simulator: object = None,
    controller: object = None,
    accept_changed: bool = False,
) -> Setting:
    """The setting that a model file was trained in.

    Args:
        model: the file's contents.
        path: of the file, for messages.
        task: from `scenario_of`.
        simulator: drug model of the patients; None: the one of the training.
        controller: drug model that policies believe; None: the scenario's first.
        accept_changed: see `Setting`.

    Raises:
        ModelFileError: the scenario's file has changed, or a drug model of the training is not known here.
        UnknownNameError, BadPluginError, ConfigError: see `setting_for`.
    """
    check_source(model.source, task, path, accept_changed=accept_changed)
    for option in ("simulator", "belief"):
        if not isinstance(model.env_options.get(option, ""), str):
            raise ModelFileError(f"{path}: the environment's option {option} is no name: train the policy again")
    task = dataclasses.replace(task, value=adjusted(task.value, decisions=model.env_options.get("decisions") or None))
    trained_on = str(model.env_options.get("simulator", "")) or task.value.models[0]
    if simulator is None and trained_on not in task.value.models:
        raise ModelFileError(
            f"{path} was trained on patients of {trained_on!r}, which is none of {', '.join(task.value.models)}: give "
            "that drug model beside it (--simulator FILE)"
        )
    setting = setting_for(task, simulator or trained_on, controller, accept_changed=accept_changed)
    believed = str(model.env_options.get("belief", ""))
    if believed and believed not in setting.scenario.models:
        raise ModelFileError(
            f"{path} estimates under {believed!r}, which is none of {', '.join(setting.scenario.models)}: give "
            "that drug model beside it (--controller FILE)"
        )
    return setting
