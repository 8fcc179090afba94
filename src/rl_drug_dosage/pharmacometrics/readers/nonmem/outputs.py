"""Outputs of $ERROR: what Y is for each value of the data items that say what was measured."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rl_drug_dosage.pharmacometrics.readers.expressions import Expr, Name, Num, call, names_in
from rl_drug_dosage.pharmacometrics.readers.nonmem.code import Statement
from rl_drug_dosage.pharmacometrics.readers.nonmem.compartments import Compartments
from rl_drug_dosage.pharmacometrics.readers.nonmem.omega import Effects
from rl_drug_dosage.pharmacometrics.readers.nonmem.records import Stream
from rl_drug_dosage.pharmacometrics.readers.nonmem.residual import NotAnError, Residual, residual_of
from rl_drug_dosage.pharmacometrics.readers.nonmem.statements import Flattened, assigned_once, compared_with, names_of
from rl_drug_dosage.pharmacometrics.readers.nonmem.trees import inlined, key_of
from rl_drug_dosage.pharmacometrics.readers.written import Assign, WrittenError, WrittenOutput

__all__ = ["Code", "outputs_of"]

_LARGEST = 5000
"""Parts of a tree; the longest Y of a model has a few hundred."""
_OBSERVED: Mapping[str, Num] = {"EVID": Num(0.0), "MDV": Num(0.0), "AMT": Num(0.0), "RATE": Num(0.0)}
"""Data items of a record that has a level."""
_SELECTORS = ("CMT", "DVID", "FLAG", "FLG", "TYPE", "YTYPE", "DVTYPE", "BLQ", "BQL", "BLOQ", "LLOQ", "CENS", "ITEM")
"""Data items that usually say what was measured, or whether it was quantified."""
_MOST_VALUES, _MOST_CASES = 16, 64


@dataclass(frozen=True)
class Code:
    """$ERROR and what it rests on.

    Args:
        stream: for messages.
        error: statements of $ERROR.
        constants: names with a known number after $PK and $DES.
        renamed: what stands for some names.
        before: statements of $PK and $DES.
        compartments: of the model.
        scales: index of a compartment -> its scale.
        sigma: residual effects.
        columns: data items that code may read.
        has_cmt: whether the data have CMT.
        known: names that $PK and $DES read, and those that they give a value to.
    """

    stream: Stream
    error: tuple[Statement, ...]
    constants: Mapping[str, Expr]
    renamed: Mapping[str, Expr]
    before: tuple[Assign, ...]
    compartments: Compartments
    scales: Mapping[int, Expr]
    sigma: Effects
    columns: frozenset[str]
    has_cmt: bool
    known: tuple[set[str], set[str]]


@dataclass(frozen=True)
class _Case:
    """One output: values of the selecting data items, and what Y is with them."""

    values: Mapping[str, float]
    found: Residual
    line: int


def outputs_of(code: Code) -> tuple[list[WrittenOutput], list[str], dict[str, str]]:
    """The outputs, remarks on them, and facts: the data item that says what was measured, outputs in logarithms.

    Raises:
        ReadError: $ERROR gives Y no value, or a residual error that is not supported.
    """
    read, given = names_of(code.error)
    if "Y" not in given:
        line = next((record.line for record in code.stream.all("ERROR", "PRED")), 0) or len(code.stream.lines)
        code.stream.refuse("Y has no value", "$ERROR with Y = prediction and residual error", "assign Y", line)
    selectors = [name for name in _SELECTORS if name in read and (name in code.columns or name == "CMT")]
    others = sorted((read & code.columns) - set(selectors) - code.known[0])
    reason = ""
    # Items with a usual name first; then one more at a time, where Y depends on it in a way that no output has.
    tries = [(more, False) for more in ([], *([name] for name in others), others)]
    for more, with_columns in (*tries, ([], True)):
        try:
            cases = _cases(code, [*selectors, *more], with_columns=with_columns)
        except NotAnError as error:
            reason = reason or str(error)
            continue
        return _outputs(code, cases)
    supported = "additive, proportional, combined, power, exponential and log-normal errors of THETA and EPS"
    return code.stream.refuse(reason, supported, "write Y in one of these forms", _line_of_y(code))


def _line_of_y(code: Code) -> int:
    state = _flat(code, {})
    return next((one.line for one in reversed(state.statements) if one.target == "Y"), 1)


def _values_of(code: Code, name: str) -> list[float]:
    """Values of a selecting item that may make a difference: those compared with, and another one."""
    found = sorted(compared_with(code.error).get(name, set()))
    if not found:
        return [0.0, 1.0] if name != "CMT" else [0.0]
    other = 0.0 if name.startswith(("BL", "BQ", "CENS", "LLOQ")) else 1.0
    while other in found:
        other += 1.0
    return [*found, other]


def _cases(code: Code, selectors: Sequence[str], *, with_columns: bool) -> list[_Case]:
    values = [_values_of(code, name) for name in selectors]
    if any(len(own) > _MOST_VALUES for own in values):
        raise NotAnError("a data item that is compared with more than 16 numbers")
    every = list(itertools.islice(itertools.product(*values), _MOST_CASES + 1))
    if len(every) > _MOST_CASES:
        raise NotAnError("more than 64 combinations of data items in $ERROR")
    found: list[_Case] = []
    seen: set[tuple[int, ...]] = set()
    table: dict[tuple[object, ...], int] = {}
    problem: NotAnError | None = None
    for values_now in every:
        own = dict(zip(selectors, values_now, strict=True))
        try:
            case = _case(code, own, with_columns=with_columns)
        except NotAnError as error:
            problem = problem or error
            continue
        if case is None:
            continue
        key = _key(case.found, table)
        if key not in seen:
            seen.add(key)
            found.append(case)
    if problem is not None:
        raise problem
    if not found:
        raise NotAnError("Y is a likelihood, or has no value for any kind of level")
    return found


def _key(found: Residual, table: dict[tuple[object, ...], int]) -> tuple[int, ...]:
    error = found.error or WrittenError("add")
    parts = (error.additive, error.proportional, error.power)
    return (
        key_of(found.prediction, table),
        hash(error.kind),
        *(key_of(part, table) if part is not None else -1 for part in parts),
    )


def _flat(code: Code, values: Mapping[str, float]) -> Flattened:
    """$ERROR for given values of selecting items."""
    given = {name: Num(value) for name, value in values.items()}
    state = Flattened(code.stream, {}, assigned_once([code.error]) - code.known[1])
    # $PRED is all there is, its doses included.
    state.constants = {**code.constants, **(_OBSERVED if code.compartments.advan else {}), **given}
    state.places = {(one.target, one.kind) for one in code.before}
    index = code.compartments.observed
    if code.has_cmt and "CMT" in values and 1 <= values["CMT"] <= len(code.compartments.names):
        tested = compared_with(code.error).get("CMT", set())
        index = int(values["CMT"]) - 1 if values["CMT"] in tested else index
    amount: Expr = Name(code.compartments.names[index])
    line = code.compartments.line
    f = call("/", amount, code.scales[index]) if index in code.scales else amount
    state.add(Assign("F", f, line))
    state.run(code.error, code.renamed)
    return state


def _case(code: Code, values: Mapping[str, float], *, with_columns: bool) -> _Case | None:
    state = _flat(code, values)
    env: dict[str, Expr] = {}
    line, compartments = 0, frozenset({*code.compartments.names, "t"})
    moving = set(compartments) | _moving(code.before, compartments)
    for statement in state.statements:
        tree = inlined(statement.expr, env, _LARGEST)
        if tree is None:
            code.stream.refuse(
                f"{statement.target} is a formula of more than {_LARGEST} parts",
                "shorter ones",
                "shorten it",
                statement.line,
            )
        else:
            env[statement.target] = tree
        line = statement.line if statement.target == "Y" else line
    flag = env.get("F_FLAG", Num(0.0))
    if not isinstance(flag, Num):
        raise NotAnError("F_FLAG depends on more than data items that say what was measured")
    y = env.get("Y")
    if flag.value != 0 or y is None or isinstance(y, Num):
        return None
    left_out: set[str] = set()
    size = _sizes(code, code.columns if with_columns else frozenset(), left_out)
    found = residual_of(y, [n.name for n in code.sigma.numbers], code.sigma.covariance, size, frozenset(moving))
    if left_out:
        shown = ", ".join(f"ETA({name[4:]})" for name in sorted(left_out))
        found.remarks.append(f"{shown} of the residual error is not read: the error is that of a typical patient")
    selecting = set(_SELECTORS) & names_in(found.prediction)
    if selecting:
        raise NotAnError(f"a prediction that depends on {min(selecting)}")
    return _Case(values, found, line)


def _moving(statements: Sequence[Assign], start: frozenset[str]) -> set[str]:
    found = set(start)
    for statement in statements:
        if names_in(statement.expr) & found:
            found.add(statement.target)
    return found


def _sizes(code: Code, allowed: frozenset[str], left_out: set[str]) -> Callable[[Expr], Expr]:
    """A function from a size in the file's variables to one in typical values and some data items.

    Effects between subjects are 0 there; their names are added to ``left_out``.
    """
    env: dict[str, Expr] = {}
    for statement in code.before:
        tree = inlined(statement.expr, env, _LARGEST)
        if tree is not None:
            env[statement.target] = tree

    def size(tree: Expr) -> Expr:
        whole = inlined(tree, env, _LARGEST)
        if whole is None:
            raise NotAnError("a residual error of a formula that is too long")
        etas = {name: Num(0.0) for name in names_in(whole) if name.startswith("eta_")}
        left_out.update(etas)
        whole = inlined(whole, etas, _LARGEST) or whole
        others = sorted(name for name in names_in(whole) - allowed if not name.startswith("theta_"))
        if others:
            raise NotAnError(f"a residual error whose size depends on {others[0]}")
        return whole

    return size


def _outputs(code: Code, cases: Sequence[_Case]) -> tuple[list[WrittenOutput], list[str], dict[str, str]]:
    remarks: list[str] = []
    outputs: list[WrittenOutput] = []
    logs: list[str] = []
    differing = [item for item in cases[0].values if len({one.values[item] for one in cases}) > 1]
    for case in cases:
        remarks += case.found.remarks
        name, number = "y", 0
        if len(cases) > 1:
            name = "_".join(["y", *(f"{item.lower()}{case.values[item]:g}" for item in differing)])
            name = name.replace("-", "minus").replace(".", "_")
            number = int(case.values[differing[0]])
        outputs.append(WrittenOutput(name, case.found.prediction, case.line, case.found.error, "", number))
        if case.found.is_log:
            logs.append(name)
            remarks.append(f"Y is the logarithm of {name}: data and tables of this model have logarithms")
    if "F_FLAG" in names_of(code.error)[1]:
        remarks.append("likelihoods of levels below quantification (F_FLAG) are not read: give CENS with the data")
    facts = {"logarithms": " ".join(logs)} if logs else {}
    if len(cases) > 1:
        facts["measured_by"] = differing[0]
    return outputs, remarks, facts
