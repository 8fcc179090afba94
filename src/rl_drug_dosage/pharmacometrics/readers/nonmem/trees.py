"""Arithmetic on trees: constants folded, derivatives by a residual effect. Nothing here recurses."""

import math
import operator
from collections.abc import Callable, Iterable, Mapping

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

__all__ = ["NotDerivable", "derivative", "inlined", "key_of", "simplified", "size_of"]


class NotDerivable(Exception):  # noqa: N818
    """A tree whose derivative has no simple form; the message says where."""


def _power(a: float, b: float) -> float:
    value = a**b
    if isinstance(value, complex):
        raise ValueError("a root of a negative number")
    return value


_COMPUTED: Mapping[str, Callable[..., float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "^": _power,
    "neg": operator.neg,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "and": lambda a, b: a != 0 and b != 0,
    "or": lambda a, b: a != 0 or b != 0,
    "not": lambda a: a == 0,
    "if": lambda c, a, b: a if c != 0 else b,
    "exp": math.exp,
    "log": math.log,
    "log10": math.log10,
    "sqrt": math.sqrt,
    "abs": abs,
    "trunc": math.trunc,
    "min": min,
    "max": max,
}


def _reduced(call: Call) -> Expr:
    """A call of reduced arguments without what cannot matter."""
    function, args = call.function, call.args
    if all(isinstance(arg, Num) for arg in args) and function in _COMPUTED:
        try:
            return Num(float(_COMPUTED[function](*(arg.value for arg in args if isinstance(arg, Num)))))
        except (ArithmeticError, ValueError):
            return call
    first = args[0].value if isinstance(args[0], Num) else None
    second = args[1].value if len(args) > 1 and isinstance(args[1], Num) else None
    if first is None and second is None:
        return call
    if function in {"and", "or"}:
        return _logic(function, args, first, second)
    if function == "if":
        return call if first is None else args[1] if first != 0 else args[2]
    found = _without_unit(function, args, first, second)
    return call if found is None else found


def _without_unit(function: str, args: tuple[Expr, ...], first: float | None, second: float | None) -> Expr | None:
    """What is left of a sum with 0 or a product with 1 or 0; None if there is none."""
    known: dict[tuple[str, int, float], Expr] = {
        ("+", 0, 0.0): args[-1],
        ("+", 1, 0.0): args[0],
        ("-", 1, 0.0): args[0],
        ("-", 0, 0.0): Call("neg", (args[-1],)),
        ("*", 0, 0.0): Num(0.0),
        ("*", 1, 0.0): Num(0.0),
        ("*", 0, 1.0): args[-1],
        ("*", 1, 1.0): args[0],
        ("/", 1, 1.0): args[0],
        ("/", 0, 0.0): Num(0.0),
        ("^", 1, 1.0): args[0],
        ("^", 1, 0.0): Num(1.0),
    }
    for place, value in ((0, first), (1, second)):
        if value is not None and (function, place, value) in known:
            return known[function, place, value]
    return None


def _logic(function: str, args: tuple[Expr, ...], first: float | None, second: float | None) -> Expr:
    deciding = function == "or"
    for value in (first, second):
        if value is not None and bool(value) == deciding:
            return Num(float(deciding))
    if first is not None:
        return args[1]
    return args[0] if second is not None else Call(function, args)


def simplified(expr: Expr) -> Expr:
    """The tree with its constants folded."""
    found: Expr = folded(
        expr,
        lambda leaf: leaf,
        lambda part, args: _reduced(part if _same_parts(args, part.args) else Call(part.function, args)),
    )
    return found


def _same_parts(one: tuple[Expr, ...], other: tuple[Expr, ...]) -> bool:
    return all(a is b for a, b in zip(one, other, strict=True))


def size_of(expr: Expr) -> int:
    """Number of its parts."""
    return sum(1 for _ in walk(expr))


def key_of(expr: Expr, table: dict[tuple[object, ...], int]) -> int:
    """A number that equal trees share in a table."""

    def number(key: tuple[object, ...]) -> int:
        return table.setdefault(key, len(table))

    found: int = folded(
        expr,
        lambda leaf: number(("num", leaf.value) if isinstance(leaf, Num) else ("name", leaf.name)),
        lambda part, args: number((part.function, *args)),
    )
    return found


def inlined(expr: Expr, values: Mapping[str, Expr], largest: int) -> Expr | None:
    """The tree with values in place of names, simplified; None if it would have more parts than ``largest``."""
    sizes = {name: size_of(values[name]) for name in names_in(expr) if name in values}
    total = sum(sizes.get(part.name, 1) if isinstance(part, Name) else 1 for part in walk(expr))
    return simplified(substituted(expr, values)) if total <= largest else None


def derivative(expr: Expr, by: str, among: Iterable[str]) -> Expr:
    """The derivative of a tree by a name, simplified.

    Args:
        expr: the tree.
        by: the name.
        among: names that no condition may read.

    Raises:
        NotDerivable: a function whose derivative is not known here, or a condition that reads one of ``among``.
    """
    effects = frozenset(among)

    def leaf(part: Num | Name) -> tuple[Expr, Expr, bool]:
        own = isinstance(part, Name) and part.name in effects
        return part, Num(1.0 if isinstance(part, Name) and part.name == by else 0.0), own

    def join(part: Call, args: tuple[tuple[Expr, Expr, bool], ...]) -> tuple[Expr, Expr, bool]:
        whole = _reduced(Call(part.function, tuple(value for value, _, _ in args)))
        reads = any(own for _, _, own in args)
        if not reads:
            return whole, Num(0.0), False
        return whole, _chain(part.function, whole, args), True

    found: Expr = folded(expr, leaf, join)[1]
    return found


def _op(function: str, *args: Expr) -> Expr:
    return _reduced(Call(function, args))


def _chain(  # noqa: PLR0911 - one case a function
    function: str, whole: Expr, args: tuple[tuple[Expr, Expr, bool], ...]
) -> Expr:
    a, da, _ = args[0]
    b, db, b_reads = args[1] if len(args) > 1 else (Num(0.0), Num(0.0), False)
    match function:
        case "+" | "-":
            return _op(function, da, db)
        case "neg":
            return _op("neg", da)
        case "*":
            return _op("+", _op("*", da, b), _op("*", a, db))
        case "/":
            return _op("-", _op("/", da, b), _op("/", _op("*", a, db), _op("*", b, b)))
        case "^" if not b_reads:
            return _op("*", _op("*", b, _op("^", a, _op("-", b, Num(1.0)))), da)
        case "exp":
            return _op("*", whole, da)
        case "log":
            return _op("/", da, a)
        case "sqrt":
            return _op("/", da, _op("*", Num(2.0), whole))
        case "if" if not args[0][2]:
            return _op("if", a, db, args[2][1])
        case _:
            raise NotDerivable(f"a residual effect (EPS) inside of {function}")
