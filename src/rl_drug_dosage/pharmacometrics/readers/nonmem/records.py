"""The text of a NONMEM control stream: records, their lines, comments and positions."""

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from rl_drug_dosage.pharmacometrics.readers.source_text import read_text
from rl_drug_dosage.pharmacometrics.readers.written import ReadError

__all__ = ["Line", "Record", "Stream", "read_stream"]

_LARGEST = 400_000
"""Bytes of a control stream; the longest known ones have 60,000."""
_MOST_RECORDS = 5000
_LONGEST = 5_000
"""Characters of a line; NM-TRAN reads 160 by default."""
_START = re.compile(r"[ \t]*\$([A-Za-z]+)")
_READ = (
    *("PROBLEM", "INPUT", "DATA", "SUBROUTINES", "MODEL", "PK", "PRED", "ERROR", "DES"),
    *("THETA", "OMEGA", "SIGMA", "ABBREVIATED"),
)
_REFUSED = {
    "MIX": "a mixture of populations",
    "INCLUDE": "another file: a path comes from the command line, never out of a file",
    "AES": "algebraic equations",
    "AESINITIAL": "algebraic equations",
    "INFN": "code that runs between problems",
    "BIND": "data items that are bound to other records",
    "CONTR": "a likelihood of the user's own",
    "CCONTR": "a likelihood of the user's own",
}
_LEFT = (
    *("ESTIMATION", "ESTIMATE", "ESTM", "COVARIANCE", "COVR", "TABLE", "SCATTERPLOT", "SIMULATION", "SIMULATE", "SIML"),
    *("SIZES", "MSFI", "TOL", "PRIOR", "THETAI", "THETAP", "THETAPV", "THETAR", "OMEGAP", "OMEGAPD", "SIGMAP"),
    *("SIGMAPD", "ETAS", "PHIS", "RCOV", "RCOVI", "DESIGN", "NONPARAMETRIC", "WARNINGS", "ANNEAL", "CHAIN", "FORMAT"),
    *("OLKJDF", "OVARF", "SLKJDF", "SVARF", "TTDF", "SUPER", "INDEX", "LEVEL"),
)
_NAMES = (*_READ, *_REFUSED, *_LEFT)


@dataclass(frozen=True)
class Line:
    """A line of a record, without its comment.

    Args:
        text: from the line's first column on.
        number: in the file, from 1.
        comment: what stands after the first semicolon.
    """

    text: str
    number: int
    comment: str = ""


@dataclass(frozen=True)
class Record:
    """A record: its full name, and its lines. The first one begins after the name, at the same columns."""

    name: str
    lines: tuple[Line, ...]

    @property
    def line(self) -> int:
        """Where it begins."""
        return self.lines[0].number

    @property
    def text(self) -> str:
        """All of it without comments."""
        return "\n".join(line.text for line in self.lines)


@dataclass(frozen=True)
class Stream:
    """The records of the first problem of a control stream.

    Args:
        path: as given.
        records: in the file's order.
        lines: the whole text.
        remarks: what was left aside.
    """

    path: str
    records: tuple[Record, ...]
    lines: tuple[str, ...]
    remarks: tuple[str, ...]

    def all(self, *names: str) -> tuple[Record, ...]:
        """The records with these names."""
        return tuple(record for record in self.records if record.name in names)

    def words(self, *names: str) -> Iterator[tuple[str, Line]]:
        """Words of these records with their lines; brackets, commas and equals signs are words."""
        for record in self.all(*names):
            for line in record.lines:
                for word in re.findall(r"[(),=]|[^\s(),=]+", line.text):
                    yield word, line

    def refuse(self, came: str, supported: str, do: str, line: int, column: int = 0) -> NoReturn:
        """Refuse a place of the file.

        Args:
            came: what stands there.
            supported: what may stand there.
            do: what to do.
            line: from 1.
            column: from 1; 0: where the line's text begins.

        Raises:
            ReadError: always.
        """
        if not column:
            written = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
            column = len(written) - len(written.lstrip()) + 1
        raise ReadError(f"{self.path}:{line}:{column}: {_short(came)}; supported: {supported}; {do}")

    def column_of(self, name: str, line: int) -> int:
        """Where a word first stands in a line; 0 if it does not."""
        written = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        found = re.search(rf"(?<![A-Za-z0-9_]){re.escape(name)}(?![A-Za-z0-9_])", written, re.IGNORECASE)
        return found.start() + 1 if found else 0


