"""A flattened prior, and shrinkage: closed forms of a linear model with normal effects and errors."""

import csv
import math

import jax
import numpy as np
import pytest

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pharmacometrics.estimation import EstimationOptions, estimate
from rl_drug_dosage.pkpd import Dose, Eta, Mammillary, Output, Residual, make_levels, no_covariates
from rl_drug_dosage.pkpd.bayes import PatientData, fit_patients, flattened, prior_covariance
from rl_drug_dosage.registry import DRUG, load_drug, modules, public_name

OMEGA, SIGMA, BASE = 2.0, 1.5, 20.0
LEVELS = 3


@pytest.fixture(scope="module")
def baseline(toy, number):
    """A level that is BASE + eta whatever is given, measured with an additive error."""
    return toy(
        Mammillary(0),
        {"cl": 1.0, "v1": 1.0, "base": BASE},
        etas=(Eta("base", number(OMEGA), "sd", form="additive"),),
        outputs=(Output("biomarker", "1", Residual("additive", number(SIGMA)), lambda state, p: p["base"]),),
        targets=(),
    )


@pytest.mark.long
@pytest.mark.parametrize("weight", [1.0, 0.5, 0.04, 3.0])
def test_the_estimate_is_the_precision_weighted_mean(baseline, weight):
    """eta^ = (n / s^2) (mean - base) / (n / s^2 + w / omega^2), with the inverse of the denominator as variance."""
    values = [22.0, 25.5, 24.0]
    levels = make_levels(baseline, [1.0, 2.0, 3.0], values)
    patient = PatientData("a", (Dose(0.0, 1.0),), no_covariates(), levels)
    (fit,) = fit_patients(flattened(baseline, weight), [patient])

    information = LEVELS / SIGMA**2
    precision = information + weight / OMEGA**2
    assert fit.estimate.eta[0] == pytest.approx(information * (np.mean(values) - BASE) / precision, rel=1e-9)
    assert fit.estimate.covariance[0, 0] == pytest.approx(1.0 / precision, rel=1e-9)
    residuals = np.array(values) - BASE - float(fit.estimate.eta[0])
    objective = LEVELS * math.log(SIGMA**2) + np.sum(residuals**2) / SIGMA**2
    objective += weight * float(fit.estimate.eta[0]) ** 2 / OMEGA**2
    assert fit.estimate.objective == pytest.approx(objective, rel=1e-9)


@pytest.mark.long
@pytest.mark.parametrize("name", [public_name(name) for name in modules(DRUG.room)])
def test_every_built_in_prior_is_divided_and_with_one_it_is_the_same_object(name):
    """Omegas of every kind, covariances, correlations, occasions."""
    model = load_drug(name)
    if not model.etas:
        pytest.skip("no random effects")
    assert flattened(model, 1.0) is model
    occasions = 2 if model.occasion_etas else 0
    with jax.enable_x64(True):
        whole, wide = (prior_covariance(each, occasions) for each in (model, flattened(model, 0.25)))
    np.testing.assert_allclose(wide, 4.0 * whole, rtol=1e-12)


@pytest.mark.parametrize("weight", [0.0, -1.0, math.nan, math.inf, 1e-4, 1e4])
def test_a_weight_that_is_none_is_refused(baseline, weight):
    with pytest.raises(ConfigError, match=r"--prior-weight must be a number from 0.001 to 1000"):
        flattened(baseline, weight)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A file of 400 patients with LEVELS levels each, one without a level in use, and the patients' true means."""
    rng = np.random.default_rng(7)
    lines = ["ID,TIME,AMT,DV"]
    for i in range(400):
        own = BASE + OMEGA * rng.normal()
        lines += [f"{i},0,1,."] + [f"{i},{k + 1},.,{own + SIGMA * rng.normal():.6f}" for k in range(LEVELS)]
    path = tmp_path_factory.mktemp("shrinkage") / "many.csv"
    path.write_text("\n".join([*lines, "nobody,0,1,."]))
    return path


@pytest.mark.long
def test_shrinkage_is_what_the_design_implies(baseline, many, tmp_path):
    """SD(eta^) / omega = sqrt(r), var / omega^2 = 1 - r, SD(IWRES)^2 = 1 - r / n, r = 1 / (1 + s^2 / (n omega^2))."""
    result = estimate(EstimationOptions(baseline, many, output_dir=tmp_path))
    eta, epsilon = result.shrinkage
    r = 1.0 / (1.0 + SIGMA**2 / (LEVELS * OMEGA**2))

    assert (eta.kind, eta.name, eta.count) == ("eta", "base", 400)
    assert eta.pct == pytest.approx(100 * (1 - math.sqrt(r)), abs=3 * 100 / math.sqrt(2 * 399))
    assert eta.from_variances_pct == pytest.approx(100 * (1 - r), rel=1e-6)
    estimates = [float(p.fitted.estimate.eta[0]) for p in result.patients[:400]]
    assert eta.sd == pytest.approx(np.std(estimates, ddof=1), rel=1e-12)
    assert (epsilon.kind, epsilon.name, epsilon.count) == ("epsilon", "biomarker", 400 * LEVELS)
    assert epsilon.pct == pytest.approx(100 * (1 - math.sqrt(1 - r / LEVELS)), abs=3 * 100 / math.sqrt(2 * 1199))

    rows = list(csv.DictReader((tmp_path / "shrinkage.csv").read_text().splitlines()))
    assert [(row["KIND"], row["N"]) for row in rows] == [("eta", "400"), ("epsilon", "1200")]
    assert float(rows[0]["SHRINKAGE_PCT"]) == pytest.approx(eta.pct, rel=1e-5)
    assert rows[0]["NOTE"] == ""

    flat = estimate(EstimationOptions(baseline, many, prior_weight=0.1))
    assert flat.shrinkage[0].omega == pytest.approx(OMEGA / math.sqrt(0.1))
    assert flat.shrinkage[0].from_variances_pct < eta.from_variances_pct
    assert any("weight 0.1" in note for note in flat.notes)


@pytest.mark.long
def test_of_a_few_patients_the_number_is_called_uncertain_and_of_one_it_is_none(baseline, tmp_path):
    few = tmp_path / "few.csv"
    few.write_text("ID,TIME,AMT,DV\n1,0,1,.\n1,1,.,22\n2,0,1,.\n2,1,.,19\n3,0,1,.\n3,1,.,21\n")
    eta, epsilon = estimate(EstimationOptions(baseline, few)).shrinkage
    assert eta.note == "3 only: SD is uncertain by about 50 %"
    assert epsilon.count == 3

    few.write_text("ID,TIME,AMT,DV\n1,0,1,.\n1,1,.,22\n")
    eta, _ = estimate(EstimationOptions(baseline, few)).shrinkage
    assert math.isnan(eta.pct)
    assert eta.note == "1 of two that a standard deviation needs"
    assert eta.from_variances_pct == pytest.approx(100 / (1 + OMEGA**2 / SIGMA**2), rel=1e-6)
