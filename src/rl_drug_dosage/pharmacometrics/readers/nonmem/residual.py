"""Residual error of NONMEM's Y: which of the package's kinds it is, and its sizes.

Y is a tree of the prediction and of residual effects (EPS). Its value without them is the prediction P, and the slope
by each of them a standard deviation, which is split into what is constant and what grows with P.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rl_drug_dosage.pharmacometrics.readers.expressions import (
    Call,
    Expr,
    Name,
    Num,
    evaluate,
    folded,
    names_in,
    substituted,
    walk,
)
from rl_drug_dosage.pharmacometrics.readers.nonmem.forms import ZERO, Form, joined, op, product, root_of
from rl_drug_dosage.pharmacometrics.readers.nonmem.trees import NotDerivable, derivative, key_of, simplified
from rl_drug_dosage.pharmacometrics.readers.written import WrittenError

__all__ = ["NotAnError", "Residual", "residual_of"]


class NotAnError(Exception):
    """A residual error that is none of the package's kinds; the message says why."""


@dataclass
class Residual:
    """What was found.

    Args:
        prediction: the tree of the prediction, on the scale of a concentration.
        error: its residual error; None if there is none.
        is_log: whether Y is the logarithm of the prediction.
        remarks: what was read in another way than it is written.
    """

    prediction: Expr
    error: WrittenError | None
    is_log: bool = False
    remarks: list[str] = field(default_factory=list)


_SMALL = 0.01
"""Numbers with which a prediction is compared to keep a logarithm or a quotient finite are below this one."""


def residual_of(
    y: Expr, effects: Sequence[str], covariance: np.ndarray, size: Callable[[Expr], Expr], moving: frozenset[str]
) -> Residual:
    """Read an error.

    Args:
        y: the tree of Y, in terms of residual effects, compartments and variables.
        effects: names of the residual effects.
        covariance: of these.
        size: what a size is in terms of typical values alone.
        moving: names that change with the state of the patient.

    Raises:
        NotAnError: an error of another kind.
    """
    found = Residual(ZERO, None)
    y = _above_zero(y, found, moving)
    own = [name for name in effects if name in names_in(y)]
    zero = dict.fromkeys(own, ZERO)
    prediction = simplified(substituted(y, zero))
    try:
        slopes = {name: derivative(y, name, own) for name in own}
    except NotDerivable as error:
        raise NotAnError(str(error)) from None
    curved = [name for name in own if names_in(slopes[name]) & set(own)]
    at_zero = {name: simplified(substituted(slope, zero)) for name, slope in slopes.items()}
    active = [name for name in own if at_zero[name] != ZERO and covariance[effects.index(name)].any()]
    found.is_log = isinstance(prediction, Call) and prediction.function == "log"
    found.prediction = prediction.args[0] if isinstance(prediction, Call) and found.is_log else prediction
    if not active:
        return found
    _refuse_correlation(active, effects, covariance)
    sds = [(at_zero[name], float(np.sqrt(covariance[effects.index(name), effects.index(name)]))) for name in active]
    parts = [_Split(found, moving, size).part(tree, sd) for tree, sd in sds]
    if found.is_log:
        found.error = _of_logarithm(parts, found)
    elif curved and all(part.is_proportional for part in parts):
        found.error = WrittenError("lnorm", additive=_root_of_squares([part.proportional for part in parts]))
    else:
        if curved:
            found.remarks.append("an exponential error beside another one is read to first order, as FOCE uses it")
        found.error = _of_parts(parts)
    return found


def _refuse_correlation(active: list[str], effects: Sequence[str], covariance: np.ndarray) -> None:
    at = [effects.index(name) for name in active]
    block = covariance[np.ix_(at, at)]
    if (block - np.diag(np.diag(block))).any():
        raise NotAnError("correlated EPS in one Y")


def _above_zero(tree: Expr, found: Residual, moving: frozenset[str]) -> Expr:
    """The tree where predictions are above 0: `IF (F.GT.0) IPRED = LOG(F)` is log F there."""
    state: dict[str, bool] = {"dropped": False}

    def join(part: Call, args: tuple[Expr, ...]) -> Expr:
        if part.function == "if" and names_in(args[0]) & moving:
            truth = _truth_above_zero(args[0])
            if truth is not None:
                state["dropped"] = True
                return args[1] if truth else args[2]
        if part.function in {"max", "min"}:
            small = [arg for arg in args if isinstance(arg, Num) and 0 <= arg.value <= _SMALL]
            others = [arg for arg in args if arg not in small and names_in(arg) & moving]
            if part.function == "max" and small and others:
                state["dropped"] = True
                return others[0]
        return Call(part.function, args)

    whole: Expr = folded(tree, lambda leaf: leaf, join)
    if state["dropped"]:
        found.remarks.append("conditions on predictions near 0 are read as for predictions above 0")
    return simplified(whole)


def _truth_above_zero(condition: Expr) -> bool | None:
    """Whether a condition holds for all large contents of compartments; None if that is not known."""
    if any(isinstance(part, Num) and abs(part.value) > _SMALL for part in _compared(condition)):
        return None
    answers = set()
    for seed in range(4):
        rng = np.random.default_rng(seed)
        values = {name: float(rng.uniform(2.0, 50.0)) for name in sorted(names_in(condition))}
        answers.add(bool(evaluate(condition, values)))
    return answers.pop() if len(answers) == 1 else None


def _compared(condition: Expr) -> list[Expr]:
    """The sides of its comparisons."""
    sides: list[Expr] = []
    for part in walk(condition):
        if isinstance(part, Call) and part.function in {"<", "<=", ">", ">=", "==", "!="}:
            sides += part.args
    return sides


