"""Predictions of a drug model beside those in a table that NONMEM wrote: PRED, IPRED and CWRES, record by record.

PRED is the prediction without random effects. IPRED needs the individual effects, from columns ETA1, ETA2, ... of the
table or from the .phi beside a control stream. CWRES (Hooker et al., Pharm Res 2007;24:2187-97) is

    C^(-1/2) (y - (f(eta) - G eta)),   C = G Omega G' + R,   G = df/d eta at the individual eta,

with the symmetric root. R is the variance of the residual error at the individual prediction, as NONMEM computes it
after an estimation with interaction, or at the typical one, as it does otherwise: the one that agrees better is taken.
"""

import math
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rl_drug_dosage.errors import ConfigError, RlDrugDosageError
from rl_drug_dosage.pharmacometrics._printed_table import PrintedTable, joined, read_printed
from rl_drug_dosage.pharmacometrics.readers import _units
from rl_drug_dosage.pharmacometrics.readers._nm_estimates import read_phi
from rl_drug_dosage.pharmacometrics.readers.files import READERS, read_written
from rl_drug_dosage.pharmacometrics.readers.sidecar import read_sidecar
from rl_drug_dosage.pharmacometrics.readers.written import WrittenModel
from rl_drug_dosage.pkpd import (
    CovariateError,
    Covariates,
    DrugModel,
    Levels,
    Regimen,
    make_regimen,
    omega,
    predict,
    stack_covariates,
    stack_levels,
    stack_regimens,
)
from rl_drug_dosage.pkpd.nonmem_data import NonmemData, read_nonmem
from rl_drug_dosage.pkpd.residual import variance

__all__ = ["ColumnAgreement", "TableComparison", "compare_with_table"]

_EVENTS = ("ID", "TIME", "AMT", "RATE", "II", "ADDL", "SS", "CMT", "EVID", "MDV")
_ESTIMATES, _ESTIMATES_OF_LST = 3e-5, 0.01
"""Relative: what the printed digits of the estimates allow. An .ext has seven, perhaps of a logarithm; a listing
three."""
_CWRES_TOLERANCE = 0.01
"""Weighted residuals are compared absolutely: they rest on derivatives, which NONMEM takes numerically."""


@dataclass(frozen=True)
class ColumnAgreement:
    """How one column of the table agrees.

    Args:
        column: PRED, IPRED or CWRES.
        count: records compared.
        agreed: records within the tolerance.
        tolerance: in words.
        worst: line of the table, its ID and time, what the table says, and what the model says.
        largest: difference there, relative to the table (CWRES: absolute).
    """

    column: str
    count: int
    agreed: int
    tolerance: str
    worst: str
    largest: float

    @property
    def ok(self) -> bool:
        """Whether every record agrees."""
        return self.agreed == self.count

    def __str__(self) -> str:
        word = "agree" if self.ok else "DO NOT agree"
        return (
            f"{self.column}: {self.agreed} of {self.count} records {word} to {self.tolerance}; largest difference "
            f"{self.largest:.2g}: {self.worst}"
        )


