"""Choose the strongest Bayesian dosing of a scenario on validation patients: the policy `best-bayes`.

Every variant treats the same patients, who follow the controller's model as published and as varied as in training;
see `trials.choosing`. With --write the choices go into src/rl_drug_dosage/policies/best_bayes.json, which `best-bayes`
reads; those of scenarios that are not named stay as they are.

    scripts/choose_bayes.py --write                   every scenario, as published
    scripts/choose_bayes.py warfarin propofol         these, shown only
    scripts/choose_bayes.py ./task.toml               your own scenario: give the chosen variant as --policy
    scripts/choose_bayes.py warfarin --controllers all  with every model of the scenario as the controller's
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from markdown import table

from rl_drug_dosage.errors import RlDrugDosageError
from rl_drug_dosage.policies.best_bayes import TABLE
from rl_drug_dosage.registry import SCENARIO, find_scenario, names
from rl_drug_dosage.trials.choosing import VARIANTS, Choice, choose
from rl_drug_dosage.trials.setting import setting_for
from rl_drug_dosage.utils.files import atomic_write
from rl_drug_dosage.utils.runtime import configure


def shown(choice: Choice) -> str:
    """The results as a table."""
    rows = [
        [
            f"**{one.policy}**" if one.policy == choice.chosen else one.policy,
            *(f"{value:.2f}" for value in (one.believed_pct, one.randomised_pct, one.score_pct)),
            f"{one.behind_points:.2f} ({one.behind_se_points:.2f})",
        ]
        for one in choice.tried
    ]
    head = ["policy", "as published, %", "as in training, %", "mean, %", "behind the best, points (standard error)"]
    return table(head, rows)


def choices_of(scenario: str, asked: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Environment id of a scenario, and the entry of each controller."""
    task = find_scenario(scenario)
    if asked.write and task.is_foreign:
        raise SystemExit(
            f"{scenario} is a scenario of your own, and --write is for the package's: leave --write out, and give the "
            "chosen variant as --policy"
        )
    models = task.value.models if asked.controllers == ["all"] else asked.controllers or task.value.models[:1]
    entries = {}
    for controller in models:
        setting = setting_for(task, controller, controller)
        # Programs of the task before are not needed again, and hold memory maps, of which a process may have 65,530.
        jax.clear_caches()
        choice = choose(
            setting,
            asked.variants,
            patients=asked.patients,
            seed=asked.seed,
            progress=lambda text, _: print(f"  {text}", file=sys.stderr, flush=True),
        )
        entries[setting.controller.name] = {**choice.record(), "command": _command(task.name, controller, asked)}
        print(f"\n{task.name}, controller {setting.controller.name}: {choice.chosen}\n\n{shown(choice)}", flush=True)
    return task.env_id, entries


def _command(scenario: str, controller: str, asked: argparse.Namespace) -> str:
    own = "" if tuple(asked.variants) == VARIANTS else f" --variants {' '.join(asked.variants)}"
    return (
        f"scripts/choose_bayes.py {scenario} --controllers {controller} --patients {asked.patients} "
        f"--seed {asked.seed}{own}"
    )


def write(env_id: str, entries: dict[str, Any]) -> None:
    """Put the entries of a scenario into the table."""
    known = json.loads(TABLE.read_text())["scenarios"]
    known[env_id] = {**known.get(env_id, {}), **entries}
    atomic_write(TABLE, (json.dumps({"scenarios": dict(sorted(known.items()))}, indent=1) + "\n").encode())


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="a name or a file; all built-in ones if none")
    parser.add_argument("--scenario", action="append", default=[], metavar="SCENARIO", help="the same, repeatable")
    parser.add_argument("--patients", type=int, default=250, help="in each of the two cohorts")
    parser.add_argument("--seed", type=int, default=1, help="of the validation cohorts")
    parser.add_argument("--variants", nargs="+", default=VARIANTS, metavar="POLICY", help="the simplest first")
    parser.add_argument(
        "--controllers", nargs="+", default=[], metavar="MODEL", help="drug models, or all; by default the first one"
    )
    parser.add_argument("--write", action="store_true", help=f"put the choices into {Path(TABLE.name)}")
    asked = parser.parse_args(arguments)
    configure("cpu")
    try:
        for scenario in [*asked.scenarios, *asked.scenario] or names(SCENARIO):
            env_id, entries = choices_of(scenario, asked)
            if asked.write:
                # At once, so that an interrupted run keeps what it has chosen.
                write(env_id, entries)
    except RlDrugDosageError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
