"""Evaluate a model file: episodes, figures, data, metrics, and in a dosing scenario a report of the same patients."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.envs import catalog
from rl_drug_dosage.envs.functional import Env
from rl_drug_dosage.errors import ConfigError, ModelFileError, RlDrugDosageError
from rl_drug_dosage.policies.adapters.learnt import check_source, model_path
from rl_drug_dosage.ppo.model_file import Model, check_bounds, check_described, check_observations, load_model
from rl_drug_dosage.registry import ENVIRONMENT, Found
from rl_drug_dosage.reports.page import report_html
from rl_drug_dosage.training.episodes import Episodes, cut_note, run_compiled, run_gymnasium
from rl_drug_dosage.training.gym_make import make_one
from rl_drug_dosage.training.gym_spaces import action_space_of, flat_size
from rl_drug_dosage.training.plots import draw_concentration, save_plots
from rl_drug_dosage.training.task import Task, find_task, is_ours, texts_in
from rl_drug_dosage.training.trial_episodes import episodes_of, trial_of
from rl_drug_dosage.trials.setting import by_name, refuse_models, scenario_of, setting_of
from rl_drug_dosage.utils.arguments import checked
from rl_drug_dosage.utils.csv_text import csv_text
from rl_drug_dosage.utils.files import atomic_write, prepare_folder
from rl_drug_dosage.utils.loggers import Logger
from rl_drug_dosage.utils.progress import Progress, quiet
from rl_drug_dosage.utils.result import Result
from rl_drug_dosage.utils.seeding import Stream, check_seed
from rl_drug_dosage.utils.wandb import WandbOptions, require_wandb, start_wandb

__all__ = ["DATA_FILE", "REPORT_FILE", "Evaluation", "EvaluationOptions", "evaluate", "run_model"]

DATA_FILE = "rollout_data.csv"
REPORT_FILE = "report.html"


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """What to evaluate, how, and where to write it.

    Args:
        model_path: a model file, or the folder of a run.
        output_dir: None: nothing is written, unless ``wandb`` needs it, and then beside the model.
        num_episodes: how many patients.
        seed: of the cohort; its patients are never those of training.
        deterministic: give the mean action instead of a sample.
        save_data: also write every step as CSV.
        wandb: how to track it.
        scenario: the task, for a model of one that is not built in.
        env_id: the environment, where it is not known by its name alone: ``module:Id-v0`` of Gymnasium, or a file.
        simulator: drug model that patients follow; None: the one of the training.
        controller: drug model that a belief is formed under, where it is not one of the scenario's.
        accept_changed: evaluate it although the scenario's file has changed since.
        eval_max_steps: cut an episode of somebody else's environment after so many steps; 0: after 2,000 where it
            declares no time limit.
        env_options: those of the training, where some are text: a text may name a file, which only a user may do.

    Raises:
        ConfigError: a number that is not allowed.
    """

    model_path: Path
    output_dir: Path | None = None
    num_episodes: int = 1
    seed: int = 1
    deterministic: bool = True
    save_data: bool = False
    wandb: WandbOptions | None = None
    scenario: object = None
    env_id: object = None
    simulator: object = None
    controller: object = None
    accept_changed: bool = False
    eval_max_steps: int = 0
    env_options: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.num_episodes <= 1_000_000:
            raise ConfigError(f"--num-episodes must be from 1 to 1000000, not {self.num_episodes}")
        check_seed(self.seed)
        if not 0 <= self.eval_max_steps <= 10**9:
            raise ConfigError(f"--eval-max-steps must be from 0 to 1000000000, not {self.eval_max_steps}")
        if self.env_id is not None and self.scenario is not None:
            raise ConfigError("a model was trained on one thing: give --env-id or --scenario, not both")


@dataclass(frozen=True, repr=False)
class Evaluation(Result):
    """What came of it.

    Args:
        options: what was asked.
        model: what was evaluated.
        episodes: its courses.
        record: of a dosing scenario: the record of a benchmark on the very same patients; empty elsewhere.
        files: written on the way; none unless ``output_dir`` was given.
    """

    options: EvaluationOptions
    model: Model
    episodes: Episodes
    record: Mapping[str, Any]
    files: tuple[Path, ...] = ()

    @property
    def title(self) -> str:
        kind = "deterministic" if self.options.deterministic else "stochastic"
        count = f"{self.options.num_episodes:,} episode{'s' if self.options.num_episodes > 1 else ''}"
        return f"{self.model.env_id}, PPO ({kind}), {count}, seed {self.options.seed}"

    def columns(self) -> dict[str, np.ndarray]:
        """A row a step: the columns of ``rollout_data.csv``."""
        return self.episodes.columns

    def _summary(self) -> Mapping[str, np.ndarray]:
        episodes = self.episodes
        return {
            "episode": np.arange(1, len(episodes.valid) + 1),
            "reward": episodes.returns,
            "steps": episodes.lengths,
            "in range (%)": episodes.in_range_pct,
        }

    def plot(self) -> Any:
        """Courses of the monitored output."""
        return draw_concentration(self.episodes, self.title)

    @checked
    def save(self, folder: str | Path) -> tuple[Path, ...]:
        """The three figures, the data if ``save_data`` was asked for, and in a dosing scenario the report."""
        place = prepare_folder(Path(folder))
        files = [*save_plots(self.episodes, place, self.title).values()]
        if self.options.save_data:
            files.append(save_data(self.episodes, place / DATA_FILE))
        if self.record:
            files.append(place / REPORT_FILE)
            atomic_write(files[-1], report_html(dict(self.record)).encode())
        return tuple(files)


def evaluate(options: EvaluationOptions, *, progress: Progress = quiet) -> Evaluation:
    """Run the episodes; write figures, data and report if there is a place for them.

    Raises:
        ModelFileError: the model cannot be read, or its environment cannot be made.
        UnknownNameError, BadPluginError: a scenario or drug model that was given and is not there.
        OutputError: a place that cannot be written.
    """
    if options.wandb is not None:
        require_wandb()
    path = model_path(options.model_path)
    model = load_model(path)
    folder = options.output_dir or (path.parent if options.wandb is not None else None)
    given = None if options.env_id is None else find_task(options.env_id)
    if options.env_options is not None and options.env_options != model.env_options:
        raise ModelFileError(
            f"{path} was trained with the environment options {json.dumps(dict(model.env_options))}, not "
            f"{json.dumps(dict(options.env_options))}: give those, or leave --env-kwargs out"
        )
    task = _scenario(model, path, options, given)
    record: Mapping[str, Any] = {}
    if task is None:
        refuse_models(model, options.simulator, options.controller)
        if folder is not None:
            prepare_folder(folder)
        progress(f"running {options.num_episodes:,} episodes of {model.env_id}", 0.0)
        episodes = run_model(model, options, given)
        if episodes.cut:
            progress(cut_note(model.env_id, episodes.cut, options.num_episodes), None)
    else:
        setting = setting_of(
            model,
            path,
            task,
            simulator=options.simulator,
            controller=options.controller,
            accept_changed=options.accept_changed,
        )
        if folder is not None:
            prepare_folder(folder)
        result, trial = trial_of(
            model,
            options.model_path,
            setting,
            patients=options.num_episodes,
            seed=options.seed,
            deterministic=options.deterministic,
            progress=lambda text, done: progress(text, done) if done is not None else None,
        )
        episodes, record = episodes_of(trial, setting, options.seed), result.record
    found = Evaluation(options, model, episodes, record)
    if folder is None:
        return found
    progress("drawing", 0.9)
    found = dataclasses.replace(found, files=found.save(folder))
    if options.wandb is not None:
        _track(found, options.wandb, folder, progress)
    return found


def _scenario(model: Model, path: Path, options: EvaluationOptions, given: Task | None) -> Found[Scenario] | None:
    """The dosing task; None where it is none."""
    if given is None or given.scenario is not None:
        return scenario_of(model, path, options.scenario if given is None else given.scenario)
    if model.env_id not in {given.env_id, given.env_id.rpartition(":")[2]}:
        raise ModelFileError(f"{path} was trained for {model.env_id!r}, not for {given.env_id!r}: leave --env-id out")
    if given.found is not None:
        check_source(model.record["env"], given.found, path, accept_changed=options.accept_changed)
    return None


def _track(found: Evaluation, wandb: WandbOptions, folder: Path, progress: Progress) -> None:
    logger = start_wandb(
        wandb, folder=folder, config=_settings(found.options, found.model), say=lambda text: progress(text, None)
    )
    try:
        _log(logger, found.episodes, {path.stem: path for path in found.files if path.suffix == ".png"})
    finally:
        logger.close()


def run_model(model: Model, options: EvaluationOptions, given: Task | None = None) -> Episodes:
    """The episodes of a model on its environment, on patients of the evaluation's own stream.

    Args:
        model: the policy.
        options: how many episodes, and how.
        given: the environment as the user names it; None: the one that the file names, where that is known here.

    Raises:
        ModelFileError: the environment is not known here. A module that a file names is never imported.
    """
    chosen: dict[str, Any] = {
        "seed": options.seed,
        "stream": Stream.EVALUATE,
        "episodes": options.num_episodes,
        "deterministic": options.deterministic,
    }
    env = _env(model) if given is None else given.env
    if env is not None:
        functional = catalog.make(env, env.evaluation(model.env_options), model.frame_stack)
        _check_fit(model, len(functional.observation_bounds[0]), len(functional.action_bounds[0]))
        check_observations(model, [(f.name, f.unit) for f in functional.observation_names], options.model_path)
        check_described(model, catalog.describe(functional), options.model_path)
        check_bounds(model, *functional.action_bounds)
        return run_compiled(functional, model.policy, **chosen)
    env_id = _gymnasium_id(model) if given is None else given.gym_id
    if texts_in(model.env_options) and options.env_options != model.env_options:
        raise ModelFileError(
            f"the model's environment {model.env_id!r} has options that are text, which may name a file or a module: "
            f"if they are right, give them yourself (--env-kwargs '{json.dumps(dict(model.env_options))}')"
        )
    try:
        return run_gymnasium(
            lambda: _registered(model, env_id), model.policy, **chosen, max_steps=options.eval_max_steps
        )
    except RlDrugDosageError:
        raise
    except Exception as error:
        # Options that the environment took and cannot work with; where the user names it, its own error says more.
        if given is not None:
            raise
        raise ModelFileError(
            f"{model.env_id!r} fails with the options of the model file: {type(error).__name__}: {error}"
        ) from error


def _env(model: Model) -> Env | None:
    found = by_name(ENVIRONMENT, model.env_id)
    return None if found is None else found.value


def _gymnasium_id(model: Model) -> str:
    """What Gymnasium is asked for: never with the module that a file names."""
    _, _, name = model.env_id.rpartition(":")
    if name not in gymnasium.registry or is_ours(name):
        raise ModelFileError(
            f"the model was trained for {model.env_id!r}, which is not known here: install the package that brings it "
            f"and name its module (--env-id module:{name}), or give the scenario that it was trained on (--scenario "
            "FILE)"
        )
    return name


def _registered(model: Model, env_id: str) -> gymnasium.Env[Any, Any]:
    try:
        env = make_one(env_id, dict(model.env_options))
    except ConfigError as error:
        raise ModelFileError(
            f"the model was trained for {model.env_id!r}, which cannot be used here ({error}): "
            "install the package that brings it"
        ) from None
    actions = action_space_of(env_id, env.action_space)
    _check_fit(model, flat_size(env_id, env.observation_space), actions.size)
    low, high = model.policy.low, model.policy.high
    if bool(model.policy.choices) != bool(actions.choices):
        raise ModelFileError(
            f"the model gives {'discrete' if model.policy.choices else 'continuous'} actions, but {model.env_id} here "
            f"takes {env.action_space}: it was trained for another version of that environment"
        )
    # Not to the bit: a bound of a float64 space may have been rounded either way.
    if not all(np.allclose(a, b, rtol=1e-6, atol=0.0) for a, b in zip((low, high), actions.policy_bounds, strict=True)):
        raise ModelFileError(
            f"the model gives actions from {low.tolist()} to {high.tolist()}, but {model.env_id} here takes "
            f"{env.action_space}: it was trained for another version of that environment"
        )
    return env


def _check_fit(model: Model, obs_size: int, action_size: int) -> None:
    came = (model.policy.obs_size, model.policy.low.size)
    if came != (obs_size, action_size):
        raise ModelFileError(
            f"the model takes {came[0]} observations and gives {came[1]} actions, but {model.env_id} here has "
            f"{obs_size} and {action_size}: it was trained for another version of that environment"
        )


def save_data(episodes: Episodes, path: Path) -> Path:
    """Every step of every episode as CSV, see `Episodes.columns`.

    Raises:
        OutputError: it cannot be written.
    """
    columns = episodes.columns
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    atomic_write(path, csv_text([*columns], rows).encode())
    return path


def _settings(options: EvaluationOptions, model: Model) -> dict[str, object]:
    return {
        "env_id": model.env_id,
        "num_episodes": options.num_episodes,
        "seed": options.seed,
        "deterministic": options.deterministic,
        "training": dict(model.training),
    }


def _log(logger: Logger, episodes: Episodes, plots: dict[str, Path]) -> None:
    rows = list(
        zip(
            range(1, len(episodes.valid) + 1),
            episodes.returns.tolist(),
            episodes.lengths.tolist(),
            episodes.in_range_pct.tolist(),
            strict=True,
        )
    )
    for number, reward, steps, share in rows:
        logger.scalars(number, {"episode/reward": reward, "episode/steps": steps, "episode/in_range_pct": share})
    summary = {
        "eval/mean_reward": float(episodes.returns.mean()),
        "eval/std_reward": float(episodes.returns.std()),
        "eval/mean_in_range_pct": float(episodes.in_range_pct.mean()),
    }
    logger.scalars(len(rows), summary)
    logger.images(len(rows), plots)
    logger.table("episodes", ("episode", "reward", "steps", "in_range_pct"), rows)
