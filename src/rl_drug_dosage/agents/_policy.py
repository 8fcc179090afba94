"""What every agent is: two pure functions over its parameters."""

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.types import Array

__all__ = ["Agent", "Policy", "Setting"]


class Policy(eqx.Module):
    """A value that chooses doses. PPO, PID, Bayesian dosing and the oracle are the same kind of thing.

    The parameters are the leaves of the module; ``memory`` is any pytree of arrays. Both functions are unbatched and
    traceable, so that one evaluator runs any policy over any cohort. In a dosing scenario the observation is a
    `clinic.record.Record` and the action an amount of the scenario's dosage.
    """

    @abc.abstractmethod
    def init(self, facts: Any) -> Any:
        """The memory at the start of an episode, from what is known of the patient (an oracle: from the truth)."""

    @abc.abstractmethod
    def act(self, memory: Any, observation: Any, key: PRNGKeyArray | None) -> tuple[Float[Array, " action"], Any]:
        """The next dose and the memory after it; without a key the policy is deterministic."""


@dataclass(frozen=True)
class Setting:
    """What a clinical policy is built for.

    Args:
        scenario: the task.
        controller: the drug model that it may believe.
        simulator: the one that the patients follow; only an oracle looks at it.
    """

    scenario: Scenario
    controller: DrugModel
    simulator: DrugModel


def _anywhere(scenario: Scenario) -> str:
    del scenario
    return ""


@dataclass(frozen=True)
class Agent:
    """What a policy's file defines as ``AGENT``.

    Args:
        title: one line for tables and ``--help``.
        build: makes the policy.
        candidates: policies to choose from on a tuning cohort, as one policy whose leaves have a leading axis; None
            where nothing is tuned.
        refuses: why the policy cannot be used in a scenario; empty where it can.
        sees_truth: handed the patient's true parameters.
        chance: draws its doses.
    """

    title: str
    build: Callable[[Setting], Policy]
    candidates: Callable[[Setting, np.random.Generator], Policy] | None = None
    refuses: Callable[[Scenario], str] = _anywhere
    sees_truth: bool = False
    chance: bool = False
