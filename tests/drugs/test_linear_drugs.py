"""Typical patients of the linear drug models against numbers of their papers or of a second published implementation.

The expected side is computed here from literal numbers in closed form or with SciPy; the other side is the drug file,
for courses run by the engine, so that a wrong unit, exponent or covariate centre shows.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.optimize import minimize

from rl_drug_dosage.drugs.shared.body_size import growth_height_cm, growth_weight_kg
from rl_drug_dosage.pkpd import (
    Dose,
    individual_parameters,
    make_covariates,
    make_regimen,
    occasion_omega,
    omega,
    predict,
    solve,
)
from rl_drug_dosage.registry import load_drug

BUSULFAN_RECORDS_H = (6.0, 24.0, 36.0, 192.0)
"""Ends of the records that the busulfan models need: clearance changes at 6, 24 and 36 h."""

BARTELINK_2012_MG = {
    # kg: (mg once a day for four days, middling height in cm, middling age in years), for 90 mg h/L, from 16 kg on.
    16: (81.0, 102.0, 4.0),
    20: (97.0, 115.0, 6.0),
    30: (130.0, 138.0, 9.5),
    40: (156.0, 150.0, 12.0),
    50: (177.0, 161.0, 14.0),
    65: (204.0, 172.0, 18.0),
}


def drug(name):
    return load_drug(name)


def table(model, **covariates):
    typical = {covariate.name: covariate.typical for covariate in model.covariates}
    return make_covariates(model, typical | covariates)


def busulfan_table(model, person):
    """Records whose hours run along, so that clearance changes when the published models say."""
    typical = {covariate.name: covariate.typical for covariate in model.covariates}
    return make_covariates(model, typical | person | {"time_h": list(BUSULFAN_RECORDS_H)}, BUSULFAN_RECORDS_H)


_predict = jax.jit(predict, static_argnums=0)


@partial(jax.jit, static_argnums=0)
def _area(model, regimen, covariates, times_h):
    p = individual_parameters(model, covariates, np.zeros(len(model.etas)))
    return solve(model.structure, p, regimen, covariates, times_h, auc=True).auc_mg_h_per_l


def course(model, doses, times_h, **covariates):
    """First output of the typical patient by the engine."""
    regimen = make_regimen(doses, model.structure)
    return np.asarray(_predict(model, regimen, table(model, **covariates), np.asarray(times_h)))[:, 0]


def area(model, doses, times_h, covariates):
    """Areas under the concentration from 0, mg h/L, by the engine."""
    return np.asarray(_area(model, make_regimen(doses, model.structure), covariates, np.asarray(times_h)))


def infused(t, amount, hours, cl, v1, q=0.0, v2=1.0):
    """Concentration t hours after the start of one infusion, one or two compartments, textbook form."""
    k10, k12, k21 = cl / v1, q / v1, q / v2
    total, product = k10 + k12 + k21, k10 * k21
    root = math.sqrt(total * total - 4 * product)
    alpha, beta = (total + root) / 2, (total - root) / 2
    terms = [(alpha, (alpha - k21) / (alpha - beta)), (beta, (k21 - beta) / (alpha - beta))] if q else [(k10, 1.0)]
    rate = amount / hours
    return sum(a * rate / (v1 * r) * (math.exp(-r * max(t - hours, 0.0)) - math.exp(-r * t)) for r, a in terms)


def terminal_half_life_h(cl, v1, q, v2):
    total = cl / v1 + q / v1 + q / v2
    return math.log(2) / ((total - math.sqrt(total**2 - 4 * cl * q / (v1 * v2))) / 2)


def test_thomson_2009_agrees_with_two_transcriptions():
    """A patient of 90 kg with 100 mL/min follows the formula of PKPDsim and of Tong 2026, written out."""
    times = [1.0, 2.0, 6.0, 12.0, 13.0, 24.0]
    cl, v1, v2 = 2.99 * (1 + 0.0154 * 34), 0.675 * 90, 0.732 * 90
    expected = [
        infused(t, 1000, 1, cl, v1, 2.28, v2) + (infused(t - 12, 1000, 1, cl, v1, 2.28, v2) if t > 12 else 0)
        for t in times
    ]

    doses = (Dose(0.0, 1000.0, duration_h=1.0, interval_h=12.0, additional=1),)
    got = course(drug("vancomycin_thomson2009"), doses, times, wt_kg=90.0, crcl_ml_per_min=100.0)

    np.testing.assert_allclose(got, expected, rtol=1e-4)


def test_thomson_2009_variances_are_those_of_pkpdsim():
    """PKPDsim's omega: 0.0729, 0.0225 with covariance 0.01, 0.2401 and 1.69."""
    expected = np.diag([0.0729, 0.0225, 0.2401, 1.69])
    expected[0, 1] = expected[1, 0] = 0.01

    np.testing.assert_allclose(omega(drug("vancomycin_thomson2009")), expected, rtol=1e-12)


