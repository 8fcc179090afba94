"""Arithmetic that was read from a model file: a tree of numbers, names and function calls.

A tree is evaluated with `jax.numpy` on scalars, or printed as Python. Nothing in it can do anything else: the functions
are those of `FUNCTIONS`. Trees are walked without recursion on their depth where a file decides the depth.
"""

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jax.scipy.stats import norm
from jaxtyping import Array

from rl_drug_dosage.errors import ConfigError

__all__ = [
    "DEEPEST",
    "FUNCTIONS",
    "Call",
    "Expr",
    "Name",
    "Num",
    "call",
    "evaluate",
    "folded",
    "names_in",
    "substituted",
    "to_python",
    "walk",
]

DEEPEST = 200
"""Levels of nesting that a reader accepts; a model has fewer than twenty."""


@dataclass(frozen=True)
class Num:
    """A number."""

    value: float


@dataclass(frozen=True)
class Name:
    """A variable, by the name that the file gives it."""

    name: str


@dataclass(frozen=True)
class Call:
    """A function or operator of `FUNCTIONS`, applied."""

    function: str
    args: "tuple[Expr, ...]"


type Expr = Num | Name | Call


def call(function: str, *args: Expr | float | str) -> Call:
    """``call("*", "cl", 2.0)``: text is a name, a number is a number."""
    return Call(function, tuple(_as_expr(arg) for arg in args))


def _as_expr(written: Expr | float | str) -> Expr:
    if isinstance(written, str):
        return Name(written)
    return written if isinstance(written, Num | Name | Call) else Num(float(written))


def _truth(value: Any) -> Array:
    return jnp.asarray(value) != 0


def _number(truth: Array) -> Array:
    return jnp.where(truth, 1.0, 0.0)


@dataclass(frozen=True)
class Function:
    """How a function is computed and printed.

    Args:
        count: numbers of arguments that it takes.
        compute: on arrays. Comparisons and logic answer 1 or 0.
        python: format of the Python code, with ``{0}``, ``{1}``.
    """

    count: tuple[int, ...]
    compute: Callable[..., Array]
    python: str


FUNCTIONS: Mapping[str, Function] = {
    "+": Function((2,), lambda a, b: a + b, "({0} + {1})"),
    "-": Function((2,), lambda a, b: a - b, "({0} - {1})"),
    "*": Function((2,), lambda a, b: a * b, "({0} * {1})"),
    "/": Function((2,), lambda a, b: a / b, "({0} / {1})"),
    "^": Function((2,), lambda a, b: jnp.power(jnp.asarray(a, dtype=float), b), "jnp.power({0}, {1})"),
    "neg": Function((1,), lambda a: -a, "(-{0})"),
    "%%": Function((2,), jnp.mod, "jnp.mod({0}, {1})"),
    "<": Function((2,), lambda a, b: _number(a < b), "jnp.where({0} < {1}, 1.0, 0.0)"),
    "<=": Function((2,), lambda a, b: _number(a <= b), "jnp.where({0} <= {1}, 1.0, 0.0)"),
    ">": Function((2,), lambda a, b: _number(a > b), "jnp.where({0} > {1}, 1.0, 0.0)"),
    ">=": Function((2,), lambda a, b: _number(a >= b), "jnp.where({0} >= {1}, 1.0, 0.0)"),
    "==": Function((2,), lambda a, b: _number(a == b), "jnp.where({0} == {1}, 1.0, 0.0)"),
    "!=": Function((2,), lambda a, b: _number(a != b), "jnp.where({0} != {1}, 1.0, 0.0)"),
    "and": Function(
        (2,),
        lambda a, b: _number(_truth(a) & _truth(b)),
        "jnp.where(({0} != 0) & ({1} != 0), 1.0, 0.0)",
    ),
    "or": Function(
        (2,),
        lambda a, b: _number(_truth(a) | _truth(b)),
        "jnp.where(({0} != 0) | ({1} != 0), 1.0, 0.0)",
    ),
    "not": Function((1,), lambda a: _number(~_truth(a)), "jnp.where({0} == 0, 1.0, 0.0)"),
    "if": Function((3,), lambda c, a, b: jnp.where(_truth(c), a, b), "jnp.where({0} != 0, {1}, {2})"),
    "exp": Function((1,), jnp.exp, "jnp.exp({0})"),
    "expm1": Function((1,), jnp.expm1, "jnp.expm1({0})"),
    "log": Function((1,), jnp.log, "jnp.log({0})"),
    "log2": Function((1,), jnp.log2, "jnp.log2({0})"),
    "log10": Function((1,), jnp.log10, "jnp.log10({0})"),
    "log1p": Function((1,), jnp.log1p, "jnp.log1p({0})"),
    "sqrt": Function((1,), jnp.sqrt, "jnp.sqrt({0})"),
    "abs": Function((1,), jnp.abs, "jnp.abs({0})"),
    "floor": Function((1,), jnp.floor, "jnp.floor({0})"),
    "ceil": Function((1,), jnp.ceil, "jnp.ceil({0})"),
    "trunc": Function((1,), jnp.trunc, "jnp.trunc({0})"),
    "round": Function((1,), jnp.round, "jnp.round({0})"),
    "sign": Function((1,), jnp.sign, "jnp.sign({0})"),
    "sin": Function((1,), jnp.sin, "jnp.sin({0})"),
    "cos": Function((1,), jnp.cos, "jnp.cos({0})"),
    "tan": Function((1,), jnp.tan, "jnp.tan({0})"),
    "asin": Function((1,), jnp.arcsin, "jnp.arcsin({0})"),
    "acos": Function((1,), jnp.arccos, "jnp.arccos({0})"),
    "atan": Function((1,), jnp.arctan, "jnp.arctan({0})"),
    "atan2": Function((2,), jnp.arctan2, "jnp.arctan2({0}, {1})"),
    "sinh": Function((1,), jnp.sinh, "jnp.sinh({0})"),
    "cosh": Function((1,), jnp.cosh, "jnp.cosh({0})"),
    "tanh": Function((1,), jnp.tanh, "jnp.tanh({0})"),
    "lgamma": Function((1,), gammaln, "gammaln({0})"),
    "gamma": Function((1,), lambda a: jnp.exp(gammaln(a)), "jnp.exp(gammaln({0}))"),
    "factorial": Function((1,), lambda a: jnp.exp(gammaln(a + 1.0)), "jnp.exp(gammaln({0} + 1.0))"),
    "lfactorial": Function((1,), lambda a: gammaln(a + 1.0), "gammaln({0} + 1.0)"),
    "phi": Function((1,), norm.cdf, "norm.cdf({0})"),
    "expit": Function((1,), jax.nn.sigmoid, "jax.nn.sigmoid({0})"),
    "logit": Function((1,), lambda a: jnp.log(a / (1.0 - a)), "jnp.log({0} / (1.0 - {0}))"),
    "min": Function((2,), jnp.minimum, "jnp.minimum({0}, {1})"),
    "max": Function((2,), jnp.maximum, "jnp.maximum({0}, {1})"),
}
"""What an expression may contain. A reader spells its format's functions with these, `expit(x, a, b)` for example."""


