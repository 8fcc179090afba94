"""The burden of a course: how often and how far doses are changed, how often they zigzag, and how many are withheld.

Doses are those that were prescribed, per administration, at the decisions at which the patient was still treated. Where
dosing intervals can be chosen, a decision within a longer interval prescribes nothing and does not count.
"""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.ward import Dosage

if TYPE_CHECKING:
    from rl_drug_dosage.trials.trial import Trial

__all__ = ["BURDEN", "burden", "course_burden", "prescribed", "rounding"]

BURDEN = ("change_last_third_pct", "dose_changes", "zigzags", "holds")
"""The columns of `course_burden`, in the order of tables."""
_BLOCK = 20_000
"""Patients at a time, so that a large cohort needs no more memory than its trial."""


def rounding(dosage: Dosage) -> float:
    """Doses that differ by less are the same, in the dosage's unit: a millionth of the largest dose (float32)."""
    return 1e-6 * dosage.amounts[-1]


def burden(scenario: Scenario, trial: "Trial") -> dict[str, Float[np.ndarray, " patient"]]:
    """The burden of every patient, see `course_burden`."""
    parts = []
    for start in range(0, trial.patients, _BLOCK):
        own = slice(start, start + _BLOCK)
        every_h = trial.every_h[own] if scenario.dosage.intervals_h else None
        given = prescribed(scenario, trial.alive[own], trial.every_h[own])
        parts.append(course_burden(trial.dose[own], given, every_h, same=rounding(scenario.dosage)))
    return {name: np.concatenate([part[name] for part in parts]) for name in BURDEN}


def prescribed(
    scenario: Scenario, treated: Bool[np.ndarray, "patient decision"], every_h: Float[np.ndarray, "patient decision"]
) -> Bool[np.ndarray, "patient decision"]:
    """The decisions at which something was prescribed, a dose of 0 included.

    Args:
        scenario: the task.
        treated: whether the patient had not dropped out.
        every_h: current dosing interval.
    """
    if not scenario.dosage.intervals_h:
        return treated
    waits = np.maximum(np.rint(every_h / scenario.schedule.interval_h), 1.0).astype(int)
    due, given = np.zeros(len(treated), int), np.zeros(treated.shape, bool)
    for k in range(treated.shape[1]):
        given[:, k] = k >= due
        due = np.where(given[:, k], k + waits[:, k], due)
    return given & treated


def course_burden(
    dose: Float[np.ndarray, "patient decision"],
    given: Bool[np.ndarray, "patient decision"],
    every_h: Float[np.ndarray, "patient decision"] | None = None,
    *,
    same: float = 0.0,
) -> dict[str, Float[np.ndarray, " patient"]]:
    """The burden of courses, a number per patient.

    ``change_last_third_pct``: mean absolute change of the dose over the last third of the course, as a percentage of
    the mean dose there. The last third are the last n / 3 of a patient's n decisions, rounded up; the change at a
    decision is its dose minus the one before, also where that one lies before the third. 0 where all doses of the third
    are 0, and after a single decision. ``dose_changes``: decisions with another dose, or another dosing interval, than
    the one before. ``zigzags``: changes of dose in the direction opposite to that of the last change, however long the
    dose was constant between the two. ``holds``: decisions with a dose of 0 after an earlier dose above 0, so that a
    pause of three decisions counts three times.

    Args:
        dose: prescribed per administration.
        given: decisions that count; the others are left out of the course.
        every_h: dosing intervals, where they can be chosen.
        same: doses that differ by at most this are the same; a dose up to this is 0.
    """
    order = np.argsort(~given, axis=1, kind="stable")
    count = given.sum(axis=1)
    at = np.arange(given.shape[1])
    own = at < count[:, None]
    dose = np.where(own, np.take_along_axis(np.asarray(dose, float), order, axis=1), 0.0)
    step = np.where(own[:, 1:], np.diff(dose, axis=1), 0.0)
    step[np.abs(step) <= same] = 0.0
    changed = step != 0.0
    if every_h is not None:
        wait = np.take_along_axis(np.asarray(every_h, float), order, axis=1)
        changed = changed | (own[:, 1:] & (np.abs(np.diff(wait, axis=1)) > 1e-6))

    third = own & (at >= (count - np.ceil(count / 3.0))[:, None])
    mean = dose.sum(axis=1, where=third) / np.maximum(third.sum(axis=1), 1)
    change = np.abs(step).sum(axis=1, where=third[:, 1:]) / np.maximum(third[:, 1:].sum(axis=1), 1)
    started = np.logical_or.accumulate(dose > same, axis=1)
    return {
        "change_last_third_pct": 100.0 * np.divide(change, mean, out=np.zeros_like(mean), where=mean > same),
        "dose_changes": changed.sum(axis=1).astype(float),
        "zigzags": _turns(np.sign(step)).sum(axis=1).astype(float),
        "holds": (own[:, 1:] & started[:, :-1] & (dose[:, 1:] <= same)).sum(axis=1).astype(float),
    }


def _turns(sign: Float[np.ndarray, "patient step"]) -> Bool[np.ndarray, "patient step"]:
    """Where a sign is opposite to the last one that was not 0."""
    if not sign.shape[1]:
        return np.zeros(sign.shape, bool)
    last = np.maximum.accumulate(np.where(sign != 0.0, np.arange(sign.shape[1]), -1), axis=1)
    before = np.concatenate([np.full((len(sign), 1), -1), last[:, :-1]], axis=1)
    return (before >= 0) & (np.take_along_axis(sign, np.maximum(before, 0), axis=1) * sign < 0.0)
