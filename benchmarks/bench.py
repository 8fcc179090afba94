"""Measure what the project promises about speed, memory and learning, and print it as one table (``make bench``).

Never part of the tests: a busy machine would fail them. README.md beside this file says how each figure is measured.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).resolve().parent
MIB = 2**20
SEEDS = range(1, 11)
HELD_OUT = 1000
SB3_STEPS = 6144
HEAVY = {"jax", "jaxlib", "numpy", "matplotlib"}
AS_PRINTED = "as the command prints it"


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

    def cli(self, *arguments: str, cache: Path) -> Child:
        """Run ``rl-drug-dosage`` as a shell would."""
        return self.run([str(Path(sysconfig.get_path("scripts")) / "rl-drug-dosage"), *arguments], cache)

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


def help_(bench: Bench) -> Iterator[Row]:
    """What a person waits for before anything is computed."""
    for arguments in (["--help"], ["--version"], ["train", "--help"]):
        runs = [bench.cli(*arguments, cache=bench.warm) for _ in range(max(5, bench.repeats))]
        how = f"wall clock of the process, median of {len(runs)}; CPU {_median(r.cpu_s for r in runs):.2f} s"
        yield _seconds(" ".join(arguments), [r.wall_s for r in runs], 0.6, how)
    imported = [sys.executable, "-X", "importtime", "-m", "rl_drug_dosage"]
    traces = "".join(bench.run([*imported, option], bench.warm).err for option in ("--help", "--version"))
    found = sorted(HEAVY & {line.rpartition("|")[2].strip().partition(".")[0] for line in traces.splitlines()})
    bar, how = f"no {', '.join(sorted(HEAVY))}", "python -X importtime"
    yield Row("imports of --help, --version", ", ".join(found) or "none of them", bar, not found, how)


def memory(bench: Bench) -> Iterator[Row]:
    """The default training as a user runs it, cold: compiling is what takes the memory."""
    child, run = bench.train(cache=bench.cache())
    peak, how = child.peak_mib, "largest resident set of `train` with a cold cache (ru_maxrss from wait4)"
    yield Row("peak memory, default training", f"{peak:,.0f} MiB", "< 1,536 MiB", peak < 1536, how, (peak,))
    last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    sps, how = last["charts/SPS"], "charts/SPS at the end of that run: evaluations, logs and checkpoints included"
    measured = f"{sps:,.0f} steps/s, {child.wall_s:.1f} s from the shell"
    yield Row("default training, all included", measured, "", None, how, (sps,))


def shell(bench: Bench) -> Iterator[Row]:
    """From the shell to a saved model, with a cold and with a warm compilation cache."""
    pairs = []
    for _ in range(bench.repeats):
        cache = bench.cache()
        cold = bench.train("--preset", "fast", cache=cache)[0]
        before = _entries(cache)
        warm = bench.train("--preset", "fast", cache=cache)[0]
        pairs.append((cold, warm, len(_entries(cache) - before)))
    for name, runs, limit in (("cold", [p[0] for p in pairs], 12.0), ("warm", [p[1] for p in pairs], 7.0)):
        how = f"wall clock of the process, {name} cache; CPU {_median(r.cpu_s for r in runs):.1f} s"
        what = "train --preset fast"
        yield _seconds(f"{what}, shell to model, {name}", [r.wall_s for r in runs], limit, how)
        yield _seconds(f"{what}, training, {name}", [_told(r)[0] for r in runs], 1.0, AS_PRINTED)
        yield _seconds(f"{what}, compiling, {name}", [_told(r)[1] for r in runs], None, AS_PRINTED)
    fresh = max(p[2] for p in pairs)
    how = "new entries in the persistent cache after the second of two equal runs"
    yield Row("second train, programs compiled", str(fresh), "0", fresh == 0, how, (float(fresh),))


def cache(bench: Bench) -> Iterator[Row]:
    """The default settings, compiled from nothing and read from the cache."""
    caches = [bench.cache() for _ in range(bench.repeats)]
    for name in ("cold", "warm"):
        runs = [bench.train("--total-timesteps", "2048", cache=folder)[0] for folder in caches]
        yield _seconds(f"train, default settings, compiling, {name}", [_told(r)[1] for r in runs], None, AS_PRINTED)


def evaluate(bench: Bench) -> Iterator[Row]:
    """10,000 episodes, figures included: once everything is imported, and as a whole process."""
    code = (
        "import sys, time; from pathlib import Path; from rl_drug_dosage.utils.runtime import configure; configure()\n"
        "from rl_drug_dosage.training.evaluate import EvaluationOptions, evaluate\n"
        "start = time.perf_counter()\n"
        "model = Path(sys.argv[1])\n"
        "evaluate(EvaluationOptions(model_path=model, output_dir=model.parent, num_episodes=10_000))\n"
        "print(time.perf_counter() - start)"
    )
    cold_cache = bench.cache()
    argv = [sys.executable, "-c", code, str(bench.model)]
    cold = [float(bench.run(argv, cold_cache).out.split()[-1])]
    warm = [float(bench.run(argv, cold_cache).out.split()[-1]) for _ in range(bench.repeats)]
    how = "from the last import to the last figure: model, compiled program, episodes, three plots"
    yield _seconds("evaluate, 10,000 episodes, warm cache", warm, 2.0, how)
    yield _seconds("evaluate, 10,000 episodes, cold cache", cold, 2.0, f"{how}; compiling included")
    whole = [
        bench.cli("evaluate", "--model-path", str(bench.model), "--num-episodes", "10000", cache=cold_cache).wall_s
        for _ in range(bench.repeats)
    ]
    yield _seconds("evaluate, 10,000 episodes, whole process", whole, None, "wall clock from the shell, warm cache")


def learning(bench: Bench) -> Iterator[Row]:
    """Ten seeds each of the default settings and of the fast preset, judged on patients that training never saw."""
    from rl_drug_dosage.ppo.model_file import load_model
    from rl_drug_dosage.training import trainer
    from rl_drug_dosage.training.config import PRESETS, RunOptions, TrainConfig
    from rl_drug_dosage.training.evaluate import EvaluationOptions, run_model

    _configure(bench)
    for preset, name, limit in (("default", "default settings", None), ("fast", "--preset fast", 1.0)):
        shares, seconds = [], []
        for seed in SEEDS:
            options = RunOptions(run_name=f"{preset}-{seed}", runs_dir=str(bench.folder / "learning"))
            config = TrainConfig(**PRESETS.get(preset, {}), seed=seed)
            result = trainer.train(config, options, command="bench")
            seconds.append(result.train_s)
            path = result.folder.model
            episodes = run_model(load_model(path), EvaluationOptions(model_path=path, num_episodes=HELD_OUT))
            shares.append(float(episodes.in_range_pct.mean()))
        good = sum(share >= 97.5 for share in shares)
        listed = " ".join(f"{share:.2f}" for share in shares)
        how = f"model files of seeds 1-10 on {HELD_OUT:,} held-out episodes each: {listed}"
        measured, bar = f"{good} of {len(shares)} reach 97.5 %", ">= 97.5 % in 9 of 10"
        yield Row(f"learning, {name}", measured, bar, good >= 9, how, tuple(shares))
        how = "after compilation; evaluations, logs and checkpoints included"
        yield _seconds(f"learning, {name}, training per seed", seconds, limit, how)


def speed(bench: Bench) -> Iterator[Row]:
    """Training at the default settings, against Stable-Baselines3 turn by turn."""
    ours = _our_training(bench)
    ours()
    how = "20 updates of 2,048 steps, compiled before, metrics fetched each; XLA's own thread pool"
    worker = _Sb3.start(bench)
    rates, ratios = [], []
    threads = 0
    if isinstance(worker, str):
        rates = [ours() for _ in range(bench.repeats)]
    else:
        with worker:
            tried = {n: worker.steps_per_s(n, 2048) for n in sorted({1, min(2, os.cpu_count() or 1)})}
            threads = max(tried, key=lambda n: tried[n])
            for _ in range(bench.repeats):
                rates.append(ours())
                ratios.append(rates[-1] / worker.steps_per_s(threads, SB3_STEPS))
    middle = _median(rates)
    measured = f"{middle:,.0f} steps/s ({min(rates):,.0f} to {max(rates):,.0f})"
    bar = "> 54,000-59,000 steps/s (PureJaxRL, two such cores)"
    yield Row("training speed, default settings", measured, bar, middle > 59_000, how, tuple(rates))
    if isinstance(worker, str):
        yield Row("training speed against SB3", "skipped", ">= 60 x", None, worker)
        return
    middle = _median(ratios)
    tries = ", ".join(f"{n} thread{'s' * (n > 1)} {rate:,.0f} steps/s" for n, rate in tried.items())
    made_of = f"SB3 {worker.versions['sb3']}, torch {worker.versions['torch']}"
    how = f"in turns, {SB3_STEPS:,} steps each of {made_of}; it tried {tries} and kept {threads}"
    measured = f"{middle:.0f} x ({min(ratios):.0f} to {max(ratios):.0f})"
    yield Row("training speed against SB3", measured, ">= 60 x", middle >= 60, how, tuple(ratios))


def _our_training(bench: Bench) -> Callable[[], float]:
    """A function that trains for some updates and returns environment steps per second."""
    import jax

    from rl_drug_dosage.training.config import TrainConfig
    from rl_drug_dosage.training.plan import make_plan
    from rl_drug_dosage.training.task import make_program

    _configure(bench)
    plan = make_plan(TrainConfig())
    program = make_program(plan)
    first = program.init()
    program.compile(first)

    def measure(updates: int = 20) -> float:
        state = first
        start = time.perf_counter()
        for _ in range(updates):
            state, report = program(state)
            jax.device_get(report)
        return updates * plan.batch_size / (time.perf_counter() - start)

    return measure


class _Sb3:
    """Stable-Baselines3 in its own process, warm, waiting while we run."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.versions = self._answer()

    @classmethod
    def start(cls, bench: Bench) -> "_Sb3 | str":
        """The process, or in words why there is none."""
        python = os.environ.get("RLDD_TORCH_PYTHON", "")
        if not Path(python).is_file():
            return "RLDD_TORCH_PYTHON names no Python that has torch (`make install-torch` makes one)"
        argv = [python, str(HERE / "sb3_drug_dose.py")]
        return cls(subprocess.Popen(argv, cwd=bench.folder, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def steps_per_s(self, threads: int, steps: int) -> float:
        """Train for so many steps."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{threads} {steps}\n")
        self._process.stdin.flush()
        answer = self._answer()
        return float(answer["steps"] / answer["seconds"])

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the process of Stable-Baselines3 ended early; what it said is above")
        answer: dict[str, Any] = json.loads(line)
        return answer


def map_(bench: Bench) -> Iterator[Row]:
    """Estimates of random effects from levels, in turns with scipy."""
    _configure(bench)
    from pkpd_speed import map_speeds

    from rl_drug_dosage.utils.device_shape import device_shape

    how = f"10,000 patients, float32, warm, {device_shape().threads} threads; median of {bench.repeats} turns"
    for found in map_speeds(turns=bench.repeats):
        least = found.case.least_per_s
        bar = "" if least is None else f">= {least:,.0f} fits/s on two cores"
        yield Row(f"MAP, {found.case.name}", found.said(), bar, found.passed, how, found.fits)


# The light ones first: a child's ru_maxrss starts from what its parent held, so this process must still be small.
SECTIONS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "help": help_,
    "memory": memory,
    "shell": shell,
    "cache": cache,
    "evaluate": evaluate,
    "map": map_,
    "speed": speed,
    "learning": learning,
}


def _configure(bench: Bench) -> None:
    from rl_drug_dosage.utils.runtime import configure

    os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
    os.environ["XDG_CACHE_HOME"] = str(bench.warm)
    configure()


def _seconds(what: str, values: Sequence[float], limit: float | None, how: str) -> Row:
    middle = _median(values)
    spread = f" ({min(values):.2f} to {max(values):.2f})" if len(values) > 1 else ""
    bar, passed = (f"<= {limit:g} s", middle <= limit) if limit is not None else ("", None)
    return Row(what, f"{middle:.2f} s{spread}", bar, passed, how, tuple(values))


def _median(values: Any) -> float:
    return float(statistics.median(values))


def _mib(maxrss: int) -> float:
    """``ru_maxrss`` counts KiB, and bytes on macOS."""
    return maxrss / MIB if sys.platform == "darwin" else maxrss / 1024


def _entries(cache: Path) -> set[str]:
    return {p.name for p in cache.rglob("*-cache")}


def _told(child: Child) -> tuple[float, float]:
    """Seconds of training and of compiling, as ``train`` prints them at its end."""
    found = re.search(r"steps in ([\d.]+) s, after ([\d.]+) s of compiling", child.out)
    if found is None:
        raise RuntimeError("train did not print its times")
    return float(found[1]), float(found[2])


def _machine() -> dict[str, Any]:
    return {
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "jax": version("jax"),
        "rl-drug-dosage": version("rl-drug-dosage"),
    }


def _print(rows: Sequence[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="bench")
    for name in ("figure", "measured", "bar", "", "how"):
        table.add_column(name, overflow="fold")
    marks = {True: "pass", False: "MISS", None: ""}
    for row in rows:
        table.add_row(row.what, row.measured, row.bar, marks[row.passed], row.how)
    Console(width=max(Console().width, 160)).print(table)


def main() -> None:
    """Run the sections that were asked for; one that fails does not stop the others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(SECTIONS), help=f"sections, from {','.join(SECTIONS)}")
    parser.add_argument("--repeats", type=int, default=3, help="how often each timing is taken (3)")
    parser.add_argument("--json", type=Path, help="write every single value there as well")
    asked = parser.parse_args()
    chosen = asked.only.split(",")
    if unknown := set(chosen) - set(SECTIONS):
        parser.error(f"--only knows {', '.join(SECTIONS)}, not {', '.join(sorted(unknown))}")
    if asked.repeats < 1:
        parser.error(f"--repeats must be 1 or more, not {asked.repeats}")
    machine = _machine()
    rows: list[Row] = []
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        bench = Bench(Path(folder), asked.repeats)
        for name, section in SECTIONS.items():
            if name not in chosen:
                continue
            print(f"measuring {name} ...", flush=True)
            try:
                rows.extend(section(bench))
            except Exception as error:  # noqa: BLE001 - whatever it is, the other sections are still worth having
                rows.append(Row(name, "failed", "", False, f"{type(error).__name__}: {error}"))
    _print(rows)
    if asked.json:
        asked.json.write_text(json.dumps({"machine": machine, "rows": [asdict(row) for row in rows]}, indent=1) + "\n")
    raise SystemExit(any(row.passed is False for row in rows))


if __name__ == "__main__":
    main()
