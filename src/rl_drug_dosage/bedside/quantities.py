"""Numbers with units as people write them, in the engine's unit of the quantity that is asked for.

    read_quantity("88.4 µmol/L", CREATININE, "covariates.creatinine")  # 1.00 mg/dL, and a note that says so

Nothing is converted silently: each conversion leaves a note. A unit of another quantity is refused with those that are
allowed. A bare number is taken in the engine's unit where it lies in the published range; elsewhere the error asks
which unit was meant.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NoReturn

from rl_drug_dosage.bedside.unit_words import FOR_KIND, kind_of, parse_unit, plain_factor, same_words
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import Param, plain_number

__all__ = ["Asked", "Read", "Written", "read_quantity", "read_written", "refuse", "shown"]

_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2}(?![0-9]))?"
_PART = re.compile(rf"\s*({_NUMBER})\s*(.*?)\s*(?={_NUMBER}\s*[A-Za-z]|$)")
_COMMA = re.compile(r"\d,\d")
_SUMS = frozenset({"length", "mass", "time"})
"""Quantities that people write in two units: 5 ft 11 in, 7 lb 4 oz, 1 h 30 min."""
_LONGEST = 80
_BRIDGES = {
    ("mass", "substance"),
    ("substance", "mass"),
    ("mass concentration", "substance concentration"),
    ("substance concentration", "mass concentration"),
}
_COUNTED = {
    ("mass", "activity"),
    ("activity", "mass"),
    ("mass concentration", "activity concentration"),
    ("activity concentration", "mass concentration"),
}


@dataclass(frozen=True)
class Asked:
    """What is asked for.

    Args:
        what: its name in notes and messages: ``"creatinine"``, ``"dose"``.
        unit: the engine's.
        low, high: where a bare number is believed to be in that unit: the published range.
        range_of: whose range that is.
        molar_mass: g/mol, to convert between mass and moles; None: such units are refused.
        activity: IU/mg or mg/U, to convert between mass and IU; None: such units are refused.
        substance: what those two are of.
    """

    what: str
    unit: str
    low: float = math.nan
    high: float = math.nan
    range_of: str = ""
    molar_mass: Param | None = None
    activity: Param | None = None
    substance: str = ""


@dataclass(frozen=True)
class Written:
    """A number and its unit as somebody wrote them. ``below``: written with ``<``."""

    parts: tuple[tuple[Fraction, str], ...]
    below: bool = False

    @property
    def unit(self) -> str:
        """The unit of the first part; empty for a bare number."""
        return self.parts[0][1]

    def __str__(self) -> str:
        text = " ".join(f"{shown(value)} {unit}".strip() for value, unit in self.parts)
        return f"< {text}" if self.below else text


@dataclass(frozen=True)
class Read:
    """A value in the engine's unit, and what was converted on the way; ``note`` is empty where nothing was."""

    value: float
    note: str = ""
    below: bool = False


def refuse(field: str, what: str) -> NoReturn:
    """Raise the error of one field, in one line.

    Raises:
        ConfigError: always.
    """
    raise ConfigError(f"{field}: {' '.join(what.split())}")


def shown(value: float | Fraction) -> str:
    """A number as a person writes it, to 6 significant digits."""
    return f"{float(value):.6g}"


def read_written(written: object, field: str) -> Written:
    """Number and unit of ``"25.3 mg/L"``, ``25.3``, ``("25.3", "mg/L")`` or ``{"value": 25.3, "unit": "mg/L"}``.

    Raises:
        ConfigError: no number, not finite, a comma that may mean thousands or decimals.
    """
    if isinstance(written, Mapping):
        extra = sorted(set(written) - {"value", "unit"})
        if extra or "value" not in written:
            refuse(field, f"{'unknown key ' + repr(extra[0]) if extra else 'no value'}; allowed: value and unit")
        return _paired(written["value"], written.get("unit", ""), field)
    if isinstance(written, tuple | list):
        if len(written) != 2:
            refuse(field, f"{len(written)} entries; allowed: a number and its unit")
        return _paired(written[0], written[1], field)
    if isinstance(written, str):
        return _from_text(written, field)
    return Written(((_number(written, field), ""),))


