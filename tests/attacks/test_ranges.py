"""What no patient can be is refused in one line at every door; what is unusual is a warning that stays."""

import dataclasses
import json
import math

import numpy as np
import pytest

import rl_drug_dosage as rldd
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import Covariate, CovariateError, Fixed, Normal
from rl_drug_dosage.registry import DRUG, SCENARIO, find, load_drug, load_scenario, names

BUELGA = "vancomycin-buelga2005"
WARD = {"crcl_ml_per_min": 80.0, "wt_kg": 75.0}
CLINIC = {"age_y": 64.0, "cyp2c9": "*1/*3", "vkorc1": "GA"}
SLIPS = [
    ({"crcl_ml_per_min": -99}, "is -99 a code for missing"),
    ({"crcl_ml_per_min": -999.0}, "is -999 a code for missing"),
    ({"crcl_ml_per_min": 999}, "is 999 a code for missing"),
    ({"crcl_ml_per_min": -9}, "is -9 a code for missing"),
    ({"crcl_ml_per_min": -1e-3}, "possible is from 0 to 600 mL/min"),
    ({"crcl_ml_per_min": math.inf}, "finite number"),
    ({"wt_kg": 75_000}, "possible is from 0.1 to 650 kg"),
    ({"wt_kg": 0}, "possible is from 0.1 to 650 kg"),
    ({"wt_kg": -75}, "possible is from 0.1 to 650 kg"),
    ({"wt_kg": math.nan}, "finite number"),
    ({"wt_kg": True}, "is True: give a number|mapping of names to numbers, not"),
    ({"wt_kg": np.True_}, "give a number|mapping of names to numbers, not"),
    ({"dialysis": 0.5}, "possible is one of 0, 1"),
    ({"dialysis": 2}, "possible is one of 0, 1"),
]


@pytest.fixture(scope="module")
def label():
    return rldd.load_policy("label", "vancomycin")


@pytest.fixture(scope="module")
def warfarin():
    return rldd.load_policy("label", "warfarin")


@pytest.mark.parametrize(("slip", "said"), SLIPS)
def test_the_bedside_refuses_what_no_patient_is(label, slip, said):
    for ask in (lambda: label.start({**WARD, **slip}), lambda: label.start(WARD).update(slip)):
        with pytest.raises(ConfigError, match=said) as error:
            ask()
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(("slip", "said"), [s for s in SLIPS if "dialysis" not in s[0]])
def test_a_simulation_refuses_what_no_patient_is(slip, said):
    with pytest.raises(ConfigError, match=said):
        rldd.simulate(BUELGA, patients=2, days=1, covariates={**WARD, **slip})


@pytest.mark.parametrize(
    ("slip", "said"),
    [
        ({"age_y": 150}, "possible is from 0 to 130 y"),
        ({"cyp2c9": 7}, "possible is one of 11, 12, 13, 22, 23, 33"),
        ({"cyp2c9": "*4/*9"}, "give a number or one of"),
        ({"vkorc1": 3}, "possible is one of 0, 1, 2"),
        ({"inr_base": 60}, "possible is from 0.3 to 30"),
        ({"age_years": 60}, "given twice, as 'age_y' and 'age_years'"),
        ({"CYP2C9": "*1/*1"}, "given twice"),
    ],
)
def test_genotypes_ages_and_aliases(warfarin, slip, said):
    with pytest.raises(ConfigError, match=said):
        warfarin.start({**CLINIC, **slip})


def test_an_alias_updates_what_was_told_under_the_name(label):
    course = label.start(WARD)
    before = course.recommend()
    course.update({"weight": 120.0})

    assert course.recommend() > before


@pytest.mark.parametrize(
    ("time_h", "level", "said"),
    [
        (math.nan, 2.0, "time of a level is nan"),
        (math.inf, 2.0, "time of a level is inf"),
        (True, 2.0, "time of a level is True"),
        (0.0, 60.0, "numbers >= 0.3 and <= 30"),
        (0.0, -99.0, "is -99 a code for missing"),
        (0.0, 0.0, "numbers >= 0.3"),
        (0.0, math.inf, "finite number"),
        (0.0, True, "finite number"),
        (0.0, "high", "finite number"),
    ],
)
def test_levels_that_nobody_has_are_refused(warfarin, time_h, level, said):
    with pytest.raises(ConfigError, match=said):
        warfarin.start(CLINIC).observe(time_h, level)