def test_buelga_2005_follows_its_abstract():
    """CL = 1.08 CLCR in L/h and V = 0.98 TBW: 5.83 L/h, 63.7 L, half-life 7.6 h at 90 mL/min and 65 kg."""
    model = drug("vancomycin_buelga2005")
    first, later = course(model, (Dose(0.0, 750.0, duration_h=1.0),), [2.0, 9.57], crcl_ml_per_min=90.0, wt_kg=65.0)

    assert first == pytest.approx(infused(2.0, 750, 1, 5.832, 63.7), rel=1e-4)
    assert later / first == pytest.approx(0.5, rel=2e-3)
    assert omega(model)[0, 1] == pytest.approx(0.02418685, rel=1e-5)  # PKPDsim's covariance


def test_roberts_2011_areas():
    """The seventeen areas that Roberts 2011 prints (Results, Figures 2-4), for the mean weight of 74.8 kg."""
    model = drug("vancomycin_roberts2011")
    wt = 74.8

    def between(start_h, end_h, load_mg_per_kg, load_h, daily_mg_per_kg, crcl):
        p = model.typical(wt_kg=wt, crcl_ml_per_min_per_1_73m2=crcl)

        def level(t):
            load = infused(t, load_mg_per_kg * wt, load_h, p["cl"], p["v1"])
            since = t - load_h
            return load + (infused(since, daily_mg_per_kg * wt * 2, 48.0, p["cl"], p["v1"]) if since > 0 else 0.0)

        return quad(level, start_h, end_h, points=[load_h] if start_h < load_h else None)[0]

    loads = {5: (1, 245), 15: (1, 330), 20: (1.5, 370), 25: (2, 409), 30: (3, 442), 35: (3, 485), 40: (3, 532)}
    figure_2 = [between(0, 24, load, hours, 35, 100.0) for load, (hours, _) in loads.items()]
    np.testing.assert_allclose(figure_2, [printed for _, printed in loads.values()], rtol=0.05)
    by_crcl = {50: 811, 100: 542, 150: 387, 200: 293, 250: 232}
    figure_3 = [between(24, 48, 35, 3, 35, float(crcl)) for crcl in by_crcl]
    np.testing.assert_allclose(figure_3, list(by_crcl.values()), rtol=0.05)
    by_dose = {20: 362, 25: 419, 30: 475, 35: 532, 40: 589}
    figure_4 = [between(24, 48, 35, 3, daily, 100.0) for daily in by_dose]
    np.testing.assert_allclose(figure_4, list(by_dose.values()), rtol=0.05)


def test_roberts_2011_course():
    """The plateau under 35 mg/kg a day at 100 mL/min: 35 x 74.8 / 24 / 4.58 = 23.8 mg/L, above the paper's 20."""
    doses = (Dose(0.0, 35 * 74.8 * 20, duration_h=480.0),)
    got = course(drug("vancomycin_roberts2011"), doses, [480.0], crcl_ml_per_min_per_1_73m2=100.0)

    assert got[0] == pytest.approx(23.8, rel=2e-3)


