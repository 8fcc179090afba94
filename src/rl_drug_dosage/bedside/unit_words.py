"""The units that people write at the bedside, and what pint is told of each.

Every spelling is listed: nothing is guessed from prefixes, so that ``Mg`` is no milligram and ``ML`` no millilitre.
"""

import re
from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from typing import Any

__all__ = ["FOR_KIND", "kind_of", "parse_unit", "plain_factor", "registry", "same_words"]

_DEFINITIONS = (
    "gram = [mass]",
    "mole = [substance]",
    "international_unit = [activity]",
    "second = [time]",
    "meter = [length]",
    "standard_area = [standard_area]",
    "mmHg = [pressure]",
    "cell = [cells]",
    "kelvin = [temperature]; offset: 0",
    "celsius = kelvin; offset: 273.15",
    "fahrenheit = 5 / 9 * kelvin; offset: 233.15 + 200 / 9",
    "percent = 0.01",
    "kilogram = 1000 * gram",
    "milligram = 1e-3 * gram",
    "microgram = 1e-6 * gram",
    "nanogram = 1e-9 * gram",
    "picogram = 1e-12 * gram",
    "pound = 453.59237 * gram",
    "ounce = 28.349523125 * gram",
    "millimole = 1e-3 * mole",
    "micromole = 1e-6 * mole",
    "nanomole = 1e-9 * mole",
    "picomole = 1e-12 * mole",
    "milli_iu = 1e-3 * international_unit",
    "micro_iu = 1e-6 * international_unit",
    "kilo_iu = 1e3 * international_unit",
    "liter = 1e-3 * meter ** 3",
    "deciliter = 1e-4 * meter ** 3",
    "milliliter = 1e-6 * meter ** 3",
    "microliter = 1e-9 * meter ** 3",
    "centimeter = 0.01 * meter",
    "millimeter = 0.001 * meter",
    "inch = 0.0254 * meter",
    "foot = 0.3048 * meter",
    "minute = 60 * second",
    "hour = 3600 * second",
    "day = 86400 * second",
    "week = 604800 * second",
    "year = 31557600 * second",
    "month = 2629800 * second",
    "kilopascal = 7.500616827 * mmHg",
)
"""A year is 365.25 days and a month its twelfth; 1 mmHg is 133.322387415 Pa."""

_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "gram": ("g", "gram", "grams"),
    "kilogram": ("kg",),
    "milligram": ("mg",),
    "microgram": ("ug", "mcg", "microg"),
    "nanogram": ("ng",),
    "picogram": ("pg",),
    "pound": ("lb", "lbs", "pound", "pounds"),
    "ounce": ("oz",),
    "mole": ("mol",),
    "millimole": ("mmol",),
    "micromole": ("umol", "micromol"),
    "nanomole": ("nmol",),
    "picomole": ("pmol",),
    "international_unit": ("IU", "U", "unit", "units"),
    "milli_iu": ("mIU", "mU"),
    "micro_iu": ("uIU", "uU"),
    "kilo_iu": ("kIU", "kU"),
    "liter": ("L", "l", "litre", "litres", "liter", "liters"),
    "deciliter": ("dL", "dl"),
    "milliliter": ("mL", "ml"),
    "microliter": ("uL", "ul"),
    "meter": ("m",),
    "centimeter": ("cm",),
    "millimeter": ("mm",),
    "inch": ("in", "inch", "inches"),
    "foot": ("ft", "foot", "feet"),
    "second": ("s", "sec", "seconds"),
    "minute": ("min", "mins", "minute", "minutes"),
    "hour": ("h", "hr", "hrs", "hour", "hours"),
    "day": ("d", "day", "days"),
    "week": ("wk", "week", "weeks"),
    "month": ("mo", "month", "months"),
    "year": ("y", "yr", "yrs", "year", "years"),
    "mmHg": ("mmHg",),
    "kilopascal": ("kPa",),
    "celsius": ("degC", "C"),
    "fahrenheit": ("degF", "F"),
    "standard_area": ("1.73m2",),
    "cell": ("cells",),
    "percent": ("%", "percent"),
}
_PINT_NAME = {word: name for name, words in _SPELLINGS.items() for word in words}
_MOLAR = {"M": "mole", "mM": "millimole", "uM": "micromole", "nM": "nanomole", "pM": "picomole"}
_STANDARD_AREA = re.compile(r"\(?1\.73 ?m(?:2|\^2)\)?")
_TOKEN = re.compile(r"(?P<name>1\.73m2|%|[A-Za-z]+)(?:\^?(?P<power>-?[1-3]))?|10\^(?P<ten>\d{1,2})|(?P<one>1)(?![.\d])")
_SIGN = re.compile(r" ?([/*·]) ?| +")

