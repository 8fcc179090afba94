"""What the structure of a model is made from, and what it is made of."""

from collections.abc import Mapping
from dataclasses import dataclass

from rl_drug_dosage.pharmacometrics.readers.bridge.callables import Individual, Typical, Value
from rl_drug_dosage.pkpd.structure import Structure

__all__ = ["Parts", "Scales"]


@dataclass(frozen=True)
class Scales:
    """Contents of the file's unit in 1 mg, and its unit of time in h."""

    per_mg: float
    unit_h: float


@dataclass(frozen=True)
class Parts:
    """What a `DrugModel` is made of.

    Args:
        names: compartment of the file -> of the structure.
        auc_scale: index of an output -> its factor.
        reads: names of parameters, random effects and covariates that anything depends on.
    """

    structure: Structure
    typical: Typical
    individual: Individual
    values: tuple[Value, ...]
    names: Mapping[str, str]
    auc_scale: Mapping[int, float]
    reads: frozenset[str]
