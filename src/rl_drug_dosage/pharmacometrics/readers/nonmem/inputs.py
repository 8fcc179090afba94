"""Data items ($INPUT), abbreviations ($ABBR REPLACE) and other words of a control stream that name things."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rl_drug_dosage.pharmacometrics.readers.expressions import Call, Expr, Name, Num, walk
from rl_drug_dosage.pharmacometrics.readers.nonmem.records import Stream

__all__ = ["RESERVED", "Inputs", "centre_of", "read_inputs", "read_replacements"]

RESERVED = frozenset(
    (
        *("ID", "L1", "L2", "DV", "MDV", "RAW_", "MRG_", "RPT_", "TIME", "DATE", "DAT1", "DAT2", "DAT3", "EVID"),
        *("AMT", "RATE", "SS", "II", "ADDL", "CMT", "PCMT", "CALL", "CONT", "XVID1"),
    )
)
"""Data items with a meaning of their own."""


@dataclass(frozen=True)
class Inputs:
    """Data items.

    Args:
        columns: names that code may read, without those of `RESERVED`, and their line.
        reserved: the items of `RESERVED` that the data have.
        synonyms: other names of items of `RESERVED`.
    """

    columns: dict[str, int]
    reserved: frozenset[str]
    synonyms: Mapping[str, str]


def read_inputs(stream: Stream) -> Inputs:
    """The record $INPUT: names, NAME=DROP, NAME=OTHER."""
    columns: dict[str, int] = {}
    reserved: set[str] = set()
    synonyms: dict[str, str] = {}
    words = [(word.upper(), line.number) for word, line in stream.words("INPUT") if word not in {",", "(", ")"}]
    i = 0
    while i < len(words):
        name, line = words[i]
        others = []
        while i + 2 < len(words) and words[i + 1][0] == "=":
            others.append(words[i + 2][0])
            i += 2
        i += 1
        every = [name, *others]
        if {"DROP", "SKIP"} & set(every):
            continue
        own = [one for one in every if one in RESERVED]
        reserved |= set(own)
        for one in every:
            if one in RESERVED:
                continue
            if own:
                synonyms[one] = own[0]
            else:
                columns.setdefault(one, line)
    return Inputs(columns, frozenset(reserved), synonyms)


_NAMED = re.compile(r"([A-Z_][A-Z0-9_]*)(?:\(([^()]*)\))?")
_REPLACE = re.compile(
    r"REPLACE\s+([A-Za-z_][\w]*(?:\([^()]*\))?)\s*=\s*(\"[^\"]*\"|'[^']*'|[^\s,()]+(?:\([^()]*\))?)", re.IGNORECASE
)
_MOST = 1000


def read_replacements(stream: Stream) -> dict[tuple[str, str], Expr]:
    """$ABBR REPLACE: (name, what its brackets hold) -> what stands for it.

    ``THETA(CL)=THETA(1)``, ``K34=THETA(5)``, and ``ETA(OCC_CL)=ETA(3,4)``, which is ETA(3) where OCC is 1.
    """
    found: dict[tuple[str, str], Expr] = {}
    for record in stream.all("ABBREVIATED"):
        for line in record.lines:
            for match in _REPLACE.finditer(line.text):
                left, right = match[1].upper(), match[2].strip("\"'").upper().replace(" ", "")
                name = _NAMED.fullmatch(left.replace(" ", ""))
                expr = _stands(right, (name[2] or "") if name else "")
                if name is None or expr is None or len(found) > _MOST:
                    stream.refuse(
                        f"REPLACE {match[1]}={match[2]}",
                        "REPLACE THETA(CL)=THETA(1), REPLACE K34=THETA(5), REPLACE ETA(OCC_CL)=ETA(3,4)",
                        "write the code without it",
                        line.number,
                    )
                else:
                    found[name[1], name[2] or ""] = expr
    return found


def _stands(right: str, left_index: str) -> Expr | None:
    try:
        return Num(float(right))
    except ValueError:
        pass
    match = _NAMED.fullmatch(right)
    if match is None:
        return None
    base = {"THETA": "theta", "ETA": "eta", "EPS": "eps", "ERR": "eps", "A": "A"}.get(match[1])
    if match[2] is None:
        return Name(match[1])
    numbers = _numbers(match[2])
    if base is None or not numbers:
        return None
    if len(numbers) == 1:
        return Name(f"{base}_{numbers[0]}")
    # OCC_CL: the data item OCC chooses.
    item = left_index.partition("_")[0]
    expr: Expr = Num(0.0)
    for count, number in reversed(list(enumerate(numbers, start=1))):
        if number:
            expr = Call("if", (Call("==", (Name(item), Num(float(count)))), Name(f"{base}_{number}"), expr))
    return expr if item else None


def _numbers(text: str) -> list[int]:
    """``4,7``, ``3:5`` and ``,3`` as numbers; 0 where nothing stands. Empty if it is something else."""
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d*)(?::(\d+))?", part)
        if match is None:
            return []
        first = int(match[1] or 0)
        last = min(int(match[2] or first), first + _MOST)
        found += range(first, last + 1)
    return found


def centre_of(name: str, trees: Iterable[Expr]) -> float | None:
    """Where formulas are centred, by ``(WT/70)**0.75`` or ``AGE-35``; None if nowhere, or at several values."""
    found: set[float] = set()

    def centred(tree: Expr, operator: str) -> None:
        if isinstance(tree, Call) and tree.function == operator and tree.args[0] == Name(name):
            number = tree.args[1]
            if isinstance(number, Num) and number.value > 0:
                found.add(number.value)

    for tree in trees:
        for part in walk(tree):
            if isinstance(part, Call) and part.function in {"^", "log"}:
                centred(part.args[0], "/")
            centred(part, "-")
    return found.pop() if len(found) == 1 else None
