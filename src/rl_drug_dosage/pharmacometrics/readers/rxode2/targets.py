"""What stands left of ``<-`` in a model block: a variable, a derivative, or a property of a compartment."""

from collections.abc import Callable
from typing import Literal

from rl_drug_dosage.pharmacometrics.readers.rxode2.expressions import REFUSED, number_of
from rl_drug_dosage.pharmacometrics.readers.rxode2.r_nodes import Node, derivative_of
from rl_drug_dosage.pharmacometrics.readers.rxode2.r_tokens import Source
from rl_drug_dosage.pharmacometrics.readers.written import AssignKind

__all__ = ["PROPERTIES", "SUPPORTED", "Targets"]

PROPERTIES: dict[str, AssignKind] = {
    "f": "bioavailability",
    "F": "bioavailability",
    "alag": "lag",
    "lag": "lag",
    "dur": "duration",
    "rate": "rate",
}
SUPPORTED = (
    "a statement of model is x <- ..., d/dt(x) <- ..., x(0) <- ..., f(x), alag(x), dur(x) or rate(x) <- ..., "
    "if (...) {...} else {...}, or cp ~ add(a) + prop(b)"
)


class Targets:
    """The things that a model assigns to.

    Args:
        source: the file.
        states: compartments with a derivative of their own.
        solved: gives those of ``linCmt()``.
    """

    def __init__(self, source: Source, states: frozenset[str], solved: Callable[[], tuple[str, ...]]) -> None:
        self._source, self._states, self._solved = source, states, solved

    def assigned(self, target: Node) -> tuple[str, AssignKind | Literal[""]]:
        """The variable or compartment that stands left of ``<-``, and which of its values; empty: nothing to keep."""
        if target.kind in {"name", "string"}:
            state = target.text.removesuffix("_0")
            if state != target.text and state in self._states:  # rxode2's other spelling of x(0)
                return state, "start"
            self._assignable(target)
            return target.text, "value"
        state_node = derivative_of(target)
        if state_node is not None:
            return state_node.text, "derivative"
        if target.kind == "call" and len(target.args) == 1:
            (inner,) = target.args
            kind = self._property(target, inner)
            if kind:
                return (target if kind == "start" else inner).text, kind
        if target.is_call("/") and target.args[0].is_call("df") and target.args[1].is_call("dy"):
            return "", ""  # a Jacobian, which follows from the equations
        raise self._source.refused(target.place, *self._unassignable(target))

    def _property(self, target: Node, inner: Node) -> AssignKind | Literal[""]:
        """Which value ``target(inner)`` is; empty if it is none."""
        if target.text == "mtime" and inner.kind == "name":
            return "value"  # where rxode2 stops a step; the steps here find such times themselves
        if inner.kind == "number" and number_of(inner.text) == 0:
            self._known_state(target, target.text)
            return "start"
        if target.text in PROPERTIES and inner.kind == "name":
            self._known_state(inner, inner.text)
            return PROPERTIES[target.text]
        return ""

    @staticmethod
    def _unassignable(target: Node) -> tuple[str, str]:
        if target.kind == "call" and target.text in REFUSED:
            return f"{target.text}() is not supported", REFUSED[target.text]
        return "nothing that can be assigned to", SUPPORTED

    def _assignable(self, target: Node) -> None:
        if target.text in self._states:
            raise self._source.refused(
                target.place, f"{target.text!r} is a compartment", f"write d/dt({target.text}) or {target.text}(0)"
            )
        if target.text in {"t", "time"}:
            raise self._source.refused(target.place, "the time cannot be assigned to", "give the variable another name")

    def _known_state(self, place: Node, name: str) -> None:
        if name not in self._states and name not in self._solved():
            known = ", ".join(sorted(self._states | set(self._solved()))) or "none"
            raise self._source.refused(
                place.place, f"{name!r} is no compartment", f"compartments are {known}; write d/dt({name})"
            )
