"""Limit cycles: a policy that keeps changing its dose while every level is at its aim is found, and others are not."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
import pytest

from rl_drug_dosage.checks import check_policy
from rl_drug_dosage.checks.held import held_course
from rl_drug_dosage.clinic.policy import Policy, PolicyDefinition, Setting
from rl_drug_dosage.clinic.simulators import model_of, simulator_of
from rl_drug_dosage.registry import find_scenario, load_policy_definition

CHECK = "doses settle where the level does"


class Swings(Policy):
    """Gives ``high``, then ``low``, whatever is measured; ``mean`` of the two where ``damped``."""

    high: float
    low: float
    damped: bool = eqx.field(static=True, default=False)

    def init(self, record, truth=None):
        return ()

    def act(self, memory, observation, key):
        if self.damped:
            return jnp.asarray(0.5 * (self.high + self.low)), memory
        return jnp.where(observation.k % 2 == 0, self.high, self.low), memory


class Proportional(Policy):
    """The last dose times aim over level, to a power: it settles with the level, whatever the power."""

    aim: float

    def init(self, record, truth=None):
        return ()

    def act(self, memory, observation, key):
        last = jnp.maximum(observation.k - 1, 0)
        known = observation.known[last, -1]
        factor = jnp.where(known, self.aim / jnp.maximum(observation.level[last, -1], 0.1), 1.0)
        return jnp.where(observation.k > 0, jnp.round(2.0 * observation.dose[last] * factor**2) / 2.0, 5.0), memory


def setting(name):
    task = find_scenario(name)
    first = task.value.models[0]
    return Setting(task, model_of(task.value, first), simulator_of(task.value, first))


def findings(policy, scenario, **more):
    definition = PolicyDefinition(title="mine", build=lambda _: policy, **more)
    report = check_policy(definition, scenario)
    assert report.ok, str(report)
    return [f for f in report.warnings if f.check == CHECK]


@pytest.mark.long
def test_a_policy_that_cycles_is_told_in_numbers():
    (finding,) = findings(Swings(11.0, 2.0), "warfarin")
    assert finding.warning
    # The last 7 of 19 decisions, from decision 12 on, 11 at even ones: 11 four times and 2 three times.
    assert "with the INR held at 2.5 the doses go 2, 11, 2, 11, 2, 11 mg" in finding.came
    assert f"they change by {100.0 * 9.0 / ((4 * 11 + 3 * 2) / 7):.3g} % of their mean" in finding.came
    assert finding.came.endswith("with 17 zigzags in the course")
    assert finding.allowed.startswith("changes of at most 10 %")


@pytest.mark.long
def test_two_neighbouring_amounts_are_named_as_such():
    (finding,) = findings(Swings(2.0, 1.0), "warfarin")
    assert finding.came.endswith(", between two neighbouring amounts of the grid")


@pytest.mark.long
@pytest.mark.parametrize(
    "policy", [Swings(11.0, 2.0, damped=True), Proportional(2.5)], ids=["constant", "by the level"]
)
def test_a_policy_that_settles_is_not(policy):
    assert findings(policy, "warfarin") == []


def test_a_level_that_is_not_the_aim_would_go_on():
    """The rule by the level stays at its first dose because the level is held at 2.5: with another aim it falls."""
    assert set(held_course(setting("warfarin"), Proportional(2.5)).doses) == {5.0}
    course = held_course(setting("warfarin"), Proportional(2.2))
    assert course.doses[-1] < course.doses[0]


@pytest.mark.parametrize("more", [{"chance": True}, {"sees_truth": True}])
def test_who_draws_doses_or_knows_the_patient_is_not_asked(more):
    assert findings(Swings(11.0, 2.0), "warfarin", **more) == []


@pytest.mark.long
def test_where_the_best_dose_is_not_constant_nobody_is_asked():
    task = find_scenario("warfarin").value
    goal = dataclasses.replace(task.goal, steady=False, steady_text="a test")
    assert findings(Swings(11.0, 2.0), dataclasses.replace(task, goal=goal)) == []


def test_held_levels_are_those_of_the_aim():
    """Vancomycin is measured within the interval and judged by its area: the label's doses make levels of one area."""
    course = held_course(setting("vancomycin"), load_policy_definition("label").build(setting("vancomycin")))
    assert "AUC24 489.9 mg h/L" in course.what
    assert "at 6 h" in course.what
    assert "at 11 h" in course.what
    # 15 mg/kg for 90 kg with a creatinine clearance of 100 mL/min
    assert set(course.doses[1:]) == {1250.0}


@pytest.mark.long
def test_empty_decisions_of_a_longer_interval_are_no_swings():
    """Every 24 h where decisions are every 12 h: doses at every second decision, all alike."""
    task = find_scenario("vancomycin")
    dosage = dataclasses.replace(task.value.dosage, intervals_h=(12.0, 24.0), highest_rate_per_h=None)
    own = dataclasses.replace(task, value=dataclasses.replace(task.value, dosage=dosage))
    first = own.value.models[0]
    there = Setting(own, model_of(own.value, first), simulator_of(own.value, first))

    class Daily(Policy):
        def init(self, record, truth=None):
            return ()

        def act(self, memory, observation, key):
            from rl_drug_dosage.clinic.timetable import Prescription

            return Prescription(jnp.asarray(2000.0), jnp.asarray(1)), memory

    course = held_course(there, Daily())
    assert course.doses.tolist() == [2000.0] * 7
    assert not course.cycles
