"""Words of the records with numbers of a NONMEM control stream, and $THETA."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rl_drug_dosage.pharmacometrics.readers.nonmem.records import Record, Stream
from rl_drug_dosage.pharmacometrics.readers.written import Number

__all__ = ["MOST", "Word", "Words", "labels_of", "read_thetas", "value_of"]

_THETAS = "VALUE, (LOW, VALUE, HIGH), FIX, (...)xN"
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[EDed][+-]?\d+)?")
_WORD = re.compile(r"[(),=]|[^\s(),=]+")
_REPEAT = re.compile(r"[xX](\d+)")
MOST = 1000
"""THETA, or numbers of a record."""


@dataclass(frozen=True)
class Word:
    """A word in capitals, where it is, and the comment of its line."""

    text: str
    line: int
    column: int
    comment: str


def _words(record: Record) -> list[Word]:
    """Words of a record; ``)x3`` is two of them."""
    return [
        Word(match[0].upper(), line.number, match.start() + 1, line.comment)
        for line in record.lines
        for match in _WORD.finditer(line.text)
    ]


def value_of(text: str) -> float | None:
    """The number that a word is; None if it is none."""
    return float(text.upper().replace("D", "E")) if _NUMBER.fullmatch(text) else None


class Words:
    """Words of one record, taken from the front."""

    def __init__(self, stream: Stream, record: Record, allowed: str) -> None:
        self.stream = stream
        self.words = _words(record)
        self.record = record
        self.allowed = allowed
        self.at = 0

    def more(self) -> bool:
        return self.at < len(self.words)

    def now(self) -> str:
        return self.words[self.at].text if self.more() else ""

    def take(self) -> Word:
        if not self.more():
            last = self.words[-1].line if self.words else self.record.line
            self.stream.refuse(f"the end of ${self.record.name}", self.allowed, "complete it", last)
        self.at += 1
        return self.words[self.at - 1]

    def refuse(self, word: Word, came: str = "") -> None:
        self.stream.refuse(came or repr(word.text), self.allowed, "correct it", word.line, word.column)

    def brackets(self) -> list[Word]:
        """The words up to the bracket that closes the one just taken."""
        inside = []
        while (word := self.take()).text != ")":
            inside.append(word)
        return inside

    def option(self, default: int) -> int:
        """A whole number in brackets, if there is one: the n of BLOCK(n)."""
        if self.now() != "(":
            return default
        self.take()
        inside = self.brackets()
        if len(inside) != 1 or not inside[0].text.isdigit():
            self.refuse(inside[0] if inside else self.words[self.at - 1], "no whole number in brackets")
        return int(inside[0].text)

    def repeats(self) -> int:
        """The 3 of ``(...)x3``; 1 if there is none."""
        match = _REPEAT.fullmatch(self.now())
        if not match:
            return 1
        self.take()
        return int(match[1])


def read_thetas(stream: Stream) -> tuple[Number, ...]:
    """Typical values by their initial estimates; NaN where the file has none.

    Raises:
        ReadError: a record that does not follow NM-TRAN's form.
    """
    found: list[Number] = []
    for record in stream.all("THETA"):
        reader = Words(stream, record, _THETAS)
        while reader.more():
            for value, fixed, word in _theta(reader):
                if len(found) >= MOST:
                    reader.refuse(word, f"more than {MOST} THETA")
                found.append(Number(f"theta_{len(found) + 1}", value, word.line, word.comment, "", fixed))
    return tuple(found)


def _theta(reader: Words) -> Iterator[tuple[float, bool, Word]]:
    word = reader.take()
    if word.text in {"ABORT", "NOABORT", "NOABORTFIRST", ","}:
        return
    if word.text == "NAMES" and reader.now() == "(":
        reader.take()
        reader.brackets()
        return
    if reader.now() == "=":
        # NUMBERPOINTS=n is an option; NAME=(...) labels a value.
        reader.take()
        if word.text.startswith("NUM"):
            reader.take()
            return
        word = reader.take()
    if word.text == "(":
        inside = reader.brackets()
        value, fixed = _bounded(reader, inside, word)
    else:
        number = value_of(word.text)
        if number is None:
            reader.refuse(word)
        value, fixed = float(number or 0.0), False
    if reader.now() in {"FIX", "FIXED"}:
        reader.take()
        fixed = True
    while reader.now() in {"UNINT", "UNINTERESTING"}:
        reader.take()
    for _ in range(min(reader.repeats(), MOST + 1)):
        yield value, fixed, word


def _bounded(reader: Words, inside: list[Word], word: Word) -> tuple[float, bool]:
    """The value of ``(low, value, high)``; a missing one is NaN."""
    fixed = any(one.text in {"FIX", "FIXED"} for one in inside)
    places: list[float | None] = [None]
    after_comma = True
    for one in inside:
        if one.text in {"FIX", "FIXED", "UNINT"}:
            continue
        if one.text == ",":
            if after_comma and len(places) > 1:
                places.append(None)
            elif after_comma:
                places = [None, None]
            else:
                places.append(None)
            after_comma = True
            continue
        number = value_of(one.text)
        if number is None:
            number = {"-INF": -np.inf, "INF": np.inf, "+INF": np.inf, "INFINITY": np.inf}.get(one.text)
        if number is None:
            reader.refuse(one)
        if after_comma:
            places[-1] = number
        else:
            places.append(number)
        after_comma = False
    if len(places) > 3:
        reader.refuse(word, f"{len(places)} numbers in one THETA")
    value = places[0] if len(places) == 1 else places[1]
    return (float("nan") if value is None else float(value)), fixed


_LABELLED = re.compile(r"(?<!\w)([A-Za-z_]\w*)\s*=\s*(?:\(|[+-]?[\d.])")


def labels_of(stream: Stream, record_name: str) -> dict[str, int]:
    """Names that a record gives its numbers, ``NAMES(CL,V)`` or ``CL=(0,1)`` -> place, from 1.

    Only records all of whose numbers are named, or that say NAMES, are looked at.
    """
    found: dict[str, int] = {}
    count = 0
    for record in stream.all(record_name):
        text = " ".join(line.text for line in record.lines)
        if match := re.search(r"NAMES\s*\(([^()]*)\)", text, re.IGNORECASE):
            names = re.findall(r"[A-Za-z_]\w*", match[1])
            found |= {name.upper(): count + i for i, name in enumerate(names, start=1)}
            count += len(names)
            continue
        own = [name.upper() for name in _LABELLED.findall(text) if not name.upper().startswith("NUMB")]
        found |= {name: count + i for i, name in enumerate(own, start=1)}
        count += len(own)
    return found
