"""A training run from start to end: iterate, log, evaluate, checkpoint, stop cleanly, resume exactly."""

import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np

from rl_drug_dosage.errors import CheckpointError, TrainingError
from rl_drug_dosage.ppo.model_file import save_model
from rl_drug_dosage.ppo.policy import PpoPolicy
from rl_drug_dosage.training.checkpoint import load_checkpoint, save_checkpoint
from rl_drug_dosage.training.config import RunOptions, TrainConfig
from rl_drug_dosage.training.episodes import Summary
from rl_drug_dosage.training.interrupts import Interrupts
from rl_drug_dosage.training.plan import Plan, make_plan
from rl_drug_dosage.training.program import Report
from rl_drug_dosage.training.progress import Moment
from rl_drug_dosage.training.report import culprit, mean_over_seeds, scalars
from rl_drug_dosage.training.run_folder import RunFolder
from rl_drug_dosage.training.run_result import RunResult
from rl_drug_dosage.training.task import (
    Task,
    make_program,
    option_models,
    task_of_run,
    texts_in,
    with_option_models,
)
from rl_drug_dosage.utils.loggers import JsonLinesLogger, Logger, Loggers, TensorBoardLogger
from rl_drug_dosage.utils.progress import Progress, quiet
from rl_drug_dosage.utils.wandb import WandbOptions, require_wandb, start_wandb

__all__ = ["Program", "RunResult", "resume", "train"]


class Program(Protocol):
    """A way to train: what the two collectors have in common."""

    seeds: tuple[int, ...]
    env_record: Mapping[str, Any]

    def init(self) -> Any: ...
    def compile(self, state: Any) -> None: ...
    def __call__(self, state: Any) -> tuple[Any, Report]: ...
    def policies(self, state: Any) -> tuple[PpoPolicy, ...]: ...
    def evaluate(self, policy: PpoPolicy, seed: int, episodes: int) -> Summary: ...
    def snapshot(self, state: Any) -> dict[str, np.ndarray]: ...
    def restore(self, tensors: Mapping[str, np.ndarray], say: Callable[[str], None]) -> Any: ...
    def close(self) -> None: ...


def train(
    config: TrainConfig,
    options: RunOptions,
    *,
    task: Task | None = None,
    command: str = "",
    progress: Progress = quiet,
) -> RunResult:
    """Train from scratch into a new run folder.

    Args:
        config: what decides the result.
        options: where it is written.
        task: what is trained on; None: what the configuration names.
        command: the command line that is recorded.
        progress: reports where the run is.

    Raises:
        RlDrugDosageError: a setting, place or device that will not do; nothing half-written stays behind.
        TrainingError: a loss that is not finite; the last good checkpoint is kept.
    """
    if options.track:
        require_wandb()
    plan = make_plan(config)
    progress(f"setting up {config.env_id}", 0.0)
    program = make_program(plan, task)
    try:
        folder = RunFolder.create(config, options, command, task.record() if task is not None else None)
        for note in plan.notes:
            progress(note, None)
        return _Run(plan, options, folder, program, progress).execute(None)
    finally:
        program.close()


def resume(
    path: Path,
    *,
    device: str = "cpu",
    given: object = None,
    env_kwargs: str | Mapping[str, Any] | None = None,
    accept_changed: bool = False,
    progress: Progress = quiet,
) -> RunResult:
    """Go on with a run, bit for bit as if it had never stopped.

    Args:
        path: of the run.
        device: where; it may be another one.
        given: the task, where a file or module of the user's defines it.
        env_kwargs: the options of the environment, where they name a drug model of the user's.
        accept_changed: go on although the scenario's file has changed since.
        progress: reports where the run is.

    Raises:
        CheckpointError: the folder is not a run's, its checkpoint is damaged, or what was given is not the run's.
    """
    folder, config, options, scenario = RunFolder.open(path)
    plan = make_plan(config)
    restored = load_checkpoint(folder.checkpoint) if folder.checkpoint.exists() else None
    if restored is not None and restored[1].get("config") != config.to_record():
        raise CheckpointError(f"{folder.config} and {folder.checkpoint} disagree: the configuration was edited")
    if options.track:
        require_wandb()
    task = task_of_run(config.env_id, scenario, path, given=given, accept_changed=accept_changed)
    task = _with_models_of_run(task, config, path, env_kwargs)
    if task.found is None and given is None and env_kwargs is None and texts_in(config.env_options()):
        raise CheckpointError(
            f"{path} has environment options that are text, which may name a file or a module: if they are right, give "
            f"them yourself (--env-kwargs '{config.env_kwargs}')"
        )
    program = make_program(plan, task)
    try:
        return _Run(plan, replace(options, device=device), folder, program, progress).execute(restored)
    finally:
        program.close()


