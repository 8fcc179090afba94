"""The dosing interval as part of a prescription: every 6, 8, 12, 24 or 48 h, chosen once per decision."""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from rl_drug_dosage.clinic.ward import Dosage, Schedule
from rl_drug_dosage.errors import ConfigError

__all__ = ["Answer", "Prescription", "Timetable", "amount_of", "choice_of", "timetable"]


class Prescription(NamedTuple):
    """A dose with its dosing interval, for scenarios in which a policy chooses both (`Dosage.intervals_h`)."""

    amount: Float[Array, ""]
    """Amount of each administration, in the dosage's unit."""
    choice: Int[Array, ""]
    """Index of the dosing interval."""


type Answer = Float[Array, ""] | Prescription
"""A policy's answer: an amount, or an amount with its dosing interval."""


def amount_of(proposal: Answer) -> Float[Array, ""]:
    """The amount of a policy's answer."""
    return proposal.amount if isinstance(proposal, Prescription) else proposal


def choice_of(proposal: Answer) -> Int[Array, ""]:
    """The interval of a policy's answer; the first one if it gives none."""
    return jnp.asarray(proposal.choice, jnp.int32) if isinstance(proposal, Prescription) else jnp.zeros((), jnp.int32)


@dataclass(frozen=True)
class Timetable:
    """When doses are given after a decision.

    Args:
        at_h: all possible times of administration.
        given: 1 where an interval has an administration at that time, ``[interval, time]``.
        first: 1 where the first interval has an administration, ``[time]``; None: as the others.
        waits: decisions from one prescription to the next, ``[interval]``: 2 for every 48 h with decisions
            every 24 h.
    """

    at_h: tuple[float, ...]
    given: np.ndarray
    waits: np.ndarray
    first: np.ndarray | None = None

    @property
    def counts(self) -> np.ndarray:
        """Administrations of each interval, ``[interval]``."""
        return self.given.sum(1)


@lru_cache
def timetable(schedule: Schedule, dosage: Dosage) -> Timetable:
    """The timetable of a scenario's dosage.

    Raises:
        ConfigError: a dosing interval that neither divides the decision interval nor is a multiple of it, or a first
            one that is longer than that; overlapping infusions.
    """
    if dosage.first_at_h:
        at_h = tuple(sorted({*dosage.at_h, *dosage.first_at_h}))
        usual, first = (np.asarray([float(t in own) for t in at_h]) for own in (dosage.at_h, dosage.first_at_h))
        return Timetable(at_h, usual[None], np.ones(1, int), first)
    if not dosage.intervals_h:
        return Timetable(dosage.at_h, np.ones((1, len(dosage.at_h))), np.ones(1, int))
    decision_h = schedule.interval_h
    if dosage.at_h != (0.0,):
        raise ConfigError(f"dosage.at_h {dosage.at_h} and dosage.intervals_h {dosage.intervals_h}: give one of them")
    if dosage.intervals_h[0] > decision_h:
        raise ConfigError(
            f"dosage.intervals_h {dosage.intervals_h}: the first one is that of policies that choose none, and must be "
            f"at most the {decision_h:g} h between decisions"
        )
    for every_h in dosage.intervals_h:
        ratio = max(every_h, decision_h) / min(every_h, decision_h)
        if every_h <= 0 or abs(ratio - round(ratio)) > 1e-9:
            raise ConfigError(
                f"dosage.intervals_h {every_h:g} h does not fit decisions every {decision_h:g} h: give divisors or "
                "multiples of it"
            )
    times = [[i * e for i in range(max(round(decision_h / e), 1))] for e in dosage.intervals_h]
    at_h = tuple(sorted({round(t, 9) for row in times for t in row}))
    if dosage.duration_h > 0 and min(np.diff([*at_h, decision_h]), default=decision_h) < dosage.longest_h - 1e-9:
        shortest_h = np.diff([*at_h, decision_h]).min()
        raise ConfigError(
            f"dosage.duration_h: an infusion of {dosage.longest_h:g} h is longer than the {shortest_h:g} h "
            f"between two times of dosage.intervals_h {dosage.intervals_h}: infusions would overlap"
        )
    given = np.asarray([[float(round(t, 9) in {round(u, 9) for u in row}) for t in at_h] for row in times])
    waits = np.asarray([max(round(e / decision_h), 1) for e in dosage.intervals_h])
    return Timetable(at_h, given, waits)
