"""Statements of a PKPDsim file, in the order in which PKPDsim computes them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rl_drug_dosage.pharmacometrics.readers.expressions import Call, Expr, Name, Num, call, names_in, walk
from rl_drug_dosage.pharmacometrics.readers.pkpdsim.c_code import read_code
from rl_drug_dosage.pharmacometrics.readers.pkpdsim.c_expressions import Rules
from rl_drug_dosage.pharmacometrics.readers.pkpdsim.json5_text import Node
from rl_drug_dosage.pharmacometrics.readers.pkpdsim.structures import ode_code_of
from rl_drug_dosage.pharmacometrics.readers.pkpdsim.values import Parts
from rl_drug_dosage.pharmacometrics.readers.source_text import Place, refused
from rl_drug_dosage.pharmacometrics.readers.written import Assign, AssignKind, Number, WrittenCovariate

__all__ = ["Statements", "contents_of"]

_MOST_COMPARTMENTS = 200
_NOT_BY_DOSE = "a model that depends on the dose or its time is not read: give what it depends on as a covariate"
_UNSUPPORTED = {
    "times": "use t in ode_code",
    "doses": _NOT_BY_DOSE,
    "prv_dose": _NOT_BY_DOSE,
    "t_prv_dose": _NOT_BY_DOSE,
    "dose_type": _NOT_BY_DOSE,
    "dose_cmt": _NOT_BY_DOSE,
    "conc": "name the concentration in a variable",
    "rate": "PKPDsim adds infusions itself: leave it out",
}
_ODE: frozenset[AssignKind] = frozenset({"derivative"})
_START: frozenset[AssignKind] = frozenset({"start"})


def contents_of(parts: Parts, taken: frozenset[str]) -> tuple[str, ...]:
    """Names of the compartments: cmt1, cmt2, ... as ``obs`` and ``dose`` count them.

    Args:
        parts: of the file.
        taken: names of parameters and covariates.
    """
    node = parts.all.get("n_comp")
    if node is None or node.value is None:
        node = parts.at("ode_code")
        code = node.value if isinstance(node.value, str) else _structure(parts)
        count = 1.0 + max((int(n[:6]) for n in re.findall(r"dAdt\s*\[\s*(\d+)", code)), default=-1)
    else:
        count = parts.number(node, "n_comp")
    if count != int(count) or not 1 <= count <= _MOST_COMPARTMENTS:
        raise parts.wrong(node, f"{count:g} compartments", f"1 to {_MOST_COMPARTMENTS}")
    stem = "cmt" if not any(name.startswith("cmt") for name in taken) else "compartment"
    return tuple(f"{stem}{i + 1}" for i in range(int(count)))


def _structure(parts: Parts) -> str:
    """Equations of a structure that is given by its name in place of ode_code."""
    node = parts.all.get("implementation") or parts.inner("misc", "model_type")
    named = "" if node is None else parts.text(node, "model_type")
    variables = {each.value for each in parts.listed(parts.all.get("variables")) if isinstance(each.value, str)}
    code, lacking = ode_code_of(named, {*parts.part("parameters", dict, {}), *variables})
    if lacking:
        raise parts.wrong(
            node or parts.root, f"no ode_code, and {lacking}", "ode_code, or a structure's name", "add it"
        )
    return code


@dataclass
class Statements:
    """Reads the code of a file.

    Args:
        parts: of the file.
        parameters, covariates: that the code reads.
        varied: parameters with a random effect.
        kappas: effects between occasions, by name.
        contents: names of the compartments.
    """

    parts: Parts
    parameters: Mapping[str, Number]
    covariates: Sequence[WrittenCovariate]
    varied: tuple[str, ...]
    kappas: Mapping[str, Number]
    contents: tuple[str, ...]
    remarks: list[str] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    """Names that have a value after the last statement."""
    read: set[str] = field(default_factory=set)
    """Names that some expression reads."""

    def all(self) -> list[Assign]:
        """Individual parameters, pk_code, dose_code, ode_code, the initial state, bioavailability and lag.

        Raises:
            ReadError: by line and column.
        """
        found = [
            Assign(f"{name}_patient", call("*", name, call("exp", f"eta_{name}")), self.parameters[name].line)
            for name in self.varied
        ]
        found += self.code("pk_code", frozenset(), found)
        found += self.code("dose_code", frozenset(), found)
        ode = self.code("ode_code", _ODE, found)
        if not ode:
            code = _structure(self.parts)
            lines = (self.parts.root.place,) * (code.count("\n") + 1)
            ode = self.statements(code, lines, 0, _ODE, found)
        if any("scale" in names_in(each.expr) for each in ode):
            scales = self.parts.listed(self.parts.inner("obs", "scale"))
            if len(scales) != 1:
                raise self.parts.wrong(self.parts.at("obs"), "ode_code reads scale", "one obs.scale", "write it out")
            found.append(Assign("scale", self.expression(scales[0], "obs.scale"), scales[0].place.line))
        found += ode
        found += self.code("state_init", _START, found)
        found += self.dosing()
        self.check(found)
        return found

    def code(self, name: str, assigns: frozenset[AssignKind], before: list[Assign]) -> tuple[Assign, ...]:
        """The statements of one piece of code."""
        text = self.parts.part(name, str, "")
        # PKPDsim counts from 1 everywhere but in ode_code, unless a 0 shows that the author did not.
        first = 0 if name == "ode_code" or re.search(r"\bA\s*\[\s*0\s*\]", text) else 1
        return self.statements(text, self.parts.at(name).lines, first, assigns, before)

    def statements(
        self, text: str, lines: Sequence[Place], first: int, assigns: frozenset[AssignKind], before: list[Assign]
    ) -> tuple[Assign, ...]:
        again = "PKPDsim would change it again at every event: use a variable of another name"
        kept = dict.fromkeys((*self.parameters, *(c.name for c in self.covariates)), again)
        kept |= dict.fromkeys(self.kappas, "it is an effect between occasions")
        kept |= {"t": "it is the time", "scale": "it is obs.scale"}
        kept |= dict.fromkeys(self.contents, "it is the name of a compartment: rename the variable")
        renamed = {name: f"{name}_patient" for name in self.varied}
        rules = Rules(self.contents, first, assigns, renamed, kept, _UNSUPPORTED)
        done = frozenset((each.target, each.kind) for each in before)
        found = read_code(self.parts.path, text, lines or (Place(1, 1),), rules, done)
        self.remarks += found.remarks
        return found.statements

    def expression(self, node: Node, what: str) -> Expr:
        """A number, or an expression in a text."""
        if not isinstance(node.value, str):
            return Num(self.parts.number(node, what))
        if not node.value.strip() or re.search(r"[;\n{}]", node.value):
            raise self.parts.wrong(node, f"{what} {node.value[:40]!r}", "an expression")
        # The column of the expression's first letter, behind what is put before it.
        before = "x_ = "
        start = Place(node.lines[0].line, node.lines[0].column - len(before))
        return self.statements(f"{before}{node.value}", (start,), 1, frozenset(), [])[0].expr

    def dosing(self) -> Iterator[Assign]:
        """Bioavailability and lag of each compartment, where they are not 1 and 0."""
        for name in ("duplicate", "duration_scale"):
            node = self.parts.inner("dose", name)
            if node is not None and node.value:
                raise self.parts.wrong(node, f"dose.{name}", "cmt, bioav", "leave it out, or give the doses so")
        places: tuple[tuple[str, AssignKind, Node | None, float], ...] = (
            ("dose.bioav", "bioavailability", self.parts.inner("dose", "bioav"), 1.0),
            ("lagtime", "lag", self.parts.all.get("lagtime"), 0.0),
        )
        for what, kind, node, default in places:
            given = self.parts.listed(node)
            if len(given) > len(self.contents):
                came = f"{what} of {len(given)} compartments"
                raise self.parts.wrong(given[-1], came, f"up to {len(self.contents)}")
            for compartment, each in zip(self.contents, given, strict=False):
                if each.value in ("NULL", "undefined", None):
                    continue
                expr = self.expression(each, what)
                if expr != Num(default):
                    yield Assign(compartment, expr, each.place.line, kind)

    def check(self, statements: list[Assign]) -> None:
        """Every name that is read has a value by then, and every compartment has an equation."""
        known = {"t", *self.contents, *self.parameters, *(c.name for c in self.covariates), *self.kappas}
        known |= {f"eta_{name}" for name in self.varied}
        for each in statements:
            names = {name for name in names_in(each.expr) if not name.startswith("_")}
            for name in sorted(names - known):
                came = f"{name!r} is read before it has a value"
                if name.startswith("kappa_"):
                    came = f"{name!r} is read, and iov.cv has no {name.removeprefix('kappa_')}"
                supported = "parameters, covariates, t, variables that have a value"
                remedy = "give it a value, or correct the name"
                raise refused(self.parts.path, Place(each.line, 1), came, supported, remedy)
            self.read |= names
            if each.kind == "value":
                known.add(each.target)
        self.known = known
        derived = {each.target for each in statements if each.kind == "derivative"}
        for i, name in enumerate(self.contents):
            if name not in derived:
                supported = f"one for each of {len(self.contents)} compartments"
                raise self.parts.wrong(self.parts.at("n_comp"), f"no dAdt[{i}]", supported, "add it")
        self.check_start(statements)

    def check_start(self, statements: list[Assign]) -> None:
        """A content that something is divided by needs an initial state; PKPDsim's users give it as ``A_init``."""
        filled = {each.target for each in statements if each.kind == "start"}
        for each in statements:
            for part in walk(each.expr):
                if not isinstance(part, Call) or part.function != "/" or not isinstance(part.args[1], Name):
                    continue
                name = part.args[1].name
                if name in self.contents and name not in filled:
                    number = self.contents.index(name)
                    came = f"a division by A[{number}], which starts at 0"
                    remedy = f'add it to the file: state_init: "A[{number}] = ...", what `A_init` is in PKPDsim'
                    supported = "a state_init for such a compartment"
                    raise refused(self.parts.path, Place(each.line, 1), came, supported, remedy)
