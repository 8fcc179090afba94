"""Next to which field of the form a refusal belongs."""

import contextlib
import re
from collections.abc import Mapping
from typing import Any

from rl_drug_dosage.bedside.clock import Clock, find_zone
from rl_drug_dosage.bedside.history import PatientHistory
from rl_drug_dosage.errors import RlDrugDosageError

__all__ = ["field_of"]

_NAMED = re.compile(
    r"(?:the text: )?((?:drug|zone|now|name|format|comment|ask|dose_mg|interval_h|scenario|policies|patients|seed|"
    r"stress|doses|levels|covariates)(?:\[\d+\]|\.\w+)*): "
)
_AT = re.compile(r"(dose|level)s? at (-?[\d.e+]+) h")
_TWO = re.compile(r"two doses at (-?[\d.e+]+) h")
_COVARIATE = re.compile(r"covariate (?:missing for [^:]+: |')(\w+)")
_GIVES = re.compile(r" gives \w+ = .* for (\w+) = ")
_SAME_H = 1e-3
_WORDS = (
    ("the next dose is asked for", "ask.next_dose"),
    ("interval of", "ask.intervals_h"),
    ("a dose of", "dose_mg"),
    ("horizon", "ask.horizon_h"),
    ("target", "ask.target"),
)


def field_of(message: str, patient: object, history: PatientHistory | None) -> str | None:
    """The field of a message, as the request has it: ``levels[2].time``, counted from 1.

    Args:
        message: of an error.
        patient: as it was sent.
        history: what was read of it; None where that is what failed.
    """
    if match := _NAMED.match(message):
        return match[1]
    if match := _COVARIATE.search(message) or _GIVES.search(message):
        return f"covariates.{match[1]}"
    if history is not None and isinstance(patient, Mapping):
        timed = _TWO.search(message)
        kind, hours = ("doses", timed[1]) if timed else ("", "")
        if not timed and (match := _AT.search(message)):
            kind, hours = f"{match[1]}s", match[2]
        if kind and (place := _row(patient, history, kind, float(hours))):
            return f"{kind}[{place}].time"
    return next((field for words, field in _WORDS if words in message), None)


def _row(patient: Mapping[str, Any], history: PatientHistory, kind: str, hours: float) -> int | None:
    """Which row of a table has a time, from 1; the last one of several."""
    rows, found = patient.get(kind), None
    if not isinstance(rows, list):
        return None
    with contextlib.suppress(RlDrugDosageError, KeyError, TypeError, ValueError):
        clock = Clock(None if patient.get("zone") is None else find_zone(patient["zone"]))
        for i, row in enumerate(rows, 1):
            when = clock.hours(clock.read(row["time"], "time"), history.origin)
            found = i if abs(when - hours) < _SAME_H * max(1.0, abs(hours)) else found
    return found
