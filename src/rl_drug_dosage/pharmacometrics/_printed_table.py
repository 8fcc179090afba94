"""Tables as NONMEM prints them, or CSV files: cells as text, so that printed digits can be counted."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from rl_drug_dosage.errors import ConfigError

__all__ = ["ColumnAgreement", "PrintedTable", "joined", "read_printed"]

_LARGEST = 200_000_000
_NUMBER = re.compile(r"[+-]?(\d*)\.?(\d*)(?:[EeDd]([+-]?\d+))?")


@dataclass(frozen=True)
class PrintedTable:
    """Rows of cells.

    Args:
        path: of the file.
        titles: in capitals.
        rows: of cells; ``.`` where nothing stands.
        first_line: number of the first row in the file, from 1.
        places: title -> column.
    """

    path: Path
    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    first_line: int
    places: dict[str, int] = field(default_factory=dict)

    def has(self, title: str) -> bool:
        """Whether there is such a column."""
        return title in self.places

    def cell(self, row: int, title: str) -> str:
        """The text of a cell."""
        return self.rows[row][self.places[title]]

    def number(self, row: int, title: str) -> float:
        """The number in a cell; NaN if there is none."""
        text = self.cell(row, title)
        try:
            return float(text.upper().replace("D", "E"))
        except ValueError:
            return float("nan")

    def digit(self, row: int, title: str) -> float:
        """One unit of the last printed digit of a cell."""
        match = _NUMBER.fullmatch(self.cell(row, title))
        if match is None:
            return 0.0
        return float(10.0 ** (int(match[3] or 0) - len(match[2])))


def read_printed(path: Path) -> PrintedTable:
    """Read a table.

    Raises:
        ConfigError: a file that cannot be read, or has no header with ID.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise ConfigError(f"{path} has {path.stat().st_size:,} bytes: name a table of up to {_LARGEST:,}")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ConfigError(f"cannot read {str(path)!r}: {reason}; name a table of NONMEM or a CSV file") from None
    start = next((i for i, line in enumerate(lines) if line.strip() and not _is_heading(line)), len(lines))
    if start == len(lines):
        raise ConfigError(f"{path} is empty: name a table of NONMEM or a CSV file")
    comma = lines[start].count(",") > 0
    titles = tuple(cell.upper().strip('"').lstrip("#") for cell in _cells(lines[start], comma=comma))
    if "ID" not in titles:
        raise ConfigError(
            f"{path} has no column ID, but {', '.join(titles)[:200]}: give a header line with ID, TIME, ..."
        )
    rows = []
    for number, line in enumerate(lines[start + 1 :], start=start + 2):
        cells = _cells(line, comma=comma)
        if not any(cells) or _is_heading(line) or cells[0].upper().strip('"') == titles[0]:
            # A heading that is repeated would shift the lines: they are counted by rows then.
            continue
        if len(cells) != len(titles):
            raise ConfigError(f"{path}, line {number}: {len(cells)} cells under {len(titles)} titles; correct it")
        rows.append(tuple(cell.strip('"') or "." for cell in cells))
    if not rows:
        raise ConfigError(f"{path} has a header and no rows: name the table of a run")
    # Of two columns of one name the last one counts: NONMEM appends DV, PRED, RES and WRES.
    places = {title: i for i, title in enumerate(titles) if title}
    return PrintedTable(path, titles, tuple(rows), start + 2, places)


def _is_heading(line: str) -> bool:
    return re.match(r"\s*TABLE\s+NO", line, re.IGNORECASE) is not None


def _cells(line: str, *, comma: bool) -> list[str]:
    return [cell.strip() for cell in line.split(",")] if comma else line.split()


def joined(table: PrintedTable, data: PrintedTable) -> PrintedTable:
    """The table with the columns of the data of its run that it lacks.

    The records are the same ones where both have as many; or else each record of the table is the next one of the data
    with the same ID and time.

    Raises:
        ConfigError: a record of the table that the data do not have.
    """
    more = [title for title in data.titles if title and title not in table.places]
    order = _same_records(table, data)
    rows = tuple((*row, *(data.cell(i, title) for title in more)) for row, i in zip(table.rows, order, strict=True))
    titles = (*table.titles, *more)
    places = dict(table.places) | {title: len(table.titles) + i for i, title in enumerate(more)}
    return PrintedTable(table.path, titles, rows, table.first_line, places)


def _same_records(table: PrintedTable, data: PrintedTable) -> list[int]:
    """The row of the data for each row of the table."""
    shared = [title for title in ("ID", "TIME") if table.has(title) and data.has(title)]

    def differ(i: int, k: int) -> bool:
        return any(_apart(table, i, data, k, title) for title in shared)

    if len(table.rows) == len(data.rows) and not any(differ(i, i) for i in range(len(table.rows))):
        return list(range(len(table.rows)))
    found, at = [], 0
    for i in range(len(table.rows)):
        while at < len(data.rows) and differ(i, at):
            at += 1
        if at == len(data.rows):
            raise ConfigError(
                f"{table.path}, line {i + table.first_line}: no record of {data.path.name} has ID "
                f"{table.cell(i, 'ID')} and this time after those before; give the data of this run"
            )
        found.append(at)
        at += 1
    return found


def _apart(table: PrintedTable, i: int, data: PrintedTable, k: int, title: str) -> bool:
    """Whether two cells differ by more than the digits that are printed."""
    one, other = table.number(i, title), data.number(k, title)
    if one != one or other != other:  # noqa: PLR0124 - NaN: a clock time
        return False
    return abs(one - other) > max(table.digit(i, title), 1e-9 * abs(other))


@dataclass(frozen=True)
class ColumnAgreement:
    """How one column of the table agrees.

    Args:
        column: PRED, IPRED or CWRES.
        count: records compared.
        agreed: records within the tolerance.
        tolerance: in words.
        worst: line of the table, its ID and time, what the table says, and what the model says.
        largest: difference there, relative to the table (CWRES: absolute).
    """

    column: str
    count: int
    agreed: int
    tolerance: str
    worst: str
    largest: float

    @property
    def ok(self) -> bool:
        """Whether every record agrees."""
        return self.agreed == self.count

    def __str__(self) -> str:
        word = "agree" if self.ok else "DO NOT agree"
        return (
            f"{self.column}: {self.agreed} of {self.count} records {word} to {self.tolerance}; largest difference "
            f"{self.largest:.2g}: {self.worst}"
        )
