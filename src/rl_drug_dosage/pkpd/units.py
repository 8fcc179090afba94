"""Units as they are written, compared: nothing is converted here, since a wrong guess would be a wrong dose."""

import re
from collections import Counter

__all__ = ["is_known_unit", "metric_unit", "parts_of", "per_mg_per_l", "same_dimension", "same_unit"]

_SPELLINGS = {"µg": "ug", "μg": "ug", "mcg": "ug", "l": "L", "ml": "mL", "hr": "h", "hour": "h", "hours": "h"}
_SIGNS = re.compile(r"\s*([/*·])\s*|\s+")


def parts_of(unit: str) -> Counter[str]:
    """``"mg h/L"`` as ``{"mg": 1, "h": 1, "L": -1}``; only the unit right behind a slash is below the line."""
    found: Counter[str] = Counter()
    sign = 1
    for piece in _SIGNS.split(unit.strip()):
        if piece in {None, "", "*", "·", "/"}:
            sign = -1 if piece == "/" else sign
            continue
        if piece != "1":
            found[_SPELLINGS.get(piece, piece)] += sign
        sign = 1
    return Counter({part: power for part, power in found.items() if power})


def same_unit(one: str, other: str) -> bool:
    """Whether two texts mean one unit: ``"mg h/L"`` is ``"mg/L*h"``; ``"mg/L"`` is not ``"ug/mL"``."""
    return parts_of(one) == parts_of(other)


def metric_unit(metric: str, unit: str) -> str:
    """The unit of a metric (see `rl_drug_dosage.pkpd.Target`) of an output in ``unit``."""
    if metric in {"auc24", "auc_total"}:
        above, slash, below = unit.partition("/")
        return f"{above} h{slash}{below}"
    return "1" if metric == "time_above" else unit


_KINDS = {
    "substance": (
        "kg",
        "g",
        "mg",
        "ug",
        "ng",
        "pg",
        "lb",
        "mol",
        "mmol",
        "umol",
        "nmol",
        "pmol",
        "U",
        "mU",
        "IU",
        "mIU",
    ),
    "volume": ("L", "dL", "mL", "uL"),
    "area": ("m2", "1.73m2"),
    "length": ("m", "cm"),
    "time": ("s", "min", "h", "day", "days", "d", "week", "weeks", "month", "months", "y", "year", "years"),
    "pressure": ("mmHg",),
    "": ("%", "CV%", "10^9", "10^6"),
}
_KIND_OF = {part: kind for kind, parts in _KINDS.items() for part in parts}
"""Mass, amount and activity are one kind: which of them a substance is counted in is the source's choice."""
_MG_PER_L = {
    "mg/L": 1.0,
    "ug/mL": 1.0,
    "g/L": 1e-3,
    "mg/mL": 1e-3,
    "mg/dL": 0.1,
    "ug/L": 1e3,
    "ng/mL": 1e3,
    "ng/L": 1e6,
}
"""Unit -> one mg/L in it."""


def same_dimension(one: str, other: str) -> bool:
    """Whether two units can be of one quantity: ``"mL/min"`` and ``"L/h"``. A unit that is not known here can be."""
    found = [_dimension(unit) for unit in (one, other)]
    return None in found or found[0] == found[1]


def is_known_unit(unit: str) -> bool:
    """Whether a text is a unit: a quotient of known ones, or 1."""
    return bool(unit.strip()) and _dimension(unit) is not None


def _dimension(unit: str) -> Counter[str] | None:
    """Kind of quantity -> power; None for a unit that is not known here, or that counts a category."""
    parts = parts_of(unit)
    if not all(part in _KIND_OF for part in parts):
        return None
    found: Counter[str] = Counter()
    for part, power in parts.items():
        found[_KIND_OF[part]] += power
    return Counter({kind: power for kind, power in found.items() if kind and power})


def per_mg_per_l(unit: str) -> float | None:
    """What 1 mg/L is in another unit of concentration: 1000 in ug/L; None where the unit does not say."""
    return next((factor for known, factor in _MG_PER_L.items() if same_unit(known, unit)), None)
