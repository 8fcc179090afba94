"""What a quantity can be at all: bounds of plausibility, and numbers that stand for "missing".

The bounds are this project's own, wide enough for every living patient and laboratory, and no published ranges: those
are `Covariate.low` and `Covariate.high`. A number beyond a bound is a slip, another unit or a code, and is refused; one
outside a published range is a warning.
"""

import math
import re
from collections.abc import Mapping

from rl_drug_dosage.pkpd.units import per_mg_per_l, same_dimension

__all__ = [
    "POSSIBLE",
    "POSSIBLE_LEVELS",
    "SYNONYMS",
    "fits_output",
    "fits_quantity",
    "is_nines",
    "missing_code",
    "possible_level",
    "possible_range",
    "usual_level",
]

SYNONYMS: Mapping[str, frozenset[str]] = {
    "WT": frozenset({"WEIGHT", "BW", "BWT", "BODYWEIGHT", "TBW"}),
    "HT": frozenset({"HEIGHT", "HGT", "BODYHEIGHT"}),
    "AGE": frozenset({"AGEY", "AGEYR", "AGEYRS", "AGEYEARS"}),
    "CRCL": frozenset({"CLCR", "CCR", "CLCREAT", "CREATININECLEARANCE"}),
    "SCR": frozenset({"CREA", "CREAT", "CREATININE", "SCREAT", "SERUMCREATININE"}),
    "ALB": frozenset({"ALBUMIN", "SERUMALBUMIN"}),
    "HCT": frozenset({"HEMATOCRIT", "HAEMATOCRIT"}),
    "BSA": frozenset({"BODYSURFACEAREA"}),
    "FFM": frozenset({"FATFREEMASS"}),
    "LBM": frozenset({"LEANBODYMASS"}),
    "INRBASE": frozenset({"BASEINR", "BASELINEINR", "INR0"}),
}
"""Other names of the same quantity, by column."""

_ANY = ""
"""The entry of a quantity in a unit that is not listed."""

POSSIBLE: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "AGE": {"y": (0, 130), "year": (0, 130), "years": (0, 130), "months": (0, 1560), _ANY: (0, math.inf)},
    "WT": {"kg": (0.1, 650), "g": (100, 650_000), "lb": (0.2, 1433), _ANY: (1e-9, math.inf)},
    "FFM": {"kg": (0.1, 300), _ANY: (1e-9, math.inf)},
    "LBM": {"kg": (0.1, 300), _ANY: (1e-9, math.inf)},
    "IBW": {"kg": (0.1, 300), _ANY: (1e-9, math.inf)},
    "HT": {"cm": (10, 300), "m": (0.1, 3), _ANY: (1e-9, math.inf)},
    "BSA": {"m2": (0.02, 5), _ANY: (1e-9, math.inf)},
    "BMI": {"kg/m2": (3, 250), _ANY: (1e-9, math.inf)},
    "CRCL": {"ml/min": (0, 600), "ml/min/1.73m2": (0, 600), _ANY: (0, math.inf)},
    "EGFR": {"ml/min": (0, 600), "ml/min/1.73m2": (0, 600), _ANY: (0, math.inf)},
    "DCRCL": {"ml/min": (-600, 600)},
    "SCR": {"umol/l": (1, 5000), "mg/dl": (0.01, 57), _ANY: (1e-9, math.inf)},
    "ALB": {"g/l": (1, 100), "g/dl": (0.1, 10), _ANY: (1e-9, math.inf)},
    "AAG": {"g/l": (0.01, 10), _ANY: (1e-9, math.inf)},
    "HCT": {"%": (1, 90), "1": (0.01, 0.9), _ANY: (1e-9, math.inf)},
    "INRBASE": {"1": (0.3, 30)},
    "GLUC0": {"mmol/l": (0.1, 150), "mg/dl": (2, 2700), _ANY: (1e-9, math.inf)},
    "PF": {"mmhg": (1, 800), _ANY: (1e-9, math.inf)},
    "PRED": {"mg/day": (0, 5000), _ANY: (0, math.inf)},
    "REMI": {"ng/ml": (0, 200), _ANY: (0, math.inf)},
    "HOURS": {"h": (0, 1e6)},
}
"""Column -> unit -> lowest and highest possible value, both included. A size is never 0."""

_ALSO: Mapping[str, tuple[str, ...]] = {
    "CRCL": ("mL/min/kg",),
    "EGFR": ("mL/min/kg",),
    "DCRCL": ("mL/min/1.73m2", "mL/min/kg"),
    "PRED": ("mg", "mg/kg", "mg/kg/day"),
}
"""Units of a kind that no entry of `POSSIBLE` has: a quantity may be per size of the body."""
_CATEGORIES = frozenset({"0/1", "code", "count"})
"""A category may be of any quantity."""
_UNIT_IN_NAME = re.compile(
    r"(?:_(?:kg|g|mg|ug|ng|pg|lb|mmol|umol|nmol|l|dl|ml|ul|m2|cm|m|min|h|day|days|d|weeks|months|years|year|y|mmhg"
    r"|per|percent|1|73m2))+$"
)

