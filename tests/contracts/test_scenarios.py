"""Every built-in scenario keeps the public contract (`rl_drug_dosage.checks`).

What is written down, and that a patient is its key alone, is checked of all of them by default, and the ladder (random,
label, Bayesian, oracle) of vancomycin. Everything takes minutes and is slow.
"""

import dataclasses

import pytest

from rl_drug_dosage.checks import check_scenario
from rl_drug_dosage.checks.report import run_checks
from rl_drug_dosage.checks.scenario_ladder import LADDER
from rl_drug_dosage.checks.scenario_laws import A_PATIENT_IS_ITS_KEY_ALONE
from rl_drug_dosage.clinic.scenario import ShieldLimits
from rl_drug_dosage.registry import SCENARIO, find_scenario, names

EVERY = names(SCENARIO)

CUT = {
    "propofol": "the heaviest patients' bolus is more than the pump gives",
    "t1d": "carbohydrates of a large meal ask for more than 3 U",
    "tacrolimus": "proportional dosing after a low level asks for more than 15 mg",
}
"""Scenarios whose label's rule now and then asks for more than the grid holds: the one warning that is accepted."""


@pytest.mark.parametrize("name", EVERY)
def test_it_keeps_the_contract(name):
    report = check_scenario(name, level="declared")
    assert report.ok, str(report)
    assert not report.skipped
    assert {f.field for f in report.warnings} <= ({"label"} if name in CUT else set()), str(report)


@pytest.mark.long
@pytest.mark.parametrize("name", EVERY)
def test_a_patient_is_its_key_alone(name):
    report = run_checks("scenario", name, find_scenario(name).value, [(A_PATIENT_IS_ITS_KEY_ALONE,)])
    assert not report.findings, str(report)


@pytest.mark.slow  # compiles for half a minute
def test_knowing_more_is_never_worse():
    """No dose does nothing, the highest harms, and random << label <= mipd <= oracle: here of vancomycin."""
    report = run_checks("scenario", "vancomycin", find_scenario("vancomycin"), [LADDER])
    assert not report.findings, str(report)


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
@pytest.mark.usefixtures("few_memory_maps")
def test_it_keeps_the_laws(name):
    """Courses are finite, Gymnasium accepts it, and the ladder holds."""
    report = check_scenario(name, level="thorough")
    assert report.ok, str(report)
    assert not report.skipped
    assert {f.field for f in report.warnings} == ({"label"} if name in CUT else set()), str(report)


@pytest.mark.slow
def test_a_highest_dose_that_is_better_than_the_label_and_harms_hardly_more_is_refused():
    """Paclitaxel with doses up to 1.1 times the usual one: whoever gives all patients that one has solved the task."""
    found = find_scenario("paclitaxel")
    dosage = found.value.dosage
    few = dataclasses.replace(dosage, amounts=tuple(a for a in dosage.amounts if a < 1.11))
    task = dataclasses.replace(found, value=dataclasses.replace(found.value, dosage=few, shield=ShieldLimits(dose=1.1)))
    report = run_checks("scenario", "paclitaxel", task, [(LADDER[0],)])
    assert [f.field for f in report.findings] == ["dosage.amounts"], str(report)
    assert "points more patients than the label" in str(report)
