"""The benchmark: compares policies on one virtual cohort, overall and in subgroups, with confidence intervals.

Every policy treats the same patients with the same random events. Baselines are tuned on a separate cohort. The result
is a plain record (`Benchmark.record`), byte-identical for a given command, except ``timing``.
"""

import contextlib
import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rl_drug_dosage.clinic.adjust import adjusted
from rl_drug_dosage.clinic.faults import refusals
from rl_drug_dosage.clinic.policy import Setting
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.shield import REASONS
from rl_drug_dosage.clinic.stress import STRESSES, stressed
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.registry import Found
from rl_drug_dosage.trials.benchmark_record import about, results_of
from rl_drug_dosage.trials.benchmark_runs import Runs, Work, entered_all, mismatched, shielded, stressed_too, treated
from rl_drug_dosage.trials.entrants import Candidate, candidates
from rl_drug_dosage.trials.outcome import Outcome
from rl_drug_dosage.trials.published_run import beside, plan_of, planned
from rl_drug_dosage.trials.setting import setting_for, task_of
from rl_drug_dosage.trials.shards import Merged, Shard, save_part
from rl_drug_dosage.trials.trial import Cohort, Trial
from rl_drug_dosage.utils.arguments import checked
from rl_drug_dosage.utils.files import prepare_folder
from rl_drug_dosage.utils.lock import locked
from rl_drug_dosage.utils.progress import Progress, Steps, quiet
from rl_drug_dosage.utils.result import Result, figure_of_size
from rl_drug_dosage.utils.seeding import check_seed
from rl_drug_dosage.utils.table_format import check_format

__all__ = ["Benchmark", "BenchmarkOptions", "benchmark"]

_OFF_GRID = REASONS.index("off the grid")
_PATIENTS = 1000
"""Virtual patients, unless the user or a published trial names a number."""
_MOST_PATIENTS = 100_000_000


@dataclass(frozen=True, kw_only=True)
class BenchmarkOptions:
    """What to compare, and on which patients.

    Args:
        scenario: the scenario, in any form that `registry` accepts; None: that of the published trial.
        policies: references, or names and references; empty: every clinical policy that fits, or those that the
            published trial names.
        patients: number of virtual patients; None: 1,000, or those that the published trial names.
        seed: selects the cohort and the bootstrap samples.
        simulator, controller: drug models in any form; None: the scenario's first one.
        mismatch: also run every simulator against every controller; test-only drug models are simulators.
        stress: names of stress settings to run as well; ``("all",)``: all of the scenario's.
        shield: also run every policy behind the safety shield.
        decisions: decisions per course; 0: the scenario's default.
        accept_changed: include models whose scenario file has changed since training.
        output_dir: folder for the files; None: nothing is written.
        published: a published trial, in any form that `registry` accepts: its scenario, drug models, policies and
            cohort are the defaults, and its numbers stand beside ours.
        file_format: of the patients' table, ``"csv"`` or ``"parquet"``.
        shard: treat this part of the patients only, and write it for `shards.joined` in place of the report.
        merged: trials of all parts; nothing is run.

    Raises:
        ConfigError: a value out of range.
    """

    scenario: object = None
    policies: Sequence[object] | Mapping[str, object] = ()
    patients: int | None = None
    seed: int = 1
    simulator: object = None
    controller: object = None
    mismatch: bool = False
    stress: Sequence[str] = ()
    shield: bool = False
    decisions: int = 0
    accept_changed: bool = False
    output_dir: Path | None = None
    published: object = None
    file_format: str = "csv"
    shard: Shard | None = None
    merged: Merged | None = None

    def __post_init__(self) -> None:
        if self.patients is not None and not 1 <= self.patients <= _MOST_PATIENTS:
            raise ConfigError(f"--patients must be from 1 to {_MOST_PATIENTS}, not {self.patients}")
        check_seed(self.seed)
        check_format(self.file_format)
        if self.shard is not None and self.output_dir is None:
            raise ConfigError("a part of a benchmark is written for merge: give it a place with --output-dir")

    @property
    def cohort(self) -> Cohort:
        """The patients."""
        count = _PATIENTS if self.patients is None else self.patients
        if self.shard is None:
            return Cohort(self.seed, count)
        first, own = self.shard.range_of(count)
        return Cohort(self.seed, own, first)

    def asked(self) -> dict[str, Any]:
        """What was asked, in values of JSON: references that are no text have none."""
        policies = self.policies
        if isinstance(policies, str | Path):
            policies = [policies]
        if isinstance(policies, Mapping):
            policies = [f"{name}={_text(own)}" for name, own in policies.items()]
        return {
            "scenario": _text(self.scenario),
            "published": _text(self.published),
            "policies": [_text(own) for own in policies],
            "patients": self.patients,
            "seed": self.seed,
            "simulator": _text(self.simulator),
            "controller": _text(self.controller),
            "mismatch": self.mismatch,
            "stress": list(self.stress),
            "shield": self.shield,
            "decisions": self.decisions,
            "accept_changed": self.accept_changed,
        }


