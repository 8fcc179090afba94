"""Units of doses: whether they are per something, whether they count a substance, how many mg they are."""

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd.units import parts_of

__all__ = ["is_per", "is_substance", "mg_per_unit"]

_MG = {"kg": 1e6, "g": 1e3, "mg": 1.0, "ug": 1e-3, "ng": 1e-6}
_HOURS = {"d": 24.0, "day": 24.0, "h": 1.0, "min": 1.0 / 60.0, "s": 1.0 / 3600.0}


def is_per(unit: str, what: str) -> bool:
    """Whether a unit counts once for each of another: ``"mg/kg/h"`` is per ``"kg"``."""
    parts = parts_of(unit)
    return all(parts[part] == -power for part, power in parts_of(what).items())


def is_substance(unit: str) -> bool:
    """Whether a unit counts a substance (``"mg/L"``, ``"ug h/L"``, ``"mmol/L"``): such a value is never negative."""
    return any(power > 0 and (part in _MG or part.endswith("mol")) for part, power in parts_of(unit).items())


def mg_per_unit(unit: str, duration_h: float, *, per: str | None = None) -> float | None:
    """Engine mg of one administration of one unit of a dose; None where the unit does not say.

    A unit of mass over time (``"mg/min"``) counts the time that the infusion runs. A unit per something of the patient
    (``"mg/kg"``) counts once for each.

    Args:
        unit: of an amount.
        duration_h: of the infusion.
        per: the covariate that an amount is multiplied by, if any.

    Raises:
        ConfigError: a unit per something of the patient without the covariate, or the other way round; a rate without
            an infusion.
    """
    parts = parts_of(unit)
    mass = [part for part, power in parts.items() if power == 1 and part in _MG]
    below = [part for part, power in parts.items() if power == -1]
    if len(mass) != 1 or len(parts) != 1 + len(below):
        return None
    times = [part for part in below if part in _HOURS]
    patient = [part for part in below if part not in _HOURS]
    if patient and per is None:
        raise ConfigError(f"a dose in {unit} needs `per`, the covariate in {patient[0]} that it is multiplied by")
    if per is not None and not patient:
        raise ConfigError(f"a dose in {unit} is multiplied by {per!r}: its unit must say so, as in mg/kg")
    if len(times) > 1 or len(patient) > 1:
        return None
    if times and not duration_h:
        raise ConfigError(f"a dose in {unit} is the rate of an infusion: give its duration_h, above 0")
    return _MG[mass[0]] * (duration_h / _HOURS[times[0]] if times else 1.0)
