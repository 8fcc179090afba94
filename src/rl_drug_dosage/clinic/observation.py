"""The observation of a record: one vector, identical in training, in trials and at the bedside."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rl_drug_dosage.clinic.belief import Belief, estimate, prior
from rl_drug_dosage.clinic.dose_grid import snap
from rl_drug_dosage.clinic.features import ON_BOARD, RATIO_OVER, Feature, Part, View, parts_of
from rl_drug_dosage.clinic.planner import advise, begin
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.simulators import model_of
from rl_drug_dosage.clinic.timetable import Answer, Prescription, amount_of
from rl_drug_dosage.errors import ConfigError, UnknownNameError
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.utils.by_value import ByValue

__all__ = ["ACTIONS", "ON_BOARD", "RATIO_OVER", "SEEN", "Observer", "check_options", "observer_from", "observer_of"]

ACTIONS = ("amount", "grid", "relative", "label", "residual")
_CHANGES = frozenset(ACTIONS[2:])


@dataclass(frozen=True, eq=False)
class Observer(ByValue):
    """Maps a record to an observation vector.

    `parts` lists its components in order, with units; the layout is defined in `clinic.features`.

    Args:
        scenario: the task.
        history: number of past intervals in the observation.
        belief: drug model of the MAP estimate; None: no estimate.
        action: meaning of an action, one of `ACTIONS`, see `dose`; ``"residual"`` needs a belief.
        on_board: observe the drug on board; omitted only in ablations.
        clock: observe the time. Treatment continues after a trial's last day: a policy that does not observe the time
            cannot exploit the end of the course.
        ratio: observe the level-to-dose ratio, a level over the doses before it.
        intervals: a second action is the index of a dosing interval in `Dosage.intervals_h`; the current interval and
            whether a dose is due are observed.
    """

    scenario: Scenario
    history: int = 4
    belief: DrugModel | None = None
    action: str = "amount"
    on_board: bool = True
    clock: bool = True
    ratio: bool = False
    intervals: bool = False

    def __post_init__(self) -> None:
        if self.intervals and not self.scenario.dosage.intervals_h:
            raise ConfigError(
                f"option intervals: {self.scenario.title!r} has no dosing intervals to choose between: leave it out, "
                "or give the scenario dosage.intervals_h"
            )

    def init(self) -> tuple[Any, ...]:
        """The memory at admission; its last entry is the dose that an action changes, for relative actions."""
        base = (jnp.zeros(()),) if self.action in _CHANGES else ()
        if self.belief is None:
            return base
        if self.action == "residual":
            return begin(self.belief, self.scenario, self.scenario.dosage.usual), *base
        return prior(self.belief, self.scenario), *base

    @property
    def action_range(self) -> tuple[float, float]:
        """Lowest and highest action."""
        amounts = self.scenario.dosage.amounts
        ranges = {"amount": (amounts[0], amounts[-1]), "grid": (0.0, len(amounts) - 1.0)}
        return {**ranges, "relative": (-2.0, 2.0), "label": (-2.0, 2.0), "residual": (-1.0, 1.0)}[self.action]

    @property
    def action_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest of every action, ``[action]``: the dose, and the dosing interval if it is chosen."""
        low, high = self.action_range
        last = [len(self.scenario.dosage.intervals_h) - 1.0] if self.intervals else []
        return np.asarray([low, *(0.0 for _ in last)], np.float32), np.asarray([high, *last], np.float32)

    def prescribe(self, memory: tuple[Any, ...], action: Float[Array, " action"]) -> Answer:
        """The meaning of actions: an amount on the grid, with its dosing interval if the policy chooses it."""
        amount = snap(self.scenario, self.dose(memory, action[0]))
        return Prescription(amount, jnp.round(action[1]).astype(jnp.int32)) if self.intervals else amount

    def dose(self, memory: tuple[Any, ...], action: Float[Array, ""]) -> Float[Array, ""]:
        """The amount that an action denotes, not yet on the grid.

        ``"amount"``: itself. ``"grid"``: a position on the dose grid, which may be finer where that is needed.
        ``"relative"``: a change ``a`` of the dose before (of the label's, where there is none) ``d`` to
        ``(d + b) 2^a - b``, with ``b`` a tenth of the usual dose, so that a dose of 0 can rise. ``"label"``: the
        same change of the label's dose now. ``"residual"``: of the Bayesian dose.
        """
        if self.action == "grid":
            grid = self.scenario.dosage.grid()
            return jnp.interp(action, jnp.arange(len(grid)), grid)
        if self.action in _CHANGES:
            base = 0.1 * self.scenario.dosage.usual
            return (memory[-1] + base) * 2.0**action - base
        return action

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The components of the vector, in order."""
        return parts_of(self)

    @property
    def names(self) -> tuple[Feature, ...]:
        """Name and unit of each component of the vector."""
        return tuple(feature for part in self.parts for feature in part.features)

    @property
    def size(self) -> int:
        """Length of the vector."""
        return len(self.names)

    def __call__(self, memory: tuple[Any, ...], record: Record) -> tuple[Float[Array, " obs"], tuple[Any, ...]]:
        """The vector, and the updated memory."""
        after: tuple[Any, ...] = ()

        def believe() -> tuple[Belief, Array | None]:
            nonlocal after
            assert self.belief is not None
            if self.action == "residual":
                advised, planned = advise(self.belief, self.scenario, memory[0], record)
                amount = amount_of(advised)
                after = (planned, amount)
                return planned.belief, amount
            belief = estimate(self.belief, self.scenario, record, memory[0].z)
            after = (belief,)
            return belief, None

        view = View(self.scenario, record, self.history, believe)
        vector = jnp.concatenate([jnp.asarray(part.value(view), dtype=jnp.float32) for part in self.parts])
        if self.action == "relative":
            before = record.dose[jnp.maximum(record.k - 1, 0)]
            after = (*after, jnp.where(record.k > 0, before, view.label))
        if self.action == "label":
            after = (*after, view.label)
        return vector, after


SEEN = ("history", "belief", "action", "on_board", "clock", "ratio", "intervals")
"""The options that define a policy's observation: the arguments of `observer_of`."""


