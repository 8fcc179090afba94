"""What each part of a recipe is worth: leave it out, train again, try it. Writes docs/ablation.md.

scripts/ablation.py                     both scenarios, as published
scripts/ablation.py --seeds 5 warfarin  this one, more seeds
"""

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from markdown import number, spread, table
from training_runs import trained

from rl_drug_dosage.registry import find_scenario
from rl_drug_dosage.training.recipe import recipe
from rl_drug_dosage.trials.benchmark import BenchmarkOptions, benchmark
from rl_drug_dosage.utils.runtime import configure

ROOT = Path(__file__).resolve().parents[1]
WORK, PAGE = ROOT / "build" / "ablation", ROOT / "docs" / "ablation.md"
COHORT, PATIENTS, SEEDS = 20261125, 1000, 5


_HEAD = """# What each part of a recipe is worth

Written by `make ablation`: a recipe with one thing changed, trained with {seeds} seeds, and tried on {patients:,}
patients (cohort {cohort}) with the right and the wrong model. As many updates as for the models that come with the
repository, but of fewer patients at a time, and so fewer steps. Shares in %: the median over the seeds, and the range.
For research and education only."""


@dataclass(frozen=True)
class Variant:
    """A recipe with something changed: options of the environment, and of `train`."""

    title: str
    env: Mapping[str, Any] = field(default_factory=dict)
    train: Sequence[str] = ()


STEPS = {"warfarin": 2_000_000, "vancomycin": 250_000}
FLAGS = ("--num-envs", "512", "--num-minibatches", "8")
"""A quarter of warfarin's patients at a time and a quarter of its steps, a half of vancomycin's: as many updates as in
the recipe, of minibatches about as large."""
_MEASURES = {"attainment_pct": "goal", "worst_5_pct": "worst 5 % of patients", "final_pct": "last interval"}
VARIANTS = {
    "warfarin": (
        Variant("the recipe"),
        Variant("no memory: the last day only", {"history": 1}),
        Variant("neither memory nor drug on board", {"history": 1, "on_board": False}),
        Variant("a GRU in place of the history", {"history": 1}, ("--memory", "gru")),
        Variant("the critic sees what the actor sees", train=("--no-privileged-critic",)),
        Variant("published patients only", {"mixture": []}),
        Variant("the last day bootstrapped", train=("--bootstrap-truncation",)),
    ),
    "vancomycin": (
        Variant("the recipe (a change of the Bayesian dose)"),
        Variant("the belief is shown, the dose is the policy's own", {"action": "amount"}),
        Variant("neither belief nor Bayesian dose", {"action": "amount", "belief": ""}),
        Variant(
            "no belief, no memory, no drug on board",
            {"action": "amount", "belief": "", "history": 1, "on_board": False},
        ),
        Variant("the critic sees what the actor sees", train=("--no-privileged-critic",)),
        Variant("published patients only", {"mixture": []}),
    ),
}


def train(scenario: str, index: int, variant: Variant, seeds: int) -> list[str]:
    """The models of one variant, one a seed, trained side by side, now or before."""
    env_id = find_scenario(scenario).env_id
    env_kwargs = {**json.loads(recipe(env_id)["env_kwargs"]), **variant.env}
    options = ["--env-kwargs", json.dumps(env_kwargs), "--seeds", str(seeds)]
    options += ["--total-timesteps", str(STEPS[scenario]), "--eval-freq", "0", *FLAGS, *variant.train]
    folder = WORK / f"{scenario}-{index}"
    trained(env_id, folder, options)
    models = []
    for seed in range(1, seeds + 1):
        # The benchmark calls a policy by its file's name.
        model = WORK / f"{folder.name}-{seed}.pt"
        shutil.copyfile(folder / (f"seed-{seed}" if seeds > 1 else "") / "agent.pt", model)
        models.append(str(model))
    print(folder.name, flush=True)
    return models


def rows_of(scenario: str, models: Sequence[str], simulator: str, controller: str) -> dict[str, dict[str, Any]]:
    """Every policy's summary in one setting."""
    asked = BenchmarkOptions(
        scenario=scenario,
        policies=("mipd", *models),
        patients=PATIENTS,
        seed=COHORT,
        simulator=simulator,
        controller=controller,
    )
    return {row["policy"]: row for row in benchmark(asked).record["policies"]}


def section(scenario: str, seeds: int) -> str:
    """Train, try, and write down one scenario's variants."""
    named = find_scenario(scenario)
    models = {variant.title: train(scenario, index, variant, seeds) for index, variant in enumerate(VARIANTS[scenario])}
    flat = [path for paths in models.values() for path in paths]
    believed = named.value.models[0]
    parts = [f"## {scenario}: {STEPS[scenario]:,} steps"]
    for simulator in named.value.models:
        rows = rows_of(scenario, flat, simulator, believed)
        lines = []
        for title, paths in models.items():
            found = [[number(rows[Path(path).stem], measure) for path in paths] for measure in _MEASURES]
            lines.append([title, *(spread(float(np.median(values)), values) for values in found)])
        lines.append(["mipd", *(f"{number(rows['mipd'], measure):.1f}" for measure in _MEASURES)])
        met = "trained on, `mipd` believes it" if simulator == believed else "never met in training"
        parts += [f"Patients of {simulator} ({met}):", table(["variant", *_MEASURES.values()], lines).rstrip()]
    return "\n\n".join(parts)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of {', '.join(VARIANTS)}; both unless told")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    asked = parser.parse_args()
    if strangers := sorted(set(asked.scenarios) - set(VARIANTS)):
        parser.error(f"nothing is left out of {strangers[0]!r}: there are {', '.join(VARIANTS)}")
    configure("cpu")
    WORK.mkdir(parents=True, exist_ok=True)
    parts = [section(name, asked.seeds) for name in asked.scenarios or VARIANTS]
    PAGE.write_text("\n\n".join([_HEAD.format(seeds=asked.seeds, patients=PATIENTS, cohort=COHORT), *parts]) + "\n")


if __name__ == "__main__":
    main()
