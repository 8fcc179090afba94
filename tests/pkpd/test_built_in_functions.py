"""Loading a built-in drug or scenario does not ask its functions, which would cost every process time: this does."""

import dataclasses
import subprocess
import sys

import pytest

from rl_drug_dosage import load_drug, load_scenario
from rl_drug_dosage.clinic.scenario_faults import scenario_faults
from rl_drug_dosage.pkpd._errors import DrugModelError
from rl_drug_dosage.pkpd.faults import drug_faults
from rl_drug_dosage.registry import DRUG, SCENARIO, names
from rl_drug_dosage.utils.built_in import is_built_in_loading


@pytest.mark.parametrize("name", names(DRUG))
def test_a_built_in_drug_has_no_fault(name):
    assert not is_built_in_loading()
    assert list(drug_faults(load_drug(name))) == []


@pytest.mark.parametrize("name", names(SCENARIO))
def test_a_built_in_scenario_has_no_fault(name):
    assert list(scenario_faults(load_scenario(name))) == []


def test_a_built_in_drug_that_is_changed_is_asked():
    drug = load_drug("vancomycin-buelga2005")
    with pytest.raises(DrugModelError, match="parameters gives CL = nan"):
        dataclasses.replace(drug, parameters=lambda thetas, covariates: dict.fromkeys(("CL", "V"), float("nan")))


@pytest.mark.long
def test_a_process_loads_one_without_asking():
    code = (
        "from rl_drug_dosage.pkpd import faults; asked = []\n"
        "faults.function_faults = lambda model: asked.append(model.name) or ()\n"
        "from rl_drug_dosage import load_drug, load_scenario; load_drug('vancomycin-buelga2005')\n"
        "load_scenario('vancomycin'); assert asked == [], asked\n"
        "import dataclasses; dataclasses.replace(load_drug('vancomycin-buelga2005'), title='x')\n"
        "assert asked == ['vancomycin-buelga2005']"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
