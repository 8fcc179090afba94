"""Statements in single-assignment form, split into those of a record and those of a moment.

A variable that is assigned twice has two values in turn; each gets a name of its own (``cl@1``, then ``cl``), so that
every name has one value. What depends on compartments or time is computed at every moment, the rest once a record.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rl_drug_dosage.pharmacometrics.readers.expressions import Call, Expr, Name, Num, evaluate, names_in, substituted
from rl_drug_dosage.pharmacometrics.readers.written import AssignKind, ReadError, WrittenModel

__all__ = ["TIME", "Program", "Step", "Steps", "key_of", "output_name", "single_assignment"]

TIME = "t"


@dataclass(frozen=True)
class Step:
    """One value: its only name, how it is computed, and the line of the file."""

    name: str
    expr: Expr
    line: int


@dataclass(frozen=True)
class Steps:
    """All statements of a model, each name assigned once.

    Args:
        steps: in an order in which they can be computed.
        last: variable of the file -> the name of its last value.
        properties: (kind, compartment) -> the name of its last value.
        moving: names that depend on compartments or time.
    """

    steps: tuple[Step, ...]
    last: Mapping[str, str]
    properties: Mapping[tuple[AssignKind, str], str]
    moving: frozenset[str]

    def by_name(self) -> dict[str, Step]:
        """The steps by their names."""
        return {step.name: step for step in self.steps}

    def line(self, name: str) -> int:
        """Where a name gets its value; 0 for a parameter or covariate."""
        return next((step.line for step in self.steps if step.name == name), 0)

    def needed(
        self, names: Iterable[str], *, moving: bool | None = None, known: frozenset[str] = frozenset()
    ) -> tuple[Step, ...]:
        """The steps that some names rest on, in order.

        Args:
            names: wanted.
            moving: only those that move, or that do not; the search stops at the others.
            known: names whose values are there; the search stops at them too.
        """
        wanted, found = set(names), []
        for step in reversed(self.steps):
            if step.name in known:
                continue
            if step.name in wanted and moving in {None, step.name in self.moving}:
                found.append(step)
                wanted |= names_in(step.expr)
        return tuple(reversed(found))


def single_assignment(written: WrittenModel) -> Steps:
    """The statements of a model, and its outputs, in single-assignment form.

    Raises:
        ReadError: a statement reads a variable that has no value there.
    """
    inputs = {n.name for n in (*written.thetas, *written.etas, *written.occasion_etas)}
    inputs |= {c.name for c in written.covariates} | set(written.compartments) | {TIME}
    count: dict[str, int] = {}
    for statement in written.statements:
        place = _place(statement.target, statement.kind)
        count[place] = count.get(place, 0) + 1
    current: dict[str, str] = {}
    seen: dict[str, int] = {}
    steps, moving = [], {TIME, *written.compartments}
    properties: dict[tuple[AssignKind, str], str] = {}
    for statement in written.statements:
        place = _place(statement.target, statement.kind)
        expr = _resolved(statement.expr, current, inputs, written, statement.line)
        seen[place] = seen.get(place, 0) + 1
        plain = seen[place] == count[place] and place not in inputs
        name = place if plain else f"{place}@{seen[place]}"
        if names_in(expr) & moving:
            moving.add(name)
        steps.append(Step(name, expr, statement.line))
        current[place] = name
        if statement.kind != "value":
            properties[statement.kind, statement.target] = name
    for i, output in enumerate(written.outputs):
        expr = _resolved(output.expr, current, inputs, written, output.line)
        steps.append(Step(output_name(i), expr, output.line))
        if names_in(expr) & moving:
            moving.add(output_name(i))
    return Steps(tuple(steps), current, properties, frozenset(moving))


def output_name(index: int) -> str:
    """The name of an output's value among the steps."""
    return f"_output_{index}"


def _place(target: str, kind: AssignKind) -> str:
    return target if kind == "value" else f"_{kind}_{target}"


def _resolved(expr: Expr, current: Mapping[str, str], inputs: set[str], written: WrittenModel, line: int) -> Expr:
    names = sorted(names_in(expr))
    for name in names:
        if name not in current and name not in inputs:
            raise ReadError(
                f"{written.path}:{line}: {name!r} has no value here; allowed: a variable that is assigned above, or a "
                "parameter, covariate or compartment of the model; assign it first, or correct the name"
            )
    renamed = {name: Name(current[name]) for name in names if current.get(name, name) != name}
    return substituted(expr, renamed) if renamed else expr


def key_of(expr: Expr) -> str:
    """A text that only equal trees share; without recursion."""
    parts: list[str] = []
    waiting: list[Expr] = [expr]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Num):
            parts.append(float(part.value).hex())
        elif isinstance(part, Name):
            parts.append(repr(part.name))
        else:
            parts.append(f"{part.function}/{len(part.args)}")
            waiting += reversed(part.args)
    return " ".join(parts)


class Program:
    """Steps that are computed in turn; a value, compared by its text.

    Args:
        steps: (name, tree), each tree reads names given from outside or of earlier steps.
    """

    __slots__ = ("_hash", "_key", "steps")

    steps: tuple[tuple[str, Expr], ...]

    def __init__(self, steps: Sequence[tuple[str, Expr]]) -> None:
        self.steps = tuple(steps)
        self._key = "\n".join(f"{name!r} {key_of(expr)}" for name, expr in self.steps)
        self._hash = hash(self._key)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Program) and self._key == other._key)

    def __hash__(self) -> int:
        return self._hash

    def __deepcopy__(self, memo: Any) -> "Program":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _unflattened, (tuple((name, _flattened(expr)) for name, expr in self.steps),)

    def run(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """All values, those given included.

        Args:
            values: by the names that the steps read.
        """
        known = dict(values)
        for name, expr in self.steps:
            known[name] = evaluate(expr, known)
        return known

    def reads(self) -> frozenset[str]:
        """The names that have to be given."""
        own: set[str] = set()
        found: set[str] = set()
        for name, expr in self.steps:
            found |= names_in(expr) - own
            own.add(name)
        return frozenset(found)


def _flattened(expr: Expr) -> tuple[Any, ...]:
    """A tree as a flat row: a number, a name as (name,), a call as (function, count)."""
    row: list[Any] = []
    waiting: list[Expr] = [expr]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Num):
            row.append(part.value)
        elif isinstance(part, Name):
            row.append((part.name,))
        else:
            row.append((part.function, len(part.args)))
            waiting += reversed(part.args)
    return tuple(row)


def _unflattened(steps: Sequence[tuple[str, tuple[Any, ...]]]) -> Program:
    return Program([(name, _tree(row)) for name, row in steps])


def _tree(row: Sequence[Any]) -> Expr:
    done: list[Expr] = []
    for entry in reversed(row):
        if not isinstance(entry, tuple):
            done.append(Num(entry))
        elif len(entry) == 1:
            done.append(Name(entry[0]))
        else:
            function, count = entry
            args = tuple(reversed(done[len(done) - count :]))
            del done[len(done) - count :]
            done.append(Call(function, args))
    return done[0]
