"""Dose search: closed forms for one parameter set, probabilities under a posterior."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.pkpd import (
    Dose,
    DosingOptions,
    DrugModelError,
    Mammillary,
    Output,
    RegimenError,
    Route,
    Target,
    every,
    make_regimen,
    no_covariates,
)
from rl_drug_dosage.pkpd.bayes import Posterior, attains, choose_regimen, exposure, reach, with_dose

ONE = Mammillary(0)
K, V = 0.08, 50.0
ETA, KAPPA = jnp.zeros(1), jnp.zeros((0, 0))


def target(metric, low=None, high=None):
    """A window on the concentration."""
    return Target("concentration", metric, low, high, "", "invented")


@pytest.fixture(scope="module")
def drug(toy):
    """k = 0.08 / h, V = 50 L."""
    return toy(ONE, {"cl": K * V, "v1": V}, omega_sd={"cl": 0.3})


@pytest.mark.long
@pytest.mark.parametrize("metric", ["trough", "peak", "average", "auc24", "auc_total", "time_above"])
def test_each_metric_is_its_closed_form(x64, drug, metric):
    """After the third of three boluses of 600 mg every 12 h."""
    e = np.exp(-K * 12)
    peak = 600 / V * (1 + e + e * e)
    area = peak * (1 - e) / K
    whole = sum(600 / V * (1 - np.exp(-K * t)) / K for t in (36, 24, 12))
    above = np.log(peak / 9.0) / K / 12
    want = {
        "trough": peak * e, "peak": peak, "average": area / 12, "auc24": 2 * area, "auc_total": whole, "time_above":
        above
    }[metric]  # fmt: skip
    regimen = make_regimen(every(Dose(0, 600), 12, 3), ONE)
    got = exposure(drug, regimen, no_covariates(), ETA, None, target(metric, 9.0), 24.0, 36.0)
    np.testing.assert_allclose(got, want, rtol=0.02 if metric == "time_above" else 1e-10)


@pytest.mark.long
@pytest.mark.parametrize("metric", ["trough", "auc24"])
def test_the_dose_that_reaches_a_target(x64, drug, metric):
    """Linear: the dose follows from the unit response and what the past leaves over; outside the bounds it says so."""
    history, future = [Dose(0, 500)], every(Dose(12, 1.0), 12, 2)
    regimen = make_regimen([*history, *future], ONE)

    def at(dose):
        return exposure(
            drug, with_dose(regimen, dose, 12.0), no_covariates(), ETA, None, target(metric, 1.0), 24.0, 36.0
        )

    none, unit = at(jnp.asarray(0.0)), at(jnp.asarray(1.0))
    aim = 7.0 if metric == "trough" else 300.0
    found = jax.jit(lambda: reach(at, aim, 0.0, 5000.0))()
    assert found.reached
    np.testing.assert_allclose(found.dose_mg, (aim - none) / (unit - none), rtol=1e-9)
    np.testing.assert_allclose(found.value, aim, rtol=1e-9)

    high = reach(at, 1e6, 0.0, 5000.0)
    assert not high.reached
    assert high.dose_mg == 5000.0


def test_the_regimen_with_the_best_chance_is_chosen(drug):
    """Probabilities over draws equal those counted from closed forms, cell by cell; the best cell is returned."""
    draws = 0.3 * jax.random.normal(jax.random.key(0), (300, 1))
    window = target("auc24", 400.0, 600.0)
    amounts, intervals = (500.0, 1000.0, 1500.0, 2000.0), (12.0, 24.0)
    got = choose_regimen(
        drug, [], no_covariates(), Posterior(draws, jnp.zeros((300, 0, 0)), jnp.asarray(300.0)), window,
        start_h=0.0, horizon_h=240.0,
        dosing=DosingOptions((Route("bolus", "central"),), amounts, intervals, 1000.0, "invented"),
    )  # fmt: skip
    daily = np.array([[24.0 / tau * a for a in amounts] for tau in intervals])
    steady = daily[..., None] / (K * V * np.exp(np.asarray(draws)[:, 0]))  # AUC24 = daily dose / CL
    np.testing.assert_allclose(got.attainment, ((steady >= 400) & (steady <= 600)).mean(axis=-1), atol=0.01)
    np.testing.assert_allclose(got.median, np.median(steady, axis=-1), rtol=0.01)
    best = np.unravel_index(got.attainment.argmax(), got.attainment.shape)
    assert daily[best] == 2000.0
    assert (got.dose_mg, got.interval_h) in {(1000.0, 12.0), (2000.0, 24.0)}


@pytest.mark.long
def test_open_windows_and_searches_that_cannot_be_meant(drug, toy):
    """One-sided targets; an interval that does not divide the horizon; areas and limits that do not exist."""
    np.testing.assert_array_equal(attains(jnp.array([1.0, 5.0, 9.0]), target("trough", low=4.0)), [False, True, True])
    np.testing.assert_array_equal(attains(jnp.array([1.0, 5.0, 9.0]), target("trough", high=6.0)), [True, True, False])
    with pytest.raises(RegimenError, match="does not divide the horizon"):
        choose_regimen(
            drug, [], no_covariates(), Posterior(ETA[None], jnp.zeros((1, 0, 0)), jnp.asarray(1.0)),
            target("trough", 1.0),
            start_h=0.0, horizon_h=30.0,
        )  # fmt: skip
    other = toy(
        ONE,
        {"cl": 1.0, "v1": 10.0},
        outputs=(Output("effect", "1", None, lambda state, p: state["central"]),),
        targets=(),
    )
    regimen = make_regimen([Dose(0, 1)], ONE)
    with pytest.raises(DrugModelError, match="has no area"):
        exposure(
            other, regimen, no_covariates(), jnp.zeros(0), None, Target("effect", "auc24", 1, 2, "", ""), 0.0, 24.0
        )
    with pytest.raises(DrugModelError, match="lower limit"):
        exposure(drug, regimen, no_covariates(), ETA, None, target("time_above", high=3.0), 0.0, 24.0)
