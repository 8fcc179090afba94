"""``runs/{run_name}/``: what lies in it, and how it comes to be."""

import contextlib
import errno
import secrets
import shutil
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from rl_drug_dosage.errors import CheckpointError, OutputError, RlDrugDosageError
from rl_drug_dosage.training.config import RunOptions, TrainConfig
from rl_drug_dosage.utils.files import atomic_write, flush_folder
from rl_drug_dosage.utils.lock import locked

__all__ = ["RunFolder", "RunRecord", "default_run_name"]

_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}


def default_run_name(config: TrainConfig, kind: str = "ppo_continuous") -> str:
    """``{environment}__{kind}__{seed}__{unix time}``, as CleanRL names its runs."""
    task = config.env_id.replace("/", "-").replace(":", "-")
    return f"{task}__{kind}__{config.seed}__{time.time_ns() // 10**9}"


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What ``config.toml`` says of a run.

    Args:
        config: what decides the result.
        options: where it is written.
        scenario: ``file`` and ``sha256`` of a scenario that is not built in, and how the user named it; for people to
            read, and to compare with what they give when the run goes on.
        initial: ``file`` and ``sha256`` of the model that it started from; empty for newly drawn weights.
        drugs: names and SHA-256 of drug models from the user's files.
        extended: each time that it was given more steps: ``at_step``, ``before``, ``total_timesteps``.
    """

    config: TrainConfig
    options: RunOptions
    scenario: Mapping[str, Any]
    initial: Mapping[str, Any]
    extended: Sequence[Mapping[str, int]]
    drugs: Mapping[str, str] = field(default_factory=dict)

    def history(self) -> dict[str, Any]:
        """What a model file says of how its training came about; nothing of a plain run."""
        found: dict[str, Any] = {"initial": dict(self.initial), "extended": [dict(e) for e in self.extended]}
        return {name: value for name, value in found.items() if value}

    def sections(self) -> dict[str, Any]:
        """The parts of ``config.toml``."""
        found: dict[str, Any] = {"train": self.config.to_record(), "run": asdict(self.options)}
        found |= {"scenario": dict(self.scenario)} if self.scenario else {}
        found |= {"drugs": dict(self.drugs)} if self.drugs else {}
        return found | self.history()

    def text(self) -> str:
        """As TOML."""
        import tomlkit

        return tomlkit.dumps(self.sections())


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

    @staticmethod
    def refuse_taken(options: RunOptions) -> None:
        """Refuse a name that is taken, before the work begins.

        Raises:
            OutputError: something is there, other than an empty folder.
        """
        path = Path(options.runs_dir) / options.run_name
        if options.run_name and path.exists() and not (path.is_dir() and not any(path.iterdir())):
            raise _taken(path)

    @classmethod
    def create(cls, record: RunRecord, command: str, write: Callable[[Self], None]) -> Self:
        """Make the folder of a new run. It appears with all of its first files, or not at all.

        Args:
            record: of the run.
            command: the command line that made it.
            write: writes what else has to be there from the start.

        Raises:
            OutputError: it exists already, or cannot be made.
        """
        options = record.options
        parent, name = Path(options.runs_dir), options.run_name or default_run_name(record.config)
        staged = cls(parent / f".{secrets.token_hex(8)}.tmp")
        try:
            parent.mkdir(parents=True, exist_ok=True)
            staged.path.mkdir()
        except (OSError, ValueError) as error:  # ValueError: a path with a NUL character
            reason = getattr(error, "strerror", None) or error
            raise OutputError(f"cannot make run folder {parent / name}: {reason}; choose another --runs-dir") from None
        try:
            atomic_write(staged.config, record.text().encode())
            # A shell may pass bytes that are no text: Python keeps them as lone surrogates.
            atomic_write(staged.command, f"{command}\n".encode(errors="surrogateescape"))
            write(staged)
            return cls(_put(staged.path, parent / name, numbered=not options.run_name))
        except BaseException:  # Ctrl-C must not leave it either
            shutil.rmtree(staged.path, ignore_errors=True)
            raise

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes out.

        Raises:
            OutputError: one is at work here.
        """
        with locked(self.path, "run folder"):
            yield

    def remove(self) -> None:
        """Take a run away that never learnt anything."""
        shutil.rmtree(self.path, ignore_errors=True)

    def write_record(self, record: RunRecord) -> None:
        """Replace ``config.toml``.

        Raises:
            OutputError: it cannot be written.
        """
        atomic_write(self.config, record.text().encode())

    def read_record(self) -> RunRecord:
        """What ``config.toml`` says.

        Raises:
            CheckpointError: it is not the folder of a run.
        """
        try:
            record = tomllib.loads(self.config.read_text(encoding="utf-8"))
            return RunRecord(
                config=TrainConfig.from_record(record["train"]),
                options=RunOptions(**record["run"]),
                scenario=dict(record.get("scenario", {})),
                initial=dict(record.get("initial", {})),
                drugs={str(n): str(d) for n, d in record.get("drugs", {}).items()},
                extended=tuple({n: int(e[n]) for n in _EXTENSION} for e in record.get("extended", [])),
            )
        except (OSError, LookupError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{self.path} is not a run folder with a readable config.toml ({type(error).__name__}): "
                "give --resume the folder that train printed"
            ) from None
        except RlDrugDosageError as error:
            raise CheckpointError(f"{self.config}: {error}") from None


_EXTENSION = ("at_step", "before", "total_timesteps")


def _put(staged: Path, path: Path, *, numbered: bool) -> Path:
    """Give a finished folder its name; with ``numbered`` the first of ``name``, ``name-2``, ... that is free."""
    number, target = 1, path
    while True:
        try:
            staged.rename(target)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise OutputError(
                    f"cannot make run folder {target}: {error.strerror or error}; choose another --runs-dir"
                ) from None
            if not numbered:
                raise _taken(path) from None
            number += 1
            target = path.with_name(f"{path.name}-{number}")
        else:
            flush_folder(target.parent)
            return target


def _taken(path: Path) -> OutputError:
    return OutputError(
        f"run folder {path} exists already and is never overwritten: "
        f"choose another --run-name, or resume it with --resume {path}"
    )