def _text(reference: object) -> str | None:
    return None if reference is None else str(reference) if isinstance(reference, str | Path) else ""


@dataclass(frozen=True, repr=False)
class Benchmark(Result):
    """A finished benchmark, or a part of one, which has no table of its own.

    Args:
        record: content of the JSON file and the report; of a part, what was asked and how long it took.
        outcomes: of each policy, by name.
        scenario: the task.
        files: files written; empty unless ``output_dir`` was given.
    """

    record: dict[str, Any]
    outcomes: dict[str, Outcome]
    scenario: Found[Scenario]
    files: tuple[Path, ...] = ()

    @property
    def trials(self) -> dict[str, Trial]:
        """The courses under each policy; of a cohort above `outcome.BLOCK`, those of its first patients."""
        return {name: outcome.trial for name, outcome in self.outcomes.items()}

    @property
    def title(self) -> str:
        settings = self.record["settings"]
        return f"{self.record['scenario']['title']}: {settings['patients']:,} patients, seed {settings['seed']}"

    def columns(self) -> dict[str, np.ndarray]:
        """One row per policy, best first: the columns of ``benchmark.csv``."""
        from rl_drug_dosage.trials.benchmark_files import policy_rows

        self._whole()
        rows = policy_rows(self.record)
        return {name: np.asarray([row.get(name) for row in rows]) for name in rows[0]}

    def _whole(self) -> list[dict[str, Any]]:
        if "policies" not in self.record:
            raise ConfigError("a part of a benchmark has no table of its own; merge all parts: rl-drug-dosage merge")
        rows: list[dict[str, Any]] = self.record["policies"]
        return rows

    def _summary(self) -> Mapping[str, np.ndarray]:
        if "policies" not in self.record:
            patients = [outcome.patients for outcome in self.outcomes.values()]
            return {"policy": np.asarray(list(self.outcomes)), "patients of this part": np.asarray(patients)}
        rows = self.record["policies"]
        shares = [row["attainment_pct"] for row in rows]
        return {
            "policy": np.asarray([row["policy"] for row in rows]),
            "in target (%)": np.asarray([s["mean"] for s in shares]),
            "95 % interval": np.asarray([f"{s['low']:.1f} to {s['high']:.1f}" for s in shares]),
            "worst 5 % of patients": np.asarray([row["worst_5_pct"] for row in rows]),
        }

    def plot(self) -> Any:
        """Plot the attainment of every policy with its 95 % interval."""
        rows = self._whole()[::-1]
        figure = figure_of_size(7.0, 1.3 + 0.35 * len(rows))
        axes = figure.subplots()
        at = np.arange(len(rows))
        mean, low, high = (np.asarray([r["attainment_pct"][e] for r in rows]) for e in ("mean", "low", "high"))
        axes.errorbar(mean, at, xerr=(mean - low, high - mean), fmt="o", color="tab:blue", capsize=3)
        axes.set_yticks(at, [row["policy"] for row in rows])
        axes.set_xlabel("in target (%), mean and 95 % interval")
        axes.set_title(self.title, fontsize=10)
        return figure

    @checked
    def save(self, folder: str | Path, *, file_format: str = "csv") -> tuple[Path, ...]:
        """Write ``benchmark.json``, ``benchmark.csv``, ``report.html``, and ``patients.csv`` or ``patients.parquet``.

        Args:
            folder: made where it is missing.
            file_format: of the patients' table; ``"parquet"`` needs pyarrow.

        Raises:
            RlDrugDosageError: another format, no pyarrow, or a folder that cannot be written.
        """
        from rl_drug_dosage.trials.benchmark_files import write_benchmark

        self._whole()
        return write_benchmark(self, Path(folder), file_format)


