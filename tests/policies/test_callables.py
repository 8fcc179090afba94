"""Anybody's agent takes part: it sees the observations of the environment, and what it does wrong is said in a line."""

import dataclasses
import threading
import time

import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.clinic.observation import observer_of
from rl_drug_dosage.errors import BadPluginError, ConfigError, UnknownNameError
from rl_drug_dosage.policies.adapters.learnt import PpoDosing
from rl_drug_dosage.policies.fixed import Fixed
from rl_drug_dosage.registry import POLICY, find
from rl_drug_dosage.trials.bedside import Bedside
from rl_drug_dosage.trials.trial import Cohort, run_trial


class Always:
    """An agent that says the same to everybody."""

    def __init__(self, said):
        self.said = said

    def predict(self, observation):
        return self.said(observation) if callable(self.said) else self.said


def column(observation):
    return np.full((len(observation), 1), 750.0)


@pytest.mark.long
@pytest.mark.parametrize(
    "agent",
    [
        Always(column),
        Always(lambda observation: (np.full(len(observation), 750.0), None)),
        lambda observation: [750] * len(observation),
        column,
    ],
    ids=["predict", "action and state", "a list", "a function"],
)
def test_every_form_of_agent_gives_its_dose(treat, agent):
    """One column or none, with a state or without, integers or floats."""
    np.testing.assert_array_equal(treat(agent).dose, np.full((8, 4), 750.0))


@pytest.mark.long
def test_a_policy_and_a_function_that_builds_one_are_taken_as_they_are(treat):
    """No host is asked."""
    policy = Fixed(jnp.asarray(500.0))

    def build(setting):
        assert setting.scenario.dosage.unit == "mg"
        return policy

    for given in (policy, build):
        np.testing.assert_array_equal(treat(given).dose, np.full((8, 4), 500.0))


@pytest.mark.long
def test_a_network_in_numpy_doses_as_the_same_network_in_jax(treat, ward, make_policy, setting_of):
    """The observation is the one that a learnt policy sees, with the agent's own options."""
    options = {"history": 2, "action": "grid", "clock": False}
    observer = observer_of(ward, **options)
    network = make_policy(obs_size=observer.size)
    # As wide as weights are, so that patients differ.
    moments = dataclasses.replace(network.obs_norm, var=np.full(observer.size, 900.0, np.float32))
    network = dataclasses.replace(network, obs_norm=moments, high=np.full(1, 20.0, np.float32))

    class Network:
        observation_options = options

        def predict(self, observation, deterministic=False):
            assert deterministic
            assert observation.dtype == np.float32
            return network.act(None, observation, None)[0]

    learnt = PpoDosing(ward, observer, network)
    direct = run_trial(ward, setting_of(ward).simulator, learnt, Cohort(1, 8))
    hosted = treat(Network())
    np.testing.assert_allclose(hosted.dose, direct.dose)
    assert len(np.unique(hosted.dose)) > 3


@pytest.mark.long
def test_two_threads_and_a_range_of_patients(treat):
    """Every patient gets the dose of its own observation, whichever call it is in; one call at a time."""
    inside, most = [0], [0]
    lock = threading.Lock()

    def by_weight(observation):
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        time.sleep(0.02)
        dose = 250.0 * np.round(observation[:, 3] * 15.0 / 250.0)
        with lock:
            inside[0] -= 1
        return dose

    trial = treat(by_weight, patients=600)
    expected = 250.0 * np.round(trial.covariates["wt_kg"].astype(np.float32) * 15.0 / 250.0)
    np.testing.assert_array_equal(trial.dose, np.tile(expected[:, None], 4))
    assert most[0] == 1


class Counting:
    """Recurrent as in Stable-Baselines3: its state has patients on the second axis, and weights of each patient."""

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        if state is None:
            state = {"weight": np.zeros((2, len(observation), 3)), "count": np.zeros(len(observation))}
        assert episode_start.all() == (state["count"] == 0).all()
        before = state["weight"][0, :, 1]
        wrong = (state["count"] > 0) & (before != observation[:, 3])
        count = state["count"] + 1
        after = {"weight": np.tile(observation[None, :, 3, None], (2, 1, 3)), "count": count}
        return np.where(wrong, 5000.0, 250.0 * count), after


