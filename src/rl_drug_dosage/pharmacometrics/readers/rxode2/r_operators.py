"""The operators of R, by how tightly they bind."""

from typing import NamedTuple

__all__ = ["BINARY", "PREFIX", "SPELLED", "Operator"]


class Operator(NamedTuple):
    """How tightly an operator binds, the larger the tighter, and whether a row of it is read from the right."""

    order: int
    is_right: bool = False


BINARY = {
    "?": Operator(1),
    "=": Operator(2, is_right=True),
    **dict.fromkeys(("<-", "<<-", ":="), Operator(3, is_right=True)),
    **dict.fromkeys(("->", "->>"), Operator(4)),
    "~": Operator(5),
    **dict.fromkeys(("|", "||"), Operator(6)),
    **dict.fromkeys(("&", "&&"), Operator(7)),
    **dict.fromkeys(("<", ">", "<=", ">=", "==", "!="), Operator(9)),
    **dict.fromkeys(("+", "-"), Operator(10)),
    **dict.fromkeys(("*", "/"), Operator(11)),
    "|>": Operator(12),
    ":": Operator(13),
    **dict.fromkeys(("^", "**"), Operator(15, is_right=True)),
    **dict.fromkeys(("$", "@"), Operator(17)),
    **dict.fromkeys(("::", ":::"), Operator(19)),
}
PREFIX = {"?": 1, "~": 5, "!": 8, "+": 14, "-": 14}
SPELLED = {"**": "^", "<<-": "<-", ":=": "<-"}
"""Other spellings of the same."""
