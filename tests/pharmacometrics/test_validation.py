"""Forecasts, their errors, averages of models and predictive checks, against sums done in another way."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pharmacometrics.validation import ValidationOptions, validate_model
from rl_drug_dosage.pharmacometrics.validation_average import (
    averages,
    log_evidence,
    prefer,
    preference_in_words,
    stacking,
    weights_of,
)
from rl_drug_dosage.pharmacometrics.validation_data import find_models, read_clinic
from rl_drug_dosage.pharmacometrics.validation_errors import About, error_row, resamples
from rl_drug_dosage.pharmacometrics.validation_forecasts import Forecasts, forecast
from rl_drug_dosage.pharmacometrics.validation_groups import groups_of
from rl_drug_dosage.pharmacometrics.validation_levels import LevelTable
from rl_drug_dosage.pharmacometrics.validation_vpc import bin_edges
from rl_drug_dosage.pkpd import Dose, Eta, Output, Param, Residual, every, make_covariates, make_regimen, omega, predict
from rl_drug_dosage.pkpd.bayes import fit_patients
from rl_drug_dosage.registry import load_drug

PATIENTS = 40
HOURS = (3.0, 11.5, 20.0, 47.5)
LIMIT = 4.0


@pytest.fixture(scope="module")
def drug():
    return load_drug("vancomycin-buelga2005")


@pytest.fixture(scope="module")
def fast(drug):
    """The same with half as much clearance again."""
    cl = dataclasses.replace(drug.thetas["cl"], value=1.5 * drug.thetas["cl"].value)
    return dataclasses.replace(drug, name="fast", thetas={**drug.thetas, "cl": cl})


@pytest.fixture(scope="module")
def ug_per_l(drug):
    """The same structure with a log-normal error of 20 %, in ug/L."""
    b = Param(0.2, "1", "invented", "error")
    output = Output(
        "concentration", "ug/L", Residual("lognormal", proportional=b), lambda s, p: 1000 * s["central"] / p["v1"]
    )
    return dataclasses.replace(drug, name="ug-per-l", outputs=(output,), targets=())


@pytest.fixture(scope="module")
def path(drug, tmp_path_factory):
    """40 patients of the drug, four levels each; below 4 mg/L they are below quantification."""
    rng = np.random.default_rng(5)
    doses = every(Dose(0.0, 1000.0, duration_h=1.0), 12.0, 4)
    regimen = make_regimen(doses, drug.structure)
    course = jax.jit(lambda c, e: predict(drug, regimen, c, jnp.asarray(HOURS), e))
    lines = ["ID,TIME,AMT,DUR,DV,LLOQ,CRCL,WT,WARD"]
    for i, eta in enumerate(rng.normal(size=(PATIENTS, 2)) @ np.linalg.cholesky(omega(drug)).T):
        facts = {"crcl_ml_per_min": round(rng.uniform(30, 150)), "wt_kg": round(rng.uniform(45, 85))}
        with jax.enable_x64(True):
            f = np.asarray(course(make_covariates(drug, facts), eta))[:, 0]
        y = np.maximum(f + 3.52 * rng.normal(size=f.size), 0.5)
        events = [(d.time_h, "1000,1,.,.") for d in doses]
        events += [(t, f".,.,{v:.4f},{LIMIT}") for t, v in zip(HOURS, y, strict=True)]
        tail = f"{facts['crcl_ml_per_min']},{facts['wt_kg']},{'icu' if i % 3 else 'ward'}"
        lines += [f"{i + 1},{t:g},{cells},{tail}" for t, cells in sorted(events)]
    file = tmp_path_factory.mktemp("clinic") / "clinic.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.fixture(scope="module")
def clinic(path, drug, fast):
    return read_clinic(path, find_models([fast, drug]))


@pytest.fixture(scope="module")
def forecasts(clinic):
    return [forecast(candidate, clinic.levels) for candidate in clinic.candidates]


def by_quadrature(drug, patient, density):
    """ln of the integral of the density of the first 1, 2, ... levels over the prior, on a grid of both effects."""
    axis = np.linspace(-6, 6, 241)
    z = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    prior = np.exp(-0.5 * np.sum(z**2, axis=1)) / (2 * math.pi) * (axis[1] - axis[0]) ** 2
    etas = jnp.asarray(z @ np.linalg.cholesky(omega(drug)).T)
    regimen = make_regimen(patient.doses, drug.structure)
    f = jax.vmap(lambda eta: predict(drug, regimen, patient.covariates, jnp.asarray(HOURS), eta))(etas)
    likelihood = np.cumprod(density(np.asarray(f)[:, :, 0], patient.levels), axis=1)
    return np.log(prior @ likelihood)


@pytest.mark.long
def test_log_densities_add_up_to_the_evidence_of_a_quadrature(drug, clinic, forecasts):
    """Additive error, with levels below quantification: the integral over both random effects on a fine grid."""

    def density(f, levels):
        u = (levels.value - f) / 3.52
        seen = np.exp(-0.5 * u**2) / (3.52 * math.sqrt(2 * math.pi))
        return np.where(levels.below, jax.scipy.stats.norm.cdf(u), seen)

    table, own = clinic.levels, forecasts[1]
    censored = [i for i in range(PATIENTS) if np.any(table.side[table.patient == i] < 0)]
    assert censored
    for i in {0, 1, 2, 3, *censored[:3]}:
        with jax.enable_x64(True):
            exact = by_quadrature(drug, clinic.candidates[1].patients[i], density)
        np.testing.assert_allclose(np.cumsum(own.log_density[table.patient == i]), exact, atol=0.08)


@pytest.mark.long
def test_densities_are_per_unit_of_the_file_whatever_the_unit_and_error_of_the_model(path, drug, ug_per_l):
    """A log-normal error in ug/L on a file in mg/L: p(y) = N(ln y; ln f, b^2) / y with y and f in mg/L."""
    clinic = read_clinic(path, find_models([ug_per_l]), unit="mg/L")
    own, table = forecast(clinic.candidates[0], clinic.levels), clinic.levels

    def density(f, levels):
        y = levels.value / 1000.0
        u = (np.log(y) - np.log(f)) / 0.2
        seen = np.exp(-0.5 * u**2) / (0.2 * y * math.sqrt(2 * math.pi))
        return np.where(levels.below, jax.scipy.stats.norm.cdf(u), seen)

    assert clinic.outputs == (("concentration", "mg/L"),)
    for i in range(5):
        with jax.enable_x64(True):
            exact = by_quadrature(drug, clinic.candidates[0].patients[i], density)
        np.testing.assert_allclose(np.cumsum(own.log_density[table.patient == i]), exact, atol=0.08)


@pytest.mark.long
def test_a_forecast_is_the_prediction_at_the_estimate_from_the_levels_before(drug, clinic, forecasts):
    """Against `fit_patients`, which fits each patient anew without the later levels."""
    table, own = clinic.levels, forecasts[1]
    patients = clinic.candidates[1].patients[:4]
    shorter = []
    for patient in patients:
        used = np.arange(4) < 2
        levels = dataclasses.replace(patient.levels, used=used)
        shorter.append(dataclasses.replace(patient, levels=levels))
    with jax.enable_x64(True):
        for i, fit in enumerate(fit_patients(drug, shorter)):
            regimen = make_regimen(patients[i].doses, drug.structure)
            f = predict(drug, regimen, patients[i].covariates, jnp.asarray(HOURS), fit.estimate.eta)[:, 0]
            typical = predict(drug, regimen, patients[i].covariates, jnp.asarray(HOURS))[:, 0]
            mine = table.patient == i
            assert own.forecast[mine][2] == pytest.approx(float(f[2]), rel=1e-5)
            np.testing.assert_allclose(own.apriori[mine], typical, rtol=1e-9)
            assert own.forecast[mine][0] == pytest.approx(float(typical[0]), rel=1e-9)


@pytest.mark.long
def test_a_coming_occasion_is_forecast_without_its_own_effects(tmp_path, drug):
    """The third level, the first of occasion 2, from the estimate of the two of occasion 1; kappa 2 is then 0.

    A model without inter-occasion variability beside it reads no occasions.
    """
    effect = Eta("cl", Param(0.3, "1", "invented", "inter-occasion"), kind="sd")
    iov = dataclasses.replace(drug, name="iov", occasion_etas=(effect,))
    rows = [("0,1000,1,.", 1), ("3,.,.,{}", 1), ("11,.,.,{}", 1), ("12,1000,1,.", 2), ("23,.,.,{}", 2)]
    lines = ["ID,TIME,AMT,DUR,DV,OCC,CRCL,WT"]
    for i, values in enumerate(((18.0, 9.0, 20.0), (25.0, 14.0, 16.0))):
        levels = iter(values)
        lines += [f"{i + 1},{cells.format(next(levels)) if '{' in cells else cells},{occ},80,60" for cells, occ in rows]
    path = tmp_path / "occasions.csv"
    path.write_text("\n".join(lines))
    clinic = read_clinic(path, find_models([iov, drug]), occasions=True)
    own, table = forecast(clinic.candidates[0], clinic.levels), clinic.levels
    patient = clinic.candidates[0].patients[0]
    first = dataclasses.replace(patient.levels, used=np.array([True, True, False]))

    (fit,) = fit_patients(iov, [dataclasses.replace(patient, levels=first)])
    assert fit.estimate.kappa.shape == (2, 1)
    assert own.forecast[table.patient == 0][2] == pytest.approx(fit.predicted[2], rel=1e-5)
    assert abs(fit.estimate.kappa[0, 0]) > 0.01
    assert [int(p.covariates.occasion.max()) for p in clinic.candidates[1].patients] == [0, 0]


@pytest.mark.long
def test_predictive_probabilities_of_the_true_model_are_uniform(clinic, forecasts):
    """Kolmogorov's distance below its 1 % point for 160 levels, and far above it for the wrong model.

    Below quantification the probability is spread evenly between 0 and that of being below.
    """
    spread = np.where(clinic.levels.side < 0, np.random.default_rng(1).uniform(size=clinic.levels.side.size), 1.0)

    def distance(own):
        p, n = np.sort(own.pit * spread), np.arange(spread.size + 1) / spread.size
        return max(np.max(n[1:] - p), np.max(p - n[:-1]))

    point = 1.63 / math.sqrt(spread.size)
    assert distance(forecasts[1]) < point
    assert distance(forecasts[0]) > 1.5 * point


def test_levels_drawn_at_one_time_do_not_know_of_each_other(tmp_path, drug):
    path = tmp_path / "twice.csv"
    lines = [f"{i},0,1000,1,.,80,60\n{i},8,.,.,20,80,60\n{i},8,.,.,22,80,60\n{i},11,.,.,15,80,60" for i in (1, 2)]
    path.write_text("ID,TIME,AMT,DUR,DV,CRCL,WT\n" + "\n".join(lines))
    table = read_clinic(path, find_models([drug])).levels

    assert table.earlier.tolist() == [0, 0, 2] * 2
    assert table.order.tolist() == [0, 1, 2] * 2
    assert table.since_dose_h.tolist() == [8.0, 8.0, 11.0] * 2


def a_table(patient, value, earlier=None):
    n = len(value)
    order = np.concatenate([np.arange(c) for c in np.bincount(patient)])
    zeros = np.zeros(n)
    return LevelTable(
        np.array(patient), order, order, order if earlier is None else np.array(earlier), zeros, zeros,
        np.array(value, float), np.zeros(n, int), np.full(n, np.nan), np.zeros(n, int),
    )  # fmt: skip


def a_forecast(forecast, log_density=None, name="m"):
    f = np.array(forecast, float)
    return Forecasts(name, f, f, np.zeros(f.size) if log_density is None else np.array(log_density), f * 0, f, ())


def test_errors_are_those_of_their_formulas():
    """Levels of 10 forecast as 11, 8, 13.5 and 10: PE 10, -20, 35 and 0 %."""
    table = a_table([0, 0, 1, 1], [10, 10, 10, 10])
    row = error_row(table, a_forecast([11, 8, 13.5, 10]), table.number, resamples(2, 1), About("c", "forecast"))
    found = {name: interval.value for name, interval in row.measures.items()}

    assert found["rbias_pct"] == pytest.approx(25 / 4)
    assert found["rrmse_pct"] == pytest.approx(math.sqrt((100 + 400 + 1225) / 4))
    assert found["median_pe_pct"] == pytest.approx(5.0)
    assert found["median_ape_pct"] == pytest.approx(15.0)
    assert (found["p20_pct"], found["p30_pct"]) == (75.0, 75.0)
    assert (row.patients, row.levels, row.compared) == (2, 4, 4)


def test_intervals_are_over_patients_and_more_of_the_same_levels_do_not_narrow_them():
    rng = np.random.default_rng(2)
    value, drawn = rng.uniform(5, 20, 30), resamples(30, 1)
    once = a_table(np.arange(30), value)
    often = a_table(np.repeat(np.arange(30), 9), np.repeat(value, 9))
    about = About("c", "forecast")
    one = error_row(once, a_forecast(np.full(30, 10.0)), once.number, drawn, about).measures
    nine = error_row(often, a_forecast(np.full(270, 10.0)), often.number, drawn, about).measures

    for name in ("rbias_pct", "rrmse_pct", "p30_pct"):
        assert nine[name].low == pytest.approx(one[name].low)
        assert nine[name].high == pytest.approx(one[name].high)
    sd = np.std(100 * (10 / value - 1)) / math.sqrt(30)
    assert one["rbias_pct"].high - one["rbias_pct"].low == pytest.approx(2 * 1.96 * sd, rel=0.1)


def test_resampled_medians_are_medians_of_the_resamples():
    rng = np.random.default_rng(3)
    patient, value = np.repeat(np.arange(6), 3), rng.uniform(5, 20, 18)
    table, drawn = a_table(patient, value), resamples(6, 4)[:200]
    found = error_row(table, a_forecast(np.full(18, 10.0)), table.number, drawn, About("c", "forecast")).measures
    error = 100 * (10 / value - 1)
    lower = [np.sort(np.repeat(error, row[patient]))[(18 - 1) // 2] for row in drawn]

    np.testing.assert_allclose(
        (found["median_pe_pct"].low, found["median_pe_pct"].high), np.percentile(lower, (2.5, 97.5))
    )


def test_stacking_finds_the_shares_of_a_mixture_and_meets_the_conditions_of_an_optimum():
    """Where patients belong to one model for sure the weights are their shares; else mean_i p_im / p_i <= 1."""
    sure = np.where(np.arange(10)[:, None] < [[7, 0]], 0.0, -50.0)
    sure[:, 1] = np.where(np.arange(10) < 7, -50.0, 0.0)
    np.testing.assert_allclose(stacking(sure, np.ones((1, 10)))[0], [0.7, 0.3], atol=1e-4)

    log_p = np.random.default_rng(1).normal(size=(60, 4))
    w = stacking(log_p, np.ones((1, 60)))[0]
    slope = np.mean(np.exp(log_p) / (np.exp(log_p) @ w)[:, None], axis=0)
    assert w.sum() == pytest.approx(1.0)
    assert np.all(slope < 1.01)
    np.testing.assert_allclose(slope[w > 0.05], 1.0, atol=1e-3)


@pytest.mark.long
def test_the_density_of_an_average_is_that_of_the_mixture_of_models(clinic, forecasts):
    """Sum over a patient's levels: ln sum_m pi_m p_m(levels); equal models average to themselves."""
    table = clinic.levels
    learnt, equal = averages(table, forecasts)
    evidence = log_evidence(table, forecasts)
    mixture = np.log(0.5 * np.exp(evidence).sum(axis=1))

    np.testing.assert_allclose(np.bincount(table.patient, equal.log_density), mixture, rtol=1e-9)
    one = forecasts[1]
    for same in averages(table, [one, dataclasses.replace(one, name="copy")]):
        np.testing.assert_allclose(same.forecast, one.forecast)
        np.testing.assert_allclose(same.log_density, one.log_density)
    between = np.sort([f.forecast for f in forecasts], axis=0)
    assert np.all((learnt.forecast >= between[0] - 1e-9) & (learnt.forecast <= between[1] + 1e-9))


