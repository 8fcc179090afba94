"""What a run trains on: from what the user wrote, or from a run's own record, to an environment and a program.

A path or a module name is followed where the user wrote it. A run's folder is data: from it only plain names are looked
up, and whatever lay in a file of the user's has to be given again.
"""

import dataclasses
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium

from rl_drug_dosage.clinic.fit import digests
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.envs import catalog
from rl_drug_dosage.envs.functional import Env
from rl_drug_dosage.envs.scenario_env import MODEL_OPTIONS, env_of, with_named_models
from rl_drug_dosage.errors import CheckpointError, ConfigError, UnknownNameError
from rl_drug_dosage.registry import ENVIRONMENT, SCENARIO, Found
from rl_drug_dosage.training.config import TrainConfig, json_options
from rl_drug_dosage.training.plan import Plan
from rl_drug_dosage.trials.setting import by_name

if TYPE_CHECKING:
    from rl_drug_dosage.training.run import Program

__all__ = [
    "Task",
    "again",
    "env_kwargs_text",
    "find_task",
    "is_ours",
    "make_program",
    "option_models",
    "task_of_run",
    "texts_in",
    "with_models_of_run",
    "with_option_models",
]


@dataclass(frozen=True)
class Task:
    """What is trained on.

    Args:
        env_id: its name in records: a Gymnasium id, or that of a scenario or environment of the user's.
        found: one of ours or of the user's; None: ``gym_id`` is made by Gymnasium.
        gym_id: what Gymnasium is asked for, with its module where the user named one.
        typed: what the user wrote; remembered as text.
        drugs: name and SHA-256 of the drug models from files that options name.
    """

    env_id: str
    found: Found[Any] | None = None
    gym_id: str = ""
    typed: str = ""
    drugs: Mapping[str, str] = field(default_factory=dict)

    @property
    def scenario(self) -> Found[Scenario] | None:
        """The dosing task, where it is one."""
        return self.found if self.found is not None and isinstance(self.found.value, Scenario) else None

    @property
    def env(self) -> Env | None:
        """Its compiled environment; None where it is Gymnasium's."""
        if self.found is None:
            return None
        return env_of(self.found.value) if isinstance(self.found.value, Scenario) else self.found.value

    @property
    def source(self) -> dict[str, str]:
        """Name and SHA-256 of the file of the user's that defines it; empty where it is built in or installed."""
        source = self.found.source if self.found is not None else None
        return {} if source is None else {"file": source.path.name, "sha256": source.sha256}

    @property
    def files(self) -> dict[str, str]:
        """Name and SHA-256 of each file of the user's that defines it; empty where it is built in or installed."""
        source = self.found.source if self.found is not None else None
        return {} if source is None else dict(source.digests)

    def record(self) -> dict[str, str]:
        """What a run's configuration says of a task from a file of the user's."""
        return {**self.source, "given_as": self.typed} if self.source else {}


def find_task(reference: object) -> Task:
    """The task that the user means: an environment's id, or a scenario in any form that `registry` knows.

    Raises:
        UnknownNameError: nothing carries the name.
        BadPluginError: a file or module that defines no scenario and no environment.
        ConfigError: an id of ours that stands for no task.
    """
    found = catalog.find_ours(reference)
    if found is not None:
        return Task(found.env_id, found, typed=found.where)
    return _gymnasium(str(reference))


def _gymnasium(env_id: str) -> Task:
    _, module, name = env_id.rpartition(":")
    if not module and env_id not in gymnasium.registry:
        raise UnknownNameError("environment", env_id, gymnasium.registry)
    if is_ours(name):
        raise ConfigError(f"{env_id} is Gymnasium's door to any scenario: to train on one give it as --scenario")
    return Task(env_id, gym_id=env_id)


def is_ours(name: str) -> bool:
    """Whether a Gymnasium id is one that this package registers."""
    spec = gymnasium.registry.get(name)
    return spec is not None and str(spec.entry_point).startswith("rl_drug_dosage.")


def task_of_run(
    env_id: str, record: Mapping[str, Any], path: Path, *, given: object = None, accept_changed: bool = False
) -> Task:
    """The task of a run that goes on.

    Args:
        env_id: from its configuration.
        record: what its configuration says of a scenario of the user's; empty where it is built in.
        path: of the run, for messages.
        given: the task as the user gives it now; None: not at all.
        accept_changed: go on although the scenario's file has changed since.

    Raises:
        CheckpointError: a file or module of the user's is needed and not given, is not the run's, or has changed.
    """
    if given is None:
        return _named(env_id, record, path)
    task = find_task(given)
    source = task.found.source if task.found is not None else None
    if record and source is not None and source.is_same(str(record.get("file")), str(record.get("sha256"))):
        return dataclasses.replace(task, env_id=env_id)
    if env_id not in {task.env_id, task.env_id.rpartition(":")[2]}:
        raise CheckpointError(f"{path} trains on {env_id}, not on {task.env_id}: give the one that it was started with")
    if record and record.get("sha256") != task.source.get("sha256") and not accept_changed:
        before, now = (str(r.get("sha256", "none"))[:12] for r in (record, task.source))
        raise CheckpointError(
            f"{path} was started on {record.get('file')} with SHA-256 {before}, but {task.typed} has {now}: the file "
            "has changed since; start a new run, or accept it with --accept-changed"
        )
    return dataclasses.replace(task, env_id=env_id)