@pytest.mark.parametrize("dose", [500.0, 1e300, math.nan, math.inf, -1.0, True, "5 mg", None])
def test_doses_beyond_the_scenario_are_refused(warfarin, dose):
    course = warfarin.start(CLINIC)

    with pytest.raises(ConfigError, match="dose"):
        course.given(dose)
    assert course.decision == 0


def test_the_unusual_is_a_warning_that_stays_with_the_course(label):
    course = label.start({"crcl_ml_per_min": 180.0, "wt_kg": 75.0})
    course.given(course.recommend())
    course.observe(6.0, 9000.0)

    outside, strange = course.warnings
    assert "crcl_ml_per_min = 180 mL/min is outside the published range [20, 150]" in outside
    assert strange.startswith("level 9000 at 6 h")
    assert not label.start(WARD).warnings


def test_a_list_of_patients_says_whose_warning_it_is(label):
    course = label.start([WARD, {**WARD, "wt_kg": 200.0}])
    course.given([1000.0, 1000.0])
    course.observe(6.0, [9000.0, 20.0])

    assert [w.split(":")[0] for w in course.warnings] == ["patient 2", "patient 1"]


@pytest.mark.long
def test_a_simulation_keeps_its_warning_in_result_and_record(tmp_path):
    result = rldd.simulate(BUELGA, patients=2, days=1, covariates={"crcl_ml_per_min": 300.0}, output_dir=tmp_path)

    (said,) = result.warnings
    assert "300 mL/min is outside the published range [11, 167.8]" in said
    record = next(path for path in result.files if path.suffix == ".json")
    assert json.loads(record.read_text())["warnings"] == [said]


JAMES = {"wt_kg": 160.0, "height_cm": 140.0, "female": 1.0}
"""James's lean body mass of such a woman is negative."""


@pytest.mark.parametrize(
    ("drug", "covariates", "parameter"),
    [
        (BUELGA, {"crcl_ml_per_min": 0.0}, "cl = 0"),
        ("remifentanil-minto1997", {**JAMES, "age_y": 40.0}, "= -"),
    ],
)
def test_parameters_that_are_not_positive_are_no_simulation(tmp_path, drug, covariates, parameter):
    with pytest.raises(CovariateError, match=parameter) as error:
        rldd.simulate(drug, patients=2, days=0.01, covariates=covariates, output_dir=tmp_path)

    for name, value in covariates.items():
        assert f"{name} = {value:g}" in str(error.value)
    assert not list(tmp_path.iterdir())


def test_the_bedside_refuses_covariates_for_which_the_controller_has_no_parameters(label):
    with pytest.raises(CovariateError, match="the patient: vancomycin-thomson2009 gives cl = -0"):
        label.start({**WARD, "crcl_ml_per_min": 0.0})
    with pytest.raises(CovariateError, match="patient 2: vancomycin-thomson2009 gives cl"):
        label.start([WARD, {**WARD, "crcl_ml_per_min": 0.0}])


def test_a_dose_of_1e30_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="1e\\+09 mg"):
        rldd.simulate(BUELGA, patients=2, days=1, dose_mg=1e30, output_dir=tmp_path)
    with pytest.raises(ConfigError, match="dose_mg must be a number"):
        rldd.simulate(BUELGA, patients=2, days=1, dose_mg=True)
    assert not list(tmp_path.iterdir())


CASE_04 = """ID,TIME,AMT,RATE,II,ADDL,SS,EVID,DV,CRCL,WT
1,0,1000,1000,.,.,.,1,{crcl},{crcl},70
1,13,.,.,.,.,.,0,8,{crcl},70
"""


@pytest.mark.parametrize(
    ("crcl", "said"), [("-99", "is this a code for a missing value"), ("0", "patient 1: .* cl = 0")]
)
def test_an_estimate_refuses_covariates_that_give_no_clearance(tmp_path, crcl, said):
    """PsN #200, mrgsolve #39: a missing covariate coded -99 gave CL -6.28 L/h, converged."""
    data, out = tmp_path / "input.csv", tmp_path / "out"
    data.write_text(CASE_04.format(crcl=crcl))

    with pytest.raises(ConfigError, match=said):
        rldd.estimate(BUELGA, data, output_dir=out)
    assert not out.exists()


