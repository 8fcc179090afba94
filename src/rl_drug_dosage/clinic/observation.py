"""What a learner is shown of a record: one vector, the same in training, in a trial and at the bedside."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rl_drug_dosage.clinic.belief import Belief, Player, estimate, innovations, occasions_of, past, prior
from rl_drug_dosage.clinic.planner import advise, begin
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.simulators import model_of
from rl_drug_dosage.clinic.timetable import amount_of
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.pkpd.bayes.objective import split_latent
from rl_drug_dosage.utils.by_value import ByValue

__all__ = ["ACTIONS", "ON_BOARD", "RATIO_OVER", "SEEN", "Observer", "observer_of"]

ACTIONS = ("amount", "grid", "relative", "label", "residual")
_CHANGES = frozenset(ACTIONS[2:])

ON_BOARD = (1.0, 4.0, 16.0)
"""Half-lives of the drug-on-board features, in decision intervals: an exponentially fading sum of doses makes a delayed
effect nearly Markov (PAE-POMDP)."""

RATIO_OVER = (1.0, 4.0)
"""Half-lives, in decision intervals, of the doses that a level is set against."""


@dataclass(frozen=True, eq=False)
class Observer(ByValue):
    """From a record to a vector.

    In order: time as a share of the course, and the goal's aim as a multiple of its last one; covariates as they
    are now; drug on board at three rates and the mean dose so far, in shares of the largest dose; the last
    ``history`` doses; the last ``history`` intervals' levels as ln(1 + level), and whether each is known; the
    latest level and the one before (same scale), and the share of the course since each; the level before the first
    dose, where one is drawn; the announced intake of this interval and the next, where there is one. With a belief:
    MAP etas (and kappas) and their standard deviations under that model, and the latest innovation in standard
    deviations, which tells a wrong model. Where actions correct it, the dose of Bayesian dosing under that model or of
    the label, in shares of the largest.

    Args:
        scenario: the task.
        history: intervals that are shown one by one.
        belief: the model that a belief is formed under; None: none.
        action: what an action is, one of `ACTIONS`, see `dose`; ``"residual"`` needs a belief.
        on_board: show the drug on board; only an ablation leaves it out.
        clock: show the time. Treatment goes on after a trial's last day: a policy that cannot tell it doses on that day
            as on the one before.
        ratio: show the level-to-dose ratio, see `_ratios`.
    """

    scenario: Scenario
    history: int = 4
    belief: DrugModel | None = None
    action: str = "amount"
    on_board: bool = True
    clock: bool = True
    ratio: bool = False

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

    @property
    def size(self) -> int:
        """Length of the vector."""
        s, samples = self.scenario, len(self.scenario.monitoring.at_h)
        size = (
            1
            + self.clock
            + len(s.covariates)
            + self.on_board * (len(ON_BOARD) + 1)
            + self.history * (1 + 2 * samples)
            + 4
        )
        size += 2 * len(RATIO_OVER) * self.ratio
        size += int(s.monitoring.baseline) + 2 * int(s.intake is not None)
        size += int(self.action == "label")
        if self.belief is not None:
            size += 2 * prior(self.belief, s).z.shape[0] + 1 + int(self.action == "residual")
        return size

    def __call__(self, memory: tuple[Any, ...], record: Record) -> tuple[Float[Array, " obs"], tuple[Any, ...]]:
        """The vector, and the memory after it."""
        s = self.scenario
        steps, top = s.schedule.decisions, s.dosage.amounts[-1]
        k = jnp.minimum(record.k, steps - 1)
        index = jnp.arange(steps)
        facts = record.facts()
        aim = s.edges()[2][:, 0]
        dose = record.dose / top
        age = record.k - index
        carried = [jnp.sum(jnp.where(age > 0, dose * 0.5 ** (age / half), 0.0)) for half in ON_BOARD]
        mean = jnp.sum(dose) / jnp.maximum(record.k, 1)
        back = record.k - 1 - jnp.arange(self.history)
        there = back >= 0
        rows = jnp.maximum(back, 0)
        doses = jnp.where(there, dose[rows], 0.0)
        known = record.known[rows] & there[:, None]
        levels = jnp.where(known, jnp.log1p(record.level[rows]), 0.0)
        parts = [
            jnp.reshape(record.k / steps, 1) if self.clock else jnp.zeros(0),
            jnp.asarray(aim / aim[-1])[k][None],
            jnp.stack([facts[c.name] for c in s.covariates]) if s.covariates else jnp.zeros(0),
            jnp.stack([*carried, mean]) if self.on_board else jnp.zeros(0),
            doses,
            levels.ravel(),
            known.ravel().astype(float),
            _latest(record),
        ]
        if self.ratio:
            parts.append(_ratios(s, record))
        if s.monitoring.baseline:
            parts.append(jnp.log1p(record.baseline)[None])
        if s.intake is not None:
            biggest = max(amount for _, amount in s.intake.schedule)
            parts.append(record.intake_mg[jnp.asarray([k, jnp.minimum(k + 1, steps - 1)])] / biggest)
        after: tuple[Any, ...] = ()
        if self.belief is not None:
            if self.action == "residual":
                advised, planned = advise(self.belief, s, memory[0], record)
                amount = amount_of(advised)
                belief, after = planned.belief, (planned, amount)
                parts.append(jnp.reshape(amount / top, 1))
            else:
                belief = estimate(self.belief, s, record, memory[0].z)
                after = (belief,)
            parts += [belief.z, jnp.sqrt(jnp.diagonal(belief.covariance)), self._surprise(belief, record)[None]]
        if self.action == "relative":
            first = s.label(facts, record)
            after = (*after, jnp.where(record.k > 0, record.dose[jnp.maximum(record.k - 1, 0)], first))
        if self.action == "label":
            advice = s.label(facts, record)
            parts.append(jnp.reshape(advice / top, 1))
            after = (*after, advice)
        return jnp.concatenate([jnp.asarray(p, dtype=jnp.float32) for p in parts]), after

    def _surprise(self, belief: Belief, record: Record) -> Array:
        """The latest innovation under the belief, in standard deviations."""
        assert self.belief is not None
        occasions = occasions_of(self.belief, self.scenario)
        eta, kappa = split_latent(self.belief, belief.z, occasions)
        player = Player(self.belief, self.scenario, record.covariates, eta, kappa if occasions else None, area=False)
        u = innovations(self.belief, self.scenario, past(player, record), record).ravel()
        at = jnp.max(jnp.where(record.known.ravel(), jnp.arange(u.shape[0]), 0))
        return jnp.clip(u[at], -10.0, 10.0)


def _ratios(scenario: Scenario, record: Record) -> Float[Array, " ratio"]:
    """What clinics know as the C/D ratio: ln of each level over the doses behind it, averaged over the levels.

    The doses behind a level are an exponentially fading mean of those until then, with each of the half-lives
    `RATIO_OVER`; the average is over all levels, and once more with those of four intervals ago counting half. 0 where
    no level is known.
    """
    steps = scenario.schedule.decisions
    column = scenario.monitoring.guide % len(scenario.monitoring.at_h)
    known, age = record.known[:, column], np.arange(steps)[:, None] - np.arange(steps)[None, :]
    dose = record.dose / scenario.dosage.usual
    recent = jnp.where(known, 0.5 ** ((record.k - 1 - jnp.arange(steps)) / 4.0), 0.0)
    found = []
    for half in RATIO_OVER:
        weight = np.where(age >= 0, 0.5 ** (np.maximum(age, 0) / half), 0.0)
        behind = jnp.asarray(weight / weight.sum(1, keepdims=True), jnp.float32) @ dose
        ratio = jnp.where(known, jnp.log(record.level[:, column] + 1e-2) - jnp.log(behind + 0.05), 0.0)
        found += [ratio.sum() / jnp.maximum(known.sum(), 1), (ratio * recent).sum() / jnp.maximum(recent.sum(), 1e-6)]
    return jnp.stack(found)


def _latest(record: Record) -> Float[Array, "4"]:
    """The two latest levels, and the share of the course since each."""
    flat, level = record.known.ravel(), record.level.ravel()
    count, samples = flat.shape[0], record.known.shape[1]
    order = jnp.where(flat, jnp.arange(count), -1)
    first = jnp.max(order)
    second = jnp.max(jnp.where(order < first, order, -1))
    found = []
    for at in (first, second):
        since = (record.k - at // samples) / record.known.shape[0]
        found += [jnp.where(at >= 0, jnp.log1p(level[jnp.maximum(at, 0)]), 0.0), jnp.where(at >= 0, since, 1.0)]
    return jnp.stack(found)


SEEN = ("history", "belief", "action", "on_board", "clock", "ratio")
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
) -> Observer:
    """The observer of an environment's options; one object each, so that programs are shared."""
    return Observer(scenario, history, model_of(scenario, belief) if belief else None, action, on_board, clock, ratio)
