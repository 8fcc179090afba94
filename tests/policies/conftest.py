"""A ward to treat, and a way to let anything treat it."""

from collections.abc import Callable
from typing import Any

import pytest

from rl_drug_dosage.clinic.policy import Policy, Setting
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.simulators import model_of, simulator_of
from rl_drug_dosage.registry import POLICY, find, find_scenario
from rl_drug_dosage.trials.trial import Cohort, Trial, run_trial


@pytest.fixture(scope="session")
def setting_of() -> Callable[..., Setting]:
    """The setting of a scenario's name or value, with its first model."""

    def make(scenario: Any) -> Setting:
        task = find_scenario(scenario)
        first = task.value.models[0]
        return Setting(task, model_of(task.value, first), simulator_of(task.value, first))

    return make


@pytest.fixture(scope="session")
def build(setting_of) -> Callable[..., Policy]:
    """The policy that a reference leads to, for a scenario."""

    def make(reference: Any, scenario: Any) -> Policy:
        return find(POLICY, reference).value.build(setting_of(scenario))

    return make


@pytest.fixture(scope="session")
def treat(build, setting_of, ward: Scenario) -> Callable[..., Trial]:
    """Eight patients under whatever a reference leads to."""

    def run(reference: Any, scenario: Any = None, patients: int = 8) -> Trial:
        setting = setting_of(scenario or ward)
        policy = build(reference, scenario or ward)
        return run_trial(setting.scenario, setting.simulator, policy, Cohort(1, patients))

    return run
