"""Tokens of C-like code, one after the other, each with its place in the file."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rl_drug_dosage.pharmacometrics.readers.source_text import Place, refused
from rl_drug_dosage.pharmacometrics.readers.written import ReadError

__all__ = ["Token", "Tokens"]

_MOST_TOKENS = 50_000
_TOKEN = re.compile(
    r"(?P<space>[ \t\r\f\v]+|//[^\n]*|\#[^\n]*|/\*.*?\*/)"
    r"|(?P<end>[;\n])"
    r"|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[fFlL]?)"
    r"|(?P<name>(?:std::)?[A-Za-z_]\w*)"
    r"|(?P<sign>&&|\|\||[<>=!+*/-]=|\+\+|--|[-+*/%<>=!&|?:(),{}\[\]])",
    re.DOTALL,
)


class Token(NamedTuple):
    """A part of the code: "end" of a statement, "number", "name" or "sign"."""

    kind: str
    text: str
    place: Place


class Tokens:
    """A row of tokens that is read from left to right.

    Args:
        path: of the file, for errors.
        code: the statements.
        lines: the place in the file of each of their lines.

    Raises:
        ReadError: a letter that no token begins with; code that is too long.
    """

    def __init__(self, path: str, code: str, lines: Sequence[Place]) -> None:
        self.path, self.at = path, 0
        self.row = list(_tokens(path, code, lines))

    def wrong(self, token: Token, came: str, supported: str, remedy: str = "correct it") -> ReadError:
        """An error at a token."""
        return refused(self.path, token.place, came, supported, remedy)

    def peek(self) -> Token:
        """The token that stands here."""
        return self.row[self.at]

    def next(self) -> Token:
        """The token that stands here, which is then read."""
        self.at = min(self.at + 1, len(self.row))
        return self.row[self.at - 1]

    def done(self) -> bool:
        """Whether only the end is left."""
        return self.at >= len(self.row) - 1

    def skip_ends(self) -> None:
        """Past line breaks and semicolons."""
        while not self.done() and self.peek().kind == "end":
            self.at += 1


def _tokens(path: str, code: str, lines: Sequence[Place]) -> Iterator[Token]:
    at, row, begin, count = 0, 0, 0, 0
    while at < len(code):
        place = Place(lines[row].line, lines[row].column + at - begin)
        match = _TOKEN.match(code, at)
        if match is None:
            raise refused(path, place, repr(code[at]), "C statements", "remove it")
        kind = match.lastgroup or ""
        count += 1
        if count > _MOST_TOKENS:
            raise refused(path, place, f"code of more than {_MOST_TOKENS:,} parts", "models", "shorten it")
        if kind != "space":
            yield Token(kind, match.group(), place)
        breaks = match.group().count("\n")
        if breaks:
            row, begin = row + breaks, match.start() + match.group().rfind("\n") + 1
        at = match.end()
    yield Token("end", "", Place(lines[row].line, lines[row].column + at - begin))
