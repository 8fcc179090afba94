"""Patients whose equations run away: their course ends as a failure, training goes on, and it is said."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.clinic.simulators import simulator_of
from rl_drug_dosage.envs.scenario_env import ScenarioEnv, observer_of
from rl_drug_dosage.registry import load_scenario
from rl_drug_dosage.training.config import TrainConfig
from rl_drug_dosage.training.program import CompiledProgram
from rl_drug_dosage.training.report import culprit, lost_note

pytestmark = pytest.mark.long

SCENARIO = load_scenario("vancomycin")
COUNT = 64


def running_away(cl_l_per_h: float) -> ScenarioEnv:
    """Vancomycin, whose levels are no numbers in patients with a larger clearance."""
    model = simulator_of(SCENARIO, SCENARIO.models[0])
    (output,) = model.outputs

    def level(state: Any, p: Any) -> Any:
        return jnp.where(p["cl"] > cl_l_per_h, jnp.nan, output.value(state, p))

    broken = dataclasses.replace(model, outputs=(dataclasses.replace(output, value=level),))
    return ScenarioEnv(SCENARIO, broken, observer_of(SCENARIO), by_goal=True)


def test_a_course_that_runs_away_ends_as_a_failure_and_the_others_go_on() -> None:
    whole, broken = running_away(np.inf), running_away(4.0)
    chance = whole.draw(jax.random.key(1), (COUNT,))
    state, _ = jax.jit(whole.reset_batch)(chance)
    action = jnp.full((COUNT, 1), 1000.0)
    right, out = (jax.jit(e.step_batch)(state, action, chance) for e in (whole, broken))

    lost = np.asarray(out.lost)
    assert 5 < lost.sum() < COUNT - 5
    np.testing.assert_array_equal(out.terminated, lost)
    assert not np.asarray(out.in_range)[lost].any()
    # every interval of the course, this one included, counts as failed
    np.testing.assert_allclose(np.asarray(out.reward)[lost], -float(whole.horizon))
    for leaf in jax.tree.leaves((out.state, out.obs, out.reward)):
        assert np.isfinite(leaf).all()
    assert not np.asarray(right.lost).any()
    for got, expected in zip(jax.tree.leaves(out), jax.tree.leaves(right), strict=True):
        np.testing.assert_allclose(np.asarray(got)[~lost], np.asarray(expected)[~lost], rtol=1e-6)


@pytest.mark.parametrize(("cl_l_per_h", "said"), [(9.0, ""), (4.0, "% of the steps is not finite, more than 1 %")])
def test_training_goes_on_where_few_patients_run_away_and_stops_where_many_do(cl_l_per_h: float, said: str) -> None:
    config = TrainConfig(
        env_id="Vancomycin-v2", num_envs=256, num_steps=10, num_minibatches=2, update_epochs=1, hidden_size=8
    )
    program = CompiledProgram(running_away(cl_l_per_h), config, 2, {})
    state = program.init()
    program.compile(state)
    _, report = program(state)

    steps = 256 * 10
    lost = float(report.episodes.lost)
    assert lost > 0
    assert lost_note(report, steps) == (
        f"{round(lost * steps):,} courses ended early, as failures: the patient's equations were not finite"
    )
    assert (lost > 0.01) == bool(said)
    assert (said in culprit(report, [1])) if said else culprit(report, [1]) == ""
