"""Patients of a NONMEM-style event table as histories.

The table is read by the package's own reader (`pkpd.nonmem_data`, docs/event-tables.md); here its records become doses,
levels and covariates: repeated doses are written out, a steady state becomes the doses that led to it.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from rl_drug_dosage.bedside.drug_words import DrugWords
from rl_drug_dosage.bedside.entries import MOST_ENTRIES
from rl_drug_dosage.bedside.history import CovariateAt, Dose, Level, PatientHistory
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import Dose as Record
from rl_drug_dosage.pkpd import DrugModel, make_regimen, predict
from rl_drug_dosage.pkpd.bayes import PatientData
from rl_drug_dosage.pkpd.nonmem_data import NonmemData, TableText, read_nonmem

__all__ = ["read_event_table"]

_LEFT = 1e-4
"""What may be left of an earlier dose that is not written out, of the level one interval after it: unverified, ours."""
_SLOWER = 2
"""Times as many doses as the typical patient needs, for one who eliminates half as fast: this project's choice."""
_MOST_DOSES = 256
_MOMENT_H = 1e-6
"""After a dose, a level that the table lists behind it."""


def read_event_table(path: Path | TableText, words: DrugWords) -> tuple[PatientHistory, ...]:
    """The patients of a table.

    Args:
        path: the file, or its text.
        words: of the drug. Of a generic name, every model whose covariates have columns is read for.

    Raises:
        ConfigError: a table that cannot be read for any model, with its line and column; a record that has no place in
            a history.
    """
    tables: list[tuple[DrugModel, NonmemData]] = []
    error: ConfigError | None = None
    for model in words.models:
        try:
            tables.append((model, read_nonmem(path, model, interpolation="locf", pre_dose_level="refuse")))
        except ConfigError as failed:
            error = error or type(failed)(str(failed).partition(", or choose --pre-dose-level")[0])
    if not tables:
        assert error is not None
        raise error
    model, first = tables[0]
    histories = []
    for i, patient in enumerate(first.patients):
        where = f"{path.name}, ID {patient.name}"
        covariates = {(c.time_h, c.name): c for _, table in tables for c in _covariates(table.patients[i])}
        doses, notes = _doses(model, patient, where)
        levels, more = _levels(model, patient, where)
        now_h = max(line.time_h for line in first.table[i])
        said = [*first.notes, *notes, *more, "now is the time of the patient's last line"]
        if len(tables) < len(words.models):
            said.append(f"the columns serve {', '.join(m.name for m, _ in tables)}")
        said += _units_of_columns([m for m, _ in tables])
        histories.append(
            PatientHistory(
                drug=words.drug,
                doses=doses,
                levels=levels,
                covariates=tuple(covariates.values()),
                now_h=max([now_h, *(d.time_h for d in doses)]),
                name=patient.name,
                notes=tuple(dict.fromkeys(said)),
            )
        )
    return tuple(histories)


def _units_of_columns(models: Sequence[DrugModel]) -> Iterator[str]:
    """A sentence on every column that models have in different units: a table names none."""
    columns: dict[str, dict[str, None]] = {}
    for covariate in (c for model in models for c in model.covariates):
        columns.setdefault(covariate.column, {})[covariate.unit] = None
    for column, units in columns.items():
        if len(units) > 1:
            yield f"column {column} has no unit, and is read in that of each model: {', '.join(units)}"


def _covariates(patient: PatientData) -> Iterator[CovariateAt]:
    times = np.asarray(patient.covariates.time_h)
    for name, column in patient.covariates.values.items():
        for time, value in zip(times, np.asarray(column), strict=True):
            yield CovariateAt(float(time), name, float(value))


def _doses(model: DrugModel, patient: PatientData, where: str) -> tuple[tuple[Dose, ...], list[str]]:
    """Every dose that was given.

    Raises:
        ConfigError: a reset, a steady state that is added or of a constant infusion, too many doses.
    """
    found: list[Dose] = []
    notes: list[str] = []
    for record in patient.doses:
        at = f"{where}, dose at {record.time_h:g} h"
        if record.reset:
            raise ConfigError(f"{at}: EVID 3 and 4 begin anew; give what follows as a patient with an ID of its own")
        earlier = 0
        if record.steady_state:
            if record.steady_state == 2 or record.is_constant_infusion:
                raise ConfigError(f"{at}: allowed is SS 1 with AMT and II; write out the doses that were given")
            earlier = _cycles(model, patient, record, at)
            notes.append(
                f"SS 1 at {record.time_h:g} h is read as {earlier} earlier doses every {record.interval_h:g} h"
            )
        duration = record.amount_mg / record.rate_mg_per_h if record.rate_mg_per_h > 0 else record.duration_h
        route = None if record.compartment == model.dosing.routes[0].compartment else record.compartment
        found += [
            Dose(record.time_h + k * record.interval_h, record.amount_mg, duration, route)
            for k in range(-earlier, record.additional + 1)
        ]
        if len(found) > MOST_ENTRIES:
            raise ConfigError(f"{at}: more than {MOST_ENTRIES} doses; allowed: fewer; leave old ones out")
    return tuple(found), notes


def _cycles(model: DrugModel, patient: PatientData, record: Record, at: str) -> int:
    """How many earlier doses stand for a steady state: until one has left the typical patient, and as many again.

    Raises:
        ConfigError: more than a history can have.
    """
    single = dataclasses.replace(
        record,
        time_h=0.0,
        steady_state=0,
        additional=0,
        interval_h=0.0,
    )
    times = record.interval_h * np.arange(1, _MOST_DOSES // _SLOWER + 1)
    table = jax.tree.map(lambda column: np.asarray(column)[:1], patient.covariates)
    with jax.enable_x64(True):
        regimen = make_regimen([single], model.structure)
        f = predict(model, regimen, table, jnp.asarray(times), jnp.zeros(len(model.etas)))
    drug = model.outputs[-1 if model.outputs[0].auc_scale is None else 0]
    left = np.asarray(f)[:, model.output_index(drug.name)]
    gone = np.flatnonzero(left <= _LEFT * left[0])
    if not gone.size:
        raise ConfigError(
            f"{at}: a steady state that takes more than {_MOST_DOSES // _SLOWER} doses; write out the doses that were "
            "given"
        )
    return int(_SLOWER * (gone[0] + 1))


def _levels(model: DrugModel, patient: PatientData, where: str) -> tuple[tuple[Level, ...], list[str]]:
    """The levels that are used.

    Raises:
        ConfigError: a level above a limit, or one with a weight.
    """
    found, notes = [], []
    data = patient.levels
    for k, time in enumerate(np.asarray(data.time_h)):
        at = f"{where}, level at {time:g} h"
        if data.above is not None and bool(data.above[k]):
            raise ConfigError(
                f"{at}: a level above a limit has no place in a history; give the diluted result, or MDV 1"
            )
        if data.weight is not None and float(data.weight[k]) != 1.0:
            raise ConfigError(f"{at}: a level has no weight in a history; leave the column out")
        if not bool(data.used[k]):
            notes.append(f"level at {time:g} h: before any dose, and 0: not used")
            continue
        after = bool(data.after_dose[k])
        if after:
            notes.append(f"level at {time:g} h: drawn after the dose at that time, as the table lists it behind it")
        own = model.outputs[int(data.output[k])].name
        found.append(Level(float(time) + (_MOMENT_H if after else 0.0), float(data.value[k]), own, bool(data.below[k])))
    return tuple(found), notes
