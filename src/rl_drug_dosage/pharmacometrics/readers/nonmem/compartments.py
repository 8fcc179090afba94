"""Compartments of NONMEM's ADVANs, and the equations that they stand for."""

import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from rl_drug_dosage.pharmacometrics.readers.expressions import Expr, Name, Num, call
from rl_drug_dosage.pharmacometrics.readers.nonmem.records import Line, Stream
from rl_drug_dosage.pharmacometrics.readers.nonmem.trans import TRANS, Flow

__all__ = ["Compartments", "compartments_of"]

_LINEAR = {
    1: ("central",),
    2: ("depot", "central"),
    3: ("central", "peripheral"),
    4: ("depot", "central", "peripheral"),
    10: ("central",),
    11: ("central", "peripheral1", "peripheral2"),
    12: ("depot", "central", "peripheral1", "peripheral2"),
}
_GENERAL = {5, 7}
_EQUATIONS = {6, 8, 9, 13, 14, 15}
_SUPPORTED = "ADVAN1 to ADVAN15 with TRANS1 to TRANS6"
_MOST = 99


@dataclass
class Compartments:
    """What $SUBROUTINES and $MODEL say.

    Args:
        advan, trans: of $SUBROUTINES.
        names: of the compartments, in NONMEM's order.
        dose: index of the compartment that doses enter by default.
        observed: index of the compartment that F is by default.
        named: indices of the compartments that the file says are dosed.
        flows: linear systems: their rate constants.
        slopes: other equations that need no $DES, by compartment index.
        line: of $SUBROUTINES.
    """

    advan: int
    trans: int
    names: tuple[str, ...]
    dose: int = 0
    observed: int = 0
    named: tuple[int, ...] = ()
    flows: list[Flow] = field(default_factory=list)
    slopes: dict[int, Expr] = field(default_factory=dict)
    line: int = 0
    output: int = 0
    """Number of the output compartment; 0 if it is not read."""

    @property
    def has_equations(self) -> bool:
        """Whether $DES has the equations."""
        return self.advan in _EQUATIONS

    def slope(self, index: int) -> Expr:
        """d/dt of a compartment, from its flows: what comes in less what goes out."""
        if index in self.slopes:
            return self.slopes[index]
        found: Expr | None = None
        for source, to, rate in self.flows:
            if index + 1 not in (source, to):
                continue
            flow = call("*", rate, self.names[source - 1])
            if to == index + 1:
                found = flow if found is None else call("+", found, flow)
            else:
                found = call("neg", flow) if found is None else call("-", found, flow)
        return Num(0.0) if found is None else found


def compartments_of(stream: Stream, assigned: set[str], read: set[str]) -> Compartments:
    """The compartments of a control stream.

    Args:
        stream: the file.
        assigned: names that $PK gives a value to.
        read: names that the code reads.

    Raises:
        ReadError: an ADVAN, a TRANS or a $MODEL that is not supported, or a parameter that $PK leaves out.
    """
    advan, trans, line = _subroutines(stream)
    if advan in _LINEAR:
        names = _LINEAR[advan]
        central = names.index("central")
        found = Compartments(advan, trans, names, 0, central, (), line=line)
        _transformed(stream, found, assigned)
        _add_output(found, assigned, read)
        return found
    names, dose, observed, named = _model(stream)
    found = Compartments(advan, trans, names, dose, observed, named, line=line)
    if advan in _GENERAL:
        found.flows = _general_flows(stream, found, assigned)
    _add_output(found, assigned, read)
    return found


def _add_output(found: Compartments, assigned: set[str], read: set[str]) -> None:
    """NONMEM's output compartment, which holds what was eliminated, where the code reads it."""
    n = len(found.names) + 1
    if f"A_{n}" not in read or not (found.flows or found.has_equations):
        return
    flows: list[Expr] = [call("*", rate, found.names[source - 1]) for source, to, rate in found.flows if to == 0]
    if found.has_equations:
        # What leaves all other compartments.
        flows = [call("neg", f"DADT_{i}") for i in range(1, n)]
    found.names = (*found.names, "output")
    fraction = next((name for name in ("F0", "FO", f"F{n}") if name in assigned), None)
    out: Expr | None = None
    for flow in flows:
        out = flow if out is None else call("+", out, flow)
    if out is not None:
        found.slopes[n - 1] = call("*", fraction, out) if fraction else out
        found.output = n


