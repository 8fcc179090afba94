"""What the sections of ``bench.py`` share: a line of the table, and a folder in which the command line is run."""

import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

__all__ = ["Bench", "Child", "Row", "configure", "entries", "median", "seconds"]

MIB = 2**20


@dataclass(frozen=True)
class Row:
    """One line of the table; ``passed`` is ``None`` where a figure has no bar, or could not be measured."""

    what: str
    measured: str
    bar: str
    passed: bool | None
    how: str
    values: tuple[float, ...] = ()


@dataclass(frozen=True)
class Child:
    """What a process came to; CPU seconds count all its threads, and hardly change when others use the machine."""

    out: str
    err: str
    wall_s: float
    cpu_s: float
    peak_mib: float


class Bench:
    """The folder that a benchmark works in, and how it runs the command line there."""

    def __init__(self, folder: Path, repeats: int) -> None:
        self.folder = folder
        self.repeats = repeats
        self._runs = 0

    def cache(self) -> Path:
        """A compilation cache that holds nothing."""
        return Path(tempfile.mkdtemp(prefix="cache-", dir=self.folder))

    def run(self, argv: Sequence[str], cache: Path) -> Child:
        """Run a process to its end, and account for it alone (``wait4``).

        Raises:
            RuntimeError: it failed.
        """
        env = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
        env["XDG_CACHE_HOME"] = str(cache)
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            start = time.perf_counter()
            child = subprocess.Popen(argv, cwd=self.folder, env=env, stdout=out, stderr=err, stdin=subprocess.DEVNULL)
            _, status, usage = os.wait4(child.pid, 0)
            wall_s = time.perf_counter() - start
            child.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            err.seek(0)
            result = Child(out.read(), err.read(), wall_s, usage.ru_utime + usage.ru_stime, _mib(usage.ru_maxrss))
        if child.returncode:
            last = (result.err.strip().splitlines() or ["no message"])[-1]
            raise RuntimeError(f"{' '.join(argv[:3])} ended with {child.returncode}: {last}")
        return result

    def cli(self, *arguments: str, cache: Path, before: Sequence[str] = ()) -> Child:
        """Run ``rl-drug-dosage`` as a shell would, ``before`` it what the shell has before it (``taskset``)."""
        return self.run([*before, str(Path(sysconfig.get_path("scripts")) / "rl-drug-dosage"), *arguments], cache)

    def train(self, *arguments: str, cache: Path) -> tuple[Child, Path]:
        """``rl-drug-dosage train`` into a new run folder."""
        self._runs += 1
        name = f"run-{self._runs}"
        return self.cli("train", *arguments, "--run-name", name, cache=cache), self.folder / "runs" / name

    @cached_property
    def warm(self) -> Path:
        """A cache that ``evaluate`` and the default training leave warm."""
        return self.cache()

    @cached_property
    def model(self) -> Path:
        """A trained model."""
        return self.train("--preset", "fast", cache=self.warm)[1] / "agent.pt"


def configure(bench: Bench) -> None:
    """Set up JAX in this process, with the cache that is kept warm."""
    from rl_drug_dosage.utils.runtime import configure

    os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
    os.environ["XDG_CACHE_HOME"] = str(bench.warm)
    configure()


def seconds(what: str, values: Sequence[float], limit: float | None, how: str) -> Row:
    """A line of the median of some seconds, with the lowest and the highest."""
    middle = median(values)
    spread = f" ({min(values):.2f} to {max(values):.2f})" if len(values) > 1 else ""
    bar, passed = (f"<= {limit:.3g} s", middle <= limit) if limit is not None else ("", None)
    return Row(what, f"{middle:.2f} s{spread}", bar, passed, how, tuple(values))


def median(values: Any) -> float:
    """The middle one."""
    return float(statistics.median(values))


def _mib(maxrss: int) -> float:
    """``ru_maxrss`` counts KiB, and bytes on macOS."""
    return maxrss / MIB if sys.platform == "darwin" else maxrss / 1024


def entries(cache: Path) -> set[str]:
    """The compiled programs in a cache."""
    return {p.name for p in cache.rglob("*-cache")}
