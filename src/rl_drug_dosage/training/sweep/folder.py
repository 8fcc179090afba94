"""``runs/{sweep}/``: what defines a sweep, its trials, and what is made of them.

Each trial is a run folder of training. ``trials.json`` is both the journal and the table: it is replaced when a trial
is done, so that a trial is either in it or is run again.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np

from rl_drug_dosage.errors import CheckpointError, ConfigError
from rl_drug_dosage.training.sweep.space import shown
from rl_drug_dosage.utils.csv_text import csv_text
from rl_drug_dosage.utils.files import atomic_write, remove_leftovers
from rl_drug_dosage.utils.lock import LOCK_FILE

__all__ = ["SweepFolder", "TrialRecord", "best_of", "table_of"]

_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One trial.

    Args:
        trial: its number, from 1.
        params: the values that it had.
        objective: median over seeds of what the last evaluation says; None: the trial failed.
        returns: mean return of each seed's last evaluation.
        in_range_pct: mean time in range of each seed's last evaluation; None where there is no window.
        seconds: how long it took, compilation included.
        compile_s: of them, compilation, or reading what was compiled before.
        reason: why it failed; empty where it did not.
    """

    trial: int
    params: Mapping[str, Any]
    objective: float | None = None
    returns: Sequence[float | None] = ()
    in_range_pct: Sequence[float | None] = ()
    seconds: float = 0.0
    compile_s: float = 0.0
    reason: str = ""

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """The inverse of ``asdict``."""
        return cls(**{f.name: record[f.name] for f in fields(cls)})


def best_of(records: Sequence[TrialRecord]) -> TrialRecord | None:
    """The trial with the highest objective, the first of equals; None: none is complete."""
    complete = [r for r in records if r.objective is not None]
    return max(complete, key=lambda r: (r.objective, -r.trial), default=None)


def table_of(records: Sequence[TrialRecord]) -> dict[str, list[Any]]:
    """A row a trial: number, objective, parameters, and the spread over seeds."""

    def ends(values: Sequence[float | None], end: Any) -> float | None:
        known = [v for v in values if v is not None]
        return float(end(known)) if known else None

    found: dict[str, list[Any]] = {"trial": [r.trial for r in records], "objective": [r.objective for r in records]}
    found |= {name: [r.params[name] for r in records] for name in (records[0].params if records else ())}
    for title, attribute in (("return", "returns"), ("in_range_pct", "in_range_pct")):
        for end, statistic in (("median", np.median), ("lowest", min), ("highest", max)):
            found[f"{title}_{end}"] = [ends(getattr(r, attribute), statistic) for r in records]
    return found | {"seconds": [r.seconds for r in records], "reason": [r.reason for r in records]}


@dataclass(frozen=True)
class SweepFolder:
    """The files of a sweep."""

    path: Path

    @property
    def definition(self) -> Path:
        """What the sweep is, as JSON."""
        return self.path / "sweep.json"

    @property
    def trials(self) -> Path:
        """Every trial that is done, as JSON."""
        return self.path / "trials.json"

    @property
    def table(self) -> Path:
        """The same as CSV."""
        return self.path / "trials.csv"

    @property
    def best(self) -> Path:
        """The settings of the best trial, for ``train --config``."""
        return self.path / "best.toml"

    @property
    def picture(self) -> Path:
        """Every parameter against the objective."""
        return self.path / "sweep.png"

    @staticmethod
    def run_name(number: int) -> str:
        """The name of a trial's run folder."""
        return f"trial-{number:03d}"

    def run(self, number: int) -> Path:
        """The run folder of a trial."""
        return self.path / self.run_name(number)

    def refuse_others(self) -> None:
        """Refuse a folder that holds something and is no sweep's, before anything is written there.

        Raises:
            ConfigError: there is one.
        """
        if not self.path.is_dir() or self.definition.exists():
            return
        if others := sorted({p.name for p in self.path.iterdir()} - {LOCK_FILE}):
            raise ConfigError(f"{self.path} is no sweep's folder, it holds {others[0]!r}: choose another --name")

    def begin(self, definition: Mapping[str, Any]) -> list[TrialRecord]:
        """Start a sweep, or go on with the one that lies here; the trials that are done.

        Raises:
            ConfigError: another sweep lies here.
            CheckpointError: its files are damaged.
            OutputError: it cannot be written.
        """
        wanted = json.loads(json.dumps({"format": _FORMAT, **definition}))
        if not self.definition.exists():
            atomic_write(self.definition, json.dumps(wanted, indent=1).encode())
            return []
        there = _read(self.definition, dict)
        if there != wanted:
            raise ConfigError(
                f"{self.path} holds another sweep ({_difference(there, wanted)}): choose another --name, or give "
                "everything as when it was started"
            )
        return self.records()

    def records(self) -> list[TrialRecord]:
        """The trials that are done.

        Raises:
            CheckpointError: the file is damaged.
        """
        if not self.trials.exists():
            return []
        rows = _read(self.trials, list)
        try:
            found = [TrialRecord.of(row) for row in rows]
        except (KeyError, TypeError) as error:
            raise CheckpointError(
                f"{self.trials} is not a list of trials ({error!r}): restore it from a copy"
            ) from None
        if [r.trial for r in found] != list(range(1, len(found) + 1)):
            raise CheckpointError(f"{self.trials} does not have its trials in order: restore it from a copy")
        return found

    def clear(self, number: int) -> None:
        """Remove what a killed sweep left of a trial: its run folder, with a name or without, and unfinished files."""
        remove_leftovers(self.path)
        for path in (self.run(number), *self.path.glob(".*.tmp")):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)

    def write(self, records: Sequence[TrialRecord], best: str) -> None:
        """Write the trials, as JSON and as CSV, and the settings of the best.

        Args:
            records: all of them.
            best: as TOML; empty: none is complete.

        Raises:
            OutputError: a file cannot be written.
        """
        columns = table_of(records)
        rows = ([_cell(v) for v in row] for row in zip(*columns.values(), strict=True))
        # The journal first: what follows is made of it, and is made again when the sweep goes on.
        atomic_write(self.trials, json.dumps([asdict(r) for r in records], indent=1, allow_nan=False).encode())
        atomic_write(self.table, csv_text(list(columns), rows).encode())
        if best:
            atomic_write(self.best, best.encode())

    def remove(self) -> None:
        """Take away a sweep without any trial."""
        self.definition.unlink(missing_ok=True)


def _cell(value: Any) -> Any:
    return "" if value is None else shown(value) if isinstance(value, bool) else value


def _read(path: Path, kind: type) -> Any:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"cannot read {path} ({type(error).__name__}): restore it from a copy") from None
    if not isinstance(found, kind):
        raise CheckpointError(f"{path} is not a file of a sweep: restore it from a copy")
    return found


def _difference(there: Mapping[str, Any], wanted: Mapping[str, Any], at: str = "") -> str:
    """The first difference in words: ``learning_rate 0.0003 there, 0.001 here``."""
    for name in dict.fromkeys([*there, *wanted]):
        before, now = there.get(name), wanted.get(name)
        if before == now:
            continue
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            return _difference(before, now, f"{at}{name}.")
        first, second = (json.dumps(v) if v is not None else "nothing" for v in (before, now))
        return f"{at}{name}: {first[:160]} there, {second[:160]} here"
    return "it differs"
