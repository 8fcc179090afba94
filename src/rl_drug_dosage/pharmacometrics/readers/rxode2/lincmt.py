"""``linCmt()``: which linear compartments the names of a model's variables stand for, written as equations.

The rules are those of rxode2: the names are compared without case, clearances go before rate constants, those before
hybrid constants, and numbered volumes say which compartment is the central one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rl_drug_dosage.pharmacometrics.readers.expressions import Expr, Name, call
from rl_drug_dosage.pharmacometrics.readers.rxode2.r_nodes import Node
from rl_drug_dosage.pharmacometrics.readers.rxode2.r_tokens import Source
from rl_drug_dosage.pharmacometrics.readers.written import Assign, ReadError

__all__ = ["LinearModel", "linear_model"]

_SUPPORTED = (
    "linCmt() takes cl, v (or vc, v1), q, vp (or v2, vt), q2, vp2 (or v3, vt2), vss; or k (ke, kel, k10), v, k12, k21, "
    "k13, k31; or alpha, beta, k21 or aob, v; or alpha, a, beta, b, gamma, c; with or without ka"
)
_KEL = ("k", "ke", "kel", "k10", "k20")
_TISSUES = ("vp", "vt", "vd")
_PERIPHERALS = ("peripheral1", "peripheral2")


@dataclass(frozen=True)
class LinearModel:
    """The equations that a ``linCmt()`` stands for.

    Args:
        statements: rate constants and derivatives.
        compartments: depot (if there is a ``ka``), central, peripheral ones.
        concentration: what ``linCmt()`` is worth.
    """

    statements: tuple[Assign, ...]
    compartments: tuple[str, ...]
    concentration: Expr


@dataclass(frozen=True)
class _Rates:
    volume: Expr
    kel: Expr
    exchange: tuple[tuple[Expr, Expr], ...]


def linear_model(node: Node, source: Source, assigned: Iterable[str], read: Iterable[str]) -> LinearModel:
    """The linear model that a call of ``linCmt`` means.

    Args:
        node: the call; with arguments, only they count.
        source: for errors.
        assigned: variables of the model, which go before the others.
        read: parameters and covariates.

    Raises:
        ReadError: no linear model fits the names, or several do.
    """
    roles = _Roles(node, source, tuple(dict.fromkeys(assigned)), tuple(dict.fromkeys(read)))
    rates = roles.rates()
    line = node.line
    ka = roles.get("ka")
    statements = [Assign("_lin_v", rates.volume, line), Assign("_lin_kel", rates.kel, line)]
    out: Expr = call("*", "_lin_kel", "central")
    into: Expr | None = call("*", ka, "depot") if ka else None
    derivatives = [Assign("depot", call("neg", call("*", ka, "depot")), line, "derivative")] if ka else []
    tissues = []
    for i, (there, back) in enumerate(rates.exchange):
        names = f"_lin_k1{i + 2}", f"_lin_k{i + 2}1"
        statements += [Assign(names[0], there, line), Assign(names[1], back, line)]
        tissue = _PERIPHERALS[i]
        leaving, returning = call("*", names[0], "central"), call("*", names[1], tissue)
        out = call("+", out, leaving)
        into = call("+", into, returning) if into else returning
        tissues.append(Assign(tissue, call("-", leaving, returning), line, "derivative"))
    change = call("-", into, out) if into else call("neg", out)
    derivatives += [Assign("central", change, line, "derivative"), *tissues]
    return LinearModel(
        (*statements, *derivatives),
        tuple(derivative.target for derivative in derivatives),
        call("/", "central", "_lin_v"),
    )


class _Roles:
    """Finds the variable of a role by the role's spellings."""

    def __init__(self, node: Node, source: Source, assigned: tuple[str, ...], read: tuple[str, ...]) -> None:
        self.node, self.source = node, source
        named = tuple(arg.text for arg in node.args)
        if any(arg.kind != "name" for arg in node.args):
            raise source.refused(node.place, "linCmt() with something that is no name", _SUPPORTED)
        self.places: list[Mapping[str, tuple[str, ...]]] = [
            self._by_spelling(names) for names in ((named,) if named else (assigned, read))
        ]

    @staticmethod
    def _by_spelling(names: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for name in names:
            found[name.lower()] = (*found.get(name.lower(), ()), name)
        return found

    def get(self, *spellings: str) -> Expr | None:
        """The variable with one of the spellings; None if there is none."""
        for place in self.places:
            found = [name for spelling in spellings for name in place.get(spelling, ())]
            if len(found) > 1:
                raise self._refused(f"linCmt() cannot tell which of {', '.join(found)} it is about")
            if found:
                return Name(found[0])
        return None

    def _need(self, what: str, *spellings: str) -> Expr:
        found = self.get(*spellings)
        if found is None:
            raise self._refused(f"linCmt() finds no {what} ({' or '.join(spellings)})")
        return found

    def _refused(self, came: str) -> ReadError:
        return self.source.refused(self.node.place, came, _SUPPORTED)

    def rates(self) -> _Rates:
        if self.get("cl") or (self.get("cl1") and self.get("v", "vc", "v1")) or (self.get("cl2") and self.get("v2")):
            return self._clearances()
        if self.get(*_KEL):
            return self._constants()
        if self.get("alpha"):
            return self._hybrids()
        raise self._refused("linCmt() finds neither a clearance nor a rate constant")

    def _volumes(self) -> tuple[Expr, list[Expr], int]:
        """The central volume, the others, and the central compartment's number (0: not numbered)."""
        plain = self.get("v", "vc")
        central = 0
        if plain is None:
            central = 1 if self.get("v1") else 2
            volume = self._need("central volume", "v", "vc", "v1", *(() if central == 1 else ("v2",)))
        else:
            volume = plain
            central = 1 if self.get("v2") else (2 if self.get("v3") else 0)
        numbered = [self.get(f"v{central + 1}"), self.get(f"v{central + 2}")] if central else []
        others = [found for found in numbered if found]
        if not others:
            for letter in _TISSUES:
                others = [found for tail in ("", "1", "2", "3") if (found := self.get(letter + tail))]
                if others:
                    break
        return volume, others[:2], central

    def _clearances(self) -> _Rates:
        volume, others, central = self._volumes()
        between = [
            found
            for first in ("q", "cld")
            for tail in ("", "1", "2", "3")
            if (found := self.get(first + tail)) is not None
        ]
        clearance = self.get("cl")
        if clearance is None:
            clearance = self._need("clearance", "cl", f"cl{max(central, 1)}")
            numbers = range(max(central, 1) + 1, max(central, 1) + 3)
        else:
            numbers = range(1, 5)
        between = between or [found for i in numbers if (found := self.get(f"cl{i}"))]
        steady = self.get("vss")
        if steady:
            if others or len(between) != 1:
                raise self._refused("linCmt() with vss takes one intercompartmental clearance and no other volume")
            others = [call("-", steady, volume)]
        if len(others) != len(between) or len(between) > 2:
            raise self._refused(
                f"linCmt() finds {len(between)} intercompartmental clearances and {len(others)} peripheral volumes"
            )
        micro = [name for name in ("k12", "k21", "k13", "k31", "k23", "k32") if self.get(name)]
        if micro and not between:
            raise self._refused(
                f"linCmt() finds a clearance without an intercompartmental one, and {', '.join(micro)}: name "
                "what it is about, linCmt(k, v, k12, k21)"
            )
        exchange = tuple((call("/", q, volume), call("/", q, other)) for q, other in zip(between, others, strict=True))
        return _Rates(volume, call("/", clearance, volume), exchange)

    def _constants(self) -> _Rates:
        kel = self._need("rate constant", *_KEL)
        volume = self._volumes()[0]
        shift = 1 if (self.get("k23") or self.get("k32") or self.get("k20")) else 0
        exchange = []
        for i in (2, 3):
            there = self.get(f"k{1 + shift}{i + shift}")
            back = self.get(f"k{i + shift}{1 + shift}")
            if (there is None) != (back is None):
                raise self._refused(f"linCmt() needs both k{1 + shift}{i + shift} and k{i + shift}{1 + shift}")
            if there and back:
                exchange.append((there, back))
        return _Rates(volume, kel, tuple(exchange))

    def _hybrids(self) -> _Rates:
        alpha, beta = self._need("alpha", "alpha"), self.get("beta")
        back = self.get("k21", "k32")
        ratio = self.get("aob")
        if beta is not None and (ratio or (back and not self.get("a"))):
            volume = self._volumes()[0]
            if ratio:
                back = call("/", call("+", call("*", ratio, beta), alpha), call("+", ratio, 1.0))
            assert back is not None
            return self._two(volume, alpha, beta, back)
        first = self.get("a") or call("/", 1.0, self._volumes()[0])
        if beta is None:
            return _Rates(call("/", 1.0, first), alpha, ())
        second = self._need("b", "b")
        if self.get("gamma"):
            return _three((first, second, self._need("c", "c")), (alpha, beta, self._need("gamma", "gamma")))
        total = call("+", first, second)
        back = call("/", call("+", call("*", first, beta), call("*", second, alpha)), total)
        return self._two(call("/", 1.0, total), alpha, beta, back)

    @staticmethod
    def _two(volume: Expr, alpha: Expr, beta: Expr, back: Expr) -> _Rates:
        kel = call("/", call("*", alpha, beta), back)
        there = call("-", call("-", call("+", alpha, beta), back), kel)
        return _Rates(volume, kel, ((there, back),))


def _three(sizes: tuple[Expr, Expr, Expr], slopes: tuple[Expr, Expr, Expr]) -> _Rates:
    """Rate constants from A, B, C and alpha, beta, gamma: the zeros of the response's numerator are k21 and k31."""
    (a, b, c), (alpha, beta, gamma) = sizes, slopes
    total = call("+", call("+", a, b), c)

    def mean(x: Expr, y: Expr, z: Expr) -> Expr:
        return call("/", call("+", call("+", call("*", a, x), call("*", b, y)), call("*", c, z)), total)

    middle = mean(call("+", beta, gamma), call("+", alpha, gamma), call("+", alpha, beta))
    last = mean(call("*", beta, gamma), call("*", alpha, gamma), call("*", alpha, beta))
    root = call("sqrt", call("-", call("*", middle, middle), call("*", 4.0, last)))
    k21, k31 = call("*", 0.5, call("+", middle, root)), call("*", 0.5, call("-", middle, root))
    kel = call("/", call("/", call("*", call("*", alpha, beta), gamma), k21), k31)
    pairs = call("+", call("+", call("*", beta, gamma), call("*", alpha, beta)), call("*", alpha, gamma))
    ones = call("+", call("+", alpha, beta), gamma)
    top = call("+", call("-", call("-", pairs, call("*", k21, ones)), call("*", kel, k31)), call("*", k21, k21))
    k12 = call("/", top, call("-", k31, k21))
    k13 = call("-", ones, call("+", call("+", kel, k12), call("+", k21, k31)))
    return _Rates(call("/", 1.0, total), kel, ((k12, k21), (k13, k31)))
