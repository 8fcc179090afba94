"""The units that contracts know."""

import re

__all__ = ["is_known"]

_ATOM = (
    r"(?:1\.73m2|10\^9|10\^6|1|%|kg|g|mg|ug|ng|pg|mol|mmol|umol|nmol|pmol|L|dL|mL|uL|U|mU|IU|mIU|s|min|h|day|d|weeks"
    r"|week|month|y|m2|cm|m|mmHg|degC|count|code)"
)
_QUOTIENT = rf"{_ATOM}(?: {_ATOM})*(?:/{_ATOM})*"
_KNOWN = re.compile(rf"0/1|ln\({_QUOTIENT}\)|{_QUOTIENT}(?: per {_QUOTIENT})?")


def is_known(unit: str) -> bool:
    """Whether a unit is a quotient of known units, the logarithm of one, or an indicator; ``1`` is dimensionless."""
    return bool(_KNOWN.fullmatch(unit))
