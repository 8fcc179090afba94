"""How random effects enter a model: on one variable, in a form that the engine has, or in any other way.

An effect that enters one variable as ``exp(A + eta)``, ``A exp(eta)``, ``A (1 + eta)``, ``A + eta`` or
``expit(A + eta)`` is the engine's own: results then speak of a clearance and its eta. Any other one is a helper
parameter with the typical value 0, which the statements read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rl_drug_dosage.pharmacometrics.readers.bridge.statements import Steps
from rl_drug_dosage.pharmacometrics.readers.expressions import Call, Expr, Name, Num, names_in, walk
from rl_drug_dosage.pkpd.description import EtaForm

__all__ = ["Effect", "effects_of"]


@dataclass(frozen=True)
class Effect:
    """Where a random effect acts.

    Args:
        eta: its name in the file.
        parameter: the variable, or the effect's own name for a helper.
        form: how it enters.
        is_helper: whether ``parameter`` is one.
    """

    eta: str
    parameter: str
    form: EtaForm
    is_helper: bool


def effects_of(steps: Steps, etas: Sequence[str], occasion_etas: Sequence[str]) -> tuple[list[Effect], list[Effect]]:
    """The effects between subjects and those between occasions, each in the given order."""
    every = frozenset(etas) | frozenset(occasion_etas)
    tainted = _tainted(steps, every)
    places: dict[str, list[int]] = {name: [] for name in every}
    for i, step in enumerate(steps.steps):
        for name in names_in(step.expr) & every:
            places[name].append(i)
    found: dict[str, tuple[str, EtaForm]] = {}
    for i, step in enumerate(steps.steps):
        own = [n for n in (*etas, *occasion_etas) if i in places[n]]
        if not own or len([n for n in own if n in etas]) > 1 or len([n for n in own if n in occasion_etas]) > 1:
            continue
        if step.name in steps.moving or "@" in step.name or any(places[n] != [i] for n in own):
            continue
        if (names_in(step.expr) - set(own)) & tainted:
            continue
        forms = {_form(step.expr, name, frozenset(own)) for name in own}
        if len(forms) == 1 and (form := forms.pop()) is not None:
            found |= dict.fromkeys(own, (step.name, form))

    def effect(name: str) -> Effect:
        if name in found:
            return Effect(name, *found[name], is_helper=False)
        return Effect(name, name, "additive", is_helper=True)

    return [effect(name) for name in etas], [effect(name) for name in occasion_etas]


def _tainted(steps: Steps, etas: frozenset[str]) -> frozenset[str]:
    """Names that depend on a random effect."""
    found = set(etas)
    for step in steps.steps:
        if names_in(step.expr) & found:
            found.add(step.name)
    return frozenset(found)


def _form(expr: Expr, eta: str, own: frozenset[str]) -> EtaForm | None:  # noqa: PLR0911 - one case a form
    """The form in which an effect enters a whole expression; None if it is another one."""
    if sum(part == Name(eta) for part in walk(expr)) != 1:
        return None
    if isinstance(expr, Call) and expr.function == "expit" and _is_sum(expr.args[0], eta):
        return "logit"
    if _is_sum(expr, eta):
        return "additive"
    factor: Expr = expr
    # Down the product to the factor that holds the effect.
    while isinstance(factor, Call) and factor.function in {"*", "/"}:
        holds = [eta in names_in(arg) for arg in factor.args]
        if factor.function == "/" and not holds[0]:
            return None
        inside = factor.args[holds.index(True)]
        beside = factor.args[holds.index(False)]
        others = (names_in(beside) & own) - {eta}
        if others and not all(_form(beside, other, own) == "lognormal" for other in others):
            return None
        shared, factor = bool(others), inside
        if shared and not (isinstance(factor, Call) and factor.function in {"exp", "*", "/"}):
            return None
    if isinstance(factor, Call) and factor.function == "exp" and _is_sum(factor.args[0], eta):
        return "lognormal"
    terms = list(_terms(factor))
    if _is_sum(factor, eta) and sorted(map(_rank, terms)) == sorted(
        [1, *(2 for part in own if part in names_in(factor))]
    ):
        return "proportional"
    return None


def _rank(term: Expr) -> int:
    return 1 if term == Num(1.0) else 2 if isinstance(term, Name) else 3


def _terms(expr: Expr) -> Iterator[Expr]:
    waiting = [expr]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Call) and part.function == "+":
            waiting += part.args
        else:
            yield part


def _is_sum(expr: Expr, eta: str) -> bool:
    """Whether an expression is the effect, with a factor of 1, plus anything."""
    while expr != Name(eta):
        if not isinstance(expr, Call) or expr.function not in {"+", "-"}:
            return False
        holds = [eta in names_in(arg) for arg in expr.args]
        if expr.function == "-" and not holds[0]:
            return False
        expr = expr.args[holds.index(True)]
    return True
