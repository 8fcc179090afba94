"""Units as model files spell them, in the engine's: hours, milligrams, mg/L."""

import re

from rl_drug_dosage.pkpd.units import per_mg_per_l

__all__ = ["amount_per_mg", "category", "hours", "moles_per_mg", "per_mg_l", "tidy"]

_HOURS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1 / 3600),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 1 / 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 1.0),
    **dict.fromkeys(("d", "day", "days"), 24.0),
    **dict.fromkeys(("wk", "week", "weeks"), 168.0),
}
_PER_MG = {"kg": 1e-6, "g": 1e-3, "mg": 1.0, "ug": 1e3, "mcg": 1e3, "microg": 1e3, "ng": 1e6, "pg": 1e9}
_MOLES = {"mol": 1e-3, "mmol": 1.0, "umol": 1e3, "micromol": 1e3, "nmol": 1e6, "pmol": 1e9}
"""In 1 mg of a substance of 1 g/mol."""
_MOLAR = {"M": 1.0, "mM": 1e3, "uM": 1e6, "nM": 1e9, "pM": 1e12}
_WORDS = {
    "hrs?|hours?": "h",
    "minutes?|mins": "min",
    "days": "day",
    "years?|yrs?": "y",
    "lit(?:er|re)s?": "L",
    "percent": "%",
}
"""Words for units, and their usual signs."""
_BINARY = frozenset({"0/1", "binary", "bool", "boolean", "indicator", "flag"})
_CODED = frozenset({"code", "categorical", "category", "factor", "ordinal"})


def tidy(unit: str) -> str:
    """Without brackets around it, with ``u`` for micro and in the usual spelling of litre."""
    text = unit.strip().strip("[]").strip()
    if text.startswith("(") and text.endswith(")") and text.count("(") == 1:
        text = text[1:-1].strip()
    text = (
        text.replace("µ", "u").replace("μ", "u").replace("mcg", "ug").replace("m^2", "m2").replace("1.73 m2", "1.73m2")
    )
    for written, usual in _WORDS.items():
        text = re.sub(rf"(?<![A-Za-z])(?:{written})(?![A-Za-z])", usual, text)
    return re.sub(r"(?<![A-Za-z])([mdu]?)l(?![A-Za-z])", r"\1L", text)


def hours(unit: str) -> float | None:
    """The length of a unit of time; None for an unknown one."""
    return _HOURS.get(tidy(unit).lower())


def amount_per_mg(unit: str) -> float | None:
    """How many units of mass 1 mg is; None for anything else."""
    return _PER_MG.get(tidy(unit).lower())


def moles_per_mg(unit: str) -> float | None:
    """How many units of substance 1 mg of 1 g/mol is; None for anything else."""
    return _MOLES.get(tidy(unit).lower())


def per_mg_l(unit: str, molar_mass_g_per_mol: float | None) -> float | None:
    """What 1 mg/L is in a unit of concentration; None where that cannot be told."""
    text = tidy(unit)
    known = per_mg_per_l(text)
    if known is not None or molar_mass_g_per_mol is None:
        return known
    if text in _MOLAR:
        return _MOLAR[text] * 1e-3 / molar_mass_g_per_mol
    above, slash, below = text.partition("/")
    moles = _MOLES.get(above.lower())
    litres = {"L": 1.0, "dL": 1e-1, "mL": 1e-3, "uL": 1e-6}.get(below)
    return None if not slash or moles is None or litres is None else moles * litres / molar_mass_g_per_mol


def category(unit: str) -> str:
    """``"0/1"`` and ``"code"`` for words that mean them, any other unit tidied."""
    text = tidy(unit)
    if text.lower() in _BINARY:
        return "0/1"
    return "code" if text.lower() in _CODED else text
