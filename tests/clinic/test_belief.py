"""A controller's estimate is the engine's MAP estimate, and its posterior is calibrated."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.clinic.belief import (
    Belief,
    estimate,
    innovations,
    log_posterior,
    new_results,
    past,
    prior,
)
from rl_drug_dosage.clinic.doubt import cautious, in_doubt
from rl_drug_dosage.clinic.patient import admit, chart, treat
from rl_drug_dosage.clinic.planner import player_of
from rl_drug_dosage.clinic.policy import Policy, Setting
from rl_drug_dosage.clinic.simulators import model_of, simulator_of
from rl_drug_dosage.pkpd import Dose, make_covariates, make_levels, make_regimen
from rl_drug_dosage.pkpd.bayes import map_estimate
from rl_drug_dosage.pkpd.residual import variance
from rl_drug_dosage.policies import mipd, mipd_assay
from rl_drug_dosage.registry import find_scenario
from rl_drug_dosage.trials.bedside import load_policy
from rl_drug_dosage.trials.trial import Cohort, run_trial

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

    got = estimate(model, ward, record, jnp.zeros(3))

    assert known.sum() == 4
    np.testing.assert_allclose(got.z, expected.eta, atol=5e-3)
    np.testing.assert_allclose(got.covariance, expected.covariance, atol=5e-3)


@pytest.mark.long
def test_the_log_posterior_is_highest_at_the_estimate(ward, record):
    model = model_of(ward, MODEL)
    z = estimate(model, ward, record, jnp.zeros(3)).z

    def log(z):
        return float(log_posterior(model, ward, record, z, past(player_of(model, ward, record, z), record)))

    best = log(z)
    for direction in np.eye(3):
        assert log(z + 0.15 * direction) < best
        assert log(z - 0.15 * direction) < best


def test_without_a_level_the_belief_is_the_prior(ward, record):
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
    for name, said in (("vancomycin", "assay error is not given"), ("t1d", "publishes no residual error")):
        assert said in mipd_assay.POLICY.refuses(find_scenario(name).value)


@pytest.mark.long
@pytest.mark.parametrize("toxic", [80.0, 100.0, 120.0])
def test_after_a_toxic_level_the_estimate_is_that_of_the_engine_in_double_precision(ward, record, toxic):
    """From the prior, where the search used to end before it had moved."""
    model = model_of(ward, MODEL)
    known = np.asarray(record.known)
    last = int(np.flatnonzero(known.any(1))[-1])
    changed = eqx.tree_at(lambda r: r.level, record, record.level.at[last, -1].set(toxic))
    times = (np.arange(4)[:, None] * 12.0 + np.asarray(ward.monitoring.at_h))[known]
    facts = {c.name: float(record.covariates[c.name][0]) for c in model.covariates}
    values = np.asarray(changed.level, np.float64)[known]
    with jax.enable_x64(True):
        regimen = make_regimen(
            [Dose(12.0 * k, d, compartment="central", duration_h=1.0) for k, d in enumerate(DOSES[:3])], model.structure
        )
        expected = jax.device_get(
            map_estimate(model, regimen, make_covariates(model, facts), make_levels(model, times, values))
        )

    got = jax.jit(lambda record: estimate(model, ward, record, jnp.zeros(3)))(changed)

    assert bool(expected.converged)
    assert bool(got.converged)
    sd = np.sqrt(np.diagonal(expected.covariance))
    assert (np.abs(np.asarray(got.z) - expected.eta) / sd < 0.05).all()
    assert (np.abs(expected.eta) / sd).max() > 2.0


@pytest.mark.long
def test_an_estimate_that_has_not_converged_says_so(ward, record):
    model = model_of(ward, MODEL)
    assert not estimate(model, ward, record, jnp.zeros(3), max_evaluations=1).converged
    assert estimate(model, ward, record, jnp.zeros(3)).converged
    assert not in_doubt(())
    assert in_doubt({"any": prior(model, ward), "other": (unsure(ward),)})


def unsure(ward) -> Belief:
    return eqx.tree_at(lambda b: b.converged, prior(model_of(ward, MODEL), ward), jnp.asarray(False))


@pytest.mark.parametrize(("proposal", "allowed"), [(0.0, 0.0), (500.0, 500.0), (3000.0, 750.0)])
def test_without_an_estimate_no_dose_is_raised(ward, record, proposal, allowed):
    """The last doses were 1500, 1000 and 750 mg; the label's is 1034.5 mg, 1000 mg on the grid."""
    sure, asked = prior(model_of(ward, MODEL), ward), jnp.asarray(proposal)
    low = eqx.tree_at(lambda r: r.dose, record, record.dose.at[2].set(0.0))
    high = eqx.tree_at(lambda r: r.dose, record, record.dose.at[2].set(5000.0))

    assert float(cautious(ward, sure, record, asked)) == proposal
    assert float(cautious(ward, unsure(ward), record, asked)) == allowed
    assert float(cautious(ward, unsure(ward), low, asked)) == min(proposal, 1000.0)  # the last one above 0
    assert float(cautious(ward, unsure(ward), high, asked)) == min(proposal, 1000.0)


class Unsure(Policy):
    """Gives 1000 mg on an estimate that converges at odd decisions only."""

    belief: Belief

    def init(self, record, truth=None):
        return self.belief

    def act(self, memory, observation, key):
        return jnp.asarray(1000.0), eqx.tree_at(lambda b: b.converged, memory, observation.k % 2 == 1)


@pytest.mark.long
def test_doubts_are_counted_in_a_trial_and_said_at_the_bedside(ward):
    policy = Unsure(prior(model_of(ward, MODEL), ward))
    trial = run_trial(ward, simulator_of(ward, MODEL), policy, Cohort(3, 2))
    assert trial.doubtful.tolist() == [[True, False, True, False]] * 2

    bedside = load_policy(policy, ward)
    course = bedside.start({"crcl_ml_per_min": 80.0, "wt_kg": 70.0})
    course.recommend()
    assert "did not converge" in course.warnings[0]
    course.given(1000.0)
    course.recommend()
    assert course.warnings == ()
