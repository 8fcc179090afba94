"""A number and its unit as somebody wrote them, before it is known which quantity it is; how a field is refused."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import NoReturn

from rl_drug_dosage.bedside.unit_words import kind_of, parse_unit
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import plain_number
from rl_drug_dosage.utils.printable import excerpt, printable

__all__ = ["Written", "read_whole", "read_written", "refuse", "refused", "shown"]

_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2}(?![0-9]))?"
_PART = re.compile(rf"\s*({_NUMBER})\s*(.*?)\s*(?={_NUMBER}\s*[A-Za-z]|$)")
_COMMA = re.compile(r"\d,\d")
_SUMS = frozenset({"length", "mass", "time"})
"""Quantities that people write in two units: 5 ft 11 in, 7 lb 4 oz, 1 h 30 min."""
_LONGEST = 80
_LARGEST = 1e15
_LONGEST_MESSAGE = 800


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


def refused(field: str, what: str) -> ConfigError:
    """The error of one field, in one printable line; what somebody wrote at length is cut in the middle."""
    place, plain = (excerpt(printable(" ".join(text.split())), _LONGEST_MESSAGE) for text in (field, what))
    return ConfigError(f"{place}: {plain}")


def refuse(field: str, what: str) -> NoReturn:
    """Raise the error of one field.

    Raises:
        ConfigError: always.
    """
    raise refused(field, what)


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
    return _of_size(Fraction(str(number)), field)


def _of_size(number: Fraction, field: str) -> Fraction:
    """A number that a quantity can have in some unit.

    Raises:
        ConfigError: a larger one.
    """
    if abs(number) > _LARGEST:
        refuse(field, f"{shown(number)} is too large for any quantity; allowed: up to {_LARGEST:g}; correct it")
    return number


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
    parts = [(_of_size(Fraction(value), field), rest.strip())]
    if parse_unit(rest) is None and (found := _PART.findall(plain)) and len(found) > 1:
        several = [(Fraction(number), unit) for number, unit in found]
        kinds = {kind_of(unit) for _, unit in several}
        if len(kinds) == 1 and kinds <= _SUMS:
            parts = several
    return Written(tuple(parts), below)


def read_whole(written: object, at: str, low: int, high: int) -> int:
    """A whole number without a unit.

    Raises:
        ConfigError: anything else, or one outside of ``low`` to ``high``.
    """
    number = read_written(written, at)
    value = number.parts[0][0]
    if number.unit or number.below or value.denominator != 1 or not low <= value <= high:
        refuse(at, f"{number} is none; allowed: a whole number from {low} to {high}")
    return int(Fraction(value))
