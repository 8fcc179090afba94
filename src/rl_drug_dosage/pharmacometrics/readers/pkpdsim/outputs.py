"""Outputs of a PKPDsim file and their residual errors."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from rl_drug_dosage.pharmacometrics.readers.expressions import Call, Expr, Name, names_in
from rl_drug_dosage.pharmacometrics.readers.pkpdsim.code import Statements
from rl_drug_dosage.pharmacometrics.readers.pkpdsim.json5_text import Node
from rl_drug_dosage.pharmacometrics.readers.pkpdsim.values import Parts
from rl_drug_dosage.pharmacometrics.readers.written import Number, WrittenError, WrittenOutput

__all__ = ["Outputs"]


@dataclass
class Outputs:
    """Reads ``obs`` and ``ruv``.

    Args:
        parts: of the file.
        statements: read before.
    """

    parts: Parts
    statements: Statements
    sizes: dict[str, Number] = field(default_factory=dict)
    """Standard deviations of the errors, as typical values."""
    remarks: list[str] = field(default_factory=list)

    def all(self) -> tuple[WrittenOutput, ...]:
        """Variables, or amounts over their scales.

        Raises:
            ReadError: by line and column.
        """
        variables = self.parts.listed(self.parts.inner("obs", "variable"))
        scale, unit = self.parts.inner("obs", "scale"), self.parts.inner("obs", "unit")
        if variables and scale is not None and scale.value != 1.0:
            raise self.parts.wrong(scale, "obs with scale and variable", "one of them", "leave one out")
        found: list[tuple[str, Expr, Node]] = []
        for each in variables:
            name = self.parts.text(each, "obs.variable")
            if name not in self.statements.known:
                raise self.parts.wrong(each, f"obs.variable {name!r}", "a variable that the code gives a value to")
            found.append((name, Name(name), each))
        found = found or list(self.observed())
        if len({name for name, _, _ in found}) < len(found):
            raise self.parts.wrong(self.parts.at("obs"), "an output twice", "each once", "leave one out")
        for _, expr, node in found:
            if unknown := sorted(names_in(expr) - self.statements.known):
                raise self.parts.wrong(node, f"obs reads {unknown[0]!r}", "parameters, covariates, variables")
            self.statements.read |= names_in(expr)
        said = "" if unit is None else self.parts.text(unit, "obs.unit")
        return tuple(
            WrittenOutput(name, expr, node.place.line, self.error(i, len(found)), said, i + 1)
            for i, (name, expr, node) in enumerate(found)
        )

    def observed(self) -> Iterator[tuple[str, Expr, Node]]:
        """Amounts over their scales."""
        one = Node(1.0, self.parts.at("obs").place)
        cmts = self.parts.listed(self.parts.inner("obs", "cmt")) or [one]
        scales = self.parts.listed(self.parts.inner("obs", "scale")) or [one]
        if len(scales) not in {1, len(cmts)}:
            came = f"{len(scales)} obs.scale for {len(cmts)} obs.cmt"
            raise self.parts.wrong(scales[0], came, "one, or one each")
        for i, cmt in enumerate(cmts):
            scale = scales[i if len(scales) > 1 else 0]
            name = "concentration" if len(cmts) == 1 else f"concentration_{i + 1}"
            amount = Name(self.compartment(cmt, "obs.cmt"))
            yield name, Call("/", (amount, self.statements.expression(scale, "obs.scale"))), scale

    def dosed(self) -> tuple[str, ...]:
        """The compartments that doses enter: the first one where the file names none."""
        cmts = self.parts.listed(self.parts.inner("dose", "cmt"))
        named = tuple(dict.fromkeys(self.compartment(cmt, "dose.cmt") for cmt in cmts))
        return named or tuple(self.statements.contents[:1])

    def compartment(self, node: Node, what: str) -> str:
        """A compartment by its number from 1."""
        number, contents = self.parts.number(node, what), self.statements.contents
        if number != int(number) or not 1 <= number <= len(contents):
            raise self.parts.wrong(node, f"{what} is {number:g}", f"1 to {len(contents)}")
        return contents[int(number) - 1]

    def error(self, i: int, count: int) -> WrittenError | None:
        """``prop`` and ``add`` are independent; with ``ltbs`` the error is additive on the log scale."""
        sizes = {name: size for name in ("prop", "add", "exp") if (size := self.size(name, i, count)) is not None}
        ltbs = self.parts.all.get("ltbs")
        if ltbs is not None and ltbs.value is True:
            if "prop" in sizes:
                raise self.parts.wrong(ltbs, "ltbs with a proportional error", "ltbs with ruv.add", "leave one out")
            sizes = {"exp": sizes["add"]} if "add" in sizes else sizes
        match sizes:
            case {"exp": size} if len(sizes) == 1:
                return WrittenError("lnorm", additive=size)
            case {"exp": _}:
                raise self.parts.wrong(self.parts.at("ruv"), "ruv.exp with another error", "exp, or prop and add")
            case {"add": add, "prop": prop}:
                return WrittenError("combined2", additive=add, proportional=prop)
            case {"add": add}:
                return WrittenError("add", additive=add)
            case {"prop": prop}:
                return WrittenError("prop", proportional=prop)
        self.remarks.append("no residual error: levels cannot be fitted")
        return None

    def size(self, name: str, i: int, count: int) -> Expr | None:
        """One standard deviation of an output; None where it is 0 or missing."""
        given = self.parts.listed(self.parts.inner("ruv", name))
        if not given:
            return None
        node = given[min(i, len(given) - 1)]
        value = self.parts.number(node, f"ruv.{name}")
        if value < 0:
            raise self.parts.wrong(node, f"ruv.{name} is {value:g}", "a standard deviation, 0 or more")
        if value == 0:
            return None
        key = f"ruv_{name}" if count == 1 else f"ruv_{name}_{i + 1}"
        self.sizes[key] = Number(key, value, node.place.line, f"ruv.{name}")
        return Name(key)
