"""``train --config FILE``: the settings of a run's ``config.toml``, or of a sweep's ``best.toml``, for a new run.

The file is data: a task or a drug model from a file of the user's has to be given again.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_drug_dosage.errors import ConfigError, RlDrugDosageError, UnknownNameError
from rl_drug_dosage.training.config import TrainConfig
from rl_drug_dosage.training.task import Task, find_task, task_of_run, texts_in, with_models_of_run

__all__ = ["ConfigFile", "read_config"]

_SECTIONS = ("train", "run", "scenario", "drugs", "initial", "extended", "sweep")


@dataclass(frozen=True)
class ConfigFile:
    """The settings in a file.

    Args:
        path: of the file.
        settings: those of ``TrainConfig`` that it gives.
        scenario: what it says of a scenario file of the user's; empty where there is none.
        initial: the model that its run started from; empty where there is none.
    """

    path: Path
    settings: Mapping[str, Any]
    scenario: Mapping[str, Any]
    initial: Mapping[str, Any]

    def task(self, given: object = None) -> Task:
        """What is trained on.

        Args:
            given: the task as the user gives it; None: the one that the file names.

        Raises:
            RlDrugDosageError: a task that the file cannot name, or an unknown one.
        """
        if given is not None:
            return find_task(given)
        return task_of_run(str(self.settings.get("env_id", TrainConfig.env_id)), self.scenario, self.path)

    def env_kwargs(self, task: Task, *, given: bool) -> str:
        """The options of the environment, after what they name was looked up among what is known already.

        Args:
            task: of the new run.
            given: the user gives the task.

        Raises:
            RlDrugDosageError: options that name a drug model, or hold a text, which only the user may give.
        """
        config = TrainConfig(env_kwargs=self.settings.get("env_kwargs", TrainConfig.env_kwargs))
        with_models_of_run(task, config, self.path, None)
        if task.found is None and not given and texts_in(config.env_options()):
            raise ConfigError(
                f"{self.path} has environment options that are text, which may name a file or a module: if they are "
                f"right, give them yourself (--env-kwargs '{config.env_kwargs}')"
            )
        return config.env_kwargs


def read_config(path: Path) -> ConfigFile:
    """Read a configuration; every setting is checked.

    Raises:
        ConfigError: no such file, not TOML, or a section or value that is not allowed.
        UnknownNameError: an unknown setting.
    """
    file = path / "config.toml" if path.is_dir() else path
    try:
        record = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read --config {file}: {error.strerror or error}; give a run's config.toml") from None
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, or a path with a NUL character
        raise ConfigError(f"--config {file} is not TOML ({error}): give a run's config.toml") from None
    for name in record:
        if name not in _SECTIONS:
            raise UnknownNameError(f"section of {file}", name, _SECTIONS)
    settings = record.get("train")
    if not isinstance(settings, dict):
        raise ConfigError(f"--config {file} has no section [train]: give a run's config.toml or a sweep's best.toml")
    try:
        TrainConfig.from_record(settings)
    except RlDrugDosageError as error:
        raise ConfigError(f"{file}: {error}") from None
    parts = {name: record.get(name, {}) for name in ("scenario", "initial")}
    for name, part in parts.items():
        if not isinstance(part, dict):
            raise ConfigError(f"{file}: {name} must be a section [{name}], not {part!r}")
    return ConfigFile(file, settings, parts["scenario"], parts["initial"])
