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
from rl_drug_dosage.clinic.faults import check_amounts, refusals
from rl_drug_dosage.clinic.observation import Observer
from rl_drug_dosage.clinic.policy import Setting
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.shield import REASONS, Shield, shield_of
from rl_drug_dosage.clinic.simulators import simulator_of
from rl_drug_dosage.clinic.stress import STRESSES, stressed
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.registry import Found
from rl_drug_dosage.trials.benchmark_record import record_of
from rl_drug_dosage.trials.entrants import Candidate, Entrant, candidates, guard_of
from rl_drug_dosage.trials.published_run import beside, plan_of, planned
from rl_drug_dosage.trials.setting import setting_for, task_of
from rl_drug_dosage.trials.statistics import bootstrap, endpoints, summary
from rl_drug_dosage.trials.trial import Cohort, Trial, check_label, prepare_trial, run_trial
from rl_drug_dosage.utils.arguments import checked
from rl_drug_dosage.utils.device_shape import device_shape, on_threads
from rl_drug_dosage.utils.files import prepare_folder
from rl_drug_dosage.utils.kept_programs import Program
from rl_drug_dosage.utils.lock import locked
from rl_drug_dosage.utils.progress import Progress, Steps, quiet
from rl_drug_dosage.utils.result import Result, figure_of_size
from rl_drug_dosage.utils.seeding import Stream, check_seed, generator

__all__ = ["Benchmark", "BenchmarkOptions", "benchmark"]

_OFF_GRID = REASONS.index("off the grid")
_PATIENTS = 1000
"""Virtual patients, unless the user or a published trial names a number."""


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

    def __post_init__(self) -> None:
        if self.patients is not None and not 1 <= self.patients <= 1_000_000:
            raise ConfigError(f"--patients must be from 1 to 1000000, not {self.patients}")
        check_seed(self.seed)

    @property
    def cohort(self) -> Cohort:
        """The patients."""
        return Cohort(self.seed, _PATIENTS if self.patients is None else self.patients)


@dataclass(frozen=True, repr=False)
class Benchmark(Result):
    """A finished benchmark.

    Args:
        record: content of the JSON file and the report.
        trials: trial of each policy.
        scenario: the task.
        files: files written; empty unless ``output_dir`` was given.
    """

    record: dict[str, Any]
    trials: dict[str, Trial]
    scenario: Found[Scenario]
    files: tuple[Path, ...] = ()

    @property
    def title(self) -> str:
        settings = self.record["settings"]
        return f"{self.record['scenario']['title']}: {settings['patients']:,} patients, seed {settings['seed']}"

    def columns(self) -> dict[str, np.ndarray]:
        """One row per policy, best first: the columns of ``benchmark.csv``."""
        from rl_drug_dosage.trials.benchmark_files import policy_rows

        rows = policy_rows(self.record)
        return {name: np.asarray([row.get(name) for row in rows]) for name in rows[0]}

    def _summary(self) -> Mapping[str, np.ndarray]:
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
        rows = self.record["policies"][::-1]
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
    def save(self, folder: str | Path) -> tuple[Path, ...]:
        """Write ``benchmark.json``, ``benchmark.csv``, ``patients.csv`` and ``report.html``."""
        from rl_drug_dosage.trials.benchmark_files import write_benchmark

        return write_benchmark(self, Path(folder))


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
            held.enter_context(locked(folder, "output folder", keep=False))
        for text in () if options.policies else refusals(setting.scenario)[1]:
            progress(f"left out: {text}", None)
        record, trials = _compared(setting, entering, pairs, stresses, options, progress, begin, command)
        if plan is not None:
            record["published"] = beside(plan, setting.scenario, trials, options.seed)
        found = Benchmark(record, trials, setting.task)
        return found if folder is None else dataclasses.replace(found, files=found.save(folder))


