"""Slopes of a residual error as forms of the prediction P: polynomials, roots of polynomials, powers."""

from collections.abc import Mapping
from dataclasses import dataclass

from rl_drug_dosage.pharmacometrics.readers.expressions import Call, Expr, Num
from rl_drug_dosage.pharmacometrics.readers.nonmem.trees import simplified

__all__ = ["ZERO", "Form", "joined", "op", "product", "root_of"]

ZERO = Num(0.0)
_GUARD = 0.001
"""A number of the code, not an estimate, that is added to a prediction so that it is never 0."""

type _Poly = dict[int, Expr]
"""Power of P -> coefficient; an entry of `_ROOT` is the square of a root's content."""


@dataclass(frozen=True)
class Form:
    """A tree in terms of P: one of three kinds.

    Args:
        poly: power of P -> coefficient.
        root: the same of what stands under a square root.
        power: (factor, exponent) of P.
    """

    poly: Mapping[int, Expr] | None
    root: Mapping[int, Expr] | None = None
    power: tuple[Expr, Expr] | None = None

    def free(self) -> Expr | None:
        """The coefficient if it does not depend on P."""
        return self.poly.get(0, ZERO) if self.poly is not None and not set(self.poly) - {0} else None


def op(function: str, *args: Expr) -> Expr:
    """A call, simplified."""
    return simplified(Call(function, args))


def joined(function: str, forms: list[Form]) -> Form | None:  # noqa: PLR0911 - one case an operator
    """The form of a function of forms; None where it has none."""
    free = [form.free() for form in forms]
    if all(one is not None for one in free):
        return Form({0: op(function, *(one for one in free if one is not None))})
    a, b = forms[0], forms[-1]
    if function == "sqrt" and a.poly is not None:
        return _square_root(a.poly)
    if function == "neg" and a.poly is not None:
        return Form({i: op("neg", tree) for i, tree in a.poly.items()})
    if function == "+" and (guarded := _guarded(forms, free)) is not None:
        return guarded
    if function in {"+", "-"} and a.poly is not None and b.poly is not None:
        powers = sorted(set(a.poly) | set(b.poly))
        return Form({i: op(function, a.poly.get(i, ZERO), b.poly.get(i, ZERO)) for i in powers})
    if function == "*":
        return product(a, b)
    if function == "/":
        return _quotient(a, b)
    if function == "^" and free[1] is not None and a.poly is not None:
        return _power_of(a.poly, free[1])
    return None


def _guarded(forms: list[Form], free: list[Expr | None]) -> Form | None:
    """P + 0.0001, which keeps a quotient finite, is P."""
    for one, form in ((0, forms[1]), (1, forms[0])):
        number = free[one]
        if isinstance(number, Num) and 0 <= number.value <= _GUARD and form.poly is not None and set(form.poly) == {1}:
            return form
    return None


def _square_root(poly: Mapping[int, Expr]) -> Form:
    own = {i: tree for i, tree in poly.items() if tree != ZERO}
    if set(own) == {2}:
        return Form({1: root_of(own[2])})
    if len(own) == 1 and 0 not in own:
        ((power, tree),) = own.items()
        return Form(None, power=(root_of(tree), Num(power / 2.0)))
    return Form(None, root=own)


def root_of(tree: Expr) -> Expr:
    """sqrt(a a), sqrt(a^2), sqrt(a^2 b^2) without the root."""
    if isinstance(tree, Call):
        if tree.function == "^" and tree.args[1] == Num(2.0):
            return op("abs", tree.args[0])
        if tree.function == "*":
            one, other = tree.args
            if one == other:
                return op("abs", one)
            return op("*", root_of(one), root_of(other))
    return op("sqrt", tree)


def product(a: Form, b: Form) -> Form | None:
    """A product, where one factor does not depend on P, or both are polynomials, or one is a multiple of P."""
    if a.poly is not None and b.poly is not None:
        out: _Poly = {}
        for i, first in a.poly.items():
            for j, second in b.poly.items():
                out[i + j] = op("+", out.get(i + j, ZERO), op("*", first, second))
        return Form({i: tree for i, tree in out.items() if tree != ZERO})
    for one, other in ((a, b), (b, a)):
        if one.poly is not None and len(one.poly) == 1 and set(one.poly) <= {0, 1}:
            ((power, factor),) = one.poly.items()
            return _stretched(other, factor, power)
    return None


def _stretched(form: Form, factor: Expr, power: int) -> Form | None:
    """A root or a power of P, times ``factor P^power``."""
    if form.root is not None:
        square = op("*", factor, factor)
        return Form(None, root={i + 2 * power: op("*", tree, square) for i, tree in form.root.items()})
    if form.power is not None:
        return Form(None, power=(op("*", form.power[0], factor), op("+", form.power[1], Num(float(power)))))
    return None


def _quotient(a: Form, b: Form) -> Form | None:
    divisor = b.free()
    if divisor is not None:
        return product(a, Form({0: op("/", Num(1.0), divisor)}))
    if b.poly is not None and len(b.poly) == 1 and a.poly is not None:
        ((j, tree),) = b.poly.items()
        return Form({i - j: op("/", own, tree) for i, own in a.poly.items()})
    return None


def _power_of(poly: Mapping[int, Expr], exponent: Expr) -> Form | None:
    """A polynomial to a constant power."""
    number = exponent.value if isinstance(exponent, Num) else None
    one = Form(poly)
    if number in {1.0, 2.0}:
        return one if number == 1.0 else product(one, one)
    if number == 0.5:
        return _square_root(poly)
    if set(poly) != {1}:
        return None
    factor = op("^", poly[1], exponent)
    whole = number is not None and number == int(number)
    return Form({int(number or 0): factor}) if whole else Form(None, power=(factor, exponent))
