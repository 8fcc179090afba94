"""A model as its authors wrote it, before it becomes a `DrugModel`: what every reader makes of its file.

Names, numbers and units are those of the file. Statements are in the file's order; conditions have been turned into
``if`` calls (`merged`), so that every statement is one assignment. `bridge` makes a `DrugModel` of it, and `drug_file`
writes it as Python.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pharmacometrics.readers.expressions import Call, Expr, Name, Num

__all__ = [
    "Assign",
    "AssignKind",
    "LastDose",
    "Number",
    "ReadError",
    "WrittenCovariate",
    "WrittenError",
    "WrittenModel",
    "WrittenOutput",
    "merged",
]

AssignKind = Literal["value", "derivative", "start", "bioavailability", "lag", "duration", "rate"]
"""What a statement gives a value to: a variable, or a property of a compartment (d/dt, initial content, f, alag, dur,
rate)."""


class ReadError(ConfigError):
    """A model file that cannot be read: file, line and column, what came, what is supported."""


@dataclass(frozen=True)
class Number:
    """A typical value.

    Args:
        name: of the variable; a NONMEM parameter without a name is ``theta_3``.
        value: the number that the file prints (a final estimate where there is one), on the file's scale.
        line: where it stands, from 1.
        label: the file's own words: a comment or label.
        unit: if the file says so.
        fixed: whether the file says that it was not estimated.
    """

    name: str
    value: float
    line: int
    label: str = ""
    unit: str = ""
    fixed: bool = False


@dataclass(frozen=True)
class Assign:
    """One statement. ``target`` is a variable, or a compartment for every kind but ``value``."""

    target: str
    expr: Expr
    line: int
    kind: AssignKind = "value"


@dataclass(frozen=True)
class WrittenCovariate:
    """A column of the data that the statements read.

    Args:
        name: as the statements spell it.
        unit, meaning: what the file says; empty where it says nothing.
        reference: the value at which the file's own formulas are centred, if it says so.
        line: where it is described or first read.
        facts: other things that the file says of it, by their names there ("type", "notes").
    """

    name: str
    unit: str = ""
    meaning: str = ""
    reference: float | None = None
    line: int = 0
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WrittenError:
    """Residual error of an output. Sizes are expressions of typical values; standard deviations, not variances.

    ``add`` sd = a; ``prop`` sd = b f; ``combined1`` sd = a + b f; ``combined2`` var = a^2 + b^2 f^2; ``pow``
    sd = b f^c; ``lnorm`` ln y ~ N(ln f, a^2); ``logit`` logit y ~ N(logit f, a^2), y between ``low`` and ``high``.
    Kinds with both ``add`` and ``pow`` parts are ``combined1`` or ``combined2`` with a ``power``.
    """

    kind: Literal["add", "prop", "combined1", "combined2", "pow", "lnorm", "logit"]
    additive: Expr | None = None
    proportional: Expr | None = None
    power: Expr | None = None
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True)
class WrittenOutput:
    """Something that is predicted.

    Args:
        name: of the output.
        expr: its value, in the file's unit, from variables and compartments.
        line: where it stands.
        error: None if it is not measured.
        unit: if the file says so.
        code: the number by which the data call it (DVID, or a NONMEM CMT); 0 if none.
    """

    name: str
    expr: Expr
    line: int
    error: WrittenError | None = None
    unit: str = ""
    code: int = 0


@dataclass(frozen=True)
class LastDose:
    """Compartments by which the statements see the last dose into one; fields as in `rl_drug_dosage.pkpd.Arrival`."""

    inlet: str
    content: str
    last_dose: str
    time_after_dose: str
    passes_on: bool


@dataclass(frozen=True)
class WrittenModel:
    """What a file says.

    Args:
        format: of the file, in words: "rxode2", "NONMEM".
        path: the file's path as given; with `Number.line` it is a number's source.
        name: of the model, in the file or from the file's name.
        thetas: typical values.
        etas, omega: names of the random effects between subjects, and their covariance, ``[eta, eta]``; mean 0.
        occasion_etas, occasion_omega: the same between occasions of one subject.
        occasion: the covariate that counts occasions; empty if there is none.
        statements: in the file's order, those of compartments included. Variables of the file, names of compartments
            (contents) and ``t`` (time since the first record, in the file's time unit) may be read.
        compartments: in the file's order; doses without a compartment enter the first one.
        dosed: compartments that the file says are dosed; empty if it does not say.
        outputs: what is predicted.
        covariates: what is read from the data.
        last_doses: compartments whose last dose the statements look at.
        units: "time", "dose" and "concentration", as far as the file says so.
        facts: description, reference, doi, population and the like, by name, in the file's words.
        remarks: what a reader should be warned about (a printed CV that contradicts an omega).
        files: all the files that were read, the first one first.
    """

    format: str
    path: str
    name: str
    thetas: tuple[Number, ...]
    etas: tuple[Number, ...]
    """``value`` is the variance."""
    omega: np.ndarray
    statements: tuple[Assign, ...]
    compartments: tuple[str, ...]
    outputs: tuple[WrittenOutput, ...]
    covariates: tuple[WrittenCovariate, ...] = ()
    occasion_etas: tuple[Number, ...] = ()
    occasion_omega: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    occasion: str = ""
    dosed: tuple[str, ...] = ()
    last_doses: tuple[LastDose, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


def merged(
    condition: Expr, then: Sequence[Assign], otherwise: Sequence[Assign], before: frozenset[tuple[str, str]]
) -> list[Assign]:
    """``if (condition) {then} else {otherwise}`` as statements without a branch.

    The condition is kept in a variable of its own, because the branches may change what it reads. A variable that one
    branch leaves alone keeps its value, or is 0 where it has none, as in rxode2 and NONMEM.

    Args:
        condition: anything but 0 is true.
        then: statements of the first branch, without branches themselves.
        otherwise: those of the other one.
        before: (target, kind) of all earlier statements.
    """
    if not then and not otherwise:
        return []
    line = (then or otherwise)[0].line
    test = f"_if_{line}_{len(before)}"
    while any(statement.target == test for statement in (*then, *otherwise)):  # of an `if` inside, on the same line
        test += "_"
    out = [Assign(test, condition, line)]
    known = set(before)
    for branch, is_then in ((then, True), (otherwise, False)):
        for statement in branch:
            place = (statement.target, statement.kind)
            kept: Expr = Num(0.0)
            if place in known:
                # A property of a compartment cannot be read by name: its last statement is repeated by the bridge.
                kept = Name(statement.target) if statement.kind == "value" else Name(f"_{statement.kind}_{place[0]}")
            pair = (statement.expr, kept) if is_then else (kept, statement.expr)
            out.append(Assign(statement.target, Call("if", (Name(test), *pair)), statement.line, statement.kind))
            known.add(place)
    return out
