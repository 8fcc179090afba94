"""The block ``model({...})``: statements, compartments and outputs."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from rl_drug_dosage.pharmacometrics.readers.expressions import Expr, Num
from rl_drug_dosage.pharmacometrics.readers.rxode2.expressions import REFUSED, Formulas, number_of
from rl_drug_dosage.pharmacometrics.readers.rxode2.last_dose import LOOKING, LastDoses
from rl_drug_dosage.pharmacometrics.readers.rxode2.lincmt import LinearModel, linear_model
from rl_drug_dosage.pharmacometrics.readers.rxode2.r_nodes import Node, derivative_of, walk_nodes
from rl_drug_dosage.pharmacometrics.readers.rxode2.r_tokens import Source
from rl_drug_dosage.pharmacometrics.readers.rxode2.residual import is_residual, other_distribution, residual
from rl_drug_dosage.pharmacometrics.readers.rxode2.targets import PROPERTIES, SUPPORTED, Targets
from rl_drug_dosage.pharmacometrics.readers.written import Assign, AssignKind, LastDose, WrittenOutput, merged

__all__ = ["MOST_STATEMENTS", "UNDOSED", "Statements", "read_statements"]

MOST_STATEMENTS = 3000
UNDOSED = "no_effect"
"""The compartment of a model that has none."""
_DEFAULTS: dict[AssignKind, float] = {"bioavailability": 1.0, "lag": 0.0}
_SILENT = frozenset({"cmt", "param", "params", "locf", "factor", "ordinal", "label", "matExp", "indLin"})
_INTERPOLATED = frozenset({"linear", "nocb", "midpoint"})


@dataclass
class Statements:
    """What a model block says.

    Args:
        assigns: without branches.
        compartments: in the order in which doses count them.
        outputs: with their residual errors.
        last_doses: compartments whose last dose is looked at.
        remarks: what was left out.
    """

    assigns: list[Assign] = field(default_factory=list)
    compartments: list[str] = field(default_factory=list)
    outputs: list[WrittenOutput] = field(default_factory=list)
    last_doses: list[LastDose] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def read_statements(block: Node, source: Source, parameters: Sequence[str]) -> Statements:
    """Read the statements of a model block.

    Args:
        block: its braces.
        source: the file.
        parameters: names that ini gives values to.

    Raises:
        ReadError: a statement or function that is not supported.
    """
    return _Reader(block, source, parameters).read()


class _Reader:
    def __init__(self, block: Node, source: Source, parameters: Sequence[str]) -> None:
        self.block, self.source, self.parameters = block, source, parameters
        self.out = Statements()
        self.formulas = Formulas(source, self._special)
        self.count = 0
        self.before: dict[tuple[str, str], None] = {}
        self.rates: dict[str, Expr] = {}
        self.linear: LinearModel | None = None
        self.is_solved = False
        self.waiting: list[Assign] = []
        self.codes: list[int] = []
        self.state = ""
        nodes = walk_nodes(block)
        self.states = {state.text for node in nodes if (state := derivative_of(node))}
        self.linear_node = next((node for node in nodes if node.is_call("linCmt")), None)
        self.nodes = nodes
        self.targets = Targets(source, frozenset(self.states), self._solved_compartments)
        first = next((state.text for node in nodes if (state := derivative_of(node))), "depot")
        self.last_doses = LastDoses(source, self.formulas, first)

    def read(self) -> Statements:
        for statement in self.block.args:
            found = self._statement(statement)
            self.out.assigns += self.waiting
            self.waiting = []
            self._keep(found)
        if self.linear is not None:
            assert self.linear_node is not None
            for name in set(self.linear.compartments) & set(self.out.compartments):
                raise self.source.refused(
                    self.linear_node.place, f"linCmt() has a compartment {name!r}, as d/dt({name})", "rename that one"
                )
            self.out.compartments += self.linear.compartments
        for name in self.last_doses.looked:
            self.out.assigns, self.out.outputs, last = self.last_doses.applied(
                name, self.out.compartments, self.out.assigns, self.out.outputs
            )
            self.out.last_doses.append(last)
            self.out.compartments += [last.content, last.last_dose, last.time_after_dose]
        if not self.out.compartments:
            self.out.compartments.append(UNDOSED)
            self.out.assigns.append(Assign(UNDOSED, Num(0.0), self.block.line, "derivative"))
            self.out.remarks.append(f"line {self.block.line}: the model has no compartments, so doses do not change it")
        if len(self.out.outputs) > 1:
            codes = self.codes if len(self.codes) == len(self.out.outputs) else range(1, len(self.out.outputs) + 1)
            self.out.outputs = [
                replace(output, code=code) for output, code in zip(self.out.outputs, codes, strict=True)
            ]
        return self.out

    def _keep(self, assigns: Sequence[Assign]) -> None:
        self.out.assigns += assigns
        self.before.update(dict.fromkeys((a.target, a.kind) for a in assigns))

    def _statement(self, node: Node) -> list[Assign]:
        self.count += 1
        if self.count > MOST_STATEMENTS:
            raise self.source.refused(
                node.place, f"more than {MOST_STATEMENTS:,} statements", "keep one model in the file"
            )
        if node.kind == "block":
            return self._branch(node)
        if node.is_call("if"):
            return self._if(node)
        if node.is_call("<-", "="):
            return self._assignment(node.args[0], node.args[1])
        if node.is_call("~") and len(node.args) == 2:
            if is_residual(node.args[1]) or node.args[0].is_call("ll"):
                self._output(node)
                return []
            return self._assignment(node.args[0], node.args[1])
        if node.kind == "call":
            return self._call(node)
        raise self.source.refused(node.place, "no statement of a model", SUPPORTED)

    def _call(self, node: Node) -> list[Assign]:
        first = node.args[0] if node.args else None
        if node.text == "cmt" and first is not None and first.kind == "name":
            self._compartment(first.text)
        elif node.text == "dvid":
            self.codes = [int(number_of(arg.text)) for arg in node.args if arg.kind == "number"]
        elif node.text in _INTERPOLATED:
            names = ", ".join(arg.text for arg in node.args if arg.kind == "name")
            where = f"line {node.line}"
            self.out.remarks.append(f"{where}: {node.text}({names}) is not followed; covariates keep their last value")
        elif node.text in REFUSED and node.text not in PROPERTIES:
            raise self.source.refused(node.place, f"{node.text}() is not supported", REFUSED[node.text])
        elif node.text not in _SILENT:
            raise self.source.refused(node.place, f"{node.text}() is no statement of a model", SUPPORTED)
        return []

    def _if(self, node: Node) -> list[Assign]:
        condition = self.formulas.expression(node.args[0])
        branches: list[list[Assign]] = []
        outer = dict(self.before)
        for branch in node.args[1:]:
            self.before = dict(outer)
            if any(part.is_call("~") and is_residual(part.args[-1]) for part in branch.args if part.kind == "call"):
                raise self.source.refused(
                    branch.place, "a residual error inside if", "put it after the if, for all patients"
                )
            branches.append(self._branch(branch))
        self.before = outer
        then, otherwise = branches[0], branches[1] if len(branches) > 1 else []
        out = []
        for assign in (*then, *otherwise):
            if assign.kind in _DEFAULTS and (assign.target, assign.kind) not in self.before:
                default = Assign(assign.target, Num(_DEFAULTS[assign.kind]), node.line, assign.kind)
                out.append(default)
                self.before[assign.target, assign.kind] = None
        out += merged(condition, then, otherwise, frozenset(self.before))
        self.before.update(dict.fromkeys((a.target, a.kind) for a in out))
        return out

    def _branch(self, node: Node) -> list[Assign]:
        out = []
        for statement in node.args if node.kind == "block" else (node,):
            found = self._statement(statement)
            self.before.update(dict.fromkeys((a.target, a.kind) for a in found))
            out += found
        return out

    # What is assigned

    def _assignment(self, target: Node, value: Node) -> list[Assign]:
        name, kind = self.targets.assigned(target)
        if not kind:
            return []
        self.state = name if kind == "derivative" else ""
        expr = self.formulas.expression(value)
        if kind == "derivative":
            self._compartment(name)
            self.rates[name] = expr
        return [Assign(name, expr, target.line, kind)]

    def _compartment(self, name: str) -> None:
        if name not in self.out.compartments:
            self.out.compartments.append(name)

    # Formulas that only the statements can explain

    def _special(self, node: Node) -> Expr | None:
        if node.text == "linCmt":
            return self._solved()
        if node.text in LOOKING:
            return self.last_doses.expression(node, self.state)
        state = derivative_of(node)
        if state is not None:
            if state.text not in self.rates:
                raise self.source.refused(
                    node.place, f"d/dt({state.text}) is read before it has a value", "put it after the equation"
                )
            return self.rates[state.text]
        return None

    def _linear(self) -> LinearModel:
        if self.linear is None:
            assert self.linear_node is not None
            assigned = [
                node.args[0].text for node in self.nodes if node.is_call("<-", "=") and node.args[0].kind == "name"
            ]
            read = [node.text for node in self.nodes if node.kind == "name" and node.text not in set(assigned)]
            self.linear = linear_model(self.linear_node, self.source, assigned, [*self.parameters, *read])
        return self.linear

    def _solved_compartments(self) -> tuple[str, ...]:
        return () if self.linear_node is None else self._linear().compartments

    def _solved(self) -> Expr:
        """The value of ``linCmt()``; its equations stand before the statement that has the first one."""
        linear = self._linear()
        if not self.is_solved:
            self.waiting += linear.statements
            self.is_solved = True
        return linear.concentration

    # Outputs

    def _output(self, node: Node) -> None:
        target = node.args[0]
        other = "ll" if target.is_call("ll") else other_distribution(node.args[1])
        if other:
            where = f"line {node.line}"
            self.out.remarks.append(
                f"{where}: {other}() is not used: there is no residual error, and no estimation from it"
            )
            if target.kind == "name" and ((target.text, "value") in self.before or target.text in self.states):
                self.out.outputs.append(WrittenOutput(target.text, self.formulas.expression(target), node.line))
            return
        error, condition = residual(node.args[1], self.formulas)
        if target.is_call("linCmt"):
            name, expr = condition or "cp", self._solved()
        elif target.kind == "name":
            name, expr = target.text, self.formulas.expression(target)
        else:
            raise self.source.refused(
                target.place, "no name of an output", "give the output a variable, and write cp ~ add(a)"
            )
        if any(output.name == name for output in self.out.outputs):
            name = condition or name
        if any(output.name == name for output in self.out.outputs):
            raise self.source.refused(node.place, f"{name!r} has a residual error already", "write cp ~ add(a) | other")
        self.out.outputs.append(WrittenOutput(name, expr, node.line, error))