def benchmark(options: BenchmarkOptions, *, command: str = "", progress: Progress = quiet) -> Benchmark:
    """Run a benchmark. The output folder is locked meanwhile, and its files appear together at the end.

    Args:
        options: what to compare, and on which patients.
        command: the command line quoted in the report.
        progress: reports what is being done.

    Raises:
        UnknownNameError, BadPluginError, ConfigError, ModelFileError: see `BenchmarkOptions` and `enter`.
        OutputError: the output folder cannot be written, or another process works there.
    """
    begin = time.perf_counter()
    asked = options.asked()
    plan = plan_of(options)
    options = options if plan is None else planned(options, plan)
    task = task_of(options.scenario)
    task = dataclasses.replace(task, value=adjusted(task.value, decisions=options.decisions or None))
    setting = setting_for(task, options.simulator, options.controller, accept_changed=options.accept_changed)
    stresses = _stresses_of(options, setting.scenario)
    entering = candidates(setting, options.policies)
    pairs = _pairs(setting) if options.mismatch else []
    folder = options.output_dir
    with contextlib.ExitStack() as held:
        if folder is not None:
            prepare_folder(folder)
        if folder is not None and options.shard is None:
            # Parts have files of their own, and may be written side by side.
            held.enter_context(locked(folder, "output folder", keep=False))
        for text in () if options.policies else refusals(setting.scenario)[1]:
            progress(f"left out: {text}", None)
        runs = Runs(options.merged, keep=options.shard is not None)
        steps = Steps(progress, _steps(options, len(entering), len(pairs), len(stresses)))
        work = Work(options, steps, runs)
        record, outcomes = _compared(setting, entering, pairs, stresses, work, begin, command)
        found = Benchmark(record, outcomes, setting.task)
        if plan is not None and options.shard is None:
            record["published"] = beside(plan, setting.scenario, found.trials, options.seed)
        if options.shard is not None and folder is not None:
            return dataclasses.replace(found, files=(save_part(folder, options.shard, asked, runs.done),))
        if folder is None:
            return found
        return dataclasses.replace(found, files=found.save(folder, file_format=options.file_format))


def _compared(
    setting: Setting,
    entering: Sequence[Candidate],
    pairs: Sequence[tuple[str, str]],
    stresses: Sequence[str],
    work: Work,
    begin: float,
    command: str,
) -> tuple[dict[str, Any], dict[str, Outcome]]:
    """The record and the outcomes."""
    options, steps = work.options, work.steps
    timing: dict[str, Any] = {"policies": {}}
    entrants, outcomes = [], {}
    for entrant, prepared in entered_all(setting, entering, work):
        entrants.append(entrant)
        outcome, run_s = treated(setting, entrant, work)
        outcomes[entrant.name] = outcome
        timing["policies"][entrant.name] = {**prepared, "run_s": run_s}
        doubtful, left = outcome.doubtful, outcome.abstained
        moved, count = outcome.reasons[_OFF_GRID], outcome.patients
        ready_s = prepared["tune_and_compile_s"]
        steps.note(
            f"{entrant.name}: {count:,} patients in {run_s:.2f} s (tuned and compiled in {ready_s:.1f} s)"
            + (f", {doubtful:,} decisions on estimates that had not converged" if doubtful else "")
            + (f", {left:,} doses left to the Bayesian dosing that it corrects" if left else "")
            + (f", {moved:,} doses off the grid, the nearest amount was given" if moved else "")
        )
    if options.shield:
        entrants += shielded(setting, entrants, outcomes, work)
    counting = time.perf_counter()
    record = about(setting, outcomes, patients=options.cohort.count, seed=options.seed, shield=options.shield)
    # What holds for a part of the patients alone, nobody reads.
    if options.shard is None:
        record |= results_of(setting, entrants, outcomes, options.seed)
    timing["statistics_s"] = time.perf_counter() - counting
    if options.mismatch:
        record["mismatch"] = mismatched(setting, pairs, entering, work)
    if stresses:
        record["stress"] = [stressed_too(name, setting, entrants, work) for name in stresses]
    record["settings"]["command"] = command
    timing["total_s"] = time.perf_counter() - begin
    record["timing"] = timing
    return record, outcomes


def _steps(options: BenchmarkOptions, policies: int, pairs: int, stresses: int) -> int:
    """Number of progress steps: compiling and running each policy in each setting; a stress setting is one step."""
    return (2 + options.shield + 2 * pairs) * policies + stresses


def _stresses_of(options: BenchmarkOptions, scenario: Scenario) -> tuple[str, ...]:
    """The names of the stress settings; ``("all",)`` means all of the scenario's.

    Raises:
        UnknownNameError, ConfigError: an unknown stress setting, or one that does not apply to the scenario.
    """
    if tuple(options.stress) == ("all",):
        return tuple(name for name, s in STRESSES.items() if s.change(scenario) is not None)
    for name in options.stress:
        stressed(scenario, name)
    return tuple(options.stress)


def _pairs(setting: Setting) -> list[tuple[str, str]]:
    """Settings of every simulator with every controller; a test-only drug model is no controller.

    Raises:
        ConfigError: the scenario has only one drug model.
    """
    models, test_only = setting.scenario.models, setting.scenario.test_only
    if len(models) + len(test_only) < 2:
        raise ConfigError(
            f"--mismatch needs a second drug model, but {setting.task.name!r} has only {models[0]!r}: leave it out, "
            "give another one as --simulator, or use --stress"
        )
    return [(simulator, controller) for simulator in (*models, *test_only) for controller in models]
