"""Statements that look at the last dose: ``tad()``, ``podo()`` and ``transit()``.

Doses into such a compartment enter a compartment of its name, which passes them on to one with its content and notes
their amount and time. Before the first dose, the amount and the time since it are 0.
"""

from collections.abc import Sequence
from dataclasses import replace

from rl_drug_dosage.pharmacometrics.readers.expressions import Call, Expr, Name, Num, call, substituted
from rl_drug_dosage.pharmacometrics.readers.rxode2.expressions import Formulas
from rl_drug_dosage.pharmacometrics.readers.rxode2.r_nodes import Node
from rl_drug_dosage.pharmacometrics.readers.rxode2.r_tokens import Source
from rl_drug_dosage.pharmacometrics.readers.written import Assign, LastDose, WrittenError, WrittenOutput

__all__ = ["LOOKING", "LastDoses", "amount_of", "time_after", "transit"]

LOOKING = {
    "transit": "d/dt(x) <- transit(n, mean_time, fraction) - ...",
    **dict.fromkeys(("tad", "tad0"), "tad(x), with a compartment"),
    **dict.fromkeys(("podo", "podo0", "dose", "dose0"), "podo(x), with a compartment"),
}
"""Functions that look at the last dose, and how they are written."""

_SMALLEST_TIME = 1e-30
"""Of a unit of time; the logarithm of no time is not finite."""


class LastDoses:
    """The compartments of a model whose last dose it looks at.

    Args:
        source: the file.
        formulas: of the model.
        first: its first compartment, meant where none is named.
    """

    def __init__(self, source: Source, formulas: Formulas, first: str) -> None:
        self._source, self._formulas, self._first = source, formulas, first
        self.looked: dict[str, Node] = {}
        """By compartment, where it is looked at first."""

    def expression(self, node: Node, state: str) -> Expr:
        """``tad()``, ``podo()`` or ``transit()``.

        Args:
            node: the call.
            state: whose derivative is being assigned; empty if none is.

        Raises:
            ReadError: other arguments than these take.
        """
        named = node.args[0].text if node.args and node.text != "transit" else ""
        if node.text == "transit":
            wanted = bool(state) and 2 <= len(node.args) <= 3
        else:
            wanted = not node.args or (len(node.args) == 1 and node.args[0].kind == "name")
        if not wanted:
            came = f"{node.text}() here, with {len(node.args)} arguments"
            raise self._source.refused(node.place, came, f"write {LOOKING[node.text]}")
        compartment = named or (state if node.text == "transit" else self._first)
        self.looked.setdefault(compartment, node)
        if node.text == "transit":
            sizes = [self._formulas.expression(arg) for arg in node.args]
            return transit(compartment, sizes[0], sizes[1], sizes[2] if len(sizes) > 2 else Num(1.0))
        return time_after(compartment) if node.text in {"tad", "tad0"} else amount_of(compartment)

    def applied(
        self, name: str, compartments: Sequence[str], assigns: Sequence[Assign], outputs: Sequence[WrittenOutput]
    ) -> tuple[list[Assign], list[WrittenOutput], LastDose]:
        """The statements and outputs with compartments for the last dose into ``name``.

        Raises:
            ReadError: it is no compartment, or has a delivery that cannot be combined with it.
        """
        node = self.looked[name]
        if name not in compartments:
            raise self._source.refused(node.place, f"{name!r} is no compartment", f"write d/dt({name})")
        own = [a for a in assigns if a.target == name and a.kind in {"bioavailability", "duration", "rate"}]
        if any(a.kind != "bioavailability" for a in own):
            came = f"{node.text}() of a compartment with dur() or rate()"
            raise self._source.refused(node.place, came, "give it one of the two")
        if len(own) > 1:
            came = f"f({name}) in a branch or twice, beside {node.text}()"
            raise self._source.refused((own[-1].line, 1), came, f"give f({name}) one value")
        return _with_last_dose(name, own[0].expr if own else None, assigns, outputs)


def amount_of(compartment: str) -> Name:
    """The amount of the last dose into a compartment."""
    return Name(f"{compartment}_last_dose")


def time_after(compartment: str) -> Name:
    """The time since the last dose into a compartment."""
    return Name(f"{compartment}_time_after_dose")


def transit(compartment: str, count: Expr, mean: Expr, fraction: Expr) -> Expr:
    """Input after a chain of transit compartments (Savic 2007), of the last dose into a compartment.

    f D k (k t)^n exp(-k t) / Gamma(n + 1) with k = (n + 1) / mean.

    Args:
        compartment: that the dose is given into.
        count: n, not necessarily a whole number.
        mean: transit time.
        fraction: f, of the dose.
    """
    k = call("/", call("+", count, 1.0), mean)
    kt = call("*", k, call("max", time_after(compartment), _SMALLEST_TIME))
    shape = call("-", call("-", call("*", count, call("log", kt)), kt), call("lfactorial", count))
    return call("*", call("*", call("*", fraction, amount_of(compartment)), k), call("exp", shape))


def _with_last_dose(
    compartment: str, available: Expr | None, assigns: Sequence[Assign], outputs: Sequence[WrittenOutput]
) -> tuple[list[Assign], list[WrittenOutput], LastDose]:
    content = f"{compartment}_content"
    passes_on = available != Num(0.0)
    names: dict[str, Expr] = {compartment: Name(content)}
    if available is not None and passes_on:  # the dose that arrives is the available part of the one given
        amount = amount_of(compartment)
        names[amount.name] = Call("/", (amount, available))

    def renamed(expr: Expr) -> Expr:
        return substituted(expr, names)

    moved = []
    for assign in assigns:
        if assign.target == compartment and assign.kind in {"derivative", "start"}:
            moved.append(replace(assign, target=content, expr=renamed(assign.expr)))
        elif passes_on or (assign.target, assign.kind) != (compartment, "bioavailability"):
            moved.append(replace(assign, expr=renamed(assign.expr)))
    line = moved[-1].line
    for name, slope in ((compartment, 0.0), (amount_of(compartment).name, 0.0), (time_after(compartment).name, 1.0)):
        moved.append(Assign(name, Num(slope), line, "derivative"))
    last = LastDose(compartment, content, amount_of(compartment).name, time_after(compartment).name, passes_on)
    return moved, [_output(output, names) for output in outputs], last


def _output(output: WrittenOutput, names: dict[str, Expr]) -> WrittenOutput:
    def size(expr: Expr | None) -> Expr | None:
        return None if expr is None else substituted(expr, names)

    error = output.error
    if error is not None:
        own = size(error.additive), size(error.proportional), size(error.power)
        error = WrittenError(error.kind, *own, error.low, error.high)
    return replace(output, expr=substituted(output.expr, names), error=error)
