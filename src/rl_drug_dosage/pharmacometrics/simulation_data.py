"""The data file of a simulation: NONMEM's columns as CSV or Parquet, a chunk of patients at a time.

Rows of a patient are sorted by time, an observation before the dose at its time. What is empty in a CSV (DV and IPRED
of doses) is a null for NONMEM, pandas, R and Polars alike. Numbers have as many digits as it takes to read the same
number again.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from jaxtyping import Bool, Float, Int

from rl_drug_dosage.errors import OutputError
from rl_drug_dosage.pharmacometrics.simulation_plan import Plan
from rl_drug_dosage.pkpd import Covariate
from rl_drug_dosage.utils.csv_text import csv_text
from rl_drug_dosage.utils.files import beside_and_renamed
from rl_drug_dosage.utils.table_format import pyarrow

__all__ = [
    "Column",
    "DataWriter",
    "Rows",
    "columns_of",
    "data_columns",
    "open_data",
    "rows_of",
]

_ID, _COVARIATES = "{id}", "{covariates}"
"""Places in the text of a patient's rows."""
_AT_A_TIME = 500
"""Patients that are turned into text together."""


@dataclass(frozen=True)
class Column:
    """A column of the data file."""

    name: str
    unit: str
    meaning: str


@dataclass(frozen=True)
class Rows:
    """The rows of one patient; patients differ in ID, DV, MDV, IPRED and covariates only."""

    time_h: Float[np.ndarray, "row"]
    tad_h: Float[np.ndarray, "row"]
    """Since the start of the last dose before the row; 0 before the first."""
    is_dose: Bool[np.ndarray, "row"]
    sample: Int[np.ndarray, "row"]
    """Index into `SampleTimes.sampled`; -1 for doses."""
    output: Int[np.ndarray, "row"]
    """Index of the output; -1 for doses."""


class DataWriter(Protocol):
    """Takes chunks of patients in order."""

    def write(
        self,
        first: int,
        covariates: Mapping[str, Float[np.ndarray, "patient"]],
        predicted: Float[np.ndarray, "patient time output"],
        measured: Float[np.ndarray, "patient sample output"],
    ) -> int:
        """Write them; returns how many observations have MDV 1."""
        ...


def _timed(plan: Plan) -> str | None:
    """The covariate that follows the time of each row, where the model has one."""
    return "time_h" if plan.record_times_h.size > 1 else None


def _constant(plan: Plan) -> list[Covariate]:
    return [covariate for covariate in plan.model.covariates if covariate.name != _timed(plan)]


def columns_of(plan: Plan) -> tuple[Column, ...]:
    """Names, units and meanings, in order."""
    model = plan.model
    outputs = "; ".join(f"{i}: {o.meaning or o.name} ({o.unit})" for i, o in enumerate(model.outputs, start=1))
    compartments = "; ".join(f"{i}: {name}" for i, name in enumerate(model.structure.compartments, start=1))
    own = [Column(c.column, c.unit, c.meaning) for c in _constant(plan)]
    own += [Column(c.column, c.unit, c.meaning) for c in model.covariates if c.name == _timed(plan)]
    return (
        Column("ID", "1", "patient, from 1"),
        Column("TIME", "h", "since the first dose"),
        Column("TAD", "h", "since the start of the last dose before this row; 0 before the first"),
        Column("EVID", "1", "0 observation, 1 dose"),
        Column("AMT", "mg", "amount of a dose"),
        Column("RATE", "mg/h", "rate of an infusion; 0 for a bolus or a swallowed dose"),
        Column("CMT", "1", f"compartment: {compartments}"),
        Column("DV", "that of the output", "simulated measurement: IPRED with residual error"),
        Column(
            "MDV", "1", "1 for doses and for what is no level: outputs without a published error, no drug yet, below 0"
        ),
        Column("DVID", "1", f"which output, 0 for doses: {outputs}"),
        Column("IPRED", "that of the output", "individual prediction, without residual error"),
        *own,
    )