@lru_cache
def observer_of(
    scenario: Scenario,
    history: int = 4,
    belief: str = "",
    action: str = "amount",
    on_board: bool = True,
    clock: bool = True,
    ratio: bool = False,
    intervals: bool = False,
) -> Observer:
    """The observer for an environment's options; equal options share one object and hence the compiled programs."""
    believed = model_of(scenario, belief) if belief else None
    return Observer(scenario, history, believed, action, on_board, clock, ratio, intervals)


def observer_from(scenario: Scenario, options: Mapping[str, Any], whose: str) -> Observer:
    """The observer for options given by a user.

    Args:
        scenario: the task.
        options: some of `SEEN`.
        whose: the owner of the options, for messages.

    Raises:
        UnknownNameError: an unknown option, or a belief under a model that the scenario does not have.
        ConfigError: an invalid value.
    """
    for name in options:
        if name not in SEEN:
            raise UnknownNameError(f"observation option of {whose}", str(name), SEEN)
    check_options(options, f"observation option {{}} of {whose}")
    return observer_of(scenario, **options)


def check_options(options: Mapping[str, Any], option: str) -> None:
    """Refuse values that no observation has.

    Args:
        options: some of `SEEN`.
        option: how an option is named in messages, ``"environment option {}"``.

    Raises:
        ConfigError: an invalid value.
    """
    for name, value in options.items():
        fits, allowed = {
            "history": (type(value) is int and 1 <= value <= 64, "a whole number from 1 to 64"),
            "belief": (isinstance(value, str), "the name of a drug model"),
            "action": (value in ACTIONS, f"one of {', '.join(ACTIONS)}"),
        }.get(name, (isinstance(value, bool), "true or false"))
        if not fits:
            raise ConfigError(f"{option.format(name)} must be {allowed}, not {value!r}")
    if options.get("action") == "residual" and not options.get("belief"):
        raise ConfigError(f"{option.format('action')} is 'residual', which needs a belief: name a drug model")
