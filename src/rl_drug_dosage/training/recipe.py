"""``--preset scenario``: how a dosing scenario's policy is trained.

One recipe serves every task, a stranger's as well: the policy corrects the best Bayesian dose (`clinic.posterior`), so
that it starts where Bayesian dosing stands. A task whose settings say ``recipe="chart"`` is trained as it was before
there was that belief: the policy doses from the chart, with the task's own settings.
"""

import json
from collections.abc import Mapping
from typing import Any

from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.envs.catalog import scenario_ids
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.policies.best_bayes import strongest_ensemble, strongest_estimate
from rl_drug_dosage.registry import Found
from rl_drug_dosage.training.task import Task, find_task
from rl_drug_dosage.trials.setting import setting_for

__all__ = ["recipe"]

_LONGEST_SEGMENT = 40
_COMMON: Mapping[str, Any] = {
    "update_epochs": 4,
    "learning_rate": 1e-3,
    "gamma": 0.97,
    "hidden_size": 128,
    # A course has a fixed length, which the observation knows: beyond its end there is nothing to value.
    "bootstrap_truncation": False,
    "privileged_critic": True,
    # Once, at the end.
    "eval_freq": 10**9,
    "eval_episodes": 1000,
}
_CHART: Mapping[str, Any] = {**_COMMON, "num_envs": 2048, "num_minibatches": 16, "total_timesteps": 3_000_000}
_CHART_ENV: Mapping[str, Any] = {"reward": "goal", "mixture": ({}, {"randomise": 0.6})}
"""Half of the patients are as published, half vary more than published (`clinic.interval.randomised`)."""
_PATIENTS, _UPDATES = 512, 120
"""With 60 updates, and a price of 0.1, vancomycin lost 0.8 points to the dose that it corrects (docs/policies.md)."""
_CORRECTION: Mapping[str, Any] = {
    **_COMMON,
    "num_envs": _PATIENTS,
    "num_minibatches": 8,
    # An untrained policy corrects little, so that its doses are the reference's.
    "init_logstd": -1.6,
}
_CORRECTION_ENV: Mapping[str, Any] = {
    "support": 512,
    # A policy that is trained with few support patients doses as well with many (docs/policies.md).
    "training_support": 64,
    "action": "residual",
    "reward": "goal",
    "mixture": ({}, {"randomise": 1.0}),
}
_BURDEN = 0.03
"""Price of a change by the usual dose: with 0.05 and 0.1 vancomycin lost attainment to it (docs/policies.md)."""


def recipe(reference: object) -> dict[str, Any]:
    """Settings of `TrainConfig` for a scenario: what its file says in ``training``, and what is usual beside it.

    Args:
        reference: a `Task`, or what `find_task` makes one of.

    Raises:
        ConfigError: not a scenario.
    """
    task = reference if isinstance(reference, Task) else find_task(reference)
    if task.scenario is None:
        raise ConfigError(
            f"--preset scenario needs --env-id of a dosing scenario, not {task.env_id}: there are "
            f"{', '.join(sorted(scenario_ids()))}; or give --scenario FILE"
        )
    found = task.scenario
    own, decisions = found.value.training, found.value.schedule.decisions
    steps = min(decisions, _LONGEST_SEGMENT)
    if own.recipe == "chart":
        usual, options = _CHART, {"history": min(decisions, 20), **_CHART_ENV}
    else:
        usual = {**_CORRECTION, "total_timesteps": _UPDATES * _PATIENTS * steps}
        options = _correction_env(found)
    # A scenario says with an empty reference that the dose of the support patients is corrected, as by default.
    chosen = {name: value for name, value in {**options, **own.env}.items() if (name, value) != ("reference", "")}
    return {**usual, "num_steps": steps, **own.given(), "env_kwargs": json.dumps(chosen)}


def _correction_env(found: Found[Scenario]) -> dict[str, Any]:
    """Options of the environment: the belief is the strongest one of support patients in the scenario's first model.

    What is corrected is the dose of `best-bayes`, so that an untrained policy doses as well as the reference.
    """
    scenario = found.value
    model = scenario.models[0]
    setting = setting_for(found, model, model)
    reference = strongest_estimate(setting)
    corrected = {"reference": reference} if reference else {}
    price = {} if scenario.dosage.intervals_h else {"burden": _BURDEN}
    return {"belief": model, **strongest_ensemble(setting), **corrected, **_CORRECTION_ENV, **price}
