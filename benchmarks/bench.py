"""Measure what the project promises about speed, memory and learning, and print it as one table (``make bench``).

Never part of the tests: a busy machine would fail them. README.md beside this file says how each figure is measured.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench_scale import ray, stream
from bench_tools import Bench, Child, Row, configure, entries, median, seconds
from bench_waiting import again, bedside, scenario_training

HERE = Path(__file__).resolve().parent
SEEDS = range(1, 11)
HELD_OUT = 1000
SB3_STEPS = 6144
UPDATES = 20
HEAVY = {"jax", "jaxlib", "numpy", "matplotlib"}
AS_PRINTED = "as the command prints it"


def help_(bench: Bench) -> Iterator[Row]:
    """What a person waits for before anything is computed."""
    for arguments in (["--help"], ["--version"], ["train", "--help"]):
        runs = [bench.cli(*arguments, cache=bench.warm) for _ in range(max(5, bench.repeats))]
        how = f"wall clock of the process, median of {len(runs)}; CPU {median(r.cpu_s for r in runs):.2f} s"
        yield seconds(" ".join(arguments), [r.wall_s for r in runs], 0.6, how)
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
        before = entries(cache)
        warm = bench.train("--preset", "fast", cache=cache)[0]
        pairs.append((cold, warm, len(entries(cache) - before)))
    for name, runs, limit in (("cold", [p[0] for p in pairs], 12.0), ("warm", [p[1] for p in pairs], 7.0)):
        how = f"wall clock of the process, {name} cache; CPU {median(r.cpu_s for r in runs):.1f} s"
        what = "train --preset fast"
        yield seconds(f"{what}, shell to model, {name}", [r.wall_s for r in runs], limit, how)
        yield seconds(f"{what}, training, {name}", [_told(r)[0] for r in runs], 1.0, AS_PRINTED)
        yield seconds(f"{what}, compiling, {name}", [_told(r)[1] for r in runs], None, AS_PRINTED)
    fresh = max(p[2] for p in pairs)
    how = "new entries in the persistent cache after the second of two equal runs"
    yield Row("second train, programs compiled", str(fresh), "0", fresh == 0, how, (float(fresh),))


def cache(bench: Bench) -> Iterator[Row]:
    """The default settings, compiled from nothing and read from the cache."""
    caches = [bench.cache() for _ in range(bench.repeats)]
    for name in ("cold", "warm"):
        runs = [bench.train("--total-timesteps", "2048", cache=folder)[0] for folder in caches]
        yield seconds(f"train, default settings, compiling, {name}", [_told(r)[1] for r in runs], None, AS_PRINTED)


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
    yield seconds("evaluate, 10,000 episodes, warm cache", warm, 2.0, how)
    yield seconds("evaluate, 10,000 episodes, cold cache", cold, 2.0, f"{how}; compiling included")
    whole = [
        bench.cli("evaluate", "--model-path", str(bench.model), "--num-episodes", "10000", cache=cold_cache).wall_s
        for _ in range(bench.repeats)
    ]
    yield seconds("evaluate, 10,000 episodes, whole process", whole, None, "wall clock from the shell, warm cache")


def learning(bench: Bench) -> Iterator[Row]:
    """Ten seeds each of the default settings and of the fast preset, judged on patients that training never saw."""
    from rl_drug_dosage.ppo.model_file import load_model
    from rl_drug_dosage.training import trainer
    from rl_drug_dosage.training.config import PRESETS, RunOptions, TrainConfig
    from rl_drug_dosage.training.evaluate import EvaluationOptions, run_model

    configure(bench)
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
        yield seconds(f"learning, {name}, training per seed", seconds, limit, how)


def speed(bench: Bench) -> Iterator[Row]:
    """Training at the default settings, turn by turn with PureJaxRL's algorithm and with Stable-Baselines3."""
    ours, peer = _our_training(bench), _peer_training()
    ours()
    peer()
    worker = _Sb3.start(bench)
    rates, peers, others = [], [], []
    threads = 0
    tried: dict[int, float] = {}
    if not isinstance(worker, str):
        tried = {n: worker.steps_per_s(n, 2048) for n in sorted({1, min(2, os.cpu_count() or 1)})}
        threads = max(tried, key=lambda n: tried[n])
    for _ in range(bench.repeats):
        rates.append(ours())
        peers.append(peer())
        if not isinstance(worker, str):
            others.append(rates[-1] / worker.steps_per_s(threads, SB3_STEPS))
    how = f"{UPDATES} updates of 2,048 steps, compiled before, metrics fetched each; XLA's own thread pool"
    yield Row("training speed, default settings", _spread(rates, "steps/s"), "", None, how, tuple(rates))
    how = f"in turns with purejaxrl_peer.py, {_spread(peers, 'steps/s')}, {UPDATES} updates in one call"
    ratios = [mine / its for mine, its in zip(rates, peers, strict=True)]
    measured, passed = _spread(ratios, "x", ".2f"), median(ratios) >= 1.2
    yield Row("training speed against PureJaxRL", measured, ">= 1.2 x", passed, how, tuple(ratios))
    if isinstance(worker, str):
        yield Row("training speed against SB3", "skipped", ">= 60 x", None, worker)
        return
    worker.close()
    tries = ", ".join(f"{n} thread{'s' * (n > 1)} {rate:,.0f} steps/s" for n, rate in tried.items())
    made_of = f"SB3 {worker.versions['sb3']}, torch {worker.versions['torch']}"
    how = f"in turns, {SB3_STEPS:,} steps each of {made_of}; it tried {tries} and kept {threads}"
    measured, passed = _spread(others, "x"), median(others) >= 60
    yield Row("training speed against SB3", measured, ">= 60 x", passed, how, tuple(others))


