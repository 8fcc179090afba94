"""What a training run came to."""

import json
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rl_drug_dosage.errors import OutputError
from rl_drug_dosage.training.episodes import Summary
from rl_drug_dosage.training.run_folder import RunFolder
from rl_drug_dosage.utils.arguments import checked
from rl_drug_dosage.utils.files import prepare_folder
from rl_drug_dosage.utils.lock import LOCK_FILE
from rl_drug_dosage.utils.result import Result, figure_of_size

__all__ = ["RunResult"]


@dataclass(frozen=True, repr=False)
class RunResult(Result):
    """What a run came to.

    Args:
        folder: its files.
        summaries: the last evaluation of each seed, in order (empty if evaluation is off or the run was stopped).
        step: environment steps per seed.
        complete: it reached its end.
        interrupted_by: the signal that stopped it.
        again: arguments with which the task is named again when the run goes on; empty where none are needed.
        compile_s: seconds spent compiling, or reading compiled programs from the cache.
        train_s: seconds of training, after that.
        warnings: inputs that never varied in training, of which the policy has learnt nothing.
    """

    folder: RunFolder
    summaries: tuple[Summary, ...]
    step: int
    complete: bool
    interrupted_by: int | None
    compile_s: float
    train_s: float
    again: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        state = "complete" if self.complete else "stopped"
        return f"{self.folder.path.name}: {self.step:,} steps, {state}"

    @property
    def resume_command(self) -> str:
        """The command line that goes on with it."""
        return " ".join(["rl-drug-dosage train --resume", shlex.quote(str(self.folder.path)), self.again]).strip()

    @property
    def model(self) -> Path:
        """The trained policy; `load_policy`, `evaluate`, `benchmark` and `explain` take it."""
        return self.folder.model

    def columns(self) -> dict[str, np.ndarray]:
        """A row an update: the metrics of ``metrics.jsonl`` by name; what was not logged is not a number."""
        rows = [json.loads(line) for line in self.folder.metrics.read_text(encoding="utf-8").splitlines()]
        names = list(dict.fromkeys(name for row in rows for name in row))
        return {name: np.asarray([row.get(name, np.nan) for row in rows], float) for name in names}

    def plot(self) -> Any:
        """The return of training episodes, and of evaluations, over the environment steps."""
        columns = self.columns()
        figure = figure_of_size(7.0, 4.0)
        axes = figure.subplots()
        for name, label in (("charts/episodic_return", "training"), ("eval/mean_reward", "evaluation")):
            if name in columns:
                known = np.isfinite(columns[name])
                axes.plot(
                    columns["step"][known], columns[name][known], label=label, marker="." if known.sum() < 50 else ""
                )
        axes.set_xlabel("environment steps")
        axes.set_ylabel("return of an episode")
        axes.set_title(self.title, fontsize=10)
        if axes.lines:
            axes.legend()
        return figure

    @checked
    def save(self, folder: str | Path) -> tuple[Path, ...]:
        """Copy the run's files, which lie in ``folder.path`` already, to another folder that holds none of them.

        Raises:
            OutputError: it cannot be written, or a file of that name is there.
        """
        place = prepare_folder(Path(folder))
        copied = []
        for source in sorted(p for p in self.folder.path.rglob("*") if p.is_file() and p.name != LOCK_FILE):
            target = place / source.relative_to(self.folder.path)
            if target.exists():
                raise OutputError(f"{target} exists already and is never overwritten: choose another folder")
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
            except OSError as error:
                raise OutputError(f"cannot write {target}: {error.strerror or error}; choose another folder") from None
            copied.append(target)
        return tuple(copied)