def rows_of(plan: Plan) -> Rows:
    """Observations of every output at the sampling times, and the doses."""
    doses, times = plan.course.dose_times_h, plan.grid.time_h[plan.grid.sampled]
    outputs = len(plan.model.outputs)
    time = np.concatenate([np.repeat(times, outputs), doses])
    is_dose = np.arange(time.size) >= times.size * outputs
    sample = np.concatenate([np.repeat(np.arange(times.size), outputs), np.full(doses.size, -1)])
    output = np.concatenate([np.tile(np.arange(outputs), times.size), np.full(doses.size, -1)])
    order = np.lexsort((output, is_dose, time))
    before = np.searchsorted(doses, time, side="left") - 1
    last = doses[np.maximum(before, 0)] if doses.size else np.zeros(time.size)
    tad = np.where(is_dose | (before < 0), 0.0, time - last)
    return Rows(time[order], tad[order], is_dose[order], sample[order], output[order])


@dataclass(frozen=True)
class _Fixed:
    """What the plan alone says of every row."""

    rows: Rows
    rate_mg_per_h: float
    dose_cmt: int
    observation_cmt: int

    def values(
        self, predicted: Float[np.ndarray, "patient time output"], measured: Float[np.ndarray, "..."], plan: Plan
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """DV, MDV and IPRED of the observation rows, each [patient, observation]."""
        observed = ~self.rows.is_dose
        sample, output = self.rows.sample[observed], self.rows.output[observed]
        dv = measured[:, sample, output]
        ipred = predicted[:, plan.grid.sampled[sample], output]
        never = ~np.array(plan.measured)[output]
        missing = never | (dv < 0) | ((self.rows.time_h[observed] == 0) & (ipred == 0))
        return dv, missing, ipred


def _fixed(plan: Plan, rows: Rows) -> _Fixed:
    compartments = plan.model.structure.compartments
    rate = plan.course.dose_mg / plan.course.duration_h if plan.course.duration_h > 0 else 0.0
    central = compartments.index("central") + 1 if "central" in compartments else 1
    return _Fixed(rows, rate, compartments.index(plan.course.route.compartment) + 1, central)


def _text(number: float) -> str:
    """The shortest text that reads as the same number."""
    text = repr(float(number))
    return text.removesuffix(".0")


class _CsvWriter:
    def __init__(self, file: IO[bytes], plan: Plan, rows: Rows) -> None:
        self._file, self._plan, self._fixed = file, plan, _fixed(plan, rows)
        self._names = [covariate.name for covariate in _constant(plan)]
        file.write(csv_text([column.name for column in columns_of(plan)], ()).encode())
        self._template = "".join(self._lines())

    def _lines(self) -> Iterator[str]:
        """The patient's rows, with places for the ID, the constant covariates, DV, MDV and IPRED."""
        fixed, rows = self._fixed, self._fixed.rows
        amount = f"{_text(self._plan.course.dose_mg)},{_text(fixed.rate_mg_per_h)},{fixed.dose_cmt}"
        for time, tad, dose, output in zip(rows.time_h, rows.tad_h, rows.is_dose, rows.output, strict=True):
            end = f"{_COVARIATES},{_text(time)}\n" if _timed(self._plan) else f"{_COVARIATES}\n"
            head = f"{_ID},{_text(time)},{_text(tad)}"
            if dose:
                yield f"{head},1,{amount},,1,0,{end}"
            else:
                yield f"{head},0,0,0,{fixed.observation_cmt},%s,%d,{output + 1},%s{end}"

    def write(self, first: int, covariates: Mapping[str, Any], predicted: Any, measured: Any) -> int:
        """See `DataWriter`."""
        dv, missing, ipred = self._fixed.values(predicted, measured, self._plan)
        exact = "%.9g" if dv.dtype == np.float32 else "%.17g"
        template = self._template.replace("%s", exact)
        for start in range(0, len(dv), _AT_A_TIME):
            part = slice(start, start + _AT_A_TIME)
            numbers = np.stack([dv[part], missing[part], ipred[part]], axis=-1, dtype=float).reshape(len(dv[part]), -1)
            own = [np.asarray(covariates[name])[part].tolist() for name in self._names]
            for i, row in enumerate(numbers.tolist()):
                text = "".join("," + exact % column[i] for column in own)
                patient = template.replace(_ID, str(first + start + i + 1)).replace(_COVARIATES, text)
                self._file.write((patient % tuple(row)).encode())
        return int(missing.sum())


class _ParquetWriter:
    def __init__(self, file: IO[bytes], plan: Plan, rows: Rows) -> None:
        self._plan, self._fixed = plan, _fixed(plan, rows)
        self._file = file
        self._open: Any = None
        self._arrow, self._parquet = pyarrow()

    def write(self, first: int, covariates: Mapping[str, Any], predicted: Any, measured: Any) -> int:
        """See `DataWriter`."""
        dv, missing, ipred = self._fixed.values(predicted, measured, self._plan)
        for start in range(0, len(dv), _AT_A_TIME):
            part = slice(start, start + _AT_A_TIME)
            own = {name: np.asarray(value)[part] for name, value in covariates.items()}
            table = self._table(first + start, own, dv[part], missing[part], ipred[part])
            if self._open is None:
                self._open = self._parquet.ParquetWriter(self._file, table.schema)
            self._open.write_table(table)
        return int(missing.sum())

    def _table(self, first: int, covariates: Mapping[str, Any], dv: Any, missing: Any, ipred: Any) -> Any:
        columns: dict[str, Any] = _columns(self._plan, self._fixed, first, covariates, dv, missing, ipred)
        doses = columns["EVID"] == 1
        for name in ("DV", "IPRED"):
            columns[name] = self._arrow.array(np.where(doses, np.zeros((), dv.dtype), columns[name]), mask=doses)
        units = {column.name: column.unit for column in columns_of(self._plan)}
        return self._arrow.table(columns).replace_schema_metadata({f"unit of {k}": v for k, v in units.items()})

    def close(self) -> None:
        """Write the footer."""
        if self._open is not None:
            self._open.close()


def _columns(
    plan: Plan, fixed: _Fixed, first: int, covariates: Mapping[str, Any], dv: Any, missing: Any, ipred: Any
) -> dict[str, np.ndarray]:
    """Patients ``first ...`` as columns; DV and IPRED of a dose are not a number."""
    rows, count, dose = fixed.rows, len(dv), fixed.rows.is_dose

    def on_observations(values: Any, fill: float, kind: Any) -> np.ndarray:
        out = np.full((count, dose.size), fill, dtype=kind)
        out[:, ~dose] = values
        return out.ravel()

    def everyone(values: Any) -> np.ndarray:
        return np.tile(values, count)

    columns: dict[str, np.ndarray] = {
        "ID": np.repeat(np.arange(first + 1, first + count + 1, dtype=np.int32), dose.size),
        "TIME": everyone(rows.time_h),
        "TAD": everyone(rows.tad_h),
        "EVID": everyone(dose.astype(np.int8)),
        "AMT": everyone(np.where(dose, plan.course.dose_mg, 0.0)),
        "RATE": everyone(np.where(dose, fixed.rate_mg_per_h, 0.0)),
        "CMT": everyone(np.where(dose, fixed.dose_cmt, fixed.observation_cmt).astype(np.int8)),
        "DV": on_observations(dv, np.nan, dv.dtype),
        "MDV": on_observations(missing, 1, np.int8),
        "DVID": everyone((rows.output + 1).astype(np.int8)),
        "IPRED": on_observations(ipred, np.nan, ipred.dtype),
    }
    columns |= {c.column: np.repeat(np.asarray(covariates[c.name]), dose.size) for c in _constant(plan)}
    return columns | {c.column: everyone(rows.time_h) for c in plan.model.covariates if c.name == _timed(plan)}


def data_columns(
    plan: Plan, rows: Rows, first: int, covariates: Mapping[str, Any], predicted: Any, measured: Any
) -> dict[str, np.ndarray]:
    """A chunk of patients as the columns of the data file; DV and IPRED of a dose are not a number."""
    fixed = _fixed(plan, rows)
    return _columns(plan, fixed, first, covariates, *fixed.values(predicted, measured, plan))


@contextlib.contextmanager
def open_data(path: Path, file_format: str, plan: Plan, rows: Rows) -> Iterator[DataWriter]:
    """A writer whose file appears at ``path`` whole, or not at all.

    Raises:
        OutputError: the place cannot be written.
    """
    with _whole_file(path) as file:
        if file_format == "csv":
            yield _CsvWriter(file, plan, rows)
            return
        writer = _ParquetWriter(file, plan, rows)
        yield writer
        writer.close()


@contextlib.contextmanager
def _whole_file(path: Path) -> Iterator[IO[bytes]]:
    try:
        _refuse_unless_file(path)
        with beside_and_renamed(path) as file:
            yield file
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"cannot write {str(path)!r}: {reason}; choose another --output-dir, a folder with room for it"
        ) from error


def _refuse_unless_file(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise OutputError(
            f"cannot write {str(path)!r}: a folder or a device has this name; choose another --output-dir"
        )