POSSIBLE_LEVELS: Mapping[tuple[str, str], tuple[float, float]] = {
    ("inr", "1"): (0.3, 30),
    ("bis", "1"): (0, 100),
    ("glucose", "mmol/l"): (0, 150),
    ("leukocytes", "10^9/l"): (0, 1000),
    ("anc", "10^9/l"): (0, 1000),
}
"""(output, unit) -> lowest and highest possible level."""

_USUAL_LEVELS: Mapping[tuple[str, str], tuple[float, float]] = {
    ("inr", "1"): (0.7, 10),
    ("glucose", "mmol/l"): (1, 40),
    ("leukocytes", "10^9/l"): (0, 100),
    ("anc", "10^9/l"): (0, 100),
}
"""(output, unit) -> outside this a level is possible, and a reason to look again."""

_DENSEST_MG_PER_L = 1e6
"""One kilogram in a litre: no solution holds more."""

_NINES = re.compile(r"-?9+(\.9+)?")
_OTHER_CODES = frozenset({-1.0, -8.0, -88.0})
"""Also used for a missing value, but more often a value."""


def possible_range(column: str, name: str, unit: str) -> tuple[float, float]:
    """The bounds of a covariate, infinite where its quantity is not known here.

    Args:
        column: its NONMEM-style column.
        name: its key, for a column that is not listed.
        unit: its unit.
    """
    for written in (column, name):
        quantity = _quantity(written)
        if quantity in POSSIBLE:
            units = POSSIBLE[quantity]
            return units.get(_plain(unit), units.get(_ANY, (-math.inf, math.inf)))
    return -math.inf, math.inf


def fits_quantity(column: str, name: str, unit: str) -> str:
    """The units that the quantity of a covariate can have, if it has none of that kind; otherwise empty.

    Args:
        column: its NONMEM-style column.
        name: its key, for a column that is not listed; a unit at its end is left out.
        unit: its unit. One that is not known here, or of a category, fits.
    """
    for written in (column, name, _UNIT_IN_NAME.sub("", name.lower())):
        quantity = _quantity(written)
        if quantity in POSSIBLE and unit not in _CATEGORIES:
            units = [_spelt(known) for known in POSSIBLE[quantity] if known != _ANY]
            fits = any(same_dimension(unit, known) for known in (*units, *_ALSO.get(quantity, ())))
            return "" if fits else f"{' or '.join(units)}, as {quantity} has"
    return ""


def fits_output(name: str, unit: str) -> str:
    """The unit implied by the name of an output, if its own is of another kind; otherwise empty."""
    units = [_spelt(known) for output, known in POSSIBLE_LEVELS if output == name]
    units += ["mg/L"] if re.fullmatch("concentration(_.+)?", name) else []
    fits = not units or any(same_dimension(unit, known) for known in units)
    return "" if fits else f"{' or '.join(units)}, as {name} has"


def possible_level(output: str, unit: str) -> tuple[float, float]:
    """The bounds of a measured level: never below 0, never denser than a solution can be."""
    in_unit = per_mg_per_l(_spelt(_plain(unit)))
    densest = math.inf if in_unit is None else _DENSEST_MG_PER_L * in_unit
    return POSSIBLE_LEVELS.get((output, _plain(unit)), (0.0, densest))


def usual_level(output: str, unit: str) -> tuple[float, float]:
    """Where levels lie; infinite where nothing is known of the output."""
    return _USUAL_LEVELS.get((output, _plain(unit)), (-math.inf, math.inf))


def is_nines(value: float) -> bool:
    """Whether a number is written in nines, as codes for missing are: -9, 99, -999.9."""
    return _NINES.fullmatch(f"{value:.12g}") is not None


def missing_code(value: float, *, impossible: bool) -> str:
    """The question whether a number is a code for missing; empty where it is none.

    Args:
        value: the number, outside the published range.
        impossible: it is outside the possible range as well.
    """
    asked = is_nines(value) and (impossible or value < 0)
    asked = asked or (impossible and value in _OTHER_CODES)
    return f"is {value:g} a code for missing? " if asked else ""


def _quantity(text: str) -> str:
    letters = re.sub(r"[^A-Z0-9]", "", text.upper())
    return next((column for column, others in SYNONYMS.items() if letters in others), letters)


def _spelt(unit: str) -> str:
    """A unit of the tables above in its usual spelling."""
    parts = {"l": "L", "ml": "mL", "dl": "dL", "mmhg": "mmHg"}
    return "/".join(parts.get(part, part) for part in unit.split("/"))


def _plain(unit: str) -> str:
    return unit.strip().lower().replace(" ", "").replace("µ", "u").replace("μ", "u").replace("²", "2")
