"""Train the policies that come with the repository, choose among seeds, and try them: `make models` runs it.

For each scenario: five seeds of `train --preset scenario`. The seed with the median score on validation patients
becomes `models/<scenario>.pt`: patients of the controllers' model as published and as varied as in training, in the
stream of chance in which `best-bayes` was chosen (`trials.choosing`), which no training, tuning or benchmark has. Then,
once, all seeds and every clinical policy on a test cohort that nothing was chosen on: patients of the model that
controllers believe, of the scenario's other models, and of its test-only models. The results stand in
`models/<scenario>.json`, with the comparison of the seeds with `best-bayes` over seeds and patients; in words in
`models/<scenario>.md`; and, in tables, in `models/README.md`.

    scripts/make_models.py                      every scenario
    scripts/make_models.py vancomycin busulfan  these
    scripts/make_models.py --validate t1d       train, and compare on the validation patients only
    scripts/make_models.py --again infliximab   train nothing: try the published policy once more, on a newer cohort
    scripts/make_models.py --cards              write the cards and the tables again from the results
"""

import argparse
import json
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import model_cards
import standing
from model_trials import measured, over_seeds
from training_runs import trained

from rl_drug_dosage.errors import RlDrugDosageError
from rl_drug_dosage.registry import SCENARIO, Found, find_scenario, names
from rl_drug_dosage.trials.choosing import Choice, choose
from rl_drug_dosage.trials.setting import setting_for
from rl_drug_dosage.utils.files import atomic_write
from rl_drug_dosage.utils.runtime import configure
from rl_drug_dosage.utils.seeding import Stream

ROOT = Path(__file__).resolve().parents[1]
MODELS, WORK = ROOT / "models", ROOT / "build" / "models"
SEEDS = (1, 2, 3, 4, 5)
VALIDATION, TEST, PATIENTS = 2, 20261217, 1000
"""Seed of the validation patients, in `Stream.VALIDATE`, where `best-bayes` was chosen with seed 1; seed of the test
cohort; number of patients in each."""
ONCE_MORE, ONCE_MORE_LATER = 20261201, 20261218
"""Test cohorts of `--again`: of models whose own test was before the first, and of those tested later. Each is
newer than every cohort before it, so that no model, no choice of a `best-bayes` and no published result has met these
patients."""
TOGETHER = ("chemotherapy",)
"""Scenarios whose seeds are trained side by side, because starting takes as long as training; so are those of policies
that correct the Bayesian dose, for the same reason."""
_TRAINED = re.compile(r"trained ([\d,]+) steps in ([\d.]+) s, after ([\d.]+) s of compilation")


def train(named: Found[Any]) -> list[tuple[Path, dict[str, float]]]:
    """All seeds, those that are there already left as they are: the models, and what each took."""
    scenario, env_id = named.name, named.env_id
    together = scenario.startswith(TOGETHER) or named.value.training.recipe == "correction"
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


def _scores(named: Found[Any], policies: Sequence[str]) -> Choice:
    """How policies do on the validation patients: of the controllers' model as published, and more varied."""
    believed = named.value.models[0]
    # Programs of what was done before are not needed again, and hold memory maps, of which a process may have 65,530.
    jax.clear_caches()
    return choose(
        setting_for(named, believed, believed),
        policies,
        patients=PATIENTS,
        seed=VALIDATION,
        progress=lambda text, _: print(f"  {text}", file=sys.stderr, flush=True),
    )


def validate(scenario: str) -> None:
    """Train, and say how the seeds do beside the clinic's policies on the validation patients."""
    named = find_scenario(scenario)
    models = [str(path) for path, _ in train(named)]
    for one in _scores(named, [*models, "best-bayes", "mipd", "pid", "label"]).tried:
        numbers = (one.score_pct, one.believed_pct, one.randomised_pct)
        print(scenario, one.policy, *(f"{number:.2f}" for number in numbers), flush=True)


