"""Run a sweep: propose, train, judge, write down; killed at any moment it goes on with the trial it was at."""

import dataclasses
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rl_drug_dosage.envs.catalog import make
from rl_drug_dosage.errors import ConfigError, OutputError, RlDrugDosageError, TrainingError
from rl_drug_dosage.training import trainer
from rl_drug_dosage.training.config import RunOptions, TrainConfig
from rl_drug_dosage.training.plan import make_plan
from rl_drug_dosage.training.run_folder import RunRecord, default_run_name
from rl_drug_dosage.training.run_result import RunResult
from rl_drug_dosage.training.shared import SharedPrograms
from rl_drug_dosage.training.start import Settled
from rl_drug_dosage.training.sweep.folder import SweepFolder, TrialRecord, best_of
from rl_drug_dosage.training.sweep.result import OBJECTIVES, SweepResult, best_toml
from rl_drug_dosage.training.sweep.sampler import Sampler, require_optuna
from rl_drug_dosage.training.sweep.space import Parameter, words_of
from rl_drug_dosage.training.task import again
from rl_drug_dosage.utils.files import atomic_write, prepare_folder, swept
from rl_drug_dosage.utils.foreign import is_interrupt
from rl_drug_dosage.utils.lock import LOCK_FILE, locked
from rl_drug_dosage.utils.progress import Progress, quiet
from rl_drug_dosage.utils.result import png_bytes

__all__ = ["SweepOptions", "sweep"]

_MOST_TRIALS = 100_000


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """How a sweep is run.

    Args:
        trials: how many, those that are done already included.
        objective: what is maximised, of `OBJECTIVES`.
        name: of its folder; empty: made from task, seed and time.

    Raises:
        ConfigError: a value that is not allowed.
    """

    trials: int = 20
    objective: str = "return"
    name: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.trials <= _MOST_TRIALS:
            raise ConfigError(f"--trials must be from 1 to {_MOST_TRIALS:,}, not {self.trials}")
        if self.objective not in OBJECTIVES:
            raise ConfigError(f"--objective must be one of {', '.join(OBJECTIVES)}, not {self.objective!r}")
        RunOptions(run_name=self.name)  # the same letters are allowed


def sweep(
    asked: Settled,
    space: tuple[Parameter, ...],
    options: SweepOptions,
    *,
    command: str = "",
    progress: Progress = quiet,
) -> SweepResult:
    """Search, or go on with a search of the same name and definition.

    Args:
        asked: what every trial has in common.
        space: what varies.
        options: how it is run.
        command: the command line that each trial records.
        progress: reports where the sweep is.

    Raises:
        DependencyError: Optuna is not installed.
        RlDrugDosageError: a setting or place that will not do.
        TrainingError: no trial is complete.
    """
    require_optuna()
    _check(asked, space, options)
    path = Path(asked.options.runs_dir) / (options.name or _free_name(asked))
    folder = SweepFolder(path)
    folder.refuse_others()
    with swept(path):
        try:
            prepare_folder(path)
        except OutputError as error:
            raise OutputError(str(error).replace("--output-dir", "--runs-dir")) from None
        with locked(path, "sweep folder"):
            done = folder.begin(_definition(asked, space, options))
            try:
                found = _Running(asked, space, options, folder, command, progress, done).run()
            except BaseException:
                if not folder.trials.exists() and not any(path.glob("trial-*")):
                    folder.remove()
                    (path / LOCK_FILE).unlink(missing_ok=True)
                raise
    if found.best is None and found.interrupted_by is None:
        raise TrainingError(
            f"none of the {len(found.records)} trials of {path} is complete ({found.records[0].reason}): "
            "vary other values, or change the settings that all trials share"
        )
    return found


def _check(asked: Settled, space: tuple[Parameter, ...], options: SweepOptions) -> None:
    if not asked.config.eval_freq:
        raise ConfigError(
            "--eval-freq 0 evaluates nothing, but trials are judged by their last evaluation: leave it out"
        )
    shapes = {"num_envs", "num_steps", "num_minibatches", "memory", "total_timesteps"}
    if not shapes & {p.name for p in space}:
        make_plan(asked.config)  # what no trial can mend is said at once
    if options.objective == "time-in-range":
        env, task = asked.task.env, asked.config.env_id
        if env is None or not make(env, env.evaluation(env.training(asked.config.env_options()))).windows:
            raise ConfigError(f"--objective time-in-range needs a therapeutic window, and {task} has none: use return")


def _free_name(asked: Settled) -> str:
    """The default name of a sweep, numbered where that is taken."""
    name = default_run_name(asked.config, "sweep")
    number, found = 1, name
    while (Path(asked.options.runs_dir) / found).exists():
        number += 1
        found = f"{name}-{number}"
    return found


def _definition(asked: Settled, space: tuple[Parameter, ...], options: SweepOptions) -> dict[str, Any]:
    """What makes two sweeps the same: everything but the number of trials, and where and when they are run."""
    varied = {p.name for p in space}
    return {
        "objective": options.objective,
        "params": {p.name: p.record() for p in space},
        "train": {k: v for k, v in asked.config.to_record().items() if k not in varied},
        "scenario": {k: v for k, v in asked.task.record().items() if k != "given_as"},
        "drugs": dict(asked.task.drugs),
    }


