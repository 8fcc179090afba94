"""The inputs of a policy whose importance is measured, and records with one of them from other patients."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array

from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Scenario

__all__ = ["exchanged", "inputs"]


def inputs(scenario: Scenario) -> tuple[str, ...]:
    """The inputs whose importance is measured: each covariate, the levels, the doses so far, and others."""
    rest = ["levels", "doses so far"]
    rest += ["level before the first dose"] if scenario.monitoring.baseline else []
    rest += ["announced intake"] if scenario.intake is not None and scenario.intake.announced else []
    return (*(c.name for c in scenario.covariates), *rest)


def exchanged(scenario: Scenario, record: Record, name: str, order: Array) -> Record:
    """The records with one input taken from other patients."""

    def swap(where: Callable[[Record], Any]) -> Record:
        changed: Record = eqx.tree_at(where, record, jax.tree.map(lambda leaf: leaf[order], where(record)))
        return changed

    if name == "levels":
        return swap(lambda r: (r.level, r.known, r.below))
    if name == "doses so far":
        return swap(lambda r: r.dose)
    if name == "level before the first dose":
        return swap(lambda r: r.baseline)
    if name == "announced intake":
        return swap(lambda r: r.intake_mg)
    return swap(lambda r: r.covariates[name])
