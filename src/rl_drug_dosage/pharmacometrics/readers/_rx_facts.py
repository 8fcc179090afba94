"""What a model function says beside its equations: description, reference, units, population, covariates."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rl_drug_dosage.pharmacometrics.readers._r_syntax import Node
from rl_drug_dosage.pharmacometrics.readers._r_tokens import Source
from rl_drug_dosage.pharmacometrics.readers._rx_constants import value_of
from rl_drug_dosage.pharmacometrics.readers._rx_expressions import Formulas
from rl_drug_dosage.pharmacometrics.readers._rx_remarks import dois_in
from rl_drug_dosage.pharmacometrics.readers.expressions import Call, Expr, Name, Num, walk
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
    """Read the assignments of a model function that are neither ini nor model; what is no text or number is left out."""
    said = Said()
    for statement in statements:
        if not (statement.is_call("<-", "=") and statement.args[0].kind in {"name", "string"}):
            continue
        name, value = statement.args[0].text, statement.args[1]
        if name in _COVARIATES and value.is_call("list", "c"):
            _covariates(said, value)
        elif name == "units" and value.is_call("list", "c"):
            for key, arg in zip(value.names, value.args, strict=True):
                if key.lower() in _UNITS and (text := _text(arg)):
                    said.units[_UNITS[key.lower()]] = text
        elif name == "dosing" and (compartments := _texts(value)):
            said.dosed = tuple(compartments)
        elif value.is_call("list"):
            for key, arg in zip(value.names, value.args, strict=True):
                if key and (text := _text(arg)):
                    said.facts[f"{name}.{key}"] = text
        elif text := _text(value):
            said.facts[name] = text
            number = _number(value, source, said.constants)
            if number is not None:
                said.constants[name] = number
    _name_population(said)
    dois = dois_in(" ".join(said.facts.get(name, "") for name in ("reference", "doi", "description", "vignette")))
    if dois:
        said.facts["doi"] = dois[0]
    return said


def _name_population(said: Said) -> None:
    words = [text for name, text in said.facts.items() if name.startswith("population.")]
    if words and "population" not in said.facts:
        parts = {
            name.removeprefix("population."): text
            for name, text in said.facts.items()
            if name.startswith("population.")
        }
        said.facts["population"] = "; ".join(f"{name.replace('_', ' ')}: {text}" for name, text in parts.items())


def _covariates(said: Said, value: Node) -> None:
    for key, arg in zip(value.names, value.args, strict=True):
        if not key:
            continue
        if arg.is_call("list", "c"):
            entries = {name: text for name, part in zip(arg.names, arg.args, strict=True) if (text := _text(part))}
            meaning, unit = entries.pop("description", ""), entries.pop("units", entries.pop("unit", ""))
            said.covariates[key] = WrittenCovariate(key, unit, meaning, None, arg.line, entries)
        elif text := _text(arg):
            found = _UNIT_AT_END.search(text)
            unit = (found[1] or found[2]).strip() if found else ""
            said.covariates[key] = WrittenCovariate(
                key, unit if " " not in unit and "=" not in unit else "", text, None, arg.line
            )


def _text(node: Node) -> str:
    """The words of a text, number, ``paste(...)`` or vector; empty if it is something else."""
    return " ".join(_texts(node))


def _texts(node: Node) -> list[str]:
    if node.kind == "string":
        return [node.text]
    if node.kind == "number":
        return [node.text.removesuffix("L")]
    if node.kind == "name":
        return [node.text] if node.text in {"TRUE", "FALSE"} else []
    if node.is_call("-") and len(node.args) == 1 and node.args[0].kind == "number":
        return ["-" + node.args[0].text.removesuffix("L")]
    if node.is_call("c", "paste", "paste0"):
        parts = [
            text
            for name, arg in zip(node.names, node.args, strict=True)
            if name not in {"sep", "collapse"}
            for text in _texts(arg)
        ]
        if node.text == "c":
            return parts
        return [("" if node.text == "paste0" else " ").join(parts)] if parts else []
    return []


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
