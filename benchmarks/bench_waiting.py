"""What a person waits for from the shell to the answer: trials, the bedside, explanations, a scenario's training."""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench_tools import Bench, Child, Row, configure, median, seconds

__all__ = ["again", "bedside", "scenario_training"]

MODELS = Path(__file__).resolve().parents[1] / "models"
PATIENT = Path(__file__).resolve().parents[1] / "examples" / "patients" / "vancomycin.toml"
LINEAR = ("vancomycin", "aminoglycoside", "busulfan", "infliximab", "tacrolimus")
"""Scenarios whose courses have a closed form; the others are integrated."""
OTHERS = ("warfarin", "t1d", "propofol")
FIRST_S, AGAIN_S = {True: 20.0, False: 45.0}, {True: 5.0, False: 10.0}
BEYOND_RUNNING_S = 4.0
TRAINED_S = {"warfarin": 75.0}
MOST_TRAINED_S = 180.0


def again(bench: Bench) -> Iterator[Row]:
    """A trial of 1,000 patients from the shell, first with an empty cache, then again."""
    for name in (*LINEAR, *OTHERS):
        linear, cache = name in LINEAR, bench.cache()
        first = _trial(bench, name, cache)[0]
        runs = [_trial(bench, name, cache) for _ in range(bench.repeats)]
        what, how = f"benchmark {name}, label, best-bayes, PPO", "wall clock of the process, 1,000 patients"
        yield seconds(f"{what}, empty cache", [first.wall_s], FIRST_S[linear], how)
        running = median(_running_s(timing) for _, timing in runs)
        limit = max(AGAIN_S[linear], running + BEYOND_RUNNING_S)
        said = f"{how}; running itself {running:.1f} s of it"
        yield seconds(f"{what}, again", [child.wall_s for child, _ in runs], limit, said)


def _trial(bench: Bench, name: str, cache: Path) -> tuple[Child, Mapping[str, Any]]:
    out = bench.folder / f"trial-{name}"
    policies = [f"--policy={policy}" for policy in ("label", "best-bayes", MODELS / f"{name}.pt")]
    child = bench.cli(
        "benchmark", "--scenario", name, "--patients", "1000", *policies, f"--output-dir={out}", cache=cache
    )
    timing: Mapping[str, Any] = json.loads((out / "benchmark.json").read_text())["timing"]
    return child, timing


def _running_s(timing: Mapping[str, Any]) -> float:
    return float(sum(own["run_s"] for own in timing["policies"].values()))


def bedside(bench: Bench) -> Iterator[Row]:
    """One patient's dose, ten patients' parameters and the explanation of a policy, each in a fresh process."""
    cache, how = bench.cache(), "wall clock of a fresh process, warm cache"
    table = bench.folder / "ten"
    bench.cli(
        *("simulate", "--drug", "vancomycin-goti2018", "--patients", "10", "--days", "3", "--sample-every", "11.5"),
        *("--format", "csv", f"--output-dir={table}"),
        cache=cache,
    )
    data = min(table.glob("*.csv"))
    commands = {
        "recommend, vancomycin": (("recommend", str(PATIENT)), 3.0),
        "estimate, ten patients": (
            ("estimate", "--drug", "vancomycin-goti2018", "--data", str(data), f"--output-dir={bench.folder / 'map'}"),
            4.0,
        ),
        "explain, vancomycin": (
            ("explain", f"--model-path={MODELS / 'vancomycin.pt'}", f"--output-dir={bench.folder / 'explained'}"),
            30.0,
        ),
    }
    for what, (arguments, limit) in commands.items():
        first = bench.cli(*arguments, cache=cache)
        yield seconds(f"{what}, empty cache", [first.wall_s], None, "the same, nothing kept before")
        runs = [bench.cli(*arguments, cache=cache) for _ in range(bench.repeats)]
        yield seconds(what, [r.wall_s for r in runs], limit, f"{how}; CPU {median(r.cpu_s for r in runs):.1f} s")


def scenario_training(bench: Bench) -> Iterator[Row]:
    """What the recipes of eight shipped policies take for one seed, from the time of a few updates each."""
    import jax

    from rl_drug_dosage.training.config import TrainConfig
    from rl_drug_dosage.training.plan import make_plan
    from rl_drug_dosage.training.recipe import recipe
    from rl_drug_dosage.training.task import find_task, make_program

    configure(bench)
    for name in (*LINEAR, *OTHERS):
        task = find_task(name)
        plan = make_plan(TrainConfig(**recipe(task), env_id=task.env_id))
        program = make_program(plan, task)
        state = program.init()
        begin = time.perf_counter()
        program.compile(state)
        compiled_s = time.perf_counter() - begin
        state, _ = jax.block_until_ready(program(state))
        each = []
        for _ in range(bench.repeats):
            begin = time.perf_counter()
            state, report = program(state)
            jax.device_get(report)
            each.append(time.perf_counter() - begin)
        all_s = [one * plan.num_updates for one in each]
        steps = plan.num_updates * plan.batch_size
        how = (
            f"{plan.num_updates} updates, {steps:,} steps, from {len(each)} updates; compiling {compiled_s:.0f} s apart"
        )
        yield seconds(f"training {name}, one seed", all_s, TRAINED_S.get(name, MOST_TRAINED_S), how)
