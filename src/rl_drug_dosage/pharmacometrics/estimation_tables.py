"""The tables of an estimation: one row a parameter, one row a level."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from rl_drug_dosage.pkpd import Covariates, DrugModel, Levels, parameter_unit
from rl_drug_dosage.pkpd.bayes import Fitted
from rl_drug_dosage.utils.csv_text import csv_text
from rl_drug_dosage.utils.files import atomic_write

__all__ = ["TABLES", "ParameterRow", "PatientResult", "estimate_columns", "parameter_rows", "save_tables"]

TABLES = ("estimates.csv", "predictions.csv")

_ESTIMATES = (
    "ID", "KIND", "NAME", "UNIT", "FROM", "UNTIL", "OCC", "MAP", "LOW90", "HIGH90", "POPULATION",
    "OBJ", "CONVERGED", "ITERATIONS", "WARNING",
)  # fmt: skip
_PREDICTIONS = ("ID", "TIME", "DV", "PRED", "IPRED", "IWRES", "OUTPUT", "UNIT", "CENS", "USED", "WARNING")


@dataclass(frozen=True)
class ParameterRow:
    """An estimate over one covariate record. Bounds are None where it does not vary, or did not converge."""

    kind: Literal["parameter", "eta", "kappa"]
    name: str
    unit: str
    """Empty where the model does not say it."""
    record: int
    estimate: float
    low: float | None
    high: float | None
    population: float
    """Of a patient with these covariates and no random effects."""


@dataclass(frozen=True)
class PatientResult:
    """One patient."""

    fitted: Fitted
    rows: tuple[ParameterRow, ...]
    covariates: Covariates
    levels: Levels
    hours: tuple[float, ...]
    """Time of each level, as the file counts it."""
    population: Float[np.ndarray, "level"]
    """Prediction without random effects."""
    weighted_residual: Float[np.ndarray, "level"]
    """IWRES; NaN where a level is outside quantification or not used."""
    level_flags: tuple[str, ...]
    warnings: tuple[str, ...]


def parameter_rows(
    model: DrugModel, covariates: Covariates, fit: Fitted, bounds: dict[str, Any], typical: dict[str, Any]
) -> list[ParameterRow]:
    """The rows of one patient: parameters over each record, etas, and the kappas of each occasion.

    Args:
        model: the drug.
        covariates: the patient's table.
        fit: the estimate.
        bounds: lower and upper bound of every parameter, and of ``eta`` and ``kappa``.
        typical: parameters without random effects.
    """
    converged = bool(fit.estimate.converged)

    def row(kind: Any, name: str, record: int, value: Any, ends: Sequence[float], population: float) -> ParameterRow:
        low, high = (float(end) for end in ends)
        known = converged and high > low
        unit = parameter_unit(name) if kind == "parameter" else ""
        return ParameterRow(
            kind, name, unit, record, float(value), low if known else None, high if known else None, float(population)
        )

    rows = [
        row("parameter", name, k, values[k], [end[k] for end in bounds[name]], typical[name][k])
        for k in range(covariates.time_h.shape[0])
        for name, values in sorted(fit.parameters.items())
    ]
    last = covariates.time_h.shape[0] - 1
    for i, eta in enumerate(model.etas):
        rows.append(row("eta", eta.parameter, last, fit.estimate.eta[i], [e[i] for e in bounds["eta"]], 0.0))
    for k in range(min(fit.estimate.kappa.shape[0], 1 + int(np.max(covariates.occasion)))):
        record = int(np.flatnonzero(covariates.occasion == k)[0])
        for i, eta in enumerate(model.occasion_etas):
            ends = [e[k, i] for e in bounds["kappa"]]
            rows.append(row("kappa", eta.parameter, record, fit.estimate.kappa[k, i], ends, 0.0))
    return rows


def save_tables(model: DrugModel, patients: Sequence[PatientResult], folder: Path) -> list[Path]:
    """Write ``estimates.csv`` and ``predictions.csv``.

    Raises:
        OutputError: a file cannot be written.
    """
    paths = [folder / name for name in TABLES]
    atomic_write(paths[0], _csv(_ESTIMATES, _estimates(patients)))
    atomic_write(paths[1], _csv(_PREDICTIONS, _predictions(model, patients)))
    return paths


def estimate_columns(patients: Sequence[PatientResult]) -> dict[str, np.ndarray]:
    """The columns of ``estimates.csv``; numbers that are missing are not a number."""
    columns = dict(zip(_ESTIMATES, zip(*_estimates(patients), strict=True), strict=True))
    return {name: _column(values) for name, values in columns.items()}


def _column(values: Sequence[Any]) -> np.ndarray:
    if any(isinstance(v, str) for v in values):
        return np.asarray(values)
    return np.asarray([np.nan if v is None else float(v) for v in values])


def _estimates(patients: Sequence[PatientResult]) -> Iterator[list[Any]]:
    for patient in patients:
        at, table = patient.fitted.estimate, patient.covariates
        times, records = [round(float(time), 6) for time in table.time_h], table.time_h.shape[0]
        whole = [at.printed_objective, int(at.converged), int(at.iterations), " | ".join(patient.warnings)]
        for row in patient.rows:
            # A record holds up to its time (NOCB) or from its time (LOCF); the ends are open.
            k, back = row.record, table.carry == "nocb"
            since = times[k - back] if k > 0 else None
            until = times[k + 1 - back] if k < records - 1 else None
            span = [None, None] if row.kind == "eta" else [since, until]
            occasion = None if row.kind == "eta" else int(table.occasion[k]) + 1
            yield [
                patient.fitted.name, row.kind, row.name, row.unit, *span, occasion,
                row.estimate, row.low, row.high, row.population, *whole,
            ]  # fmt: skip


def _predictions(model: DrugModel, patients: Sequence[PatientResult]) -> Iterator[list[Any]]:
    for patient in patients:
        levels = patient.levels
        for i, flag in enumerate(patient.level_flags):
            output = model.outputs[int(levels.output[i])]
            yield [
                patient.fitted.name, round(patient.hours[i], 6), levels.value[i], patient.population[i],
                patient.fitted.predicted[i], patient.weighted_residual[i], output.name, output.unit,
                int(levels.below[i]) - int(levels.above is not None and levels.above[i]), int(levels.used[i]), flag,
            ]  # fmt: skip


def _csv(header: Sequence[str], rows: Iterator[list[Any]]) -> bytes:
    """Numbers to 6 digits; what is missing or not finite is an empty cell."""

    def cell(value: Any) -> str:
        if value is None or isinstance(value, str | int):
            return "" if value is None else str(value)
        return f"{float(value):.6g}" if math.isfinite(value) else ""

    return csv_text(header, ([cell(value) for value in row] for row in rows)).encode()
