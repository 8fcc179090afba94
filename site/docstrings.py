"""Docstrings as reStructuredText: a Sphinx extension.

The docstrings are written to be read as text. Habits of theirs that would be something else to reStructuredText are
written out here: tables of Markdown, and letters that it takes for its own.
"""

import re
from collections.abc import Iterable
from typing import Any

_ROW = re.compile(r"^\s*\|.*\|\s*$")


def as_rst(lines: Iterable[str]) -> list[str]:
    """The lines with examples marked, Markdown's tables as list-tables, and stars and bars in texts as letters."""
    found: list[str] = []
    rows: list[str] = []
    literal = False
    for line in [*_marked(_joined(lines)), ""]:
        if _ROW.match(line):
            rows.append(line)
            continue
        if rows:
            found += _table(rows)
            rows = []
        literal = (literal and (line.startswith(" ") or not line)) or line == "::"
        found.append(line if literal else _letters(line))
    return found[:-1]


def _joined(lines: Iterable[str]) -> list[str]:
    """The lines with a list of arguments that goes on in the next line, before its colon, on one."""
    found: list[str] = []
    for line in lines:
        if found and re.fullmatch(r"\s+(\w+, )*\w+,", found[-1]) and line[:1].isspace():
            found[-1] += " " + line.strip()
        else:
            found.append(line)
    return found


def _marked(lines: list[str]) -> list[str]:
    """The lines with ``::`` before an example: lines further in, behind an empty one, below a text at the margin."""
    found: list[str] = []
    last = ""
    for line in lines:
        example = line.startswith("    ") and found and not found[-1] and last and not last[0].isspace()
        if example and not last.startswith(".. ") and "::" not in last:
            found += ["::", ""]
        found.append(line)
        last = line if line.strip() else last
    return found


def _table(rows: list[str]) -> list[str]:
    indent = rows[0][: len(rows[0]) - len(rows[0].lstrip())]
    cells = [[c.strip() for c in row.strip().strip("|").split("|")] for row in rows]
    body = [c for c in cells if not all(re.fullmatch(r":?-+:?", x) for x in c)]
    out = ["", f"{indent}.. list-table::", f"{indent}   :header-rows: 1", ""]
    for row in body:
        for i, cell in enumerate(row):
            out.append(f"{indent}   {'* -' if i == 0 else '  -'} {_letters(cell)}")
    return [*out, ""]


def _letters(line: str) -> str:
    """Stars and bars outside of backquotes are letters; so is an underscore that ends a word."""
    pieces = re.split(r"(``[^`]*``|`[^`]*`)", line)
    return "".join(
        p if i % 2 else re.sub(r"([*|])", r"\\\1", re.sub(r"(\w)_(?=\W|$)", r"\1\\_", p)) for i, p in enumerate(pieces)
    )


def _process(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    # What Python itself says of a field of a named tuple.
    lines[:] = [] if lines and lines[0].startswith("Alias for field number") else as_rst(lines)


def setup(app: Any) -> dict[str, bool]:
    """Connect before napoleon, which makes Google's sections to fields."""
    app.connect("autodoc-process-docstring", _process, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
