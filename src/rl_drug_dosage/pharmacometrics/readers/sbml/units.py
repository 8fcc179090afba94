"""Units that an SBML file declares, in this package's words."""

import math
from typing import Any

__all__ = ["unit_words"]

_SECONDS = {1.0: "s", 60.0: "min", 3600.0: "h", 86400.0: "d", 604800.0: "week"}
_PREFIXES = {3: "k", 0: "", -3: "m", -6: "u", -9: "n", -12: "p"}
_BASES = {"mole": "mol", "gram": "g", "litre": "L", "liter": "L", "dimensionless": "1"}


def unit_words(model: Any, unit: str) -> str:
    """A unit by the id of its definition or the name of a base unit; empty for one that has no short name."""
    definition = model.getUnitDefinition(unit)
    if definition is None:
        return {"second": "s", "kilogram": "kg"}.get(unit, _BASES.get(unit, ""))
    if definition.getNumUnits() != 1 or definition.getUnit(0).getExponentAsDouble() != 1.0:
        return ""
    part = definition.getUnit(0)
    base, size = _kind(part), part.getMultiplier() * 10.0 ** part.getScale()
    if base == "second":
        return _SECONDS.get(round(size, 9), "")
    return _prefixed("gram", size * 1e3) if base == "kilogram" else _prefixed(base, size)


def _prefixed(base: str, size: float) -> str:
    """``"mg"`` for a thousandth of a gram; empty where there is no prefix for the size."""
    power = round(math.log10(size)) if size > 0 else 0
    if base not in _BASES or power not in _PREFIXES or not math.isclose(size, 10.0**power, rel_tol=1e-9):
        return ""
    if base == "dimensionless":
        return "1" if power == 0 else ""
    return f"{_PREFIXES[power]}{_BASES[base]}"


def _kind(unit: Any) -> str:
    import libsbml

    return str(libsbml.UnitKind_toString(unit.getKind()))
