"""Linear systems that are mammillary models: their clearances and volumes, found on the trees.

Rates are expanded into sums of products, so that ``(cl + q) / v`` and ``cl / v + q / v`` are the same, and the
elimination is what remains of a compartment's losses when its transfers are taken away. Nothing is compared by its
value.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rl_drug_dosage.pharmacometrics.readers.bridge.statements import Step, key_of
from rl_drug_dosage.pharmacometrics.readers.expressions import Call, Expr, Name, Num, folded
from rl_drug_dosage.pkpd.parameter_units import RESERVED

__all__ = ["MammillaryForm", "around", "clashes", "mammillary_forms", "namesakes", "simplified"]

_MOST_TERMS = 64
_ONE = Num(1.0)

type _Terms = dict[tuple[tuple[str, int], ...], float]
"""Product -> its coefficient."""
type _Sum = _Terms | None
"""None for a sum that is too long."""


@dataclass(frozen=True)
class MammillaryForm:
    """Parameters of a `Mammillary`, by its names, in the file's units of time and volume.

    Args:
        flows: clearances and the absorption rate.
        volumes: of the peripheral compartments.
    """

    flows: Mapping[str, Expr]
    volumes: Mapping[str, Expr]


class _Expander:
    """Sums of products over trees that cannot be taken apart."""

    def __init__(self, steps: Sequence[Step], whole: frozenset[str]) -> None:
        self._known: dict[str, _Sum] = {}
        self.atoms: dict[str, Expr] = {}
        for step in steps:
            # In the order of the statements, so that what a name reads is there.
            if step.name not in whole:
                found = self.expanded(step.expr)
                # A name for something that is no product stays a name.
                self._known[step.name] = found if found is not None else self._atom(Name(step.name))

    def _atom(self, expr: Expr) -> _Sum:
        key = key_of(expr)
        self.atoms[key] = expr
        return {((key, 1),): 1.0}

    def _leaf(self, part: Num | Name) -> tuple[Expr, _Sum]:
        return part, self._sum_of_leaf(part)

    def _sum_of_leaf(self, part: Num | Name) -> _Sum:
        if isinstance(part, Num):
            return {(): part.value} if part.value else {}
        return self._known[part.name] if part.name in self._known else self._atom(part)

    def expanded(self, expr: Expr) -> _Sum:
        """The sum; None if it is too long."""
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
                return part, _divided(a, b)
        return part, self._atom(part)

    def tree(self, found: _Terms) -> Expr:
        """The sum as a tree again."""
        total: Expr | None = None
        for factors, number in found.items():
            above: Expr | None = None if number == 1.0 and any(n > 0 for _, n in factors) else Num(number)
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


def _added(a: _Terms, b: _Terms, sign: float) -> _Terms:
    out = dict(a)
    for factors, number in b.items():
        out[factors] = out.get(factors, 0.0) + sign * number
    return {k: v for k, v in out.items() if v != 0.0}


def _multiplied(a: _Terms, b: _Terms) -> _Sum:
    if len(a) * len(b) > _MOST_TERMS:
        return None
    out: _Terms = {}
    for one, x in a.items():
        for other, y in b.items():
            powers = Counter(dict(one))
            for key, n in other:
                powers[key] += n
            factors = tuple(sorted((k, n) for k, n in powers.items() if n))
            out[factors] = out.get(factors, 0.0) + x * y
    return {k: v for k, v in out.items() if v != 0.0}


def _divided(a: _Terms, b: _Terms) -> _Sum:
    """By a single product; None for a sum below the line."""
    if len(b) != 1:
        return None
    ((factors, number),) = b.items()
    return _multiplied(a, {tuple((k, -n) for k, n in factors): 1.0 / number})


def mammillary_forms(
    compartments: Sequence[str],
    central: str,
    volume: Expr,
    rows: Mapping[str, Mapping[str, Expr]],
    steps: Sequence[Step],
    whole: frozenset[str],
) -> Iterator[MammillaryForm]:
    """The parameters of a mammillary model whose compartments have the engine's order: depot, central, peripheral.

    First by the names of the file as they stand, then with rates such as ``k = cl / v`` taken apart. Nothing if the
    system is another one, or has another order.

    Args:
        compartments: in the file's order.
        central: the one that concentrations are read from.
        volume: of the central compartment.
        rows: compartment -> the contents that its derivative reads, with their rates.
        steps: definitions of the names in the rates.
        whole: names that carry a random effect, and are not looked through.
    """
    at = list(compartments).index(central)
    first, others = compartments[:at], compartments[at + 1 :]
    if len(first) > 1 or len(others) > 2:
        return
    for deep in (False, True):
        expander = _Expander(steps, _whole(steps, whole, deep=deep))
        rates, size = _rates(expander, first, central, others, rows), expander.expanded(volume)
        if rates is not None and size is not None and (found := _parameters(expander, *rates, size)) is not None:
            yield found


def _parameters(
    expander: _Expander, left: _Terms, absorbed: _Terms | None, exchanged: list[tuple[_Terms, _Terms]], size: _Terms
) -> MammillaryForm | None:
    """Clearances and volumes from rates and the central volume."""
    flows: dict[str, _Sum] = {"cl": _multiplied(left, size)}
    volumes: dict[str, Expr] = {}
    for i, (out, back) in enumerate(exchanged, start=2):
        flow = flows[f"q{i}"] = _multiplied(out, size)
        if flow is None:
            return None
        own = _divided(flow, back)
        fraction = Call("/", (expander.tree(flow), expander.tree(back)))
        volumes[f"v{i}"] = fraction if own is None else expander.tree(own)
    if absorbed is not None:
        flows["ka"] = absorbed
    if any(flow is None for flow in flows.values()):
        return None
    return MammillaryForm({key: expander.tree(flow or {}) for key, flow in flows.items()}, volumes)


def around(central: str, compartments: Sequence[str], rows: Mapping[str, Mapping[str, Expr]]) -> tuple[str, ...]:
    """The compartments that a central one exchanges with, and its depot, if they stand first; otherwise nothing.

    Args:
        central: its name.
        compartments: all of them, in the file's order.
        rows: derivatives that are linear, by compartment: the contents that they read.
    """
    near = {central, *rows.get(central, {})}
    if central not in rows or any(not set(rows.get(c, {"": None})) <= {c, central} for c in near - {central}):
        return ()
    first = tuple(compartments[: len(near)])
    return first if set(first) == near else ()


def clashes(given: Mapping[str, Expr], named: Mapping[str, Expr]) -> bool:
    """Whether the file calls something else by a name of the engine.

    Args:
        given: the engine's parameters.
        named: what the file calls so.
    """
    texts = {key: key_of(expr) for key, expr in given.items()}
    pairs = ((name.lower(), {key_of(Name(name)), key_of(own)}) for name, own in named.items())
    return any(key in texts and texts[key] not in meant for key, meant in pairs)


def namesakes(steps: Sequence[Step], whole: frozenset[str]) -> dict[str, Expr]:
    """What the file calls by a name of the engine, in any case of letters; arguments as in `simplified`."""
    names = [step.name for step in steps if step.name.lower() in RESERVED]
    return {name: simplified(Name(name), steps, whole) for name in names}


def simplified(expr: Expr, steps: Sequence[Step], whole: frozenset[str]) -> Expr:
    """The tree by the file's own names, as far as they are products; see `mammillary_forms`."""
    expander = _Expander(steps, _whole(steps, whole, deep=False))
    found = expander.expanded(expr)
    return expr if found is None else expander.tree(found)


