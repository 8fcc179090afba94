"""Patients who start from a level measured before their first dose; `pkpd.starts` says how."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rl_drug_dosage.pkpd._errors import ObservationError
from rl_drug_dosage.pkpd.bayes.patients import PatientData
from rl_drug_dosage.pkpd.model import DrugModel
from rl_drug_dosage.pkpd.regimen import Dose
from rl_drug_dosage.pkpd.starts import PRE_DOSE_LEVEL, starting

__all__ = ["StartLevel", "start_from_levels"]

_MOMENT_H = 1e-9


@dataclass(frozen=True)
class StartLevel:
    """A level before the first dose, from which a patient starts."""

    time_h: float
    value: float
    """In the output's unit, above 0."""
    output: str


def start_from_levels(
    model: DrugModel, patients: Sequence[PatientData], starts: Sequence[StartLevel | None]
) -> tuple[DrugModel, tuple[PatientData, ...]]:
    """The model and the patients, with each patient's start; unchanged where nobody has one.

    Args:
        model: the drug.
        patients: whose levels in use come after their start.
        starts: of each patient; None: without drug.

    Raises:
        ObservationError: a model or output of which the contents behind a level are not known, levels of several
            outputs, or a patient whose contents are set otherwise later (a reset, a steady state).
    """
    given = {start.output for start in starts if start is not None}
    if not given:
        return model, tuple(patients)
    if len(given) > 1:
        raise ObservationError(
            f"levels before the first dose are of {', '.join(sorted(given))}: a start is from one output; leave the "
            "others out, or use --pre-dose-level ignore"
        )
    changed = starting(model, next(iter(given)))
    return changed, tuple(_begun(one, start) for one, start in zip(patients, starts, strict=True))


def _begun(patient: PatientData, start: StartLevel | None) -> PatientData:
    """With the level in the covariates, and a reset to the contents behind it."""
    table = patient.covariates
    level = np.full(np.shape(table.time_h), 0.0 if start is None else start.value)
    table = dataclasses.replace(table, values={**table.values, PRE_DOSE_LEVEL: level})  # type: ignore[dict-item]
    if start is None:
        return dataclasses.replace(patient, covariates=table)
    for dose in patient.doses:
        if dose.reset or dose.steady_state == 1:
            what = "a reset (EVID 3 or 4)" if dose.reset else "a steady state (SS 1)"
            raise ObservationError(
                f"patient {patient.name}: {what} at {dose.time_h:g} h undoes the start from the level at "
                f"{start.time_h:g} h; leave one of them out"
            )
    # A moment before the level, which is predicted from these contents.
    before = start.time_h - max(_MOMENT_H, 4.0 * math.ulp(start.time_h))
    doses = (Dose(before, reset=True), *patient.doses)
    return dataclasses.replace(patient, doses=doses, covariates=table)
