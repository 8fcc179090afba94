"""The levels of a clinic as one table that all models share.

A level counts if every model can use it: it has a number or a limit, and comes after a dose. Levels drawn at one time
do not precede each other; what is known before a level are those with an earlier time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from rl_drug_dosage.pkpd import DrugModel, make_regimen
from rl_drug_dosage.pkpd.bayes import PatientData
from rl_drug_dosage.pkpd.nonmem_data import NonmemData

__all__ = ["LevelTable", "level_table"]

_SAME_TIME_H = 1e-6
"""Levels closer than this were drawn at one time."""


@dataclass(frozen=True)
class LevelTable:
    """The levels that count, patient by patient and in the order of time, in the units of the file."""

    patient: Int[np.ndarray, "level"]
    """Position of the patient in `Clinic.names`."""
    place: Int[np.ndarray, "level"]
    """Position among all levels of the patient, used or not."""
    order: Int[np.ndarray, "level"]
    """Number of levels of the patient that stand before it."""
    earlier: Int[np.ndarray, "level"]
    """Number of levels of the patient with an earlier time: what a forecast of it knows."""
    hours: Float[np.ndarray, "level"]
    """Time as the file counts it."""
    since_dose_h: Float[np.ndarray, "level"]
    """Since the patient's last dose."""
    value: Float[np.ndarray, "level"]
    """The limit of quantification where it is outside."""
    side: Int[np.ndarray, "level"]
    """-1 below its limit of quantification, 1 above, 0 within."""
    lower_limit: Float[np.ndarray, "level"]
    """Lower limit of quantification; NaN where the file has none."""
    output: Int[np.ndarray, "level"]
    """Position in `Clinic.outputs`."""

    @property
    def number(self) -> Bool[np.ndarray, "level"]:
        """Levels that a relative error can be taken of: within quantification, and above 0."""
        return (self.side == 0) & (self.value > 0)


def level_table(
    data: NonmemData,
    kept: Sequence[int],
    used: Sequence[Bool[np.ndarray, "level"]],
    output: Int[np.ndarray, "level"],
    model: DrugModel,
) -> LevelTable:
    """The table of the levels that count.

    Args:
        data: the file, as one of the models reads it.
        kept: its patients that have such a level.
        used: of all patients, which levels count.
        output: what each of them measures, see `LevelTable.output`.
        model: the model that ``data`` was read for.
    """
    limit = next((title for title in data.titles if title.upper() == "LLOQ"), None)
    limits = None if limit is None else data.at_levels(limit)
    parts: list[dict[str, np.ndarray]] = []
    for at, i in enumerate(kept):
        patient, own = data.patients[i], used[i]
        levels, time = patient.levels, np.asarray(patient.levels.time_h)[own]
        side = (np.asarray(levels.censored).astype(int) - 2 * np.asarray(levels.below))[own]
        value = np.asarray(levels.value)[own]
        lower = np.where(side < 0, value, np.nan)
        if limits is not None:
            written = np.array([_number(text) for text in limits[i]])[own]
            lower = np.where(np.isnan(lower), written, lower)
        parts.append(
            {
                "patient": np.full(time.size, at),
                "place": np.flatnonzero(own),
                "order": np.arange(time.size),
                "earlier": np.array([np.sum(time < t - _SAME_TIME_H) for t in time], int),
                "hours": np.asarray(data.hours[i])[own],
                "since_dose_h": _since_dose(patient, time, np.asarray(levels.after_dose)[own], model),
                "value": value,
                "side": side,
                "lower_limit": lower,
            }
        )
    return LevelTable(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, output=output)


def _since_dose(
    patient: PatientData, time_h: Float[np.ndarray, "level"], after: Bool[np.ndarray, "level"], model: DrugModel
) -> Float[np.ndarray, "level"]:
    regimen = make_regimen(patient.doses, model.structure)
    dosed = (regimen.amount_mg > 0) | (regimen.rate_mg_per_h > 0)
    given = np.asarray(regimen.time_h)[regimen.given & (regimen.cycle == 0) & dosed]
    last = [max(given[(given < t) | ((given == t) & a)], default=t) for t, a in zip(time_h, after, strict=True)]
    return np.asarray(time_h - np.array(last))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan
