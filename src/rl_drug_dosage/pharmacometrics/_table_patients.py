"""Records of a printed table as patients: in the engine's units, with a level at every observation."""

import re
import tempfile
from pathlib import Path

import numpy as np

from rl_drug_dosage.errors import ConfigError, RlDrugDosageError
from rl_drug_dosage.pharmacometrics._printed_table import PrintedTable
from rl_drug_dosage.pharmacometrics.readers.bridge import units as _units
from rl_drug_dosage.pharmacometrics.readers.nonmem.estimates import read_phi
from rl_drug_dosage.pharmacometrics.readers.sidecar import read_sidecar
from rl_drug_dosage.pharmacometrics.readers.written import WrittenModel
from rl_drug_dosage.pkpd import CovariateError, DrugModel
from rl_drug_dosage.pkpd.nonmem_data import NonmemData, read_nonmem

__all__ = ["TablePatients"]

_EVENTS = ("ID", "TIME", "AMT", "RATE", "II", "ADDL", "SS", "CMT", "EVID", "MDV")


class TablePatients:
    """The patients of a table.

    Args:
        model: the drug.
        records: the table, with the data of its run.
        written: the model file as it was read; None for a drug of another kind.
        file: the model file.

    Attributes:
        data: doses, covariates and levels; the values of the levels mean nothing.
        rows: rows of the table, from 0, of every level of every patient.
        etas: individual effects ``[patient, eta]``; None if they are not known.
        eta_digits: one unit of the last printed digit of each.
        logs: for each output, whether the table has its logarithm.
        notes: what cannot be compared.
    """

    def __init__(
        self, model: DrugModel, records: PrintedTable, written: WrittenModel | None, file: Path | None
    ) -> None:
        self.model, self.records, self.written = model, records, written
        self.notes: list[str] = []
        self.data: NonmemData = self._patients(file)
        self.rows = [[number - records.first_line for number in lines] for lines in self.data.lines]
        self.etas, self.eta_digits = self._etas(file)
        self.logs = self._logs()

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
            given = self.records.number(i, title)
            number = int(given) if np.isfinite(given) else 0
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
        is_nonmem = self.written is not None and self.written.format == "NONMEM"
        numbers = list(range(1, count + 1))
        if is_nonmem and self.written is not None:
            numbers = [int(eta.name.removeprefix("eta_")) for eta in self.written.etas]
        if len(numbers) != count:
            return None, nothing
        titles = [_eta_title(self.records, number) for number in numbers]
        if all(titles):
            rows = [own[0] if own else 0 for own in self.rows]
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
