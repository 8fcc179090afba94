"""The lines of a NONMEM-style file: cells by column, and errors that give line, column, value and remedy."""

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import NoReturn

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd._errors import CovariateError, ObservationError, RegimenError
from rl_drug_dosage.pkpd._nonmem_columns import ALIASES, COLUMNS, WEIGHTS
from rl_drug_dosage.pkpd._nonmem_text import TableText, read_table
from rl_drug_dosage.pkpd.covariate import plain_number
from rl_drug_dosage.pkpd.model import DrugModel
from rl_drug_dosage.pkpd.same_quantity import likely_title

__all__ = ["Line", "read_lines"]

_NEEDED = {"ID": "patients", "TIME": "hours", "AMT": "doses in mg", "DV": "levels, also called CONC"}
_MISSING = {"", ".", "NA"}
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?")
_SHOWN = 60
"""Characters of a cell in a message."""


@dataclass(frozen=True)
class Line:
    """One line of a file."""

    file: str
    number_in_file: int
    cells: dict[str, str]
    """Cell text by standard column name (``DV``) or covariate name (``wt_kg``)."""
    titles: dict[str, str]
    """The file's own header for each of them."""
    time_h: float = math.nan
    """Time for the engine, which never goes back."""
    own_h: float = math.nan
    """Time as the file counts it."""

    def refuse(self, kind: type[ConfigError], column: str, what: str, remedy: str) -> NoReturn:
        text = self.cells.get(column, "")
        short = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text):,} characters)"
        cell = f" = {short!r}" if column in self.cells else ""
        where = f"{self.file}, line {self.number_in_file}, {self.titles.get(column, column)}{cell}"
        raise kind(f"{where}: {what}; {remedy}")

    def has(self, column: str) -> bool:
        return self.cells.get(column, "").upper() not in _MISSING

    def number(self, column: str, kind: type[ConfigError], low: float = -math.inf) -> float | None:
        """A finite number >= ``low``; None if the cell is empty."""
        if not self.has(column):
            return None
        try:
            value = plain_number(self.cells[column])
        except ValueError:
            self.refuse(kind, column, "not a number", "write digits with a decimal point, or . for a missing value")
        if not math.isfinite(value) or value < low:
            bound = "" if low == -math.inf else f" >= {low:g}"
            self.refuse(kind, column, f"allowed are finite numbers{bound}", "correct the value")
        return value

    def whole(self, column: str, kind: type[ConfigError], allowed: Sequence[int] | None = None) -> int:
        """A whole number; 0 if the cell is empty."""
        value = self.number(column, kind) or 0.0
        if value != int(value) or (int(value) not in allowed if allowed else value < 0):
            names = ", ".join(map(str, allowed)) if allowed else "whole numbers >= 0"
            self.refuse(kind, column, f"allowed are {names}", "correct the value")
        return int(value)

    @property
    def amount_mg(self) -> float:
        return self.number("AMT", RegimenError, 0.0) or 0.0

    @property
    def evid(self) -> int:
        """The record type: EVID if given, otherwise inferred from the other cells."""
        if self.has("EVID"):
            return self.whole("EVID", ConfigError, range(5))
        if self.amount_mg > 0:
            if self.cells.get("MDV") != "1" and self.number("DV", ObservationError):
                self.refuse(ObservationError, "DV", "a line with AMT also has a level", "give each its own line")
            return 1
        if self.number("RATE", RegimenError) and self.whole("SS", RegimenError, (0, 1, 2)):
            return 1
        return 0 if self.has("DV") or self.whole("CENS", ObservationError, (-1, 0, 1)) else 2


def read_lines(path: Path | TableText, model: DrugModel) -> tuple[list[Line], list[str]]:
    """Every line that is not a comment, and sentences about what is not read, or read in a way worth saying.

    Raises:
        CovariateError: a covariate of the model has no column.
        ConfigError: a file that is not text, has no lines, lacks a column, or has a line of the wrong length.
    """
    names = _names(model)
    table = read_table(path, lambda title: title.upper() in names)
    columns = _columns(Line(path.name, table.header_line, {}, {}), table.header, model, names)
    titles = dict(zip(columns, table.header, strict=True))
    body, notes = _without_comments(table.rows, columns.index("ID"))
    lines = []
    for cells, number in body:
        line = Line(path.name, number, dict(zip(columns, cells, strict=False)), titles)
        if len(cells) != len(columns):
            line.refuse(ConfigError, "all columns", f"{len(cells)} cells under {len(columns)} headers", "give one each")
        if not line.has("ID"):
            line.refuse(ConfigError, "ID", "no patient", "give each line its patient's ID")
        lines.append(line)
    if not lines:
        raise ConfigError(f"{path.name} holds no patient (no ID): give at least one line under the header")
    unread = [title for column, title in titles.items() if column.startswith("unread ")]
    notes = [*table.notes, *notes, *([f"columns not read: {', '.join(unread)}"] if unread else [])]
    return _one_name_each(lines, notes), notes


