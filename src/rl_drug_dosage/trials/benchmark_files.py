"""Write a benchmark: JSON, CSV, and the report."""

import contextlib
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from rl_drug_dosage.trials.benchmark import Benchmark
from rl_drug_dosage.utils.csv_text import csv_lines, csv_text
from rl_drug_dosage.utils.files import Content
from rl_drug_dosage.utils.publish import publish
from rl_drug_dosage.utils.table_format import check_format, pyarrow

__all__ = ["policy_rows", "write_benchmark"]

_AT_A_TIME = 50_000
"""Rows of a table that are turned into text together."""


def write_benchmark(result: Benchmark, folder: Path, file_format: str = "csv") -> tuple[Path, ...]:
    """Write all files of a benchmark into a folder; they appear together.

    ``benchmark.json`` contains the whole record, ``benchmark.csv`` one row per policy, and ``patients.csv``, or
    ``patients.parquet``, one row per patient and policy. ``report.html`` opens in any browser, offline.

    Raises:
        ConfigError: another format.
        DependencyError: Parquet without pyarrow.
        OutputError: a file cannot be written.
    """
    check_format(file_format)
    from rl_drug_dosage.reports.page import report_html

    write = _patients_csv if file_format == "csv" else _patients_parquet
    contents: dict[str, Content] = {
        "benchmark.json": json.dumps(result.record, indent=1, allow_nan=False).encode(),
        "benchmark.csv": _policies_csv(result.record).encode(),
        f"patients.{file_format}": partial(write, result),
        "report.html": report_html(result.record).encode(),
    }
    return publish(folder, contents)


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


def _patients(result: Benchmark) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Every policy, and the columns of its patients, some at a time."""
    for name, outcome in result.outcomes.items():
        for start in range(0, outcome.patients, _AT_A_TIME):
            own = slice(start, start + _AT_A_TIME)
            columns = {"patient": outcome.first + np.arange(outcome.patients)[own]}
            columns |= {each: column[own] for each, column in (*outcome.covariates.items(), *outcome.ends.items())}
            yield name, columns | {"failed": outcome.failed[own]}


def _patients_csv(result: Benchmark, file: BinaryIO) -> None:
    for i, (policy, columns) in enumerate(_patients(result)):
        number, *rest = columns
        if i == 0:
            file.write(csv_text([number, "policy", *rest], ()).encode())
        texts = [[f"{value:.6g}" for value in columns[each].tolist()] for each in rest]
        rows = zip(columns[number].tolist(), [policy] * len(columns[number]), *texts, strict=True)
        file.write(csv_lines(rows).encode())


def _patients_parquet(result: Benchmark, file: BinaryIO) -> None:
    """Numbers in full, the policy as a category."""
    arrow, parquet = pyarrow()
    policies = arrow.array(list(result.outcomes))
    with contextlib.ExitStack() as held:
        writer = None
        for policy, columns in _patients(result):
            code = np.full(len(columns["patient"]), list(result.outcomes).index(policy), np.int32)
            named = arrow.DictionaryArray.from_arrays(code, policies)
            table = arrow.table({"patient": columns.pop("patient"), "policy": named, **columns})
            writer = writer or held.enter_context(parquet.ParquetWriter(file, table.schema))
            writer.write_table(table)