def _paired(value: object, unit: object, field: str) -> Written:
    if not isinstance(unit, str):
        refuse(field, f"the unit is {unit!r}; write it as text, such as 'mg/L'")
    one = _from_text(value, field) if isinstance(value, str) else Written(((_number(value, field), ""),))
    if one.unit and unit:
        refuse(field, f"{value!r} has a unit, and another, {unit!r}, is beside it; leave one of them out")
    return one if one.unit else Written(((one.parts[0][0], unit.strip()),), one.below)


def _number(value: object, field: str) -> Fraction:
    try:
        number = plain_number(value)
    except ValueError:
        refuse(field, f"{value!r} is no number; write one with its unit, such as '25.3 mg/L'")
    if not math.isfinite(number):
        refuse(field, f"{number} is no finite number; leave the entry out where nothing was measured")
    return Fraction(str(number))


def _from_text(text: str, field: str) -> Written:
    """Parts of a text.

    Raises:
        ConfigError: no number and unit.
    """
    plain = text.strip().replace("≤", "<=")
    quoted = repr(text if len(text) <= _LONGEST else text[:_LONGEST] + "...")
    below = plain.startswith("<")
    if plain.startswith(">"):
        refuse(field, f"{quoted}: a level above a limit cannot be used; give the diluted result, or leave it out")
    plain = plain.lstrip("<").removeprefix("=").strip()
    if _COMMA.search(plain):
        refuse(field, f"{quoted}: a comma may mean thousands or decimals; write 1000 or 25.3, with a point")
    if len(plain) > _LONGEST or re.match(_NUMBER, plain) is None:
        refuse(field, f"{quoted} is no number with a unit; write it as '25.3 mg/L'")
    # A unit may begin with a digit (10^9/L, 1.73m2): only lengths, weights and times are written in two parts.
    value, rest = re.match(rf"({_NUMBER})\s*(.*)", plain).groups()  # type: ignore[union-attr]
    if rest[:1].isdigit() and parse_unit(rest) is None:
        refuse(field, f"{quoted} is no number with a unit; write it as '25.3 mg/L'")
    parts = [(Fraction(value), rest.strip())]
    if parse_unit(rest) is None and (found := _PART.findall(plain)) and len(found) > 1:
        several = [(Fraction(number), unit) for number, unit in found]
        kinds = {kind_of(unit) for _, unit in several}
        if len(kinds) == 1 and kinds <= _SUMS:
            parts = several
    return Written(tuple(parts), below)


def read_quantity(written: object, asked: Asked, field: str) -> Read:
    """A value in the engine's unit.

    Args:
        written: see `read_written`; or a `Written`.
        asked: the quantity.
        field: where it was written, for messages: ``"levels[2].value"``.

    Raises:
        ConfigError: no number; a unit that is unknown, or of another quantity; a bare number outside the published
            range, with the unit that was probably meant.
    """
    found = written if isinstance(written, Written) else read_written(written, field)
    if not found.unit:
        return _bare(found, asked, field)
    total = Fraction(0)
    for value, unit in found.parts:
        total += _converted(value, unit or "1", asked, field)
    result = float(total)
    if len(found.parts) == 1 and same_words(found.unit or "1", asked.unit):
        return Read(result, "", found.below)
    return Read(result, f"{asked.what} {found} = {shown(result)} {_named(asked.unit)}".rstrip(), found.below)


def _named(unit: str) -> str:
    return "" if unit == "1" else unit.replace("ug", "µg").replace("umol", "µmol")


def _converted(value: Fraction, unit: str, asked: Asked, field: str) -> Fraction:
    given = parse_unit(unit)
    text = f"{shown(value)} {unit}"
    if given is None:
        near = _near(unit)
        hint = f"did you mean {near!r}? " if near else ""
        refuse(field, f"{unit!r} in {text!r} is no known unit; {hint}allowed: {_allowed(asked)}")
    if kind_of(unit) == kind_of(asked.unit) == "temperature":
        from rl_drug_dosage.bedside.unit_words import registry

        wanted = parse_unit(asked.unit)
        return Fraction(registry().Quantity(value, given.units).to(wanted.units).magnitude)
    factor = plain_factor(unit, asked.unit)
    if factor is None:
        factor = _bridged(unit, text, asked, field)
    return value * factor


