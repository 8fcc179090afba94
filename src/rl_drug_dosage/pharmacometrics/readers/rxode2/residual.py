"""Residual errors of rxode2: what stands right of ``~`` in ``cp ~ add(a) + prop(b)``."""

import math
from collections.abc import Mapping
from typing import Literal

from rl_drug_dosage.pharmacometrics.readers.expressions import Expr, call
from rl_drug_dosage.pharmacometrics.readers.rxode2.constants import constant
from rl_drug_dosage.pharmacometrics.readers.rxode2.expressions import Formulas
from rl_drug_dosage.pharmacometrics.readers.rxode2.r_nodes import Node
from rl_drug_dosage.pharmacometrics.readers.written import WrittenError

__all__ = ["is_residual", "other_distribution", "residual"]

type ErrorKind = Literal["add", "prop", "combined1", "combined2", "pow", "lnorm", "logit"]

_ADDITIVE = frozenset({"add", "norm", "dnorm"})
_LOGNORMAL = frozenset({"lnorm", "dlnorm", "logn", "dlogn", "lognorm"})
_COMBINED = {"combined1": "combined1", "comb1": "combined1", "combined2": "combined2", "comb2": "combined2"}
_KINDS: Mapping[frozenset[str], ErrorKind] = {
    frozenset({"add"}): "add",
    frozenset({"prop"}): "prop",
    frozenset({"pow"}): "pow",
    frozenset({"lnorm"}): "lnorm",
    frozenset({"logitNorm"}): "logit",
    frozenset({"add", "prop"}): "combined2",
    frozenset({"add", "pow"}): "combined2",
}
"""By the functions of the sum; nlmixr2 takes combined2 where nothing is said."""
_SUPPORTED = (
    "residual errors are add(a), prop(b), pow(b, c), lnorm(a), logitNorm(a, low, high), and add() + prop() or "
    "add() + pow() with or without combined1() or combined2()"
)
_READ = frozenset(
    {"prop", "propT", "pow", "powT", "logitNorm", "dlogitNorm", "var", *_ADDITIVE, *_LOGNORMAL, *_COMBINED}
)
_REFUSED = frozenset({"probitNorm", "dprobitNorm", "dv"})
_OTHERS = frozenset(
    {
        "boxCox", "yeoJohnson", "propF", "powF", "ar", "lar",
        "t", "dt", "cauchy", "dcauchy", "pois", "dpois", "binom", "dbinom", "nbinom", "nbinomMu", "dnbinom",
        "dnbinomMu", "bern", "dbern", "geom", "dgeom", "hyper", "dhyper", "unif", "dunif", "weibull", "dweibull",
        "dbeta", "chisq", "dchisq", "dexp", "dgamma", "ordinal", "c",
    }
)  # fmt: skip
_TWO = frozenset({"beta", "gamma", "f"})
"""Functions of a formula that are distributions when they have two arguments."""


def _terms(node: Node) -> list[Node]:
    out = []
    while node.is_call("+") and len(node.args) == 2:
        out.append(node.args[1])
        node = node.args[0]
    return [node, *out[::-1]]


def _calls(node: Node) -> list[Node]:
    inner = node.args[0] if node.is_call("|", "||") else node
    return [term for term in _terms(inner) if term.kind == "call"]


def other_distribution(node: Node) -> str:
    """The part of a distribution that residual errors here do not have: a count, a tail, a transform; empty if none."""
    found = (term.text for term in _calls(node) if term.text in _OTHERS or (term.text in _TWO and len(term.args) > 1))
    return next(found, "")


def is_residual(node: Node) -> bool:
    """Whether what stands right of ``~`` is a distribution, not a value that is kept out of the output."""
    return bool(other_distribution(node)) or any(term.text in _READ or term.text in _REFUSED for term in _calls(node))


def residual(node: Node, formulas: Formulas) -> tuple[WrittenError, str]:
    """The error, and the name after ``|``; empty if there is none.

    Raises:
        ReadError: a distribution or a combination that is not supported.
    """
    source, condition = formulas.source, ""
    if node.is_call("|", "||"):
        if node.args[1].kind not in {"name", "string", "number"}:
            raise source.refused(node.args[1].place, "no name of an output", "write cp ~ add(a) | name")
        condition, node = node.args[1].text, node.args[0]
    parts: dict[str, Node] = {}
    terms = _terms(node)
    if len(terms) > 1:  # `add(a) + dnorm()` only names the distribution
        terms = [term for term in terms if term.args or term.text not in {"norm", "dnorm"}]
    for term in terms:
        if term.kind != "call" or term.text not in _READ:
            what = f"{term.text}()" if term.kind == "call" else "a residual error without a name"
            raise source.refused(term.place, f"{what} is not supported", _SUPPORTED)
        role = _role(term.text)
        if role in parts:
            raise source.refused(term.place, f"{term.text}() a second time", _SUPPORTED)
        parts[role] = term
    return _error(parts, formulas, node), condition


def _role(function: str) -> str:
    if function in _ADDITIVE:
        return "add"
    if function in _LOGNORMAL:
        return "lnorm"
    if function in _COMBINED:
        return "combined"
    return {"propT": "prop", "powT": "pow", "dlogitNorm": "logitNorm"}.get(function, function)


def _error(parts: dict[str, Node], formulas: Formulas, node: Node) -> WrittenError:
    source = formulas.source
    as_variances = parts.pop("var", None) is not None
    combined = parts.pop("combined", None)
    roles = frozenset(parts)
    kind = _KINDS.get(roles)
    if kind is None or (combined is not None and kind != "combined2"):
        came = " + ".join(f"{term.text}()" for term in (*parts.values(), *([combined] if combined else ())))
        raise source.refused(node.place, f"{came or 'no residual error'} is not supported", _SUPPORTED)
    if combined is not None and _COMBINED[combined.text] == "combined1":
        kind = "combined1"
    sizes: list[Expr | None] = []
    for role, i in (("add", 0), ("prop", 0), ("pow", 0), ("lnorm", 0), ("logitNorm", 0), ("pow", 1)):
        if role not in parts:
            sizes.append(None)
            continue
        term = parts[role]
        if i >= len(term.args):
            raise source.refused(term.place, f"{term.text}() with {len(term.args)} arguments", _SUPPORTED)
        found = formulas.expression(term.args[i])
        sizes.append(call("sqrt", found) if as_variances and i == 0 else found)
    add, prop, power, log, logit, exponent = sizes
    low, high = _bounds(parts["logitNorm"], formulas) if "logitNorm" in parts else (0.0, 1.0)
    return WrittenError(kind, add or log or logit, prop or power, exponent, low, high)


def _bounds(term: Node, formulas: Formulas) -> tuple[float, float]:
    given = [constant(arg, formulas.source, {}) for arg in term.args[1:3]]
    low, high = (*given, *(0.0, 1.0)[len(given) :])
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise formulas.source.refused(
            term.place, f"bounds {low:g} and {high:g}", "give logitNorm(a, low, high) with low < high"
        )
    return low, high
