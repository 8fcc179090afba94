"""Environments that simulate first and observe afterwards, so that a mixture of them observes all patients at once."""

import abc
from typing import Any

import jax
from jaxtyping import Array, Bool, Float

from rl_drug_dosage.clinic.ensemble.dosing import GROUP
from rl_drug_dosage.envs.functional import FunctionalEnv, State, Step, where_rows
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
    def remembering(self, state: State, chart: Any) -> State:
        """The state with its memory before the first observation, from `admitted`."""

    @abc.abstractmethod
    def turn(self, state: State, action: Float[Array, " action"], chance: Float[Array, " chance"]) -> tuple[Step, Any]:
        """An interval with the memory of the decision and no observation yet, and the chart after it."""

    @abc.abstractmethod
    def looked(self, state: State, chart: Any) -> tuple[State, Float[Array, " obs"]]:
        """The state with its memory after an observation, and that, from `remembering` or `turn`."""

    def begun(self, state: State, chart: Any) -> tuple[State, Float[Array, " obs"]]:
        """The state with its memory, and the first observation, from `admitted`."""
        return self.looked(self.remembering(state, chart), chart)

    def seen(self, out: Step, chart: Any) -> Step:
        """The step with its observation and the memory after it, from `turn`."""
        state, obs = self.looked(out.state, chart)
        return out._replace(state=state, obs=obs)

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

    def step_and_reset(
        self, state: State, action: Float[Array, "env action"], chance: Float[Array, "env chance"], *, final: bool
    ) -> tuple[Step, State, Float[Array, "env obs"]]:
        if final:
            return super().step_and_reset(state, action, chance, final=final)
        out, charts = jax.vmap(self.turn)(state, action, chance)
        ended = out.terminated | out.truncated
        begun = where_any(jax.vmap(self.admitted), ended, chance)
        state, obs = self.looked_after(ended, begun, (out.state, charts))
        return out._replace(state=state, obs=obs), state, obs

    def looked_after(
        self, ended: Bool[Array, " env"], begun: tuple[State, Any], going_on: tuple[State, Any]
    ) -> tuple[State, Float[Array, "env obs"]]:
        """`looked`, of a new episode where one has ended.

        Args:
            ended: where.
            begun: states and charts from `admitted`; anything where no episode has ended.
            going_on: from `turn`.
        """
        new = where_any(lambda rows: (jax.vmap(self.remembering)(*rows), rows[1]), ended, begun)
        found: tuple[State, Float[Array, "env obs"]] = jax.vmap(self.looked)(*where_rows(ended, new, going_on))
        return found
