"""What a model function says beside its equations: description, reference, units, population, covariates."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rl_drug_dosage.pharmacometrics.readers.expressions import Call, Expr, Name, Num, walk
from rl_drug_dosage.pharmacometrics.readers.rxode2.constants import value_of
from rl_drug_dosage.pharmacometrics.readers.rxode2.expressions import Formulas
from rl_drug_dosage.pharmacometrics.readers.rxode2.r_nodes import Node
from rl_drug_dosage.pharmacometrics.readers.rxode2.r_tokens import Source
from rl_drug_dosage.pharmacometrics.readers.rxode2.remarks import dois_in
from rl_drug_dosage.pharmacometrics.readers.written import Assign, ReadError, WrittenCovariate

__all__ = ["Said", "centres", "read_facts"]

_COVARIATES = frozenset({"covariateData", "covariates", "covariatesData"})
_UNITS = {
    "time": "time",
    "dosing": "dose",
    "dose": "dose",
    "amount": "dose",
    "concentration": "concentration",
    "conc": "concentration",
}
_POPULATION = {
    "population.n_subjects": "subjects",
    "population.disease_state": "",
    "population.age_range": "",
    "population.weight_range": "",
}
_NO_UNIT = frozenset({"", "binary", "unitless", "count", "categorical", "index", "fraction"})
_FIRST_NUMBER = re.compile(r"\s*(-?\d+(?:\.\d+)?)\b")
_UNIT_AT_END = re.compile(r"(?:\bin\s+(\w[\w/^.]*)|\(([^()]*)\))\s*$")


@dataclass
class Said:
    """What stands before ini.

    Args:
        facts: words by name; those of a list by ``list.name``.
        units: "time", "dose", "concentration".
        covariates: by name.
        dosed: compartments.
        constants: numbers that the function assigns.
    """

    facts: dict[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    covariates: dict[str, WrittenCovariate] = field(default_factory=dict)
    dosed: tuple[str, ...] = ()
    constants: dict[str, float] = field(default_factory=dict)


def read_facts(statements: Iterable[Node], source: Source) -> Said:
    """Read the assignments of a model function before ini and model; what is neither text nor number is left out."""
    said = Said()
    for statement in statements:
        if statement.is_call("<-", "=") and statement.args[0].kind in {"name", "string"}:
            _read_fact(said, statement.args[0].text, statement.args[1], source)
    subjects = [f"{said.facts[key]} {word}".strip() for key, word in _POPULATION.items() if key in said.facts]
    if subjects and "population" not in said.facts:
        said.facts["population"] = "; ".join(subjects)
    dois = dois_in(" ".join(said.facts.get(name, "") for name in ("reference", "doi", "description", "vignette")))
    if dois:
        said.facts["doi"] = dois[0]
    return said


def _read_fact(said: Said, name: str, value: Node, source: Source) -> None:
    if name in _COVARIATES and value.is_call("list", "c"):
        _covariates(said, value)
    elif name == "units" and value.is_call("list", "c"):
        words = {_UNITS.get(key.lower(), ""): _text(arg) for key, arg in zip(value.names, value.args, strict=True)}
        said.units.update({key: text for key, text in words.items() if key and text})
    elif name == "dosing" and (compartments := _texts(value)):
        said.dosed = tuple(compartments)
    elif value.is_call("list"):
        words = {key: _text(arg) for key, arg in zip(value.names, value.args, strict=True)}
        said.facts.update({f"{name}.{key}": text for key, text in words.items() if key and text})
    elif text := _text(value):
        said.facts[name] = text
        number = _number(value, source, said.constants)
        if number is not None:
            said.constants[name] = number


def _covariates(said: Said, value: Node) -> None:
    for key, arg in zip(value.names, value.args, strict=True):
        if not key:
            continue
        if arg.is_call("list", "c"):
            said.covariates[key] = _covariate(key, arg)
        elif text := _text(arg):
            found = _UNIT_AT_END.search(text)
            unit = (found[1] or found[2]).strip() if found else ""
            unit = "" if " " in unit or "=" in unit else unit
            said.covariates[key] = WrittenCovariate(key, unit, text, None, arg.line)


def _covariate(name: str, node: Node) -> WrittenCovariate:
    """What ``list(description =, units =, type =, reference_category =, notes =)`` says."""
    entries = {key: text for key, part in zip(node.names, node.args, strict=True) if (text := _text(part))}
    meaning, unit = entries.pop("description", ""), entries.pop("units", entries.pop("unit", ""))
    is_category = entries.get("type", "") in {"binary", "categorical"} or unit == "(binary)"
    if (unit or is_category) and unit.strip("()-") in _NO_UNIT:
        unit = "1"
    first = _FIRST_NUMBER.match(entries.get("reference_category", "")) if is_category else None
    return WrittenCovariate(name, unit, meaning, float(first[1]) if first else None, node.line, entries)


def _text(node: Node) -> str:
    """The words of a text, number, ``paste(...)`` or vector; empty if it is something else."""
    return " ".join(_texts(node))


def _texts(node: Node) -> list[str]:
    if node.kind in {"string", "number"}:
        return [node.text if node.kind == "string" else node.text.removesuffix("L")]
    if node.kind == "name":
        return [node.text] if node.text in {"TRUE", "FALSE"} else []
    if node.is_call("-") and len(node.args) == 1:
        return ["-" + text for text in _texts(node.args[0])]
    if not node.is_call("c", "paste", "paste0"):
        return []
    named = zip(node.names, node.args, strict=True)
    if node.text == "c":
        return [f"{name} {text}".strip() for name, arg in named for text in _texts(arg)]
    parts = [text for name, arg in named if name not in {"sep", "collapse"} for text in _texts(arg)]
    return [("" if node.text == "paste0" else " ").join(parts)] if parts else []


def _number(node: Node, source: Source, known: Mapping[str, float]) -> float | None:
    if node.kind == "string":
        return None
    try:
        value = value_of(Formulas(source, constants=known).expression(node))
    except (ReadError, KeyError, ArithmeticError, ValueError):
        return None
    return value if math.isfinite(value) else None


def centres(assigns: Iterable[Assign], names: Iterable[str]) -> dict[str, float]:
    """The value at which formulas centre each covariate: 70 of ``WT / 70``, ``WT - 70``; those with one such value."""
    wanted = set(names)
    found: dict[str, set[float]] = {name: set() for name in wanted}
    for assign in assigns:
        for part in walk(assign.expr):
            name, value = _centred(part)
            if name in wanted and value:
                found[name].add(value)
    return {name: values.pop() for name, values in found.items() if len(values) == 1}


def _centred(part: Expr) -> tuple[str, float]:
    match part:
        case Call("/" | "-", (Name(name), Num(value))) if value > 0:
            return name, value
    return "", 0.0
