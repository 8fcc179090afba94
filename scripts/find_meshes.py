"""Find the steps of support patients for the scenarios of the package: ``clinic/ensemble/meshes.json``.

Whoever doses in a scenario then need not search for them, which compiles for seconds; see `clinic.ensemble.meshes`.
What stands in the table already is kept, and what nothing asks for any more goes. Needed after a change of a drug model
or of a scenario whose model has no closed form: a test names it.

    scripts/find_meshes.py            what is missing
    scripts/find_meshes.py --anew     everything
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from typing import Any

from rl_drug_dosage.clinic.assumptions import assumed_models
from rl_drug_dosage.clinic.ensemble.mesh_search import found
from rl_drug_dosage.clinic.ensemble.meshes import CARRIED, FORESEEN, TABLE, key_of
from rl_drug_dosage.clinic.ensemble.steps import steps_apply
from rl_drug_dosage.registry import SCENARIO, load_scenario, names
from rl_drug_dosage.utils.files import atomic_write
from rl_drug_dosage.utils.runtime import configure


def asked_for() -> Iterator[tuple[str, dict[str, Any], tuple[Any, Any, float]]]:
    """Key, description and arguments of every search that Bayesian dosing in the package's scenarios needs."""
    for name in names(SCENARIO):
        scenario = load_scenario(name)
        for controller in scenario.models:
            for prior in ("published", "widened"):
                (model,) = assumed_models(scenario, controller, prior, whole=True)
                for tolerance in (CARRIED, FORESEEN) if steps_apply(model, scenario) else ():
                    about = {"scenario": name, "model": controller, "prior": prior, "tolerance": tolerance}
                    yield key_of(model, scenario, tolerance), about, (model, scenario, tolerance)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anew", action="store_true", help="search for those that are known as well")
    asked = parser.parse_args(arguments)
    configure("cpu")
    known = json.loads(TABLE.read_text()) if TABLE.exists() and not asked.anew else {}
    entries = {}
    for key, about, (model, scenario, tolerance) in asked_for():
        if key in known:
            steps = known[key]["steps"]
        elif key not in entries:
            steps = found(model, scenario, tolerance)
            print(about, steps, flush=True)
        entries[key] = {**about, "steps": steps}
    lines = [f" {json.dumps(key)}: {json.dumps(entry)}" for key, entry in entries.items()]
    atomic_write(TABLE, ("{\n" + ",\n".join(lines) + "\n}\n").encode())


if __name__ == "__main__":
    main()
