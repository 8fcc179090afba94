"""The patients of a clinic as every model reads them, with levels in the unit of each."""

import dataclasses
import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pharmacometrics.validation_levels import LevelTable, level_table
from rl_drug_dosage.pkpd import (
    Covariates,
    DrugModel,
    check_delivery,
    check_parameters,
    individual_parameters,
    make_regimen,
    outside_range,
    refuse_levels_before_doses,
    stack_covariates,
)
from rl_drug_dosage.pkpd.bayes import PatientData
from rl_drug_dosage.pkpd.nonmem_data import Interpolation, NonmemData, read_nonmem
from rl_drug_dosage.pkpd.timeline import delivery_is_fixed
from rl_drug_dosage.pkpd.units import per_mg_per_l, same_unit
from rl_drug_dosage.registry import DRUG, find

__all__ = ["Candidate", "Clinic", "find_models", "read_clinic"]


_UNREAD = "columns not read: "
"""How `read_nonmem` says so; of several models, a column is unread if none of them reads it."""


@dataclass(frozen=True)
class Candidate:
    """A model with the clinic's patients as it reads them."""

    name: str
    model: DrugModel
    patients: tuple[PatientData, ...]
    """Levels in the model's units."""
    factor: Float[np.ndarray, "level"]
    """What one unit of the table is in the model's unit, for every level."""


@dataclass(frozen=True)
class Clinic:
    """The contents of a file for several models."""

    file: str
    names: tuple[str, ...]
    """Of the patients with a level that counts."""
    outputs: tuple[tuple[str, str], ...]
    """Name and unit of what was measured."""
    levels: LevelTable
    candidates: tuple[Candidate, ...]
    columns: Mapping[str, tuple[str, ...]]
    """Title -> text at every level, of the columns that patients are grouped by."""
    notes: tuple[str, ...]


def find_models(drugs: Sequence[object] | Mapping[str, object]) -> list[tuple[str, DrugModel]]:
    """The models with the names that tables show.

    Args:
        drugs: references, see `registry`; a mapping gives them names.

    Raises:
        UnknownNameError: no such model.
        ConfigError: none, one twice, or two of one name.
    """
    given = drugs.items() if isinstance(drugs, Mapping) else [("", drug) for drug in drugs]
    found: list[tuple[str, DrugModel]] = []
    for name, reference in given:
        model: DrugModel = find(DRUG, reference).value
        for other, own in found:
            if own == model:
                raise ConfigError(f"{other} and {name or model.name} are one model: give each model once")
            if (name or model.name) == other:
                raise ConfigError(f"two different models are called {other}: rename one, since tables show the name")
        found.append((name or model.name, model))
    if not found:
        raise ConfigError("no model was given: give at least one drug model")
    return found


def read_clinic(
    path: Path,
    models: Sequence[tuple[str, DrugModel]],
    *,
    by: Sequence[str] = (),
    unit: str | None = None,
    occasions: bool = False,
    interpolation: Interpolation = "nocb",
) -> Clinic:
    """Read a file once for each model, and lay its levels out in one table.

    Args:
        path: NONMEM-style CSV file, see `pkpd.nonmem_data`.
        models: with their names.
        by: columns of the file, or covariates, by which patients are grouped; empty: the covariates of the models.
        unit: unit of the concentrations in the file; None: that of the models, who then have to agree.
        occasions: read occasions, for the models that have inter-occasion variability.
        interpolation: how covariates hold between records.

    Raises:
        ConfigError: fewer than two patients with a level, models in different units, an unknown column to group by.
        CovariateError, RegimenError, ObservationError: what a model cannot read, by line and column.
    """
    if occasions and not any(model.occasion_etas for _, model in models):
        raise ConfigError("no model given has inter-occasion variability: leave --occasions out")
    read = [
        read_nonmem(path, model, occasions=occasions and bool(model.occasion_etas), interpolation=interpolation)
        for _, model in models
    ]
    used = _common_use(read)
    kept = [i for i, own in enumerate(used) if own.any()]
    if len(kept) < 2:
        raise ConfigError(
            f"{path.name} has {'one patient' if kept else 'no patient'} with a level that can be used, and a "
            "comparison is made over patients: give at least 2, or use `rl-drug-dosage estimate` for one"
        )
    outputs, which, factors = _outputs(path.name, models, read, kept, used, unit)
    levels = level_table(read[0], kept, used, which, models[0][1])
    candidates = tuple(
        Candidate(
            name, model, tuple(_scaled(data, i, used[i], factor, levels, at) for at, i in enumerate(kept)), factor
        )
        for (name, model), data, factor in zip(models, read, factors, strict=True)
    )
    for candidate in candidates:
        _check(candidate)
    columns = {title: _texts(read[0], title, kept, used) for title in _titles(read[0], models, by, path.name)}
    notes = _notes(path.name, candidates, read, used, kept, columns)
    return Clinic(path.name, tuple(read[0].patients[i].name for i in kept), outputs, levels, candidates, columns, notes)


