"""Effects between occasions: a set of effects that SAME ties together, of which a data item chooses one."""

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rl_drug_dosage.pharmacometrics.readers.expressions import Expr, Name, Num, names_in, substituted
from rl_drug_dosage.pharmacometrics.readers.nonmem.code import If, Set, Statement
from rl_drug_dosage.pharmacometrics.readers.nonmem.statements import compared_with
from rl_drug_dosage.pharmacometrics.readers.nonmem.trees import key_of

__all__ = ["Occasions", "occasions_of"]

_MOST_TRIES = 256


@dataclass
class Occasions:
    """Which effects are between occasions.

    Args:
        column: data item that counts the occasions; empty if there are none.
        renamed: effect of a later occasion -> that of the first one.
        first: names of the effects of the first occasion.
        constants: values of the data items on the first occasion; empty where the items have other uses too.
    """

    column: str = ""
    renamed: dict[str, Expr] = field(default_factory=dict)
    first: tuple[str, ...] = ()
    constants: dict[str, Num] = field(default_factory=dict)


type Flatten = Callable[[Mapping[str, Num]], Sequence[tuple[str, Expr]]]
"""Values of data items -> all statements as (target, tree)."""


def occasions_of(
    chains: Sequence[Sequence[str]], blocks: Sequence[Sequence[Statement]], columns: frozenset[str], flatten: Flatten
) -> Occasions:
    """Find the data item that chooses among effects tied by SAME.

    Args:
        chains: names of effects that SAME ties together, the first one first.
        blocks: the code.
        columns: data items.
        flatten: all statements for given values of data items.
    """
    code = [statement for block in blocks for statement in block]
    used = {name for chain in chains for name in chain}
    found = sorted(_choosers(code, used, columns))
    if not chains or not found:
        return Occasions()
    numbers = compared_with(code)
    values = {c: sorted(numbers.get(c, set())) or [0.0, 1.0] for c in found}
    for column in found:
        if numbers.get(column, set()) <= {0.0, 1.0}:
            values[column] = [0.0, 1.0]
    tries = itertools.islice(itertools.product(*values.values()), _MOST_TRIES)
    live: dict[int, tuple[dict[str, Num], set[str]]] = {}
    for number, tried in enumerate(tries):
        constants = {c: Num(v) for c, v in zip(values, tried, strict=True)}
        left = {name for _, expr in flatten(constants) for name in names_in(expr) & used}
        live[number] = (constants, left)
    firsts = {chain[0] for chain in chains}
    seconds = {chain[1] for chain in chains}
    own = next((constants for constants, left in live.values() if left and left <= firsts), None)
    if own is None:
        return Occasions()
    reads = next(left for constants, left in live.values() if constants is own)
    renamed: dict[str, Expr] = {name: Name(chain[0]) for chain in chains if chain[0] in reads for name in chain[1:]}
    later = next((constants for constants, left in live.values() if left and left <= seconds), None)
    column = found[0] if len(found) == 1 else "OCC"
    table: dict[tuple[object, ...], int] = {}
    same = later is not None and _renamed(flatten(own), renamed, table) == _renamed(flatten(later), renamed, table)
    first = tuple(chain[0] for chain in chains if chain[0] in reads)
    return Occasions(column, renamed, first, own if same else {})


_OF_DOSES = re.compile(r"(?:F|ALAG|D|R|S|A_0_)\d+")


def _renamed(
    statements: Sequence[tuple[str, Expr]], renamed: Mapping[str, Expr], table: dict[tuple[object, ...], int]
) -> tuple[list[tuple[str, int]], dict[str, int]]:
    """The statements with effects of all occasions called as those of the first one.

    Constants have been put into what reads them. Only those that say something of doses count by themselves.
    """
    found: list[tuple[str, int]] = []
    constants: dict[str, int] = {}
    for target, expr in statements:
        key = key_of(substituted(expr, renamed), table)
        if not isinstance(expr, Num):
            found.append((target, key))
        elif _OF_DOSES.fullmatch(target):
            constants[target] = key
    return found, constants


def _choosers(code: Sequence[Statement], used: set[str], columns: frozenset[str]) -> set[str]:
    """Data items that a statement with one of the effects reads, or that its conditions read, directly or by others."""
    rests: dict[str, set[str]] = {}
    found: set[str] = set()

    def visit(statements: Sequence[Statement], around: frozenset[str]) -> None:
        for statement in statements:
            if isinstance(statement, Set):
                names = names_in(statement.expr)
                rests.setdefault(statement.target, set()).update(names | around)
                if names & used:
                    # A sum of clearances and effects rests on weight too: only factors of the effects count.
                    found.update(around)
                    found.update(_beside(statement.expr, used))
            elif isinstance(statement, If):
                so_far = around
                for branch in statement.branches:
                    if branch.condition is not None:
                        so_far = so_far | names_in(branch.condition)
                    visit(branch.body, so_far)

    visit(code, frozenset())
    reached, waiting = set[str](), list(found)
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        waiting += rests.get(name, set()) - used
    return reached & columns


def _beside(expr: Expr, used: set[str]) -> set[str]:
    """Names in the products and conditions that hold one of the effects."""
    found: set[str] = set()
    waiting: list[tuple[Expr, frozenset[str]]] = [(expr, frozenset())]
    while waiting:
        part, around = waiting.pop()
        if isinstance(part, Name):
            if part.name in used:
                found |= around
        elif not isinstance(part, Num):
            near = around if part.function in {"+", "-", "exp"} else around | names_in(part)
            own = frozenset[str]() if part.function in {"+", "-", "exp"} else near
            waiting += ((arg, own) for arg in part.args)
    return found - used
