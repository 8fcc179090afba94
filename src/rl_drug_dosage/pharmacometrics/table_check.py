"""Predictions of a drug model beside those in a table that NONMEM wrote: PRED, IPRED and CWRES, record by record.

PRED is the prediction without random effects. IPRED needs the individual effects, from columns ETA1, ETA2, ... of the
table or from the .phi beside a control stream. CWRES (Hooker et al., Pharm Res 2007;24:2187-97) is

    C^(-1/2) (y - (f(eta) - G eta)),   C = G Omega G' + R,   G = df/d eta at the individual eta,

with the symmetric root. R is the variance of the residual error at the individual prediction, as NONMEM computes it
after an estimation with interaction, or at the typical one, as it does otherwise: the one that agrees better is taken.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pharmacometrics._printed_table import ColumnAgreement, PrintedTable, joined, read_printed
from rl_drug_dosage.pharmacometrics._table_patients import TablePatients
from rl_drug_dosage.pharmacometrics.readers.files import READERS, read_written
from rl_drug_dosage.pharmacometrics.readers.written import WrittenModel
from rl_drug_dosage.pkpd import (
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
from rl_drug_dosage.pkpd.residual import variance

__all__ = ["ColumnAgreement", "TableComparison", "compare_with_table"]

_ESTIMATES, _ESTIMATES_OF_LST = 3e-5, 0.01
"""Relative: what the printed digits of the estimates allow. An .ext has seven, perhaps of a logarithm; a listing
three."""
_CWRES_TOLERANCE = 0.01
"""Weighted residuals are compared absolutely: they rest on derivatives, which NONMEM takes numerically."""


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
        self.model, self.records, self.tolerance = model, records, tolerance
        self.written = written
        patients = TablePatients(model, records, written, file)
        self.notes, self.data, self.rows = patients.notes, patients.data, patients.rows
        self.etas, self.eta_digits, self.scales = patients.etas, patients.eta_digits, patients.logs
        self.tables = (
            stack_regimens([make_regimen(patient.doses, model.structure) for patient in self.data.patients]),
            stack_covariates([patient.covariates for patient in self.data.patients]),
            stack_levels([patient.levels for patient in self.data.patients]),
        )
        self._typical: list[np.ndarray] | None = None
        self._own: list[tuple[np.ndarray, np.ndarray]] | None = None

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
