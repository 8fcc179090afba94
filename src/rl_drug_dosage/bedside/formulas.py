"""Named formulas for clearances and body sizes, each with its source, its unit and the patients that it was made for.

No formula is ever chosen for the user: a patient file names the one that it wants, and the result says which was used.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rl_drug_dosage.errors import ConfigError, UnknownNameError

__all__ = [
    "FORMULAS",
    "Formula",
    "adjusted_body_weight_kg",
    "bsa_du_bois_m2",
    "bsa_mosteller_m2",
    "ckd_epi_2009",
    "ckd_epi_2021",
    "cockcroft_gault",
    "find_formula",
    "ideal_body_weight_kg",
    "lean_body_mass_james_kg",
    "lean_body_weight_kg",
    "schwartz_2009",
]

_INCH_CM = 2.54


def cockcroft_gault(age_y: float, weight_kg: float, creatinine_mg_per_dl: float, female: float) -> float:
    """Creatinine clearance, mL/min: (140 - age) weight / (72 creatinine), times 0.85 in women.

    Cockcroft DW, Gault MH. Nephron 1976;16:31-41.
    """
    return (140.0 - age_y) * weight_kg / (72.0 * creatinine_mg_per_dl) * (0.85 if female > 0.5 else 1.0)


def ckd_epi_2009(age_y: float, creatinine_mg_per_dl: float, female: float) -> float:
    """Glomerular filtration rate, mL/min/1.73m2: 141 min(s/k, 1)^a max(s/k, 1)^-1.209 0.993^age, women times 1.018.

    Men k = 0.9, a = -0.411; women k = 0.7, a = -0.329. Without the original's factor for Black patients. Levey AS et
    al. Ann Intern Med 2009;150:604-612.
    """
    k, a = (0.7, -0.329) if female > 0.5 else (0.9, -0.411)
    ratio = creatinine_mg_per_dl / k
    rate = 141.0 * min(ratio, 1.0) ** a * max(ratio, 1.0) ** -1.209 * 0.993**age_y
    return rate * (1.018 if female > 0.5 else 1.0)


def ckd_epi_2021(age_y: float, creatinine_mg_per_dl: float, female: float) -> float:
    """Glomerular filtration rate, mL/min/1.73m2: 142 min(s/k, 1)^a max(s/k, 1)^-1.200 0.9938^age, women times 1.012.

    Men k = 0.9, a = -0.302; women k = 0.7, a = -0.241. Inker LA et al. N Engl J Med 2021;385:1737-1749.
    """
    k, a = (0.7, -0.241) if female > 0.5 else (0.9, -0.302)
    ratio = creatinine_mg_per_dl / k
    rate = 142.0 * min(ratio, 1.0) ** a * max(ratio, 1.0) ** -1.2 * 0.9938**age_y
    return rate * (1.012 if female > 0.5 else 1.0)


def schwartz_2009(height_cm: float, creatinine_mg_per_dl: float) -> float:
    """Glomerular filtration rate of a child, mL/min/1.73m2: 0.413 height / creatinine.

    The bedside equation of Schwartz GJ et al. J Am Soc Nephrol 2009;20:629-637.
    """
    return 0.413 * height_cm / creatinine_mg_per_dl


def bsa_mosteller_m2(weight_kg: float, height_cm: float) -> float:
    """Body surface, m2: sqrt(weight height / 3600). Mosteller RD. N Engl J Med 1987;317:1098."""
    return math.sqrt(weight_kg * height_cm / 3600.0)


def bsa_du_bois_m2(weight_kg: float, height_cm: float) -> float:
    """Body surface, m2: 0.007184 weight^0.425 height^0.725. Du Bois D, Du Bois EF. Arch Intern Med 1916;17:863-871."""
    return 0.007184 * weight_kg**0.425 * height_cm**0.725


def ideal_body_weight_kg(height_cm: float, female: float) -> float:
    """Ideal body weight, kg: 50 (women 45.5) + 2.3 for each inch above 60.

    Devine BJ. Drug Intell Clin Pharm 1974;8:650-655. It has no meaning below 60 inches.
    """
    return (45.5 if female > 0.5 else 50.0) + 2.3 * (height_cm / _INCH_CM - 60.0)


def adjusted_body_weight_kg(weight_kg: float, height_cm: float, female: float) -> float:
    """Adjusted body weight, kg: ideal + 0.4 (actual - ideal), the ideal one by Devine.

    Winter MA et al. Pharmacotherapy 2012;32:604-612.
    """
    ideal = ideal_body_weight_kg(height_cm, female)
    return ideal + 0.4 * (weight_kg - ideal)


def lean_body_weight_kg(weight_kg: float, height_cm: float, female: float) -> float:
    """Lean body weight, the fat-free mass, kg: 9270 W / (6680 + 216 BMI), women 9270 W / (8780 + 244 BMI).

    Janmahasatian S et al. Clin Pharmacokinet 2005;44:1051-1065.
    """
    bmi = weight_kg / (height_cm / 100.0) ** 2
    below = 8780.0 + 244.0 * bmi if female > 0.5 else 6680.0 + 216.0 * bmi
    return 9270.0 * weight_kg / below


def lean_body_mass_james_kg(weight_kg: float, height_cm: float, female: float) -> float:
    """Lean body mass, kg: 1.10 W - 128 (W / H)^2, women 1.07 W - 148 (W / H)^2, H in cm.

    James WPT. Research on obesity. London: HMSO, 1976. It falls with weight in severe obesity.
    """
    ratio = (weight_kg / height_cm) ** 2
    return 1.07 * weight_kg - 148.0 * ratio if female > 0.5 else 1.10 * weight_kg - 128.0 * ratio


@dataclass(frozen=True)
class Formula:
    """A formula under its name.

    Args:
        name: as a patient file writes it.
        gives: the quantity: ``"crcl"``, ``"bsa"``, ``"ibw"``, ``"ffm"``, ``"lbm"``.
        unit: of the result.
        inputs: names of the function's arguments, in order, without their units.
        function: of those.
        source: where it is published.
        valid: input -> lowest and highest value that it was made for; outside it is refused.
        means: what it gives, in words.
    """

    name: str
    gives: str
    unit: str
    inputs: tuple[str, ...]
    function: Callable[..., float]
    source: str
    valid: Mapping[str, tuple[float, float]]
    means: str

    def __call__(self, given: Mapping[str, float]) -> float:
        """The result.

        Args:
            given: input -> value: age in y, weight in kg, height in cm, creatinine in mg/dL, female 0 or 1.

        Raises:
            ConfigError: an input for which the formula was not made, or a result that is not above 0.
        """
        for name, (low, high) in self.valid.items():
            if not low <= given[name] <= high:
                allowed = f"{low:g} to {high:g}" if math.isfinite(high) else f"at least {low:g}"
                raise ConfigError(
                    f"{self.name} was made for {name} of {allowed} {_UNITS[name]}, and it is {given[name]:.4g}; "
                    "choose another formula, or give the value itself"
                )
        result = float(self.function(*(given[name] for name in self.inputs)))
        if not (math.isfinite(result) and result > 0):
            raise ConfigError(f"{self.name} gives {result:.4g} {self.unit} for this patient; give the value itself")
        return result


_UNITS = {"age": "y", "weight": "kg", "height": "cm", "creatinine": "mg/dL", "female": ""}
_ADULT = {"age": (18.0, math.inf)}
_CHILD = {"age": (1.0, 18.0)}
_TALL = {"height": (60.0 * _INCH_CM, math.inf)}
_SIZE = ("weight", "height")

FORMULAS: tuple[Formula, ...] = (
    Formula(
        "cockcroft-gault",
        "crcl",
        "mL/min",
        ("age", "weight", "creatinine", "female"),
        cockcroft_gault,
        "Cockcroft DW, Gault MH. Nephron 1976;16:31-41",
        _ADULT,
        "creatinine clearance",
    ),
    Formula(
        "ckd-epi-2009",
        "crcl",
        "mL/min/1.73m2",
        ("age", "creatinine", "female"),
        ckd_epi_2009,
        "Levey AS et al. Ann Intern Med 2009;150:604-612, without its factor for Black patients",
        _ADULT,
        "estimated glomerular filtration rate",
    ),
    Formula(
        "ckd-epi-2021",
        "crcl",
        "mL/min/1.73m2",
        ("age", "creatinine", "female"),
        ckd_epi_2021,
        "Inker LA et al. N Engl J Med 2021;385:1737-1749",
        _ADULT,
        "estimated glomerular filtration rate",
    ),
    Formula(
        "schwartz-2009",
        "crcl",
        "mL/min/1.73m2",
        ("height", "creatinine"),
        schwartz_2009,
        "Schwartz GJ et al. J Am Soc Nephrol 2009;20:629-637 (bedside equation)",
        _CHILD,
        "estimated glomerular filtration rate",
    ),
    Formula(
        "mosteller",
        "bsa",
        "m2",
        _SIZE,
        bsa_mosteller_m2,
        "Mosteller RD. N Engl J Med 1987;317:1098",
        {},
        "body surface",
    ),
    Formula(
        "du-bois",
        "bsa",
        "m2",
        _SIZE,
        bsa_du_bois_m2,
        "Du Bois D, Du Bois EF. Arch Intern Med 1916;17:863-871",
        {},
        "body surface",
    ),
    Formula(
        "devine",
        "ibw",
        "kg",
        ("height", "female"),
        ideal_body_weight_kg,
        "Devine BJ. Drug Intell Clin Pharm 1974;8:650-655",
        _TALL,
        "ideal body weight",
    ),
    Formula(
        "adjusted",
        "abw",
        "kg",
        (*_SIZE, "female"),
        adjusted_body_weight_kg,
        "Winter MA et al. Pharmacotherapy 2012;32:604-612, with the ideal weight of Devine",
        _TALL,
        "adjusted body weight",
    ),
    Formula(
        "janmahasatian",
        "ffm",
        "kg",
        (*_SIZE, "female"),
        lean_body_weight_kg,
        "Janmahasatian S et al. Clin Pharmacokinet 2005;44:1051-1065",
        {},
        "lean body weight (fat-free mass)",
    ),
    Formula(
        "james",
        "lbm",
        "kg",
        (*_SIZE, "female"),
        lean_body_mass_james_kg,
        "James WPT. Research on obesity. London: HMSO, 1976",
        {},
        "lean body mass",
    ),
)
"""Every formula, by quantity."""


def find_formula(gives: str, name: object) -> Formula:
    """The formula of a name, for a quantity.

    Raises:
        UnknownNameError: none; the message lists those of the quantity.
    """
    same = {"ffm", "lbm"}
    known = {f.name: f for f in FORMULAS if f.gives == gives or {f.gives, gives} == same}
    if not isinstance(name, str) or name not in known:
        raise UnknownNameError(f"formula for {gives}", str(name), known)
    return known[name]
