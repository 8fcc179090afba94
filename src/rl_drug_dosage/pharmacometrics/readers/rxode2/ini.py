"""The block ``ini({...})``: typical values, random effects and their covariance."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from rl_drug_dosage.pharmacometrics.readers.rxode2.constants import constant
from rl_drug_dosage.pharmacometrics.readers.rxode2.r_nodes import Node
from rl_drug_dosage.pharmacometrics.readers.rxode2.r_tokens import Source
from rl_drug_dosage.pharmacometrics.readers.rxode2.remarks import unit_in, variance_remarks
from rl_drug_dosage.pharmacometrics.readers.written import Number

__all__ = ["Ini", "read_ini"]

_FIX = frozenset({"fix", "fixed", "FIX", "FIXED"})
_UNFIX = frozenset({"unfix", "unfixed", "UNFIX", "UNFIXED"})
_SCALES = frozenset({"sd", "cor", "chol", "var", "cov"})
_WITHOUT_VALUE = frozenset({"label", "backTransform", "prior", "dfObs", "dfSub", "condition"})
_SUPPORTED = (
    'ini takes x <- 1, x <- c(lower, start, upper), x <- fix(1), label("..."), eta ~ 0.1, a + b ~ c(0.1, 0.01, 0.1), '
    "with sd(), cor(), chol(), fix() and | occ"
)


@dataclass
class _Block:
    """Etas that are correlated: their lower triangle, row by row."""

    nodes: list[Node]
    rows: list[list[float]]
    scales: frozenset[str]
    level: str
    fixed: bool
    statement: Node

    @property
    def names(self) -> list[str]:
        return [node.text for node in self.nodes]


@dataclass
class Ini:
    """What an ini block says.

    Args:
        thetas: typical values, those of the residual errors included.
        etas, omega: between subjects.
        occasion_etas, occasion_omega, occasion: between occasions.
        remarks: variances that contradict the CV printed beside them.
    """

    thetas: list[Number] = field(default_factory=list)
    etas: list[Number] = field(default_factory=list)
    omega: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    occasion_etas: list[Number] = field(default_factory=list)
    occasion_omega: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    occasion: str = ""
    remarks: list[str] = field(default_factory=list)


def read_ini(block: Node, source: Source, known: Mapping[str, float]) -> Ini:
    """Read the statements of an ini block.

    Args:
        block: its braces.
        source: the file.
        known: numbers that the file assigned before.

    Raises:
        ReadError: a statement that is not supported, a value that is none, or a matrix that is no covariance.
    """
    ini = Ini()
    blocks: list[_Block] = []
    names: dict[str, int] = {}
    last = ""
    for statement in block.args:
        if statement.is_call("<-", "=") and statement.args[0].kind in {"name", "string"}:
            number = _theta(statement, source, known)
            _once(names, number.name, statement, source)
            ini.thetas.append(number)
            last = number.name
        elif statement.is_call("~") and statement.args[0].is_call("prior"):
            ini.remarks.append(f"line {statement.line}: a prior for the estimation of parameters is not used")
        elif statement.is_call("~") and len(statement.args) == 2:
            _eta(statement, blocks, source, known)
            for node in _summands(statement.args[0], source):
                _once(names, node.text, node, source)
            last = ""
        elif statement.is_call("label") and len(statement.args) == 1:
            _label(ini.thetas, last, statement)
        elif not statement.is_call(*_WITHOUT_VALUE):
            raise source.refused(statement.place, "no statement of ini", _SUPPORTED)
    _fill(ini, blocks, source)
    return ini


def _once(names: dict[str, int], name: str, node: Node, source: Source) -> None:
    if name in names:
        raise source.refused(node.place, f"{name!r} has a value already, on line {names[name]}", "give it one value")
    names[name] = node.line


def _comment(node: Node, source: Source) -> str:
    return " ".join(source.comments[line] for line in range(node.line, node.end + 1) if source.comments.get(line))


def _label(thetas: list[Number], last: str, statement: Node) -> None:
    if thetas and thetas[-1].name == last and statement.args[0].kind == "string":
        text = statement.args[0].text
        number = thetas[-1]
        thetas[-1] = Number(number.name, number.value, number.line, text, unit_in(text), number.fixed)


def _theta(statement: Node, source: Source, known: Mapping[str, float]) -> Number:
    target, node = statement.args
    fixed = False
    while node.is_call(*_FIX, *_UNFIX, "c") and len(node.args) == 1:
        fixed |= node.text in _FIX
        node = node.args[0]
    if node.is_call(*_FIX, *_UNFIX, "c"):
        fixed |= node.text in _FIX
        parts = [part for part in node.args if not (part.kind == "name" and part.text in _FIX)]
        fixed |= len(parts) < len(node.args)
        if not 1 <= len(parts) <= 3:
            raise source.refused(node.place, f"{len(parts)} numbers for {target.text!r}", "give c(lower, start, upper)")
        node = parts[0] if len(parts) == 1 else parts[1]
        while node.is_call(*_FIX, *_UNFIX) and len(node.args) == 1:
            fixed |= node.text in _FIX
            node = node.args[0]
    node = _start_of(node)
    if node.kind == "name" and node.text in {"NA", "NULL"}:
        raise source.refused(node.place, f"{target.text!r} has no value", "give it a number")
    value = constant(node, source, known)
    if not np.isfinite(value):
        raise source.refused(node.place, f"{target.text!r} is {value}", "give it a finite number")
    comment = _comment(statement, source)
    return Number(target.text, value, statement.line, comment, unit_in(comment), fixed)


def _start_of(node: Node) -> Node:
    """``log(1)`` of ``log(c(0.1, 1, 10))``: a function of lower bound, start and upper bound is taken of each."""
    if node.kind == "call" and len(node.args) == 1 and node.args[0].is_call("c") and node.args[0].args:
        parts = node.args[0].args
        return replace(node, args=(parts[0] if len(parts) == 1 else parts[1],))
    return node


def _summands(node: Node, source: Source) -> list[Node]:
    out: list[Node] = []
    while node.is_call("+") and len(node.args) == 2:
        out.append(node.args[1])
        node = node.args[0]
    out.append(node)
    for part in out:
        if part.kind != "name":
            raise source.refused(part.place, "no name of a random effect", _SUPPORTED)
    return out[::-1]


def _eta(statement: Node, blocks: list[_Block], source: Source, known: Mapping[str, float]) -> None:
    nodes = _summands(statement.args[0], source)
    value, level = statement.args[1], ""
    if value.is_call("|", "||"):
        value, condition = value.args
        if condition.kind not in {"name", "call"}:
            raise source.refused(condition.place, "no level of a random effect", "write | occ, with the column's name")
        level = "" if condition.text.lower() == "id" else condition.text
    scales: set[str] = set()
    fixed = False
    numbers: list[float] = []
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if part.is_call("c", *_SCALES, *_FIX, *_UNFIX):
            scales |= {part.text} & _SCALES
            fixed |= part.text in _FIX
            waiting += reversed(part.args)
        elif part.kind == "name" and part.text in _FIX:
            fixed = True
        else:
            numbers.append(constant(part, source, known))
    count, length = len(nodes), len(numbers)
    if count == 1 and length > 1 and blocks and len(blocks[-1].nodes) == length - 1 and blocks[-1].level == level:
        last = blocks[-1]
        last.nodes.append(nodes[0])
        last.rows.append(numbers)
        last.scales |= scales
        return
    if length != count * (count + 1) // 2:
        raise source.refused(
            statement.place,
            f"{length} numbers for {count} random effect{'s' * (count > 1)}",
            f"the lower triangle of their covariance has {count * (count + 1) // 2}, row by row",
        )
    rows = [numbers[i * (i + 1) // 2 : (i + 1) * (i + 2) // 2] for i in range(count)]
    blocks.append(_Block(nodes, rows, frozenset(scales), level, fixed, statement))


def _covariance(block: _Block, source: Source) -> np.ndarray:
    """The matrix that the numbers mean: ``sd`` and ``cor`` change the diagonal's and the others' meaning."""
    count = len(block.rows)
    lower = np.zeros((count, count))
    for i, row in enumerate(block.rows):
        lower[i, : i + 1] = row
    if "chol" in block.scales:
        return lower @ lower.T
    full = lower + np.tril(lower, -1).T
    spread = np.diag(full).copy()
    if "cor" in block.scales:
        sd = spread if "sd" in block.scales else np.sqrt(np.maximum(spread, 0.0))
        np.fill_diagonal(full, 1.0)
        if np.abs(full).max() > 1.0:
            raise source.refused(block.statement.place, "a correlation beyond 1", "give correlations between -1 and 1")
        return full * np.outer(sd, sd)
    if "sd" in block.scales:
        np.fill_diagonal(full, spread**2)
    return full


def _fill(ini: Ini, blocks: list[_Block], source: Source) -> None:
    """Put the blocks on the diagonals of the two matrices."""
    kept: dict[bool, list[np.ndarray]] = {False: [], True: []}
    for block in blocks:
        matrix = _covariance(block, source)
        _check(block, matrix, source)
        if block.level and ini.occasion not in {"", block.level}:
            raise source.refused(
                block.statement.place,
                f"random effects by {block.level!r} beside those by {ini.occasion!r}",
                "one level below the subject is supported",
            )
        ini.occasion = ini.occasion or block.level
        comment = _comment(block.statement, source)
        ini.remarks += variance_remarks(block.statement, block.names, np.diag(matrix), comment, source)
        etas = [
            Number(node.text, float(matrix[i, i]), node.line, comment, "", block.fixed)
            for i, node in enumerate(block.nodes)
        ]
        (ini.occasion_etas if block.level else ini.etas).extend(etas)
        kept[bool(block.level)].append(matrix)
    ini.omega = _diagonal(kept[False])
    ini.occasion_omega = _diagonal(kept[True])


def _check(block: _Block, matrix: np.ndarray, source: Source) -> None:
    names = ", ".join(block.names)
    if not np.all(np.isfinite(matrix)) or np.any(np.diag(matrix) < 0):
        raise source.refused(block.statement.place, f"a variance of {names} is negative or infinite", "give variances")
    empty = np.diag(matrix) == 0
    if np.any(matrix[empty]):
        raise source.refused(
            block.statement.place, f"a covariance with a variance of 0 among {names}", "give variances"
        )
    rest = matrix[~empty][:, ~empty]
    if rest.size:
        sd = np.sqrt(np.diag(rest))
        if np.linalg.eigvalsh(rest / np.outer(sd, sd)).min() < 1e-12:
            raise source.refused(
                block.statement.place,
                f"the covariance of {names} is singular or not positive definite",
                "its correlations contradict each other; correct them, or give effects that are one only one name",
            )


def _diagonal(blocks: list[np.ndarray]) -> np.ndarray:
    size = sum(len(block) for block in blocks)
    out = np.zeros((size, size))
    at = 0
    for block in blocks:
        out[at : at + len(block), at : at + len(block)] = block
        at += len(block)
    return out