def _subroutine_words(stream: Stream) -> list[tuple[str, Line]]:
    """Words of $SUBROUTINES, with ADVAN=6 and ADVAN 6 as ADVAN6."""
    found: list[tuple[str, Line]] = []
    for written, at in stream.words("SUBROUTINES"):
        word = written.upper()
        if word in {"(", ")", ","}:
            continue
        if word.isdigit() and [w for w, _ in found[-2:]] in (["ADVAN", "="], ["TRANS", "="]):
            found.pop()
        if word.isdigit() and found and found[-1][0] in {"ADVAN", "TRANS"}:
            found[-1] = (found[-1][0] + word, at)
            continue
        found.append((word, at))
    return found


_OWN = frozenset({"OTHER", "PK", "ERROR", "DES", "MODEL", "MIX", "INFN", "CONTR", "CCONTR", "PRIOR", "AES"})
"""Options of $SUBROUTINES that name a file of the user's."""


def _subroutines(stream: Stream) -> tuple[int, int, int]:
    """ADVAN, TRANS, and the line of the record."""
    numbers = {"ADVAN": 0, "TRANS": 1}
    words = _subroutine_words(stream)
    line = words[0][1].number if words else stream.records[0].line
    for i, (word, at) in enumerate(words):
        if match := re.fullmatch(r"(ADVAN|TRANS)(\d+)", word):
            numbers[match[1]] = int(match[2])
        after = [w for w, _ in words[i + 1 : i + 3]]
        if word in _OWN and len(after) == 2 and after[0] == "=" and not after[1].startswith(("ADVAN", "TRANS")):
            came = f"{word}={after[1]}, a subroutine of the user's own"
            stream.refuse(came, _SUPPORTED, "write it as abbreviated code", at.number)
    advan = numbers["ADVAN"]
    if advan not in {*_LINEAR, *_GENERAL, *_EQUATIONS}:
        came = f"ADVAN{advan}" if advan else "no ADVAN in $SUBROUTINES"
        stream.refuse(came, _SUPPORTED, "write the model with one of them", line)
    return advan, numbers["TRANS"], line


def _transformed(stream: Stream, found: Compartments, assigned: set[str]) -> None:
    """Rate constants of ADVAN1 to 4 and 10 to 12 from the parameters of their TRANS."""
    depot = 1 if found.advan in {2, 4, 12} else 0
    central, peripherals = depot + 1, len(found.names) - depot - 1
    used: list[str] = []

    def p(name: str) -> Expr:
        used.append(name)
        return Name(name)

    if found.advan == 10:
        c = Name("central")
        found.slopes[0] = call("neg", call("/", call("*", p("VM"), c), call("+", p("KM"), c)))
    else:
        make = TRANS.get((peripherals, found.trans))
        if make is None:
            stream.refuse(f"ADVAN{found.advan} with TRANS{found.trans}", _SUPPORTED, "write it with TRANS1", found.line)
        else:
            found.flows = make(p, central)
    if depot:
        found.flows.insert(0, (1, 2, p("KA")))
    for name in used:
        if name not in assigned:
            stream.refuse(
                f"{name} has no value in $PK",
                f"ADVAN{found.advan} TRANS{found.trans} with {', '.join(sorted(set(used)))}",
                f"assign {name}",
                found.line,
            )


