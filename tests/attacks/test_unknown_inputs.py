"""What is not known counts as unknown, and what never varied in training does not enter a policy."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import rl_drug_dosage as rldd
from rl_drug_dosage.clinic.belief import Player, estimate, past, prior
from rl_drug_dosage.clinic.record import empty_record
from rl_drug_dosage.clinic.simulators import model_of
from rl_drug_dosage.ppo.model_file import load_model
from rl_drug_dosage.registry import load_scenario

MODELS = Path(__file__).parents[2] / "models"
PATIENT = {"age_y": 64.0, "cyp2c9": "*1/*3", "vkorc1": "GA"}


def trained(scenario, folder, updates, num_envs):
    """A short training from the chart."""
    return rldd.train(
        scenario=scenario,
        runs_dir=str(folder),
        total_timesteps=updates * num_envs * 8,
        num_envs=num_envs,
        num_steps=8,
        num_minibatches=2,
        update_epochs=1,
        eval_freq=0,
    )


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """From the chart alone; to a policy with a belief, which knows the model, baseline and covariate mean something."""
    # The first update's policy has seen nothing that its normaliser could tell.
    run = trained("warfarin-90d", tmp_path_factory.mktemp("runs"), updates=2, num_envs=32)
    return rldd.load_policy(run.folder.path)


def first_dose(policy, baseline=None, **covariates):
    course = policy.start({**PATIENT, **covariates})
    if baseline is not None:
        course.observe(0.0, baseline)
    return course.recommend(), course.warnings


@pytest.mark.long
def test_a_learnt_policy_reads_an_unknown_baseline_as_the_typical_one(learnt):
    unknown, said = first_dose(learnt)

    assert unknown == first_dose(learnt, baseline=1.0)[0]
    assert "no inr before the first dose was observed" in said[0]
    assert not first_dose(learnt, baseline=1.0)[1]


@pytest.mark.long
def test_an_estimate_learns_nothing_from_a_baseline_that_was_not_measured():
    """Of paclitaxel, whose model has a random effect on the leukocytes before the first dose."""
    scenario = load_scenario("paclitaxel")
    model = model_of(scenario, scenario.models[0])
    start = prior(model, scenario).z
    unknown = empty_record(scenario, {}, jnp.zeros(()))
    typical = past(Player(model, scenario, {}, start, None, area=False), unknown).baseline
    half = empty_record(scenario, {}, 0.5 * typical)

    np.testing.assert_allclose(estimate(model, scenario, unknown, start).z, 0.0, atol=1e-6)
    assert np.abs(estimate(model, scenario, half, start).z).max() > 0.3


@pytest.mark.long
@pytest.mark.parametrize("told", [1.01, 1.2])
def test_an_input_that_never_varied_is_held_and_said(learnt, told):
    dose, said = first_dose(learnt, baseline=1.1, inr_base=told)

    assert dose == first_dose(learnt, baseline=1.1, inr_base=1.0)[0]
    assert said == (f"inr_base = {told:g} was always 1 in training: the policy takes 1 in its place",)


def test_which_inputs_are_held_is_read_from_the_file():
    scenario = load_scenario("warfarin-90d")
    policy = rldd.load_policy(MODELS / "warfarin-90d.pt").policy
    held = {f.name: c for f, c in zip(policy.observer.names, policy.held, strict=True) if c is not None}

    assert held == {"aim": 1.0, "inr_base": 1.0}
    assert {c.name for c in scenario.covariates} - set(held) == {"age_y", "cyp2c9", "vkorc1_g_alleles"}
    assert np.isnan(load_model(MODELS / "agent.pt").policy.constants()).all()


@pytest.mark.long
def test_an_untrained_normaliser_holds_nothing(make_policy):
    assert np.isnan(make_policy(obs_size=4).constants()).all()


@pytest.mark.long
def test_training_names_the_inputs_that_never_varied(tmp_path):
    run = trained("vancomycin", tmp_path, updates=2, num_envs=4)

    (said,) = run.warnings
    assert said.startswith("never varied in training")
    assert "dialysis" in said
    assert "wt_kg" not in said