def walk(expr: Expr) -> Iterator[Expr]:
    """Every part of a tree, the whole first."""
    waiting = [expr]
    while waiting:
        part = waiting.pop()
        yield part
        if isinstance(part, Call):
            waiting += reversed(part.args)


def names_in(expr: Expr) -> frozenset[str]:
    """The variables that it reads."""
    return frozenset(part.name for part in walk(expr) if isinstance(part, Name))


def substituted(expr: Expr, values: Mapping[str, Expr]) -> Expr:
    """The tree with other trees in place of some names."""
    return _folded(
        expr,
        lambda leaf: values.get(leaf.name, leaf) if isinstance(leaf, Name) else leaf,
        # Compared by identity: equality would go down both trees at every level.
        lambda part, args: part if all(map(operator.is_, args, part.args)) else Call(part.function, args),
    )


def evaluate(expr: Expr, values: Mapping[str, Any]) -> Array:
    """The value, with ``values`` for the names; a scalar.

    Raises:
        ConfigError: a name that has no value.
    """

    def leaf(part: Num | Name) -> Any:
        if isinstance(part, Num):
            return jnp.asarray(part.value, dtype=float)
        if part.name not in values:
            raise ConfigError(f"{part.name!r} has no value: allowed are {', '.join(sorted(values)) or 'none'}")
        return values[part.name]

    found: Array = _folded(expr, leaf, lambda part, args: FUNCTIONS[part.function].compute(*args))
    return found


def to_python(expr: Expr, names: Mapping[str, str] | None = None) -> str:
    """Python code with `jax.numpy` as ``jnp``; ``names`` has what to write for a variable, its own name otherwise."""
    written = names or {}
    text: str = _folded(
        expr,
        lambda part: repr(part.value) if isinstance(part, Num) else written.get(part.name, part.name),
        lambda part, args: FUNCTIONS[part.function].python.format(*args),
    )
    return text.removeprefix("(").removesuffix(")") if _is_wrapped(text) else text


def _is_wrapped(text: str) -> bool:
    """Whether the first bracket is closed by the last one."""
    depth = 0
    for i, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return i == len(text) - 1 and text.startswith("(")
    return False


def _folded(expr: Expr, leaf: Callable[[Any], Any], join: Callable[[Call, Any], Any]) -> Any:
    """From the leaves up, without recursion."""
    waiting: list[tuple[Expr, bool]] = [(expr, False)]
    done: list[Any] = []
    while waiting:
        part, ready = waiting.pop()
        if not isinstance(part, Call):
            done.append(leaf(part))
        elif ready:
            count = len(part.args)
            args = tuple(done[len(done) - count :])
            del done[len(done) - count :]
            done.append(join(part, args))
        else:
            waiting.append((part, True))
            waiting += ((arg, False) for arg in reversed(part.args))
    return done[0]


folded = _folded
"""A tree computed from its leaves up, without recursion: ``leaf(part)`` of a number or name, ``join(call, values)``."""
