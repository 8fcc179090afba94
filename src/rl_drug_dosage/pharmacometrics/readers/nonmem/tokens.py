"""Abbreviated code of NONMEM as tokens: numbers, names, operators, and lines that are not read."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rl_drug_dosage.pharmacometrics.readers.nonmem.records import Line, Stream

__all__ = ["SUPPORTED", "Token", "is_harmless", "rows_of"]

SUPPORTED = "assignments, IF, ELSE and functions of NM-TRAN"
_STATEMENTS = 5000
"""Of one block; the longest known ones have 500."""
_TOKEN = re.compile(
    r"""[ \t]*(?:
    (?P<number>(?:\d+(?:\.(?![A-Za-z]+\.)\d*)?|\.\d+)(?:[EDed][+-]?\d+)?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<word>\.[A-Za-z]+\.)
    |(?P<sign>\*\*|==|/=|<=|>=|[-+*/<>(),=])
    )""",
    re.VERBOSE,
)
_HARMLESS = re.compile(
    r"""(?:FIRST|LAST|MAIN|CONTAINS
    |(?:USE|COMMON|INTEGER|REAL|DOUBLE[ ]PRECISION|LOGICAL|IMPLICIT|SAVE|DIMENSION)\b.*
    |IMAX\s*=.*|COMMENT.*|WRITE.*|PRINT.*|!.*|)""",
    re.VERBOSE,
)
"""Verbatim lines that change no value of the model: declarations, a larger number of evaluations, output."""
_IGNORED = re.compile(r"(?:EXIT\b|CALLFL\s*=|COMRES\s*=|RETURN$|OPEN\b|WRITE\b|PRINT\b|CLOSE\b|REWIND\b|STOP\b)")


@dataclass(frozen=True)
class Token:
    """A word of code: its kind, the word in capitals, and where it is.

    Kinds: number, name, word (``.EQ.``), sign, verbatim (a line) and ignored (a line).
    """

    kind: str
    text: str
    line: int
    column: int


def is_harmless(token: Token) -> bool:
    """Whether a line that is not read changes no value of the model."""
    return token.kind == "ignored" or (token.kind == "verbatim" and _HARMLESS.fullmatch(token.text) is not None)


def rows_of(stream: Stream, lines: Sequence[Line]) -> list[list[Token]]:
    """Tokens by statement; a line that ends in & goes on."""
    rows: list[list[Token]] = []
    goes_on = False
    for line in lines:
        if len(rows) > _STATEMENTS:
            stream.refuse("one statement more", f"up to {_STATEMENTS:,} in one block", "shorten it", line.number)
        text = line.text.rstrip()
        more = text.endswith("&")
        tokens = list(_tokens(stream, text.removesuffix("&"), line.number))
        if goes_on and rows:
            rows[-1] += tokens
        elif tokens:
            rows.append(tokens)
        goes_on = more
    return rows


def _tokens(stream: Stream, text: str, number: int) -> list[Token]:
    bare = text.strip()
    start = len(text) - len(text.lstrip()) + 1
    if bare.startswith('"'):
        return [Token("verbatim", bare[1:].strip().upper(), number, start)]
    if bare.startswith("("):
        # A condition of the calls of a block, (OBSERVATION ONLY) or (ONLY OBSERVATIONS).
        return [Token("verbatim", "", number, start)] if _is_call_protocol(bare) else _scan(stream, text, number)
    if _IGNORED.match(bare.upper()) or re.fullmatch(r"include\s.*nonmem_reserved\w*", bare, re.IGNORECASE):
        return [Token("ignored", bare.split()[0].upper(), number, start)]
    return _scan(stream, text, number)


def _is_call_protocol(bare: str) -> bool:
    return (
        len(bare) < 80
        and re.fullmatch(r"\([A-Za-z ]*(?:OBS|EVENT|PER|ONCE|CALL|RECORD)[A-Za-z ]*\)", bare, re.IGNORECASE) is not None
    )


def _scan(stream: Stream, text: str, number: int) -> list[Token]:
    found, at = [], 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            stream.refuse(f"{text[at:end]!r}", SUPPORTED, "write it as abbreviated code", number, at + 1)
        kind = str(match.lastgroup)
        found.append(Token(kind, match[kind].upper(), number, match.start(kind) + 1))
        at = match.end()
    return found
