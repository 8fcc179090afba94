"""One file of levels, read by several models: the same quantity in one unit, or a refusal that names the models.

Evidence compares densities of the same levels, and a forecast averages predictions of the same quantity. Levels in the
file are in the unit of the first model; for another model they are converted to its own, which is possible between
units of concentration.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import DrugModel, Levels, Output
from rl_drug_dosage.pkpd.bayes import PatientData
from rl_drug_dosage.pkpd.nonmem_data import NonmemData
from rl_drug_dosage.pkpd.units import per_mg_per_l, same_unit

__all__ = ["Paired", "paired", "shared_outputs"]


@dataclass(frozen=True)
class Paired:
    """What another model makes of the first model's outputs.

    Args:
        output: index of the first model's output -> index of this model's.
        factor: index of the first model's output -> what one unit of the first model is in this model's unit.
        data: the patients, their levels in this model's units.
        log_change: of each patient, what turns a log density of the levels in this model's units into one in the first
            model's: the sum of ln factor over the levels that are used and not outside quantification.
        notes: about names and units.
    """

    output: dict[int, int]
    factor: dict[int, float]
    data: NonmemData
    log_change: Float[np.ndarray, "patient"]
    notes: tuple[str, ...]


def paired(first: DrugModel, own: NonmemData, other: DrugModel, its: NonmemData) -> Paired:
    """Match outputs of another model to those of the first, and convert the levels.

    Args:
        first: the model in whose units the file is.
        own: the file as the first model reads it.
        other: another model.
        its: the file as that one reads it.

    Raises:
        ConfigError: the two do not predict the same quantity, or not from the same levels.
    """
    pairs: dict[int, int] = {}
    for mine, theirs in zip(own.patients, its.patients, strict=True):
        _refuse_other_levels(first, mine, other, theirs)
        for a, b in zip(mine.levels.output, theirs.levels.output, strict=True):
            pairs.setdefault(int(a), int(b))
    if not pairs:
        pairs = {_first_measured(first): _first_measured(other)}
    factor: dict[int, float] = {}
    notes: list[str] = []
    for one, another in pairs.items():
        factor[one], told = _factor(first, first.outputs[one], other, other.outputs[another])
        notes += told
    if any(start is not None for start in its.starts) and any(size != 1.0 for size in factor.values()):
        raise ConfigError(
            f"a start from a level before the first dose is not converted from the units of {first.name} to those of "
            f"{other.name}: leave one of the models out, or use --pre-dose-level ignore"
        )
    patients, changes = [], []
    for mine, theirs in zip(own.patients, its.patients, strict=True):
        factors = np.asarray([factor[int(of)] for of in mine.levels.output], dtype=float)
        patients.append(dataclasses.replace(theirs, levels=_converted(theirs.levels, factors)))
        seen = np.asarray(theirs.levels.used) & ~np.asarray(theirs.levels.censored)
        changes.append(float(np.sum(np.log(factors[seen]))))
    data = dataclasses.replace(its, patients=tuple(patients))
    return Paired(pairs, factor, data, np.asarray(changes), tuple(notes))


def shared_outputs(all_paired: Sequence[Paired]) -> list[int]:
    """Outputs of the first model that every model predicts, by index."""
    return sorted(set.intersection(*(set(each.output) for each in all_paired)))


def _first_measured(model: DrugModel) -> int:
    return next((i for i, output in enumerate(model.outputs) if output.residual is not None), 0)


def _refuse_other_levels(first: DrugModel, mine: PatientData, other: DrugModel, theirs: PatientData) -> None:
    used, its = np.asarray(mine.levels.used), np.asarray(theirs.levels.used)
    if differ := np.flatnonzero(used != its).tolist():
        does, does_not = (first, other) if used[differ[0]] else (other, first)
        raise ConfigError(
            f"patient {mine.name}: {does.name} uses the level at {float(mine.levels.time_h[differ[0]]):g} h and "
            f"{does_not.name} does not; models are compared on the same levels: give it MDV 1, or "
            "leave one of the models out"
        )


def _factor(first: DrugModel, a: Output, other: DrugModel, b: Output) -> tuple[float, list[str]]:
    """Unit of b per unit of a, and what is to be said of it."""
    mg_per_l = [per_mg_per_l(output.unit) for output in (a, b)]
    named = a.name == b.name
    same = same_unit(a.unit, b.unit)
    if (not same and None in mg_per_l) or (not named and None in mg_per_l):
        described = [f"{m.name} predicts {o.name!r} in {o.unit!r}" for m, o in ((first, a), (other, b))]
        raise ConfigError(
            f"{described[0]}, {described[1]}: an average needs one quantity, of one name and unit or a concentration "
            "in both; leave one of the models out, or say in DVID what was measured"
        )
    factor = 1.0 if same or mg_per_l[0] is None or mg_per_l[1] is None else mg_per_l[1] / mg_per_l[0]
    notes = []
    if not named:
        notes.append(f"{b.name!r} of {other.name} is taken for {a.name!r} of {first.name}")
    if not same:
        notes.append(
            f"levels are read in {a.unit}, the unit of {first.name}, and converted to {b.unit} for {other.name}"
        )
    if first.drug.casefold() != other.drug.casefold():
        notes.append(f"{first.name} is a model of {first.drug}, {other.name} of {other.drug}")
    return factor, notes


def _converted(levels: Levels, factors: Float[np.ndarray, "level"]) -> Levels:
    if np.all(factors == 1.0):
        return levels
    return dataclasses.replace(levels, value=np.asarray(levels.value) * factors)
