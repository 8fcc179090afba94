"""Statements of NONMEM without branches, for given values of data items and calls."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from rl_drug_dosage.pharmacometrics.readers.expressions import (
    Call,
    Expr,
    Name,
    Num,
    names_in,
    substituted,
    walk,
)
from rl_drug_dosage.pharmacometrics.readers.nonmem.code import If, Opaque, Set, Statement
from rl_drug_dosage.pharmacometrics.readers.nonmem.records import Stream
from rl_drug_dosage.pharmacometrics.readers.nonmem.trees import simplified
from rl_drug_dosage.pharmacometrics.readers.written import Assign, ReadError, merged

__all__ = [
    "Flattened",
    "assigned_once",
    "compared_with",
    "flattened",
    "line_of",
    "names_of",
    "needed",
]


class Flattened:
    """Statements so far, the constants among the variables, and whether a name has a value.

    Args:
        stream: for messages.
        constants: names with a known number.
        once: names that are assigned in one place; under a condition on time they keep an earlier value, or none.
    """

    def __init__(self, stream: Stream, constants: Mapping[str, Num], once: frozenset[str] = frozenset()) -> None:
        self.stream = stream
        self.once = once
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
        before = frozenset(self.places)
        if _holds_for_a_while(condition):
            given = {one.target for one in (*then.statements, *otherwise.statements)}
            before |= {(name, "value") for name in given & self.once}
        for one in merged(condition, then.statements, otherwise.statements, before):
            self.add(one)

    def _inside(self) -> "Flattened":
        """For a branch: the same constants, and only its own statements."""
        new = Flattened(self.stream, {}, self.once)
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
    every = list(blocks)
    found = Flattened(stream, constants, assigned_once(every))
    for block in every:
        found.run(block, renamed or {})
    return found


def assigned_once(blocks: Iterable[Sequence[Statement]]) -> frozenset[str]:
    """Names that one statement alone gives a value to."""
    count: dict[str, int] = {}

    def place(name: str) -> None:
        count[name] = count.get(name, 0) + 1

    for block in blocks:
        _every(block, lambda expr: None, place)
    return frozenset(name for name, number in count.items() if number == 1)


def _holds_for_a_while(condition: Expr) -> bool:
    """Whether a condition holds at or up to some time, so that later records keep what was set."""
    for part in walk(condition):
        if isinstance(part, Call) and part.function in {"==", "<", "<=", ">", ">="}:
            early = part.args[1] if part.function in {">", ">="} else part.args[0]
            if early == Name("t"):
                return True
    return False


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
