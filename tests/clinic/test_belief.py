"""A controller's estimate is the engine's MAP estimate, and its posterior is calibrated."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.clinic.belief import estimate, innovations, log_posterior, new_results, past, prior
from rl_drug_dosage.clinic.patient import admit, chart, treat
from rl_drug_dosage.clinic.planner import player_of
from rl_drug_dosage.clinic.policy import Setting
from rl_drug_dosage.clinic.simulators import model_of, simulator_of
from rl_drug_dosage.pkpd import Dose, make_covariates, make_levels, make_regimen
from rl_drug_dosage.pkpd.bayes import map_estimate
from rl_drug_dosage.pkpd.residual import variance
from rl_drug_dosage.policies import mipd, mipd_assay
from rl_drug_dosage.registry import find_scenario

MODEL = "vancomycin-goti2018"
DOSES = (1500.0, 1000.0, 750.0, 1000.0)


@pytest.fixture(scope="module")
def record(ward):
    model = simulator_of(ward, MODEL)

    @jax.jit
    def run():
        course = admit(ward, model, jax.random.key(11))
        for k, dose in enumerate(DOSES[:3]):
            course, _ = treat(ward, model, course, jnp.asarray(dose), jnp.asarray(k))
        return chart(ward, course, jnp.asarray(3))

    return run()


def test_the_estimate_is_that_of_the_engine(ward, record):
    model = model_of(ward, MODEL)
    known = np.asarray(record.known)
    times = (np.arange(4)[:, None] * 12.0 + np.asarray(ward.monitoring.at_h))[known]
    regimen = make_regimen(
        [Dose(12.0 * k, d, compartment="central", duration_h=1.0) for k, d in enumerate(DOSES[:3])], model.structure
    )
    facts = {c.name: float(record.covariates[c.name][0]) for c in model.covariates}
    levels = make_levels(model, times, np.asarray(record.level)[known])
    expected = map_estimate(model, regimen, make_covariates(model, facts), levels)

    got = estimate(model, ward, record, jnp.zeros(3), max_iterations=30)

    assert known.sum() == 4
    np.testing.assert_allclose(got.z, expected.eta, atol=5e-3)
    np.testing.assert_allclose(got.covariance, expected.covariance, atol=5e-3)


def test_the_log_posterior_is_highest_at_the_estimate(ward, record):
    model = model_of(ward, MODEL)
    z = estimate(model, ward, record, jnp.zeros(3), max_iterations=30).z

    def log(z):
        return float(log_posterior(model, ward, record, z, past(player_of(model, ward, record, z), record)))

    best = log(z)
    for direction in np.eye(3):
        assert log(z + 0.15 * direction) < best
        assert log(z - 0.15 * direction) < best


def test_without_a_level_the_belief_is_the_prior(ward, record):
    import equinox as eqx

    model = model_of(ward, MODEL)
    empty = eqx.tree_at(lambda r: r.known, record, np.zeros_like(record.known))

    got = estimate(model, ward, empty, jnp.zeros(3))

    np.testing.assert_allclose(got.z, 0.0, atol=1e-6)
    np.testing.assert_allclose(got.covariance, prior(model, ward).covariance, rtol=1e-4)


def test_results_are_looked_for_only_when_some_can_have_come(ward):
    assert new_results(ward).tolist() == [False, True, False, True]


def test_innovations_of_unknown_levels_are_zero(ward, record):
    model = model_of(ward, MODEL)
    seen = past(player_of(model, ward, record, jnp.zeros(3)), record)

    u = np.asarray(innovations(model, ward, seen, record))

    assert (u[~np.asarray(record.known)] == 0).all()
    assert (u[np.asarray(record.known)] != 0).all()


def test_who_believes_the_laboratory_follows_the_levels_more_closely():
    """`mipd-assay` believes half the error of `mipd` for an INR, and refuses where it would be `mipd` again."""
    scenario = find_scenario("warfarin").value
    model = model_of(scenario, scenario.models[0])
    setting = Setting(find_scenario("warfarin"), model, simulator_of(scenario, scenario.models[0]))
    believed = [module.build(setting).model.outputs for module in (mipd, mipd_assay)]
    at = model.output_index("inr")
    sd = [float(np.sqrt(variance(outputs[at].residual, jnp.asarray(2.0)))) for outputs in believed]
    assert sd == pytest.approx([0.20, 0.10], rel=0.01)
    assert mipd_assay.POLICY.refuses(scenario) == ""
    for name, said in (("vancomycin", "nothing is known"), ("t1d", "publishes no residual error")):
        assert said in mipd_assay.POLICY.refuses(find_scenario(name).value)
