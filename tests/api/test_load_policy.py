"""``load_policy``: agents, model files, runs; and a model that has no clinical record behind it."""

from pathlib import Path

import numpy as np
import pytest

import rl_drug_dosage as rldd
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.ppo.model_file import save_model
from rl_drug_dosage.registry import POLICY, load_policy_definition, names
from rl_drug_dosage.training.episodes import run_compiled
from rl_drug_dosage.trials.bedside import Bedside
from rl_drug_dosage.trials.step_policy import StepPolicy
from rl_drug_dosage.utils.seeding import Stream

MODELS = Path(__file__).resolve().parents[2] / "models"
FACTS = {"crcl_ml_per_min": 80.0, "wt_kg": 75.0}


@pytest.fixture(scope="module")
def drug_dose():
    policy = rldd.load_policy(MODELS / "agent.pt")
    assert isinstance(policy, StepPolicy)
    return policy


def test_a_model_of_drug_dose_doses_as_it_does_in_its_environment(drug_dose):
    from rl_drug_dosage.envs import catalog

    env = catalog.find_env("DrugDose-v0")
    assert env is not None
    functional = catalog.make(env, {"k": 0.05})
    course = run_compiled(functional, drug_dose.model.policy, seed=1, stream=Stream.EVALUATE, episodes=1)
    mine = drug_dose.start()
    for concentration, dose in zip(course.concentration[0, :-1], course.dose[0], strict=True):
        mine.observe(concentration)
        assert mine.recommend() == pytest.approx(dose, abs=1e-6)
        assert mine.recommend() == mine.recommend()
        mine.given(dose)


def test_it_says_in_what_it_counts(drug_dose):
    assert (drug_dose.env_id, drug_dose.dose_unit, drug_dose.observation_unit) == ("DrugDose-v0", "a.u.", "a.u.")
    assert drug_dose.observation_size == 1


def test_every_dose_needs_an_observation(drug_dose):
    course = drug_dose.start()
    with pytest.raises(ConfigError, match="decision 1 of this course needs an observation"):
        course.recommend()
    course.observe(0.0)
    course.given(course.recommend())
    with pytest.raises(ConfigError, match="decision 2"):
        course.recommend()
    for wrong in ((float("nan"),), (1.0, 2.0)):
        with pytest.raises(ConfigError, match="a finite number"):
            course.observe(*wrong)
    with pytest.raises(ConfigError, match="finite number"):
        course.given(float("inf"))


def test_an_observation_may_be_corrected(drug_dose):
    one, two = drug_dose.start(), drug_dose.start()
    one.observe(3.0)
    one.recommend()
    one.observe(0.5)
    two.observe(0.5)
    assert one.recommend() == two.recommend()


def test_the_last_observations_and_doses_are_stacked_as_in_the_environment(make_policy, tmp_path):
    from rl_drug_dosage.envs import catalog

    policy = make_policy(obs_size=5)
    env = {"id": "DrugDose-v0", "options": {}, "frame_stack": 3, "units": {}}
    save_model(tmp_path / "stacked.pt", policy, env=env, training={}, progress={})
    loaded = rldd.load_policy(tmp_path / "stacked.pt")
    assert isinstance(loaded, StepPolicy)
    assert loaded.observation_size == 1
    found = catalog.find_env("DrugDose-v0")
    assert found is not None
    course = run_compiled(catalog.make(found, {}, 3), policy, seed=1, stream=Stream.EVALUATE, episodes=1)
    mine = loaded.start()
    for concentration, dose in zip(course.concentration[0, :12], course.dose[0], strict=False):
        mine.observe(concentration)
        assert mine.recommend() == pytest.approx(dose, abs=1e-5)
        mine.given(dose)


@pytest.mark.long
def test_a_run_and_its_model_file_are_the_same_policy(own):
    given = []
    for reference in ("runs/a", own / "runs/a", "runs/a/agent.pt"):
        course = rldd.load_policy(reference, "task.py").start(FACTS)
        given.append(course.recommend())
    assert len(set(given)) == 1


def test_a_model_of_a_built_in_scenario_knows_it():
    policy = rldd.load_policy(str(MODELS / "vancomycin.pt"))
    assert isinstance(policy, Bedside)
    assert policy.scenario == rldd.load_scenario("vancomycin")


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(set(names(POLICY)) - {"best-bayes", "mipd-assay", "mipd-average", "tci"}))
def test_every_agent_has_a_bedside_where_it_fits(name):
    """Left out are those that take long to compile: three that share their code with others, and `tci`."""
    scenario = "warfarin" if name in {"aurora", "intermountain"} else "vancomycin"
    definition = load_policy_definition(name)
    assert not definition.refuses(rldd.load_scenario(scenario))
    if definition.sees_truth:
        with pytest.raises(ConfigError, match="true parameters"):
            rldd.load_policy(name, scenario)
        return
    policy = rldd.load_policy(name, scenario)
    middle = {}
    for c in policy.covariates:
        usual = c.codes[0] if c.codes else np.sqrt(c.low * c.high)
        middle[c.name] = usual if c.optional is None else c.optional
    dose = policy.start(middle).recommend()
    assert policy.scenario.dosage.amounts[0] <= dose <= policy.scenario.dosage.amounts[-1]