def make(scenario: str) -> None:
    """Train, choose, test, write."""
    named = find_scenario(scenario)
    runs = train(named)
    models = {path.stem: path for path, _ in runs}
    tried = {Path(one.policy).stem: one for one in _scores(named, [str(path) for path in models.values()]).tried}
    shares = {name: round(tried[name].score_pct, 4) for name in sorted(tried, key=lambda name: -tried[name].score_pct)}
    median = sorted(shares, key=lambda name: shares[name])[len(shares) // 2]
    record = {
        "scenario": scenario,
        "env_id": named.env_id,
        "median": median,
        "validation_pct": shares,
        "validation": {
            "stream": Stream.VALIDATE.name,
            "seed": VALIDATION,
            "patients": PATIENTS,
            "believed_pct": {name: round(tried[name].believed_pct, 4) for name in shares},
            "randomised_pct": {name: round(tried[name].randomised_pct, 4) for name in shares},
        },
        "runs": [run for _, run in runs],
    }
    record, comparisons = _tested(named, record, models, TEST)
    shutil.copyfile(models[median], MODELS / f"{scenario}.pt")
    _write(record | {"over_seeds": over_seeds(record, comparisons)})
    print(f"{scenario}: {median} of {len(SEEDS)} seeds", flush=True)


def again(scenario: str) -> None:
    """Test the published model once more, on a newer cohort; what training and selection recorded stays."""
    record = _published(scenario)
    ranges = over_seeds(record)
    learnt = {record["median"]: MODELS / f"{scenario}.pt"}
    seed = ONCE_MORE_LATER if "validation" in record else ONCE_MORE
    record, _ = _tested(find_scenario(scenario), record, learnt, seed)
    _write(record | {"over_seeds": ranges})
    print(f"{scenario}: tested again on cohort {seed}", flush=True)


def _published(scenario: str) -> dict[str, Any]:
    """The record of a published model.

    Raises:
        SystemExit: there is none, or the scenario has another version now.
    """
    before, model = MODELS / f"{scenario}.json", MODELS / f"{scenario}.pt"
    if missing := [path.name for path in (before, model) if not path.exists()]:
        raise SystemExit(f"models/{missing[0]} is missing: make it first, scripts/make_models.py {scenario}")
    record: dict[str, Any] = json.loads(before.read_text())
    env_id = find_scenario(scenario).env_id
    if record["env_id"] != env_id:
        raise SystemExit(
            f"models/{scenario}.pt is of {record['env_id']}, and the scenario is {env_id} now: train it anew, "
            f"scripts/make_models.py {scenario}"
        )
    return record


def _tested(
    named: Found[Any], record: Mapping[str, Any], learnt: Mapping[str, Path], seed: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The record with the results of a test in the place of any earlier ones, and the comparisons of several seeds."""
    results, comparisons = measured(named, learnt, PATIENTS, seed, WORK / named.name / f"test-{seed}")
    cohorts = {"validation": VALIDATION, **record.get("cohorts", {}), "test": seed, "patients": PATIENTS}
    return {**record, "cohorts": cohorts, "results": results}, comparisons


def _write(record: Mapping[str, Any]) -> None:
    atomic_write(MODELS / f"{record['scenario']}.json", (json.dumps(record, indent=1) + "\n").encode())


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    known = names(SCENARIO)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "scenarios", nargs="*", metavar="SCENARIO", help=f"of {', '.join(known)}; all when none is named"
    )
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--validate", action="store_true", help="train, and leave the test cohort alone")
    ways.add_argument("--again", action="store_true", help="train nothing, and try the published policies once more")
    ways.add_argument("--cards", action="store_true", help="train and try nothing")
    asked = parser.parse_args(arguments)
    if strangers := sorted(set(asked.scenarios) - set(known)):
        parser.error(f"no scenario is called {strangers[0]!r}: there are {', '.join(known)}")
    configure("cpu")
    chosen = asked.scenarios or known
    if asked.again:
        for scenario in chosen:
            _published(scenario)
    try:
        for scenario in () if asked.cards else chosen:
            (validate if asked.validate else again if asked.again else make)(scenario)
    except RlDrugDosageError as error:
        parser.error(str(error))
    if not asked.validate:
        model_cards.write(MODELS)
        standing.draw(MODELS)


if __name__ == "__main__":
    main()