@pytest.mark.long
def test_a_recurrent_agent_keeps_the_state_of_each_patient(treat):
    """The count goes up, from decision to decision, and nobody's state is somebody else's."""
    np.testing.assert_array_equal(treat(Counting()).dose, np.tile([250.0, 500.0, 750.0, 1000.0], (8, 1)))


def fails(observation):
    raise ValueError("no such patient")


@pytest.mark.long
@pytest.mark.parametrize(
    ("said", "message"),
    [
        (lambda o: np.zeros((len(o), 2)), r"shape \(250, 2\): allowed is .* \(250,\) or \(250, 1\)"),
        (lambda o: 3.0, r"shape \(\)"),
        (lambda o: np.where(np.arange(len(o)) < 3, np.nan, 500.0), "returned nan for 3 of 250 patients.* 0 to 5000"),
        (lambda o: np.full(len(o), -250.0), "the action -250: allowed are numbers from 0 to 5000"),
        (lambda o: np.full(len(o), 5250.0), "the action 5250: allowed are numbers from 0 to 5000"),
        (lambda o: ["much"] * len(o), "returned list"),
        (fails, r"fails: ValueError: no such patient \(.*test_callables.py, line \d+: raise ValueError"),
    ],
)
def test_what_an_agent_does_wrong_is_one_line_with_its_name(treat, said, message):
    """Not an error of the compiler, and no patient goes on with a made-up dose."""
    with pytest.raises(BadPluginError, match=message) as error:
        treat(Always(said))
    assert "policy 'Always'" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_failure_is_told_at_the_bedside_too_and_only_once(build, setting_of, ward):
    """The next patient may be one that the agent can treat."""
    said = [np.nan]
    bedside = Bedside(setting_of(ward).task, build(lambda o: np.full(len(o), said[0]), ward))
    course = bedside.start({c.name: c.typical for c in ward.covariates})
    with pytest.raises(BadPluginError, match="returned nan for 1 of 1 patients"):
        course.recommend()
    said[0] = 500.0
    assert course.recommend() == 500.0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"histroy": 2}, UnknownNameError, "did you mean 'history'"),
        ({"action": "big"}, ConfigError, "must be one of amount"),
        ([3], ConfigError, "must be a mapping"),
    ],
)
def test_options_that_are_not_allowed_are_refused_before_anything_runs(build, ward, options, error, message):
    agent = Always(column)
    agent.observation_options = options
    with pytest.raises(error, match=message):
        build(agent, ward)


def test_an_agent_of_other_spaces_is_refused(build, ward):
    """Where it says what it was made for."""
    from gymnasium.spaces import Box, Discrete

    size = observer_of(ward).size
    agent = Always(column)
    agent.observation_space, agent.action_space = Box(-1, 1, (3,)), Box(0, 5000, (1,))
    with pytest.raises(ConfigError, match=rf"shape \(3,\), those of .* are \({size},\)"):
        build(agent, ward)
    agent.observation_space = Box(-1, 1, (size,))
    assert build(agent, ward)
    for space in (Box(-1, 1, (1,)), Discrete(3)):
        agent.action_space = space
        with pytest.raises(ConfigError, match="one number from 0 to 5000"):
            build(agent, ward)


def test_what_is_no_agent_is_refused(tmp_path, ward, build):
    """A class in place of its object, a number, a builder that builds none, a file without POLICY."""
    with pytest.raises(BadPluginError, match="Always is a class: give an instance"):
        find(POLICY, Always)
    with pytest.raises(BadPluginError, match=r"must be a PolicyDefinition, a Policy, .* not int"):
        find(POLICY, 3)

    def build_none(setting):
        return 3

    with pytest.raises(BadPluginError, match="returned int, it must return a Policy"):
        build(build_none, ward)
    with pytest.raises(BadPluginError, match="cannot be built: ZeroDivisionError"):
        build(lambda setting: 1 / 0, ward)


@pytest.mark.long
def test_a_file_may_hold_any_of_them(tmp_path, treat):
    """The registry adapts what ``POLICY`` is."""
    path = tmp_path / "mine.py"
    path.write_text("import numpy as np\ndef POLICY(observation):\n    return np.full(len(observation), 1250.0)\n")
    np.testing.assert_array_equal(treat(path).dose, np.full((8, 4), 1250.0))
    assert find(POLICY, path).name == "mine"
