"""The text of an event table: separators, comment lines, the header, and the header lines of NONMEM's own tables."""

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rl_drug_dosage.errors import ConfigError

__all__ = ["Table", "TableText", "read_table"]

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", " ": "blanks"}
_TABLE = re.compile(r"\s*TABLE\s+NO\.?\s*\d+", re.IGNORECASE)
_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
_POINT = re.compile(r"[+-]?\d*\.\d+(?:[eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+")


@dataclass(frozen=True)
class TableText:
    """A table that is no file: what it says, and what messages call it."""

    name: str
    text: str


@dataclass
class Table:
    """Cells by row, before anything is known about columns."""

    header: list[str]
    header_line: int
    rows: list[tuple[list[str], int]]
    """The cells of a row, and its line number in the file, from 1."""
    notes: list[str] = field(default_factory=list)
    """What was left aside, or read in another way than a comma-separated file."""


def read_table(path: Path | TableText, is_title: Callable[[str], bool]) -> Table:
    """Split a file into cells.

    The separator is the one by which most titles of the header are known: commas, semicolons, tabs or blanks. Where it
    is not the comma, numbers may have a decimal comma.

    Args:
        path: the file, or its text.
        is_title: whether a cell is the title of a column that can be read.

    Raises:
        ConfigError: a file that is not text, is empty, or has a decimal comma that may mean thousands.
    """
    lines = _text(path).splitlines()
    notes: list[str] = []
    first = _header_line(path, lines, is_title)
    header_text = lines[first].lstrip()
    if header_text.startswith("#"):
        header_text = header_text[1:]
        notes.append(f"line {first + 1}, which starts with #, is read as the header")
    separator = max(_SEPARATORS, key=lambda s: sum(is_title(cell) for cell in _split(header_text, s)))
    header = _split(header_text, separator)
    rows: list[tuple[list[str], int]] = []
    comments: list[int] = []
    for cells, number in _cells(path, lines, first, separator, comments):
        if cells == header or _TABLE.match(lines[number - 1]):
            continue
        rows.append((cells, number))
    if comments:
        notes.append(f"{_lines(comments)} with # taken for comments, as by NONMEM's IGNORE=#")
    if separator != ",":
        rows = _decimal_points(path, rows)
        notes.append(f"cells are separated by {_SEPARATORS[separator]}")
    return Table(header, first + 1, rows, notes)


def _lines(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > 5 else "")
    return f"1 line (line {shown}) that starts" if len(numbers) == 1 else f"{len(numbers)} lines ({shown}) that start"


def _text(path: Path | TableText) -> str:
    if isinstance(path, TableText):
        return path.text.removeprefix("\ufeff")
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ConfigError(f"cannot read {str(path)!r}: {reason}; name a CSV file") from error


def _header_line(path: Path | TableText, lines: list[str], is_title: Callable[[str], bool]) -> int:
    """The first line that is no comment; a comment above it that holds titles, where that line holds none."""

    def titles(text: str) -> set[str]:
        cells = max((_split(text, s) for s in _SEPARATORS), key=lambda cells: sum(map(is_title, cells)))
        return {cell.upper() for cell in cells if is_title(cell)}

    comments = []
    for i, line in enumerate(lines):
        if not line.strip(" \t,;") or _TABLE.match(line):
            continue
        if line.lstrip().startswith("#"):
            comments.append(i)
            continue
        if not titles(line):
            return next((k for k in reversed(comments) if {"ID", "TIME"} <= titles(lines[k].lstrip()[1:])), i)
        return i
    raise ConfigError(f"{path.name} is empty: give a header line and the patients' lines")


def _split(text: str, separator: str) -> list[str]:
    if separator == " ":
        return text.split()
    try:
        return [cell.strip() for cell in next(csv.reader([text], delimiter=separator), [])]
    except csv.Error:
        return [cell.strip() for cell in text.split(separator)]


def _cells(
    path: Path | TableText, lines: list[str], first: int, separator: str, comments: list[int]
) -> Iterator[tuple[list[str], int]]:
    """The rows below the header that hold something, each with the number of its last line."""
    inside = False
    at = first + 1

    def source() -> Iterator[str]:
        nonlocal inside, at
        for i in range(first + 1, len(lines)):
            at = i + 1
            if not inside and lines[i].lstrip().startswith("#"):
                comments.append(i + 1)
                continue
            inside = True
            yield lines[i]

    # A cell may be as long as its file; the module's limit of 131,072 characters belongs to the whole process.
    limit = csv.field_size_limit(max(sum(map(len, lines)) + 1, 131072))
    try:
        reader = source() if separator == " " else csv.reader(source(), delimiter=separator)
        for row in reader:
            inside = False
            cells = row.split() if isinstance(row, str) else [cell.strip() for cell in row]
            if any(cells):
                yield cells, at
    except csv.Error as error:
        raise ConfigError(f"{path.name}, line {at}: {error}; write plain text, one line for each record") from error
    finally:
        csv.field_size_limit(limit)


def _decimal_points(path: Path | TableText, rows: list[tuple[list[str], int]]) -> list[tuple[list[str], int]]:
    """Rows whose decimal commas are points.

    Raises:
        ConfigError: a comma that may mean thousands: no other number shows that it is a decimal comma.
    """
    found = [(cell.lstrip("<>"), number) for cells, number in rows for cell in cells if "," in cell]
    commas = [(cell, number) for cell, number in found if _COMMA.fullmatch(cell) or _THOUSANDS.fullmatch(cell)]
    if not commas:
        return rows
    points = any(_POINT.fullmatch(cell.lstrip("<>")) for cells, _ in rows for cell in cells)
    sure = any(not _THOUSANDS.fullmatch(cell) for cell, _ in commas) and not points
    for cell, number in commas:
        if points or cell.count(",") > 1 or (_THOUSANDS.fullmatch(cell) and not sure):
            raise ConfigError(
                f"{path.name}, line {number}: {cell!r} may mean thousands or a decimal comma; write numbers without "
                "thousands separators, and all of them with a decimal point"
            )

    def plain(cell: str) -> str:
        return cell.replace(",", ".") if _COMMA.fullmatch(cell.lstrip("<>")) else cell

    return [([plain(cell) for cell in cells], number) for cells, number in rows]
