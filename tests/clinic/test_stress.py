"""Stress settings: what each changes, for every scenario to which it applies."""

import jax.numpy as jnp
import pytest

import rl_drug_dosage as rldd
from rl_drug_dosage.clinic.record import empty_record
from rl_drug_dosage.clinic.stress import STRESSES, stressed
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.registry import SCENARIO, find_scenario, names
from rl_drug_dosage.utils.fingerprint import fingerprint


@pytest.mark.long
@pytest.mark.parametrize("name", names(SCENARIO))
def test_a_stress_changes_the_scenario_or_does_not_apply(name):
    """As a value that equals itself and can be recognised by another process."""
    scenario = find_scenario(name).value
    for stress, setting in STRESSES.items():
        if setting.change(scenario) is None:
            with pytest.raises(ConfigError, match="does not apply"):
                stressed(scenario, stress)
        else:
            assert stressed(scenario, stress) != scenario
            assert fingerprint(stressed(scenario, stress)) != fingerprint(scenario)


@pytest.mark.long
@pytest.mark.parametrize(("stress", "factor"), [("label-halved", 0.5), ("label-doubled", 2.0)])
def test_a_wrong_label_misleads_who_follows_it_and_nobody_else(stress, factor):
    """Doses of a course by the label, in the grid's steps; Bayesian dosing keeps the doses that it had."""
    result = rldd.benchmark("vancomycin", policies=["label", "fixed"], patients=40, stress=[stress], progress=False)
    plain = {row["policy"]: row for row in result.record["policies"]}
    wrong = {row["policy"]: row for row in result.record["stress"][0]["policies"]}
    step = 250.0

    # But for the interval, whose random numbers are others.
    same = set(wrong["fixed"]) - {"attainment_pct"}
    assert {key: wrong["fixed"][key] for key in same} == {key: plain["fixed"][key] for key in same}
    # The rule looks at levels, none of which is back before the first doses.
    assert wrong["label"]["total_dose"] == pytest.approx(factor * plain["label"]["total_dose"], rel=0.1, abs=14 * step)
    assert wrong["label"]["attainment_pct"]["mean"] < plain["label"]["attainment_pct"]["mean"] - 10.0


def test_a_wrong_label_stays_on_the_grid():
    """A patient of 110 kg has a loading dose of 2,750 mg, of a grid to 5,000."""
    scenario = find_scenario("vancomycin").value
    doubled = stressed(scenario, "label-doubled")
    table = {c.name: jnp.full(scenario.records, 110.0) for c in scenario.covariates}
    record = empty_record(scenario, table, jnp.zeros(()))

    assert scenario.label(record.facts(), record) == 2750.0
    assert doubled.label(record.facts(), record) == scenario.dosage.amounts[-1] == 5000.0
