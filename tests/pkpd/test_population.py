"""Random effects, covariates and the drug description."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.drugs.vancomycin_goti2018 import DRUG
from rl_drug_dosage.pkpd import (
    Categorical,
    Correlation,
    Covariate,
    CovariateError,
    Derived,
    Dose,
    DrugModelError,
    Eta,
    Fixed,
    LogNormal,
    Mammillary,
    Normal,
    Residual,
    Route,
    Target,
    Uniform,
    draw_patients,
    individual_parameters,
    make_covariates,
    make_regimen,
    omega,
    outside_range,
    predict,
    stack_covariates,
)

ONE = Mammillary(0)
TYPICAL = {"cl": 4.0, "v1": 50.0}


@pytest.mark.parametrize(
    ("kind", "size", "unit", "variance"),
    [
        ("var", 0.09, "1", 0.09),
        ("sd", 0.3, "1", 0.09),
        ("cv_approx", 30.0, "%", 0.09),
        ("cv_exact", 30.0, "%", math.log(1.09)),
    ],
)
def test_each_kind_of_size_gives_its_variance(toy, number, kind, size, unit, variance):
    """30 % as omega^2, omega, approximate and exact CV."""
    drug = toy(ONE, TYPICAL, etas=(Eta("cl", number(size, unit), kind),))
    np.testing.assert_allclose(omega(drug), [[variance]], rtol=1e-12)


def test_goti_omegas_and_typical_patient():
    """omega^2 of 0.147, 0.510, 0.282 as nlmixr2lib prints them; CL = 4.5 (60/120)^0.8 0.7, V1 = 58.4 (90/70) 0.5."""
    np.testing.assert_allclose(np.diag(omega(DRUG)), [0.14705, 0.51019, 0.28232], rtol=1e-3)
    p = DRUG.typical(crcl_ml_per_min=60, wt_kg=90, dialysis=1)
    np.testing.assert_allclose([p["cl"], p["v1"], p["v2"], p["q2"]], [1.80920, 37.54286, 38.4, 6.5], rtol=1e-5)


def test_drawn_etas_have_their_covariance_and_occasions_are_independent(toy, number):
    """A full block over two etas and one kappa, within sampling error of 20,000 patients."""
    drug = toy(
        ONE, TYPICAL, omega_sd={"cl": 0.3, "v1": 0.5}, correlations=(Correlation("cl", "v1", number(0.6), "corr"),),
        occasion_etas=(Eta("cl", number(0.2), "sd"),),
    )  # fmt: skip
    patients = jax.jit(lambda: draw_patients(drug, jax.random.key(1), 0, 20_000, 2))()
    got = np.cov(np.asarray(jnp.concatenate([patients.eta, patients.kappa[:, :, 0]], axis=1)).T)
    want = np.diag([0.09, 0.25, 0.04, 0.04])
    want[0, 1] = want[1, 0] = 0.6 * 0.3 * 0.5
    np.testing.assert_allclose(got, want, atol=0.01)


def test_kappas_act_on_their_occasion_and_future_ones_are_zero(toy, number):
    """CL exp(eta + kappa) in occasions 0 and 1, CL exp(eta) in the unseen occasion 2."""
    drug = toy(ONE, TYPICAL, omega_sd={"cl": 0.3}, occasion_etas=(Eta("cl", number(0.2), "sd"),))
    table = make_covariates(drug, {}, [0.0, 10.0, 20.0], [0, 1, 2])
    p = individual_parameters(drug, table, jnp.array([0.1]), jnp.array([[0.2], [-0.3]]))
    np.testing.assert_allclose(p["cl"], 4.0 * np.exp([0.3, -0.2, 0.1]), rtol=1e-6)
    np.testing.assert_allclose(p["v1"], 50.0)


@pytest.mark.parametrize(
    ("form", "want"),
    [("lognormal", 0.4 * math.exp(0.5)), ("proportional", 0.6), ("additive", 0.9), ("logit", 0.5236161)],
)
def test_each_form_of_random_effect(toy, number, form, want):
    """eta = 0.5 on 0.4."""
    drug = toy(ONE, {**TYPICAL, "f_central": 0.4}, etas=(Eta("f_central", number(1.0), "sd", form),))
    p = individual_parameters(drug, make_covariates(drug, {}), jnp.array([0.5]))
    np.testing.assert_allclose(p["f_central"], [want], rtol=1e-6)


def test_covariates_of_a_cohort_stay_in_range_and_depend_on_each_other(toy):
    """Truncation, categories and derived covariates, over 4,000 patients."""

    units = {"ht_cm": "cm", "wt_kg": "kg", "age_y": "y", "bmi": "kg/m2"}

    def covariate(name, low, high, distribution):
        return Covariate(name, units.get(name, "1"), low, high, low, "invented", "invented", distribution, name.upper())

    drug = toy(
        ONE, TYPICAL,
        covariates=(
            covariate("female", 0, 1, Categorical((0.0, 1.0), (0.25, 0.75))),
            covariate("ht_cm", 140, 210, Normal(lambda drawn: 180.0 - 15.0 * drawn["female"], 5.0)),
            covariate("wt_kg", 60, 80, LogNormal(70.0, 0.5)),
            covariate("age_y", 20, 90, Uniform(30.0, 40.0)),
            covariate("bmi", 10, 60, Derived(lambda drawn: drawn["wt_kg"] / (drawn["ht_cm"] / 100) ** 2)),
            covariate("unit", 0, 1, Fixed(0.5)),
        ),
    )  # fmt: skip
    drawn = jax.jit(lambda: draw_patients(drug, jax.random.key(2), 0, 4000))().covariates.values
    got = {name: np.asarray(column)[:, 0] for name, column in drawn.items()}
    assert abs(got["female"].mean() - 0.75) < 0.03
    assert abs(got["ht_cm"][got["female"] == 1].mean() - 165) < 0.5
    assert 60 <= got["wt_kg"].min() < 61
    assert 79 < got["wt_kg"].max() <= 80
    assert 30 <= got["age_y"].min() <= got["age_y"].max() <= 40
    np.testing.assert_allclose(got["bmi"], got["wt_kg"] / (got["ht_cm"] / 100) ** 2, rtol=1e-6)


@pytest.mark.long
def test_padded_tables_predict_as_the_short_ones_do():
    """Stacking a one-record with a two-record patient changes neither."""
    values = {"crcl_ml_per_min": 80.0, "wt_kg": 70.0, "dialysis": 0.0}
    short = make_covariates(DRUG, values)
    long = make_covariates(DRUG, {**values, "crcl_ml_per_min": [80.0, 20.0]}, [0.0, 24.0])
    regimen, times = make_regimen([Dose(0, 1000, duration_h=1)], DRUG.structure), jnp.array([12.0, 40.0])
    both = jax.vmap(lambda table: predict(DRUG, regimen, table, times))(stack_covariates([short, long]))
    np.testing.assert_allclose(both[0], predict(DRUG, regimen, short, times), rtol=1e-6)
    np.testing.assert_allclose(both[1], predict(DRUG, regimen, long, times), rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ({"wt_kg": 70.0}, {}, "'crcl_ml_per_min' is missing"),
        ({"weight": 70.0}, {}, "unknown covariate 'weight'"),
        ({"wt_kg": math.nan, "crcl_ml_per_min": 60.0, "dialysis": 0.0}, {}, "'wt_kg' is nan"),
        ({"wt_kg": [70.0, 71.0], "crcl_ml_per_min": 60.0, "dialysis": 0.0}, {}, "2 values for 1 records"),
        (
            {"wt_kg": 70.0, "crcl_ml_per_min": 60.0, "dialysis": 0.0},
            {"time_h": [5.0, 5.0]},
            "later than the one before",
        ),
        ({"wt_kg": 70.0, "crcl_ml_per_min": 60.0, "dialysis": 0.0}, {"occasion": [-1]}, "one index >= 0"),
    ],
)
def test_wrong_covariates_are_refused(values, options, message):
    """Each names what came and what is known."""
    with pytest.raises(CovariateError, match=message):
        make_covariates(DRUG, values, **options)


def test_a_covariate_outside_the_published_range_is_said_and_kept():
    """300 kg where the study saw 33 to 255."""
    table = make_covariates(DRUG, {"wt_kg": 300.0, "crcl_ml_per_min": 60.0, "dialysis": 0.0})
    (said,) = outside_range(DRUG, table)
    assert "wt_kg = 300 kg" in said
    assert "[33, 255]" in said
    assert table.values["wt_kg"][0] == 300.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"etas": lambda number: (Eta("q9", number(0.1), "var"),)}, r"etas\[0\]\.parameter is 'q9'"),
        ({"structure": lambda number: Mammillary(1)}, "parameters gives no 'q2', 'v2'"),
        (
            {"dosing": lambda number: dataclasses.replace(DRUG.dosing, routes=(Route("oral", "depot"),))},
            r"dosing\.routes\[0\]\.compartment of 'oral' is 'depot'",
        ),
        ({"dosing": lambda number: dataclasses.replace(DRUG.dosing, amounts_mg=(5.0, 1.0))}, r"dosing\.amounts_mg"),
        ({"targets": lambda number: (Target("inr", "value", 2, 3, "1", ""),)}, r"targets\[0\]\.output is 'inr'"),
        ({"outputs": lambda number: ()}, "outputs is empty"),
        ({"finish": lambda number: lambda p, covariates: {"cl": p["clx"]}}, "finish reads 'clx'"),
    ],
)
def test_a_drug_file_whose_parts_do_not_fit_is_refused(toy, number, changes, message):
    """At once, when the file is imported."""
    made = {name: make(number) for name, make in changes.items()}
    structure = made.pop("structure", ONE)
    with pytest.raises(DrugModelError, match=message):
        toy(structure, TYPICAL, **made)


def test_descriptions_that_contradict_themselves_are_refused(toy, number):
    """Categories without probabilities, residual errors with the wrong numbers, an impossible correlation."""
    with pytest.raises(DrugModelError, match="adding up to 1"):
        Categorical((0.0, 1.0), (0.5, 0.3))
    with pytest.raises(DrugModelError, match="residual error 'combined1'"):
        Residual("combined1", additive=number(1.0))
    impossible = Correlation("cl", "v1", number(1.2), "corr")
    with pytest.raises(DrugModelError, match="not positive semi-definite"):
        omega(toy(ONE, TYPICAL, omega_sd={"cl": 0.3, "v1": 0.3}, correlations=(impossible,)))
    with pytest.raises(DrugModelError, match="has no output 'inr'"):
        DRUG.output_index("inr")
    with pytest.raises(CovariateError, match="unknown covariate 'age'"):
        DRUG.typical(age=50)
