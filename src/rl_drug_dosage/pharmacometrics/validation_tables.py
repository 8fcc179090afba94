"""The files of a model validation: errors, forecasts, weights and percentiles as CSV, and all of it as JSON."""

import json
import math
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from rl_drug_dosage.pharmacometrics.validation_errors import MEASURES, ErrorRow, Interval
from rl_drug_dosage.pharmacometrics.validation_vpc import PERCENTILES
from rl_drug_dosage.utils.csv_text import csv_text

if TYPE_CHECKING:
    from rl_drug_dosage.pharmacometrics.validation import ModelValidation

__all__ = ["TABLES", "error_columns", "record_of", "table_files"]

TABLES = ("validation.csv", "forecasts.csv", "weights.csv", "vpc.csv", "validation.json")

_ERRORS = ("MODEL", "OUTPUT", "UNIT", "KIND", "EARLIER", "BY", "GROUP", "PATIENTS", "LEVELS", "COMPARED")
_FORECASTS = (
    "MODEL", "ID", "TIME", "TAD", "OUTPUT", "UNIT", "DV", "CENS", "EARLIER", "PRED", "FORECAST", "PE_PCT", "PIT",
    "LOG_DENSITY", "EFFECTIVE",
)  # fmt: skip
_WEIGHTS = ("MODEL", "LOG_DENSITY", "BAYES", "STACKING", "STACKING_LOW95", "STACKING_HIGH95", "FIRST_PCT")
_VPC = (
    "MODEL", "OUTPUT", "UNIT", "BIN", "FROM", "UNTIL", "MIDDLE", "LEVELS", "PERCENTILE", "MEASURED", "SIMULATED",
    "SIMULATED_P5", "SIMULATED_P95", "BELOW_PCT", "BELOW_SIMULATED_PCT",
)  # fmt: skip


def table_files(result: "ModelValidation") -> dict[str, bytes]:
    """The contents of all of `TABLES`."""
    contents = (
        _csv([*_ERRORS, *_measure_titles()], _errors(result)),
        _csv(_FORECASTS, _forecasts(result)),
        _csv(_WEIGHTS, _weights(result)),
        _csv(_VPC, _vpc(result)),
        json.dumps(record_of(result), indent=1, allow_nan=False) + "\n",
    )
    return {name: content.encode() for name, content in zip(TABLES, contents, strict=True)}


def error_columns(result: "ModelValidation") -> dict[str, np.ndarray]:
    """The columns of ``validation.csv``."""
    titles = [*_ERRORS, *_measure_titles()]
    rows = list(_errors(result))
    return {title: np.array([row[i] for row in rows]) for i, title in enumerate(titles)}


def _measure_titles() -> list[str]:
    return [f"{name.upper()}{end}" for name in MEASURES for end in ("", "_LOW95", "_HIGH95")]


def _errors(result: "ModelValidation") -> Iterator[list[Any]]:
    units = dict(result.outputs)
    for row in result.rows:
        missing = Interval(math.nan, math.nan, math.nan)
        found = [row.measures.get(name, missing) for name in MEASURES]
        about = row.about
        yield [
            row.model, about.output, units[about.output], about.kind,
            "" if about.earlier is None else str(about.earlier), about.by, about.group,
            row.patients, row.levels, row.compared,
            *(value for each in found for value in (each.value, each.low, each.high)),
        ]  # fmt: skip


def _forecasts(result: "ModelValidation") -> Iterator[list[Any]]:
    table = result.clinic.levels
    for each in (*result.forecasts, *result.averages):
        for i, patient in enumerate(table.patient):
            name, unit = result.outputs[table.output[i]]
            error = 100.0 * (each.forecast[i] / table.value[i] - 1.0) if table.number[i] else math.nan
            yield [
                each.name, result.clinic.names[patient], round(table.hours[i], 6), round(table.since_dose_h[i], 6),
                name, unit, table.value[i], -int(table.side[i]), int(table.earlier[i]),
                each.apriori[i], each.forecast[i], error, each.pit[i], each.log_density[i], each.effective[i],
            ]  # fmt: skip


def _weights(result: "ModelValidation") -> Iterator[list[Any]]:
    for w in result.weights:
        yield [w.model, w.log_density, w.bayes, w.stacking.value, w.stacking.low, w.stacking.high, w.first_pct]


def _vpc(result: "ModelValidation") -> Iterator[list[Any]]:
    for check in result.checks:
        name, unit = result.outputs[check.output]
        for number, one in enumerate(check.bins, start=1):
            for percentile, measured, (low, middle, high) in zip(PERCENTILES, one.measured, one.simulated, strict=True):
                yield [
                    check.model, name, unit, number, one.low_h, one.high_h, one.middle_h, one.levels, percentile,
                    measured, middle, low, high, one.below_pct, one.below_simulated_pct[1],
                ]  # fmt: skip


def _csv(header: Sequence[str], rows: Iterator[list[Any]]) -> str:
    """Numbers to 6 digits; what is missing or not finite is an empty cell."""

    def cell(value: Any) -> str:
        if isinstance(value, str | int):
            return str(value)
        return f"{float(value):.6g}" if math.isfinite(value) else ""

    return csv_text(header, ([cell(value) for value in row] for row in rows))


def record_of(result: "ModelValidation") -> dict[str, Any]:
    """Everything but the single forecasts, for JSON."""
    options, clinic = result.options, result.clinic
    return {
        "intended_use": "research and education only; no treatment of anybody",
        "program": f"rl-drug-dosage {version('rl-drug-dosage')}",
        "data": clinic.file,
        "models": [
            {"name": c.name, "drug": c.model.drug, "citation": c.model.citation, "doi": c.model.doi}
            for c in clinic.candidates
        ],
        "settings": {
            "unit": options.unit, "occasions": options.occasions, "interpolation": options.interpolation,
            "by": list(options.by), "replicates": options.replicates, "vpc_time": options.vpc_time,
            "seed": options.seed,
        },
        "patients": len(clinic.names),
        "levels": int(clinic.levels.value.size),
        "levels_outside_quantification": int(np.sum(clinic.levels.side != 0)),
        "outputs": [{"name": name, "unit": unit} for name, unit in result.outputs],
        "preference": None if result.preference is None else _plain(vars(result.preference)),
        "weights": [_plain(vars(w)) for w in result.weights],
        "errors": [_error_record(row) for row in result.rows],
        "vpc": [
            {
                "model": c.model, "output": result.outputs[c.output][0], "clock": c.clock, "replicates": c.replicates,
                "inside_pct": _finite(c.inside_pct), "left_out": c.left_out,
            }
            for c in result.checks
        ],
        "notes": list(result.notes),
        "seconds": {name: round(value, 2) for name, value in result.seconds.items()},
    }  # fmt: skip


def _error_record(row: ErrorRow) -> dict[str, Any]:
    counts = {name: getattr(row, name) for name in ("patients", "levels", "compared")}
    return {"model": row.model} | vars(row.about) | counts | _plain(row.measures)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {n: _finite(v) for n, v in vars(value).items()} if isinstance(value, Interval) else _finite(value)
        for name, value in values.items()
    }


def _finite(value: Any) -> Any:
    """A number to 6 digits; None for one that is not finite."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None