def _with_models_of_run(
    task: Task, config: TrainConfig, path: Path, env_kwargs: str | Mapping[str, Any] | None
) -> Task:
    """The task with the drug models that the user gives again; the run's own record names them, and no more."""
    if env_kwargs is not None:
        read = env_kwargs if isinstance(env_kwargs, Mapping) else replace(config, env_kwargs=env_kwargs).env_options()
        task, options = with_option_models(task, read)
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


@dataclass
class _Run:
    plan: Plan
    options: RunOptions
    folder: RunFolder
    program: Program
    progress: Progress

    def execute(self, restored: tuple[dict[str, np.ndarray], dict[str, Any]] | None) -> RunResult:
        plan = self.plan
        update, self._wandb_id = 0, None
        if restored is None:
            state = self.program.init()
        else:
            state, update = self.program.restore(restored[0], self._say), int(restored[1]["update"])
            self._say(f"resuming {self.folder.path} at step {update * plan.batch_size:,} of {plan.total_timesteps:,}")
        if update >= plan.num_updates:
            self._say("the run is complete already")
            return RunResult(self.folder, (), update * plan.batch_size, True, None, 0.0, 0.0)
        start = time.perf_counter()
        with Interrupts() as interrupts:
            self._open_loggers(restored)
            try:
                if restored is None:
                    self._save(state, 0)
                self._compile(state)
                compile_s = time.perf_counter() - start
                state, update, summaries = self._loop(state, update, interrupts)
            finally:
                self._loggers.close()
        return RunResult(
            self.folder,
            summaries if update == plan.num_updates else (),
            update * plan.batch_size,
            update == plan.num_updates,
            interrupts.received,
            compile_s,
            time.perf_counter() - start - compile_s,
        )

    def _say(self, text: str) -> None:
        self.progress(text, None)

    def _compile(self, state: Any) -> None:
        """Compile both programs, side by side: the clock of the training starts afterwards."""
        self.progress("compiling the training", 0.0)
        with ThreadPoolExecutor(1) as pool:
            evaluated = pool.submit(self._evaluate, state) if self.plan.config.eval_freq else None
            self.program.compile(state)
            if evaluated is not None:
                evaluated.result()

    def _loop(self, state: Any, update: int, interrupts: Interrupts) -> tuple[Any, int, tuple[Summary, ...]]:
        plan, config = self.plan, self.plan.config
        first, start = update, time.perf_counter()
        summaries: tuple[Summary, ...] = ()
        while update < plan.num_updates and interrupts.received is None:
            new, report = self.program(state)
            report = jax.device_get(report)
            if reason := culprit(report, self.program.seeds):
                self._save(state, update)
                raise TrainingError(
                    f"update {update + 1}: {reason}; the update was not applied and the state before it is in "
                    f"{self.folder.checkpoint}: lower --learning-rate, or look at the environment's numbers"
                )
            state, update = new, update + 1
            step, last = update * plan.batch_size, update == plan.num_updates
            elapsed = time.perf_counter() - start
            sps = (update - first) * plan.batch_size * len(self.program.seeds) / elapsed
            values = [scalars(report, i, config, sps) for i in range(len(self.program.seeds))]
            if config.eval_freq and (last or update % config.eval_freq == 0):
                summaries = self._evaluate(state)
                values = [v | s.metrics() for v, s in zip(values, summaries, strict=True)]
            self._log(step, values)
            mean = mean_over_seeds(values)
            moment = Moment(
                step,
                plan.total_timesteps,
                sps,
                mean.get("charts/episodic_return", float("nan")),
                100.0 * float(np.mean(report.episodes.in_range)),
            )
            self.progress(moment.line(), step / plan.total_timesteps)
            if last or update % self.options.checkpoint_freq == 0:
                self._save(state, update)
            if last and summaries and len(self.program.seeds) > 1:
                self._save_median(state, summaries)
        if update < plan.num_updates and update % self.options.checkpoint_freq:
            self._save(state, update)
        return state, update, summaries

    def _evaluate(self, state: Any) -> tuple[Summary, ...]:
        pairs = zip(self.program.policies(state), self.program.seeds, strict=True)
        return tuple(self.program.evaluate(p, seed, self.plan.config.eval_episodes) for p, seed in pairs)

    def _log(self, step: int, values: list[dict[str, float]]) -> None:
        self._main_loggers.scalars(step, mean_over_seeds(values))
        for logger, own in zip(self._seed_loggers, values, strict=False):
            logger.scalars(step, own)

    def _open_loggers(self, restored: tuple[Any, dict[str, Any]] | None) -> None:
        config, folder = self.plan.config, self.folder
        record = restored[1] if restored else {}
        offset = int(record.get("metrics_bytes", 0)) if restored or folder.metrics.exists() else None
        step = int(record["update"]) * self.plan.batch_size if restored else None
        self._metrics = JsonLinesLogger(folder.metrics, resume_bytes=offset)
        loggers: list[Logger] = [self._metrics, TensorBoardLogger(folder.path, resume_step=step)]
        many = len(self.program.seeds) > 1
        self._seed_loggers = tuple(
            TensorBoardLogger(folder.of_seed(s).path, resume_step=step) for s in self.program.seeds if many
        )
        if self.options.track:
            o = self.options
            wandb = WandbOptions(
                project=o.wandb_project,
                entity=o.wandb_entity or None,
                tags=tuple(t for t in (t.strip() for t in o.wandb_tags.split(",")) if t),
                name=folder.path.name,
                group=config.env_id,
            )
            loggers.append(start_wandb(wandb, folder=folder.path, config=config.to_record(), say=self._say))
        self._loggers = Loggers([*loggers, *self._seed_loggers])
        self._main_loggers = Loggers(loggers)
        if restored is None:
            self._loggers.hyperparameters(config.to_record())

    def _save(self, state: Any, update: int) -> None:
        config = self.plan.config
        record = {"config": config.to_record(), "update": update, "metrics_bytes": self._metrics.sync()}
        save_checkpoint(self.folder.checkpoint, self.program.snapshot(state), record)
        if update == 0:
            return
        for policy, seed in zip(self.program.policies(state), self.program.seeds, strict=True):
            folder = self.folder if len(self.program.seeds) == 1 else self.folder.of_seed(seed)
            self._save_model(folder.model, policy, seed, update)

    def _save_median(self, state: Any, summaries: tuple[Summary, ...]) -> None:
        """Of several seeds the run's own ``agent.pt`` is the median one, never the best."""
        order = np.argsort([s.mean_reward for s in summaries])
        middle = int(order[(len(order) - 1) // 2])
        policy, seed = self.program.policies(state)[middle], self.program.seeds[middle]
        self._save_model(self.folder.model, policy, seed, self.plan.num_updates)

    def _save_model(self, path: Path, policy: PpoPolicy, seed: int, update: int) -> None:
        save_model(
            path,
            policy,
            env=self.program.env_record,
            training=self.plan.config.to_record(),
            progress={"seed": seed, "update": update, "global_step": update * self.plan.batch_size},
        )
