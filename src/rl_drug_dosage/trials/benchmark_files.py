"""Write a benchmark: JSON, CSV, and the report."""

import json
from pathlib import Path
from typing import Any

from rl_drug_dosage.trials.benchmark import Benchmark
from rl_drug_dosage.trials.statistics import endpoints
from rl_drug_dosage.utils.csv_text import csv_text
from rl_drug_dosage.utils.publish import publish

__all__ = ["policy_rows", "write_benchmark"]


def write_benchmark(result: Benchmark, folder: Path) -> tuple[Path, ...]:
    """Write all files of a benchmark into a folder; they appear together.

    ``benchmark.json`` contains the whole record, ``benchmark.csv`` one row per policy, and ``patients.csv`` one row per
    patient and policy. ``report.html`` opens in any browser, offline.

    Raises:
        OutputError: a file cannot be written.
    """
    from rl_drug_dosage.reports.page import report_html

    contents = {
        "benchmark.json": json.dumps(result.record, indent=1, allow_nan=False),
        "benchmark.csv": _policies_csv(result.record),
        "patients.csv": _patients_csv(result),
        "report.html": report_html(result.record),
    }
    return publish(folder, {name: content.encode() for name, content in contents.items()})


def _flat(row: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Flatten nested entries to ``outer.inner``."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{before}{name}.")
        else:
            found[before + name] = " ".join(map(str, value)) if isinstance(value, list) else value
    return found


def policy_rows(record: dict[str, Any]) -> list[dict[str, Any]]:
    """One row per policy, best first, with nested entries as ``outer.inner``."""
    return [_flat({k: v for k, v in row.items() if k not in {"tuned", "card"}}) for row in record["policies"]]


def _policies_csv(record: dict[str, Any]) -> str:
    rows = policy_rows(record)
    header = list(rows[0])
    return csv_text(header, ([row.get(name) for name in header] for row in rows))


def _patients_csv(result: Benchmark) -> str:
    scenario = result.scenario.value
    header: list[str] = []
    rows: list[list[object]] = []
    for name, trial in result.trials.items():
        ends = endpoints(scenario, trial)
        header = ["patient", "policy", *trial.covariates, *ends, "failed"]
        columns = [*trial.covariates.values(), *ends.values(), trial.failed.astype(int)]
        numbers = range(trial.first, trial.first + trial.patients)
        for number, *values in zip(numbers, *(c.tolist() for c in columns), strict=True):
            rows.append([number, name, *(f"{v:.6g}" for v in values)])
    return csv_text(header, rows)
