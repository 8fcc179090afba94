"""``runs/{run_name}/``: what lies in it, and how it comes to be."""

import json
import time
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from rl_drug_dosage.errors import CheckpointError, OutputError
from rl_drug_dosage.training.config import RunOptions, TrainConfig
from rl_drug_dosage.utils.files import atomic_write

__all__ = ["RunFolder", "default_run_name"]


def default_run_name(config: TrainConfig) -> str:
    """``{environment}__ppo_continuous__{seed}__{unix time}``, as CleanRL names its runs."""
    return (
        f"{config.env_id.replace('/', '-').replace(':', '-')}__ppo_continuous__{config.seed}__{time.time_ns() // 10**9}"
    )


@dataclass(frozen=True)
class RunFolder:
    """The files of one run."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved configuration (TOML)."""
        return self.path / "config.toml"

    @property
    def command(self) -> Path:
        """The command line that made the run."""
        return self.path / "command.txt"

    @property
    def checkpoint(self) -> Path:
        """The training state to resume from."""
        return self.path / "checkpoint.pt"

    @property
    def model(self) -> Path:
        """The trained agent."""
        return self.path / "agent.pt"

    @property
    def metrics(self) -> Path:
        """Every metric, a line per update."""
        return self.path / "metrics.jsonl"

    def of_seed(self, seed: int) -> "RunFolder":
        """Where one of several seeds keeps its own model and curves."""
        return RunFolder(self.path / f"seed-{seed}")

    @classmethod
    def create(
        cls, config: TrainConfig, options: RunOptions, command: str, scenario: Mapping[str, str] | None = None
    ) -> Self:
        """Make the folder of a new run.

        Args:
            config: what decides the result.
            options: where it is written.
            command: the command line that made the run.
            scenario: ``file`` and ``sha256`` of a scenario that is not built in, and how the user named it; for people
                to read, and to compare with what they give when the run goes on.

        Raises:
            OutputError: it exists already, or cannot be made.
        """
        path = Path(options.runs_dir) / (options.run_name or default_run_name(config))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir()
        except FileExistsError:
            raise OutputError(
                f"run folder {path} exists already and is never overwritten: "
                f"choose another --run-name, or go on with --resume {path}"
            ) from None
        except OSError as error:
            raise OutputError(
                f"cannot make run folder {path}: {error.strerror or error}; choose another --runs-dir"
            ) from None
        folder = cls(path)
        sections = {"train": config.to_record(), "run": asdict(options), **({"scenario": scenario} if scenario else {})}
        atomic_write(folder.config, _toml(sections).encode())
        atomic_write(folder.command, f"{command}\n".encode())
        return folder

    @classmethod
    def open(cls, path: Path) -> tuple[Self, TrainConfig, RunOptions, Mapping[str, Any]]:
        """An existing run, with the configuration that it was started with, and its scenario's record if it has one.

        Raises:
            CheckpointError: it is not the folder of a run.
        """
        folder = cls(path)
        try:
            record = tomllib.loads(folder.config.read_text(encoding="utf-8"))
            train, run, scenario = record["train"], record["run"], record.get("scenario", {})
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError) as error:
            raise CheckpointError(
                f"{path} is not a run folder with a readable config.toml ({type(error).__name__}): "
                "give --resume the folder that train printed"
            ) from None
        return folder, TrainConfig.from_record(train), RunOptions(**run), scenario


def _toml(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """Flat sections of strings, numbers and booleans; JSON's notation of those is TOML's too."""
    blocks = (
        "\n".join([f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in section.items())])
        for name, section in sections.items()
    )
    return "\n\n".join(blocks) + "\n"