def _short(text: str) -> str:
    """In one line, and not longer than a line of the message needs."""
    line = " ".join(text.split())
    return line if len(line) <= 160 else f"{line[:157]}..."


def read_stream(path: Path) -> Stream:
    """Split a control stream into records.

    Raises:
        ReadError: a file that cannot be read, is too long, holds no records, or a record that is unknown or refused.
    """
    lines = tuple(read_text(path, _LARGEST, longest_line=_LONGEST, lenient=True).split("\n"))
    bare = Stream(str(path), (), lines, ())
    records = list(itertools.islice(_records(bare), _MOST_RECORDS + 1))
    if len(records) > _MOST_RECORDS:
        bare.refuse("one record more", f"up to {_MOST_RECORDS:,} records", "shorten it", records[-1].line)
    if not records:
        bare.refuse(
            "no record ($PROBLEM, $PK, ...)", "NONMEM control streams", "name a .mod or .ctl file of NONMEM", line=1
        )
    return _first_problem(bare, records)


def _first_problem(bare: Stream, records: list[Record]) -> Stream:
    starts = [i for i, record in enumerate(records) if record.name == "PROBLEM"]
    end = starts[1] if len(starts) > 1 else len(records)
    remarks = []
    if len(starts) > 1:
        remarks.append(f"only the first of {len(starts)} problems is read, up to line {records[end].line - 1}")
    if any(record.name == "PRIOR" for record in records[:end]):
        remarks.append("$PRIOR is not read: priors serve the estimation alone")
    if any(record.name == "LEVEL" for record in records[:end]):
        remarks.append("$LEVEL: effects of groups of subjects are read as effects between subjects")
    for record in records[:end]:
        if record.name in _REFUSED:
            bare.refuse(
                f"${record.name}, {_REFUSED[record.name]}",
                "one population with effects between subjects and occasions",
                "write the model without it",
                line=record.line,
            )
    return Stream(bare.path, tuple(records[:end]), bare.lines, tuple(remarks))


def _records(stream: Stream) -> Iterator[Record]:
    name, lines = "", list[Line]()
    for number, text in enumerate(stream.lines, start=1):
        if match := _START.match(text):
            if name:
                yield Record(name, tuple(lines))
            name, lines = _full_name(stream, match, number), []
            text = " " * match.end() + text[match.end() :]  # noqa: PLW2901
        if name:
            lines.append(_line(text, number, whole=name in {"PROBLEM", "SUPER"}))
    if name:
        yield Record(name, tuple(lines))


def _line(text: str, number: int, *, whole: bool) -> Line:
    text = text.expandtabs(1).replace("\f", " ").replace("\x1a", " ")
    if whole or text.lstrip().startswith('"'):
        return Line(text, number)
    code, _, comment = text.partition(";")
    return Line(code, number, comment.strip(" ;\t"))


def _full_name(stream: Stream, match: re.Match[str], number: int) -> str:
    word = match[1].upper()
    if word in {"PK", "DES", "MIX", "TOL", "AES"}:
        return word
    if word.startswith("ERR") and "ERROR".startswith(word):
        return "ERROR"
    found = "SUBROUTINES" if word == "SUBS" else _by_start(word, _NAMES)
    if found is None:
        shown = ", ".join(f"${name}" for name in _READ)
        stream.refuse(f"${word}, which is no record", shown, "correct its name", line=number, column=match.start(1))
    return found


def _by_start(word: str, names: Iterable[str]) -> str | None:
    """A name that a word of at least three letters abbreviates."""
    if word in names:
        return word
    return next((name for name in names if len(word) >= 3 and name.startswith(word)), None)