def test_staatz_2005_typical_dose():
    """120 mg at 72 kg and 63 mL/min: area 42.7 mg h/L, terminal half-life 10.3 h (nlmixr2lib's validation)."""
    model = drug("gentamicin_staatz2005")
    times = [0.5, 1.0, 8.0, 40.0, 60.0]
    got = course(model, (Dose(0.0, 120.0, duration_h=0.5),), times)

    expected = [infused(t, 120, 0.5, 2.81, 0.251 * 72, 1.45, 0.156 * 72) for t in times]
    np.testing.assert_allclose(got, expected, rtol=1e-4)
    assert math.log(2) * 20 / math.log(got[3] / got[4]) == pytest.approx(10.3, rel=0.005)
    assert area(model, (Dose(0.0, 120.0, duration_h=0.5),), [300.0], table(model))[0] == pytest.approx(42.7, rel=1e-3)


def test_staatz_2005_separates_baseline_from_change():
    """The authors' form (PAGE abstract): 2.81 (1 + 0.0150 (baseline - 63) + 0.0174 change), here 93 falling to 63."""
    model = drug("gentamicin_staatz2005")

    fallen = model.typical(crcl_ml_per_min=63.0, crcl_change_ml_per_min=-30.0)["cl"]

    assert fallen == pytest.approx(2.81 * (1 + 0.015 * 30 - 0.0174 * 30), rel=1e-5)
    assert model.typical(crcl_ml_per_min=33.0)["cl"] == pytest.approx(2.81 * (1 - 0.015 * 30), rel=1e-5)


@pytest.mark.parametrize(("female", "cl", "v1", "ffm"), [(0.0, 9.4, 25.1, 48.1), (1.0, 8.1, 20.1, 38.8)])
def test_hennig_2013_agrees_with_tucuxi(female, cl, v1, ffm):
    """Tucuxi's formula at 58 kg, 167 cm, 30 years, with the norm in place of its constant creatinine of 37.2 umol/L."""
    typical = drug("tobramycin_hennig2013").typical(
        female=female, age_y=30.0, wt_kg=58.0, height_cm=167.0, scr_umol_per_l=68.3
    )

    norm = 69.5 if female else 84.0
    assert typical["cl"] == pytest.approx(
        cl * (ffm / 70) ** 0.952 * (1 - 0.010 * 12) * (norm / 68.3) ** 0.222, rel=2e-3
    )
    assert typical["v1"] == pytest.approx(v1 * ffm / 70, rel=2e-3)
    assert typical["q2"] == pytest.approx(1.5 * (ffm / 70) ** 0.952, rel=2e-3)
    assert typical["v2"] == pytest.approx(10.0 * ffm / 70, rel=2e-3)


def test_hennig_2013_child():
    """Below 18 years the slope is -0.021 a year, and the norm at 7.5 years is Tucuxi's constant of 37.2 umol/L."""
    model = drug("tobramycin_hennig2013")
    child = {"age_y": 7.52, "wt_kg": 25.5, "height_cm": 126.0, "scr_umol_per_l": 44.7, "female": 0.0}
    bmi = 25.5 / 1.26**2
    size = 9270 * 25.5 / (6680 + 216 * bmi) / 70
    expected = 9.4 * size**0.952 * (1 + 0.021 * 10.48) * (37.2 / 44.7) ** 0.222

    assert model.typical(**child)["cl"] == pytest.approx(expected, rel=1e-3)


def test_hennig_2013_dose_of_the_abstract():
    """11 mg/kg a day, the abstract's dose in cystic fibrosis, gives the median child (11.1 y, 31.8 kg) AUC 80-110."""
    model = drug("tobramycin_hennig2013")
    norm = -2.37330 - 12.91367 * math.log(11.1) + 23.93581 * math.sqrt(11.1)
    child = {"age_y": 11.1, "wt_kg": 31.8, "height_cm": 142.0, "scr_umol_per_l": norm}
    areas = [11 * 31.8 / model.typical(**child, female=female)["cl"] for female in (0.0, 1.0)]

    assert 80 < np.mean(areas) < 110