def _common_use(read: Sequence[NonmemData]) -> list[Bool[np.ndarray, "level"]]:
    """Of each patient, which levels every model uses."""
    count = len(read[0].patients)
    return [np.logical_and.reduce([np.asarray(data.patients[i].levels.used) for data in read]) for i in range(count)]


def _outputs(
    file: str,
    models: Sequence[tuple[str, DrugModel]],
    read: Sequence[NonmemData],
    kept: Sequence[int],
    used: Sequence[Bool[np.ndarray, "level"]],
    unit: str | None,
) -> tuple[tuple[tuple[str, str], ...], Int[np.ndarray, "level"], list[Float[np.ndarray, "level"]]]:
    """What was measured, the index of each level into it, and each model's factors."""
    of_model = [np.concatenate([data.patients[i].levels.output[used[i]] for i in kept]) for data in read]
    if unit is not None and per_mg_per_l(unit) is None:
        raise ConfigError(f"--unit {unit!r} is no unit of concentration that is known here: give mg/L, ug/L or ng/mL")
    kinds = list(dict.fromkeys(zip(*(own.tolist() for own in of_model), strict=True)))
    outputs, factors = [], [np.ones(len(of_model[0])) for _ in models]
    index = np.zeros(len(of_model[0]), int)
    for number, kind in enumerate(kinds):
        own = np.logical_and.reduce([column == each for column, each in zip(of_model, kind, strict=True)])
        index[own] = number
        written = [model.outputs[each] for (_, model), each in zip(models, kind, strict=True)]
        per = [per_mg_per_l(output.unit) for output in written]
        told = unit if unit is not None and None not in per else written[0].unit
        for at, (output, scale) in enumerate(zip(written, per, strict=True)):
            base = per_mg_per_l(told)
            if same_unit(output.unit, told):
                continue
            if scale is None or base is None:
                raise ConfigError(
                    f"{models[0][0]} measures {written[0].name} in {written[0].unit}, and {models[at][0]} "
                    f"{output.name} in {output.unit}: these are different quantities; compare models of one"
                )
            if unit is None and scale != base:
                raise ConfigError(
                    f"{models[0][0]} has levels in {told}, {models[at][0]} in {output.unit}: say with --unit in "
                    f"which unit {file} has them"
                )
            factors[at][own] = scale / base
        outputs.append((written[0].name, told))
    return tuple(outputs), index, factors


def _scaled(
    data: NonmemData,
    i: int,
    used: Bool[np.ndarray, "level"],
    factor: Float[np.ndarray, "level"],
    table: LevelTable,
    at: int,
) -> PatientData:
    """A patient with the levels that count, in the model's units."""
    patient = data.patients[i]
    value = np.array(patient.levels.value, float)
    value[used] *= factor[table.patient == at]
    levels = dataclasses.replace(patient.levels, value=value, used=used)  # type: ignore[arg-type]
    return dataclasses.replace(patient, levels=levels)


