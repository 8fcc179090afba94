"""The parts of R code."""

from dataclasses import dataclass

__all__ = ["Node", "derivative_of", "walk_nodes"]


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A part of R code.

    Args:
        kind: ``number``, ``string``, ``name``, ``call`` (operators, `if`, `for` and `while` too, by their spelling),
            ``block``, ``function`` (its body is the last of ``args``), ``apply`` (the called thing is ``args[0]``
            and has no plain name) or ``missing``.
        text: the name, the string, the number's spelling, or what is called.
        args: parts.
        names: of the arguments of a call; empty where an argument has none.
        line, column: of the first character.
        end: its last line.
        depth: levels below, itself included.
    """

    kind: str
    text: str
    args: "tuple[Node, ...]"
    names: tuple[str, ...]
    line: int
    column: int
    end: int
    depth: int

    @property
    def place(self) -> tuple[int, int]:
        """Line and column."""
        return self.line, self.column

    def is_call(self, *functions: str) -> bool:
        """Whether it calls one of them."""
        return self.kind == "call" and self.text in functions


def walk_nodes(node: Node) -> "list[Node]":
    """Every part, the whole first, in the order of the text."""
    out: list[Node] = []
    waiting = [node]
    while waiting:
        part = waiting.pop()
        out.append(part)
        waiting += reversed(part.args)
    return out


def derivative_of(node: Node) -> Node | None:
    """The compartment of ``d/dt(x)``."""
    if node.is_call("/") and len(node.args) == 2:
        top, bottom = node.args
        if top.kind == "name" and top.text == "d" and bottom.is_call("dt") and len(bottom.args) == 1:
            inner = bottom.args[0]
            return inner if inner.kind == "name" else None
    return None