@dataclass(frozen=True)
class TableComparison:
    """All columns, and remarks on what was not compared."""

    table: Path
    columns: tuple[ColumnAgreement, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every column agrees."""
        return all(column.ok for column in self.columns)


def compare_with_table(
    model: DrugModel,
    table: Path,
    *,
    file: Path | None = None,
    data: Path | None = None,
    tolerance: float | None = None,
) -> TableComparison:
    """Compare a model's predictions with those of a table.

    Args:
        model: the drug.
        table: NONMEM's table, or a CSV file: ID, TIME and PRED, IPRED or CWRES, and the records' doses and covariates.
        file: where the model was read from, for its units, its .phi and what its data call its outputs.
        data: the data of the run, where the table lacks doses or covariates: the same records, or more of them.
        tolerance: relative; None: one unit of the last printed digit.

    Raises:
        ConfigError: a file that cannot be read, columns that are missing, records that do not fit together.
    """
    if tolerance is not None and not 0 < tolerance < 1:
        raise ConfigError(f"tolerance is {tolerance:g}: allowed are numbers above 0 and below 1, for example 1e-4")
    written = read_written(file) if file is not None and file.suffix.lower() in READERS else None
    printed = read_printed(table)
    records = printed if data is None else joined(printed, read_printed(data))
    compared = [name for name in ("PRED", "IPRED", "CWRES") if records.has(_spelled(records, name))]
    if not compared:
        raise ConfigError(
            f"{table} has no column PRED, IPRED or CWRES, but {', '.join(printed.titles)}: name the table"
        )
    with jax.enable_x64(True):
        found = _Comparison(model, records, written, file, tolerance)
        columns = [column for name in compared if (column := found.column(name)) is not None]
    return TableComparison(table, tuple(columns), tuple(found.notes))


def _spelled(records: PrintedTable, name: str) -> str:
    """The title of a column: individual predictions have several."""
    others = {"IPRED": ("IPRED", "IPRE", "CIPREDI", "CIPRED", "IPREDI"), "CWRES": ("CWRES",)}.get(name, (name,))
    return next((title for title in others if records.has(title)), name)


class _Comparison:
    """Records as patients, and their predictions."""

    def __init__(
        self,
        model: DrugModel,
        records: PrintedTable,
        written: WrittenModel | None,
        file: Path | None,
        tolerance: float | None,
    ) -> None:
        self.model, self.records, self.written, self.tolerance = model, records, written, tolerance
        self.notes: list[str] = []
        self.data = self._patients(file)
        self.rows = [[number - records.first_line for number in lines] for lines in self.data.lines]
        self.tables = (
            stack_regimens([make_regimen(patient.doses, model.structure) for patient in self.data.patients]),
            stack_covariates([patient.covariates for patient in self.data.patients]),
            stack_levels([patient.levels for patient in self.data.patients]),
        )
        self.etas, self.eta_digits = self._etas(file)
        self.scales = self._logs()
        self._typical: list[np.ndarray] | None = None
        self._own: list[tuple[np.ndarray, np.ndarray]] | None = None

    # Records

    def _patients(self, file: Path | None) -> NonmemData:
        """The records as the engine reads them: in its units, with a level at every observation."""
        records, model = self.records, self.model
        hours, per_mg = self._units(file)
        titles = [title for title in _EVENTS if records.has(title)]
        covariates = {c.column.upper(): c.column for c in model.covariates}
        covariates |= {c.name.upper(): c.name for c in model.covariates}
        own = [title for title in records.titles if title.upper() in covariates and title.upper() not in titles]
        if not records.has("AMT"):
            raise ConfigError(f"{records.path} has no column AMT: give the data of the run with --data")
        outputs = self._outputs()
        lines = [",".join([*titles, *own, "DV", *(["DVID"] if outputs else [])])]
        scale = {"TIME": hours, "II": hours, "AMT": 1.0 / per_mg, "RATE": 1.0 / per_mg / hours}
        for i in range(len(records.rows)):
            cells = [_scaled(records.cell(i, title), scale.get(title, 1.0), title) for title in titles]
            cells += [records.cell(i, title) for title in own]
            is_level = self._is_level(i)
            if "MDV" in titles:
                cells[titles.index("MDV")] = "0" if is_level else "1"
            cells.append("1" if is_level else ".")
            cells += [str(outputs[i])] if outputs else []
            lines.append(",".join(cells))
        # Line numbers as in the table, so that a message names the right one.
        above = [""] * (records.first_line - 2)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / records.path.name
            path.write_text("\n".join([*above, *lines]) + "\n", encoding="utf-8")
            try:
                return read_nonmem(path, model)
            except RlDrugDosageError as error:
                more = "; or give the data of the run with --data" if isinstance(error, CovariateError) else ""
                raise ConfigError(f"{error}{more}".replace(str(path), str(records.path))) from None

    def _is_level(self, i: int) -> bool:
        records = self.records
        if records.has("EVID"):
            return records.number(i, "EVID") == 0
        return not records.number(i, "AMT") > 0

    def _units(self, file: Path | None) -> tuple[float, float]:
        """Hours in a unit of time of the table, and how many of its units of amount are 1 mg."""
        if self.written is None or file is None:
            return 1.0, 1.0
        said = read_sidecar(file).units
        hours = _units.hours(said.time or self.written.units.get("time", "")) or 1.0
        dose = said.dose or self.written.units.get("dose", "")
        if said.mg_per_dose_unit is not None:
            return hours, 1.0 / said.mg_per_dose_unit
        mass = _units.amount_per_mg(dose)
        if mass is None and (moles := _units.moles_per_mg(dose)) is not None:
            mass = moles / (said.molar_mass_g_per_mol or 1.0)
        return hours, mass or 1.0

    def _outputs(self) -> list[int]:
        """Number of the output that each record measures, from 1; empty if there is one output."""
        if len(self.model.outputs) == 1:
            return []
        item = self.written.facts.get("measured_by", "") if self.written is not None else ""
        title = item if item and self.records.has(item) else "DVID"
        if not self.records.has(title):
            first = self.model.outputs[0].name
            self.notes.append(f"there is no column {item or 'DVID'}: all records are taken for {first}")
            return [1] * len(self.records.rows)
        codes = {o.code: i for i, o in enumerate(self.written.outputs, 1)} if item and self.written else {}
        found = []
        for i in range(len(self.records.rows)):
            number = int(self.records.number(i, title) or 0)
            found.append(codes.get(number, len(codes)) if codes else max(1, min(number, len(self.model.outputs))))
        return found

    def _logs(self) -> list[bool]:
        """For each output, whether the table has logarithms."""
        if self.written is None or self.written.format != "NONMEM":
            return [False] * len(self.model.outputs)
        logs = self.written.facts.get("logarithms", "").split()
        return [output.name in logs for output in self.model.outputs]

    def _etas(self, file: Path | None) -> tuple[np.ndarray | None, np.ndarray]:
        """Individual effects ``[patient, eta]`` and the last printed digit of each, or None."""
        model, count = self.model, len(self.model.etas)
        nothing = np.zeros((len(self.data.patients), count))
        if model.occasion_etas:
            self.notes.append("IPRED and CWRES are not compared: the model has effects between occasions")
            return None, nothing
        numbers = [int(eta.name[4:]) for eta in self.written.etas] if self.written else list(range(1, count + 1))
        if len(numbers) != count:
            return None, nothing
        titles = [_eta_title(self.records, number) for number in numbers]
        if all(titles):
            rows = [own[0] for own in self.rows]
            values = np.array([[self.records.number(i, t) for t in titles] for i in rows]).reshape(len(rows), count)
            digits = np.array([[self.records.digit(i, t) for t in titles] for i in rows]).reshape(len(rows), count)
            return values, digits
        phi = read_phi(file.with_suffix(".phi")) if file is not None else {}
        names = [f"eta_{number}" for number in numbers]
        ids = [_id(patient.name) for patient in self.data.patients]
        if phi and all(one in phi and all(name in phi[one] for name in names) for one in ids):
            values = np.array([[phi[one][name] for name in names] for one in ids]).reshape(len(ids), count)
            return values, np.abs(values) * 1e-8
        self.notes.append("IPRED and CWRES are not compared: neither the table (ETA1, ...) nor a .phi has the effects")
        return None, nothing

    # Predictions

    def typical(self) -> list[np.ndarray]:
        """Typical predictions of all levels of each patient, on the table's scale."""
        if self._typical is None:
            nobody = jnp.zeros(len(self.model.etas))
            run = jax.jit(jax.vmap(lambda a, b, c: self._predicted(a, b, c, nobody)))
            whole = np.asarray(jax.device_get(run(*self.tables)))
            self._typical = [whole[i, : len(rows)] for i, rows in enumerate(self.rows)]
        return self._typical

    def own(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Individual predictions and their slopes by the effects."""
        if self._own is None:

            def both(regimen: Regimen, covariates: Covariates, levels: Levels, eta: Array) -> tuple[Array, Array]:
                def of(e: Array) -> Array:
                    return self._predicted(regimen, covariates, levels, e)

                return of(eta), jax.jacfwd(of)(eta)

            f, g = jax.device_get(jax.jit(jax.vmap(both))(*self.tables, jnp.asarray(self.etas)))
            self._own = [(f[i, : len(rows)], g[i, : len(rows)]) for i, rows in enumerate(self.rows)]
        return self._own

    def _predicted(
        self, regimen: Regimen, covariates: Covariates, levels: Levels, eta: Float[Array, "eta"]
    ) -> Float[Array, "level"]:
        times, after = jnp.asarray(levels.time_h), jnp.asarray(levels.after_dose)
        whole = predict(self.model, regimen, covariates, times, eta, after_dose=after)
        logs = jnp.asarray(self.scales)
        whole = jnp.where(logs, jnp.log(jnp.where(logs, jnp.maximum(whole, 1e-300), 1.0)), whole)
        return jnp.take_along_axis(whole, jnp.asarray(levels.output)[:, None], axis=1)[:, 0]

    # Columns

    def column(self, name: str) -> ColumnAgreement | None:
        """The agreement of one column; None if it cannot be computed."""
        if name != "PRED" and self.etas is None:
            return None
        if name == "CWRES":
            return self._weighted()
        title = _spelled(self.records, name)
        ours, slack = [], []
        for i, rows in enumerate(self.rows):
            if name == "PRED":
                ours.append(self.typical()[i])
                slack.append(np.zeros(len(rows)))
            else:
                f, g = self.own()[i]
                ours.append(f)
                slack.append(np.abs(g) @ self.eta_digits[i])
        return self._agreement(name, title, np.concatenate(ours), np.concatenate(slack))

    def _agreement(self, name: str, title: str, ours: np.ndarray, slack: np.ndarray) -> ColumnAgreement:
        rows = [row for own in self.rows for row in own]
        theirs = np.array([self.records.number(row, title) for row in rows])
        digits = np.array([self.records.digit(row, title) for row in rows])
        if self.tolerance is None:
            rounded = (
                any(file.lower().endswith((".lst", ".res")) for file in self.written.files) if self.written else False
            )
            least = _ESTIMATES_OF_LST if rounded else _ESTIMATES
            allowed = np.maximum(digits, least * np.abs(theirs)) + slack
            words = "one unit of the last printed digit"
            words += f" or {100 * least:g} %, since the estimates of a listing have three digits" if rounded else ""
        else:
            allowed, words = self.tolerance * np.abs(theirs) + digits / 2.0, f"{self.tolerance:g} of the table's value"
        gap = np.abs(ours - theirs)
        good = gap <= allowed
        scaled = np.where(np.isfinite(gap), gap / np.maximum(allowed, 1e-300), np.inf)
        return self._made(name, rows, (ours, theirs), good, scaled, words)

    def _made(
        self,
        name: str,
        rows: Sequence[int],
        values: tuple[np.ndarray, np.ndarray],
        good: np.ndarray,
        badness: np.ndarray,
        words: str,
    ) -> ColumnAgreement:
        ours, theirs = values
        if not rows:
            raise ConfigError(f"{self.records.path} has no record that measures something: name the table of the run")
        at = int(np.argmax(badness))
        row = rows[at]
        where = f"line {row + self.records.first_line}, ID {self.records.cell(row, 'ID')}, TIME "
        where += f"{self.records.cell(row, 'TIME')}: {theirs[at]:.6g} in the table, {ours[at]:.6g} by the model"
        gap = abs(ours[at] - theirs[at])
        largest = gap if name == "CWRES" else gap / max(abs(theirs[at]), 1e-300)
        return ColumnAgreement(name, len(rows), int(good.sum()), words, where, float(largest))

    def _weighted(self) -> ColumnAgreement | None:
        """CWRES of the records with a level."""
        if not self.records.has("DV"):
            self.notes.append("CWRES is not compared: the table has no column DV")
            return None
        kept = [[k for k, row in enumerate(rows) if self._is_measured(row)] for rows in self.rows]
        measured = [self.rows[i][k] for i, own in enumerate(kept) for k in own]
        theirs = np.array([self.records.number(row, "CWRES") for row in measured])
        tries = []
        for words, predictions in (
            ("individual", [f for f, _ in self.own()]),
            ("typical", self.typical()),
        ):
            ours = self._residuals(kept, predictions)
            gap = np.abs(ours - theirs)
            badness = np.where(np.isfinite(gap), gap, np.inf)
            tolerance = f"{_CWRES_TOLERANCE:g} (residual variance at the {words} prediction)"
            good = gap <= _CWRES_TOLERANCE
            tries.append(self._made("CWRES", measured, (ours, theirs), good, badness, tolerance))
        return max(tries, key=lambda one: (one.agreed, -one.largest))

    def _residuals(self, kept: Sequence[Sequence[int]], predictions: Sequence[np.ndarray]) -> np.ndarray:
        """Conditional weighted residuals, with the residual variance at some predictions."""
        assert self.etas is not None
        covariance = omega(self.model)
        found = []
        for i, own in enumerate(kept):
            if not own:
                continue
            f, g = self.own()[i]
            y = np.array([self.records.number(self.rows[i][k], "DV") for k in own])
            r = self._variances(i, own, predictions[i][list(own)])
            values, vectors = np.linalg.eigh(g[own] @ covariance @ g[own].T + np.diag(r))
            root = vectors @ np.diag(1.0 / np.sqrt(np.maximum(values, 1e-300))) @ vectors.T
            found.append(root @ (y - (f[own] - g[own] @ self.etas[i])))
        return np.concatenate(found) if found else np.zeros(0)

    def _is_measured(self, row: int) -> bool:
        return math.isfinite(self.records.number(row, "DV")) and not (
            self.records.has("MDV") and self.records.number(row, "MDV") == 1
        )

    def _variances(self, patient: int, seen: Sequence[int], f: np.ndarray) -> np.ndarray:
        """Residual variances at some predictions."""
        output = np.asarray(self.data.patients[patient].levels.output)[list(seen)]
        found = np.zeros(len(seen))
        for k, (value, which) in enumerate(zip(f, output, strict=True)):
            residual = self.model.outputs[int(which)].residual
            if residual is None:
                continue
            if residual.kind == "lognormal":
                b = residual.b
                found[k] = b * b if self.scales[int(which)] else (b * value) ** 2
            else:
                found[k] = float(variance(residual, jnp.asarray(value)))
        return found


_CODES = frozenset({"CMT", "EVID", "MDV", "SS", "ADDL"})


def _scaled(cell: str, factor: float, title: str) -> str:
    """A cell in the engine's unit, codes as whole numbers. A negative RATE is a code too."""
    try:
        number = float(cell)
    except ValueError:
        return cell
    if title in _CODES and number == int(number):
        return str(int(number))
    return cell if factor == 1.0 or (title == "RATE" and number < 0) else repr(number * factor)


def _eta_title(records: PrintedTable, number: int) -> str:
    names = (f"ETA{number}", f"ETA({number})", f"ET{number}", f"ETA_{number}", f"PHI({number})")
    return next((name for name in names[:4] if records.has(name)), "")


def _id(text: str) -> str:
    return f"{float(text):g}" if re.fullmatch(r"[+-]?\d*\.?\d+(?:[eE][+-]?\d+)?", text) else text
