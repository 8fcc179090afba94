"""The named formulas, against independent calculators and by hand."""

import jax.numpy as jnp
import pytest

from rl_drug_dosage.bedside.formulas import (
    FORMULAS,
    adjusted_body_weight_kg,
    bsa_du_bois_m2,
    bsa_mosteller_m2,
    ckd_epi_2009,
    ckd_epi_2021,
    cockcroft_gault,
    find_formula,
    ideal_body_weight_kg,
    lean_body_mass_james_kg,
    lean_body_weight_kg,
    schwartz_2009,
)
from rl_drug_dosage.drugs.shared.body_size import fat_free_mass_kg
from rl_drug_dosage.errors import ConfigError, UnknownNameError

MG_DL = 1.0 / 88.4


@pytest.mark.parametrize(
    ("age", "weight", "creatinine", "female", "expected"),
    [
        (40, 80, 1.0, 0, 111.11),  # (140 - 40) 80 / 72, and 111 in InsightRX/clinPK's tests
        (25, 60, 1.0, 1, 81.46),  # transplantr's tests: 88.4 umol/L
        (50, 105.0, 1.0, 0, 131.25),  # clinPK: adjusted weight of 150 kg at 180 cm
    ],
)
def test_cockcroft_gault(age, weight, creatinine, female, expected):
    assert cockcroft_gault(age, weight, creatinine, female) == pytest.approx(expected, abs=0.005)


@pytest.mark.parametrize(
    ("creatinine", "age", "female", "whole"),
    [(50, 40, 1, 116), (30, 50, 0, 148), (30, 50, 1, 128), (60, 60, 1, 95), (100, 70, 0, 65), (100, 70, 1, 49)],
)
def test_ckd_epi_2009_as_the_calculator_of_the_national_kidney_foundation(creatinine, age, female, whole):
    """Whole mL/min/1.73m2 below the value, as the tests of SCREAM have them, µmol/L."""
    assert int(ckd_epi_2009(age, creatinine * MG_DL, female)) == whole


def test_ckd_epi_2009_as_transplantr():
    assert ckd_epi_2009(45.2, 120 * MG_DL, 0) == pytest.approx(62.5, abs=0.06)


@pytest.mark.parametrize(("creatinine", "age", "expected"), [(1.09, 55, 80), (1.2, 55, 71)])
def test_ckd_epi_2021_as_the_calculator_of_the_national_kidney_foundation(creatinine, age, expected):
    assert round(ckd_epi_2021(age, creatinine, 0)) == expected


def test_ckd_epi_2021_has_the_factors_of_women():
    """By hand at the knot: 142 0.9938^40 1.012."""
    assert ckd_epi_2021(40, 0.7, 1) == pytest.approx(142 * 0.9938**40 * 1.012)
    assert ckd_epi_2021(40, 0.35, 1) == pytest.approx(142 * 0.5**-0.241 * 0.9938**40 * 1.012)


def test_schwartz():
    """clinPK: 50 cm, 0.5 mg/dL; transplantr: 101 cm, 0.6 mg/dL."""
    assert schwartz_2009(50, 0.5) == pytest.approx(41.3)
    assert schwartz_2009(101, 0.6) == pytest.approx(69.5, abs=0.03)


def test_body_surface():
    """180 cm and 80 kg: sqrt(4) by Mosteller, 1.996 by Du Bois; 170 cm and 70 kg: 1.818."""
    assert bsa_mosteller_m2(80, 180) == pytest.approx(2.0)
    assert bsa_mosteller_m2(70, 170) == pytest.approx(1.818, abs=5e-4)
    assert bsa_du_bois_m2(80, 180) == pytest.approx(1.9964, abs=5e-5)


def test_body_weights():
    """clinPK: ideal 75.0 kg at 180 cm, adjusted 77.0 kg of 80, fat-free 56 and 46 kg at BMI 30, lean mass 56.4 kg."""
    assert ideal_body_weight_kg(180, 0) == pytest.approx(75.0, abs=0.05)
    assert ideal_body_weight_kg(180, 1) == pytest.approx(70.5, abs=0.05)
    assert adjusted_body_weight_kg(80, 180, 0) == pytest.approx(77.0, abs=0.05)
    height = 100.0 * (80 / 30) ** 0.5
    assert lean_body_weight_kg(80, height, 0) == pytest.approx(56, abs=0.5)
    assert lean_body_weight_kg(80, height, 1) == pytest.approx(46, abs=0.5)
    assert lean_body_mass_james_kg(80, 180, 1) == pytest.approx(56.4, abs=0.05)


def test_lean_body_weight_is_the_fat_free_mass_of_the_drug_files():
    for female in (0.0, 1.0):
        own = fat_free_mass_kg(jnp.asarray(70.0), jnp.asarray(170.0), jnp.asarray(female))
        assert lean_body_weight_kg(70, 170, female) == pytest.approx(float(own), rel=1e-5)


def test_every_formula_has_a_source_and_answers_for_a_patient_that_it_was_made_for():
    patient = {"age": 17.9, "weight": 60.0, "height": 170.0, "creatinine": 0.9, "female": 1.0}
    for formula in FORMULAS:
        age = 40.0 if formula.valid.get("age", (0, 0))[0] == 18.0 else 10.0
        assert formula.source
        assert formula(patient | {"age": age}) > 0


def test_a_patient_for_whom_a_formula_was_not_made_is_refused():
    child = {"age": 7.0, "weight": 25.0, "height": 120.0, "creatinine": 0.5, "female": 0.0}

    with pytest.raises(ConfigError, match="cockcroft-gault was made for age of at least 18 y, and it is 7"):
        find_formula("crcl", "cockcroft-gault")(child)
    with pytest.raises(ConfigError, match=r"devine was made for height of at least 152.4 cm, and it is 120"):
        find_formula("ibw", "devine")(child)
    with pytest.raises(UnknownNameError, match="did you mean 'cockcroft-gault'"):
        find_formula("crcl", "cockroft-gault")
