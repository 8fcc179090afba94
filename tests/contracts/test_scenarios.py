"""What every dosing scenario promises, whoever wrote it: the contract that a new file is held to the day it appears.

The ladder (random, label, Bayesian, oracle) of all scenarios takes minutes and is marked slow; that of vancomycin is
not.
"""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from rl_drug_dosage.clinic.policy import Policy, Setting
from rl_drug_dosage.clinic.simulators import model_of, simulator_of
from rl_drug_dosage.clinic.stress import STRESSES
from rl_drug_dosage.envs.catalog import find_env
from rl_drug_dosage.envs.scenario_env import ScenarioEnv
from rl_drug_dosage.registry import SCENARIO, find_scenario, load_policy_definition, names
from rl_drug_dosage.trials.statistics import bootstrap
from rl_drug_dosage.trials.trial import Cohort, run_trial

NAMED = {name: find_scenario(name) for name in names(SCENARIO)}
QUICK = ("vancomycin",)
SLOWLY = [pytest.param(m, marks=() if m in QUICK else pytest.mark.slow) for m in sorted(NAMED)]
EVERY = sorted(NAMED)

PATIENTS = 500


class Says(Policy):
    """Always the same amount."""

    amount: jax.Array

    def init(self, record, truth=None):
        return ()

    def act(self, memory, observation, key):
        return self.amount, memory


def attained(module: str, policy: Policy, *, sees_truth: bool = False, patients: int = PATIENTS) -> np.ndarray:
    """Share of judged intervals in the windows, patient by patient."""
    scenario = NAMED[module].value
    simulator = simulator_of(scenario, scenario.models[0])
    trial = run_trial(scenario, simulator, policy, Cohort(1, patients), sees_truth=sees_truth)
    return 100.0 * trial.inside[:, scenario.judged()].mean(1)


def by_name(module: str, name: str) -> np.ndarray:
    scenario = NAMED[module].value
    first = scenario.models[0]
    agent = load_policy_definition(name)
    setting = Setting(NAMED[module], model_of(scenario, first), simulator_of(scenario, first))
    return attained(module, agent.build(setting), sees_truth=agent.sees_truth)


def interval(column: np.ndarray):
    return bootstrap(column[:, None], np.random.default_rng(1))[0]


@pytest.mark.parametrize("module", SLOWLY)
def test_knowing_more_is_never_worse(module):
    """random << label <= mipd <= oracle in the scenario's own goal; the first and the last step clearly apart."""
    found = {name: by_name(module, name) for name in ("random", "label", "mipd", "oracle")}

    assert interval(found["label"]).low > interval(found["random"]).high
    assert interval(found["mipd"] - found["label"]).high > 0.0
    assert interval(found["oracle"] - found["mipd"]).low > 0.0


@pytest.mark.parametrize("module", SLOWLY)
def test_no_dose_does_nothing_and_the_highest_dose_harms(module):
    scenario = NAMED[module].value
    none, most = (
        attained(module, Says(jnp.asarray(amount, dtype=float)), patients=100)
        for amount in (0.0, scenario.dosage.amounts[-1])
    )
    label = by_name(module, "label")

    assert none.mean() < label.mean() - 5.0
    assert most.mean() < label.mean() - 5.0


@pytest.mark.parametrize("module", EVERY)
def test_its_models_fit(module):
    """Every model finds its covariates, the monitored output, and the outputs of the goal."""
    scenario = NAMED[module].value
    known = {c.name for c in scenario.covariates} | {c.name for c in scenario.clocks}
    for name in scenario.models:
        model = model_of(scenario, name)
        assert {c.name for c in model.covariates} <= known
        for output in {scenario.monitoring.output, *(w.output for w in scenario.goal.targets)}:
            model.output_index(output)
        residual = model.outputs[model.output_index(scenario.monitoring.output)].residual
        assert (scenario.monitoring.error or residual) is not None
        assert simulator_of(scenario, name).name == name


@pytest.mark.parametrize("module", EVERY)
def test_its_numbers_have_sources(module):
    scenario = NAMED[module].value
    for sourced in (scenario.dosage, scenario.monitoring, *scenario.goal.targets, *scenario.goal.harms):
        assert len(sourced.source) > 10
    for sourced in (*scenario.covariates, *scenario.drifts):
        assert len(sourced.source) > 10
    assert len(scenario.label_text) > 20
    assert len(scenario.reward_text) > 20


@pytest.mark.parametrize("module", EVERY)
def test_its_grid_and_goal_are_sound(module):
    scenario = NAMED[module].value
    grid = np.asarray(scenario.dosage.amounts)
    low, high, aim = scenario.edges()

    assert (np.diff(grid) > 0).all()
    assert grid[0] >= 0
    assert grid[0] <= scenario.dosage.usual <= grid[-1]
    assert (low < high).all()
    assert ((low <= aim) & (aim <= high)).all()
    assert np.isfinite(aim).all()
    assert scenario.judged().any()
    assert 1 <= scenario.look_ahead <= scenario.schedule.decisions
    assert any(stress.change(scenario) is not None for stress in STRESSES.values())


@pytest.mark.parametrize("module", EVERY)
def test_a_patient_is_its_key_alone(module):
    """One program: two patients step by step, once each and once again."""
    env = find_env(module).make()
    assert isinstance(env, ScenarioEnv)
    amount = jnp.asarray([NAMED[module].value.dosage.usual])

    @jax.jit
    def run(chance):
        state, obs = env.reset(chance)
        out = env.step(state, amount, jnp.zeros(2, jnp.uint32))
        return obs, out.obs, out.reward, out.terminated, out.truncated, out.state.patient

    one, other = jnp.asarray([1, 2], jnp.uint32), jnp.asarray([1, 3], jnp.uint32)
    first, again, second = (jax.device_get(run(c)) for c in (one, one, other))

    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert not np.array_equal(first[-1].contents, second[-1].contents)
    assert all(np.isfinite(a).all() for a in first[:3])
    assert first[0].shape == (env.observer.size,)
    assert not first[4] or env.horizon == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*symmetric and normalized.*")
@pytest.mark.parametrize("module", EVERY)
def test_gymnasium_accepts_it(module):
    env = gymnasium.make(NAMED[module].env_id)

    check_env(env.unwrapped)
    env.close()
