"""Bayesian dosing in every scenario, before and after a change of it: target attainment, worst patients, time.

PYTHONPATH=/path/of/another/checkout/src scripts/bayesian_dosing.py run build/before     the state to compare with
scripts/bayesian_dosing.py run build/after
scripts/bayesian_dosing.py compare build/before build/after                              a table in Markdown

A run skips what its folder already has. Both runs treat the same patients, so that differences are paired.
"""

import argparse
from pathlib import Path

import numpy as np
from markdown import table

from rl_drug_dosage.registry import SCENARIO, find_scenario, load_policy_definition, names
from rl_drug_dosage.trials.setting import setting_for
from rl_drug_dosage.trials.statistics import bootstrap, endpoints
from rl_drug_dosage.trials.trial import Cohort, run_trial
from rl_drug_dosage.utils.runtime import keep_programs

COHORT, PATIENTS = 20261125, 1000
POLICIES = ("mipd", "mipd-average", "mipd-assay")
_WORST = 0.05


def run(folder: Path, scenarios: list[str], policies: list[str], patients: int = PATIENTS) -> None:
    """Treat every scenario's cohort with the first controller, with patients of each of the scenario's models."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in scenarios or sorted(names(SCENARIO)):
        task = find_scenario(name)
        models = task.value.models
        for policy in policies or POLICIES:
            definition = load_policy_definition(policy)
            if definition.refuses(task.value):
                continue
            for simulator in models:
                file = folder / f"{task.name}_{Path(policy).name}_{simulator}.npz"
                if file.exists():
                    continue
                setting = setting_for(task, simulator, models[0])
                clock: dict[str, float] = {}
                trial = run_trial(
                    setting.scenario,
                    setting.simulator,
                    definition.build(setting),
                    Cohort(COHORT, patients),
                    clock=clock,
                )
                share = endpoints(setting.scenario, trial)["attainment_pct"]
                doubtful = getattr(trial, "doubtful", np.zeros_like(trial.dose, bool))
                np.savez(
                    file,
                    attainment=share,
                    dose=trial.dose,
                    failed=trial.failed,
                    doubtful=doubtful,
                    seconds=clock["run_s"],
                    compile_s=clock["compile_s"],
                )
                print(f"{file.stem}: {share.mean():.2f} %, {clock['run_s']:.1f} s", flush=True)


def compare(before: Path, after: Path) -> None:
    """Print one row for each policy, scenario and simulator that both folders have."""
    rng = np.random.default_rng(0)
    rows = []
    for file in sorted(before.glob("*.npz")):
        if not (after / file.name).exists():
            continue
        old, new = (dict(np.load(folder / file.name)) for folder in (before, after))
        count = min(len(old["attainment"]), len(new["attainment"]))
        for seen in (old, new):
            seen["seconds"] = seen["seconds"] * count / len(seen["attainment"])
            seen |= {key: seen[key][:count] for key in ("attainment", "dose", "doubtful")}
        scenario, policy, simulator = file.stem.split("_")
        right = find_scenario(scenario).value.models[0] == simulator
        (gain,) = bootstrap((new["attainment"] - old["attainment"])[:, None], rng)
        same = np.mean(np.all(new["dose"] == old["dose"], axis=1))
        rows.append(
            (
                scenario,
                policy,
                "correct" if right else simulator,
                f"{len(old['attainment']):,}",
                f"{old['attainment'].mean():.2f}",
                f"{new['attainment'].mean():.2f}",
                f"{gain.mean:+.2f} ({gain.low:+.2f} to {gain.high:+.2f})",
                f"{_worst(old['attainment']):.1f} → {_worst(new['attainment']):.1f}",
                f"{100 * (1 - same):.1f}",
                f"{new['doubtful'].mean() * 100:.2g}",
                f"{float(old['seconds']):.1f} → {float(new['seconds']):.1f}",
            )
        )
    heads = ("scenario", "policy", "patients' model", "patients", "before", "after", "difference (95 % interval)")
    print(table((*heads, "worst 5 %", "patients with another dose, %", "decisions in doubt, %", "seconds"), rows))


def _worst(share: np.ndarray) -> float:
    return float(np.sort(share)[: max(1, round(_WORST * len(share)))].mean())


def main() -> None:
    """Run or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("run")
    one.add_argument("folder", type=Path)
    one.add_argument("--scenario", action="append", default=[])
    one.add_argument("--policy", action="append", default=[])
    one.add_argument("--patients", type=int, default=PATIENTS)
    one.set_defaults(do=lambda a: run(a.folder, a.scenario, a.policy, a.patients))
    two = commands.add_parser("compare")
    two.add_argument("before", type=Path)
    two.add_argument("after", type=Path)
    two.set_defaults(do=lambda a: compare(a.before, a.after))
    options = parser.parse_args()
    keep_programs()
    options.do(options)


if __name__ == "__main__":
    main()
