"""The tables of a dose search: one row a regimen, and a record with everything else."""

import json
import math
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from rl_drug_dosage.pharmacometrics.dose_options import DoseOptions, Question
from rl_drug_dosage.pharmacometrics.dose_ranking import RegimenRow
from rl_drug_dosage.pharmacometrics.dose_types import PatientDoses
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.utils.csv_text import csv_text
from rl_drug_dosage.utils.files import atomic_write

__all__ = ["TABLES", "dose_columns", "save_dose_tables"]

TABLES = ("doses.csv", "doses.json")

_HEADER = (
    "ID", "RANK", "ROUTE", "DOSE_MG", "INTERVAL_H", "DURATION_H", "DAILY_MG", "START", "MAP", "MEAN", "P5", "P25",
    "MEDIAN", "P75", "P95", "BELOW", "INSIDE", "ABOVE", "DISTANCE", "AT_PERCENTILE", "MEETS", "EXACT_MG",
    "EXACT_INTERVAL_H",
)  # fmt: skip


def _cells(patient: PatientDoses, rank: int, row: RegimenRow) -> list[Any]:
    return [
        patient.name, rank, row.route, row.amount_mg, row.interval_h, row.duration_h, row.daily_mg,
        patient.start_h - patient.offset_h, row.map, row.mean, *row.percentiles, row.below, row.inside, row.above,
        row.distance, row.at_percentile, int(row.meets), row.exact_mg, row.exact_interval_h,
    ]  # fmt: skip


def _rows(patients: Sequence[PatientDoses]) -> Iterator[list[Any]]:
    for patient in patients:
        for rank, row in enumerate(patient.rows, start=1):
            yield _cells(patient, rank, row)


def dose_columns(patients: Sequence[PatientDoses]) -> dict[str, np.ndarray]:
    """The columns of ``doses.csv``; numbers that are missing are not a number."""
    columns = dict(zip(_HEADER, zip(*_rows(patients), strict=True), strict=True))
    return {
        name: np.asarray(values if isinstance(values[0], str) else [np.nan if v is None else v for v in values])
        for name, values in columns.items()
    }


def save_dose_tables(
    options: DoseOptions,
    question: Question,
    model: DrugModel,
    patients: Sequence[PatientDoses],
    notes: Sequence[str],
    folder: Path,
) -> tuple[Path, ...]:
    """Write ``doses.csv`` and ``doses.json``.

    Raises:
        OutputError: a file cannot be written.
    """
    paths = tuple(folder / name for name in TABLES)
    lines = ([_text(value) for value in row] for row in _rows(patients))
    atomic_write(paths[0], csv_text(_HEADER, lines).encode())
    record = {
        "intended_use": "research and education only; nothing here is meant to treat a patient",
        "program": f"rl-drug-dosage {version('rl-drug-dosage')}",
        "drug": model.name,
        "data": options.data.name,
        "target": _target(question),
        "criterion": question.criterion,
        "percentile": question.percentile,
        "interval_that_counts": question.doses or "steady state",
        "posterior": options.posterior,
        "draws": options.draws,
        "prior_weight": options.prior_weight,
        "occasions": options.occasions,
        "seed": options.seed,
        "notes": list(notes),
        "patients": [_record(patient) for patient in patients],
    }
    atomic_write(paths[1], (json.dumps(_plain(record), indent=1, allow_nan=False) + "\n").encode())
    return paths


def _target(question: Question) -> dict[str, Any]:
    aim = question.aim
    low, high = aim.edges
    found: dict[str, Any] = {"output": aim.target.output, "metric": aim.target.metric, "low": low, "high": high}
    if aim.target.metric == "time_above":
        found["level"] = aim.target.low
    return found | {"unit": aim.target.unit, "aim": aim.point, "source": aim.target.source}


def _record(patient: PatientDoses) -> dict[str, Any]:
    wait, onset, back = patient.wait, patient.onset, patient.offset_h
    regimens = [dict(zip((h.lower() for h in _HEADER[1:]), _cells(patient, i + 1, row)[1:], strict=True))
                for i, row in enumerate(patient.rows)]  # fmt: skip
    return {
        "id": patient.name,
        "converged": bool(patient.fitted.estimate.converged),
        "start_h": patient.start_h - back,
        "effective_proposals": patient.effective,
        "warnings": list(patient.warnings),
        "best": regimens[0],
        "regimens": regimens,
        "impossible_regimens": patient.impossible,
        "wait_below": None
        if wait is None
        else {
            "map_h": wait.map_h - back,
            "median_h": wait.median_h - back,
            "p5_h": wait.low_h - back,
            "p95_h": wait.high_h - back,
            "needed_h": wait.needed_h - back,
            "never": wait.never,
        },
        "time_to_target": {
            "inside_by_interval": list(onset.inside),
            "map_h": onset.map_h,
            "median_h": onset.median_h,
            "p5_h": onset.low_h,
            "p95_h": onset.high_h,
            "never": onset.never,
        },
        "course": {
            "time_h": (patient.course.time_h - back).tolist(),
            "map": patient.course.map.tolist(),
            **{f"p{q}": band.tolist() for q, band in zip((5, 25, 50, 75, 95), patient.course.bands, strict=True)},
        },
    }


def _plain(value: Any) -> Any:
    """With None in place of what is not finite: JSON has no infinity."""
    if isinstance(value, dict):
        return {name: _plain(own) for name, own in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(own) for own in value]
    if isinstance(value, float):
        return float(f"{value:.8g}") if math.isfinite(value) else None
    return value


def _text(value: Any) -> str:
    if value is None or isinstance(value, str | int):
        return "" if value is None else str(value)
    return f"{float(value):.6g}" if math.isfinite(value) else ""
