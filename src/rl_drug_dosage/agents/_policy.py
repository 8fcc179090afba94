"""What every agent is: two pure functions over its parameters."""

import abc
from typing import Any

import equinox as eqx
from jaxtyping import Float, PRNGKeyArray

from rl_drug_dosage.types import Array

__all__ = ["Policy"]


class Policy(eqx.Module):
    """A value that chooses doses. PPO, PID, Bayesian dosing and the oracle are the same kind of thing.

    The parameters are the leaves of the module; ``memory`` is any pytree of arrays. Both functions are unbatched and
    traceable, so that one evaluator runs any policy over any cohort.
    """

    @abc.abstractmethod
    def init(self, facts: Any) -> Any:
        """The memory at the start of an episode, from what is known of the patient."""

    @abc.abstractmethod
    def act(
        self, memory: Any, observation: Float[Array, " obs"], key: PRNGKeyArray | None
    ) -> tuple[Float[Array, " action"], Any]:
        """The next dose and the memory after it; without a key the policy is deterministic."""
