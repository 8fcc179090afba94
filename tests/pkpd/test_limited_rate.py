"""Infusions that last longer the larger the dose: a route's highest rate, in search, simulation and drug files."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.checks import check_drug
from rl_drug_dosage.clinic.propagators import AtLimitedRate
from rl_drug_dosage.pharmacometrics.simulation import SimulationOptions
from rl_drug_dosage.pharmacometrics.simulation_plan import make_plan
from rl_drug_dosage.pkpd import (
    Dose,
    DosingOptions,
    DrugModelError,
    Mammillary,
    Route,
    Target,
    every,
    make_regimen,
    no_covariates,
    predict,
)
from rl_drug_dosage.pkpd.bayes import Posterior, choose_regimen, with_dose
from rl_drug_dosage.registry import load_drug
from rl_drug_dosage.scenarios.vancomycin_v2 import SCENARIO

LIMITED = Route("infusion", "central", 1.0, 600.0)
"""At least an hour, at most 10 mg/min: the product information of vancomycin."""


@pytest.mark.parametrize(("amount_mg", "hours"), [(0.0, 1.0), (500.0, 1.0), (600.0, 1.0), (1000.0, 5 / 3), (3000.0, 5)])
def test_a_duration_is_the_longer_of_the_shortest_and_of_the_amount_over_the_rate(amount_mg, hours):
    assert LIMITED.duration_of(amount_mg) == pytest.approx(hours, rel=1e-15)
    assert Route("plain", "central", 1.0).duration_of(amount_mg) == 1.0


@pytest.mark.long
def test_the_scenario_s_limited_rate_is_the_same_rule():
    """Vancomycin's scenario: levels after one dose of every amount agree with the engine's under the route."""
    dosage = SCENARIO.dosage
    rate = dosage.highest_rate_per_h
    assert rate == pytest.approx(LIMITED.max_rate_mg_per_h)
    route = Route("infusion", dosage.compartment, dosage.duration_h, rate)
    assert dosage.longest_h == route.duration_of(dosage.amounts[-1])

    model = load_drug("vancomycin-goti2018")
    hours = np.array([[1.0], [3.0], [6.0], [12.0]])
    with jax.enable_x64(True):
        p = {name: jnp.asarray(value) for name, value in model.typical().items()}
        prepared, unit = model.structure.prepare(p), jnp.array([1.0, 0.0])
        clinic = AtLimitedRate(model, SCENARIO, prepared, unit, jnp.asarray(hours), area=False)
        for amount in (250.0, 1000.0, 3000.0):
            given, _ = clinic(jnp.asarray([amount]))
            dose = Dose(0.0, amount, duration_h=route.duration_of(amount))
            table = dataclasses.replace(
                no_covariates(), values={c.name: jnp.asarray([c.typical]) for c in model.covariates}
            )
            engine = predict(model, make_regimen([dose], model.structure), table, hours[:, 0])
            np.testing.assert_allclose(given[:, 0] / p["v1"], engine[:, 0], rtol=1e-10)


def test_a_searched_dose_lasts_as_long_as_its_rate_allows(x64, toy):
    """Peaks of a one-compartment model in closed form, where the largest dose takes five times as long."""
    k, v = 0.1, 50.0
    drug = toy(Mammillary(0), {"cl": k * v, "v1": v}, omega_sd={"cl": 0.3})
    amounts, interval = (300.0, 1200.0, 3000.0), 12.0
    nobody = Posterior(jnp.zeros((1, 1)), jnp.zeros((1, 0, 0)), jnp.asarray(1.0))
    found = choose_regimen(
        drug, [], no_covariates(), nobody, Target("concentration", "peak", 1.0, 100.0, "mg/L", "invented"),
        start_h=0.0, horizon_h=interval,
        dosing=DosingOptions((LIMITED,), amounts, (interval,), 300.0, "invented"),
    )  # fmt: skip
    hours = np.array([1.0, 2.0, 5.0])
    want = np.array(amounts) / hours / (k * v) * (1 - np.exp(-k * hours))
    np.testing.assert_allclose(found.median[0], want, rtol=1e-12)

    regimen = make_regimen([Dose(0, 100, duration_h=1.0), *every(Dose(24, 1, duration_h=1.0), 12, 2)], drug.structure)
    dosed = with_dose(regimen, jnp.asarray(3000.0), 24.0, LIMITED)
    np.testing.assert_array_equal(dosed.duration_h, [1.0, 5.0, 5.0])
    np.testing.assert_array_equal(with_dose(regimen, jnp.asarray(3000.0), 24.0).duration_h, [1.0, 1.0, 1.0])


def test_simulate_infuses_a_large_dose_for_longer_and_says_where_somebody_asks_for_less():
    model = load_drug("vancomycin-goti2018")
    limited = dataclasses.replace(model, dosing=dataclasses.replace(model.dosing, routes=(LIMITED,)))

    def plan(drug, **options):
        return make_plan(drug, SimulationOptions(drug=drug, days=1.0, interval_h=12.0, **options))

    long = plan(limited, dose_mg=3000.0)
    assert long.course.duration_h == 5.0
    assert long.course.label == "3000 mg every 12 h, infusion at 600 mg/h, over 5 h"
    assert not long.warnings
    assert plan(limited, dose_mg=500.0).course.label == "500 mg every 12 h, infusion"
    (said,) = plan(limited, dose_mg=3000.0, duration_h=1.0).warnings
    assert "faster than the 600 mg/h of 'infusion': at that rate it takes 5 h" in said
    assert plan(model, dose_mg=3000.0).course.duration_h == 1.0


def test_a_rate_that_none_can_have_is_refused_and_one_that_is_too_slow_is_found():
    model = load_drug("vancomycin-goti2018")

    def having(**changes):
        route = dataclasses.replace(LIMITED, **changes)
        return dataclasses.replace(model, dosing=dataclasses.replace(model.dosing, routes=(route,)))

    for wrong in (0.0, -5.0, float("inf"), float("nan")):
        with pytest.raises(DrugModelError, match="max_rate_mg_per_h"):
            having(max_rate_mg_per_h=wrong)
    with pytest.raises(DrugModelError, match="only with duration_h above 0"):
        having(duration_h=0.0)
    slow = check_drug(having(max_rate_mg_per_h=50.0))
    assert any("overlaps the next one" in str(finding) and "max_rate" in str(finding) for finding in slow.findings)
