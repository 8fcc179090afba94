r"""JSON5 with the place of every value.

Two things keep a JSON5 library from doing this. PKPDsim separates the statements of its code by line continuations
(a backslash at the end of a line), which JSON5 removes without a trace; here they stay as line breaks. And an error
in a statement has to be named by the line on which it stands, which libraries do not keep.
"""

import math
import re
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any

from rl_drug_dosage.pharmacometrics.readers.source_text import Place, refused
from rl_drug_dosage.pharmacometrics.readers.written import ReadError

__all__ = ["Node", "parse"]

_DEEPEST = 40
"""Levels of nested objects and lists; a model has four."""

_SPACE = re.compile(r"(?:[\s\ufeff]+|//[^\n]*|/\*.*?\*/)+", re.DOTALL)
_IDENTIFIER = re.compile(r"[A-Za-z_$][\w$]*")
_NUMBER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]+|Infinity|NaN|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)")
_PLAIN = {'"': re.compile(r'[^"\\\n\r]+'), "'": re.compile(r"[^'\\\n\r]+")}
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "0": "\0"}
_WORDS = {"true": True, "false": False, "null": None}


@dataclass(frozen=True)
class Node:
    """A value and where it stands.

    Args:
        value: a dict or list of nodes, a text, a number, True, False or None.
        place: of its first character.
        lines: of a text, the place in the file of the first character of each of its lines.
    """

    value: Any
    place: Place
    lines: tuple[Place, ...] = ()

    def kind(self) -> str:
        """What it is, in words."""
        names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
        return names.get(type(self.value), "a number")


@dataclass
class _Reader:
    path: str
    text: str
    at: int = 0
    breaks: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.breaks = [-1, *(match.start() for match in re.finditer("\n", self.text))]

    def place(self, at: int | None = None) -> Place:
        where = self.at if at is None else at
        line = bisect_left(self.breaks, where)
        return Place(line, where - self.breaks[line - 1])

    def wrong(self, came: str, supported: str, remedy: str = "correct the file", at: int | None = None) -> ReadError:
        return refused(self.path, self.place(at), came, supported, remedy)

    def skip(self) -> None:
        if match := _SPACE.match(self.text, self.at):
            self.at = match.end()
        if self.text.startswith("/*", self.at):
            raise self.wrong("a comment without an end", "/* ... */", "close it")

    def seen(self) -> str:
        """What stands here, for messages."""
        if self.at >= len(self.text):
            return "the end of the file"
        return repr(self.text[self.at : self.at + 12].split("\n")[0] or "\n")

    def value(self, depth: int) -> Node:
        self.skip()
        place, start = self.place(), self.text[self.at : self.at + 1]
        if depth > _DEEPEST:
            raise self.wrong(f"more than {_DEEPEST} levels of brackets", f"up to {_DEEPEST}", "flatten it")
        if start == "{":
            return Node(self.members(depth), place)
        if start == "[":
            return Node(self.items(depth), place)
        if start in {'"', "'"} and start:
            text, lines = self.string()
            return Node(text, place, lines)
        if match := _NUMBER.match(self.text, self.at):
            self.at = match.end()
            return Node(_number(match.group()), place)
        if (match := _IDENTIFIER.match(self.text, self.at)) and match.group() in _WORDS:
            self.at = match.end()
            return Node(_WORDS[match.group()], place)
        raise self.wrong(self.seen(), "an object, a list, a text, a number, true, false, null")

    def members(self, depth: int) -> dict[str, Node]:
        found: dict[str, Node] = {}
        self.at += 1
        while True:
            self.skip()
            if self.text.startswith("}", self.at):
                self.at += 1
                return found
            begin = self.at
            if self.text[self.at : self.at + 1] in {'"', "'"}:
                key, _ = self.string()
            elif match := _IDENTIFIER.match(self.text, self.at):
                key, self.at = match.group(), match.end()
            else:
                raise self.wrong(self.seen(), "a name or }")
            if key in found:
                raise self.wrong(f"{key!r} a second time", "each name once", "leave one out", begin)
            self.skip()
            if not self.text.startswith(":", self.at):
                raise self.wrong(self.seen(), f": after {key!r}")
            self.at += 1
            found[key] = self.value(depth + 1)
            self.comma("}")

    def items(self, depth: int) -> list[Node]:
        found: list[Node] = []
        self.at += 1
        while True:
            self.skip()
            if self.text.startswith("]", self.at):
                self.at += 1
                return found
            found.append(self.value(depth + 1))
            self.comma("]")

    def comma(self, close: str) -> None:
        self.skip()
        if self.text.startswith(",", self.at):
            self.at += 1
        elif not self.text.startswith(close, self.at):
            raise self.wrong(self.seen(), f", or {close}")

    def string(self) -> tuple[str, tuple[Place, ...]]:
        quote, begin = self.text[self.at], self.at
        self.at += 1
        parts: list[str] = []
        lines = [self.place()]
        while True:
            if match := _PLAIN[quote].match(self.text, self.at):
                parts.append(match.group())
                self.at = match.end()
            here = self.text[self.at : self.at + 1]
            if here == quote:
                self.at += 1
                return "".join(parts), tuple(lines)
            if here != "\\":
                raise self.wrong(
                    "a text that does not end on its line",
                    f"{quote} at its end, or \\ before the line break",
                    "close it",
                    begin,
                )
            part = self.escaped()
            parts.append(part)
            lines += [self.place()] * part.count("\n")

    def escaped(self) -> str:
        """What a backslash stands for; a line break after it stays a line break."""
        code = self.text[self.at + 1 : self.at + 2]
        if code == "\r" and self.text.startswith("\n", self.at + 2):
            self.at += 3
            return "\n"
        if code in {"x", "u"}:
            digits = self.text[self.at + 2 : self.at + (4 if code == "x" else 6)]
            if not re.fullmatch(r"[0-9a-fA-F]{2}(?:[0-9a-fA-F]{2})?", digits) or len(digits) != (
                2 if code == "x" else 4
            ):
                raise self.wrong(f"\\{code}{digits}", r"\x and two digits, \u and four", "correct it")
            self.at += 2 + len(digits)
            return chr(int(digits, 16))
        if not code:
            raise self.wrong("the end of the file", "the end of a text", "close it")
        self.at += 2
        return _ESCAPES.get(code, code)


def _number(written: str) -> float:
    sign, digits = (-1.0 if written[0] == "-" else 1.0), written.lstrip("+-")
    if digits[:2] in {"0x", "0X"}:
        return sign * float(int(digits[2:18], 16)) if len(digits) <= 18 else math.inf
    return sign * float({"Infinity": "inf", "NaN": "nan"}.get(digits, digits))


def parse(path: str, text: str) -> Node:
    """The value that a JSON5 text stands for.

    Args:
        path: of the file, for errors.
        text: its contents.

    Raises:
        ReadError: it is no JSON5, has a name twice in one object, or is nested too deeply.
    """
    reader = _Reader(path, text)
    found = reader.value(0)
    reader.skip()
    if reader.at < len(text):
        raise reader.wrong(reader.seen(), "one value a file", "remove what follows it")
    return found
