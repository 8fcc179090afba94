"""Covariates of an event table: one value a line, as NONMEM reads them, and the records of the engine behind them."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float

from rl_drug_dosage.pkpd._errors import CovariateError
from rl_drug_dosage.pkpd._nonmem_lines import Line
from rl_drug_dosage.pkpd._nonmem_times import moment
from rl_drug_dosage.pkpd.covariates import Covariates, make_covariates
from rl_drug_dosage.pkpd.description import Covariate
from rl_drug_dosage.pkpd.model import DrugModel
from rl_drug_dosage.pkpd.quantities import is_nines

__all__ = ["Interpolation", "carried_text", "covariate_records", "filled_covariates", "separate"]

type Interpolation = Literal["nocb", "locf"]


def filled_covariates(group: list[Line], model: DrugModel, carry: Interpolation) -> Float[np.ndarray, "line covariate"]:
    """The value of each covariate on each line; a missing one is carried, first from lines of the same time.

    Raises:
        CovariateError: a cell that is no number or a code for a missing value, or a covariate without any value.
    """
    columns = [_column(group, covariate, carry) for covariate in model.covariates]
    return np.array(columns).reshape(len(columns), len(group)).T


def _column(group: list[Line], covariate: Covariate, carry: Interpolation) -> Float[np.ndarray, "line"]:
    name = covariate.name
    values: list[float | None] = []
    for line in group:
        value = line.number(name, CovariateError)
        if value is not None:
            _refuse_code(line, covariate, value)
        values.append(value)
    if all(value is None for value in values):
        group[0].refuse(CovariateError, name, "missing on all of the patient's lines", "give at least one value")
    back = carry == "nocb"
    return np.array([_carried(group, values, i, back) for i in range(len(group))])


def _carried(group: list[Line], values: list[float | None], i: int, back: bool) -> float:
    """The line's own value, else the nearest at its time, else the next (the one before), else what there is."""
    later, earlier = range(i, len(group)), range(i, -1, -1)
    ways = (later, earlier) if back else (earlier, later)
    near = ([k for k in way if group[k].time_h == group[i].time_h] for way in ways)
    return next(values[k] for k in itertools.chain(*near, *ways) if values[k] is not None)  # type: ignore[return-value]


def _refuse_code(line: Line, covariate: Covariate, value: float) -> None:
    """-9, -99, -999 and the like, and 99, 999 above the published range, are codes for a missing value."""
    coded = is_nines(value)
    if (value < 0 <= covariate.low) or (coded and value >= 99 and value > 1.5 * covariate.high):
        what = "is this a code for a missing value?" if coded else "below 0, which no patient has"
        line.refuse(CovariateError, covariate.name, what, "write . for a missing value, or give the patient's own")


def separate(group: list[Line], values: Float[np.ndarray, "line covariate"], occasion: list[int]) -> list[Line]:
    """Lines of one time that differ in a covariate or the occasion, a moment apart, so that each has its own record."""
    lines: list[Line] = []
    for i, line in enumerate(group):
        time_h = line.time_h
        if i:
            differs = occasion[i] != occasion[i - 1] or bool(np.any(values[i] != values[i - 1]))
            same = line.time_h == group[i - 1].time_h
            before = lines[-1].time_h
            if same or time_h < before:
                time_h = before + (moment(before) if differs else 0.0)
        lines.append(dataclasses.replace(line, time_h=time_h))
    return lines


def covariate_records(
    group: list[Line],
    values: Float[np.ndarray, "line covariate"],
    occasion: list[int],
    model: DrugModel,
    carry: Interpolation,
) -> Covariates:
    """The records of one patient.

    One that repeats its neighbour is dropped: NOCB keeps the last of a run, LOCF the first.

    Args:
        group: the patient's lines, from `separate`.
        values: of the covariates, from `filled_covariates`.
        occasion: of each line, from 0.
        model: the drug.
        carry: how a covariate is carried between records.
    """
    last = [i for i, line in enumerate(group) if i + 1 == len(group) or group[i + 1].time_h > line.time_h]
    times = np.array([group[i].time_h for i in last])
    rows = np.column_stack([values[last], np.array(occasion)[last]])
    change = np.any(rows[1:] != rows[:-1], axis=1)
    keep = np.append(change, True) if carry == "nocb" else np.insert(change, 0, True)
    table = {c.name: rows[keep, i].tolist() for i, c in enumerate(model.covariates)}
    return make_covariates(model, table, times[keep].tolist(), rows[keep, -1].astype(int).tolist(), carry)


def carried_text(group: Sequence[Line], column: str, numbers: Sequence[int]) -> list[str]:
    """The text of a column on some lines of a patient; where it is missing, of the line before, or else the next.

    Args:
        group: the patient's lines.
        column: its standard name.
        numbers: which lines, by their number in the file.
    """
    texts = [line.cells[column] if line.has(column) else "" for line in group]
    first = next((text for text in texts if text), "")
    carried = dict(zip((line.number_in_file for line in group), itertools.accumulate(texts, _latest), strict=True))
    return [carried[number] or first for number in numbers]


def _latest(before: str, now: str) -> str:
    return now or before