@pytest.mark.long
def test_the_model_that_made_the_levels_is_preferred(clinic, forecasts):
    drawn = resamples(PATIENTS, 1)
    weights = weights_of([f.name for f in forecasts], log_evidence(clinic.levels, forecasts), drawn)
    found = prefer(clinic.levels, forecasts, averages(clinic.levels, forecasts)[0], weights, drawn)

    assert (found.model, found.against, found.sure) == ("vancomycin-buelga2005", "fast", True)
    assert weights[1].stacking.value > 0.9
    assert weights[1].bayes > 0.999
    evidence = log_evidence(clinic.levels, forecasts)
    assert found.difference.value == pytest.approx((evidence[:, 1] - evidence[:, 0]).sum())
    later = clinic.levels.earlier > 0
    rrmse = [
        error_row(clinic.levels, own, later, drawn, About("c", "forecast")).measures["rrmse_pct"] for own in forecasts
    ]
    assert found.rrmse_difference.value == pytest.approx(rrmse[1].value - rrmse[0].value)
    first, second = preference_in_words(found)
    assert first.startswith("Preferred: vancomycin-buelga2005. Its log predictive density is 22.8 above that of fast")
    assert second.startswith("Its rRMSE is 2.8 points higher")


def test_samples_that_were_planned_at_one_time_share_a_bin():
    rng = np.random.default_rng(1)
    hours = np.concatenate([at + 0.2 * rng.uniform(size=n) for at, n in ((1, 60), (6, 25), (11, 65), (23, 30))])
    edges = bin_edges(hours)

    assert edges.size >= 3
    # Every gap between two planned times has an edge; the first and third hold enough levels to be split.
    assert all(np.any((edges > low) & (edges < high)) for low, high in ((1.2, 6), (6.2, 11), (11.2, 23)))
    assert bin_edges(np.full(50, 2.0)).size == 0


