"""Statements that read the history of a patient, as statements of one record.

NM-TRAN's variables keep their values from record to record. Here every record stands for itself: what it keeps of
earlier ones is a data item.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence

from rl_drug_dosage.pharmacometrics.readers.expressions import Call, Expr, Name, Num, folded, names_in
from rl_drug_dosage.pharmacometrics.readers.nonmem.code import Branch, If, Set, Statement
from rl_drug_dosage.pharmacometrics.readers.nonmem.statements import names_of
from rl_drug_dosage.pharmacometrics.readers.nonmem.trees import key_of

__all__ = ["kept_from_records", "on_first_records", "within_quantification"]


def _changed(statements: Sequence[Statement], change: Callable[[Expr], Expr]) -> tuple[Statement, ...]:
    """The statements with every expression changed."""
    found: list[Statement] = []
    for one in statements:
        if isinstance(one, Set):
            found.append(Set(one.target, change(one.expr), one.line))
        elif isinstance(one, If):
            branches = (
                Branch(None if b.condition is None else change(b.condition), _changed(b.body, change))
                for b in one.branches
            )
            found.append(If(tuple(branches), one.line))
        else:
            found.append(one)
    return tuple(found)


def within_quantification(statements: Sequence[Statement], level: Sequence[str]) -> tuple[tuple[Statement, ...], bool]:
    """The statements as for a level that was quantified: conditions on DV hold as for a high one.

    Args:
        statements: of $ERROR.
        level: names of the data item DV.

    Returns:
        The statements, and whether any has changed.
    """
    own = frozenset(level)
    seen: set[str] = set()
    truth = {"<": 0.0, "<=": 0.0, "==": 0.0, "!=": 1.0, ">": 1.0, ">=": 1.0}

    def join(part: Call, args: tuple[Expr, ...]) -> Expr:
        if part.function in truth:
            first, second = (isinstance(arg, Name) and arg.name in own for arg in args)
            if first != second:
                seen.update(names_in(part) & own)
                holds = truth[part.function]
                return Num(holds if first or part.function in {"==", "!="} else 1.0 - holds)
        return Call(part.function, args)

    changed = _changed(statements, lambda expr: folded(expr, lambda leaf: leaf, join))
    return changed, bool(seen)


def on_first_records(statements: Sequence[Statement], elsewhere: Collection[str]) -> tuple[tuple[Statement, ...], bool]:
    """The statements without conditions on a patient's first record, where a value that is kept is what is set again.

    ``IF (NEWIND.NE.2) BASE = WT`` sets BASE once and keeps it; for values that do not change this is BASE = WT.

    Args:
        statements: of a block.
        elsewhere: names that other blocks give a value to.

    Returns:
        The statements, and whether any has changed.
    """
    table: dict[tuple[object, ...], int] = {}
    # What another block assigns as well is kept from one record to the next.
    given: dict[str, set[int]] = {name: {-1, -2} for name in elsewhere}
    found: list[Statement] = []
    changed = False

    def collect(block: Sequence[Statement]) -> None:
        for one in block:
            if isinstance(one, Set):
                given.setdefault(one.target, set()).add(key_of(one.expr, table))
            elif isinstance(one, If):
                for branch in one.branches:
                    collect(branch.body)

    collect(statements)
    for one in statements:
        first = one.branches[0] if isinstance(one, If) and len(one.branches) == 1 else None
        if first is not None and first.condition is not None and _is_first_record(first.condition):
            own = [inner for inner in first.body if isinstance(inner, Set)]
            if len(own) == len(first.body) and all(len(given[inner.target]) == 1 for inner in own):
                found += own
                changed = True
                continue
        found.append(one)
    return tuple(found), changed


_OF_RECORDS = frozenset({"AMT", "EVID", "CMT", "MDV", "NEWIND"})
"""Data items and variables that say what kind of record there is."""
_OF_DOSES = re.compile(r"(?:F|ALAG|D|R|S|A_0_)\d+")


def kept_from_records(
    statements: Sequence[Statement], columns: Collection[str], elsewhere: Collection[str]
) -> tuple[tuple[Statement, ...], dict[str, int]]:
    """The statements without variables that keep something of earlier records, and these variables.

    ``IF (AMT.GT.0) PD = AMT``, ``IF (AMT.GT.0) TDOS = TIME``, ``IF (CMT.EQ.3) SEEN = 1``,
    ``IF (TIME.EQ.0) BASE = WT``: what a record keeps from
    those before it is a property of the data.

    Args:
        statements: of $PK.
        columns: data items.
        elsewhere: names that other blocks give a value to.

    Returns:
        The statements; name -> line.
    """
    simple = {"AMT", "TIME", *columns}
    kept: dict[str, int] = {}
    others: list[Statement] = []
    for one in statements:
        own = _on_some_records(one)
        for inner in own:
            kept.setdefault(inner.target, inner.line)
        if not own:
            others.append(one)
    for one in statements:
        for inner in _on_some_records(one):
            known = isinstance(inner.expr, Num) or (isinstance(inner.expr, Name) and inner.expr.name in simple)
            if not known or _OF_DOSES.fullmatch(inner.target):
                kept.pop(inner.target, None)
    given = {*names_of(others)[1], *elsewhere}
    kept = {name: line for name, line in kept.items() if name not in given}
    found = [one for one in statements if not _keeps(one, kept)]
    left = names_of(found)[1]
    return tuple(found), {name: line for name, line in kept.items() if name not in left}


def _keeps(statement: Statement, kept: Mapping[str, int]) -> bool:
    own = _on_some_records(statement)
    return bool(own) and all(inner.target in kept for inner in own)


def _on_some_records(statement: Statement) -> list[Set]:
    """The assignments of a statement that runs on records of one kind alone; none if it does anything else."""
    if not isinstance(statement, If) or len(statement.branches) != 1:
        return []
    branch = statement.branches[0]
    names = names_in(branch.condition) if branch.condition is not None else frozenset()
    own = [inner for inner in branch.body if isinstance(inner, Set)]
    of_records = names <= _OF_RECORDS or (branch.condition is not None and _is_at_a_time(branch.condition))
    return own if names and of_records and len(own) == len(branch.body) else []


def _is_at_a_time(condition: Expr) -> bool:
    """``TIME.EQ.0``."""
    if not isinstance(condition, Call) or condition.function != "==":
        return False
    return condition.args[0] == Name("TIME") and isinstance(condition.args[1], Num)


def _is_first_record(condition: Expr) -> bool:
    if not isinstance(condition, Call) or condition.args[0] != Name("NEWIND"):
        return False
    return (condition.function, condition.args[1]) in {
        ("!=", Num(2.0)),
        ("<=", Num(1.0)),
        ("<", Num(2.0)),
        ("==", Num(0.0)),
        ("==", Num(1.0)),
    }