def _model(stream: Stream) -> tuple[tuple[str, ...], int, int, tuple[int, ...]]:
    """$MODEL: names, compartment of doses, of observations, and those that the file says are dosed."""
    words = list(stream.words("MODEL"))
    found: list[tuple[str, set[str]]] = []
    count = 0
    i = 0
    while i < len(words):
        word, at = words[i][0].upper(), words[i][1]
        i += 1
        if word.startswith("NCOM"):
            number = words[i + 1][0] if i + 1 < len(words) and words[i][0] == "=" else ""
            if not number.isdigit():
                stream.refuse(
                    f"{word} without a number", "NCOMPARTMENTS=n, COMPARTMENT=(NAME, ...)", "give it", at.number
                )
            count = int(number)
            i += 2
        elif word.startswith("COMP"):
            inside, i = _group(words, i)
            found.append((inside[0] if inside else f"COMP{len(found) + 1}", set(inside[1:])))
        elif word.startswith(("NPAR", "NEQUI", "LINK")):
            _, i = _group(words, i)
        elif word not in {",", "K"}:
            stream.refuse(repr(word), "NCOMPARTMENTS=n, COMPARTMENT=(NAME, ...)", "correct it", at.number)
    found += [(f"COMP{n + 1}", set()) for n in range(len(found), min(count, _MOST))]
    if not 0 < len(found) <= _MOST or count > _MOST:
        line = next((record.line for record in stream.all("MODEL")), 1)
        stream.refuse(
            "$MODEL with no compartments" if not found else f"{max(count, len(found))} compartments",
            f"1 to {_MOST} compartments in $MODEL",
            "give COMPARTMENT=(NAME) for each",
            line,
        )
    return _roles(found)


def _group(words: Sequence[tuple[str, Line]], i: int) -> tuple[list[str], int]:
    """What follows a word: ``= NAME``, ``=(NAME, OPTION)`` or ``(NAME OPTION)``; and where it ends."""
    if i < len(words) and words[i][0] == "=":
        i += 1
    if i >= len(words):
        return [], i
    if words[i][0].upper().startswith(("COMP", "NCOM")):
        return [], i
    if words[i][0] != "(":
        return [words[i][0].upper()], i + 1
    inside = []
    i += 1
    while i < len(words) and words[i][0] != ")":
        if words[i][0] != ",":
            inside.append(words[i][0].upper().strip("\"'"))
        i += 1
    return inside, i + 1


def _roles(found: list[tuple[str, set[str]]]) -> tuple[tuple[str, ...], int, int, tuple[int, ...]]:
    def has(options: set[str], start: str) -> bool:
        return any(option.startswith(start) for option in options)

    titles = [name for name, _ in found]
    named = tuple(i for i, (_, options) in enumerate(found) if has(options, "DEFD"))
    dosable = [i for i, (_, options) in enumerate(found) if not has(options, "NOD")]
    dose = named[0] if named else titles.index("DEPOT") if "DEPOT" in titles else dosable[0] if dosable else 0
    observed = next(
        (i for i, (_, options) in enumerate(found) if has(options, "DEFO")),
        titles.index("CENTRAL") if "CENTRAL" in titles else 0,
    )
    names: list[str] = []
    for title in titles:
        name = re.sub(r"\W+", "_", title.lower()).strip("_") or "compartment"
        name = f"c{name}" if name[0].isdigit() else name
        name = f"{name}_" if keyword.iskeyword(name) or name in {"t", "theta", "eta"} else name
        while name in names:
            name = f"{name}_{len(names) + 1}"
        names.append(name)
    return tuple(names), dose, observed, named


_CONSTANT = re.compile(r"K(?:(\d)(\d)|(\d{1,2})T(\d{1,2}))")


def _general_flows(stream: Stream, found: Compartments, assigned: set[str]) -> list[Flow]:
    """Rate constants K12, K10, K1T12 of ADVAN5 and ADVAN7."""
    n = len(found.names)
    flows: list[Flow] = []
    for name in sorted(assigned):
        match = _CONSTANT.fullmatch(name)
        if match is None:
            continue
        source, to = int(match[1] or match[3]), int(match[2] or match[4])
        to = 0 if to == n + 1 else to
        if 1 <= source <= n and to <= n and to != source:
            flows.append((source, to, Name(name)))
    if not flows:
        stream.refuse(
            "no rate constant in $PK", f"ADVAN{found.advan} with K12, K10, K1T12", "assign them in $PK", found.line
        )
    return flows