def test_the_built_in_ranges_are_possible():
    for kind in (DRUG, SCENARIO):
        for name in names(kind):
            for c in find(kind, name).value.covariates:
                for value in c.codes or (c.low, c.typical, c.high):
                    c.check(value)
                    assert not c.outside(value, name)


def test_known_quantities_have_bounds_whatever_the_column_is_called():
    for column in ("WT", "BODYWEIGHT", "weight"):
        assert Covariate("w", "kg", 40, 90, 70, "", "", Normal(70, 9), column).bounds == (0.1, 650)
    assert Covariate("w", "stone", 5, 20, 11, "", "", Normal(11, 2), "WT").bounds[0] > 0
    assert Covariate("x", "1", -5, 5, 0, "", "", Normal(0, 1), "X").bounds == (-math.inf, math.inf)


def test_a_change_may_be_negative_and_a_code_for_missing_may_not():
    change = next(c for c in load_drug("gentamicin-staatz2005").covariates if c.name == "crcl_change_ml_per_min")

    assert change.number(-9) == -9.0
    with pytest.raises(CovariateError, match="is -99 a code for missing"):
        change.number(-99)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"low": -5.0}, "low of covariate 'wt_kg' is -5 kg"),
        ({"high": 75_000.0}, "high of covariate 'wt_kg' is 75000 kg"),
        ({"distribution": Fixed(-99.0)}, "the fixed value of covariate 'wt_kg' is -99 kg"),
        ({"possible": (5.0, 5.0)}, "give the lowest and the highest"),
    ],
)
def test_a_scenario_of_impossible_patients_is_refused(changes, said):
    weight = next(c for c in load_scenario("vancomycin").covariates if c.name == "wt_kg")

    with pytest.raises(CovariateError, match=said):
        dataclasses.replace(weight, **changes)
    assert dataclasses.replace(weight, high=900.0, possible=(1.0, 1000.0)).number(800.0) == 800.0


SCENARIO_FILE = """
title = "vancomycin in a ward"
drug = "vancomycin-buelga2005"

[cohort]
{cohort}

[schedule]
interval_h = 12
decisions = 3
output_times_h = [2, 12]

[monitoring]
at_h = [12]
source = "invented"

[goal]
title = "trough (%)"

[[goal.targets]]
metric = "trough"
low = 10
high = 20
unit = "mg/L"
source = "invented"

[shield]
{shield}
"""


def test_a_scenario_file_is_read(tmp_path):
    path = tmp_path / "ward.toml"
    path.write_text(SCENARIO_FILE.format(cohort="", shield="factor = 2\nfactor_intervals = 3"))

    assert load_scenario(path).shield.factor_intervals == 3


@pytest.mark.parametrize(
    ("cohort", "shield", "said"),
    [
        ("[cohort.wt_kg]\nlow = -5", "", "low of covariate 'wt_kg' is -5 kg"),
        ("[cohort.wt_kg]\nhigh = 75000", "", "possible is 0.1 to 650"),
        ('[cohort.wt_kg.distribution]\nkind = "fixed"\nvalue = -99', "", "the fixed value of covariate 'wt_kg'"),
        ('csv = "p.csv"', "", "row 3: crcl_ml_per_min = -99 mL/min is outside 11 to 167.8: is -99 a code for missing"),
        ("", "dose = inf", "finite number"),
        ("", "dose = -1", "dose of the shield is -1.0"),
        ("", "factor_intervals = 0", "factor_intervals of the shield is 0"),
    ],
)
def test_a_scenario_file_with_impossible_numbers_is_refused(tmp_path, cohort, shield, said):
    path = tmp_path / "ward.toml"
    path.write_text(SCENARIO_FILE.format(cohort=cohort, shield=shield))
    (tmp_path / "p.csv").write_text("ID,CRCL,WT\n1,95,70\n2,-99,70\n")

    with pytest.raises(ConfigError, match=said) as error:
        load_scenario(path)
    assert "\n" not in str(error.value)