def _compared(
    setting: Setting,
    entering: Sequence[Candidate],
    pairs: Sequence[tuple[str, str]],
    stresses: Sequence[str],
    options: BenchmarkOptions,
    progress: Progress,
    begin: float,
    command: str,
) -> tuple[dict[str, Any], dict[str, Trial]]:
    """The record and the trials."""
    steps = Steps(progress, _steps(options, len(entering), len(pairs), len(stresses)))
    timing: dict[str, Any] = {"policies": {}}
    entrants, trials = [], {}
    for entrant, ready_s, ready in _enter_all(setting, entering, options, steps):
        entrants.append(entrant)
        trials[entrant.name], run_s = _run(setting, entrant, options, steps)
        own = {"trace_s": ready.traced_s, "compile_s": ready.compiled_s, "traced_before": ready.kept, "run_s": run_s}
        timing["policies"][entrant.name] = {"tune_and_compile_s": ready_s, **own}
        trial = trials[entrant.name]
        doubtful, left = trial.doubtful.sum(), trial.abstained.sum()
        moved, count = (trial.reason == _OFF_GRID).sum(), trial.patients
        steps.note(
            f"{entrant.name}: {count:,} patients in {run_s:.2f} s (tuned and compiled in {ready_s:.1f} s)"
            + (f", {doubtful:,} decisions on estimates that had not converged" if doubtful else "")
            + (f", {left:,} doses left to the Bayesian dosing that it corrects" if left else "")
            + (f", {moved:,} doses off the grid, the nearest amount was given" if moved else "")
        )
    if options.shield:
        entrants += _shielded(setting, entrants, trials, options, steps)
    counting = time.perf_counter()
    record = record_of(
        setting, entrants, trials, patients=options.cohort.count, seed=options.seed, shield=options.shield
    )
    timing["statistics_s"] = time.perf_counter() - counting
    if options.mismatch:
        record["mismatch"] = _mismatch(options, setting, pairs, entering, steps)
    if stresses:
        record["stress"] = [_stress(name, options, setting, entrants, steps) for name in stresses]
    record["settings"]["command"] = command
    timing["total_s"] = time.perf_counter() - begin
    record["timing"] = timing
    return record, trials


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


def _enter_all(
    setting: Setting, entering: Sequence[Candidate], options: BenchmarkOptions, steps: Steps
) -> list[tuple[Entrant, float, Program]]:
    """Build, tune and compile the policies, one on each core, because the compiler uses one."""

    def one(candidate: Candidate) -> tuple[Entrant, float, Program]:
        start = time.perf_counter()
        with steps.step(f"compiling {candidate.name}"):
            entrant = candidate.enter(setting, seed=options.seed)
            with guard_of(entrant):
                ready = prepare_trial(
                    setting.scenario,
                    setting.simulator,
                    entrant.policy,
                    sees_truth=entrant.sees_truth,
                    patients=options.cohort.count,
                )
        return entrant, time.perf_counter() - start, ready

    return on_threads(one, entering, device_shape().compilers)


def _run(
    setting: Setting, entrant: Entrant, options: BenchmarkOptions, steps: Steps, shield: Shield | None = None
) -> tuple[Trial, float]:
    """The trial and its duration without compilation."""
    clock: dict[str, float] = {}
    running = steps.step(f"running {entrant.name} on {options.cohort.count:,} patients")
    with running, guard_of(entrant):
        trial = run_trial(
            setting.scenario,
            setting.simulator,
            entrant.policy,
            options.cohort,
            shield=shield,
            sees_truth=entrant.sees_truth,
            clock=clock,
        )
    if entrant.own:
        check_amounts(entrant.name, trial.proposal[trial.alive], setting.scenario)
    if trial.failed.all():
        raise ConfigError(
            f"policy {entrant.name!r}: levels or rewards of all {trial.patients:,} patients are not finite: check "
            f"{'the reward' if np.isfinite(trial.values).all() else 'the drug model'} of {setting.task.where}"
        )
    check_label(setting.task, entrant.policy, trial)
    return trial, clock["run_s"]


