"""Checks of a scenario by simulation: a patient depends on its key only, courses and rewards are finite."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_drug_dosage.checks.probe import Watched, constant_course, label_course, random_course
from rl_drug_dosage.checks.report import Finding, check, wrong
from rl_drug_dosage.checks.scenario_fit import OFTEN, asks_beyond
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.simulators import simulator_of
from rl_drug_dosage.envs.scenario_env import ScenarioEnv, env_of

__all__ = ["A_PATIENT_IS_ITS_KEY_ALONE", "QUICK"]


@check("models")
def _a_patient_is_its_key_alone(scenario: Scenario) -> Iterable[Finding]:
    """Two patients step by step in the environment, each simulated twice, in one program."""
    env = env_of(scenario).make()
    assert isinstance(env, ScenarioEnv)
    amount = jnp.asarray([scenario.dosage.usual])

    @jax.jit
    def run(chance: Any) -> Any:
        state, obs = env.reset(chance)
        out = env.step(state, amount, jnp.zeros(2, jnp.uint32))
        return obs, out.obs, out.reward, out.terminated, out.truncated, out.state.patient

    one, other = jnp.asarray([1, 2], jnp.uint32), jnp.asarray([1, 3], jnp.uint32)
    first, again, second = (jax.device_get(run(c)) for c in (one, one, other))
    same = jax.tree.map(lambda a, b: np.array_equal(a, b, equal_nan=True), first, again)
    if not all(jax.tree.leaves(same)):
        yield wrong(
            "models",
            "one key gave two different patients",
            "bit-identical patients",
            "draw random numbers from the key only",
        )
    if np.array_equal(first[-1].contents, second[-1].contents):
        yield wrong("models", "two keys gave the same patient", "different ones", "add variability to the cohort")
    if first[0].shape != (env.observer.size,):
        yield wrong(
            "covariates", f"an observation of shape {first[0].shape}", f"({env.observer.size},)", "correct them"
        )
    for field, values in (("covariates", first[0]), ("monitoring.output", first[1])):
        if not np.isfinite(values).all():
            yield wrong(field, "an observation that is not finite", "finite", "correct the model or the covariates")
    if not np.isfinite(first[2]).all():
        yield wrong("reward", f"{first[2]} for the usual dose", "a finite number", "correct the function")
    if first[4] and env.horizon > 1:
        yield wrong("schedule.decisions", "ends at the first decision", f"{env.horizon} decisions", "correct it")


A_PATIENT_IS_ITS_KEY_ALONE = _a_patient_is_its_key_alone


def _finite(watched: Watched, doses: str, scenario: Scenario) -> Iterable[Finding]:
    courses = watched.courses
    for field, values, what in (
        ("models[0]", courses.values, scenario.monitoring.output),
        ("goal.targets", courses.metrics, "a metric of the goal"),
        ("reward", courses.reward, "the reward"),
    ):
        bad = ~np.isfinite(values)
        if bad.any():
            where = np.argwhere(bad)[0]
            came = f"{what} is {values[tuple(where)]} at decision {where[0]} of drawn patient {where[1] + 1}, {doses}"
            yield wrong(field, came, "finite", "correct the function or the model")
            return


@check("reward")
def _courses_are_finite(scenario: Scenario) -> Iterable[Finding]:
    """Courses of 50 drawn patients are finite under the label, random doses and the highest dose."""
    model = simulator_of(scenario, scenario.models[0])
    for watched, doses in (
        (label_course(scenario, model), "under the label"),
        (random_course(scenario, model), "under random doses"),
        (constant_course(scenario, model, scenario.dosage.amounts[-1]), "under the highest dose"),
    ):
        yield from _finite(watched, doses, scenario)


@check("label")
def _label_stays_on_the_grid(scenario: Scenario) -> Iterable[Finding]:
    """Label doses at every decision, for 50 drawn patients treated by the label."""
    courses = label_course(scenario, simulator_of(scenario, scenario.models[0])).courses
    asked = np.asarray(courses.proposal)[np.asarray(courses.alive)]
    yield from asks_beyond(scenario, asked, "a drawn patient in the course", OFTEN)


@check("monitoring")
def _levels_come_when_they_are_drawn(scenario: Scenario) -> Iterable[Finding]:
    """A record contains a level only after its result is back, and at least one level is measured."""
    charts = label_course(scenario, simulator_of(scenario, scenario.models[0])).charts
    decisions = scenario.schedule.decisions
    early = [bool(charts.known[k, :, k:].any()) for k in range(decisions)]
    if any(early):
        yield wrong(
            "monitoring", f"a level is known at decision {early.index(True)} before it is drawn", "later", "report it"
        )
    if decisions > 1 and not charts.known.any() and scenario.monitoring.missed < 1:
        came = "no result is back before the last decision"
        yield wrong("monitoring.turnaround_h", came, "a result that can guide a dose", "draw earlier, or shorten it")


QUICK = (
    A_PATIENT_IS_ITS_KEY_ALONE,
    _courses_are_finite,
    _label_stays_on_the_grid,
    _levels_come_when_they_are_drawn,
)
