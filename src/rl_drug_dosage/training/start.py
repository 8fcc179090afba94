"""Start or resume a run: turns what the user gives into a configuration for the trainer."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_drug_dosage.errors import ConfigError, UnknownNameError
from rl_drug_dosage.registry import find_scenario
from rl_drug_dosage.training import trainer
from rl_drug_dosage.training.config import PRESETS, RunOptions, TrainConfig, options_of
from rl_drug_dosage.training.config_file import ConfigFile, read_config
from rl_drug_dosage.training.initial import Initial
from rl_drug_dosage.training.recipe import recipe
from rl_drug_dosage.training.run_result import RunResult
from rl_drug_dosage.training.task import Task, env_kwargs_text, find_task, with_option_models
from rl_drug_dosage.utils.progress import Progress, quiet
from rl_drug_dosage.utils.runtime import configure

__all__ = ["SCENARIO_PRESET", "Settled", "go_on", "settled", "start"]

SCENARIO_PRESET = "scenario"
_RUN_FIELDS = {f.name for f in dataclasses.fields(RunOptions)}
_WITH_RESUME = {"device", "env_kwargs", "total_timesteps"}
"""A resumed run is what it was: only where it runs and how long may differ, and files of the user's are given again."""


@dataclass(frozen=True)
class Settled:
    """What a run trains on, with which settings, and where it is written."""

    task: Task
    config: TrainConfig
    options: RunOptions


def settled(
    env: object,
    settings: Mapping[str, Any],
    *,
    scenario: object = None,
    preset: str = "",
    decisions: int = 0,
    file: ConfigFile | None = None,
    progress: Progress = quiet,
) -> Settled:
    """From what was given to what is trained: settings that were given, then those of a file or a preset.

    Args:
        env: what to train on, see `task.find_task`; unless ``scenario`` is given.
        settings: of `TrainConfig` and `RunOptions`, those that were given.
        scenario: the dosing task.
        preset: defaults in place of the usual ones: of `PRESETS`, or ``"scenario"``.
        decisions: of a course, an option of every scenario's environment; 0: the scenario's own.
        file: settings in place of the usual ones.
        progress: reports where the run is.

    Raises:
        RlDrugDosageError: a setting, task or device that will not do.
    """
    if scenario is not None and env != TrainConfig.env_id:
        raise ConfigError(f"a run trains on one thing: give --env-id {env} or --scenario {scenario}, not both")
    if preset and preset not in {*PRESETS, SCENARIO_PRESET}:
        raise ConfigError(f"preset must be one of {', '.join((*PRESETS, SCENARIO_PRESET))}, not {preset!r}")
    if preset and file is not None:
        raise ConfigError(f"--config {file.path} has its own settings: leave out --preset")
    if "env_id" in settings:
        raise ConfigError(f"env_id is given as the environment itself: train({settings['env_id']!r})")
    known = {*_RUN_FIELDS, *(o.name for o in options_of(TrainConfig))}
    if strangers := sorted(set(settings) - known):
        raise UnknownNameError("setting of training", strangers[0], known)
    options = RunOptions(**{k: v for k, v in settings.items() if k in _RUN_FIELDS})
    own = {k: v for k, v in settings.items() if k not in _RUN_FIELDS}
    # What is wrong with a setting is said before anything is imported for the task.
    TrainConfig(**{k: v for k, v in own.items() if k != "env_kwargs" or isinstance(v, str)})
    configure(options.device)
    progress("looking up the task", 0.0)
    given = None if scenario is None and env == TrainConfig.env_id else env
    task = _task(env if file is None else given, scenario, file)
    values = {**_defaults(task, preset, file, given=given is not None), **own}
    task, values["env_kwargs"] = _options(task, values.get("env_kwargs", TrainConfig.env_kwargs))
    config = TrainConfig(**{**values, "env_id": task.env_id})
    if decisions:
        options_json = json.dumps({**config.env_options(), "decisions": decisions})
        config = dataclasses.replace(config, env_kwargs=options_json)
    return Settled(task, config, options)