def _without_comments(rows: list[tuple[list[str], int]], patient: int) -> tuple[list[tuple[list[str], int]], list[str]]:
    """Rows without those whose first cell is C, and the sentence that says so.

    NONMEM's IGNORE=C is for files whose patients are numbers. Where another patient has a name of letters, or every
    line is one of C, C is a patient.
    """
    marked = [(cells, number) for cells, number in rows if cells[0].upper() == "C"]
    others = [cells for cells, _ in rows if cells[0].upper() != "C"]
    numbered = all(_NUMBER.fullmatch(cells[patient]) for cells in others if len(cells) > patient and cells[patient])
    if not marked or (patient == 0 and not (others and numbered)):
        return rows, []
    shown = ", ".join(str(number) for _, number in marked[:5]) + (", ..." if len(marked) > 5 else "")
    what = f"{len(marked)} line{'s' if len(marked) > 1 else ''} ({shown}) with C in the first cell taken for comments"
    return [row for row in rows if row[0][0].upper() != "C"], [f"{what}, as by NONMEM's IGNORE=C"]


def _one_name_each(lines: list[Line], notes: list[str]) -> list[Line]:
    """Lines with one spelling of each number that names a patient: 1, 1.0 and 001 are one patient, as in NONMEM."""

    def key(text: str) -> object:
        return Decimal(text) if _NUMBER.fullmatch(text) else text

    spellings: dict[object, Counter[str]] = {}
    for line in lines:
        spellings.setdefault(key(line.cells["ID"]), Counter())[line.cells["ID"]] += 1
    names: dict[object, str] = {}
    for number, found in spellings.items():
        names[number] = next(iter(found))
        if isinstance(number, Decimal) and (len(found) > 1 or re.search(r"[.eE]", names[number])):
            names[number] = f"{number.normalize():f}"
        if len(found) > 1:
            notes.append(f"ID {' and '.join(found)} are one number, and one patient: {names[number]}")
    return [dataclasses.replace(line, cells=line.cells | {"ID": names[key(line.cells["ID"])]}) for line in lines]


def _names(model: DrugModel) -> dict[str, str]:
    """The standard name of every title that is read, in capitals."""
    own = {title.upper(): c.name for c in model.covariates for title in (c.column, c.name)}
    return WEIGHTS | own | ALIASES | {name: name for name in COLUMNS}


def _columns(line: Line, header: list[str], model: DrugModel, names: dict[str, str]) -> list[str]:
    """The standard name of each column."""
    columns: list[str] = []
    for title in header:
        column = names.get(title.upper(), f"unread {len(columns)}")
        if column in columns:
            line.refuse(ConfigError, title, f"a second column for {column}", "leave one of them out")
        columns.append(column)
    for column, holds in _NEEDED.items():
        if column not in columns:
            line.refuse(ConfigError, column, f"no such column among {', '.join(header)}", f"add it ({holds})")
    dates = [column for column in columns if column in {"DATE", "DAT1", "DAT2", "DAT3"}]
    if len(dates) > 1:
        line.refuse(ConfigError, dates[1], f"a second date beside {dates[0]}", "leave one of them out")
    for covariate in model.covariates:
        if covariate.name not in columns:
            spare = ("unread ", "DV_WEIGHT")
            unread = [title for title, column in zip(header, columns, strict=True) if column.startswith(spare)]
            near = likely_title(covariate, unread)
            hint = f", or rename {near} if it is that, in that unit" if near else ""
            what = f"{model.name} needs this covariate, {covariate.meaning} in {covariate.unit}"
            line.refuse(CovariateError, covariate.column, what, f"add the column{hint}")
    return columns
