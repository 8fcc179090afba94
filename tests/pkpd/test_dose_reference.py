"""Doses, waits and intervals of a patient against another program's.

The expected numbers, and the patient, are those of levenc/posologyr (tests/testthat/test_doseoptim_cmt.R, commit
4af150b): ganciclovir after Caldes 2009, one oral dose, three levels. That program compares them to 1e-3, and finds
times on a grid of 0.1 h.
"""

import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.pharmacometrics.dose_times import falls_below_h
from rl_drug_dosage.pkpd import (
    Dose,
    Eta,
    Mammillary,
    Output,
    Residual,
    Route,
    Target,
    every,
    make_levels,
    make_regimen,
    no_covariates,
    predict,
)
from rl_drug_dosage.pkpd.bayes import Candidate, Draws, PatientData, Way, fit_patients, prepare_search

pytestmark = pytest.mark.long

EMPTY = no_covariates()
GIVEN = Dose(0.0, 450.0, "depot")


@pytest.fixture(scope="module")
def ganciclovir(toy, number):
    """CLCR 80 mL/min; combined error with added standard deviations."""
    typical = {
        "cl": 7.49 * 80 / 57, "v1": 31.9, "q2": 10.2, "v2": 32.0, "ka": 0.895, "f_depot": 0.825, "lag_depot": 0.382,
    }  # fmt: skip
    variances = {"cl": 0.107, "v1": 0.227, "ka": 0.464, "f_depot": 0.049}
    return toy(
        Mammillary(1, depot=True),
        typical,
        etas=tuple(Eta(name, number(size), "var") for name, size in variances.items()),
        outputs=(Output("concentration", "mg/L", Residual("combined1", number(0.465, "mg/L"), number(0.143))),),
    )


@pytest.fixture(scope="module")
def estimate(ganciclovir):
    """The point estimate after three levels, as draws of one."""
    levels = make_levels(ganciclovir, [1.0, 2.0, 6.0], [3.4, 2.7, 1.4])
    (fit,) = fit_patients(ganciclovir, [PatientData("1", (GIVEN,), EMPTY, levels)])
    assert bool(fit.estimate.converged)
    return Draws(fit.estimate.eta[None], fit.estimate.kappa[None])


def target(metric):
    return Target("concentration", metric, 0.1, None, "mg/L", "asked for")


@pytest.mark.parametrize(
    ("compartment", "history", "metric", "limit", "start_h", "interval_h", "dose_mg"),
    [
        ("depot", True, "trough", 6.0, 24.1, 0.9, 1014.197),
        ("depot", False, "trough", 6.0, 0.0, 1.0, 928.35),
        ("central", True, "trough", 6.0, 24.1, 0.9, 367.7199),
        ("central", False, "trough", 6.0, 0.0, 1.0, 393.84),
        ("depot", True, "auc24", 50.0, 24.1, 24.0, 924.458),
        ("depot", False, "auc24", 50.0, 0.0, 24.0, 938.59),
        ("central", True, "auc24", 50.0, 24.1, 24.0, 645.857),
        ("central", False, "auc24", 50.0, 0.0, 24.0, 655.729),
    ],
)
def test_the_dose_for_a_concentration_or_an_area(  # noqa: PLR0917 - a row of the table
    x64, ganciclovir, estimate, compartment, history, metric, limit, start_h, interval_h, dose_mg
):
    way = Way(Route("given", compartment), interval_h)
    candidate = Candidate((GIVEN,) if history else (), EMPTY, start_h, (way,))
    search = prepare_search(ganciclovir, [candidate], doses=1)
    (dose,) = search.attaining_mg(0, estimate, target(metric), limit, 50.0, (0.0, 5000.0))
    assert dose == pytest.approx(dose_mg, rel=1.5e-3)


@pytest.mark.parametrize(
    ("dose", "hours"), [(GIVEN, 13.0), (Dose(0.0, 500.0, "depot"), 13.7), (Dose(0.0, 500.0, "central"), 14.6)]
)
def test_the_wait_until_the_level_is_low_enough(x64, ganciclovir, estimate, dose, hours):
    regimen = make_regimen([dose], ganciclovir.structure)
    times = np.linspace(1.0, 40.0, 400)
    (found,) = falls_below_h(ganciclovir, regimen, EMPTY, estimate.eta, estimate.kappa, 0.5, output=0, time_h=times)
    assert hours - 0.1 < float(found) <= hours + 1e-6


@pytest.mark.parametrize(("compartment", "hours"), [("depot", 10.69046), ("central", 11.34967)])
def test_the_interval_for_a_trough_at_steady_state(x64, ganciclovir, estimate, compartment, hours):
    """That program takes its trough 0.1 h before a dose: its interval gives 1 mg/L there, and ours at the dose."""

    def level(interval, before):
        doses = every(Dose(0.0, 500.0, compartment), interval, 40)
        regimen, times = make_regimen(doses, ganciclovir.structure), jnp.array([10.0 * interval - before])
        return float(predict(ganciclovir, regimen, EMPTY, times, estimate.eta[0])[0, 0])

    ways = (Way(Route("given", compartment), 6.0), Way(Route("given", compartment), 24.0))
    search = prepare_search(ganciclovir, [Candidate((), EMPTY, 0.0, ways)], doses=None)
    found = search.attaining_h(0, estimate, target("trough"), 1.0, 50.0, (500.0,), (6.0, 24.0))
    assert found[0, 0] == found[1, 0]
    assert level(hours, 0.1) == pytest.approx(1.0, rel=1.5e-3)
    assert level(found[0, 0], 0.0) == pytest.approx(1.0, rel=1e-4)
    assert np.isnan(search.attaining_h(0, estimate, target("trough"), 1e3, 50.0, (500.0,), (6.0, 24.0))).all()
