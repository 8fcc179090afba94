"""Numbers with units as people write them, in the engine's unit of the quantity that is asked for.

    read_quantity("88.4 µmol/L", CREATININE, "covariates.creatinine")  # 1.00 mg/dL, and a note that says so

Nothing is converted silently: each conversion leaves a note. A unit of another quantity is refused with those that are
allowed. A bare number is taken in the engine's unit where it lies in the published range; elsewhere the error asks
which unit was meant.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

from rl_drug_dosage.bedside.unit_words import FOR_KIND, kind_of, parse_unit, plain_factor, registry, same_words
from rl_drug_dosage.bedside.written import Written, read_written, refuse, refused, shown
from rl_drug_dosage.pkpd import Param

__all__ = ["Asked", "Read", "read_quantity"]

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
        written_in: units that are guessed for a bare number; empty: all of its kind.
    """

    what: str
    unit: str
    low: float = math.nan
    high: float = math.nan
    range_of: str = ""
    molar_mass: Param | None = None
    activity: Param | None = None
    substance: str = ""
    written_in: tuple[str, ...] = ()


@dataclass(frozen=True)
class Read:
    """A value in the engine's unit, and what was converted on the way; ``note`` is empty where nothing was."""

    value: float
    note: str = ""
    below: bool = False


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
    raise refused(field, f"{what}; {asked.what} is in {_named(asked.unit)}; allowed: {_allowed(asked)}")


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
    raise refused(
        field,
        f"{found} has no unit, and {asked.what} of {shown(asked.low)} to {shown(asked.high)} {unit} is in "
        f"{asked.range_of or 'the published range'}; {hint}write the unit",
    )


def _likely(value: float, asked: Asked) -> list[str]:
    """Units in which a bare number would be inside the published range."""
    found = []
    # Of a drug that is counted in IU, a number without a unit is one of IU.
    for kind in sorted(_kinds(asked), key=lambda kind: "activity" not in kind):
        for known in FOR_KIND.get(kind, ()):
            unit = known.partition(" ")[0]
            if asked.written_in and unit not in asked.written_in:
                continue
            inside = float(_converted(Fraction(str(value)), unit, asked, ""))
            if asked.low <= inside <= asked.high:
                found.append(unit)
    return found
