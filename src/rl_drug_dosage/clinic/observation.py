"""What a learner is shown of a record: one vector, the same in training, in a trial and at the bedside."""

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

__all__ = ["ACTIONS", "ON_BOARD", "RATIO_OVER", "SEEN", "Observer", "observer_from", "observer_of"]

ACTIONS = ("amount", "grid", "relative", "label", "residual")
_CHANGES = frozenset(ACTIONS[2:])


@dataclass(frozen=True, eq=False)
class Observer(ByValue):
    """From a record to a vector.

    What it is made of, in order and with units, says `parts`; `clinic.features` writes it down once.

    Args:
        scenario: the task.
        history: intervals that are shown one by one.
        belief: the model that a belief is formed under; None: none.
        action: what an action is, one of `ACTIONS`, see `dose`; ``"residual"`` needs a belief.
        on_board: show the drug on board; only an ablation leaves it out.
        clock: show the time. Treatment goes on after a trial's last day: a policy that cannot tell it doses on that day
            as on the one before.
        ratio: show the level-to-dose ratio, a level over the doses behind it.
        intervals: a second action is the place of a dosing interval in `Dosage.intervals_h`; which one runs, and
            whether a dose is due, are shown.
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
        """The memory at admission; last in it is the dose that an action changes, where it changes one."""
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
        """Lowest and highest of every action, ``[action]``: the dose, and the dosing interval where it is chosen."""
        low, high = self.action_range
        last = [len(self.scenario.dosage.intervals_h) - 1.0] if self.intervals else []
        return np.asarray([low, *(0.0 for _ in last)], np.float32), np.asarray([high, *last], np.float32)

    def prescribe(self, memory: tuple[Any, ...], action: Float[Array, " action"]) -> Answer:
        """What actions stand for: an amount of the grid, with its dosing interval where that is chosen."""
        amount = snap(self.scenario, self.dose(memory, action[0]))
        return Prescription(amount, jnp.round(action[1]).astype(jnp.int32)) if self.intervals else amount

    def dose(self, memory: tuple[Any, ...], action: Float[Array, ""]) -> Float[Array, ""]:
        """The amount that an action stands for, not yet on the grid.

        ``"amount"``: itself. ``"grid"``: a place on the grid of amounts, which is finer where finer doses are needed.
        ``"relative"``: a change ``a`` of the dose before (of the label's, where there is none) ``d`` to
        ``(d + b) 2^a - b``, with ``b`` a tenth of the usual dose, so that something is above none. ``"label"``: the
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
        """What the vector is made of, in order."""
        return parts_of(self)

    @property
    def names(self) -> tuple[Feature, ...]:
        """Name and unit of every number of the vector."""
        return tuple(feature for part in self.parts for feature in part.features)

    @property
    def size(self) -> int:
        """Length of the vector."""
        return len(self.names)

    def __call__(self, memory: tuple[Any, ...], record: Record) -> tuple[Float[Array, " obs"], tuple[Any, ...]]:
        """The vector, and the memory after it."""
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
"""The options that decide what a policy sees: the arguments of `observer_of`."""


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
    """The observer of an environment's options; one object each, so that programs are shared."""
    believed = model_of(scenario, belief) if belief else None
    return Observer(scenario, history, believed, action, on_board, clock, ratio, intervals)


def observer_from(scenario: Scenario, options: Mapping[str, Any], whose: str) -> Observer:
    """The observer of options that somebody gave.

    Args:
        scenario: the task.
        options: some of `SEEN`.
        whose: for messages.

    Raises:
        UnknownNameError: another option, or a belief in a model that the scenario does not have.
        ConfigError: a value that is not allowed.
    """
    for name, value in options.items():
        if name not in SEEN:
            raise UnknownNameError(f"observation option of {whose}", str(name), SEEN)
        allowed = {
            "history": "a whole number from 1 to 64",
            "belief": "the name of a drug model",
            "action": f"one of {', '.join(ACTIONS)}",
        }.get(name, "true or false")
        fits = {
            "history": type(value) is int and 1 <= value <= 64,
            "belief": isinstance(value, str),
            "action": value in ACTIONS,
        }.get(name, isinstance(value, bool))
        if not fits:
            raise ConfigError(f"observation option {name} of {whose} must be {allowed}, not {value!r}")
    if options.get("action") == "residual" and not options.get("belief"):
        raise ConfigError(
            f"observation option action of {whose} is 'residual', which needs a belief: name a drug model"
        )
    return observer_of(scenario, **options)