@dataclass(frozen=True)
class _Part:
    """A standard deviation: additive + proportional P; sqrt(additive^2 + proportional^2 P^2); proportional P^power."""

    additive: Expr = ZERO
    proportional: Expr = ZERO
    is_root: bool = False
    power: Expr | None = None

    @property
    def is_proportional(self) -> bool:
        return self.additive == ZERO and self.power is None

    @property
    def is_additive(self) -> bool:
        return self.proportional == ZERO and self.power is None


class _Split:
    """Slopes as forms of the prediction."""

    def __init__(self, found: Residual, moving: frozenset[str], size: Callable[[Expr], Expr]) -> None:
        self.prediction = found.prediction
        self.is_log = found.is_log
        self.moving = moving
        self.size = size

    def part(self, slope: Expr, sd: float) -> _Part:
        """One slope times the standard deviation of its effect, in sizes of typical values."""
        form = self._form(slope, self.prediction)
        if form is None:
            form = self._by_factor(slope)
        if form is not None and self.is_log:
            # To first order, an error of log f is f times as large in f.
            form = product(form, Form({1: Num(1.0)}))
        if form is None:
            raise NotAnError("a residual error that is no known function of the prediction")

        def scaled(tree: Expr) -> Expr:
            return self.size(op("*", tree, Num(sd)))

        if form.power is not None:
            return _Part(proportional=scaled(form.power[0]), power=self.size(form.power[1]))
        source = form.root if form.root is not None else form.poly or {}
        if set(source) - ({0, 2} if form.root is not None else {0, 1}):
            raise NotAnError("a residual error with other powers of the prediction than 0 and 1")
        if form.root is not None:
            constant, growing = (root_of(source.get(i, ZERO)) for i in (0, 2))
        else:
            constant, growing = (source.get(i, ZERO) for i in (0, 1))
        return _Part(scaled(constant), scaled(growing), form.root is not None)

    def _by_factor(self, slope: Expr) -> Form | None:
        """Where the prediction is a multiple of something else, and the slope is written with that."""
        for name in sorted(names_in(self.prediction) & self.moving):
            own = self._form(self.prediction, Name(name))
            if own is None or own.poly is None or set(own.poly) != {1}:
                continue
            form = self._form(slope, Name(name))
            if form is None:
                continue
            factor = own.poly[1]

            def over(poly: Mapping[int, Expr] | None, factor: Expr = factor) -> Mapping[int, Expr] | None:
                if poly is None:
                    return None
                return {i: op("/", tree, op("^", factor, Num(float(i)))) for i, tree in poly.items()}

            if form.power is None:
                return Form(over(form.poly), over(form.root))
        return None

    def _form(self, tree: Expr, base: Expr) -> Form | None:
        table: dict[tuple[object, ...], int] = {}
        wanted = key_of(base, table)

        def number(key: tuple[object, ...]) -> int:
            return table.setdefault(key, len(table))

        def leaf(part: Num | Name) -> tuple[int, Form | None]:
            key = number(("num", part.value) if isinstance(part, Num) else ("name", part.name))
            if key == wanted:
                return key, Form({1: Num(1.0)})
            moves = isinstance(part, Name) and part.name in self.moving
            return key, None if moves else Form({0: part})

        def join(part: Call, args: tuple[tuple[int, Form | None], ...]) -> tuple[int, Form | None]:
            key = number((part.function, *(own for own, _ in args)))
            if key == wanted:
                return key, Form({1: Num(1.0)})
            forms = [form for _, form in args]
            known = [form for form in forms if form is not None]
            return key, joined(part.function, known) if len(known) == len(forms) else None

        return folded(tree, leaf, join)[1]


def _of_one(part: _Part) -> WrittenError:
    if part.power is not None:
        return WrittenError("pow", proportional=part.proportional, power=part.power)
    if part.is_additive:
        return WrittenError("add", additive=part.additive)
    if part.is_proportional:
        return WrittenError("prop", proportional=part.proportional)
    return WrittenError("combined2" if part.is_root else "combined1", part.additive, part.proportional)


def _of_parts(parts: list[_Part]) -> WrittenError:
    """Independent parts: their variances add up."""
    if len(parts) == 1:
        return _of_one(parts[0])
    powers = [part for part in parts if part.power is not None]
    others = [part for part in parts if part.power is None]
    if powers:
        if len(powers) > 1 or not all(part.is_additive for part in others):
            raise NotAnError("several residual effects with powers of the prediction")
        additive = _root_of_squares([part.additive for part in others])
        return WrittenError("combined2", additive, powers[0].proportional, powers[0].power)
    if any(not (part.is_additive or part.is_proportional or part.is_root) for part in others):
        raise NotAnError("a residual effect with two parts beside another one")
    additive = _root_of_squares([part.additive for part in others])
    proportional = _root_of_squares([part.proportional for part in others])
    return _of_one(_Part(additive, proportional, is_root=True))


def _of_logarithm(parts: list[_Part], found: Residual) -> WrittenError:
    if all(part.is_proportional for part in parts):
        return WrittenError("lnorm", additive=_root_of_squares([part.proportional for part in parts]))
    found.remarks.append("an error of log(Y) that changes with the prediction is read to first order as one of Y")
    return _of_parts(parts)


def _root_of_squares(trees: list[Expr]) -> Expr:
    own = [tree for tree in trees if tree != ZERO]
    if not own:
        return ZERO
    if len(own) == 1:
        return own[0]
    total: Expr = op("*", own[0], own[0])
    for tree in own[1:]:
        total = op("+", total, op("*", tree, tree))
    return op("sqrt", total)