def _bridged(unit: str, text: str, asked: Asked, field: str) -> Fraction:
    """The factor between mass and moles, or mass and IU, of the substance.

    Raises:
        ConfigError: a unit of another quantity, or a substance whose molar mass or activity is not known.
    """
    pair = (kind_of(unit), kind_of(asked.unit))
    if pair in _BRIDGES:
        if asked.molar_mass is None:
            refuse(
                field,
                f"{text} needs the molar mass of {asked.substance or asked.what}, which its drug file does not have; "
                f"allowed: {_allowed(asked)}",
            )
        mass = Fraction(str(asked.molar_mass.value))
        if pair[0].startswith("mass"):
            return _through(unit, "g", asked.unit, "mol", 1 / mass)
        return _through(unit, "mol", asked.unit, "g", mass)
    if pair in _COUNTED and asked.activity is not None:
        per_mg = Fraction(str(asked.activity.value))
        per_mg = per_mg if asked.activity.unit in {"IU/mg", "U/mg"} else 1 / per_mg
        if pair[0].startswith("mass"):
            return _through(unit, "mg", asked.unit, "IU", per_mg)
        return _through(unit, "IU", asked.unit, "mg", 1 / per_mg)
    kind = "" if pair[0] == "fraction" and "/" in unit else pair[0]
    article = "an" if kind[:1] in {"a", "e", "i", "o"} else "a"
    what = f"{text} is {article} {kind}" if kind else f"{text} is another quantity"
    refuse(field, f"{what}; {asked.what} is in {_named(asked.unit)}; allowed: {_allowed(asked)}")


def _through(unit: str, base: str, wanted: str, other: str, factor: Fraction) -> Fraction:
    """The factor of ``unit`` in ``base`` (over a volume or not), times that of ``other`` in ``wanted``."""
    below = "/L" if "concentration" in kind_of(unit) else ""
    first, last = plain_factor(unit, base + below), plain_factor(other + below, wanted)
    if first is None or last is None:
        raise AssertionError(f"{unit} and {base}{below}, {other}{below} and {wanted} are of one kind")
    return first * factor * last


def _kinds(asked: Asked) -> list[str]:
    own = kind_of(asked.unit)
    others = [one for one, wanted in _BRIDGES if wanted == own and asked.molar_mass is not None]
    return [own, *others, *(one for one, wanted in _COUNTED if wanted == own and asked.activity is not None)]


def _allowed(asked: Asked) -> str:
    units = [unit for kind in _kinds(asked) for unit in FOR_KIND.get(kind, ())]
    return ", ".join(units) if units else asked.unit


def _near(unit: str) -> str:
    """A known unit that differs in case only."""
    for words in FOR_KIND.values():
        for known in words:
            plain = known.partition(" ")[0]
            if plain.casefold().replace("µ", "u") == unit.strip().casefold().replace("µ", "u"):
                return plain
    return ""


def _bare(found: Written, asked: Asked, field: str) -> Read:
    """A number without a unit.

    Raises:
        ConfigError: outside the published range, or where there is none.
    """
    value = float(found.parts[0][0])
    unit = _named(asked.unit)
    meant = [other for other in _likely(value, asked) if not same_words(other, asked.unit)]
    if not unit and (asked.low <= value <= asked.high or not meant):
        return Read(value, "", found.below)
    if asked.low <= value <= asked.high:
        return Read(value, f"{asked.what} {found} without a unit read as {unit}", found.below)
    likely = "" if not meant else f"{shown(value * 100)} %" if meant[0] == "1" else f"{shown(value)} {meant[0]}"
    hint = f"did you mean {likely}? " if likely else ""
    if math.isnan(asked.low):
        refuse(field, f"{found} has no unit; {hint}write it, such as '{shown(value)} {unit}'")
    refuse(
        field,
        f"{found} has no unit, and {asked.what} of {shown(asked.low)} to {shown(asked.high)} {unit} is in "
        f"{asked.range_of or 'the published range'}; {hint}write the unit",
    )


def _likely(value: float, asked: Asked) -> list[str]:
    """Units in which a bare number would be inside the published range."""
    found = []
    for kind in _kinds(asked):
        for known in FOR_KIND.get(kind, ()):
            unit = known.partition(" ")[0]
            inside = float(_converted(Fraction(str(value)), unit, asked, ""))
            if asked.low <= inside <= asked.high:
                found.append(unit)
    return found