def _shielded(
    setting: Setting, entrants: Sequence[Entrant], trials: dict[str, Trial], options: BenchmarkOptions, steps: Steps
) -> list[Entrant]:
    """Run every policy behind the safety shield and add the trials to the others."""
    shield = shield_of(setting.scenario, setting.controller)
    found = []
    for entrant in entrants:
        behind = dataclasses.replace(
            entrant, name=f"{entrant.name}+shield", title=f"{entrant.title}, behind the shield"
        )
        trials[behind.name], _ = _run(setting, behind, options, steps, shield)
        found.append(behind)
        steps.note(f"{behind.name}: {options.cohort.count:,} patients")
    return found


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


def _mismatch(
    options: BenchmarkOptions,
    setting: Setting,
    pairs: Sequence[tuple[str, str]],
    entering: Sequence[Candidate],
    steps: Steps,
) -> dict[str, Any]:
    """Attainment of every policy with its interval, for every simulator and controller."""
    cells = []
    for simulator, controller in pairs:
        other = setting_for(setting.task, simulator, controller, accept_changed=options.accept_changed)
        entrants = [entrant for entrant, *_ in _enter_all(other, entering, options, steps)]
        trials = {e.name: _run(other, e, options, steps)[0] for e in entrants}
        shares = np.stack([endpoints(other.scenario, trials[e.name])["attainment_pct"] for e in entrants], axis=1)
        rng = generator(options.seed, Stream.EVALUATE, 2)
        for entrant, interval in zip(entrants, bootstrap(shares, rng), strict=True):
            cells.append(
                {
                    "simulator": simulator,
                    "controller": controller,
                    "policy": entrant.name,
                    "attainment_pct": interval.record(),
                }
            )
        steps.note(f"mismatch: patients of {simulator}, controller assumes {controller}")
    scenario = setting.scenario
    return {"models": list(scenario.models), "test_only": list(scenario.test_only), "cells": cells}


def _stress(
    name: str, options: BenchmarkOptions, setting: Setting, entrants: Sequence[Entrant], steps: Steps
) -> dict[str, Any]:
    """Run every policy as built and tuned under a stress setting that it was not designed for."""
    scenario = stressed(setting.scenario, name)
    task = dataclasses.replace(setting.task, value=scenario)
    other = Setting(task, setting.controller, simulator_of(scenario, setting.simulator.name))
    own = [e for e in entrants if not e.name.endswith("+shield")]
    with steps.step(f"stress {name}"):
        quietly = Steps(quiet, len(own))
        trials = {
            e.name: _run(other, dataclasses.replace(e, policy=_told(e.policy, scenario)), options, quietly)[0]
            for e in own
        }
    ends = {n: endpoints(scenario, t) for n, t in trials.items()}
    shares = np.stack([ends[e.name]["attainment_pct"] for e in own], axis=1)
    rng = generator(options.seed, Stream.EVALUATE, 3)
    rows = [
        {"policy": e.name, **summary(scenario, trials[e.name], ends[e.name], interval)}
        for e, interval in zip(own, bootstrap(shares, rng), strict=True)
    ]
    steps.note(f"stress {name}: {len(own)} policies")
    return {"name": name, "title": STRESSES[name].title, "policies": rows}


def _told[T](policy: T, scenario: Scenario) -> T:
    """The policy with the stressed scenario, whose turnaround times a clinic knows; its parameters are unchanged."""
    changes: dict[str, Any] = {}
    for f in dataclasses.fields(policy):  # type: ignore[arg-type]
        value = getattr(policy, f.name)
        if isinstance(value, Scenario):
            changes[f.name] = scenario
        elif isinstance(value, Observer):
            changes[f.name] = dataclasses.replace(value, scenario=scenario)
    return dataclasses.replace(policy, **changes) if changes else policy  # type: ignore[type-var]
