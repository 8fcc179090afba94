"""What the words beside a number say: units in labels, and CVs that a variance is checked against."""

import math
import re
from collections.abc import Sequence

import numpy as np

from rl_drug_dosage.pharmacometrics.readers.rxode2.constants import constant
from rl_drug_dosage.pharmacometrics.readers.rxode2.r_nodes import Node
from rl_drug_dosage.pharmacometrics.readers.rxode2.r_syntax import parse
from rl_drug_dosage.pharmacometrics.readers.rxode2.r_tokens import Source
from rl_drug_dosage.pharmacometrics.readers.written import ReadError

__all__ = ["dois_in", "unit_in", "variance_remarks"]

_UNIT_WORD = (
    r"(?:[munpkµμ]?(?:g|L|l|mol|M|IU|U|Eq|s)|d?L|dl|h|hr|hrs|hour|hours|min|d|day|days|week|weeks|wk|month|year|yr|IU|U|"
    r"c?m|mm|m2|m\^2|mmHg|kg|cells|fraction|unitless|percent|%|1|10\^\d+|70|70kg|1\.73)"
)
_UNIT = re.compile(rf"\((\s*{_UNIT_WORD}(?:\s*[*/.]\s*\(?{_UNIT_WORD}\)?(?:\^?-?\d)?)*\s*)\)")
_PERCENT = r"(\d+(?:\.\d+)?)\s*%"
_CV = re.compile(
    rf"(?:{_PERCENT}\s*(?:CV|IIV|BSV|BPV|ISV)\b)"
    rf"|(?:\b(?:%\s*CV|CV\s*%?|IIV|BSV|BPV|ISV)\s*(?:\(\s*%?\s*(?:CV)?\s*\)|%)?\s*(?:of|is|was|=|:)?\s*{_PERCENT})",
    re.IGNORECASE,
)
_DOI = re.compile(r"\b10\.\d{4,9}/[^\s\"'<>,;]+")


def unit_in(label: str) -> str:
    """The last bracket of a label that is a unit: "Clearance (L/h)"."""
    found = _UNIT.findall(label)
    return found[-1].strip() if found else ""


def dois_in(text: str) -> list[str]:
    """The DOIs of a text, each once."""
    return list(dict.fromkeys(doi.rstrip(".)]") for doi in _DOI.findall(text)))


def variance_remarks(
    statement: Node, names: Sequence[str], variances: np.ndarray, comment: str, source: Source
) -> list[str]:
    """Compare variances with what is printed beside them.

    A variance on the log scale belongs to a CV by ``log(CV^2 + 1)``; the shorter ``CV^2`` is accepted as well.

    Args:
        statement: of the ini block.
        names: of its random effects.
        variances: of each.
        comment: the words beside it.
        source: the file.
    """
    remarks = []
    where = f"line {statement.line}"
    value = statement.args[1]
    if value.is_call("sqrt") and value.args and value.args[0].is_call("log"):
        remarks.append(
            f"{where}: {names[0]} is sqrt(log(...)), the formula of a standard deviation; ~ takes a variance, and "
            f"{variances[0]:.4g} is used as one (a CV of {_cv(variances[0]):.3g} %)"
        )
    printed = [next(text for text in found if text) for found in _CV.findall(comment)]
    if len(printed) == len(names):
        remarks += [
            f"{where}: the variance of {name} is {variance:.4g}, a CV of {_cv(variance):.3g} %; "
            f"the comment prints {text} %"
            for name, variance, text in zip(names, variances, printed, strict=True)
            if not _agrees(variance, text, _digits(value))
        ]
    elif not printed and len(names) == 1:
        remarks += _formula_remarks(where, names[0], float(variances[0]), comment, source, _digits(value))
    return remarks


def _cv(variance: float) -> float:
    return 100.0 * math.sqrt(math.expm1(variance)) if variance < 50 else math.inf


def _digits(value: Node) -> float:
    """Half a unit of the last digit of a number that is written out; 0 if it is computed."""
    return _half_unit(value.text) if value.kind == "number" else 0.0


def _half_unit(text: str) -> float:
    mantissa, _, exponent = text.lower().removesuffix("l").partition("e")
    return 0.5 * 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


def _agrees(variance: float, printed: str, rounding: float) -> bool:
    """Whether some CV that rounds to ``printed`` gives a variance that rounds to this one."""
    half = _half_unit(printed)
    low, high = ((float(printed) - half) / 100.0, (float(printed) + half) / 100.0)
    return any(
        formula(max(low, 0.0)) - rounding <= variance * (1 + 1e-9)
        and variance <= (formula(high) + rounding) * (1 + 1e-9)
        for formula in (lambda cv: math.log1p(cv * cv), lambda cv: cv * cv)
    )


def _formula_remarks(
    where: str, name: str, variance: float, comment: str, source: Source, rounding: float
) -> list[str]:
    """A formula such as ``log(0.3^2 + 1)`` in the comment, computed."""
    start = comment.find("log(")
    if start < 0:
        return []
    end, depth = start + 3, 0
    while end < len(comment):
        depth += (comment[end] == "(") - (comment[end] == ")")
        end += 1
        if depth == 0:
            break
    formula = comment[start:end]
    try:
        block, inner = parse(Source(source.path, formula, {}))
        printed = constant(block.args[0], inner, {})
    except (ReadError, IndexError):
        return []  # words, not a formula
    if "^" not in formula or printed <= 0 or abs(printed - variance) <= rounding + 1e-3 * printed:
        return []
    return [f"{where}: the variance of {name} is {variance:.4g}; the formula beside it, {formula}, is {printed:.4g}"]