def _spread(values: Sequence[float], unit: str, form: str = ",.0f") -> str:
    return f"{median(values):{form}} {unit} ({min(values):{form}} to {max(values):{form}})"


def _peer_training() -> Callable[[], float]:
    """A function that trains as PureJaxRL does and returns environment steps per second."""
    import jax
    from purejaxrl_peer import peer_training

    from rl_drug_dosage.envs import catalog
    from rl_drug_dosage.training.config import TrainConfig
    from rl_drug_dosage.training.task import find_task

    config = TrainConfig()
    env = find_task(config.env_id).env
    assert env is not None
    first, train = peer_training(catalog.make(env, env.training({}), 1), config, UPDATES)

    def measure() -> float:
        start = time.perf_counter()
        jax.block_until_ready(train(first))
        return UPDATES * config.num_envs * config.num_steps / (time.perf_counter() - start)

    return measure


def _our_training(bench: Bench) -> Callable[[], float]:
    """A function that trains for some updates and returns environment steps per second."""
    import jax

    from rl_drug_dosage.training.config import TrainConfig
    from rl_drug_dosage.training.plan import make_plan
    from rl_drug_dosage.training.task import make_program

    configure(bench)
    plan = make_plan(TrainConfig())
    program = make_program(plan)
    first = program.init()
    program.compile(first)

    def measure(updates: int = UPDATES) -> float:
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

    def close(self) -> None:
        """End the process."""
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
    configure(bench)
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
    "again": again,
    "bedside": bedside,
    "training": scenario_training,
    "ray": ray,
    "stream": stream,
}


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
                for row in section(bench):
                    print(f"  {row.what}: {row.measured}", flush=True)
                    rows.append(row)
            except Exception as error:  # noqa: BLE001 - whatever it is, the other sections are still worth having
                rows.append(Row(name, "failed", "", False, f"{type(error).__name__}: {error}"))
    _print(rows)
    if asked.json:
        asked.json.write_text(json.dumps({"machine": machine, "rows": [asdict(row) for row in rows]}, indent=1) + "\n")
    raise SystemExit(any(row.passed is False for row in rows))


if __name__ == "__main__":
    main()
