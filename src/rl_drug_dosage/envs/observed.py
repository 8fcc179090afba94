"""Environments that simulate first and observe afterwards, so that a mixture of them observes all patients at once."""

import abc
from typing import Any

import jax
from jaxtyping import Array, Bool, Float

from rl_drug_dosage.clinic.ensemble.dosing import GROUP
from rl_drug_dosage.envs.functional import FunctionalEnv, State, Step
from rl_drug_dosage.utils.for_rows import for_rows, where_any

__all__ = ["ObservedEnv"]


class ObservedEnv(FunctionalEnv):
    """An environment whose observation is a function of a chart and of a memory in the state.

    An observation may hold a belief, which costs more to compile and to compute than the patient.
    """

    @property
    def heavy(self) -> bool:
        return True

    @property
    @abc.abstractmethod
    def watched_as(self) -> Any:
        """Environments of which these values are equal observe alike."""

    @abc.abstractmethod
    def admitted(self, chance: Float[Array, " chance"]) -> tuple[State, Any]:
        """A new episode, still without a memory, and its chart."""

    @abc.abstractmethod
    def begun(self, state: State, chart: Any) -> tuple[State, Float[Array, " obs"]]:
        """The state with its memory, and the first observation, from `admitted`."""

    @abc.abstractmethod
    def turn(self, state: State, action: Float[Array, " action"], chance: Float[Array, " chance"]) -> tuple[Step, Any]:
        """An interval with the memory of the decision and no observation yet, and the chart after it."""

    @abc.abstractmethod
    def seen(self, out: Step, chart: Any) -> Step:
        """The step with its observation and the memory after it, from `turn`."""

    def reset(self, chance: Float[Array, " chance"]) -> tuple[State, Float[Array, " obs"]]:
        return self.begun(*self.admitted(chance))

    def reset_where(
        self, wanted: Bool[Array, " env"], chance: Float[Array, "env chance"]
    ) -> tuple[State, Float[Array, "env obs"]]:
        return self.begun_where(wanted, *where_any(jax.vmap(self.admitted), wanted, chance))

    def begun_where(
        self, wanted: Bool[Array, " env"], state: State, charts: Any
    ) -> tuple[State, Float[Array, "env obs"]]:
        """`begun` where it is wanted, at the cost of these rows; anything in the others."""
        found: tuple[State, Float[Array, "env obs"]] = for_rows(self.begun, wanted, (state, charts), GROUP)
        return found

    def step(self, state: State, action: Float[Array, " action"], chance: Float[Array, " chance"]) -> Step:
        return self.seen(*self.turn(state, action, chance))