def test_hennig_2013_correlations():
    """Tucuxi's correlation block: 0.658, 0.711, 0.475; V2 independent."""
    matrix = omega(drug("tobramycin_hennig2013"))
    sd = np.sqrt(np.diag(matrix))
    correlation = matrix / np.outer(sd, sd)

    np.testing.assert_allclose(correlation[np.triu_indices(4, 1)], [0.658, 0.711, 0, 0.475, 0, 0], atol=1e-12)
    np.testing.assert_allclose(sd**2, np.log1p(np.square([0.259, 0.152, 0.418, 0.585])), rtol=1e-12)


def test_burdet_2015_map_estimate():
    """MAP of posologyr's patient (1600 mg over 0.5 h; 75 mg/L at 1 h, 32 at 6 h) is what nlmixr finds."""
    model = drug("amikacin_burdet2015")
    typical = model.typical(crcl_ml_per_min=50.0, wt_kg=62.0, pf_ratio_mmhg=169.0)
    names = [eta.parameter for eta in model.etas]
    precision = np.linalg.inv(omega(model))
    residual = model.outputs[0].residual
    assert residual.kind == "combined2"

    def objective(eta):
        p = {name: typical[name] * math.exp(eta[i]) for i, name in enumerate(names)}
        total = float(eta @ precision @ eta)
        for t, level in ((1.0, 75.0), (6.0, 32.0)):
            f = infused(t, 1600, 0.5, p["cl"], p["v1"], p["q2"], p["v2"])
            variance = residual.a**2 + (residual.b * f) ** 2
            total += math.log(variance) + (level - f) ** 2 / variance
        return total

    eta = minimize(objective, np.zeros(4), method="BFGS").x
    got = [typical[name] * math.exp(eta[names.index(name)]) for name in ("cl", "v1", "v2", "q2")]

    np.testing.assert_allclose(got, [2.62, 11.01, 14.57, 11.96], rtol=1e-3)


def test_mccune_2014_matches_its_abstract():
    """12.4 L/h at 62 kg of normal fat mass, which is a man of 70 kg, and 95 % of it 2.5 years after birth."""
    model = drug("busulfan_mccune2014")
    man = model.typical(wt_kg=70.0, height_cm=176.0, female=0.0, age_y=40.0)
    normal_fat_mass_kg = 62 * (man["q2"] / 135.2) ** (4 / 3)
    toddler = model.typical(wt_kg=70.0, height_cm=176.0, female=0.0, age_y=2.5)

    assert normal_fat_mass_kg == pytest.approx(62, rel=0.03)
    assert man["cl"] == pytest.approx(12.4, rel=0.02)
    assert toddler["cl"] / man["cl"] == pytest.approx(0.95, abs=0.006)


def test_mccune_2014_gives_the_area_of_the_product_information():
    """0.8 mg/kg every 6 h, at steady state: 1,167 uM min (59 patients, CV 20 %). Busulfan has 246.3 g/mol."""
    model = drug("busulfan_mccune2014")
    man = {"wt_kg": 70.0, "height_cm": 176.0, "female": 0.0, "age_y": 40.0}
    cl = model.typical(**man, time_h=48.0)["cl"]

    assert 0.8 * 70 / cl / 246.3 * 1000 * 60 == pytest.approx(1167, rel=0.03)


def test_mccune_2014_time_sex_and_transcription():
    """PKPDsim's constants but for clearance and the reference masses, 62 and 59 kg; volumes 1.07 times in women."""
    model = drug("busulfan_mccune2014")
    ffm = 42.92 * 1.7**2 * 80 / (30.93 * 1.7**2 + 80)
    on_cl, on_v = (ffm + 0.509 * (80 - ffm)) / 62, (ffm + 0.203 * (80 - ffm)) / 59
    mature = 1 / (1 + ((30 * 52.1775 + 40) / 45.7) ** -2.3)
    man = {"wt_kg": 80.0, "height_cm": 170.0, "female": 0.0, "age_y": 30.0}

    for hours, factor in ((0.0, 1.0), (6.0, 1.0), (6.01, 0.932), (36.0, 0.932), (36.5, 0.919)):
        cl = model.typical(**man, time_h=hours)["cl"]
        assert cl == pytest.approx(12.4 * on_cl**0.75 * mature * factor, rel=2e-4)
    got = model.typical(**man)
    assert (got["v1"], got["v2"]) == pytest.approx((13.9 * on_v, 29.9 * on_v), rel=2e-4)

    ffm = 37.99 * 1.7**2 * 80 / (35.98 * 1.7**2 + 80)
    woman = model.typical(**(man | {"female": 1.0}))
    assert woman["v1"] == pytest.approx(13.9 * 1.07 * (ffm + 0.203 * (80 - ffm)) / 59, rel=2e-4)


