"""CSV as every part of this package writes it: no cell is a formula where a spreadsheet opens the file.

Spreadsheets compute a cell that starts with ``=``, ``+``, ``-``, ``@``, a tab or a line break; a patient's name or a
column of somebody's table may start so. Such a text gets an apostrophe in front, which spreadsheets read as "this is
text"; numbers, and texts that are numbers, are written as they are. `plain` takes the apostrophe away again: for every
text, ``plain(guarded(text)) == text``.
"""

import csv
import re
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["csv_lines", "csv_text", "guarded", "plain"]

# The last four are the wide forms, which some spreadsheets compute too.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf|infinity|nan)", re.ASCII | re.IGNORECASE)


def guarded(text: str) -> str:
    """The text, with an apostrophe in front where a spreadsheet would compute it."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def plain(cell: str) -> str:
    """The text of a cell that `guarded` wrote."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    r"""A table as CSV, with lines that end in ``\n``.

    Args:
        header: names of the columns.
        rows: cells; numbers are written in full, None is an empty cell.
    """
    return csv_lines([header]) + csv_lines(rows)


def csv_lines(rows: Iterable[Sequence[Any]]) -> str:
    """Rows of a table as `csv_text` writes them, for one that is written in pieces."""
    lines = _Lines()
    # With this end the writer quotes cells that hold either character, so that no cell can begin a line.
    writer = csv.writer(lines, lineterminator="\r\n")
    writer.writerows([guarded(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return "".join(lines.found)


class _Lines:
    """What the csv module writes to, a line at a time."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def write(self, line: str) -> None:
        self.found.append(line.removesuffix("\r\n") + "\n")
