"""Units of parameters by their names: those of the engine, and those that a drug file may use."""

import math
import re

from rl_drug_dosage.pkpd.units import parts_of

__all__ = ["NOT_STATED", "POSITIVE", "PREFIXES", "RESERVED", "engine_factor", "fits_name", "parameter_unit"]

NOT_STATED = "not stated"
"""The unit of a number whose file does not say it."""
RESERVED = {"cl": "L/h", "v1": "L", "q2": "L/h", "v2": "L", "q3": "L/h", "v3": "L", "ka": "1/h", "ke0": "1/h"}
"""Names that the engine reads, with its units."""
POSITIVE = frozenset(name for name in RESERVED if not name.startswith("q"))
"""Without these nothing is eliminated, distributed or absorbed."""
PREFIXES = {"f_": "1", "lag_": "h", "duration_": "h"}
"""The same for each compartment: ``lag_depot``."""

_VOLUME, _TIME = r"(?:L|dL|mL|uL)", r"(?:s|min|h|day|d|weeks?|month|y)"
_SIZE = r"(?:/(?:kg|g|cm|m2|1\.73m2))?"
_ASKED = (
    (r"(?:cl|q)\d*", rf"{_VOLUME}/{_TIME}{_SIZE}|{_VOLUME}{_SIZE}/{_TIME}", "L/h or L/h/kg, as a clearance has"),
    (r"v(?:\d|c|p|ss)?", rf"{_VOLUME}{_SIZE}", "L or L/kg, as a volume of distribution has"),
    (r"(?:ka|ke|kel|k\d\d|ke0)", rf"1/{_TIME}", "1/h, as a rate constant has"),
    (r"(?:mtt|lag|tlag|mat)", _TIME, "h, as a time has"),
)
"""Usual parameter names -> pattern and description of the unit. A suffix after an underscore marks sexes or alleles. An
effect on a parameter ("age_on_cl") has its own unit, and a factor has unit 1."""

_IN_ENGINE = {
    "L": 1.0, "dL": 1e-1, "mL": 1e-3, "uL": 1e-6,
    "s": 1.0 / 3600.0, "min": 1.0 / 60.0, "h": 1.0, "day": 24.0, "d": 24.0, "week": 168.0, "weeks": 168.0,
}  # fmt: skip
"""Volumes in L and times in h."""


def parameter_unit(name: str) -> str:
    """The engine's unit of a parameter, by its reserved name; empty for any other."""
    return RESERVED.get(name) or next((unit for prefix, unit in PREFIXES.items() if name.startswith(prefix)), "")


def fits_name(name: str, unit: str) -> str:
    """The unit implied by a parameter's name, if the parameter has another one; otherwise empty."""
    if "_on_" in name or unit in {"1", NOT_STATED}:
        return ""
    for names, units, words in _ASKED:
        if re.fullmatch(rf"{names}(?:_.+)?", name):
            return "" if re.fullmatch(units, unit) else words
    return ""


def engine_factor(unit: str) -> float | None:
    """What 1 of a unit made of volumes and times is in L and h: 0.06 for mL/min; None for any other unit."""
    parts = parts_of(unit)
    if not parts or not all(part in _IN_ENGINE for part in parts):
        return None
    return math.prod(_IN_ENGINE[part] ** power for part, power in parts.items())