def test_virtual_women_have_the_size_of_women():
    """Medians at 18 years of the 2000 CDC growth charts: 56 kg and 163 cm in women, 67 kg and 176 cm in men."""
    grown = jnp.asarray(18.0)
    for female, wt_kg, height_cm in ((1.0, 56.2, 163.1), (0.0, 67.2, 176.2)):
        assert float(growth_weight_kg(grown, jnp.asarray(female))) == pytest.approx(wt_kg, abs=0.05)
        assert float(growth_height_cm(grown, jnp.asarray(female))) == pytest.approx(height_cm, abs=0.05)


@pytest.mark.long
@pytest.mark.parametrize("name", ["busulfan_mccune2014", "busulfan_shukla2020"])
@pytest.mark.parametrize("wt_kg", list(BARTELINK_2012_MG))
def test_busulfan_dose_table_gives_its_target(name, wt_kg):
    """Bartelink 2012's doses for a cumulative area of 90 mg h/L give 90 +- 20 % here too (mean of the sexes)."""
    model = drug(name)
    dose_mg, height_cm, age_y = BARTELINK_2012_MG[wt_kg]
    doses = (Dose(0.0, dose_mg, duration_h=3.0, interval_h=24.0, additional=3),)
    areas = []
    for female in (0.0, 1.0):
        person = {"wt_kg": float(wt_kg), "height_cm": height_cm, "age_y": age_y, "female": female}
        covariates = busulfan_table(model, person)
        areas.append(float(area(model, doses, [192.0], covariates)[0]))

    assert np.mean(areas) == pytest.approx(90, rel=0.2)


def test_shukla_2020_agrees_with_pkpdsim_and_the_same_centres_doses():
    """PKPDsim's formula in a girl of 5; and 22.1 mg for 4.5 mg h/L at 20 kg and 6 years, the centre's model of 2015."""
    model = drug("busulfan_shukla2020")
    bmi = 18 / 1.08**2
    ffm = (1.11 - 0.11 / (1 + (5 / 7.1) ** -1.1)) * 9270 * 18 / (8780 + 244 * bmi)
    mature = 0.451 + 0.549 * (1 - math.exp(-1.37 * 5))
    girl = {"age_y": 5.0, "wt_kg": 18.0, "height_cm": 108.0, "female": 1.0}

    first = 3.96 * (ffm / 12) ** 0.75 * mature
    assert model.typical(**girl)["cl"] == pytest.approx(first, rel=1e-5)
    assert model.typical(**girl, clofarabine=1.0, time_h=25.0)["cl"] == pytest.approx(first * 0.8 * 0.865, rel=1e-5)
    assert model.typical(**girl)["v1"] == pytest.approx(10.8 * ffm / 12, rel=1e-5)
    six = [model.typical(age_y=6.0, wt_kg=20.0, height_cm=115.0, female=female)["cl"] for female in (0.0, 1.0)]
    assert np.mean(six) == pytest.approx(22.1 / 4.5, rel=0.1)


def test_andrews_2019_effects_of_its_results_section():
    """Age 25 to 65 takes 34 % off clearance, body surface 1.5 to 2.25 m2 adds 43 %; Equation 1 written out."""
    model = drug("tacrolimus_andrews2019")

    def cl(**covariates):
        return model.typical(**covariates)["cl"]

    assert cl(age_y=65.0) / cl(age_y=25.0) == pytest.approx(1 - 0.34, abs=0.005)
    assert cl(bsa_m2=2.25) / cl(bsa_m2=1.5) == pytest.approx(1.43, abs=0.005)
    assert cl(cyp3a5_expresser=1.0, cyp3a4_22=1.0) == pytest.approx(23 * 1.631 * 0.8, rel=1e-5)
    assert cl(alb_g_per_l=30.0, scr_umol_per_l=500.0, hct_percent=25.0) == pytest.approx(
        23 * (30 / 42) ** 0.43 * (500 / 135) ** -0.14 * (0.25 / 0.34) ** -0.76, rel=1e-4
    )


