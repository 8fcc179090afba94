"""Units that an SBML file declares, in this package's words."""

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
    if definition.getNumUnits() != 1:
        return ""
    part = definition.getUnit(0)
    if part.getExponentAsDouble() != 1.0:
        return ""
    base, scale, factor = _kind(part), part.getScale(), part.getMultiplier()
    if base == "second":
        return _SECONDS.get(round(factor * 10.0**scale, 9), "")
    if base == "kilogram":
        base, scale = "gram", scale + 3
    if base not in _BASES or factor != 1.0:
        return ""
    return "1" if base == "dimensionless" else f"{_PREFIXES[scale]}{_BASES[base]}" if scale in _PREFIXES else ""


def _kind(unit: Any) -> str:
    import libsbml

    return str(libsbml.UnitKind_toString(unit.getKind()))
