"""The tables of an estimation across models: evidence and weights, forecasts of levels, and exposure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rl_drug_dosage.pharmacometrics.across_weights import Compared
from rl_drug_dosage.pharmacometrics.estimation import Estimation
from rl_drug_dosage.pharmacometrics.forecast import Summary
from rl_drug_dosage.utils.csv_text import csv_text
from rl_drug_dosage.utils.files import atomic_write

__all__ = ["ACROSS_TABLES", "AVERAGE", "ForecastRow", "QuantityRow", "model_columns", "save_across_tables"]

ACROSS_TABLES = ("models.csv", "forecasts.csv", "quantities.csv")
AVERAGE = "average"
"""What stands in the column MODEL for the mixture of all."""

_MODELS = (
    "ID", "MODEL", "PRIOR_WEIGHT", "WEIGHT", "LOG_EVIDENCE_LAPLACE", "LOG_EVIDENCE_SAMPLED", "OBJ", "CONVERGED",
    "EFFECTIVE", "WARNING",
)  # fmt: skip
_FORECASTS = (
    "ID", "TIME", "DV", "OUTPUT", "UNIT", "CENS", "USED", "MODEL", "WEIGHT", "MEAN", "LOW90", "HIGH90",
)  # fmt: skip
_QUANTITIES = ("ID", "NAME", "OUTPUT", "UNIT", "FROM", "UNTIL", "MODEL", "WEIGHT", "MEAN", "LOW90", "HIGH90")


@dataclass(frozen=True)
class ForecastRow:
    """A model's, or the average, forecast of one level, in the unit of the first model."""

    patient: str
    hour: float
    """As the file counts it."""
    level: float
    output: str
    unit: str
    outside: int
    """1: below the limit of quantification, -1: above it."""
    used: bool
    model: str
    weight: float
    summary: Summary


@dataclass(frozen=True)
class QuantityRow:
    """A model's, or the average, exposure over a patient's last dosing interval."""

    patient: str
    name: str
    """``auc24``, ``peak`` or ``trough``."""
    output: str
    unit: str
    from_h: float
    until_h: float
    """Since the patient's first line."""
    model: str
    weight: float
    summary: Summary


def model_columns(estimations: Sequence[Estimation], compared: Compared) -> dict[str, np.ndarray]:
    """The columns of ``models.csv``; numbers that are missing are not a number."""
    columns = zip(*_models(estimations, compared), strict=True)
    return {name: np.asarray(values) for name, values in zip(_MODELS, columns, strict=True)}


def save_across_tables(
    estimations: Sequence[Estimation],
    compared: Compared,
    forecasts: Sequence[ForecastRow],
    quantities: Sequence[QuantityRow],
    folder: Path,
) -> list[Path]:
    """Write ``models.csv``, ``forecasts.csv`` and ``quantities.csv``.

    Raises:
        OutputError: a file cannot be written.
    """
    of_levels = (
        [r.patient, round(r.hour, 6), r.level, r.output, r.unit, r.outside, int(r.used), *_end(r)] for r in forecasts
    )
    of_intervals = ([r.patient, r.name, r.output, r.unit, r.from_h, r.until_h, *_end(r)] for r in quantities)
    tables = ((_MODELS, _models(estimations, compared)), (_FORECASTS, of_levels), (_QUANTITIES, of_intervals))
    paths = [folder / name for name in ACROSS_TABLES]
    for path, (header, rows) in zip(paths, tables, strict=True):
        atomic_write(path, csv_text(header, ([_cell(value) for value in row] for row in rows)).encode())
    return paths


def _end(row: ForecastRow | QuantityRow) -> list[Any]:
    return [row.model, row.weight, row.summary.mean, row.summary.low, row.summary.high]


def _models(estimations: Sequence[Estimation], compared: Compared) -> Iterator[list[Any]]:
    for i, own in enumerate(compared.warnings):
        for k, one in enumerate(estimations):
            patient = one.patients[i]
            at = patient.fitted.estimate
            effective = math.nan if one.drawn is None else float(one.drawn.posterior.effective[i])
            yield [
                patient.fitted.name, one.model.name, compared.prior[k], compared.weight[i, k], compared.laplace[i, k],
                compared.sampled[i, k], float(at.printed_objective), int(at.converged), effective,
                " | ".join((*patient.warnings, *own)),
            ]  # fmt: skip


def _cell(value: Any) -> str:
    if isinstance(value, str | int):
        return str(value)
    return f"{float(value):.6g}" if math.isfinite(value) else ""
