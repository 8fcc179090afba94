"""How doses change while the level is held at its aim, for the table in docs/benchmark.md: see `checks.held`.

scripts/held_levels.py warfarin:label warfarin:models/warfarin.pt vancomycin:mipd-ensemble,steady=0.1
"""

import argparse
from collections.abc import Sequence

from markdown import table

from rl_drug_dosage.checks.held import HeldCourse, held_course
from rl_drug_dosage.errors import RlDrugDosageError
from rl_drug_dosage.trials.entrants import enter
from rl_drug_dosage.trials.setting import setting_for
from rl_drug_dosage.utils.runtime import configure


def held(scenario: str, policy: str) -> HeldCourse:
    """The course of a policy in a scenario whose controllers believe the first drug model."""
    setting = setting_for(scenario)
    return held_course(setting, enter(setting, policy, seed=1).policy)


def row(scenario: str, policy: str, course: HeldCourse) -> list[str]:
    """Of the table: the change over the last third, and the last six doses."""
    near = ", two neighbouring amounts" if course.neighbours else ""
    last = ", ".join(f"{dose:g}" for dose in course.doses[-6:])
    return [scenario, f"`{policy}`", f"{course.change_pct:.0f} %", str(course.zigzags), f"{last} {course.unit}{near}"]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("asked", nargs="+", metavar="SCENARIO:POLICY", help="a policy in any form that benchmark takes")
    configure("cpu")
    rows = []
    for one in parser.parse_args(arguments).asked:
        scenario, _, policy = one.partition(":")
        try:
            rows.append(row(scenario, policy, held(scenario, policy)))
        except RlDrugDosageError as error:
            parser.error(f"{one}: {error}")
    print(table(["scenario", "policy", "change of dose, last third", "zigzags", "last doses"], rows))


if __name__ == "__main__":
    main()
