"""Statements of NONMEM without branches, for given values of data items and calls."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from rl_drug_dosage.pharmacometrics.readers._nm_code import Branch, If, Opaque, Set, Statement
from rl_drug_dosage.pharmacometrics.readers._nm_records import Stream
from rl_drug_dosage.pharmacometrics.readers._nm_trees import key_of, simplified
from rl_drug_dosage.pharmacometrics.readers.expressions import (
    Call,
    Expr,
    Name,
    Num,
    folded,
    names_in,
    substituted,
    walk,
)
from rl_drug_dosage.pharmacometrics.readers.written import Assign, ReadError, merged

__all__ = [
    "Flattened",
    "compared_with",
    "flattened",
    "kept_from_records",
    "line_of",
    "names_of",
    "needed",
    "on_first_records",
    "within_quantification",
]


class Flattened:
    """Statements so far, the constants among the variables, and whether a name has a value."""

    def __init__(self, stream: Stream, constants: Mapping[str, Num]) -> None:
        self.stream = stream
        self.constants: dict[str, Expr] = dict(constants)
        self.statements: list[Assign] = []
        self.places: set[tuple[str, str]] = set()

    def add(self, statement: Assign) -> None:
        """One more statement; its constants are put in."""
        expr = simplified(substituted(statement.expr, self.constants))
        self.statements.append(Assign(statement.target, expr, statement.line, statement.kind))
        self.places.add((statement.target, statement.kind))
        if statement.kind != "value":
            return
        if isinstance(expr, Num):
            self.constants[statement.target] = expr
        else:
            self.constants.pop(statement.target, None)

    def run(self, statements: Sequence[Statement], renamed: Mapping[str, Expr]) -> None:
        """Add statements, without the branches that the constants rule out.

        Args:
            statements: of a block.
            renamed: what stands for some names.
        """
        for statement in statements:
            if isinstance(statement, Opaque):
                if statement.refusal:
                    raise ReadError(statement.refusal)
                self.stream.refuse(
                    statement.what,
                    "assignments, IF, ELSE and functions of NM-TRAN",
                    "write the model without it",
                    statement.line,
                    statement.column,
                )
            elif isinstance(statement, Set):
                self.add(Assign(statement.target, substituted(statement.expr, renamed), statement.line))
            else:
                self.branch(statement, 0, renamed)

    def branch(self, statement: If, at: int, renamed: Mapping[str, Expr]) -> None:
        """Add the branches of a condition from one on, as assignments without branches."""
        if at >= len(statement.branches):
            return
        branch = statement.branches[at]
        if branch.condition is None:
            self.run(branch.body, renamed)
            return
        condition = simplified(substituted(substituted(branch.condition, renamed), self.constants))
        if isinstance(condition, Num):
            if condition.value != 0:
                self.run(branch.body, renamed)
            else:
                self.branch(statement, at + 1, renamed)
            return
        then, otherwise = self._inside(), self._inside()
        then.run(branch.body, renamed)
        otherwise.branch(statement, at + 1, renamed)
        for one in merged(condition, then.statements, otherwise.statements, frozenset(self.places)):
            self.add(one)

    def _inside(self) -> "Flattened":
        """For a branch: the same constants, and only its own statements."""
        new = Flattened(self.stream, {})
        new.constants = dict(self.constants)
        new.places = set(self.places)
        return new


def flattened(
    stream: Stream,
    blocks: Iterable[Sequence[Statement]],
    constants: Mapping[str, Num],
    renamed: Mapping[str, Expr] | None = None,
) -> Flattened:
    """Blocks of statements one after the other, without branches.

    Args:
        stream: for messages.
        blocks: of statements.
        constants: values of names that are known.
        renamed: what stands for some names.

    Raises:
        ReadError: a statement that is not read.
    """
    found = Flattened(stream, constants)
    for block in blocks:
        found.run(block, renamed or {})
    return found


def needed(statements: Sequence[Assign], wanted: Iterable[str]) -> tuple[list[Assign], set[str]]:
    """The statements that some names rest on, in order, and the names that no statement gives a value to."""
    names, found = set(wanted), []
    for statement in reversed(statements):
        if statement.kind != "value":
            names |= names_in(statement.expr)
            found.append(statement)
        elif statement.target in names:
            names.discard(statement.target)
            names |= names_in(statement.expr)
            found.append(statement)
    return found[::-1], names


def _every(statements: Sequence[Statement], see: Callable[[Expr], None], place: Callable[[str], None]) -> None:
    """Show every expression and every target."""
    for statement in statements:
        if isinstance(statement, Set):
            see(statement.expr)
            place(statement.target)
        elif isinstance(statement, If):
            for branch in statement.branches:
                if branch.condition is not None:
                    see(branch.condition)
                _every(branch.body, see, place)


def names_of(statements: Sequence[Statement]) -> tuple[set[str], set[str]]:
    """(names that are read, names that get a value)."""
    read: set[str] = set()
    given: set[str] = set()
    _every(statements, lambda expr: read.update(names_in(expr)), given.add)
    return read, given


def compared_with(statements: Sequence[Statement]) -> dict[str, set[float]]:
    """Name -> numbers that it is compared with."""
    found: dict[str, set[float]] = {}

    def see(expr: Expr) -> None:
        for part in walk(expr):
            if isinstance(part, Call) and part.function in {"==", "!=", "<", "<=", ">", ">="}:
                for one, other in (part.args, part.args[::-1]):
                    if isinstance(one, Name) and isinstance(other, Num):
                        found.setdefault(one.name, set()).add(other.value)

    _every(statements, see, lambda name: None)
    return found


def line_of(statements: Sequence[Statement], name: str) -> int:
    """Where a name first gets a value; 0 if it does not."""
    for statement in statements:
        if isinstance(statement, Set) and statement.target == name:
            return statement.line
        if isinstance(statement, If):
            for branch in statement.branches:
                if line := line_of(branch.body, name):
                    return line
    return 0


def _changed(statements: Sequence[Statement], change: Callable[[Expr], Expr]) -> tuple[Statement, ...]:
    """The statements with every expression changed."""
    found: list[Statement] = []
    for one in statements:
        if isinstance(one, Set):
            found.append(Set(one.target, change(one.expr), one.line))
        elif isinstance(one, If):
            branches = (
                Branch(None if b.condition is None else change(b.condition), _changed(b.body, change))
                for b in one.branches
            )
            found.append(If(tuple(branches), one.line))
        else:
            found.append(one)
    return tuple(found)


def within_quantification(statements: Sequence[Statement], level: Sequence[str]) -> tuple[Statement, ...]:
    """The statements as for a level that was quantified: conditions on DV hold as for a high one.

    Args:
        statements: of $ERROR.
        level: names of the data item DV.
    """
    own = frozenset(level)
    truth = {"<": 0.0, "<=": 0.0, "==": 0.0, "!=": 1.0, ">": 1.0, ">=": 1.0}

    def join(part: Call, args: tuple[Expr, ...]) -> Expr:
        if part.function in truth:
            first, second = (isinstance(arg, Name) and arg.name in own for arg in args)
            if first != second:
                holds = truth[part.function]
                return Num(holds if first or part.function in {"==", "!="} else 1.0 - holds)
        return Call(part.function, args)

    return _changed(statements, lambda expr: folded(expr, lambda leaf: leaf, join))


def on_first_records(statements: Sequence[Statement]) -> tuple[tuple[Statement, ...], bool]:
    """The statements without conditions on a patient's first record, where a value that is kept is what is set again.

    ``IF (NEWIND.NE.2) BASE = WT`` sets BASE once and keeps it; for values that do not change this is BASE = WT.

    Returns:
        The statements, and whether any has changed.
    """
    table: dict[tuple[object, ...], int] = {}
    given: dict[str, set[int]] = {}
    found: list[Statement] = []
    changed = False

    def collect(block: Sequence[Statement]) -> None:
        for one in block:
            if isinstance(one, Set):
                given.setdefault(one.target, set()).add(key_of(one.expr, table))
            elif isinstance(one, If):
                for branch in one.branches:
                    collect(branch.body)

    collect(statements)
    for one in statements:
        first = one.branches[0] if isinstance(one, If) and len(one.branches) == 1 else None
        if first is not None and first.condition is not None and _is_first_record(first.condition):
            own = [inner for inner in first.body if isinstance(inner, Set)]
            if len(own) == len(first.body) and all(len(given[inner.target]) == 1 for inner in own):
                found += own
                changed = True
                continue
        found.append(one)
    return tuple(found), changed


_OF_RECORDS = frozenset({"AMT", "EVID", "CMT", "MDV", "NEWIND"})
"""Data items and variables that say what kind of record there is."""
_OF_DOSES = re.compile(r"(?:F|ALAG|D|R|S|A_0_)\d+")


def kept_from_records(
    statements: Sequence[Statement], columns: Collection[str]
) -> tuple[tuple[Statement, ...], dict[str, int]]:
    """The statements without variables that keep something of earlier records, and these variables.

    ``IF (AMT.GT.0) PD = AMT``, ``IF (AMT.GT.0) TDOS = TIME``, ``IF (CMT.EQ.3) SEEN = 1``: what a record keeps from
    those before it is a property of the data.

    Args:
        statements: of $PK.
        columns: data items.

    Returns:
        The statements; name -> line.
    """
    simple = {"AMT", "TIME", *columns}
    kept: dict[str, int] = {}
    others: list[Statement] = []
    for one in statements:
        own = _on_some_records(one)
        for inner in own:
            kept.setdefault(inner.target, inner.line)
        if not own:
            others.append(one)
    for one in statements:
        for inner in _on_some_records(one):
            known = isinstance(inner.expr, Num) or (isinstance(inner.expr, Name) and inner.expr.name in simple)
            if not known or _OF_DOSES.fullmatch(inner.target):
                kept.pop(inner.target, None)
    given = names_of(others)[1]
    kept = {name: line for name, line in kept.items() if name not in given}
    found = [one for one in statements if not _keeps(one, kept)]
    left = names_of(found)[1]
    return tuple(found), {name: line for name, line in kept.items() if name not in left}


def _keeps(statement: Statement, kept: Mapping[str, int]) -> bool:
    own = _on_some_records(statement)
    return bool(own) and all(inner.target in kept for inner in own)


def _on_some_records(statement: Statement) -> list[Set]:
    """The assignments of a statement that runs on records of one kind alone; none if it does anything else."""
    if not isinstance(statement, If) or len(statement.branches) != 1:
        return []
    branch = statement.branches[0]
    names = names_in(branch.condition) if branch.condition is not None else frozenset()
    own = [inner for inner in branch.body if isinstance(inner, Set)]
    return own if names and names <= _OF_RECORDS and len(own) == len(branch.body) else []


def _is_first_record(condition: Expr) -> bool:
    if not isinstance(condition, Call) or condition.args[0] != Name("NEWIND"):
        return False
    return (condition.function, condition.args[1]) in {
        ("!=", Num(2.0)),
        ("<=", Num(1.0)),
        ("<", Num(2.0)),
        ("==", Num(0.0)),
        ("==", Num(1.0)),
    }
