"""Run folders as they are read for a comparison: configuration, curves of each seed, and what is wrong with them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from rl_drug_dosage.errors import ConfigError, RlDrugDosageError
from rl_drug_dosage.ppo.model_file import load_model
from rl_drug_dosage.training.compare.events import EventsError, read_scalars
from rl_drug_dosage.training.plan import make_plan
from rl_drug_dosage.training.run_folder import RunFolder, RunRecord

__all__ = ["METRICS", "Curve", "TrainedRun", "read_runs"]

METRICS: Mapping[str, str] = {
    "eval/mean_reward": "return in evaluation",
    "eval/in_range_pct": "time in range in evaluation (%)",
    "charts/episodic_return": "return in training",
}
"""What is compared, and what people call it."""


class _BrokenError(Exception):
    """What is wrong with a run folder, in words."""


@dataclass(frozen=True)
class Curve:
    """A metric over training.

    Args:
        steps: environment steps, ascending.
        values: of each seed; every one is known.
    """

    steps: Float[np.ndarray, " time"]
    values: Float[np.ndarray, "time seed"]


@dataclass(frozen=True)
class TrainedRun:
    """A run that can be compared.

    Args:
        name: in tables, different for each run.
        path: its folder.
        record: its configuration.
        curves: metrics by name; those that it has not logged are not there.
        step, total: environment steps per seed that are done, and that are planned.
        seconds: of training, resumptions included.
        without_model: why its model cannot be used; empty where it can.
    """

    name: str
    path: Path
    record: RunRecord
    curves: Mapping[str, Curve]
    step: int
    total: int
    seconds: float
    without_model: str = ""

    @property
    def complete(self) -> bool:
        """Whether it reached its end."""
        return self.step >= self.total

    @property
    def state(self) -> str:
        """``complete``, or where it stopped."""
        return "complete" if self.complete else f"stopped at {self.step:,} of {self.total:,} steps"

    @property
    def env_id(self) -> str:
        """What it trains on."""
        return self.record.config.env_id


def read_runs(paths: Sequence[str | Path]) -> tuple[list[TrainedRun], list[tuple[str, str]]]:
    """The runs that can be compared, and the others with the reason.

    Raises:
        ConfigError: a folder is named twice.
    """
    seen: set[Path] = set()
    for path in map(Path, paths):
        if path.resolve() in seen:
            raise ConfigError(f"{path} is named twice: name each run once")
        seen.add(path.resolve())
    short = [Path(p).resolve().name for p in paths]
    found, refused = [], []
    for given, name in zip(paths, short, strict=True):
        try:
            found.append(_read(Path(given), name if short.count(name) == 1 else str(given)))
        except _BrokenError as error:
            refused.append((str(given), str(error)))
    return found, refused


def _read(path: Path, name: str) -> TrainedRun:
    if not path.is_dir():
        raise _BrokenError("it is a file, not a run folder" if path.exists() else "there is no such folder")
    folder = RunFolder(path)
    if (path / "sweep.json").exists():
        raise _BrokenError(f"it is a sweep: name its trials, {path}/trial-*")
    if not folder.config.exists():
        raise _BrokenError("it is no run folder: it has no config.toml")
    try:
        record = folder.read_record()
        plan = make_plan(record.config)
    except RlDrugDosageError as error:
        why = str(error).removeprefix(f"{folder.config}: ").partition(": give --resume")[0]
        raise _BrokenError(f"its config.toml cannot be used ({why})") from None
    rows = _rows(folder.metrics)
    if not rows:
        raise _BrokenError("it has not finished an update")
    seeds = [record.config.seed + i for i in range(record.config.seeds)]
    own = [_scalars(folder.of_seed(s).path) for s in seeds] if len(seeds) > 1 else [_by_metric(rows)]
    step = int(rows[-1]["step"])
    curves = {metric: curve for metric in METRICS if (curve := _curve(metric, own, step)) is not None}
    try:
        load_model(folder.model)
        without = ""
    except RlDrugDosageError as error:
        if len(seeds) > 1 and not record.config.eval_freq and not folder.model.exists():
            without = "its seeds were never evaluated (--eval-freq 0), so that none of them is the median"
        elif step >= plan.total_timesteps:
            raise _BrokenError(f"its model cannot be read ({error})") from None
        else:
            without = "it has no model yet"
    return TrainedRun(name, path, record, curves, step, plan.total_timesteps, float(rows[-1]["time_s"]), without)


def _rows(path: Path) -> list[dict[str, Any]]:
    """The lines of ``metrics.jsonl``; a last line without its end is what a killed run leaves, and is left out."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise _BrokenError(f"its metrics.jsonl cannot be read ({error.strerror or error})") from None
    found = []
    for number, line in enumerate(text[: text.rfind(b"\n") + 1].splitlines(), start=1):
        try:
            row = json.loads(line)
            known = {k: None if v is None else float(v) for k, v in row.items()}
            known["step"], known["time_s"] = float(row["step"]), float(row["time_s"])
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            raise _BrokenError(f"line {number} of its metrics.jsonl is damaged") from None
        found.append(known)
    return found


def _by_metric(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[int, float]]:
    return {m: {int(r["step"]): r[m] for r in rows if r.get(m) is not None} for m in METRICS}


def _scalars(folder: Path) -> dict[str, dict[int, float]]:
    if not folder.is_dir():
        raise _BrokenError(f"the curves of {folder.name} are missing")
    try:
        return read_scalars(folder)
    except (EventsError, OSError) as error:
        raise _BrokenError(f"the curves of {folder.name} are damaged ({error})") from None


def _curve(metric: str, own: Sequence[Mapping[str, Mapping[int, float]]], last: int) -> Curve | None:
    """A metric at the steps at which every seed has it, up to the last one of the run."""
    each = [seed.get(metric, {}) for seed in own]
    shared = sorted(step for step in set.intersection(*(set(s) for s in each)) if step <= last)
    values = np.asarray([[seed[step] for seed in each] for step in shared], float).reshape(len(shared), len(each))
    known = np.isfinite(values).all(1)
    return Curve(np.asarray(shared, float)[known], values[known]) if known.any() else None