def _check(candidate: Candidate) -> None:
    """Refuse what the model cannot simulate, as an estimation does."""
    model, patients = candidate.model, candidate.patients
    regimens = [make_regimen(patient.doses, model.structure) for patient in patients]
    for patient, regimen in zip(patients, regimens, strict=True):
        refuse_levels_before_doses(patient.levels, regimen)
    with jax.enable_x64(True):
        table = stack_covariates([patient.covariates for patient in patients])
        typical = jax.device_get(_typical(model, table))
        check_parameters(model, typical, table.values, [f"patient {patient.name}" for patient in patients])
        for i, (patient, regimen) in enumerate(zip(patients, regimens, strict=True)):
            if regimen.mark_row.size or not delivery_is_fixed(typical):
                records = patient.covariates.time_h.shape[0]
                own = {name: values[i, :records] for name, values in typical.items()}
                check_delivery(model.structure, regimen, patient.covariates, own)


@functools.partial(jax.jit, static_argnums=0)
def _typical(model: DrugModel, tables: Covariates) -> dict[str, Array]:
    """Parameters of patients without random effects, by record."""
    nobody = jnp.zeros(len(model.etas))
    return jax.vmap(lambda table: individual_parameters(model, table, nobody))(tables)


def _notes(
    file: str,
    candidates: Sequence[Candidate],
    read: Sequence[NonmemData],
    used: Sequence[Bool[np.ndarray, "level"]],
    kept: Sequence[int],
    grouped: Collection[str],
) -> tuple[str, ...]:
    own = [[note for note in data.notes if not note.startswith(_UNREAD)] for data in read]
    notes = [note for note in own[0] if all(note in each for each in own)]
    for candidate, each in zip(candidates, own, strict=True):
        notes += [f"{candidate.name}: {note}" for note in each if note not in notes]
    unread = [t for t in read[0].titles if t not in grouped and all(t in data.unread for data in read)]
    if unread:
        notes.append(f"{_UNREAD}{', '.join(unread)}")
    unused = sum(int((~own).sum()) for own in used)
    if unused:
        notes.append(f"{unused} of {sum(own.size for own in used)} levels are not used: they precede every dose")
    if len(kept) < len(used):
        notes.append(f"{len(used) - len(kept)} of {len(used)} patients of {file} have no level that can be used")
    drugs = {candidate.model.drug for candidate in candidates}
    if len(drugs) > 1:
        notes.append(f"the models are of different drugs: {', '.join(sorted(drugs))}")
    for candidate in candidates:
        names = [p.name for p in candidate.patients if outside_range(candidate.model, p.covariates)]
        if names:
            notes.append(
                f"{candidate.name}: {len(names)} of {len(candidate.patients)} patients have a covariate outside the "
                f"published range ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
            )
    return tuple(notes)


def _titles(data: NonmemData, models: Sequence[tuple[str, DrugModel]], by: Sequence[str], file: str) -> list[str]:
    """The file's own titles of the columns to group by."""
    titles = {title.upper(): title for title in data.titles}
    covariates = [covariate for _, model in models for covariate in model.covariates]
    if not by:
        named = (name.upper() for c in covariates for name in (c.column, c.name))
        return list(dict.fromkeys(titles[name] for name in named if name in titles))
    found = []
    for name in by:
        called = [n.upper() for c in covariates if c.is_called(name) for n in (c.column, c.name)]
        title = next((titles[n] for n in (name.strip().upper(), *called) if n in titles), None)
        if title is None:
            raise ConfigError(f"--by {name}: {file} has no such column; it has {', '.join(data.titles)}")
        found.append(title)
    return list(dict.fromkeys(found))


def _texts(
    data: NonmemData, title: str, kept: Sequence[int], used: Sequence[Bool[np.ndarray, "level"]]
) -> tuple[str, ...]:
    texts = data.at_levels(title)
    return tuple(text for i in kept for text, own in zip(texts[i], used[i], strict=True) if own)
