"""Mathematics of SBML as expressions: MathML, or the formulas of Level 1, both as libsbml's trees."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from rl_drug_dosage.pharmacometrics.readers.expressions import (
    DEEPEST,
    Call,
    Expr,
    Name,
    Num,
    call,
    names_in,
    substituted,
    walk,
)
from rl_drug_dosage.pharmacometrics.readers.source_text import Place, refused
from rl_drug_dosage.pharmacometrics.readers.written import ReadError

__all__ = ["Definition", "Maths"]

_AVOGADRO = 6.02214179e23
"""Of the SBML specification, 2006 CODATA value."""
_MOST_PARTS = 20_000
"""Parts of an expression once function definitions are written out."""

_ONE = {
    "EXP": "exp", "LN": "log", "ABS": "abs", "FLOOR": "floor", "CEILING": "ceil", "FACTORIAL": "factorial",
    "SIN": "sin", "COS": "cos", "TAN": "tan", "ARCSIN": "asin", "ARCCOS": "acos", "ARCTAN": "atan",
    "SINH": "sinh", "COSH": "cosh", "TANH": "tanh",
}  # fmt: skip
_MANY = {"PLUS": ("+", 0.0), "TIMES": ("*", 1.0), "AND": ("and", 1.0), "OR": ("or", 0.0)}
"""Of any number of values -> what they are of none."""
_RELATIONS = {"EQ": "==", "NEQ": "!=", "LT": "<", "LEQ": "<=", "GT": ">", "GEQ": ">="}
_CONSTANTS = {
    "CONSTANT_PI": math.pi, "CONSTANT_E": math.e, "CONSTANT_TRUE": 1.0, "CONSTANT_FALSE": 0.0,
    "NAME_AVOGADRO": _AVOGADRO,
}  # fmt: skip
_NAMED = {"delay": "delays", "rateOf": "rates of change in formulas"}


def _reciprocal(function: str) -> Callable[[Expr], Expr]:
    return lambda x: call("/", 1.0, call(function, x))


def _of_reciprocal(function: str) -> Callable[[Expr], Expr]:
    return lambda x: call(function, call("/", 1.0, x))


def _arcsinh(x: Expr) -> Expr:
    return call("log", call("+", x, call("sqrt", call("+", call("*", x, x), 1.0))))


def _arccosh(x: Expr) -> Expr:
    return call("log", call("+", x, call("*", call("sqrt", call("-", x, 1.0)), call("sqrt", call("+", x, 1.0)))))


def _arctanh(x: Expr) -> Expr:
    return call("*", 0.5, call("log", call("/", call("+", 1.0, x), call("-", 1.0, x))))


_DERIVED: Mapping[str, Callable[[Expr], Expr]] = {
    "SEC": _reciprocal("cos"), "CSC": _reciprocal("sin"), "COT": _reciprocal("tan"),
    "SECH": _reciprocal("cosh"), "CSCH": _reciprocal("sinh"), "COTH": _reciprocal("tanh"),
    "ARCSEC": _of_reciprocal("acos"), "ARCCSC": _of_reciprocal("asin"), "ARCCOT": _of_reciprocal("atan"),
    "ARCSINH": _arcsinh, "ARCCOSH": _arccosh, "ARCTANH": _arctanh,
    "ARCSECH": lambda x: _arccosh(call("/", 1.0, x)), "ARCCSCH": lambda x: _arcsinh(call("/", 1.0, x)),
    "ARCCOTH": lambda x: _arctanh(call("/", 1.0, x)),
    "MINUS": lambda x: call("neg", x), "NOT": lambda x: call("not", x),
    "ROOT": lambda x: call("sqrt", x), "LOG": lambda x: call("log10", x),
}  # fmt: skip


def _root(degree: Expr, x: Expr) -> Expr:
    return call("sqrt", x) if degree == Num(2.0) else call("^", x, call("/", 1.0, degree))


def _log(base: Expr, x: Expr) -> Expr:
    return call("log10", x) if base == Num(10.0) else call("/", call("log", x), call("log", base))


def _quotient(a: Expr, b: Expr) -> Expr:
    return call("trunc", call("/", a, b))


_TWO: Mapping[str, Callable[[Expr, Expr], Expr]] = {
    "MINUS": lambda a, b: call("-", a, b), "DIVIDE": lambda a, b: call("/", a, b),
    "POWER": lambda a, b: call("^", a, b), "ROOT": _root, "LOG": _log, "QUOTIENT": _quotient,
    "REM": lambda a, b: call("-", a, call("*", b, _quotient(a, b))),
    "IMPLIES": lambda a, b: call("or", call("not", a), b),
}  # fmt: skip


@dataclass(frozen=True)
class Definition:
    """A function definition: its arguments and its value."""

    arguments: tuple[str, ...]
    value: Expr


class Maths:
    """Reads formulas.

    Args:
        path: of the file, for errors.
        libsbml: the module.
    """

    def __init__(self, path: str, libsbml: Any) -> None:
        self.path = path
        self.definitions: dict[str, Definition] = {}
        self.names: dict[str, str] = {}
        """Id -> the name of its variable, where it is another one."""
        self.kinds = {
            getattr(libsbml, name): name.removeprefix("AST_").removeprefix("FUNCTION_")
            for name in dir(libsbml)
            if name.startswith("AST_") and isinstance(getattr(libsbml, name), int) and "CATEGORY" not in name
        }
        self.kinds |= {
            getattr(libsbml, f"AST_{prefix}_{name}"): name
            for prefix, names in (("RELATIONAL", _RELATIONS), ("LOGICAL", ("AND", "OR", "NOT", "XOR", "IMPLIES")))
            for name in names
        }

    def expr(self, node: Any, element: Any, at: str) -> Expr:
        """A formula.

        Args:
            node: libsbml's tree.
            element: that holds it, for its line.
            at: what it belongs to, with its id.

        Raises:
            ReadError: a delay, or something else that is not supported.
        """
        place = Place(max(element.getLine(), 1), max(element.getColumn(), 1))
        if node is None:
            raise refused(self.path, place, f"{at} without a formula", "a formula", "add it")
        found = self._expr(node, place, at)
        if sum(1 for _ in walk(found)) > _MOST_PARTS:
            raise refused(self.path, place, f"{at} has more than {_MOST_PARTS:,} parts", "models", "split it")
        return found

    def define(self, definition: Any) -> None:
        """Read a function definition; those it calls come before it."""
        at = f"function definition {definition.getId()!r}"
        place = Place(max(definition.getLine(), 1), max(definition.getColumn(), 1))
        body = definition.getBody()
        arguments = tuple(definition.getArgument(i).getName() for i in range(definition.getNumArguments()))
        if body is None:
            raise refused(self.path, place, f"{at} without a formula", "a formula", "add it")
        names, self.names = self.names, {name: f"@{name}" for name in arguments}
        value = self.expr(body, definition, at)
        self.names = names
        own = tuple(f"@{name}" for name in arguments)
        if unknown := sorted(names_in(value) - {*own, "t"}):
            raise refused(self.path, place, f"{at} reads {unknown[0]!r}", "its own arguments", "make it one of them")
        self.definitions[definition.getId()] = Definition(own, value)

    def calls(self, node: Any) -> frozenset[str]:
        """The functions that a formula calls by name."""
        waiting, found = [node], set()
        while waiting:
            part = waiting.pop()
            if self.kinds.get(part.getType()) == "FUNCTION":
                found.add(part.getName())
            waiting += [part.getChild(i) for i in range(part.getNumChildren())]
        return frozenset(found - set(_NAMED))

    def _refused(self, place: Place, at: str, what: str) -> ReadError:
        return refused(self.path, place, f"{at}: {what}", "formulas without it", "write it otherwise")

    def _expr(self, node: Any, place: Place, at: str) -> Expr:
        """From the leaves up, without recursion: libsbml nests a sum as deeply as it is long."""
        waiting: list[tuple[Any, str, int]] = [(node, "", -1)]
        done: list[tuple[Expr, int]] = []
        while waiting:
            part, kind, count = waiting.pop()
            if count >= 0:
                values = done[len(done) - count :]
                del done[len(done) - count :]
                depth = 1 + max((depth for _, depth in values), default=0)
                depth += count.bit_length() if kind in _MANY else 0
                if depth > DEEPEST:
                    came = f"{at} is nested more than {DEEPEST} times"
                    raise refused(self.path, place, came, f"up to {DEEPEST}", "split it into rules")
                done.append((self._called(kind, part, [expr for expr, _ in values], place, at), depth))
                continue
            kind = self.kinds.get(part.getType(), "UNKNOWN")
            if (leaf := self._leaf(kind, part, place, at)) is not None:
                done.append((leaf, 1))
                continue
            children = self._children(part, kind)
            waiting.append((part, kind, len(children)))
            waiting += [(child, "", -1) for child in reversed(children)]
        return done[0][0]

    def _children(self, node: Any, kind: str) -> list[Any]:
        """The arguments; of a sum in a sum, all terms."""
        waiting, found = [node], []
        while waiting:
            part = waiting.pop()
            if part is node or (kind in _MANY and self.kinds.get(part.getType()) == kind):
                waiting += [part.getChild(i) for i in reversed(range(part.getNumChildren()))]
            else:
                found.append(part)
        return found

    def _leaf(self, kind: str, node: Any, place: Place, at: str) -> Expr | None:
        if kind in {"INTEGER", "REAL", "REAL_E", "RATIONAL"}:
            return Num(float(node.getValue()))
        if kind in _CONSTANTS:
            return Num(_CONSTANTS[kind])
        if kind == "NAME_TIME":
            return Name("t")
        if kind == "NAME":
            return Name(self.names.get(node.getName(), node.getName()))
        if kind in {"DELAY", "RATE_OF"} or (kind == "FUNCTION" and node.getName() in _NAMED):
            word = _NAMED["delay" if "delay" in {kind.lower(), node.getName()} else "rateOf"]
            raise refused(self.path, place, f"{at}: {word}", "formulas of the present values", "it is not read")
        return None

    def _called(self, kind: str, node: Any, args: Sequence[Expr], place: Place, at: str) -> Expr:
        if kind == "FUNCTION":
            return self._own(node.getName(), args, place, at)
        found = _relation(kind, args) or _of_many(kind, args)
        if found is None and len(args) in {1, 2}:
            found = _of_one(kind, args[0]) if len(args) == 1 else _of_two(kind, *args)
        if found is None:
            raise self._refused(place, at, f"{node.getName() or kind.lower()} of {len(args)} values")
        return found

    def _own(self, name: str, args: Sequence[Expr], place: Place, at: str) -> Expr:
        definition = self.definitions.get(name)
        if definition is None:
            allowed = ", ".join(sorted(self.definitions)) or "none"
            raise refused(self.path, place, f"{at}: {name}()", f"functions that are defined: {allowed}", "define it")
        if len(args) != len(definition.arguments):
            came = f"{at}: {name}() with {len(args)} arguments"
            raise refused(self.path, place, came, f"{len(definition.arguments)}", "correct it")
        sizes = [sum(1 for _ in walk(arg)) for arg in args]
        if sum(1 for _ in walk(definition.value)) * max(sizes, default=1) > _MOST_PARTS:
            raise refused(self.path, place, f"{at}: {name}() is too long when written out", "models", "split it")
        return substituted(definition.value, dict(zip(definition.arguments, args, strict=True)))


def _of_one(kind: str, x: Expr) -> Expr | None:
    if kind in _ONE:
        return call(_ONE[kind], x)
    return _DERIVED[kind](x) if kind in _DERIVED else None


def _of_two(kind: str, a: Expr, b: Expr) -> Expr | None:
    return _TWO[kind](a, b) if kind in _TWO else None


def _of_many(kind: str, args: Sequence[Expr]) -> Expr | None:
    """Of any number of values; ``xor`` counts the true ones."""
    if kind in _MANY:
        function, empty = _MANY[kind]
        return balanced(function, args) if args else Num(empty)
    if kind in {"MIN", "MAX"} and args:
        return balanced(kind.lower(), args)
    if kind == "XOR":
        truths: list[Expr] = [call("!=", arg, 0.0) for arg in args]
        return call("!=", call("%%", balanced("+", [*truths, Num(0.0)]), 2.0), 0.0)
    return _piecewise(args) if kind == "PIECEWISE" and args else None


def _relation(kind: str, args: Sequence[Expr]) -> Expr | None:
    """``a < b < c`` is a < b and b < c."""
    if kind not in _RELATIONS or len(args) < 2 or (kind == "NEQ" and len(args) > 2):
        return None
    return balanced("and", [Call(_RELATIONS[kind], pair) for pair in pairwise(args)])


def _piecewise(args: Sequence[Expr]) -> Expr:
    """(value, condition) pairs, then the value otherwise; without it, not a number."""
    rest: Expr = args[-1] if len(args) % 2 else Num(math.nan)
    for value, condition in reversed(list(zip(args[0::2], args[1::2], strict=False))):
        rest = Call("if", (condition, value, rest))
    return rest


def balanced(function: str, args: Sequence[Expr]) -> Expr:
    """Joined in pairs, so that a sum of a thousand terms is ten levels deep."""
    row = list(args)
    while len(row) > 1:
        pairs: list[Expr] = [Call(function, (row[i], row[i + 1])) for i in range(0, len(row) - 1, 2)]
        row = pairs + row[len(row) - len(row) % 2 :]
    return row[0]