def _whole(steps: Sequence[Step], whole: frozenset[str], *, deep: bool) -> frozenset[str]:
    """The names that are not looked through: a parameter is one, a rate made of two parameters is none."""

    def is_whole(step: Step) -> bool:
        expr = step.expr
        if isinstance(expr, Name) or step.name.startswith("_"):
            return False
        return not (deep and isinstance(expr, Call) and expr.function in {"/", "+", "-"})

    return whole | {step.name for step in steps if is_whole(step)}


def _rates(
    expander: _Expander,
    first: Sequence[str],
    central: str,
    others: Sequence[str],
    rows: Mapping[str, Mapping[str, Expr]],
) -> tuple[_Terms, _Terms | None, list[tuple[_Terms, _Terms]]] | None:
    """Rates of elimination, of absorption, and to and from each peripheral compartment."""
    every = (*first, central, *others)
    known: dict[tuple[str, str], _Terms] = {}
    for row in every:
        for column in every:
            expr = rows.get(row, {}).get(column)
            rate = {} if expr is None else expander.expanded(expr)
            if rate is None:
                return None
            known[row, column] = rate
    allowed = {(c, c) for c in every} | {(central, c) for c in every} | {(c, central) for c in others}
    if any(rate and place not in allowed for place, rate in known.items()):
        return None
    for side in (*first, *others):
        # What leaves goes to the centre, all of it.
        if not known[central, side] or _added(known[side, side], known[central, side], 1.0):
            return None
    left: _Terms = {k: -v for k, v in known[central, central].items()}
    for other in others:
        if not known[other, central]:
            return None
        left = _added(left, known[other, central], -1.0)
    if not left or any(number < 0 for number in left.values()):
        return None
    absorbed = known[central, first[0]] if first else None
    return left, absorbed, [(known[other, central], known[central, other]) for other in others]
