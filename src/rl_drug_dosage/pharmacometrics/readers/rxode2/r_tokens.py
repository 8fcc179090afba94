"""R source text as tokens, with the line and column of each; comments are kept apart, by line.

Limits keep any input harmless: a model file has about 10 kB, the largest published one that was seen 190 kB.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rl_drug_dosage.pharmacometrics.readers.source_text import read_text
from rl_drug_dosage.pharmacometrics.readers.written import ReadError

__all__ = ["LARGEST_BYTES", "LONGEST_LINE", "MOST_TOKENS", "Source", "Token", "read_source", "tokens_of"]

LARGEST_BYTES = 1_000_000
LONGEST_LINE = 50_000
MOST_TOKENS = 100_000

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\f\u00a0]+)
  | (?P<newline>\n)
  | (?P<comment>\#[^\n]*)
  | (?P<raw>[rR](?P<quote>["'])(?P<dashes>-*)[(\[{])
  | (?P<number>0[xX][0-9a-fA-F]+L?|(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?L?)
  | (?P<name>(?:[^\W\d_]|\.(?![0-9]))[\w.]*|`[^`\n]+`)
  | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
  | (?P<operator><<-|->>|\|\||&&|%[^%\n]*%|:::|::|<-|->|<=|>=|==|!=|\|>|:=|\*\*|\[\[|[-+*/^<>=!&|~?:$@(){}\[\],;\\])
    """,
    re.VERBOSE | re.DOTALL,
)
_CLOSES = {"(": ")", "[": "]", "{": "}"}
_ESCAPES = {"n": "\n", "t": "\t", "\n": "\n"}


@dataclass(frozen=True, slots=True)
class Token:
    """A word of R: ``kind`` is name, number, string, operator, newline or end."""

    kind: str
    text: str
    line: int
    column: int


@dataclass(frozen=True)
class Source:
    """A file's text, and how its errors are worded.

    Args:
        path: as given.
        text: of the whole file.
        comments: by line, without ``#``.
    """

    path: str
    text: str
    comments: Mapping[int, str]

    def refused(self, place: tuple[int, int], came: str, do: str) -> ReadError:
        """The error about a line and column: what came, and what is supported or to do."""
        return ReadError(f"{self.path}:{place[0]}:{place[1]}: {came}: {do}")


def read_source(path: Path) -> Source:
    """The text of a file.

    Raises:
        ReadError: it is missing, not text, or larger than any model.
    """
    return Source(str(path), read_text(path, LARGEST_BYTES, longest_line=LONGEST_LINE), {})


def tokens_of(source: Source, start: tuple[int, int] = (1, 1)) -> tuple[list[Token], Source]:
    """The tokens, and the source with its comments.

    Args:
        source: the text.
        start: line and column of its first character: text inside a string of another file stands further down.

    Raises:
        ReadError: a character that R does not have, an unclosed string, or more tokens than `MOST_TOKENS`.
    """
    text = source.text
    tokens: list[Token] = []
    comments: dict[int, str] = {}
    line, line_start = start[0], 1 - start[1]
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        place = (line, at - line_start + 1)
        if found is None:
            raise _refused_character(source, place, text[at])
        kind, word = found.lastgroup or "", found.group()
        end = found.end()
        if kind == "raw":
            word, end = _raw_string(source, place, text, found)
            kind = "string"
        elif kind == "string":
            word = _unescaped(word[1:-1])
        elif kind == "name" and word.startswith("`"):
            word = word[1:-1]
        if kind == "comment":
            comments[line] = word.lstrip("#").strip()
        elif kind != "space":
            tokens.append(Token(kind, word, *place))
            if len(tokens) > MOST_TOKENS:
                raise source.refused(place, f"more than {MOST_TOKENS:,} words of R", "keep only the model in the file")
        breaks = text.count("\n", at, end) if kind in {"newline", "string"} else 0
        if breaks:
            line += breaks
            line_start = text.rindex("\n", at, end) + 1
        at = end
    tokens.append(Token("end", "", line, at - line_start + 1))
    return tokens, Source(source.path, text, comments)


def _refused_character(source: Source, place: tuple[int, int], letter: str) -> ReadError:
    if letter in "\"'`":
        return source.refused(place, f"the {letter} is never closed", "close the string")
    return source.refused(place, f"R has no character {letter!r} here", "the file must be R code")


def _raw_string(source: Source, place: tuple[int, int], text: str, found: re.Match[str]) -> tuple[str, int]:
    """What stands in ``r"(...)"``, and where it ends."""
    closing = _CLOSES[found.group()[-1]] + found["dashes"] + found["quote"]
    end = text.find(closing, found.end())
    if end < 0:
        raise source.refused(place, "the raw string is never closed", f"close it with {closing}")
    return text[found.end() : end], end + len(closing)


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text, flags=re.DOTALL)