@pytest.mark.long
def test_the_predictive_check_holds_for_the_model_that_made_the_levels(path, drug, fast):
    result = validate_model(ValidationOptions([fast, drug], path, replicates=200))
    wrong, right = result.checks

    assert right.inside_pct > 80
    assert wrong.inside_pct < 50
    for one in right.bins:
        assert np.all(np.diff(one.simulated, axis=1) >= 0)
        assert np.all(np.diff(one.simulated[:, 1]) > 0)
    assert sum(one.levels for one in right.bins) == PATIENTS * len(HOURS)
    table, f = result.clinic.levels, result.forecasts[1].apriori
    assert [(one.low_h, one.high_h) for one in right.bins] == [(3.0, 3.0), (8.0, 8.0), (11.5, 11.5)]
    for one in right.bins:
        here, seen = table.since_dose_h == one.middle_h, table.side == 0
        assert one.below_pct == pytest.approx(100.0 * np.mean(~seen[here]))
        corrected = (table.value / f)[here & seen] * np.median(f[here])
        np.testing.assert_allclose(right.corrected[right.hours == one.middle_h], corrected)
        np.testing.assert_allclose(one.measured, np.percentile(corrected, (10, 50, 90)))
    again = validate_model(ValidationOptions([fast, drug], path, replicates=200))
    np.testing.assert_array_equal(again.columns()["RRMSE_PCT_HIGH95"], result.columns()["RRMSE_PCT_HIGH95"])
    np.testing.assert_array_equal(again.checks[0].bins[0].simulated, wrong.bins[0].simulated)
    assert {row.about.by for row in result.rows} == {"", "CRCL", "WT"}


def test_groups_are_texts_few_numbers_or_thirds():
    assert [name for name, _ in groups_of("WARD", ["icu", "ward", "icu", ""])] == ["WARD icu", "WARD ward"]
    assert [name for name, _ in groups_of("SEX", list("010011"))] == ["SEX 0", "SEX 1"]
    thirds = groups_of("WT", [str(v) for v in range(1, 31)])
    assert [int(which.sum()) for _, which in thirds] == [10, 10, 10]
    with pytest.raises(ConfigError, match="13 different texts"):
        groups_of("NAME", [f"n{i}" for i in range(13)])


@pytest.mark.long
def test_models_in_different_units_ask_for_the_unit_of_the_file(path, drug, ug_per_l):
    with pytest.raises(ConfigError, match="--unit"):
        read_clinic(path, find_models([drug, ug_per_l]))
    clinic = read_clinic(path, find_models([drug, ug_per_l]), unit="ug/mL")
    assert clinic.outputs == (("concentration", "ug/mL"),)
    assert (clinic.candidates[0].factor[0], clinic.candidates[1].factor[0]) == (1.0, 1000.0)
