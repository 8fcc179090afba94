"""Patients to resample, from a CSV file: one row per patient, one column per covariate."""

import csv
import difflib
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import Covariate, CovariateError, Resampled
from rl_drug_dosage.pkpd.quantities import missing_code

__all__ = ["read_cohort"]

_MISSING = frozenset({"", ".", "NA", "NaN", "nan"})


def read_cohort(path: Path, covariates: Sequence[Covariate], drawn: Collection[str] = ()) -> tuple[Covariate, ...]:
    """The covariates, drawn as rows of the file.

    A column header is the covariate's name, its NONMEM-style column or an alias, ignoring case; other columns are
    ignored. A cell is a number or one of the covariate's words.

    Args:
        path: the file, with a header line.
        covariates: all that a patient has.
        drawn: covariates that keep their distribution unless the file has them.

    Raises:
        ConfigError: the file cannot be read, a column is missing or duplicate, or a cell is empty, not a number, or
            outside the covariate's range; the message names the row.
    """
    header, rows = _table(path)
    places: dict[str, int] = {}
    for i, title in enumerate(header):
        for covariate in covariates:
            if covariate.is_called(title):
                if covariate.name in places:
                    _refuse(path, f"columns {header[places[covariate.name]]!r} and {title!r} are both {covariate.name}")
                places[covariate.name] = i
    for covariate in covariates:
        if covariate.name not in places and covariate.name not in drawn:
            near = difflib.get_close_matches(covariate.column.casefold(), [t.casefold() for t in header], n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            _refuse(
                path,
                f"no column for {covariate.name} ({covariate.meaning}, {covariate.unit}): add one called "
                f"{covariate.name} or {covariate.column}, or give its distribution under "
                f"[cohort.{covariate.name}]{hint}",
            )
    before: tuple[tuple[str, tuple[float, ...]], ...] = ()
    found = []
    for covariate in covariates:
        if covariate.name not in places:
            found.append(covariate)
            continue
        at = places[covariate.name]
        values = tuple(_cell(path, covariate, number, cells[at]) for number, cells in rows)
        found.append(replace(covariate, distribution=Resampled(values, before)))
        before = (*before, (covariate.name, values))
    return tuple(found)


def _table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header and, with its number in the file, every row."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ConfigError(f"cannot read {path}: {reason}") from error
    reader = csv.reader(text.splitlines())
    try:
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:  # a cell without end, mostly behind a quotation mark that is never closed
        _refuse(path, f"row {reader.line_num} cannot be read ({error}): look for a quotation mark that is not closed")
    lines = [(number, cells) for number, cells in lines if any(cells)]
    if len(lines) < 2:
        _refuse(path, "holds no patients: give a header line and one row a patient")
    (_, header), *rows = lines
    for number, cells in rows:
        if len(cells) != len(header):
            _refuse(path, f"row {number} has {len(cells)} cells under {len(header)} headers: give one each")
    return header, rows


def _cell(path: Path, covariate: Covariate, number: int, cell: str) -> float:
    if cell in _MISSING:
        _refuse(path, f"row {number}: {covariate.name} is missing: complete the row, or leave the patient out")
    try:
        value = covariate.read(cell)
    except CovariateError as error:
        _refuse(path, f"row {number}: {error}")
    if not covariate.low <= value <= covariate.high:
        question = missing_code(value, impossible=True)
        _refuse(
            path,
            f"row {number}: {covariate.name} = {value:g} {covariate.unit} is outside {covariate.low:g} to "
            f"{covariate.high:g}: {question}correct it, leave the patient out, or give low and high under "
            f"[cohort.{covariate.name}]",
        )
    try:
        covariate.check(value)
    except CovariateError as error:
        _refuse(path, f"row {number}: {error}")
    return value


def _refuse(path: Path, what: str) -> NoReturn:
    raise ConfigError(f"{path.name}: {what}")
