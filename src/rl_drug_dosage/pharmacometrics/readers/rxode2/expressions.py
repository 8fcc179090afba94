"""Formulas of rxode2 as expressions: its functions, constants and their spellings."""

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rl_drug_dosage.pharmacometrics.readers.expressions import FUNCTIONS, Call, Expr, Name, Num, call
from rl_drug_dosage.pharmacometrics.readers.rxode2.r_nodes import Node
from rl_drug_dosage.pharmacometrics.readers.rxode2.r_tokens import Source

__all__ = ["FUNCTION_NAMES", "REFUSED", "SUPPORTED", "Formulas", "number_of"]

_CONSTANTS: Mapping[str, float] = {
    "pi": math.pi,
    "M_PI": math.pi,
    "M_E": math.e,
    "M_LN2": math.log(2.0),
    "M_LN10": math.log(10.0),
    "M_SQRT2": math.sqrt(2.0),
    "M_PI_2": math.pi / 2.0,
    "M_PI_4": math.pi / 4.0,
    "M_1_PI": 1.0 / math.pi,
    "M_2_PI": 2.0 / math.pi,
    "Inf": math.inf,
    "TRUE": 1.0,
    "FALSE": 0.0,
}
_TIMES = frozenset({"t", "time", "TIME"})
_OPERATORS = {
    "+": "+",
    "-": "-",
    "*": "*",
    "/": "/",
    "^": "^",
    "%%": "%%",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
    "==": "==",
    "!=": "!=",
    "&&": "and",
    "&": "and",
    "||": "or",
    "|": "or",
}
_SAME = {name: name for name in FUNCTIONS if name.isidentifier() and name not in {"if", "and", "or", "not", "neg"}}
_RENAMED = {
    "fabs": "abs",
    "ceiling": "ceil",
    "lgammafn": "lgamma",
    "gammafn": "gamma",
    "tgamma": "gamma",
    "pnorm": "phi",
    "normcdf": "phi",
    "probitInv": "phi",
    "qnorm": "probit",
    "pow": "^",
    "R_pow": "^",
    "Rx_pow": "^",
    "Rx_pow_di": "^",
    "R_pow_di": "^",
    "fmin": "min",
    "fmax": "max",
    "fmin2": "min",
    "fmax2": "max",
    "ifelse": "if",
}
_ALIASES = {**_SAME, **_RENAMED}


def _many(function: str) -> Callable[..., Expr]:
    def build(*args: Expr) -> Expr:
        total = args[0]
        for arg in args[1:]:
            total = Call(function, (total, arg))
        return total

    return build


def _bounded(low: Expr, high: Expr) -> Expr:
    return call("-", high, low)


def _expit(x: Expr, low: Expr | None = None, high: Expr | None = None) -> Expr:
    if low is None:
        return call("expit", x)
    high = high or Num(1.0)
    return call("+", low, call("*", _bounded(low, high), call("expit", x)))


def _logit(x: Expr, low: Expr | None = None, high: Expr | None = None) -> Expr:
    if low is None:
        return call("logit", x)
    return call("logit", call("/", call("-", x, low), _bounded(low, high or Num(1.0))))


def _probit(x: Expr, low: Expr, high: Expr | None = None) -> Expr:
    return call("probit", call("/", call("-", x, low), _bounded(low, high or Num(1.0))))


def _probit_inverse(x: Expr, low: Expr, high: Expr | None = None) -> Expr:
    return call("+", low, call("*", _bounded(low, high or Num(1.0)), call("phi", x)))


def _choose(n: Expr, k: Expr) -> Expr:
    rest = call("+", call("lfactorial", k), call("lfactorial", call("-", n, k)))
    return call("exp", call("-", call("lfactorial", n), rest))


_BUILT: Mapping[str, tuple[range, Callable[..., Expr]]] = {
    "expit": (range(1, 4), _expit),
    "logit": (range(1, 4), _logit),
    "probit": (range(2, 4), _probit),
    "probitInv": (range(2, 4), _probit_inverse),
    "min": (range(1, 100), _many("min")),
    "max": (range(1, 100), _many("max")),
    "sum": (range(1, 100), _many("+")),
    "prod": (range(1, 100), _many("*")),
    "log": (range(2, 3), lambda x, base: call("/", call("log", x), call("log", base))),
    "lgamma1p": (range(1, 2), lambda x: call("lfactorial", x)),
    "ReLU": (range(1, 2), lambda x: call("max", x, 0.0)),
    "square": (range(1, 2), lambda x: call("*", x, x)),
    "choose": (range(2, 3), _choose),
}
"""What is made of several functions, or takes several numbers of arguments."""
_SIGNS: Mapping[tuple[str, int], Callable[..., Expr]] = {
    ("+", 1): lambda x: x,
    ("-", 1): lambda x: Num(-x.value) if isinstance(x, Num) else call("neg", x),
    ("!", 1): lambda x: call("not", x),
    ("if", 3): lambda condition, x, y: Call("if", (condition, x, y)),
    ("%/%", 2): lambda x, y: call("floor", call("/", x, y)),
}

