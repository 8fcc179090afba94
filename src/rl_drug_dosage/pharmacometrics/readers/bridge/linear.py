"""Linear systems, recognised on the trees: derivatives that are sums of a rate times a content, with constant rates."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rl_drug_dosage.pharmacometrics.readers.bridge.statements import TIME, Step, Steps, key_of
from rl_drug_dosage.pharmacometrics.readers.expressions import Call, Expr, Name, Num, folded

__all__ = ["Affine", "AffineForms"]

_ZERO, _ONE = Num(0.0), Num(1.0)


@dataclass(frozen=True)
class Affine:
    """``constant + sum of coefficients * contents``; the trees read nothing that moves."""

    constant: Expr = _ZERO
    coefficients: Mapping[str, Expr] = field(default_factory=dict)


def _sum(a: Expr, b: Expr) -> Expr:
    return b if a == _ZERO else a if b == _ZERO else Call("+", (a, b))


def _product(a: Expr, b: Expr) -> Expr:
    if _ZERO in (a, b):
        return _ZERO
    return b if a == _ONE else a if b == _ONE else Call("*", (a, b))


def _negative(a: Expr) -> Expr:
    return a if a == _ZERO else Call("neg", (a,))


class AffineForms:
    """The affine forms of a model's moving values.

    Args:
        steps: the statements.
        compartments: names of the contents.
    """

    def __init__(self, steps: Steps, compartments: tuple[str, ...]) -> None:
        self.more: list[Step] = []
        """Coefficients that got a name of their own, so that no tree grows with the length of a chain."""
        self._forms: dict[str, Affine | None] = {name: Affine(coefficients={name: _ONE}) for name in compartments}
        self._forms[TIME] = None
        self._moving = steps.moving
        for step in steps.steps:
            if step.name in steps.moving:
                form = self.of(step.expr)
                self._forms[step.name] = None if form is None else self._named(form, step)

    def of(self, expr: Expr) -> Affine | None:
        """The form of a tree; None if it is not affine in the contents, or depends on time."""
        found: Affine | None = folded(expr, self._leaf, _joined)
        return found

    def written_out(self, expr: Expr) -> Expr:
        """A coefficient without the name that it got here."""
        return next((step.expr for step in self.more if expr == Name(step.name)), expr)

    def _leaf(self, part: Num | Name) -> Affine | None:
        if isinstance(part, Name) and part.name in self._moving:
            return self._forms.get(part.name)
        return Affine(part)

    def _named(self, form: Affine, step: Step) -> Affine:
        def named(expr: Expr) -> Expr:
            if not isinstance(expr, Call):
                return expr
            self.more.append(Step(f"_part_{len(self.more)}", expr, step.line))
            return Name(self.more[-1].name)

        return Affine(named(form.constant), {name: named(c) for name, c in form.coefficients.items()})


def _joined(part: Call, args: tuple[Affine | None, ...]) -> Affine | None:  # noqa: C901, PLR0911 - one case an operator
    if any(arg is None for arg in args):
        return None
    known: tuple[Affine, ...] = args  # type: ignore[assignment]
    if not any(arg.coefficients for arg in known):
        return Affine(Call(part.function, tuple(arg.constant for arg in known)))
    first = known[0]
    match part.function:
        case "+":
            return _added(first, known[1])
        case "-":
            return _added(first, _scaled(known[1], _negative))
        case "neg":
            return _scaled(first, _negative)
        case "*" if not first.coefficients:
            return _scaled(known[1], lambda c: _product(first.constant, c))
        case "*" if not known[1].coefficients:
            return _scaled(first, lambda c: _product(c, known[1].constant))
        case "/" if not known[1].coefficients:
            return _scaled(first, lambda c: c if c == _ZERO else Call("/", (c, known[1].constant)))
        case "if" if not first.coefficients:
            test, (then, other) = first.constant, known[1:]
            names = dict.fromkeys((*then.coefficients, *other.coefficients))

            def chosen(a: Expr, b: Expr) -> Expr:
                return a if key_of(a) == key_of(b) else Call("if", (test, a, b))

            return Affine(
                chosen(then.constant, other.constant),
                {n: chosen(then.coefficients.get(n, _ZERO), other.coefficients.get(n, _ZERO)) for n in names},
            )
    return None


def _added(a: Affine, b: Affine) -> Affine:
    names = dict.fromkeys((*a.coefficients, *b.coefficients))
    both = {n: _sum(a.coefficients.get(n, _ZERO), b.coefficients.get(n, _ZERO)) for n in names}
    return Affine(_sum(a.constant, b.constant), both)


def _scaled(a: Affine, by: Callable[[Expr], Expr]) -> Affine:
    return Affine(by(a.constant), {n: by(c) for n, c in a.coefficients.items()})
