"""The numbers of an ini block, computed with Python's floats: no array library, whose precision may be lower."""

import math
from collections.abc import Callable, Mapping
from statistics import NormalDist

from rl_drug_dosage.pharmacometrics.readers.expressions import Call, Expr, Name, Num
from rl_drug_dosage.pharmacometrics.readers.rxode2.expressions import Formulas
from rl_drug_dosage.pharmacometrics.readers.rxode2.r_nodes import Node
from rl_drug_dosage.pharmacometrics.readers.rxode2.r_tokens import Source

__all__ = ["constant", "value_of"]

_MATH: Mapping[str, Callable[..., float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "^": math.pow,
    "neg": lambda a: -a,
    "exp": math.exp,
    "expm1": math.expm1,
    "log": math.log,
    "log2": math.log2,
    "log10": math.log10,
    "log1p": math.log1p,
    "sqrt": math.sqrt,
    "abs": abs,
    "expit": lambda a: 1.0 / (1.0 + math.exp(-a)),
    "logit": lambda a: math.log(a / (1.0 - a)),
    "phi": NormalDist().cdf,
    "probit": NormalDist().inv_cdf,
    "min": min,
    "max": max,
    "gamma": math.gamma,
    "lgamma": math.lgamma,
    "factorial": lambda a: math.gamma(a + 1.0),
    "lfactorial": lambda a: math.lgamma(a + 1.0),
    "round": round,
    "floor": math.floor,
    "ceil": math.ceil,
    "if": lambda condition, a, b: a if condition else b,
    "<": lambda a, b: float(a < b),
    ">": lambda a, b: float(a > b),
    "==": lambda a, b: float(a == b),
}


def value_of(expr: Expr) -> float:
    """The number.

    Raises:
        KeyError: it reads a variable, or a function that constants cannot have; the name is the argument.
        ArithmeticError, ValueError: it has no value.
    """
    if isinstance(expr, Num):
        return expr.value
    if isinstance(expr, Name):
        raise KeyError(expr.name)
    assert isinstance(expr, Call)
    return float(_MATH[expr.function](*(value_of(arg) for arg in expr.args)))


def constant(node: Node, source: Source, known: Mapping[str, float]) -> float:
    """The number that R would compute, from numbers and ``known`` names.

    Raises:
        ReadError: it has no value.
    """
    expr = Formulas(source, constants=known).expression(node)
    try:
        value = value_of(expr)
    except KeyError as error:
        raise source.refused(
            node.place, f"{error.args[0]!r} has no value here", "write a number, or arithmetic with numbers"
        ) from None
    except (ArithmeticError, ValueError) as error:
        raise source.refused(node.place, f"no value ({error})", "write a number, or arithmetic with numbers") from None
    if math.isnan(value):
        raise source.refused(node.place, "not a number", "write a number, or arithmetic with numbers")
    return value