def _task(env: object, scenario: object, file: ConfigFile | None) -> Task:
    found = env if scenario is None else find_scenario(scenario)  # type: ignore[arg-type]
    return find_task(found) if file is None else file.task(found)


def _defaults(task: Task, preset: str, file: ConfigFile | None, *, given: bool) -> Mapping[str, Any]:
    """Settings in place of the usual ones."""
    if file is not None:
        return {**file.settings, "env_kwargs": file.env_kwargs(task, given=given)}
    return recipe(task) if preset == SCENARIO_PRESET else PRESETS.get(preset, {})


def start(  # noqa: PLR0913 - what a run is started with
    env: object,
    settings: Mapping[str, Any],
    *,
    scenario: object = None,
    preset: str = "",
    decisions: int = 0,
    config: str | Path | None = None,
    init_from: str | Path | None = None,
    accept_changed: bool = False,
    command: str = "",
    progress: Progress = quiet,
) -> RunResult:
    """Train from scratch.

    Args:
        env: what to train on, see `settled`.
        settings: those that were given.
        scenario: the dosing task.
        preset: defaults in place of the usual ones.
        decisions: of a course.
        config: a file of settings, see `config_file`.
        init_from: model file or run folder whose weights and normaliser the run starts with.
        accept_changed: start from it although the file of the scenario, or of a drug model, has changed since.
        command: the command line that is recorded.
        progress: reports where the run is.

    Raises:
        RlDrugDosageError: a setting, place or device that will not do.
    """
    file = None if config is None else read_config(Path(config))
    asked = settled(env, settings, scenario=scenario, preset=preset, decisions=decisions, file=file, progress=progress)
    if file is not None and file.initial and init_from is None:
        progress(
            f"{file.path} is of a run that started from the model {file.initial.get('file')}: this one starts from "
            "new weights, unless you give it as --init-from",
            None,
        )
    initial = None if init_from is None else Initial.read(Path(init_from))
    if initial is not None:
        initial.check_files(asked.task, accept_changed=accept_changed)
    return trainer.train(
        asked.config, asked.options, task=asked.task, initial=initial, command=command, progress=progress
    )


def _options(task: Task, given: str | Mapping[str, Any]) -> tuple[Task, str]:
    """The options of the environment, drug models of the user's among the scenario's own."""
    if not isinstance(given, str | Mapping):
        raise ConfigError(f"env_kwargs must be a JSON text or a mapping of names to values, not {given!r}")
    read = given if isinstance(given, Mapping) else TrainConfig(env_kwargs=given).env_options()
    task, options = with_option_models(task, read)
    return task, env_kwargs_text(given, options)


def go_on(
    path: str | Path,
    settings: Mapping[str, Any],
    *,
    env: object = None,
    scenario: object = None,
    preset: str = "",
    accept_changed: bool = False,
    progress: Progress = quiet,
) -> RunResult:
    """Go on with a run.

    Args:
        path: its folder.
        settings: those that were given; few may be.
        env: what it trains on, where that is in a module of the user's.
        scenario: the dosing task, where that is in a file of the user's.
        preset: none may be given.
        accept_changed: go on although the scenario's file has changed since.
        progress: reports where the run is.

    Raises:
        RlDrugDosageError: a setting that a resumed run cannot have, or a run that cannot go on.
    """
    extra = sorted((set(settings) - _WITH_RESUME) | ({"preset"} if preset else set()))
    if extra:
        raise ConfigError(
            f"--resume goes on as the run was configured: leave out --{extra[0].replace('_', '-')}, or start a new run"
        )
    options = RunOptions(**{k: v for k, v in settings.items() if k in _RUN_FIELDS})
    if "total_timesteps" in settings:
        TrainConfig(total_timesteps=settings["total_timesteps"])
    configure(options.device)
    given = env if scenario is None else find_scenario(scenario)  # type: ignore[arg-type]
    return trainer.resume(
        Path(path),
        device=options.device,
        given=given,
        env_kwargs=settings.get("env_kwargs"),
        total_timesteps=settings.get("total_timesteps"),
        accept_changed=accept_changed,
        progress=progress,
    )
