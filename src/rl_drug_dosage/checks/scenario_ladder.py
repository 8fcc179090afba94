"""Thorough checks of a scenario: more information is never worse, extreme doses fail, Gymnasium accepts it."""

import warnings
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from rl_drug_dosage.checks.report import Check, Finding, check, wrong
from rl_drug_dosage.clinic.policy import Policy, Setting
from rl_drug_dosage.clinic.record import Record, Truth
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.simulators import model_of, simulator_of
from rl_drug_dosage.envs.faces import SingleEnv
from rl_drug_dosage.envs.scenario_env import env_of
from rl_drug_dosage.registry import Found, load_policy_definition
from rl_drug_dosage.trials.statistics import Interval, bootstrap
from rl_drug_dosage.trials.trial import Cohort, run_trial

__all__ = ["LADDER", "THOROUGH"]

_PATIENTS, _FEWER = 500, 100
_CLEARLY = 5.0
"""Minimum clear difference in attainment, in percentage points."""


class _Says(Policy):
    """A policy that always gives the same amount."""

    amount: Array = eqx.field()

    def init(self, record: Record, truth: Truth | None = None) -> tuple[()]:
        return ()

    def act(self, memory: tuple[()], observation: Record, key: object) -> tuple[Array, tuple[()]]:
        return self.amount, memory


class _Tried(NamedTuple):
    """What came of a policy, per patient.

    Args:
        attained: percentage of judged intervals inside the windows.
        harmed: 100 where a harm of the goal happened at least once, otherwise 0; ``[patient, harm]``.
    """

    attained: np.ndarray
    harmed: np.ndarray


def _tried(scenario: Scenario, policy: Policy, patients: int, *, sees_truth: bool = False) -> _Tried:
    simulator = simulator_of(scenario, scenario.models[0])
    trial = run_trial(scenario, simulator, policy, Cohort(1, patients), sees_truth=sees_truth)
    inside: np.ndarray = 100.0 * trial.inside[:, scenario.judged()].mean(1)
    return _Tried(inside, 100.0 * (trial.harms > 0).any(1))


@lru_cache(maxsize=4)
def _by_name(task: Found[Scenario], name: str) -> _Tried:
    scenario = task.value
    definition = load_policy_definition(name)
    first = scenario.models[0]
    setting = Setting(task, model_of(scenario, first), simulator_of(scenario, first))
    return _tried(scenario, definition.build(setting), _PATIENTS, sees_truth=definition.sees_truth)


def _interval(column: np.ndarray) -> Interval:
    return bootstrap(column[:, None], np.random.default_rng(1))[0]


@check("label")
def _knowing_more_is_never_worse(task: Found[Scenario]) -> Iterable[Finding]:
    """Attainment is ordered random << label <= mipd << oracle; ``<<`` means clearly better."""
    found = {name: _by_name(task, name).attained for name in ("random", "label", "mipd", "oracle")}
    means = ", ".join(f"{name} {column.mean():.1f} %" for name, column in found.items())
    label, random = _interval(found["label"]), _interval(found["random"])
    if not label.low > random.high:
        yield wrong("label", f"no better than random doses ({means})", "clearly better", "correct the rule or the goal")
    if not _interval(found["mipd"] - found["label"]).high > 0.0:
        came = f"Bayesian dosing is worse than the label ({means})"
        yield wrong("look_ahead", came, "at least as good", "look further ahead, or measure more")
    if not _interval(found["oracle"] - found["mipd"]).low > 0.0:
        came = f"the oracle is no better than Bayesian dosing ({means})"
        yield wrong("goal", came, "clearly better", "the task leaves no room for improvement: add variability")


@check("goal")
def _no_dose_does_nothing_and_the_highest_dose_harms(task: Found[Scenario]) -> Iterable[Finding]:
    """Both attain clearly less than the label.

    A largest dose that is kept low by a toxicity outside of the models may attain more. Then it must cause one of the
    goal's harms in clearly more patients, and still attain clearly less than Bayesian dosing.
    """
    scenario, label = task.value, _by_name(task, "label")
    usual = label.attained[:_FEWER].mean()
    for amount, what in ((0.0, "no dose"), (scenario.dosage.amounts[-1], "the highest dose")):
        found = _tried(scenario, _Says(jnp.asarray(amount, dtype=float)), _FEWER)
        share = found.attained.mean()
        if share < usual - _CLEARLY:
            continue
        came = f"{what} attains {share:.1f} %, the label {usual:.1f} %"
        if amount == 0:
            yield wrong("goal.targets", came, f"at least {_CLEARLY:g} points less", "correct the goal")
            continue
        more = np.max((found.harmed - label.harmed[:_FEWER]).mean(0), initial=0.0)
        best = _by_name(task, "mipd").attained[:_FEWER].mean()
        if more < _CLEARLY or share > best - _CLEARLY:
            yield wrong(
                "dosage.amounts",
                f"{came}, Bayesian dosing {best:.1f} %, and harms {more:.1f} points more patients than the label",
                f"at least {_CLEARLY:g} points less than the label; or than Bayesian dosing, with as many more harmed",
                "correct the goal, or extend the grid",
            )


@check("schedule")
def _gymnasium_accepts_it(task: Found[Scenario]) -> Iterable[Finding]:
    import gymnasium
    from gymnasium.utils.env_checker import check_env

    # Gymnasium checks render modes on copies made by id, which only built-in scenarios have.
    built_in = task.env_id in gymnasium.registry
    env = gymnasium.make(task.env_id).unwrapped if built_in else SingleEnv(env_of(task.value).make())
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            check_env(env, skip_render_check=not built_in)
        finally:
            env.close()
    for each in said:
        # Dose actions start at 0; Gymnasium recommends symmetric ranges.
        if "symmetric and normalized" not in str(each.message):
            yield wrong("schedule", f"Gymnasium's check_env warns: {each.message}", "no warning", "correct it")


LADDER: tuple[Check[Found[Scenario]], ...] = (
    _no_dose_does_nothing_and_the_highest_dose_harms,
    _knowing_more_is_never_worse,
)
THOROUGH = (_gymnasium_accepts_it, *LADDER)