def test_andrews_2019_course():
    """NONMEM's ADVAN4 with lag, solved by SciPy with the published numbers: 7.5 mg twice a day for 72 h, in ug/L."""
    cl, v1, q, v2, ka, lag = 23.0, 692.0, 11.6, 5340.0, 3.58, 0.38

    def derivative(t, x):
        return [-ka * x[0], ka * x[0] - (cl + q) / v1 * x[1] + q / v2 * x[2], q / v1 * x[1] - q / v2 * x[2]]

    state, now, expected = np.zeros(3), 0.0, []
    for dose in range(6):
        start = 12.0 * dose + lag
        state = solve_ivp(derivative, (now, start), state, rtol=1e-10, atol=1e-12).y[:, -1] + [7.5, 0, 0]
        before = 12.0 * (dose + 1)
        trough = solve_ivp(derivative, (start, before), state, rtol=1e-10, atol=1e-12).y[:, -1]
        expected.append(1000 * trough[1] / v1)
        state, now = trough, before

    doses = (Dose(0.0, 7.5, interval_h=12.0, additional=5),)
    got = course(drug("tacrolimus_andrews2019"), doses, [12.0 * (k + 1) for k in range(6)])

    np.testing.assert_allclose(got, expected, rtol=2e-4)


def test_storset_2014_whole_blood_clearance():
    """Abstract: 16.1 L/h in whole blood at 60 kg and a haematocrit of 45 %, 30 % more in expressers, F 18 % lower."""
    model = drug("tacrolimus_storset2014")
    person = {"ffm_kg": 60.0, "hct_percent": 45.0, "prednisolone_mg_per_day": 0.0}
    p = model.typical(**person)
    # Far below saturation whole blood is 1 + Bmax Hct / KD times plasma.
    assert p["cl"] / (1 + p["bmax_ug_per_l"] / p["kd_ug_per_l"]) == pytest.approx(16.1, abs=0.05)

    expresser = model.typical(**person, cyp3a5_expresser=1.0)
    assert expresser["cl"] / p["cl"] == pytest.approx(1.30, rel=1e-5)
    assert expresser["f_depot"] / p["f_depot"] == pytest.approx(0.82, rel=1e-5)


def test_storset_2014_bioavailability():
    """Half of the 67 % loss at 35 mg of prednisolone; 2.68 times, with its random effect, on the first day only."""
    model = drug("tacrolimus_storset2014")

    assert model.typical(prednisolone_mg_per_day=35.0)["f_depot"] == pytest.approx(1 - 0.67 / 2, rel=1e-5)
    assert model.typical(prednisolone_mg_per_day=0.0, first_day=1.0)["f_depot"] == pytest.approx(2.68, rel=1e-5)
    eta = np.array([0.0, 0.0, 0.0, 1.0])
    later = individual_parameters(model, table(model, prednisolone_mg_per_day=0.0), eta)["f_depot"][0]
    first = individual_parameters(model, table(model, prednisolone_mg_per_day=0.0, first_day=1.0), eta)["f_depot"][0]
    assert float(later) == pytest.approx(1.0, rel=1e-6)
    assert float(first) == pytest.approx(2.68 * math.e, rel=1e-5)


def test_storset_2014_binding_saturates():
    """The output is whole blood, ug/L: Cp (1 + 418 Hct / (Cp + 3.8)), from the plasma concentration of the course."""
    model = drug("tacrolimus_storset2014")
    doses = (Dose(0.0, 3.0),)
    regimen, covariates = make_regimen(doses, model.structure), table(model)
    p = individual_parameters(model, covariates, np.zeros(4))
    contents = np.asarray(solve(model.structure, p, regimen, covariates, np.array([2.0, 12.0])).contents)
    plasma = 1000 * contents[:, 1] / float(p["v1"][0])

    np.testing.assert_allclose(course(model, doses, [2.0, 12.0]), plasma * (1 + 418 * 0.34 / (plasma + 3.8)), rtol=1e-4)


