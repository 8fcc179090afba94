"""Runs agents that JAX cannot trace, by a host callback on a batch of patients."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from rl_drug_dosage.clinic.dose_grid import snap
from rl_drug_dosage.clinic.doubt import Abstention
from rl_drug_dosage.clinic.faults import not_real
from rl_drug_dosage.clinic.observation import Observer, prescribe_unless
from rl_drug_dosage.clinic.policy import Policy
from rl_drug_dosage.clinic.record import Record, Truth
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.timetable import Answer
from rl_drug_dosage.errors import BadPluginError
from rl_drug_dosage.utils.foreign import blame, is_interrupt

__all__ = ["Agent", "Host", "HostPolicy"]

Remembered = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Agent:
    """An agent as a function of a batch.

    Args:
        name: name for messages.
        act: (observations ``[patient, obs]`` float32, memories ``[patient, ..]``, episode start ``[patient]``) ->
            (actions, as an array or array-like, and the new memories).
        memory: shape of each memory of one patient, float32.
        abstains: whether the last action is 1 where the Bayesian dose that the others correct stays as it is.
    """

    name: str
    act: Callable[[np.ndarray, Remembered, np.ndarray], tuple[Any, Remembered]]
    memory: tuple[tuple[int, ...], ...] = ()
    abstains: bool = False


class Host:
    """Calls an agent from a compiled program and stores its error, because a compiled program cannot raise it.

    Calls are serialised, because an agent may not be thread-safe.

    Args:
        agent: the agent.
        low, high: lowest and highest action.
        actions: of each patient.
    """

    def __init__(self, agent: Agent, low: float, high: float, actions: int = 1) -> None:
        self.agent, self.low, self.high, self.actions = agent, low, high, actions
        self._lock = threading.Lock()
        self._failure: BaseException | None = None

    def __call__(self, observation: Any, memory: Any, first: Any) -> tuple[np.ndarray, Remembered]:
        """Call the agent for any number of leading axes, as `jax.vmap` adds them."""
        vector = np.asarray(observation, np.float32)
        axes, count = vector.shape[:-1], int(np.prod(vector.shape[:-1], dtype=int))
        own = tuple(np.reshape(np.asarray(m), (count, *s)) for m, s in zip(memory, self.agent.memory, strict=True))
        rows, begins = vector.reshape(count, -1), np.broadcast_to(np.asarray(first), axes).reshape(count)
        with self._lock:
            action, after = self._guarded(rows, own, begins)
        return action.reshape(*axes, self.actions), tuple(m.reshape(*axes, *m.shape[1:]) for m in after)

    def check(self) -> None:
        """Raise the error stored since the last call of this method.

        Raises:
            BadPluginError: the agent failed, or returned an invalid action.
        """
        with self._lock:
            failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _guarded(self, rows: np.ndarray, memory: Remembered, first: np.ndarray) -> tuple[np.ndarray, Remembered]:
        if self._failure is None:
            try:
                action, after = self.agent.act(rows, memory, first)
                return self._checked(action, len(rows)), self._kept(after, len(rows))
            except BadPluginError as error:
                self._failure = error
            except BaseException as error:  # noqa: BLE001 - foreign code may raise anything
                failed = BadPluginError(f"policy {self.agent.name!r} fails: {blame(error)}")
                self._failure = error if is_interrupt(error) else failed
        return np.full((len(rows), self.actions), np.nan, np.float32), memory

    def _checked(self, came: Any, count: int) -> np.ndarray:
        """Check for finite actions of every patient, within the range."""
        name, own = self.agent.name, self.actions
        shapes = {(count, own)} | ({(count,)} if own == 1 else set())
        allowed = f"{'one action' if own == 1 else f'{own} actions'} per patient, an array of shape "
        allowed += " or ".join(str(shape) for shape in sorted(shapes, key=len))
        if said := not_real(came):
            raise BadPluginError(f"policy {name!r} returned {said}: allowed is {allowed}")
        try:
            action = np.asarray(came, np.float64)
        except (TypeError, ValueError):
            raise BadPluginError(f"policy {name!r} returned {type(came).__name__}: allowed is {allowed}") from None
        if action.shape not in shapes:
            raise BadPluginError(f"policy {name!r} returned an array of shape {action.shape}: allowed is {allowed}")
        action = action.reshape(count, own)
        if not np.isfinite(action).all():
            bad = action[~np.isfinite(action)]
            patients = np.sum(~np.isfinite(action).all(axis=1))
            together = f" ({count} patients are computed at a time, however few are asked for)" if count > 1 else ""
            raise BadPluginError(
                f"policy {name!r} returned {bad[0]} for {patients} of {count} patients: allowed are numbers from "
                f"{self.low:g} to {self.high:g}{together}"
            )
        # float32 rounding may slightly exceed the limits.
        slack = 1e-5 * (self.high - self.low)
        outside = action[(action < self.low - slack) | (action > self.high + slack)]
        if outside.size:
            raise BadPluginError(
                f"policy {name!r} returned the action {outside[0]:g}: allowed are numbers from {self.low:g} to "
                f"{self.high:g}; clip it in the policy"
            )
        return action.clip(self.low, self.high).astype(np.float32)

    def _kept(self, after: Remembered, count: int) -> Remembered:
        """Check that the memories keep their shapes."""
        found = tuple(np.asarray(m, np.float32) for m in after)
        expected = [(count, *shape) for shape in self.agent.memory]
        if [m.shape for m in found] != expected:
            raise BadPluginError(
                f"policy {self.agent.name!r} returned a state of shapes {[m.shape for m in found]}, not {expected}"
            )
        return found


class HostPolicy(Policy):
    """The agent as a policy.

    An action that is an amount is proposed as it is, so that one off the grid is counted. Actions of another meaning
    change an amount continuously: the result is rounded to the grid, as in training.
    """

    scenario: Scenario = eqx.field(static=True)
    observer: Observer = eqx.field(static=True)
    host: Host = eqx.field(static=True)

    def init(self, record: Record, truth: Truth | None = None) -> Any:
        memory = tuple(jnp.zeros(shape, jnp.float32) for shape in self.host.agent.memory)
        abstention = (Abstention(jnp.asarray(False)),) if self.host.agent.abstains else ()
        return self.observer.init(record), memory, *abstention

    def act(self, memory: Any, observation: Record, key: PRNGKeyArray | None) -> tuple[Answer, Any]:
        vector, seen = self.observer(memory[0], observation)
        action, recalled = jax.pure_callback(
            self.host,
            (jax.ShapeDtypeStruct((self.host.actions,), jnp.float32), tuple(jax.typeof(m) for m in memory[1])),
            vector,
            memory[1],
            observation.k == 0,
            vmap_method="broadcast_all",
        )
        if self.host.agent.abstains:
            far = action[-1] > 0.5
            answer, after = prescribe_unless(far, self.observer, seen, action[:-1])
            return answer, (after, recalled, Abstention(far))
        if self.observer.corrects:
            answer, seen = self.observer.prescribe(seen, action)
            return answer, (seen, recalled)
        dose = self.observer.dose(seen, action[0])
        return dose if self.observer.action == "amount" else snap(self.scenario, dose), (seen, recalled)

    @property
    def carries_results(self) -> bool:
        return self.observer.posterior is not None

    def check(self) -> None:
        self.host.check()
