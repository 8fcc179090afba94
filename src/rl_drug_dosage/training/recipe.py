"""``--preset scenario``: how a dosing scenario's policy is trained."""

import json
from collections.abc import Mapping
from typing import Any

from rl_drug_dosage.envs.catalog import scenario_ids
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.training.task import Task, find_task

__all__ = ["recipe"]

_LONGEST_SEGMENT = 40
_USUAL: Mapping[str, Any] = {
    "num_envs": 2048,
    "num_minibatches": 16,
    "update_epochs": 4,
    "learning_rate": 1e-3,
    "gamma": 0.97,
    "hidden_size": 128,
    "total_timesteps": 3_000_000,
    # A course has a fixed length, which the observation knows: beyond its end there is nothing to value.
    "bootstrap_truncation": False,
    "privileged_critic": True,
    # Once, at the end.
    "eval_freq": 10**9,
    "eval_episodes": 1000,
}
_USUAL_ENV: Mapping[str, Any] = {"reward": "goal", "mixture": ({}, {"randomise": 0.6})}
"""Half of the patients are as published, half vary more than published (`clinic.interval.randomised`)."""


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
    scenario = task.scenario.value
    decisions = scenario.schedule.decisions
    own = scenario.training.given()
    options = {"history": min(decisions, 20), **_USUAL_ENV, **scenario.training.env}
    return {**_USUAL, "num_steps": min(decisions, _LONGEST_SEGMENT), **own, "env_kwargs": json.dumps(options)}