@dataclass
class _Running:
    """A sweep that runs."""

    asked: Settled
    space: tuple[Parameter, ...]
    options: SweepOptions
    folder: SweepFolder
    command: str
    progress: Progress
    records: list[TrialRecord]
    programs: SharedPrograms = field(default_factory=SharedPrograms)
    said: set[str] = field(default_factory=set)
    """What trials have said: the same note of every trial is said once."""

    def run(self) -> SweepResult:
        """All trials that are missing, until there are no other combinations, or a signal."""
        wanted = self.options.trials
        sampler = Sampler(self.space, self.asked.config.seed, self.records)
        self.folder.clear(len(self.records) + 1)
        if self.records:
            self.progress(f"{self.folder.path} has {len(self.records)} trials; {wanted} are asked for", None)
            self._write()
        try:
            interrupted, exhausted = self._loop(sampler)
        except KeyboardInterrupt as error:  # between two trials; within one, training ends in order
            if not is_interrupt(error):
                raise
            interrupted, exhausted = int(signal.SIGINT), False
        found = SweepResult(
            self.folder,
            self.space,
            self.options.objective,
            tuple(self.records),
            wanted,
            exhausted,
            interrupted,
            again(self.asked.task),
        )
        if self.records:
            self.progress("drawing", 1.0)
            atomic_write(self.folder.picture, png_bytes(found.plot()))
        return found

    def _loop(self, sampler: Sampler) -> tuple[int | None, bool]:
        """The signal that stopped it, if one did, and whether every combination has been tried."""
        while len(self.records) < self.options.trials:
            number = len(self.records) + 1
            params = sampler.propose(number)
            if params is None:
                self.progress(f"all {len(self.records)} combinations have been tried", None)
                return None, True
            outcome = self._trial(number, params)
            if isinstance(outcome, int):
                return outcome, False
            self.records.append(outcome)
            self._write()
            sampler.tell(outcome)
            self.progress(self._line(outcome), None)
        return None, False

    def _config(self, params: Mapping[str, Any]) -> TrainConfig:
        return dataclasses.replace(self.asked.config, **params)

    def _trial(self, number: int, params: dict[str, Any]) -> TrialRecord | int:
        """A trial; the signal that stopped it, if one did."""
        begin = time.perf_counter()
        try:
            config = self._config(params)
            make_plan(config)
        except RlDrugDosageError as error:  # a combination that cannot be: the sweep goes on
            return TrialRecord(trial=number, params=params, reason=" ".join(str(error).split()))
        where = self.asked.options
        try:
            found = trainer.train(
                config,
                dataclasses.replace(where, runs_dir=str(self.folder.path), run_name=self.folder.run_name(number)),
                task=self.asked.task,
                command=self.command,
                progress=self._within(number, params),
                make=self.programs,
            )
        except TrainingError as error:
            seconds = time.perf_counter() - begin
            return TrialRecord(trial=number, params=params, seconds=seconds, reason=" ".join(str(error).split()))
        if not found.complete:
            return found.interrupted_by or 1
        return self._judged(number, params, found, time.perf_counter() - begin)

    def _judged(self, number: int, params: dict[str, Any], found: RunResult, seconds: float) -> TrialRecord:
        returns = [s.mean_reward for s in found.summaries]
        shares = [None if np.isnan(s.in_range_pct) else s.in_range_pct for s in found.summaries]
        counted = returns if self.options.objective == "return" else [np.nan if v is None else v for v in shares]
        objective = float(np.median(counted))
        reason = "" if np.isfinite(objective) else f"the {self.options.objective} of its evaluation is not finite"
        return TrialRecord(
            trial=number,
            params=params,
            objective=None if reason else objective,
            returns=[r if np.isfinite(r) else None for r in returns],
            in_range_pct=shares,
            seconds=round(seconds, 3),
            compile_s=round(found.compile_s, 3),
            reason=reason,
        )

    def _within(self, number: int, params: dict[str, Any]) -> Progress:
        """Progress of one trial as that of the sweep."""
        wanted = self.options.trials
        name = f"trial {number} of {wanted} ({words_of(params)})"

        def tell(text: str, done: float | None) -> None:
            if done is not None:
                self.progress(f"{name}: {text}", (number - 1 + min(max(done, 0.0), 1.0)) / wanted)
            elif text not in self.said:
                self.said.add(text)
                self.progress(text, None)

        return tell

    def _line(self, record: TrialRecord) -> str:
        name = f"trial {record.trial} of {self.options.trials} ({words_of(record.params)})"
        if record.objective is None:
            return f"{name}: failed, {record.reason}"
        best = best_of(self.records)
        assert best is not None
        so_far = "the best so far" if best is record else f"best so far {best.objective:.2f}, trial {best.trial}"
        return f"{name}: {self.options.objective} {record.objective:.2f}, {so_far}, {record.seconds:.1f} s"

    def _write(self) -> None:
        best = best_of(self.records)
        text = ""
        if best is not None:
            config = self._config(best.params)
            record = RunRecord(
                config=config, options=self.asked.options, scenario=self.asked.task.record(), initial={}, extended=(),
                drugs=self.asked.task.drugs,
            )  # fmt: skip
            text = best_toml(record, best, self.folder, self.options.objective)
        self.folder.write(self.records, text)
