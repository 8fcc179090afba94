"""Named rewards for scenarios that define none: derived from the goal alone."""

import abc
from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rl_drug_dosage.clinic.scenario import Goal, Judged, Reward
from rl_drug_dosage.errors import UnknownNameError
from rl_drug_dosage.pkpd import Target

__all__ = ["HARM_COST", "REWARDS", "named_reward"]

HARM_COST = 0.25
"""Reward ``"goal"``: a harmful event costs a quarter of an interval in target."""
_WORST = 5.0
"""Cap of the distance, in half-widths, so that one lost patient does not outweigh all others."""

type _Cost = Callable[[Array], Array]


@dataclass(frozen=True)
class _OfGoal(abc.ABC):
    """Reward of a judged interval; 0 in the others. Equal goals give equal rewards."""

    goal: Goal

    def __call__(self, judged: Judged) -> Float[Array, ""]:
        own = self.judge(judged)
        if self.goal.judged is None:
            return own
        counts = jnp.any(judged.interval == jnp.asarray(np.asarray(self.goal.judged)))
        return jnp.where(counts, own, 0.0)

    @abc.abstractmethod
    def judge(self, judged: Judged) -> Float[Array, ""]:
        """The reward of an interval that counts."""


class _Goal(_OfGoal):
    """Share of an interval's points in every target, less a quarter for each harm."""

    def judge(self, judged: Judged) -> Float[Array, ""]:
        points = max(m.shape[0] for m in judged.metrics)
        inside = [
            jnp.broadcast_to((m >= low) & (m <= high), (points,))
            for m, low, high in zip(judged.metrics, judged.low, judged.high, strict=True)
        ]
        return jnp.stack(inside).all(0).mean(dtype=float) - HARM_COST * jnp.sum(jnp.asarray(judged.harms))


class _Distance(_OfGoal):
    """Minus the distance from the aim in half-widths, the mean over points and targets."""

    def judge(self, judged: Judged) -> Float[Array, ""]:
        return -self._mean(judged, lambda off: jnp.minimum(off, _WORST))

    def _mean(self, judged: Judged, cost: _Cost) -> Float[Array, ""]:
        each = zip(self.goal.targets, judged.metrics, judged.low, judged.high, judged.aim, strict=True)
        return jnp.stack([cost(_off(*one)).mean() for one in each]).mean()


class _Outside(_Distance):
    """The same, and 0 within the target."""

    def judge(self, judged: Judged) -> Float[Array, ""]:
        return -self._mean(judged, lambda off: jnp.where(off > 1.0, jnp.minimum(off, _WORST), 0.0))


class _Squared(_Distance):
    """Minus the square of the distance, at most 25."""

    def judge(self, judged: Judged) -> Float[Array, ""]:
        return -self._mean(judged, lambda off: jnp.minimum(off, _WORST) ** 2)


def _off(target: Target, metric: Array, low: Array, high: Array, aim: Array) -> Float[Array, " point"]:
    """Distance from the aim, 1 at the edge on that side; in log ratios if the target is on the log scale.

    For a one-sided target the distance grows by 1 per 20 % beyond the edge. Outside, 1 is added, so that its edge is
    also at distance 1.
    """
    both = jnp.isfinite(low) & jnp.isfinite(high)
    floor = 1e-9
    if target.log:
        metric, aim = jnp.log(jnp.maximum(metric, floor)), jnp.log(jnp.maximum(aim, floor))
        low, high = jnp.log(jnp.maximum(low, floor)), jnp.log(jnp.maximum(high, floor))
        side = jnp.log(1.2)
    else:
        side = 0.2 * jnp.maximum(jnp.abs(aim), floor)
    above = metric > aim
    width = jnp.where(both, jnp.where(above, high - aim, aim - low), side)
    off = jnp.abs(metric - aim) / jnp.maximum(width, floor)
    beyond = jnp.where(jnp.isfinite(high), above, metric < aim)
    return jnp.where(both, off, jnp.where(beyond, 1.0 + off, 0.0))


REWARDS = {
    "goal": (_Goal, "share of the interval's points in every target, less 0.25 for each harm"),
    "distance": (_Distance, "minus the distance from the aim, 1 at the target's edge, at most 5"),
    "outside": (_Outside, "0 within the target, outside minus the distance from the aim, 1 at the edge, at most 5"),
    "squared": (_Squared, "minus the square of the distance from the aim, 1 at the target's edge, at most 25"),
}
"""Name -> (class, description). All are 0 in intervals that the goal does not judge."""


def named_reward(name: str, goal: Goal) -> tuple[Reward, str]:
    """A reward by its name, and the same in words.

    Raises:
        UnknownNameError: no such reward.
    """
    if name not in REWARDS:
        raise UnknownNameError("reward", name, REWARDS, remedy="or give file.py:function")
    kind, text = REWARDS[name]
    return kind(goal), f"{name}: {text}"