def again(task: Task) -> str:
    """The arguments that name a task of the user's again; empty where a run's own record is enough."""
    if task.record():
        return f"--scenario {shlex.quote(task.typed)}"
    return f"--env-id {shlex.quote(task.gym_id)}" if ":" in task.gym_id else ""


def _named(env_id: str, record: Mapping[str, Any], path: Path) -> Task:
    if record:
        file = Path(str(record.get("file"))).name
        raise CheckpointError(f"{path} trains on a task of your own: give its file again (--scenario {file})")
    for kind in (ENVIRONMENT, SCENARIO):
        if (found := by_name(kind, env_id)) is not None:
            return Task(env_id, found)
    name = env_id.rpartition(":")[2]
    if name not in gymnasium.registry or is_ours(name):
        raise CheckpointError(
            f"{path} trains on {env_id!r}, which is not known here: name its module yourself (--env-id {env_id}), or "
            "give the scenario (--scenario FILE)"
        )
    return Task(env_id, gym_id=name)


def texts_in(options: object) -> bool:
    """Whether options hold a text, which an environment of somebody else's may follow as a file or a module."""
    if isinstance(options, Mapping):
        return any(map(texts_in, options.values()))
    return isinstance(options, str) or (isinstance(options, list | tuple) and any(map(texts_in, options)))


def with_option_models(task: Task, options: Mapping[str, Any]) -> tuple[Task, dict[str, Any]]:
    """The task with the drug models that options name by file, module or value; the options then name them plainly.

    Raises:
        UnknownNameError, BadPluginError, ConfigError: see `clinic.fit.with_models`.
    """
    if task.scenario is None:
        return task, dict(options)
    scenario, found = with_named_models(task.scenario.value, options)
    if scenario is task.scenario.value:
        return task, found
    drugs = digests(*_option_models(options))
    return dataclasses.replace(task, found=dataclasses.replace(task.scenario, value=scenario), drugs=drugs), found


def with_models_of_run(task: Task, config: TrainConfig, path: Path, env_kwargs: str | Mapping[str, Any] | None) -> Task:
    """The task with the drug models that the user gives again; the run's own record names them, and no more.

    Args:
        task: of the run.
        config: of the run.
        path: of the run or of its configuration, for messages.
        env_kwargs: the options of the environment as the user gives them; None: not at all.

    Raises:
        CheckpointError: a drug model of the user's is not given again, or is not the run's.
    """
    if env_kwargs is not None:
        task, options = with_option_models(task, json_options(env_kwargs) or {})
        if options != config.env_options():
            raise CheckpointError(
                f"{path} has the environment options {config.env_kwargs}, not {json.dumps(options)}: give "
                "--env-kwargs as when it was started, or not at all"
            )
    if task.scenario is not None:
        known = task.scenario.value.models
        for name in option_models(config.env_options()):
            if name not in known:
                raise CheckpointError(
                    f"{path} needs the drug model {name!r}, which is none of {', '.join(known)}: give --env-kwargs as "
                    "when it was started, with the path of that model"
                )
    return task


def option_models(options: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the drug models in options."""
    return tuple(str(reference) for reference in _option_models(options))


def _option_models(options: Mapping[str, Any]) -> list[Any]:
    parts = options.get("mixture")
    everywhere = [options, *(parts if isinstance(parts, list | tuple) else ())]
    return [o[name] for o in everywhere if isinstance(o, Mapping) for name in MODEL_OPTIONS if o.get(name)]


def env_kwargs_text(given: str | Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """The options as they are recorded: as the user wrote them, unless a drug model got its plain name."""
    if isinstance(given, str) and json.loads(given) == options:
        return given
    return json.dumps(options)


def make_program(plan: Plan, task: Task | None = None) -> "Program":
    """The program that trains: compiled where the environment is ours, on Gymnasium's environments elsewhere.

    Args:
        plan: what is trained, and how long.
        task: from `find_task` or `task_of_run`; None: the one that the configuration names.

    Raises:
        UnknownNameError: an unknown environment.
        ConfigError: an option of the environment that is not allowed.
    """
    config = plan.config
    task = find_task(config.env_id) if task is None else task
    if task.env is not None:
        from rl_drug_dosage.training.program import CompiledProgram

        options = task.env.training(config.env_options())
        given = (options, task.env.evaluation(options))
        trained, evaluated = (catalog.make(task.env, o, config.frame_stack) for o in given)
        return CompiledProgram(
            trained,
            config,
            plan.num_updates,
            options,
            evaluated,
            source=task.source,
            files=task.files,
            drugs=task.drugs,
        )
    from rl_drug_dosage.training.gym_program import GymProgram

    return GymProgram(config, plan.num_updates, task.gym_id)
