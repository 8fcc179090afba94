"""Values of a PKPDsim file by their kind: numbers, texts, lists, and the parameters and covariates made of them."""

import math
import re
from typing import Any

from rl_drug_dosage.pharmacometrics.readers.pkpdsim.json5_text import Node
from rl_drug_dosage.pharmacometrics.readers.source_text import refused
from rl_drug_dosage.pharmacometrics.readers.written import Number, ReadError, WrittenCovariate

__all__ = ["Parts", "bare", "is_plain"]

_NAME = re.compile(r"[A-Za-z_]\w*")
_WORDS: dict[type, str] = {dict: "an object", list: "a list", str: "a text"}


class Parts:
    """The parts of a file by name. A part that is null counts as missing.

    Args:
        path: of the file, for errors.
        root: the file's value.

    Raises:
        ReadError: it is not an object.
    """

    def __init__(self, path: str, root: Node) -> None:
        self.path, self.root = path, root
        if not isinstance(root.value, dict):
            raise self.wrong(root, root.kind(), "a PKPDsim model, an object { ... }")
        self.all: dict[str, Node] = root.value

    def wrong(self, node: Node, came: str, supported: str, remedy: str = "correct the file") -> ReadError:
        """An error at a value."""
        return refused(self.path, node.place, came, supported, remedy)

    def at(self, name: str) -> Node:
        """The node of a part, or the whole file, as the place of an error."""
        return self.all.get(name, self.root)

    def part(self, name: str, kind: type, default: Any) -> Any:
        """The value of a part, which has to be of a kind."""
        node = self.all.get(name)
        if node is None or node.value is None or (kind is dict and node.value == []):
            return default
        if not isinstance(node.value, kind):
            raise self.wrong(node, f"{name} is {node.kind()}", _WORDS[kind])
        return node.value

    def inner(self, name: str, key: str) -> Node | None:
        """A value in a part that is an object; None if one of them is missing."""
        found: Node | None = self.part(name, dict, {}).get(key)
        return None if found is None or found.value is None else found

    def number(self, node: Node, what: str) -> float:
        """A finite number."""
        value = node.value
        if not isinstance(value, float) or not math.isfinite(value):
            came = f"{value}" if isinstance(value, float) else node.kind()
            raise self.wrong(node, f"{what} is {came}", "a finite number")
        return value

    def text(self, node: Node, what: str) -> str:
        """A text."""
        if not isinstance(node.value, str):
            raise self.wrong(node, f"{what} is {node.kind()}", "a text")
        return node.value

    def listed(self, node: Node | None) -> list[Node]:
        """A list, or one value in place of a list of one."""
        if node is None or node.value is None:
            return []
        return node.value if isinstance(node.value, list) else [node]

    def named(self, name: str, node: Node, what: str) -> str:
        """A name that a variable can have."""
        if not _NAME.fullmatch(name):
            raise self.wrong(node, f"the {what} {name!r}", "letters, digits and _", "rename it")
        return name

    def parameters(self) -> dict[str, Number]:
        """Typical values, with the units of ``units`` and what ``fixed`` says."""
        units = self.part("units", dict, {})
        given = self.part("parameters", dict, {})
        if not given:
            raise self.wrong(self.at("parameters"), "no parameters", "{name: value, ...}", "add them")
        fixed = set()
        for node in self.listed(self.all.get("fixed")):
            name = self.text(node, "fixed")
            if name not in given:
                raise self.wrong(node, f"fixed names {name!r}", ", ".join(given))
            fixed.add(name)
        found = {}
        for name, node in given.items():
            self.named(name, node, "parameter")
            unit = self.text(units[name], f"units.{name}") if name in units else ""
            value = self.number(node, f"parameters.{name}")
            found[name] = Number(name, value, node.place.line, unit=unit, fixed=name in fixed)
        return found

    def covariates(self, parameters: dict[str, Number]) -> tuple[WrittenCovariate, ...]:
        """Covariates: a list of names, or an object with what is known of each."""
        node = self.all.get("covariates")
        if node is None or not node.value:
            return ()
        if isinstance(node.value, dict):
            given = list(node.value.items())
        else:
            given = [(self.text(each, "covariates"), each) for each in self.listed(node)]
        found: list[WrittenCovariate] = []
        for name, each in given:
            self.named(name, each, "covariate")
            if name in parameters or name in {c.name for c in found}:
                raise self.wrong(each, f"covariate {name!r}", "a name that nothing else has", "rename it")
            facts = {}
            if isinstance(each.value, dict):
                facts = {key: str(part.value) for key, part in each.value.items() if is_plain(part)}
            unit = facts.pop("unit", "") or facts.pop("units", "")
            meaning = facts.pop("description", "")
            found.append(WrittenCovariate(name, unit, meaning, line=each.place.line, facts=facts))
        return tuple(found)


def is_plain(node: Node) -> bool:
    """Whether it is a text, a number, true or false."""
    return isinstance(node.value, str | float | bool)


def bare(node: Node) -> Any:
    """The value without places; whole numbers as such."""
    if isinstance(node.value, dict):
        return {name: bare(each) for name, each in node.value.items()}
    if isinstance(node.value, list):
        return [bare(each) for each in node.value]
    if isinstance(node.value, float) and node.value.is_integer():
        return int(node.value)
    return node.value
