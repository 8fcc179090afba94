"""The observation of a record: one vector, identical in training, in trials and at the bedside."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from rl_drug_dosage.clinic.assumptions import assumed_models, estimate_words
from rl_drug_dosage.clinic.belief import Belief, estimate, prior
from rl_drug_dosage.clinic.dose_grid import snap
from rl_drug_dosage.clinic.features import ON_BOARD, RATIO_OVER, Feature, Part, View, parts_of
from rl_drug_dosage.clinic.observation_options import ACTIONS, SEEN, check_options
from rl_drug_dosage.clinic.planner import advise, begin
from rl_drug_dosage.clinic.posterior import Outlook, Posterior, changed, posterior_of
from rl_drug_dosage.clinic.posterior_features import posterior_parts
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.simulators import model_of
from rl_drug_dosage.clinic.timetable import Answer, Prescription, amount_of
from rl_drug_dosage.errors import ConfigError, UnknownNameError
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.utils.by_value import ByValue

__all__ = ["ON_BOARD", "RATIO_OVER", "Observer", "observer_from", "observer_of", "prescribe_unless"]

_CHANGES = frozenset(ACTIONS[2:])


@dataclass(frozen=True, eq=False)
class Observer(ByValue):
    """Maps a record to an observation vector.

    `parts` lists its components in order, with units; the layout is defined in `clinic.features`.

    Args:
        scenario: the task.
        history: number of past intervals in the observation.
        belief: drug model of the MAP estimate, or of the support patients; None: no belief.
        posterior: belief of support patients, in place of the estimate.
        action: meaning of an action, one of `ACTIONS`, see `dose`; ``"residual"`` needs a belief. With support patients
            it is that of `clinic.posterior`.
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
    posterior: Posterior | None = None

    def __post_init__(self) -> None:
        if self.intervals and self.corrects:
            raise ConfigError(
                "option intervals: a correction of the Bayesian dose keeps its dosing interval: leave intervals out, "
                "or give another action than 'residual'"
            )
        if self.intervals and not self.scenario.dosage.intervals_h:
            raise ConfigError(
                f"option intervals: {self.scenario.title!r} has no dosing intervals to choose between: leave it out, "
                "or give the scenario dosage.intervals_h"
            )

    @property
    def corrects(self) -> bool:
        """Whether actions correct a Bayesian dose on the belief of support patients."""
        return self.posterior is not None and self.action == "residual"

    def init(self, record: Record) -> tuple[Any, ...]:
        """The memory at admission; its last entry is the dose that an action changes, for relative actions.

        Args:
            record: before the first dose.
        """
        if self.corrects:
            assert self.posterior is not None
            return (self.posterior.begin(self.scenario, record),)
        base = (jnp.zeros(()),) if self.action in _CHANGES else ()
        if self.posterior is not None:
            return self.posterior.begin(self.scenario, record), *base
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
        """Lowest and highest of every action, ``[action]``: the dose, and a second action where there is one.

        That is the index of the dosing interval, if it is chosen, or the slow correction of the Bayesian dose.
        """
        low, high = self.action_range
        if self.posterior is not None and self.corrects and self.posterior.slow:
            return np.full(2, low, np.float32), np.full(2, high, np.float32)
        last = [len(self.scenario.dosage.intervals_h) - 1.0] if self.intervals else []
        return np.asarray([low, *(0.0 for _ in last)], np.float32), np.asarray([high, *last], np.float32)

    def prescribe(self, memory: tuple[Any, ...], action: Float[Array, " action"]) -> tuple[Answer, tuple[Any, ...]]:
        """What actions mean: an amount on the grid, with its dosing interval if one is chosen; and the memory."""
        if self.corrects:
            assert self.posterior is not None
            answer, known = self.posterior.corrected(self.scenario, memory[0], action)
            return answer, (known,)
        amount = snap(self.scenario, self.dose(memory, action[0]))
        return (Prescription(amount, jnp.round(action[1]).astype(jnp.int32)) if self.intervals else amount), memory

    def abstain(self, memory: tuple[Any, ...]) -> tuple[Answer, tuple[Any, ...]]:
        """The Bayesian dose that actions correct (`corrects`), uncorrected; and the memory."""
        assert self.posterior is not None
        answer, known = self.posterior.uncorrected(memory[0])
        return answer, (known,)

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
            return changed(self.scenario, memory[-1], action)
        return action

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The components of the vector, in order."""
        return parts_of(self) if self.posterior is None else (*parts_of(self), *posterior_parts(self))

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

        def look() -> Outlook:
            nonlocal after
            assert self.posterior is not None
            outlook, known = self.posterior.look(self.scenario, memory[0], record)
            after = (known,)
            return outlook

        view = View(self.scenario, record, self.history, believe, look)
        vector = jnp.concatenate([jnp.asarray(part.value(view), dtype=jnp.float32) for part in self.parts])
        if self.action == "relative":
            before = record.dose[jnp.maximum(record.k - 1, 0)]
            after = (*after, jnp.where(record.k > 0, before, view.label))
        if self.action == "label":
            after = (*after, view.label)
        return vector, after


@lru_cache
def observer_of(  # noqa: PLR0913, PLR0917 - the options of an environment
    scenario: Scenario,
    history: int = 4,
    belief: str = "",
    action: str = "amount",
    on_board: bool = True,
    clock: bool = True,
    ratio: bool = False,
    intervals: bool = False,
    support: int = 0,
    prior: str = "published",
    error: str = "published",
    reference: str = "",
    left_out: tuple[str, ...] = (),
) -> Observer:
    """The observer for an environment's options; equal options share one object and hence the compiled programs.

    Args:
        scenario: the task.
        history: see `Observer`.
        belief: name of the drug model that is believed; empty: no belief.
        action: see `Observer`.
        on_board: see `Observer`.
        clock: see `Observer`.
        ratio: see `Observer`.
        intervals: see `Observer`.
        support: number of support patients of each assumed model; 0: a MAP estimate.
        prior: what support patients assume, see `assumptions.assumed_models`.
        error: the same of levels.
        reference: the Bayesian dose that actions correct: ``mipd`` with its options; empty: that of the support
            patients.
        left_out: models of the scenario that take no part in a mixture.
    """
    believed = model_of(scenario, belief) if belief else None
    posterior = None
    if support:
        estimated = None
        if reference:
            (estimated,) = assumed_models(scenario, belief, **estimate_words(reference, "reference"))
        assumed = assumed_models(scenario, belief, prior, error, 1.0, True, left_out)
        posterior = posterior_of(scenario, assumed, support, estimated)
    return Observer(scenario, history, believed, action, on_board, clock, ratio, intervals, posterior)


def observer_from(
    scenario: Scenario, options: Mapping[str, Any], whose: str, left_out: tuple[str, ...] = ()
) -> Observer:
    """The observer for options given by a user.

    Args:
        scenario: the task.
        options: some of `SEEN`.
        whose: the owner of the options, for messages.
        left_out: models of the scenario that take no part in a mixture.

    Raises:
        UnknownNameError: an unknown option, or a belief under a model that the scenario does not have.
        ConfigError: an invalid value.
    """
    for name in options:
        if name not in SEEN:
            raise UnknownNameError(f"observation option of {whose}", str(name), SEEN)
    check_options(options, f"observation option {{}} of {whose}")
    return observer_of(scenario, **options, left_out=left_out)


def prescribe_unless(
    far: Bool[Array, ""], observer: Observer, memory: tuple[Any, ...], action: Float[Array, " action"]
) -> tuple[Answer, tuple[Any, ...]]:
    """`Observer.abstain` where ``far``, `Observer.prescribe` elsewhere."""
    found: tuple[Answer, tuple[Any, ...]] = jax.tree.map(
        partial(jnp.where, far), observer.abstain(memory), observer.prescribe(memory, action)
    )
    return found
