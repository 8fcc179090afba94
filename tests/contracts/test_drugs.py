"""Every built-in drug file keeps the public contract (`rl_drug_dosage.checks`), to the last warning."""

import pytest

from rl_drug_dosage.checks import check_drug
from rl_drug_dosage.registry import DRUG, load_drug, modules, public_name


@pytest.fixture(params=modules(DRUG.room))
def module_name(request):
    return request.param


@pytest.fixture
def drug(module_name):
    return load_drug(module_name)


@pytest.mark.long
def test_it_keeps_the_contract(drug):
    """What is written down: sourced numbers, known units, sensible patients across the published ranges."""
    report = check_drug(drug, level="declared")
    assert not report.findings, str(report)
    assert not report.skipped


@pytest.mark.slow
def test_it_keeps_the_laws(drug):
    """Simulated: finite, not negative, mass balance, proportional doses, closed form = ODE."""
    report = check_drug(drug, level="thorough")
    assert not report.findings, str(report)
    assert not report.skipped


def test_the_name_is_that_of_the_file(drug, module_name):
    """`vancomycin_thomson2009.py` holds the drug `vancomycin-thomson2009`, whose generic name opens it."""
    assert drug.name == public_name(module_name)
    assert drug.name.startswith(drug.drug.split()[0].lower())


def test_what_could_not_be_traced_is_in_the_test_report(drug, record_property):
    """Numbers that no source backs; that they say so is part of the contract."""
    marked = [name for name, param in drug.thetas.items() if param.unverified]
    marked += [covariate.name for covariate in drug.covariates if "unverified" in covariate.source]
    record_property("unverified", ", ".join(marked))
    assert drug.second_source