FUNCTION_NAMES = frozenset({*_ALIASES, *_BUILT})
SUPPORTED = "+ - * / ^ ** %% %/%, comparisons, & | !, " + ", ".join(sorted(FUNCTION_NAMES))

_EVENTS = "of doses, equations here see the last amount and the time since it: podo(x), tad(x), transit(n, mtt, f)"
_ROWS = "equations here cannot look at other rows of the data"
_CHANCE = "the equations here have no random draws; write a variable after ~ in ini"
REFUSED: Mapping[str, str] = {
    **dict.fromkeys(
        ("tafd", "tafd0", "tlast", "tlast0", "tfirst", "tfirst0", "dosenum", "tad", "podo", "transit"), _EVENTS
    ),
    **dict.fromkeys(("lead", "diff", "first", "last", "lag", "lag0", "lead0", "dlag"), _ROWS),
    "delay": "equations with delays are not solved here; write the delay as a chain of compartments",
    "past": "equations with delays are not solved here; write the delay as a chain of compartments",
    "mix": "mixtures of subpopulations are not supported; keep one of them, or make it a covariate",
    "evid_": "the equations here cannot give doses",
    **dict.fromkeys(
        (
            "rxnorm", "rnorm", "rxnormV", "rxunif", "runif", "rxexp", "rexp", "rxpois", "rpois", "rxbinom", "rbinom",
            "rxgamma", "rxbeta", "rxt", "rxcauchy", "rxchisq", "rxweibull", "rinorm", "riunif", "simeps", "simeta",
        ),
        _CHANCE,
    ),
    "is.na": _ROWS,
    "erf": "write 2 * phi(x * sqrt(2)) - 1",
}  # fmt: skip
"""Functions that a model may have in rxode2 and not here, and what to do."""


@dataclass(frozen=True)
class Formulas:
    """Turns parts of R code into expressions.

    Args:
        source: for the place in errors.
        special: what becomes of a call that only the model's statements can explain (``linCmt()``, ``d/dt(x)``); it
            answers None where it does not know the node.
        constants: names with a value (numbers that the file assigned before).
    """

    source: Source
    special: Callable[[Node], Expr | None] = lambda _: None
    constants: Mapping[str, float] | None = None

    def expression(self, node: Node) -> Expr:
        """The expression.

        Raises:
            ReadError: a function or operator that is not supported.
        """
        if node.kind == "number":
            return Num(number_of(node.text))
        if node.kind == "name":
            return self._name(node)
        if node.kind == "block" and len(node.args) == 1:
            return self.expression(node.args[0])
        if node.kind == "call":
            found = self.special(node)
            return self._call(node) if found is None else found
        if node.kind == "string":
            raise self.source.refused(
                node.place, f"the text {node.text!r}", "formulas have numbers only; code categories as numbers"
            )
        raise self.source.refused(node.place, "no formula", f"supported are {SUPPORTED}")

    def _name(self, node: Node) -> Expr:
        if node.text in _TIMES:
            return Name("t")
        if self.constants and node.text in self.constants:
            return Num(self.constants[node.text])
        if node.text in {"tad", "podo"}:
            raise self.source.refused(node.place, f"{node.text} is not supported", REFUSED[node.text])
        if node.text in {"NA", "NULL", "NaN"} or node.text.startswith("NA_"):
            raise self.source.refused(node.place, f"{node.text} is no value", "give a number")
        return Num(_CONSTANTS[node.text]) if node.text in _CONSTANTS else Name(node.text)

    def _call(self, node: Node) -> Expr:
        name, count = node.text, len(node.args)
        if name in REFUSED:
            raise self.source.refused(node.place, f"{name}() is not supported", REFUSED[name])
        build = self._builder(name, count)
        if build is not None:
            return build(*(self.expression(arg) for arg in node.args))
        function = _OPERATORS.get(name) or _ALIASES.get(name)
        if function is None:
            near = difflib.get_close_matches(name, [*_ALIASES, *_BUILT], n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise self.source.refused(node.place, f"{name}() is not supported", f"{hint}supported are {SUPPORTED}")
        wanted = " or ".join(map(str, FUNCTIONS[function].count))
        raise self.source.refused(node.place, f"{name}() with {count} arguments", f"it takes {wanted}")

    def _builder(self, name: str, count: int) -> Callable[..., Expr] | None:
        """What makes the expression of a function with so many arguments; None if nothing does."""
        if (name, count) in _SIGNS:
            return _SIGNS[name, count]
        if name in _BUILT and count in _BUILT[name][0]:
            return _BUILT[name][1]
        function = _OPERATORS.get(name) or _ALIASES.get(name)
        if function is not None and count in FUNCTIONS[function].count:
            return lambda *args: Call(function, args)
        return None


def number_of(text: str) -> float:
    """The value of a number as R spells it."""
    digits = text.removesuffix("L")
    return float(int(digits, 16)) if digits[:2] in {"0x", "0X"} else float(digits)
