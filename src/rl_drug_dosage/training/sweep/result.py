"""What a sweep came to."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rl_drug_dosage.training.run_folder import RunRecord
from rl_drug_dosage.training.sweep.folder import SweepFolder, TrialRecord, best_of, table_of
from rl_drug_dosage.training.sweep.plots import draw
from rl_drug_dosage.training.sweep.space import Parameter
from rl_drug_dosage.utils.arguments import checked
from rl_drug_dosage.utils.files import atomic_write, prepare_folder
from rl_drug_dosage.utils.result import Result, png_bytes

__all__ = ["OBJECTIVES", "SweepResult", "best_toml"]

OBJECTIVES: Mapping[str, str] = {
    "return": "mean return of the evaluation patients",
    "time-in-range": "time in range of the evaluation patients (%)",
}
"""What may be maximised; of several seeds the median counts."""


@dataclass(frozen=True, repr=False)
class SweepResult(Result):
    """What a sweep came to.

    Args:
        folder: its files.
        space: what varied.
        objective: of `OBJECTIVES`.
        records: every trial that is done, in order.
        wanted: how many were asked for.
        exhausted: every combination has been tried.
        interrupted_by: the signal that stopped it; None: it reached its end.
        again: arguments that name a task of the user's; empty where the files are enough.
    """

    folder: SweepFolder
    space: tuple[Parameter, ...]
    objective: str
    records: tuple[TrialRecord, ...]
    wanted: int
    exhausted: bool = False
    interrupted_by: int | None = None
    again: str = ""

    @property
    def train_command(self) -> str:
        """The command line that trains with the best settings."""
        words = ["rl-drug-dosage train --config", shlex.quote(str(self.folder.best)), self.again]
        return " ".join(words).strip()

    @property
    def title(self) -> str:
        return f"{self.folder.path.name}: {len(self.records)} trials, {len(self.failed)} of them failed"

    @property
    def best(self) -> TrialRecord | None:
        """The trial with the highest objective; None: none is complete."""
        return best_of(self.records)

    @property
    def failed(self) -> tuple[TrialRecord, ...]:
        """Trials without a result."""
        return tuple(r for r in self.records if r.objective is None)

    @property
    def ranked(self) -> tuple[TrialRecord, ...]:
        """Trials with a result, best first."""
        complete = (r for r in self.records if r.objective is not None)
        return tuple(sorted(complete, key=lambda r: (-(r.objective or 0.0), r.trial)))

    def columns(self) -> dict[str, np.ndarray]:
        """A row a trial: the columns of ``trials.csv``."""
        return {name: np.asarray(values, _kind(values)) for name, values in table_of(self.records).items()}

    def plot(self) -> Any:
        """Every parameter against the objective."""
        return draw(self.space, self.records, OBJECTIVES[self.objective], self.folder.path.name)

    @checked
    def save(self, folder: str | Path) -> tuple[Path, ...]:
        """Write table, settings of the best trial and picture, which lie in ``folder.path`` already, elsewhere too.

        Raises:
            OutputError: it cannot be written.
        """
        there = SweepFolder(prepare_folder(Path(folder)))
        best = self.folder.best.read_text(encoding="utf-8") if self.folder.best.exists() else ""
        there.write(self.records, best)
        atomic_write(there.picture, png_bytes(self.plot()))
        return (there.trials, there.table, *([there.best] if best else []), there.picture)


def _kind(values: Sequence[Any]) -> Any:
    numbers = all(v is None or (isinstance(v, int | float) and not isinstance(v, bool)) for v in values)
    return float if numbers and any(v is None or isinstance(v, float) for v in values) else None


def best_toml(record: RunRecord, best: TrialRecord, folder: SweepFolder, objective: str) -> str:
    """The settings of a trial as a file for ``train --config``.

    Args:
        record: of the trial's run.
        best: the trial.
        folder: of the sweep.
        objective: of `OBJECTIVES`.
    """
    import tomlkit

    # Where a trial was written is not what another run wants.
    sections = {name: part for name, part in record.sections().items() if name != "run"}
    sections["sweep"] = {
        "folder": folder.path.name, "trial": best.trial, "objective": objective, "value": best.objective,
        "varied": dict(best.params),
    }  # fmt: skip
    return tomlkit.dumps(sections)
