"""The lines of a NONMEM-style file: cells by column, and errors that give line, column, value and remedy."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd._errors import CovariateError, ObservationError, RegimenError
from rl_drug_dosage.pkpd.model import DrugModel
from rl_drug_dosage.pkpd.same_quantity import likely_title

__all__ = ["Line", "read_lines"]

_ALIASES = {"CONC": "DV", "OUTPUT": "DVID"}
_COLUMNS = (
    "ID", "TIME", "AMT", "RATE", "DUR", "II", "ADDL", "SS", "CMT", "EVID", "DV", "MDV", "CENS", "LLOQ", "DVID", "OCC",
)  # fmt: skip
_NEEDED = {"ID": "patients", "TIME": "hours", "AMT": "doses in mg", "DV": "levels, also called CONC"}
_MISSING = {"", ".", "NA"}


@dataclass(frozen=True)
class Line:
    """One line of a file."""

    file: str
    number_in_file: int
    cells: dict[str, str]
    """Cell text by standard column name (``DV``) or covariate name (``wt_kg``)."""
    titles: dict[str, str]
    """The file's own header for each of them."""
    shift_h: float = 0.0
    """Hours added to TIME."""

    def refuse(self, kind: type[ConfigError], column: str, what: str, remedy: str) -> NoReturn:
        cell = f" = {self.cells[column]!r}" if column in self.cells else ""
        where = f"{self.file}, line {self.number_in_file}, {self.titles.get(column, column)}{cell}"
        raise kind(f"{where}: {what}; {remedy}")

    def has(self, column: str) -> bool:
        return self.cells.get(column, "").upper() not in _MISSING

    def number(self, column: str, kind: type[ConfigError], low: float = -math.inf) -> float | None:
        """A finite number >= ``low``; None if the cell is empty."""
        if not self.has(column):
            return None
        try:
            value = float(self.cells[column])
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
    def time_h(self) -> float:
        value = self.number("TIME", ConfigError)
        if value is None:
            self.refuse(ConfigError, "TIME", "no time", "give hours")
        return value + self.shift_h

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
        return 0 if self.has("DV") or self.whole("CENS", ObservationError, (0, 1)) else 2


def read_lines(path: Path, model: DrugModel) -> tuple[list[Line], list[str]]:
    """Every line that is not a comment, and the headers of the columns that are not read.

    Raises:
        CovariateError: a covariate of the model has no column.
        ConfigError: a file that is not text, has no lines, lacks a column, or has a line of the wrong length.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ConfigError(f"cannot read {str(path)!r}: {reason}; name a CSV file") from error
    reader = csv.reader(text.splitlines())
    table = [([cell.strip() for cell in cells], reader.line_num) for cells in reader]
    table = [(cells, number) for cells, number in table if any(cells) and not cells[0].startswith("#")]
    if not table:
        raise ConfigError(f"{path.name} is empty: give a header line and the patients' lines")
    (header, first), *body = table
    columns = _columns(Line(path.name, first, {}, {}), header, model)
    titles = dict(zip(columns, header, strict=True))
    lines = []
    for cells, number in body:
        if cells[0].upper() == "C":
            continue
        line = Line(path.name, number, dict(zip(columns, cells, strict=False)), titles)
        if len(cells) != len(header):
            line.refuse(ConfigError, "all columns", f"{len(cells)} cells under {len(header)} headers", "give one each")
        if not line.has("ID"):
            line.refuse(ConfigError, "ID", "no patient", "give each line its patient's ID")
        lines.append(line)
    if not lines:
        raise ConfigError(f"{path.name} holds no patient (no ID): give at least one line under the header")
    return lines, [title for column, title in titles.items() if column.startswith("unread ")]


def _columns(line: Line, header: list[str], model: DrugModel) -> list[str]:
    """The standard name of each column."""
    own = {title.upper(): c.name for c in model.covariates for title in (c.column, c.name)}
    names = own | _ALIASES | {name: name for name in _COLUMNS}
    columns: list[str] = []
    for title in header:
        column = names.get(title.upper(), f"unread {len(columns)}")
        if column in columns:
            line.refuse(ConfigError, title, f"a second column for {column}", "leave one of them out")
        columns.append(column)
    for column, holds in _NEEDED.items():
        if column not in columns:
            line.refuse(ConfigError, column, f"no such column among {', '.join(header)}", f"add it ({holds})")
    for covariate in model.covariates:
        if covariate.name not in columns:
            unread = [title for title, column in zip(header, columns, strict=True) if column.startswith("unread ")]
            near = likely_title(covariate, unread)
            hint = f", or rename {near} if it is that, in that unit" if near else ""
            what = f"{model.name} needs this covariate, {covariate.meaning} in {covariate.unit}"
            line.refuse(CovariateError, covariate.column, what, f"add the column{hint}")
    return columns
