"""Compare training runs: curves, final results, the paired trial of their policies, and what differed."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rl_drug_dosage.errors import ConfigError, RlDrugDosageError
from rl_drug_dosage.registry import SCENARIO, Found
from rl_drug_dosage.training.compare.differences import differences
from rl_drug_dosage.training.compare.runs import METRICS, TrainedRun, read_runs
from rl_drug_dosage.training.compare.statistics import curve_record, final_record
from rl_drug_dosage.trials.benchmark import Benchmark, BenchmarkOptions, benchmark
from rl_drug_dosage.trials.setting import by_name, task_of
from rl_drug_dosage.utils.arguments import checked
from rl_drug_dosage.utils.csv_text import csv_text
from rl_drug_dosage.utils.files import prepare_folder
from rl_drug_dosage.utils.lock import locked
from rl_drug_dosage.utils.progress import Progress, quiet
from rl_drug_dosage.utils.publish import publish
from rl_drug_dosage.utils.result import Result, figure_of_size
from rl_drug_dosage.utils.seeding import check_seed

__all__ = ["CompareOptions", "Comparison", "compare"]

_MOST_RUNS, _MOST_PATIENTS = 64, 1_000_000
_FORMAT = 1
FILES = ("comparison.html", "comparison.json", "comparison.csv")


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """What to compare.

    Args:
        runs: run folders, at least two.
        scenario: the dosing task, where the runs trained on a scenario file of the user's.
        patients: of the paired trial; 0: no trial.
        seed: selects the trial's cohort and the bootstrap samples.
        accept_changed: try models although the scenario's file has changed since.
        output_dir: folder for the files; None: nothing is written.

    Raises:
        ConfigError: a value that is not allowed.
    """

    runs: Sequence[str | Path]
    scenario: object = None
    patients: int = 1000
    seed: int = 1
    accept_changed: bool = False
    output_dir: Path | None = None

    def __post_init__(self) -> None:
        if not 2 <= len(self.runs) <= _MOST_RUNS:
            raise ConfigError(f"compare takes 2 to {_MOST_RUNS} run folders, not {len(self.runs)}: runs/a runs/b")
        if not 0 <= self.patients <= _MOST_PATIENTS:
            raise ConfigError(f"--patients must be from 0 (no trial) to {_MOST_PATIENTS:,}, not {self.patients}")
        check_seed(self.seed)


@dataclass(frozen=True, repr=False)
class Comparison(Result):
    """Runs side by side.

    Args:
        record: content of ``comparison.json``.
        runs: those that are compared, in the order of their names in it.
        refused: folders that cannot be compared, and why.
        trial: the paired trial; None where there is none, and ``record["no_trial"]`` says why.
        files: files written; empty unless ``output_dir`` was given.
    """

    record: dict[str, Any]
    runs: tuple[TrainedRun, ...]
    refused: tuple[tuple[str, str], ...]
    trial: Benchmark | None = None
    files: tuple[Path, ...] = ()

    @property
    def title(self) -> str:
        return f"{len(self.runs)} training runs compared"

    def columns(self) -> dict[str, np.ndarray]:
        """A row a run: the columns of ``comparison.csv``."""
        rows = _rows(self.record)
        return {name: np.asarray([row[name] for row in rows]) for name in rows[0]}

    def plot(self) -> Any:
        """Median return in evaluation over the environment steps, with the quartiles of the seeds."""
        figure = figure_of_size(7.5, 4.2)
        axes = figure.subplots()
        for run in self.record["runs"]:
            for metric in METRICS:
                if metric in run["curves"] and metric != "eval/in_range_pct":
                    curve = run["curves"][metric]
                    (line,) = axes.plot(curve["step"], curve["median"], label=run["name"].replace("$", r"\$"))
                    if run["seeds"] > 1:
                        axes.fill_between(curve["step"], curve["q25"], curve["q75"], color=line.get_color(), alpha=0.2)
                    break
        axes.set_xlabel("environment steps")
        axes.set_ylabel("return of an episode")
        axes.set_title(self.title, fontsize=10)
        axes.legend(fontsize=8)
        return figure

    @checked
    def save(self, folder: str | Path) -> tuple[Path, ...]:
        """Write ``comparison.html``, ``comparison.json`` and ``comparison.csv``; they appear together.

        Raises:
            OutputError: a file cannot be written.
        """
        from rl_drug_dosage.training.compare.page import comparison_html

        rows = _rows(self.record)
        contents = (
            comparison_html(self.record),
            json.dumps(self.record, indent=1, allow_nan=False),
            csv_text(list(rows[0]), (list(row.values()) for row in rows)),
        )
        return publish(Path(folder), {name: text.encode() for name, text in zip(FILES, contents, strict=True)})


def compare(options: CompareOptions, *, command: str = "", progress: Progress = quiet) -> Comparison:
    """Compare runs; those whose files are broken are left out and named.

    Args:
        options: what to compare.
        command: the command line quoted in the page.
        progress: reports what is being done.

    Raises:
        ConfigError: fewer than two runs can be compared.
        RlDrugDosageError: the trial cannot be run, or a file not written.
    """
    progress("reading the runs", 0.0)
    runs, refused = read_runs(options.runs)
    for path, reason in refused:
        progress(f"left out: {path}: {reason}", None)
    if len(runs) < 2:
        raise ConfigError(
            f"{len(runs)} of {len(options.runs)} folders can be compared, but two are needed: "
            + "; ".join(f"{path}: {reason}" for path, reason in refused)
        )
    folder = options.output_dir
    if folder is None:
        return _compared(options, runs, refused, command, progress)
    prepare_folder(folder, FILES)
    with locked(folder, "output folder", keep=False):
        found = _compared(options, runs, refused, command, progress)
        return dataclasses.replace(found, files=found.save(folder))


def _compared(
    options: CompareOptions,
    runs: Sequence[TrainedRun],
    refused: Sequence[tuple[str, str]],
    command: str,
    progress: Progress,
) -> Comparison:
    rows = []
    for i, run in enumerate(runs):
        progress(f"resampling the seeds of {run.name}", 0.3 * i / len(runs))
        rows.append(_run_record(run, options.seed))
    task, why = _task(options, runs)
    trial = None if task is None else _trial(options, task, runs, progress)
    record = {
        "format": _FORMAT,
        "command": command,
        "intended_use": "research and education only; not for treating patients",
        "seed": options.seed,
        "runs": rows,
        "refused": [{"path": path, "reason": reason} for path, reason in refused],
        "differences": differences(runs),
        "trial": None if trial is None else trial.record,
        "no_trial": why,
        "trial_without": [{"name": r.name, "reason": r.without_model} for r in runs if r.without_model],
    }
    return Comparison(record, tuple(runs), tuple(refused), trial)


def _run_record(run: TrainedRun, seed: int) -> dict[str, Any]:
    config = run.record.config
    return {
        "name": run.name,
        "path": str(run.path),
        "env_id": run.env_id,
        "env_kwargs": config.env_kwargs,
        "seeds": config.seeds,
        "first_seed": config.seed,
        "step": run.step,
        "total": run.total,
        "complete": run.complete,
        "state": run.state,
        "seconds": run.seconds,
        "eval_episodes": config.eval_episodes,
        "final": {m: final_record(curve, run.step, seed) for m, curve in run.curves.items()},
        "curves": {m: curve_record(curve, seed) for m, curve in run.curves.items()},
    }


def _task(options: CompareOptions, runs: Sequence[TrainedRun]) -> tuple[Found[Any] | None, str]:
    """The dosing scenario that all runs trained on, or why there is no trial."""
    trained = list(dict.fromkeys(run.env_id for run in runs))
    sources = {run.record.scenario.get("sha256", "") for run in runs}
    why = ""
    if not options.patients:
        why = "no patients were asked for (--patients 0)"
    elif len(trained) > 1:
        why = f"the runs trained on different tasks ({', '.join(trained)}), on which no patient is the same"
    elif len(sources) > 1:
        why = "the runs trained on different versions of a scenario's file"
    elif sum(not run.without_model for run in runs) < 2:
        why = "fewer than two runs have a model"
    elif options.scenario is None and any(sources):
        file = Path(str(runs[0].record.scenario.get("file"))).name
        why = f"the runs trained on a scenario file of yours: give it again to try them (--scenario {file})"
    if why:
        return None, why
    found = by_name(SCENARIO, trained[0]) if options.scenario is None else task_of(options.scenario)
    return found, "" if found else f"{trained[0]} is no dosing scenario, which a trial of virtual patients needs"


def _trial(options: CompareOptions, task: Found[Any], runs: Sequence[TrainedRun], progress: Progress) -> Benchmark:
    policies = {run.name: run.path for run in runs if not run.without_model}
    asked = BenchmarkOptions(
        scenario=task,
        policies=policies,
        patients=options.patients,
        seed=options.seed,
        accept_changed=options.accept_changed,
    )
    decisions = {run.record.config.env_options().get("decisions", 0) for run in runs}
    if len(decisions) == 1:
        asked = dataclasses.replace(asked, decisions=int(decisions.pop() or 0))
    try:
        return benchmark(asked, progress=lambda text, done: progress(text, None if done is None else 0.3 + 0.7 * done))
    except RlDrugDosageError as error:
        error.args = (f"{error}; or leave the trial out (--patients 0)",)
        raise


def _rows(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row a run."""
    trial = {row["policy"]: row for row in (record["trial"] or {"policies": []})["policies"]}
    found = []
    for run in record["runs"]:
        row = {n: run[n] for n in ("name", "path", "env_id", "seeds", "step", "total", "complete", "seconds")}
        for metric in METRICS:
            final = run["final"].get(metric, {})
            short = metric.replace("/", "_")
            row |= {f"{short}_{n}": final.get(n) for n in ("median", "iqm", "iqm_low", "iqm_high", "lowest", "highest")}
        share = trial.get(run["name"], {}).get("attainment_pct", {})
        found.append(row | {f"trial_in_target_pct_{n}": share.get(n) for n in ("mean", "low", "high")})
    return found
