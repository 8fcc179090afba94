"""Tables for a terminal of any width, without truncation.

Numbers, and names that the user must type, never wrap. Headings wrap between words. Columns that do not fit go into a
second table below, with the key column repeated. If that does not fit either, every row becomes a few lines of
"heading: value".
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from rl_drug_dosage.utils.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Column", "blocks", "show_table"]

_BESIDE = 3
"""Extra width of a column: two spaces and a line."""
_FEWEST = 16
"""Minimum readable width of a column of sentences."""
_LONGEST_WORD = 30
"""A longer word in a sentence, such as an address, may be broken."""


@dataclass(frozen=True)
class Column:
    """A column and its heading.

    Args:
        heading: heading, which wraps between words.
        kind: ``name`` and ``number`` never wrap; ``names`` wrap between names; ``words`` wrap between words.
        key: whether it identifies the row: it is the first column, repeated in every table.
    """

    heading: str
    kind: Literal["name", "names", "number", "words"] = "number"
    key: bool = False

    @property
    def wraps(self) -> bool:
        """Whether the column may wrap to its longest word."""
        return self.kind in {"names", "words"}

    def narrowest(self, cells: Iterable[str]) -> int:
        """Minimum width of the column."""
        from rich.cells import cell_len

        heading = max((cell_len(word) for word in self.heading.split()), default=0)
        if not self.wraps:
            return max([heading, *map(cell_len, cells)])
        longest = max((cell_len(word) for cell in cells for word in cell.split()), default=0)
        return max(heading, _FEWEST, longest if self.kind == "names" else min(longest, _LONGEST_WORD))


def blocks(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[list[int]] | None:
    """Distribute columns over tables.

    Args:
        columns: the columns.
        rows: the cells of each row.
        width: width of the terminal.

    Returns:
        The column indices of each table, the key first; None if no table fits.
    """
    needed = [_BESIDE + c.narrowest(row[i] for row in rows) for i, c in enumerate(columns)]
    keys = [i for i, c in enumerate(columns) if c.key]
    others = [i for i, c in enumerate(columns) if not c.key]
    room = width - 1 - sum(needed[i] for i in keys)
    if sum(needed[i] for i in others) <= room:
        return [[*keys, *others]]
    # sentences are more readable below their key than in narrow columns of a second table
    if any(columns[i].wraps for i in others) or any(needed[i] > room for i in others):
        return None
    found: list[list[int]] = []
    left = 0
    for i in others:
        if needed[i] > left:
            found.append([*keys])
            left = room
        found[-1].append(i)
        left -= needed[i]
    return found


def show_table(
    columns: Sequence[Column],
    rows: Iterable[Sequence[str]],
    *,
    title: str = "",
    caption: str = "",
    groups: bool = False,
    lines: bool = False,
    last_apart: bool = False,
    console: "Console | None" = None,
) -> None:
    """Print a table.

    Args:
        columns: the columns; at least one is a key.
        rows: the cells of each row.
        title: text above the table.
        caption: text below the table.
        groups: print the first cell once for adjacent rows that share it.
        lines: draw a line between rows.
        last_apart: draw a line above the last row.
        console: output; None: the terminal. Without a terminal the width is that of ``COLUMNS``, or 80.
    """
    from rich.console import Console
    from rich.text import Text

    console = console or Console()
    table = [[printable(cell) for cell in row] for row in rows]
    if title:
        console.print(Text(printable(title), style="bold"))
    chosen = blocks(columns, table, console.width)
    if chosen is None:
        for line, wraps in _as_lines(columns, table, console.width, groups=groups):
            console.print(line, soft_wrap=not wraps)
    for shown in chosen or ():
        widths = _widths([columns[i] for i in shown], [[row[i] for i in shown] for row in table], console.width)
        console.print(_drawn(columns, table, dict(zip(shown, widths, strict=True)), groups, lines, last_apart))
    if caption:
        console.print(Text(printable(caption), style="dim"))


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int | None]:
    """Width of each column; None takes the remaining width. Headings stay on one line if there is room."""
    from rich.cells import cell_len

    needed = [c.narrowest(row[i] for row in rows) for i, c in enumerate(columns)]
    spare = width - 1 - sum(needed) - _BESIDE * len(columns)
    found: list[int | None] = []
    for column, narrow in zip(columns, needed, strict=True):
        more = min(max(cell_len(column.heading) - narrow, 0), max(spare, 0))
        spare -= more
        found.append(None if column.wraps else narrow + more)
    return found


def _drawn(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    widths: Mapping[int, int | None],
    groups: bool,
    lines: bool,
    last_apart: bool,
) -> Any:
    """Make a table of some of the columns."""
    from rich.table import Table
    from rich.text import Text

    table = Table(show_lines=lines)
    for i, width in widths.items():
        column = columns[i]
        table.add_column(
            Text(column.heading),
            justify="right" if column.kind == "number" else "left",
            width=width,
            min_width=column.narrowest(row[i] for row in rows) if width is None else None,
            overflow="fold",
        )
    before: Sequence[str] = ()
    for number, row in enumerate(rows):
        again = groups and bool(before) and row[0] == before[0]
        if before and ((groups and not again) or (last_apart and number == len(rows) - 1)):
            table.add_section()
        table.add_row(*(Text("" if again and i == 0 else row[i]) for i in widths))
        before = row
    return table


def _as_lines(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int, *, groups: bool
) -> Iterator[tuple[Any, bool]]:
    """Lines of each row: the key, then "heading: value" for non-empty cells; and whether the line may wrap."""
    from rich.padding import Padding
    from rich.text import Text

    before = ""
    for row in rows:
        keys = [(c, cell) for c, cell in zip(columns, row, strict=True) if c.key]
        if groups and keys[0][1] == before:
            keys = keys[1:]
        before = row[0]
        yield Text(" ".join(cell for _, cell in keys if cell), style="bold"), False
        for column, cell in zip(columns, row, strict=True):
            if column.key or not cell:
                continue
            text = f"{column.heading}: {cell}"
            if column.wraps and max(map(len, text.split())) <= width - 2:
                yield Padding(Text(text), (0, 0, 0, 2), expand=False), True
            else:
                yield Text(f"  {text}"), False
