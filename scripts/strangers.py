"""How `train --preset scenario` does on drugs that no recipe was made for: `new scenario`, training, trial.

    scripts/strangers.py                      digoxin, ciclosporin and piperacillin
    scripts/strangers.py linezolid-tsuji2017  other drug models

Each line: seconds of the whole training with compilation, attainment of the policy and of the strongest Bayesian dosing
on 1,000 test patients of the same model, and the difference with its 95 % interval. Files lie in build/strangers.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from rl_drug_dosage.trials.benchmark import BenchmarkOptions, benchmark
from rl_drug_dosage.utils.progress import quiet
from rl_drug_dosage.utils.runtime import configure

WORK = Path(__file__).resolve().parents[1] / "build" / "strangers"
DRUGS = ("digoxin-hirai2022", "ciclosporin-wilhelm2012", "piperacillin-jeon2014")
"""None has a scenario, and none was looked at when the recipe was chosen."""
PATIENTS, SEED = 1000, 20261207
REFERENCE = "best-bayes"
_RECIPE = ("--preset", "scenario", "--runs-dir", ".")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drugs", nargs="*", metavar="DRUG", default=DRUGS)
    drugs = parser.parse_args().drugs
    configure("cpu")
    WORK.mkdir(parents=True, exist_ok=True)
    for drug in drugs:
        name = drug.replace("-", "_")
        task, run = WORK / f"{name}.toml", WORK / name
        if not task.exists():
            _call("new", "scenario", name, "--drug", drug)
        took = "before"
        if not (run / "agent.pt").exists():
            begin = time.perf_counter()
            _call("train", "--scenario", f"./{task.name}", *_RECIPE, "--run-name", name)
            took = f"in {time.perf_counter() - begin:.0f} s"
        policies = {"learnt": run / "agent.pt", REFERENCE: REFERENCE, "label": "label"}
        options = BenchmarkOptions(scenario=task, policies=policies, patients=PATIENTS, seed=SEED)
        record = benchmark(options, progress=quiet).record
        share = {row["policy"]: row["attainment_pct"]["mean"] for row in record["policies"]}
        pair = next(p for p in record["paired"] if {p["policy"], p["against"]} == {"learnt", REFERENCE})
        sign = 1.0 if pair["policy"] == "learnt" else -1.0
        low, high = sorted((sign * pair["low"], sign * pair["high"]))
        (WORK / f"{name}.json").write_text(json.dumps(record, indent=1))
        shares = ", ".join(f"{own} {share[own]:.1f}" for own in policies)
        interval = f"{sign * pair['mean']:+.2f} ({low:+.2f} to {high:+.2f})"
        print(f"{drug}: trained {took}; {shares} %; learnt minus {REFERENCE} {interval}", flush=True)


def _call(*arguments: str) -> None:
    subprocess.run([Path(sys.executable).with_name("rl-drug-dosage"), *arguments], cwd=WORK, check=True)


if __name__ == "__main__":
    main()
