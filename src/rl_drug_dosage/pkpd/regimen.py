"""Dose records in NONMEM's terms: what was given, when, and into which compartment.

`Dose` is one record as a user writes it (EVID 1, 3 or 4, with ADDL / II / SS). `make_regimen` checks a list of records,
expands the additional doses and stores them in a `Regimen`, a pytree of arrays for compiled code. EVID 0 is an
observation time, EVID 2 a record of the covariate table.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float, Int

from rl_drug_dosage.pkpd._errors import RegimenError
from rl_drug_dosage.pkpd.structure import Structure

__all__ = ["Dose", "Regimen", "every", "make_regimen", "stack_regimens"]


@dataclass(frozen=True)
class Dose:
    """One dose record.

    Args:
        time_h: time of the dose (TIME).
        amount_mg: amount (AMT); 0 only for a pure reset.
        compartment: compartment that receives it (CMT); None means the structure's first.
        rate_mg_per_h: infusion rate (RATE); bioavailability then shortens the infusion.
        duration_h: infusion duration; bioavailability then lowers the rate. Not together with a rate.
        interval_h: interval between additional or steady-state doses (II).
        additional: further doses, one every ``interval_h`` (ADDL).
        steady_state: 0 no; 1 sets the contents to the steady state of this dose every ``interval_h`` (SS = 1; cancels
            running infusions and pending doses); 2 adds that steady state to the contents (SS = 2). With a rate and
            neither amount nor interval it is the steady state of a constant infusion, which ends at ``time_h``.
        reset: first empty every compartment and cancel running and pending doses (EVID 4; without an amount EVID 3).
    """

    time_h: float
    amount_mg: float = 0.0
    compartment: str | None = None
    rate_mg_per_h: float = 0.0
    duration_h: float = 0.0
    interval_h: float = 0.0
    additional: int = 0
    steady_state: int = 0
    reset: bool = False

    @property
    def is_constant_infusion(self) -> bool:
        """Whether it is an infusion that has always run and ends at its record: only its steady state is left."""
        return self.amount_mg == 0 and self.interval_h == 0 and self.rate_mg_per_h > 0


class Regimen(eqx.Module):
    """All doses of one patient, sorted by time; leading axes are patients. Padding rows have ``given`` False.

    A row with ``cycle`` c > 0 is the infusion of the c-th previous steady-state cycle, which may still be running at
    the steady-state record. ``cutoff_h`` is the time of the next reset recorded later, which cancels or stops the row.
    """

    time_h: Float[np.ndarray, "dose"]
    amount_mg: Float[np.ndarray, "dose"]
    rate_mg_per_h: Float[np.ndarray, "dose"]
    duration_h: Float[np.ndarray, "dose"]
    interval_h: Float[np.ndarray, "dose"]
    cutoff_h: Float[np.ndarray, "dose"]
    compartment: Int[np.ndarray, "dose"]
    cycle: Int[np.ndarray, "dose"]
    given: Bool[np.ndarray, "dose"]
    mark_row: Int[np.ndarray, "mark"]
    """Rows that set the contents at their record time (resets and steady states); -1 is padding."""
    mark_reset: Bool[np.ndarray, "mark"]
    mark_steady: Bool[np.ndarray, "mark"]
    infusions: bool = eqx.field(static=True)
    """Whether any row is an infusion; if not, the engine omits the infusion terms."""
    cycles: int = eqx.field(static=True)
    """Largest number of steady-state cycles that one infusion spans."""


_ROW_FIELDS = (
    "time_h", "amount_mg", "rate_mg_per_h", "duration_h", "interval_h", "cutoff_h", "compartment", "cycle", "given",
)  # fmt: skip
_MARK_FIELDS = ("mark_row", "mark_reset", "mark_steady")


_MOST_ROWS = 100_000
"""Doses that one record may stand for: one a minute for ten weeks. More is a slip, and would fill the memory."""


def every(dose: Dose, interval_h: float, count: int) -> tuple[Dose, ...]:
    """The same dose ``count`` times, one every ``interval_h``, as separate records."""
    return tuple(dataclasses.replace(dose, time_h=dose.time_h + i * interval_h) for i in range(count))


def _check(dose: Dose, row: int, structure: Structure) -> None:
    """Refuse an impossible record; the message gives record, value and remedy."""

    def refuse(what: str, remedy: str) -> None:
        raise RegimenError(f"dose record {row + 1} (time {dose.time_h} h): {what}; {remedy}")

    for name in ("time_h", "amount_mg", "rate_mg_per_h", "duration_h", "interval_h"):
        value = getattr(dose, name)
        if not math.isfinite(value):
            refuse(f"{name} is {value}", "give a finite number")
        if name != "time_h" and value < 0:
            refuse(f"{name} is {value}", "give a number >= 0 (a modelled one: rate_ or duration_<compartment>)")
    steady = dose.steady_state != 0
    constant = steady and dose.is_constant_infusion
    rules: tuple[tuple[bool, str, str], ...] = (
        (
            dose.compartment is not None and dose.compartment not in structure.dosable,
            f"compartment {dose.compartment!r}",
            f"doses may enter {structure.dosable}",
        ),
        (
            dose.amount_mg == 0 and not dose.reset and not constant,
            "amount_mg is 0",
            "leave the record out, or give an amount > 0",
        ),
        (
            dose.rate_mg_per_h > 0 and dose.duration_h > 0,
            "both a rate and a duration",
            "give one; the amount determines the other",
        ),
        (
            dose.additional < 0 or dose.additional != int(dose.additional),
            f"additional is {dose.additional}",
            "give a whole number >= 0",
        ),
        (
            dose.additional > 0 and dose.interval_h == 0,
            "additional doses without an interval",
            "give interval_h > 0",
        ),
        (
            dose.additional > _MOST_ROWS,
            f"additional is {dose.additional:g}",
            f"give at most {_MOST_ROWS:,}",
        ),
        (
            steady and not constant and _running_h(dose) > _MOST_ROWS * dose.interval_h > 0,
            f"at steady state {_running_h(dose) / (dose.interval_h or 1.0):.3g} infusions run at one time",
            f"give an interval of which at most {_MOST_ROWS:,} fit into an infusion",
        ),
        (dose.steady_state not in {0, 1, 2}, f"steady_state is {dose.steady_state}", "allowed are 0, 1 and 2"),
        (
            steady and not constant and (dose.interval_h == 0 or dose.amount_mg == 0),
            "a steady state without interval or amount",
            "give interval_h > 0 and amount_mg > 0, or, of a constant infusion, rate_mg_per_h > 0 and neither",
        ),
        (
            dose.steady_state == 2 and not structure.linear,
            "a steady state that is added (2) to a non-linear model, whose contents do not add up",
            "set the contents to the steady state of one regimen (1), or list every dose from the first one on",
        ),
    )
    for broken, what, remedy in rules:
        if broken:
            refuse(what, remedy)


def _running_h(dose: Dose) -> float:
    """How long its infusion lasts; 0 for a bolus."""
    return dose.duration_h or (dose.amount_mg / dose.rate_mg_per_h if dose.rate_mg_per_h else 0.0)


def _rows(dose: Dose, cutoff_h: float) -> list[tuple[float, int]]:
    """(time, cycle) of every row that a record expands to: the dose, steady-state remainders, additional doses."""
    rows = [(dose.time_h, 0)]
    if dose.steady_state and dose.interval_h > 0:
        rows += [(dose.time_h, c) for c in range(1, math.ceil(_running_h(dose) / dose.interval_h) + 1)]
    times = (dose.time_h + (i + 1) * dose.interval_h for i in range(int(dose.additional)))
    return rows + [(time, 0) for time in times if time < cutoff_h]


def make_regimen(doses: Sequence[Dose], structure: Structure, *, rows: int | None = None) -> Regimen:
    """Check dose records and lay them out as arrays.

    Args:
        doses: sorted by time; those of one time add up, in any form and number.
        structure: gives the compartments, and whether the model is linear.
        rows: pad to this many rows, so that regimens of the same shape share a compilation; None means no padding.

    Raises:
        RegimenError: a negative or non-finite number, unsorted records, an unknown compartment, a steady state added to
            a non-linear model, more rows than ``rows``.
    """
    for i, dose in enumerate(doses):
        _check(dose, i, structure)
    for i, (a, b) in enumerate(itertools.pairwise(doses)):
        if b.time_h < a.time_h:
            raise RegimenError(
                f"dose record {i + 2} at {b.time_h} h comes after {a.time_h} h: sort the records by time"
            )
    cancels = [(i, d.time_h) for i, d in enumerate(doses) if d.reset or d.steady_state == 1]
    table: list[tuple[float, int, int, float, Dose]] = []
    for i, dose in enumerate(doses):
        cutoff_h = min((time for j, time in cancels if j > i), default=math.inf)
        table += [(time, i, cycle, cutoff_h, dose) for time, cycle in _rows(dose, cutoff_h)]
    table.sort(key=lambda row: (row[0], row[1]))
    count = len(table) if rows is None else rows
    if len(table) > count:
        raise RegimenError(f"{len(table)} doses do not fit into {count} rows: allow more rows")
    return _lay_out(table, count, structure)


def _lay_out(table: list[tuple[float, int, int, float, Dose]], count: int, structure: Structure) -> Regimen:
    last = table[-1][0] if table else 0.0

    def column(values: Iterable[float], fill: float, kind: type = float) -> Any:
        out: Any = np.full(count, fill, dtype=kind)
        out[: len(table)] = list(values)
        return out

    place = {name: i for i, name in enumerate(structure.compartments)}
    seen: set[int] = set()
    marks = []
    for row, (_, record, cycle, _, dose) in enumerate(table):
        if (dose.reset or dose.steady_state) and cycle == 0 and record not in seen:
            seen.add(record)
            marks.append((row, dose.reset or dose.steady_state == 1, dose.steady_state > 0))
    return Regimen(
        time_h=column((row[0] for row in table), last),
        amount_mg=column((row[4].amount_mg for row in table), 0.0),
        rate_mg_per_h=column((row[4].rate_mg_per_h for row in table), 0.0),
        duration_h=column((row[4].duration_h for row in table), 0.0),
        interval_h=column((row[4].interval_h for row in table), 0.0),
        cutoff_h=column((row[3] for row in table), np.inf),
        compartment=column((place[row[4].compartment or structure.default_compartment] for row in table), 0, np.int32),
        cycle=column((row[2] for row in table), 0, np.int32),
        given=column((True for _ in table), False, np.bool_),
        mark_row=np.array([mark[0] for mark in marks], dtype=np.int32),
        mark_reset=np.array([mark[1] for mark in marks], dtype=np.bool_),
        mark_steady=np.array([mark[2] for mark in marks], dtype=np.bool_),
        infusions=any(row[4].rate_mg_per_h > 0 or row[4].duration_h > 0 for row in table),
        cycles=max((row[2] for row in table), default=0),
    )


def stack_regimens(regimens: Sequence[Regimen]) -> Regimen:
    """Stack the regimens of many patients, padded to the longest; the leading axis is the patient."""
    rows, marks = (max(getattr(r, name).shape[0] for r in regimens) for name in ("time_h", "mark_row"))
    fill = {"mark_row": -1, "cutoff_h": np.inf}

    def padded(regimen: Regimen, name: str, size: int) -> np.ndarray:
        array = np.asarray(getattr(regimen, name))
        value = fill.get(name, array[-1] if name == "time_h" and array.size else 0)
        return np.concatenate([array, np.full(size - array.shape[0], value, dtype=array.dtype)])

    stacked = {name: np.stack([padded(r, name, rows) for r in regimens]) for name in _ROW_FIELDS}
    stacked |= {name: np.stack([padded(r, name, marks) for r in regimens]) for name in _MARK_FIELDS}
    return Regimen(**stacked, infusions=any(r.infusions for r in regimens), cycles=max(r.cycles for r in regimens))
