"""The parameters that the engine and the statements of a moment read, while they are collected."""

from dataclasses import dataclass, field

from rl_drug_dosage.pharmacometrics.readers.bridge.statements import Step
from rl_drug_dosage.pharmacometrics.readers.expressions import Call, Expr, Name, Num
from rl_drug_dosage.pkpd.parameter_units import PREFIXES

__all__ = ["Draft"]


@dataclass
class Draft:
    """The engine's parameters, while they are collected.

    Args:
        steps: everything that does not move.
        keys: name among the steps -> key.
        same: name in the file -> the engine's parameter that is exactly this, in the same unit.
    """

    steps: list[Step]
    keys: dict[str, str] = field(default_factory=dict)
    same: dict[str, str] = field(default_factory=dict)

    def give(self, key: str, expr: Expr, factor: float = 1.0) -> None:
        """A parameter that the engine reads, ``factor`` times a tree."""
        name = f"_engine_{key}"
        self.steps.append(Step(name, _scaled(expr, factor), 0))
        self.keys[name] = key
        if factor == 1.0 and isinstance(expr, Name):
            self.same[expr.name] = key

    def keep(self, name: str, *, plain: bool) -> None:
        """A value of the file; its key is its own name, unless the engine means something else by it.

        Args:
            name: among the steps.
            plain: whether the engine may find it under its own name.
        """
        if name in self.keys:
            return
        if name in self.same:
            self.keys[name] = self.same[name]
            return
        taken = name.lstrip("_") in self.keys.values() or not plain or name.startswith((*PREFIXES, "rate_"))
        self.keys[name] = f"file_{name}" if taken else name.lstrip("_")


def _scaled(expr: Expr, factor: float) -> Expr:
    return expr if factor == 1.0 else Call("*", (Num(factor), expr))
