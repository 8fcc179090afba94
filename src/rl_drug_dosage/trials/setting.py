"""Makes the setting of a policy from references to a scenario and two drug models, or from a model file.

Paths and module names are accepted only from the user. The contents of a model file are data: a name in it is looked up
only among built-in and installed objects.
"""

import dataclasses
import re
from pathlib import Path
from typing import Any

from rl_drug_dosage.clinic.adjust import adjusted
from rl_drug_dosage.clinic.fit import digests, with_models, with_simulator
from rl_drug_dosage.clinic.policy import Setting
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.simulators import model_of, simulator_of
from rl_drug_dosage.errors import ConfigError, ModelFileError, UnknownNameError
from rl_drug_dosage.policies.adapters.learnt import (
    check_drugs,
    check_not_test_only,
    check_source,
    differ_in_version,
    of_another_release,
    same_contents,
)
from rl_drug_dosage.ppo.model_file import Model
from rl_drug_dosage.registry import (
    ENVIRONMENT,
    SCENARIO,
    Found,
    Kind,
    env_id_of,
    find,
    find_scenario,
    is_file_reference,
    modules,
)

__all__ = ["by_name", "refuse_models", "scenario_of", "setting_for", "setting_of", "task_of"]


def setting_for(
    scenario: object, simulator: object = None, controller: object = None, *, accept_changed: bool = False
) -> Setting:
    """Make the setting of a scenario, in any form that `registry` accepts, and two drug models.

    Args:
        scenario: the task; a `Found` one is used unchanged.
        simulator: drug model that simulates the patients, the scenario's, a test-only one or another; None: the
            scenario's first.
        controller: drug model that policies assume; same choices and default, but no test-only one.
        accept_changed: see `Setting`.

    Raises:
        UnknownNameError, BadPluginError: see `registry.find`.
        ConfigError: a drug model that does not fit the scenario, or a controller that is test-only.
    """
    task = task_of(scenario)
    own, first = task.value.models, task.value.models[0]
    value, simulated = with_simulator(task.value, simulator or first)
    value, (believed,) = with_models(value, controller or first)
    added = (simulated,) if simulated in value.models and simulated not in {*own, believed} else ()
    task = dataclasses.replace(task, value=value)
    files = digests(*(r for r in (simulator, controller) if r not in (*value.models, *value.test_only)))
    return Setting(
        task,
        model_of(value, believed),
        simulator_of(value, simulated),
        accept_changed,
        files,
        only_simulated=added,
    )


def task_of(scenario: object) -> Found[Scenario]:
    """Resolve a scenario in any form that `registry` accepts; a `Found` one is returned unchanged."""
    return scenario if isinstance(scenario, Found) else find_scenario(scenario)  # type: ignore[arg-type]


_NAME = re.compile(r"[\w.+-]+")


def by_name(kind: Kind, name: str) -> Found[Any] | None:
    """Look up a plain name from a file; None if it is not a plain name, or unknown."""
    if not _NAME.fullmatch(name) or is_file_reference(kind, name):
        return None
    try:
        return find(kind, name)
    except UnknownNameError:
        return None


def scenario_of(model: Model, path: Path, scenario: object = None) -> Found[Scenario] | None:
    """The scenario that a model was trained on; None if it was trained on another kind of environment.

    Args:
        model: contents of the model file.
        path: path of the file, for messages.
        scenario: given by the user; None: the one recorded in the file, if built in or installed.

    Raises:
        ModelFileError: the scenario is unknown, or is not the recorded one.
    """
    if scenario is not None:
        found: Found[Scenario] = task_of(scenario)
        if found.env_id != model.env_id and not same_contents(model.record["env"], found):
            if differ_in_version(model.env_id, found.env_id):
                raise of_another_release(path, model.env_id, found.env_id)
            own = Path(model.source["file"]).name if model.source else ""
            remedy = f"give its own file (--scenario {own})" if own else "leave the scenario out"
            raise ModelFileError(
                f"{path} was trained for {model.env_id}, not for {found.env_id}: {remedy}, or train a model on this one"
            )
        return found
    if model.source:
        file = Path(model.source["file"]).name
        raise ModelFileError(f"{path} was trained on a scenario of your own: give its file too (--scenario {file})")
    if by_name(ENVIRONMENT, model.env_id) is not None:
        return None
    known = by_name(SCENARIO, model.env_id)
    if known is None and (now := _other_version(model.env_id)):
        raise of_another_release(path, model.env_id, now)
    return known


def _other_version(env_id: str) -> str:
    """The id of a built-in scenario that differs in its version only; empty if there is none."""
    return next((i for i in map(env_id_of, modules(SCENARIO.room)) if differ_in_version(env_id, i)), "")


def refuse_models(model: Model, simulator: object, controller: object) -> None:
    """Refuse drug models for a model of another kind of environment, which uses none.

    Raises:
        ConfigError: one was given.
    """
    for option, given in (("--simulator", simulator), ("--controller", controller)):
        if given is not None:
            raise ConfigError(
                f"{option} is a drug model of a dosing scenario, and {model.env_id} is none: leave {option} out"
            )


def setting_of(
    model: Model,
    path: Path,
    task: Found[Scenario],
    *,
    simulator: object = None,
    controller: object = None,
    accept_changed: bool = False,
) -> Setting:
    """The setting in which a model was trained.

    Args:
        model: contents of the model file.
        path: path of the file, for messages.
        task: from `scenario_of`.
        simulator: drug model that simulates the patients; None: the one used in training.
        controller: drug model that policies assume; None: the scenario's first.
        accept_changed: see `Setting`.

    Raises:
        ModelFileError: the scenario file has changed, or a drug model used in training is unknown or test-only.
        UnknownNameError, BadPluginError, ConfigError: see `setting_for`.
    """
    check_source(model.record["env"], task, path, accept_changed=accept_changed)
    for option in ("simulator", "belief"):
        if not isinstance(model.env_options.get(option, ""), str):
            raise ModelFileError(f"{path}: the environment's option {option} is no name: train the policy again")
    task = dataclasses.replace(task, value=adjusted(task.value, decisions=model.env_options.get("decisions") or None))
    check_not_test_only(model, task, path)
    trained_on = str(model.env_options.get("simulator", "")) or task.value.models[0]
    if simulator is None and trained_on not in task.value.models:
        raise ModelFileError(
            f"{path} was trained on patients of {trained_on!r}, which is not one of {', '.join(task.value.models)}: "
            "give that drug model too (--simulator FILE)"
        )
    setting = setting_for(task, simulator or trained_on, controller, accept_changed=accept_changed)
    drugs = model.record["env"].get("drugs") or {}
    check_drugs(drugs, setting.drug_files, path, ModelFileError, accept_changed=accept_changed)
    believed = str(model.env_options.get("belief", ""))
    if believed and believed not in setting.scenario.models:
        raise ModelFileError(
            f"{path} estimates with {believed!r}, which is not one of {', '.join(setting.scenario.models)}: give "
            "that drug model too (--controller FILE)"
        )
    return setting
