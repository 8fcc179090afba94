"""Train the policies that come with the repository, choose among seeds, and try them: `make models` runs it.

For each scenario: five seeds of `train --preset scenario`; on a validation cohort the seed whose attainment is the
median becomes `models/<scenario>.pt`; then, once, all of them and every clinical policy on a test cohort that nothing
was chosen on. The results stand in `models/<scenario>.json`, in words in `models/<scenario>.md` and, in one table, in
`models/README.md`.

    scripts/make_models.py                      every scenario
    scripts/make_models.py vancomycin busulfan  these
    scripts/make_models.py --validate t1d       train, and compare on the validation cohort only
    scripts/make_models.py --cards              write the cards and the table again from the results
"""

import argparse
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import model_cards
from training_runs import trained

from rl_drug_dosage.registry import SCENARIO, find_scenario, names
from rl_drug_dosage.trials.benchmark import BenchmarkOptions, benchmark
from rl_drug_dosage.trials.entrants import default_policies
from rl_drug_dosage.utils.runtime import configure

ROOT = Path(__file__).resolve().parents[1]
MODELS, WORK = ROOT / "models", ROOT / "build" / "models"
SEEDS = (1, 2, 3, 4, 5)
VALIDATION, TEST, PATIENTS = 1, 20261124, 1000
"""Seeds of the cohorts. Every setting of the recipes was chosen on patients of seed 1."""
AGAIN = {
    "aminoglycoside": 20261127,
    "propofol": 20261129,
    "t1d": 20261127,
    "tacrolimus": 20261129,
    "warfarin": 20261127,
    "warfarin-90d": 20261127,
}
"""Test cohorts of scenarios whose earlier models had met others."""
EXTRA_STRESS = {"warfarin": ("elderly", "double-error", "missed-doses", "missed-samples")}
"""Wards that no training saw (one saw missed samples, with the first model), under the second model."""
TOGETHER = ("chemotherapy", "paclitaxel", "t1d")
"""Scenarios whose seeds are trained side by side, because starting takes as long as training."""
TOO_SLOW = ("chemotherapy", "warfarin-90d", "tacrolimus", "propofol")
"""Scenarios without `mipd-average`, which integrates long courses again for every posterior draw, unless it is the
`best-bayes` there."""
_TRAINED = re.compile(r"trained ([\d,]+) steps in ([\d.]+) s, after ([\d.]+) s of compilation")


def train(scenario: str, env_id: str) -> list[tuple[Path, dict[str, float]]]:
    """All seeds, those that are there already left as they are: the models, and what each took."""
    together = scenario.startswith(TOGETHER)
    found = []
    for seed in SEEDS:
        first = SEEDS[0] if together else seed
        folder = WORK / f"{scenario}-{first}"
        options = ["--seed", str(first), *(["--seeds", str(len(SEEDS))] if together else [])]
        took = _TRAINED.search(trained(env_id, folder, options))
        if took is None:
            raise SystemExit(f"{folder}.log does not say how long it took: delete it and run this again")
        model = WORK / scenario / f"seed-{seed}.pt"
        model.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile((folder / f"seed-{seed}" if together else folder) / "agent.pt", model)
        steps, train_s, compile_s = (float(text.replace(",", "")) for text in took.groups())
        found.append((model, {"seed": seed, "steps": steps, "train_s": train_s, "compile_s": compile_s}))
    return found


def trial(scenario: str, policies: Sequence[str], seed: int, **options: Any) -> dict[str, Any]:
    """A benchmark's record, without courses and distributions."""
    asked = BenchmarkOptions(scenario=scenario, policies=tuple(policies), patients=PATIENTS, seed=seed, **options)
    # Programs of the trial before are not needed again, and hold memory maps, of which a process may have 65,530.
    jax.clear_caches()
    record = benchmark(asked).record
    kept = {name: record[name] for name in ("settings", "policies", "paired", "stress") if name in record}
    for row in kept["policies"]:
        row.pop("card")
    return kept


def validate(scenario: str) -> None:
    """Train, and say how the seeds do beside the clinic's policies on the validation cohort."""
    named = find_scenario(scenario)
    models = [str(path) for path, _ in train(scenario, named.env_id)]
    policies = [*models, "best-bayes", "mipd", "pid", "label"]
    for simulator in named.value.models:
        rows = trial(scenario, policies, VALIDATION, simulator=simulator)["policies"]
        for row in sorted(rows, key=lambda row: row["policy"]):
            numbers = (row["attainment_pct"]["mean"], row["worst_5_pct"], row["final_pct"])
            print(simulator, row["policy"], *(f"{number:.2f}" for number in numbers), flush=True)


def make(scenario: str) -> None:
    """Train, choose, test, write."""
    named = find_scenario(scenario)
    runs = train(scenario, named.env_id)
    models = [str(path) for path, _ in runs]
    chosen_on = trial(scenario, models, VALIDATION)
    shares = {row["policy"]: row["attainment_pct"]["mean"] for row in chosen_on["policies"]}
    median = sorted(shares, key=lambda name: shares[name])[len(shares) // 2]
    shutil.copyfile(WORK / scenario / f"{median}.pt", MODELS / f"{scenario}.pt")
    left_out = ("random", "mipd-average") if scenario.startswith(TOO_SLOW) else ("random",)
    policies = [*models, *(p for p in default_policies(named.value) if p not in left_out)]
    test = AGAIN.get(scenario, TEST)
    believed, *others = named.value.models
    results = {"right model": trial(scenario, policies, test)}
    for other in others:
        wrong = {"simulator": other, "controller": believed}
        found = trial(scenario, policies, test, **wrong)
        if wards := EXTRA_STRESS.get(scenario):
            quick = [name for name in policies if name != "mipd-average"]
            found["stress"] = trial(scenario, quick, test, **wrong, stress=wards)["stress"]
        results[f"patients of {other}, controller believes {believed}"] = found
    record = {
        "scenario": scenario,
        "env_id": named.env_id,
        "median": median,
        "validation_pct": shares,
        "runs": [run for _, run in runs],
        "cohorts": {"validation": VALIDATION, "test": test, "patients": PATIENTS},
        "results": results,
    }
    (MODELS / f"{scenario}.json").write_text(json.dumps(record, indent=1) + "\n")
    print(f"{scenario}: {median} of {len(SEEDS)} seeds", flush=True)


def main() -> None:
    """The command line."""
    known = names(SCENARIO)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "scenarios", nargs="*", metavar="SCENARIO", help=f"of {', '.join(known)}; all when none is named"
    )
    parser.add_argument("--validate", action="store_true", help="train, and leave the test cohort alone")
    parser.add_argument("--cards", action="store_true", help="train and try nothing")
    asked = parser.parse_args()
    if strangers := sorted(set(asked.scenarios) - set(known)):
        parser.error(f"no scenario is called {strangers[0]!r}: there are {', '.join(known)}")
    configure("cpu")
    if not asked.cards:
        for scenario in asked.scenarios or known:
            (validate if asked.validate else make)(scenario)
    if not asked.validate:
        model_cards.write(MODELS)


if __name__ == "__main__":
    main()