FOR_KIND: Mapping[str, tuple[str, ...]] = {
    "mass": ("kg", "g", "mg", "µg (mcg)", "ng", "lb", "oz"),
    "substance": ("mol", "mmol", "µmol", "nmol"),
    "activity": ("IU", "mIU", "kIU"),
    "mass concentration": ("g/L", "mg/L", "mg/dL", "µg/mL", "µg/L", "ng/mL", "ng/L"),
    "substance concentration": ("mmol/L", "µmol/L", "nmol/L"),
    "activity concentration": ("IU/L", "IU/mL", "IU/dL", "mIU/L"),
    "flow": ("mL/min", "L/h"),
    "flow per body surface": ("mL/min/1.73m2",),
    "length": ("cm", "m", "in", "ft"),
    "area": ("m2",),
    "time": ("h", "min", "days", "weeks", "months", "y"),
    "pressure": ("mmHg", "kPa"),
    "fraction": ("1", "%"),
    "temperature": ("°C", "°F"),
    "mass per time": ("mg/day", "mg/h", "g/day"),
    "cell count": ("10^9/L", "10^3/uL"),
}
"""What is allowed for a quantity, as a message lists it."""

_EXAMPLE = {
    "mass": "mg",
    "substance": "mmol",
    "activity": "IU",
    "mass concentration": "mg/L",
    "substance concentration": "mmol/L",
    "activity concentration": "IU/L",
    "flow": "mL/min",
    "flow per body surface": "mL/min/1.73m2",
    "length": "cm",
    "area": "m2",
    "time": "h",
    "pressure": "mmHg",
    "fraction": "%",
    "temperature": "degC",
    "mass per time": "mg/day",
    "cell count": "10^9/L",
}
"""A unit of each quantity."""


@cache
def registry() -> Any:
    """Pint's registry with the units above and no others, in exact fractions."""
    import pint

    units = pint.UnitRegistry(None, non_int_type=Fraction)
    for line in _DEFINITIONS:
        units.define(line)
    return units


@cache
def parse_unit(text: str) -> Any:
    """A quantity of pint, one of the unit; None for a text that is none.

    Products and quotients of the words above with small powers, read from left to right: ``mL/min/1.73m2``, ``mg h/L``
    is a product over a litre, ``10^9/L``. Nothing is evaluated.
    """
    plain = text.strip().replace("µ", "u").replace("μ", "u").replace("²", "2").replace("³", "3").replace("−", "-")
    plain = plain.replace("°C", "degC").replace("°F", "degF").replace("° C", "degC").replace("° F", "degF")
    plain = _STANDARD_AREA.sub("1.73m2", plain.replace("**", "^").replace("10*9", "10^9").replace("10*3", "10^3"))
    if not plain or len(plain) > 40:
        return None
    pieces = _SIGN.split(plain)
    units = registry()
    found, below = units.Quantity(Fraction(1)), False
    for i, piece in enumerate(pieces):
        if i % 2:
            below = piece == "/"
            continue
        one = _factor(piece)
        if one is None:
            return None
        if one.check("[temperature]"):
            return one if len(pieces) == 1 else None
        found = found / one if below else found * one
    return found


def _factor(piece: str) -> Any:
    match = _TOKEN.fullmatch(piece)
    if match is None:
        return None
    units = registry()
    if match["ten"] is not None:
        return units.Quantity(Fraction(10) ** int(match["ten"]))
    if match["one"]:
        return units.Quantity(Fraction(1))
    power = int(match["power"] or 1)
    if match["name"] in _MOLAR and power == 1:
        return units.Quantity(Fraction(1), _MOLAR[match["name"]]) / units.Quantity(Fraction(1), "liter")
    name = _PINT_NAME.get(match["name"])
    if name is None:
        return None
    return units.Quantity(Fraction(1), name) if power == 1 else units.Quantity(Fraction(1), name) ** power


@cache
def kind_of(unit: str) -> str:
    """Which quantity of `FOR_KIND` a unit measures; empty for none of them."""
    found = parse_unit(unit)
    if found is None:
        return ""
    same = (kind for kind, example in _EXAMPLE.items() if parse_unit(example).dimensionality == found.dimensionality)
    return next(same, "")


def plain_factor(given: str, wanted: str) -> Fraction | None:
    """What one of a unit is in another of its dimension, temperatures apart; None where they differ."""
    one, other = parse_unit(given), parse_unit(wanted)
    if one is None or other is None or one.dimensionality != other.dimensionality:
        return None
    return Fraction(one.to(other.units).magnitude) / other.magnitude


def same_words(one: str, other: str) -> bool:
    """Whether two texts are one unit that is only spelt in two ways: ``"ug/ml"`` and ``"µg/mL"``, not ``"mg/L"``."""
    return _words(one) == _words(other)


def _words(unit: str) -> tuple[str, ...]:
    plain = unit.strip().replace("µ", "u").replace("μ", "u").replace("²", "2")
    return tuple(_PINT_NAME.get(piece, piece) for piece in re.split(r"([/*·^ ])", plain) if piece)