def test_fasanmade_2009_half_life_area_and_unit_of_time():
    """Abstract: CL 0.407 L/day, V 3.29 and 4.13 L, Q 7.14 L/day, half-life of about 14 days."""
    model = drug("infliximab_fasanmade2009")
    p = model.typical()
    assert terminal_half_life_h(p["cl"], p["v1"], p["q2"], p["v2"]) / 24 == pytest.approx(14, rel=0.1)

    times = [2.0, 336.0, 1344.0]
    expected = [infused(t / 24, 400, 2 / 24, 0.407, 3.29, 7.14, 4.13) for t in times]
    np.testing.assert_allclose(course(model, (Dose(0.0, 400.0, duration_h=2.0),), times), expected, rtol=2e-4)


def test_fasanmade_2009_covariates():
    """Low albumin and antibodies raise clearance, women clear less; exact CVs of 37.7 % and 22.1 % (abstract)."""
    model = drug("infliximab_fasanmade2009")
    person = model.typical(alb_g_per_l=30.0, antibodies=1.0, female=1.0, wt_kg=60.0)

    assert person["cl"] * 24 == pytest.approx(0.407 * (3.0 / 4.1) ** -1.54 * 1.471 * 0.764, rel=1e-5)
    assert person["v1"] == pytest.approx(3.29 * (60 / 77) ** 0.538 * 0.863, rel=1e-5)
    assert np.sqrt(np.expm1(np.diag(omega(model)))) == pytest.approx([0.377, 0.221], rel=1e-9)


def test_widmer_2006_covariates():
    """Tucuxi's formula; halfway between sexes and diseases it is the abstract's 14.3 L/h and 347 L."""
    model = drug("imatinib_widmer2006")
    four = [model.typical(female=f, gist=g) for f in (0.0, 1.0) for g in (0.0, 1.0)]
    assert np.mean([p["cl"] for p in four]) == pytest.approx(14.3, rel=1e-5)
    assert np.mean([p["v1"] for p in four]) == pytest.approx(347, rel=1e-5)

    woman = model.typical(female=1.0, gist=1.0, wt_kg=60.0, age_y=70.0)
    assert woman["cl"] == pytest.approx(14.3 - 5.42 / 7 - 1.49 - 5.81 * 0.4 - 0.806, rel=1e-5)
    assert woman["v1"] == pytest.approx(347 - 46.2, rel=1e-5)


def test_widmer_2006_course_and_variances():
    """Bateman's function in ug/L for the typical man with leukaemia; SDs 0.356, 0.629, correlation 0.799 (Tucuxi)."""
    model = drug("imatinib_widmer2006")
    cl, v, ka = 14.3 + 1.49 + 0.806, 347 + 46.2, 0.609
    times = [1.0, 3.0, 24.0]
    expected = [1000 * 400 * ka / (v * (ka - cl / v)) * (math.exp(-cl / v * t) - math.exp(-ka * t)) for t in times]

    np.testing.assert_allclose(course(model, (Dose(0.0, 400.0),), times), expected, rtol=1e-4)
    matrix = omega(model)
    assert np.sqrt(np.diag(matrix)) == pytest.approx([0.356, 0.629], rel=1e-9)
    assert matrix[0, 1] / (0.356 * 0.629) == pytest.approx(0.799, abs=5e-4)


def test_published_inter_occasion_variability():
    """Sizes and kinds: McCune and Shukla SDs of ln (PKPDsim), Andrews an exact CV, Storset variances of exact CVs."""
    expected = {
        "busulfan_mccune2014": [0.113**2, 0.224**2],
        "busulfan_shukla2020": [0.1288**2, 0.1334**2],
        "tacrolimus_andrews2019": [math.log1p(0.136**2)],
        "tacrolimus_storset2014": [math.log1p(0.23**2), math.log1p(1.2**2)],
    }
    for name, variances in expected.items():
        np.testing.assert_allclose(np.diag(occasion_omega(drug(name))), variances, rtol=1e-3)
