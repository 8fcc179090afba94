"""Covariates of the short form of a drug model: a unit in the name, a typical value and a range."""

import re
from typing import Any

from rl_drug_dosage.pkpd._errors import CovariateError
from rl_drug_dosage.pkpd.covariate import Covariate, plain_number
from rl_drug_dosage.pkpd.distributions import Distribution, Fixed

__all__ = ["own_covariate"]

_WORDS = {
    "kg": "kg", "g": "g", "mg": "mg", "ug": "ug", "ng": "ng", "l": "L", "dl": "dL", "ml": "mL", "m2": "m2", "cm": "cm",
    "m": "m", "min": "min", "h": "h", "d": "d", "day": "day", "days": "day", "week": "week", "weeks": "week",
    "month": "month", "months": "month", "y": "y", "years": "y", "mol": "mol", "mmol": "mmol", "umol": "umol",
    "mmhg": "mmHg", "1": "1",
}  # fmt: skip
_NAME = re.compile(r"([A-Za-z][A-Za-z0-9]*)((?:_[A-Za-z0-9]+)*)")
_ALLOWED = "(typical, low, high), (typical, low, high, distribution), or a Covariate"


def own_covariate(name: str, given: Any, source: str) -> Covariate:
    """A covariate by its name and numbers.

    Args:
        name: with the unit at its end: ``wt_kg``, ``crcl_ml_per_min``; without one for a factor of 0 and 1.
        given: typical value, lowest and highest one, and a distribution in virtual patients; or a `Covariate`.
        source: where the numbers come from.

    Raises:
        CovariateError: anything else, by the name.
    """
    if isinstance(given, Covariate):
        if given.name != name:
            raise CovariateError(f"covariates.{name} is a covariate {given.name!r}; allowed: one name; rename it")
        return given
    match = _NAME.fullmatch(name)
    parts = tuple(given) if isinstance(given, tuple | list) else ()
    if (
        match is None
        or len(parts) not in {3, 4}
        or (len(parts) == 4 and not isinstance(parts[3], Distribution.__value__))
    ):
        raise CovariateError(f"covariates.{name} is {given!r}; allowed: {_ALLOWED}; correct it")
    try:
        typical, low, high = (plain_number(part) for part in parts[:3])
    except ValueError as error:
        raise CovariateError(f"covariates.{name} is {given!r}: {error}; allowed: {_ALLOWED}; correct it") from None
    unit = _unit(match[2])
    if not unit:
        is_factor = (low, high) == (0.0, 1.0) and typical in {0.0, 1.0}
        if not is_factor:
            raise CovariateError(
                f"covariates.{name} has no unit in its name; allowed: wt_kg, age_y, crcl_ml_per_min, score_1, or a "
                "factor from 0 to 1; rename it, or give a Covariate"
            )
        unit = "0/1"
    return Covariate(
        name=name,
        unit=unit,
        low=low,
        high=high,
        typical=typical,
        source=source,
        meaning=match[1],
        distribution=parts[3] if len(parts) == 4 else Fixed(typical),
        column=match[1].upper(),
    )


def _unit(suffix: str) -> str:
    """``_ml_per_min`` is mL/min; empty if the end of a name is no unit."""
    quotient = [part.strip("_").split("_") for part in suffix.lower().split("_per_")]
    words = [word for part in quotient for word in part]
    if not suffix or any(word not in _WORDS for word in words):
        return ""
    return "/".join(" ".join(_WORDS[word] for word in part) for part in quotient)
