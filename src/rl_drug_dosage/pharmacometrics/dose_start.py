"""When the next dose is due, and which times are looked at."""

import itertools
import math

import numpy as np
from jaxtyping import Float

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pharmacometrics.dose_options import Question
from rl_drug_dosage.pharmacometrics.dose_ranking import RegimenRow
from rl_drug_dosage.pharmacometrics.dose_times import falls_below_h
from rl_drug_dosage.pharmacometrics.dose_types import Wait
from rl_drug_dosage.pkpd import DrugModel, make_regimen
from rl_drug_dosage.pkpd.bayes import Candidate, Draws, PatientData
from rl_drug_dosage.pkpd.nonmem_data import NonmemData

__all__ = ["course_times_h", "offset_h", "start_of", "wait_of"]

_LONGEST_WAIT_H = 720.0
_SHOWN = 6
"""Intervals of the best regimen that are drawn."""
_POINTS = 361


def _last_given_h(patient: PatientData) -> tuple[float, float] | None:
    """When the last dose of the table was given, and the interval before the next one; 0 where nothing says it."""
    times = sorted(
        time
        for dose in patient.doses
        if dose.amount_mg > 0 or dose.is_constant_infusion
        for time in {dose.time_h, dose.time_h + dose.additional * dose.interval_h}
    )
    if not times:
        return None
    last = max(patient.doses, key=lambda d: d.time_h + d.additional * d.interval_h)
    gaps = [b - a for a, b in itertools.pairwise(times) if b > a]
    return times[-1], last.interval_h or (gaps[-1] if gaps else 0.0)


def start_of(
    model: DrugModel,
    question: Question,
    patient: PatientData,
    wait: Wait | None,
    asked_h: float | None,
    offset_h: float,
) -> float:
    """When the next dose is due, for the engine.

    Raises:
        ConfigError: asked for before the last level, or a wait without an end.
    """
    drawn = np.asarray(patient.levels.time_h)
    known = float(drawn.max()) if drawn.size else -math.inf
    if asked_h is not None:
        if asked_h + offset_h < known:
            raise ConfigError(
                f"patient {patient.name}: --start {asked_h:g} h is before the last level at {known - offset_h:g} h: "
                "start later, or leave the level out"
            )
        return asked_h + offset_h
    given = _last_given_h(patient)
    due = 0.0 if given is None else given[0] + (given[1] or model.dosing.tried[1])
    start = max(due, known)
    if wait is None:
        return start
    needed = wait.map_h if question.criterion == "map" else wait.needed_h
    if not math.isfinite(needed):
        raise ConfigError(
            f"patient {patient.name}: the level is not below --wait-below {question.wait_below:g} within "
            f"{_LONGEST_WAIT_H:g} h; give a higher level"
        )
    return max(start, needed)


def wait_of(model: DrugModel, question: Question, patient: PatientData, draws: Draws) -> Wait | None:
    """Until the level under the doses so far is low enough."""
    if question.wait_below is None:
        return None
    given = _last_given_h(patient)
    if given is None:
        raise ConfigError(f"patient {patient.name} has no dose: leave --wait-below out")
    times = given[0] + _LONGEST_WAIT_H * np.linspace(0.0, 1.0, 2 * _POINTS) ** 2
    output = model.output_index(question.aim.target.output)
    regimen = make_regimen(patient.doses, model.structure)
    hours = np.asarray(
        falls_below_h(
            model, regimen, patient.covariates, draws.eta, draws.kappa, question.wait_below, output=output, time_h=times
        )
    )
    return Wait.of(hours, question.percentile)


def offset_h(data: NonmemData, patient: int) -> float:
    """By how much the engine's hours are ahead of the file's, where those start again."""
    hours, levels = data.hours[patient], data.patients[patient].levels
    return float(levels.time_h[-1]) - hours[-1] if hours else 0.0


def course_times_h(one: Candidate, patient: PatientData, row: RegimenRow, histories: int) -> Float[np.ndarray, "time"]:
    """Times of the figure: equally spaced, and the corners of infusions; as many for every patient.

    Args:
        one: history and start.
        patient: gives the levels too.
        row: the regimen that follows.
        histories: dose records of the patient who has most.
    """
    start_h = one.start_h
    first = [d.time_h for d in patient.doses[:1]] + [float(t) for t in np.asarray(patient.levels.time_h)[:1]]
    begin = max(min([*first, start_h]), start_h - _SHOWN * max(row.interval_h, 24.0))
    end = start_h + _SHOWN * row.interval_h
    given = start_h + row.interval_h * np.arange(_SHOWN)
    past = np.array([d.time_h for d in patient.doses] + [end] * (histories - len(patient.doses)))
    lengths = [d.duration_h or (d.amount_mg / d.rate_mg_per_h if d.rate_mg_per_h else 0.0) for d in patient.doses]
    stops = past + np.array([*lengths, *([0.0] * (histories - len(patient.doses)))])
    corners = np.concatenate([given, given + 1e-6, given + row.duration_h, past, past + 1e-6, stops])
    return np.sort(np.concatenate([np.linspace(begin, end, _POINTS), np.clip(corners, begin, end)]))
