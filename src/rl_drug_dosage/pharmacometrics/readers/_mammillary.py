"""Linear systems that are mammillary models: their clearances and volumes, found on the trees.

Rates are expanded into sums of products, so that ``(cl + q) / v`` and ``cl / v + q / v`` are the same, and the
elimination is what remains of a compartment's losses when its transfers are taken away. Nothing is compared by its
value.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rl_drug_dosage.pharmacometrics.readers._statements import Step, key_of
from rl_drug_dosage.pharmacometrics.readers.expressions import Call, Expr, Name, Num, folded

__all__ = ["MammillaryRates", "mammillary_rates"]

_MOST_TERMS = 64
_ONE = Num(1.0)

type _Product = tuple[tuple[tuple[str, int], ...], float]
"""Factors with their powers, sorted, and a number."""
type _Sum = dict[tuple[tuple[str, int], ...], float] | None
"""Product -> its coefficient; None for a sum that is too long."""


@dataclass(frozen=True)
class MammillaryRates:
    """Rates in the file's unit of time.

    Args:
        depot: whether the first compartment is one.
        absorption: out of the depot.
        elimination: k10.
        out, back: k12, k21, k13, k31.
    """

    depot: bool
    absorption: Expr | None
    elimination: Expr
    out: tuple[Expr, ...]
    back: tuple[Expr, ...]


class _Expander:
    """Sums of products over trees that cannot be taken apart."""

    def __init__(self, steps: Sequence[Step], whole: frozenset[str]) -> None:
        self._steps = {step.name: step.expr for step in steps if step.name not in whole}
        self._known: dict[str, _Sum] = {}
        self.atoms: dict[str, Expr] = {}

    def _atom(self, expr: Expr) -> _Sum:
        key = key_of(expr)
        self.atoms[key] = expr
        return {((key, 1),): 1.0}

    def _leaf(self, part: Num | Name) -> tuple[Expr, _Sum]:
        return part, self._sum_of_leaf(part)

    def _sum_of_leaf(self, part: Num | Name) -> _Sum:
        if isinstance(part, Num):
            return {(): part.value} if part.value else {}
        if part.name not in self._steps:
            return self._atom(part)
        if part.name not in self._known:
            found = self._expanded(self._steps[part.name])
            # A name for something that is no product stays a name.
            self._known[part.name] = found if found is not None else self._atom(part)
        return self._known[part.name]

    def _expanded(self, expr: Expr) -> _Sum:
        whole, found = folded(expr, self._leaf, self._joined) if isinstance(expr, Call) else self._leaf(expr)
        del whole
        return found if found is None or len(found) <= _MOST_TERMS else None

    def _joined(self, part: Call, args: tuple[tuple[Expr, _Sum], ...]) -> tuple[Expr, _Sum]:
        sums = [found for _, found in args]
        if any(found is None for found in sums):
            return part, None
        a = sums[0]
        assert a is not None
        b = sums[1] if len(sums) == 2 else None
        match part.function:
            case "neg":
                return part, {k: -v for k, v in a.items()}
            case "+" | "-":
                assert b is not None
                return part, _added(a, b, 1.0 if part.function == "+" else -1.0)
            case "*":
                assert b is not None
                return part, _multiplied(a, b)
            case "/" if b is not None and len(b) == 1:
                ((factors, number),) = b.items()
                inverse = {tuple((k, -n) for k, n in factors): 1.0 / number}
                return part, _multiplied(a, inverse)
        return part, self._atom(part)

    def tree(self, found: Mapping[tuple[tuple[str, int], ...], float]) -> Expr:
        """The sum as a tree again."""
        total: Expr | None = None
        for factors, number in found.items():
            above: Expr | None = None if number in {1.0} and any(n > 0 for _, n in factors) else Num(number)
            below: Expr | None = None
            for key, power in factors:
                for _ in range(abs(power)):
                    if power > 0:
                        above = self.atoms[key] if above is None else Call("*", (above, self.atoms[key]))
                    else:
                        below = self.atoms[key] if below is None else Call("*", (below, self.atoms[key]))
            term = above or _ONE
            term = term if below is None else Call("/", (term, below))
            total = term if total is None else Call("+", (total, term))
        return total or Num(0.0)


def _added(a: Mapping, b: Mapping, sign: float) -> dict:  # type: ignore[type-arg]
    out = dict(a)
    for factors, number in b.items():
        out[factors] = out.get(factors, 0.0) + sign * number
    return {k: v for k, v in out.items() if v != 0.0}


def _multiplied(a: Mapping, b: Mapping) -> _Sum:  # type: ignore[type-arg]
    if len(a) * len(b) > _MOST_TERMS:
        return None
    out: dict[tuple[tuple[str, int], ...], float] = {}
    for one, x in a.items():
        for other, y in b.items():
            powers = Counter(dict(one))
            for key, n in other:
                powers[key] += n
            factors = tuple(sorted((k, n) for k, n in powers.items() if n))
            out[factors] = out.get(factors, 0.0) + x * y
    return {k: v for k, v in out.items() if v != 0.0}


def mammillary_rates(
    compartments: Sequence[str],
    central: str,
    rows: Mapping[str, Mapping[str, Expr]],
    steps: Sequence[Step],
    whole: frozenset[str],
) -> MammillaryRates | None:
    """The rates of a mammillary model in the engine's order: depot, central, peripheral compartments.

    Args:
        compartments: in the file's order.
        central: the one that concentrations are read from.
        rows: compartment -> the contents that its derivative reads, with their rates.
        steps: definitions of the names in the rates.
        whole: names that carry a random effect, and are not to be looked through.

    Returns:
        None if the system is another one, or has another order.
    """
    at = list(compartments).index(central)
    first, others = compartments[:at], compartments[at + 1 :]
    if len(first) > 1 or len(others) > 2:
        return None
    expander = _Expander(steps, whole)

    def rate(row: str, column: str) -> _Sum:
        expr = rows.get(row, {}).get(column)
        return {} if expr is None else expander._expanded(expr)

    sums = {(r, c): rate(r, c) for r in compartments for c in compartments}
    if any(found is None for found in sums.values()):
        return None
    known: dict[tuple[str, str], dict] = sums  # type: ignore[assignment, type-arg]
    allowed = {(c, c) for c in compartments} | {(central, c) for c in compartments} | {(c, central) for c in others}
    if any(found and place not in allowed for place, found in known.items()):
        return None
    for side in (*first, *others):
        # What leaves goes to the centre, all of it.
        if not known[central, side] or _added(known[side, side], known[central, side], 1.0):
            return None
    left = {k: -v for k, v in known[central, central].items()}
    for other in others:
        if not known[other, central]:
            return None
        left = _added(left, known[other, central], -1.0)
    if not left or any(number < 0 for number in left.values()):
        return None
    return MammillaryRates(
        depot=bool(first),
        absorption=expander.tree(known[central, first[0]]) if first else None,
        elimination=expander.tree(left),
        out=tuple(expander.tree(known[other, central]) for other in others),
        back=tuple(expander.tree(known[central, other]) for other in others),
    )
