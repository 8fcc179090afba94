"""Write a benchmark: JSON, CSV, and the report."""

import csv
import io
import json
from pathlib import Path
from typing import Any

from rl_drug_dosage.trials.benchmark import Benchmark
from rl_drug_dosage.trials.statistics import endpoints
from rl_drug_dosage.utils.files import atomic_write

__all__ = ["policy_rows", "write_benchmark"]


def write_benchmark(result: Benchmark, folder: Path) -> tuple[Path, ...]:
    """Write all files of a benchmark into an existing folder.

    ``benchmark.json`` contains the whole record, ``benchmark.csv`` one row per policy, and ``patients.csv`` one row per
    patient and policy. ``report.html`` opens in any browser, offline.

    Raises:
        OutputError: a file cannot be written.
    """
    from rl_drug_dosage.reports.page import report_html

    paths = []
    for name, content in (
        ("benchmark.json", json.dumps(result.record, indent=1, allow_nan=False)),
        ("benchmark.csv", _policies_csv(result.record)),
        ("patients.csv", _patients_csv(result)),
        ("report.html", report_html(result.record)),
    ):
        path = folder / name
        atomic_write(path, content.encode())
        paths.append(path)
    return tuple(paths)


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
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _patients_csv(result: Benchmark) -> str:
    scenario = result.scenario.value
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header: list[str] | None = None
    for name, trial in result.trials.items():
        ends = endpoints(scenario, trial)
        if header is None:
            header = ["patient", "policy", *trial.covariates, *ends, "failed"]
            writer.writerow(header)
        columns = [*trial.covariates.values(), *ends.values(), trial.failed.astype(int)]
        numbers = range(trial.first, trial.first + trial.patients)
        for number, *values in zip(numbers, *(c.tolist() for c in columns), strict=True):
            writer.writerow([number, name, *(f"{v:.6g}" for v in values)])
    return text.getvalue()
