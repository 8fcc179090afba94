"""Abbreviated code of NONMEM ($PK, $PRED, $DES, $ERROR) as a tree of statements. Nothing is evaluated."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from rl_drug_dosage.pharmacometrics.readers.expressions import Expr
from rl_drug_dosage.pharmacometrics.readers.nonmem.expression import Expression, Replace
from rl_drug_dosage.pharmacometrics.readers.nonmem.records import Record, Stream
from rl_drug_dosage.pharmacometrics.readers.nonmem.tokens import SUPPORTED, Token, is_harmless, rows_of
from rl_drug_dosage.pharmacometrics.readers.written import ReadError

__all__ = ["Branch", "If", "Opaque", "Set", "Statement", "parse_code"]


@dataclass(frozen=True)
class Set:
    """``target = expr``."""

    target: str
    expr: Expr
    line: int


@dataclass(frozen=True)
class Branch:
    """A condition and what it guards; an ELSE has none."""

    condition: Expr | None
    body: "tuple[Statement, ...]"


@dataclass(frozen=True)
class If:
    """IF, ELSE IF, ELSE."""

    branches: tuple[Branch, ...]
    line: int


@dataclass(frozen=True)
class Opaque:
    """A statement that is not read; an error unless it is in a branch that never runs.

    Args:
        what: it is, for a message.
        line, column: where it is.
        refusal: the whole message, if there is one already.
    """

    what: str
    line: int
    column: int
    refusal: str = ""


type Statement = Set | If | Opaque

_BLOCKS = 50
"""Levels of IF in IF."""


def parse_code(stream: Stream, records: Sequence[Record], replace: Replace) -> tuple[Statement, ...]:
    """The statements of some records, as if they were one.

    Args:
        stream: for messages.
        records: with abbreviated code.
        replace: abbreviations of the user.

    Raises:
        ReadError: text that is not abbreviated code.
    """
    rows = [row for record in records for row in rows_of(stream, record.lines)]
    found = _Code(stream, rows, replace).block(0)
    for statement in found:
        # No condition can rule this one out.
        if isinstance(statement, Opaque) and statement.refusal:
            raise ReadError(statement.refusal)
    return found


class _Code:
    """Rows of tokens -> statements. One row may begin a block that others end."""

    def __init__(self, stream: Stream, rows: list[list[Token]], replace: Replace) -> None:
        self.stream = stream
        self.rows = rows
        self.replace = replace
        self.at = 0

    def block(self, depth: int, ends: frozenset[str] = frozenset()) -> tuple[Statement, ...]:
        """Statements up to a row that begins with one of ``ends``, or to the end of all."""
        found: list[Statement] = []
        while self.at < len(self.rows):
            row = self.rows[self.at]
            if _keyword(row) in ends:
                return tuple(found)
            self.at += 1
            found += self._statement(row, depth)
        return tuple(found)

    def _statement(self, row: list[Token], depth: int) -> list[Statement]:
        first = row[0]
        if first.kind in {"verbatim", "ignored"}:
            return [] if is_harmless(first) else [Opaque(f'verbatim code ("{first.text})', first.line, first.column)]
        if depth > _BLOCKS:
            self._refuse(first, f"blocks in blocks, more than {_BLOCKS} levels", SUPPORTED)
        word = _keyword(row)
        if word == "IF":
            return self._if(row, depth)
        if word in {"ELSE", "ELSEIF", "ENDIF", "ENDDO"}:
            self._refuse(first, f"{word} without its IF or DO", SUPPORTED)
        if word in {"DO", "CALL"}:
            return [self._not_read(row, depth)]
        if re.fullmatch(r"R\d+ = RATE", " ".join(token.text for token in row)):
            # The rate of a dose is the data's own.
            return []
        try:
            return [self._assignment(row)]
        except ReadError as error:
            return [Opaque(first.text, first.line, first.column, str(error))]

    def _not_read(self, row: list[Token], depth: int) -> Opaque:
        """A loop or a call."""
        first = row[0]
        if first.text == "DO":
            self.block(depth + 1, frozenset({"ENDDO"}))
            self.at += 1
            return Opaque("a loop (DO)", first.line, first.column)
        return Opaque(f"CALL {row[1].text if len(row) > 1 else ''}", first.line, first.column)

    def _if(self, row: list[Token], depth: int) -> list[Statement]:
        expression = Expression(self.stream, self.replace, row, 1)
        condition = expression.bracketed()
        rest = row[expression.at :]
        if not rest:
            self._refuse(row[-1], "IF without a statement", "IF (...) statement, or IF (...) THEN")
        if rest[0].text != "THEN" or len(rest) > 1:
            body = self._single(rest, depth)
            return [If((Branch(condition, tuple(body)),), row[0].line)] if body else []
        branches = [Branch(condition, self.block(depth + 1, _ENDS))]
        while True:
            if self.at >= len(self.rows):
                self._refuse(row[0], "IF ... THEN without ENDIF", SUPPORTED)
            now = self.rows[self.at]
            self.at += 1
            word = _keyword(now)
            if word == "ENDIF":
                return [If(tuple(branches), row[0].line)]
            if word == "ELSE":
                branches.append(Branch(None, self._else(now, depth)))
                continue
            skip = 1 if now[0].text == "ELSEIF" else 2
            own = Expression(self.stream, self.replace, now, skip)
            branches.append(Branch(own.bracketed(), self.block(depth + 1, _ENDS)))

    def _else(self, row: list[Token], depth: int) -> tuple[Statement, ...]:
        own = self._single(row[1:], depth) if len(row) > 1 else []
        return (*own, *self.block(depth + 1, _ENDS))

    def _single(self, row: list[Token], depth: int) -> list[Statement]:
        if row[0].text in {"EXIT", "RETURN", "STOP", "WRITE", "PRINT", "CALLFL", "COMRES"}:
            return []
        return self._statement(row, depth + 1)

    def _assignment(self, row: list[Token]) -> Set:
        target = Expression(self.stream, self.replace, row, 0)
        place = target.place()
        if target.at >= len(row) or row[target.at].text != "=":
            at = row[min(target.at, len(row) - 1)]
            self._refuse(at, f"{at.text!r} where = is expected", SUPPORTED)
        value = Expression(self.stream, self.replace, row, target.at + 1)
        expr = value.whole()
        return Set(place, expr, row[0].line)

    def _refuse(self, token: Token, came: str, supported: str) -> NoReturn:
        self.stream.refuse(came, supported, "correct it", token.line, token.column)


_ENDS = frozenset({"ELSE", "ELSEIF", "ENDIF"})


def _keyword(row: list[Token]) -> str:
    """The word that a row begins with, if it is one of the language; END IF and ELSE IF are one word."""
    first = row[0].text if row[0].kind == "name" else ""
    second = row[1].text if len(row) > 1 else ""
    if second == "=":
        return ""
    if first in {"END", "ELSE"} and second in {"IF", "DO"}:
        return first + second
    if first == "IF" and second != "(":
        return ""
    return first if first in {"IF", "ELSE", "ELSEIF", "ENDIF", "DO", "ENDDO", "CALL"} else ""
