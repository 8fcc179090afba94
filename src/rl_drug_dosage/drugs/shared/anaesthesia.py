"""Shared by the anaesthetic drug files: body composition, the Bouillon 2004 BIS surface, a common adult cohort.

Every number has its source; the drug files say where they use it.
"""

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.drugs.shared.spoken import SEX_WORDS
from rl_drug_dosage.pkpd import Categorical, Covariate, Eta, Output, Param, Target, Uniform, Values
from rl_drug_dosage.pkpd.links import response_surface

__all__ = [
    "ADULT_COHORT",
    "BIS_ETAS",
    "BIS_TARGET",
    "BIS_THETAS",
    "REMIFENTANIL_COVARIATE",
    "al_sallami_fat_free_mass_kg",
    "bis_output",
    "bis_parameters",
    "female_covariate",
    "james_lean_body_mass_kg",
    "uniform_adults",
]

ADULT_COHORT = (
    "virtual cohort: uniform over 18-70 y, 150-190 cm, 50-100 kg, as in the examples of Python Anesthesia Simulator "
    "(BobAubouin/Python_Anesthesia_Simulator), cut to the published range"
)

_BOUILLON = (
    "Bouillon TW et al. Anesthesiology 2004;100:1353-1372 (doi 10.1097/00000542-200406000-00006), BIS model, as "
    "transcribed in Python Anesthesia Simulator pd_models.py"
)

BIS_THETAS = {
    "bis_c50_propofol": Param(4.47, "mg/L", _BOUILLON, "propofol Ce at half-maximal BIS reduction, no remifentanil"),
    "bis_c50_remifentanil": Param(
        19.3, "ng/mL", _BOUILLON, "remifentanil Ce at half-maximal BIS reduction, no propofol"
    ),
    "bis_gamma": Param(1.43, "1", _BOUILLON, "steepness of the surface"),
    "bis_beta": Param(0.0, "1", _BOUILLON, "interaction: 0 is additive"),
    "bis_baseline": Param(97.4, "1", _BOUILLON, "BIS without drug, also the maximal reduction"),
}

BIS_ETAS = (
    Eta("bis_c50_propofol_mg_per_l", Param(18.2, "%", _BOUILLON, "CV of C50 of propofol"), kind="cv_exact"),
    Eta("bis_c50_remifentanil_ng_per_ml", Param(88.8, "%", _BOUILLON, "CV of C50 of remifentanil"), kind="cv_exact"),
    Eta("bis_gamma", Param(30.4, "%", _BOUILLON, "CV of the steepness"), kind="cv_exact"),
)

BIS_TARGET = Target(
    "bis",
    "value",
    40.0,
    60.0,
    "1",
    "general anaesthesia, 40-60: the target range of BIS-guided propofol-remifentanil anaesthesia"
    " in e.g. Life 2023;13:2065 (doi 10.3390/life13102065)",
)

REMIFENTANIL_COVARIATE = Covariate(
    name="remi_ce_ng_per_ml",
    unit="ng/mL",
    low=0.0,
    high=8.0,
    typical=0.0,
    source=(
        "constant effect-site targets of 0, 2 and 4 ng/mL (Vanluchene ALG et al. Br J Anaesth 2004;93:645-654); "
        "the upper limit and the equal proportions in the virtual cohort are this project's choice"
    ),
    meaning="remifentanil at the effect site, maintained by its own pump; may change over time",
    column="REMI",
    distribution=Categorical((0.0, 2.0, 4.0), (1 / 3, 1 / 3, 1 / 3)),
)


def female_covariate(source: str) -> Covariate:
    """Sex as 0 (male) or 1 (female), with equal probability."""
    return Covariate(
        name="female",
        unit="0/1",
        low=0.0,
        high=1.0,
        typical=0.0,
        source=f"{source}; equal proportions in the virtual cohort",
        meaning="sex: 0 male, 1 female",
        distribution=Categorical((0.0, 1.0), (0.5, 0.5)),
        column="FEMALE",
        words=SEX_WORDS,
    )


def uniform_adults(
    name: str, unit: str, published: tuple[float, float], typical: float, drawn: tuple[float, float], source: str
) -> Covariate:
    """Age, height or weight with its published range, drawn uniformly over the range of the common cohort."""
    meaning, column = {
        "age_y": ("age", "AGE"),
        "height_cm": ("height", "HT"),
        "wt_kg": ("total body weight", "WT"),
    }[name]
    return Covariate(
        name=name,
        unit=unit,
        low=published[0],
        high=published[1],
        typical=typical,
        source=f"{source}; {ADULT_COHORT}",
        meaning=meaning,
        distribution=Uniform(*drawn),
        column=column,
    )


def james_lean_body_mass_kg(weight_kg: Array, height_cm: Array, female: Array) -> Array:
    """Lean body mass by James: male 1.1 W - 128 (W/H)^2, female 1.07 W - 148 (W/H)^2, W in kg and H in cm.

    It decreases again in severe obesity (BMI above about 42 in men, 37 in women), where models based on it must not be
    used. Taken from CRAN package tci (poppk_mods.R), in agreement with stanpumpR's lbmJames.
    """
    ratio_squared = (weight_kg / height_cm) ** 2
    return jnp.where(female > 0.5, 1.07 * weight_kg - 148.0 * ratio_squared, 1.1 * weight_kg - 128.0 * ratio_squared)


def al_sallami_fat_free_mass_kg(weight_kg: Array, height_cm: Array, age_y: Array, female: Array) -> Array:
    """Fat-free mass by Al-Sallami 2015: the Janmahasatian formula times a maturation factor that ends in adulthood.

    Male (0.88 + 0.12 / (1 + (A/13.4)^-12.7)) 42.92 W / (30.93 + BMI); female (1.11 - 0.11 / (1 + (A/7.1)^-1.1))
    37.99 W / (35.98 + BMI); A in years, W in kg. The rounded constants are those of Eleveld 2018's control stream
    (stanpumpR drugs_propofol.R), whose results are reproduced to 7 digits.
    """
    bmi = weight_kg / (height_cm / 100.0) ** 2
    male_mass = (0.88 + 0.12 / (1.0 + (age_y / 13.4) ** -12.7)) * 42.92 * weight_kg / (30.93 + bmi)
    female_mass = (1.11 - 0.11 / (1.0 + (age_y / 7.1) ** -1.1)) * 37.99 * weight_kg / (35.98 + bmi)
    return jnp.where(female > 0.5, female_mass, male_mass)


def bis_parameters(theta: Values) -> dict[str, Array]:
    """The parameters that `bis_output` and `BIS_ETAS` use."""
    return {
        "bis_c50_propofol_mg_per_l": theta["bis_c50_propofol"],
        "bis_c50_remifentanil_ng_per_ml": theta["bis_c50_remifentanil"],
        "bis_gamma": theta["bis_gamma"],
        "bis_beta": theta["bis_beta"],
        "bis_baseline": theta["bis_baseline"],
    }


def bis_output(remifentanil_state: str | None = None) -> Output:
    """BIS from the propofol and remifentanil effect sites; the latter is a compartment, or ``remi_ce_ng_per_ml``."""

    def value(state: Values, p: Values) -> Array:
        remifentanil = p["remi_ce_ng_per_ml"] if remifentanil_state is None else 1000.0 * state[remifentanil_state]
        return response_surface(
            state["effect"],
            remifentanil,
            p["bis_baseline"],
            p["bis_c50_propofol_mg_per_l"],
            p["bis_c50_remifentanil_ng_per_ml"],
            p["bis_gamma"],
            p["bis_beta"],
        )

    return Output(
        "bis",
        "1",
        None,
        value,
        "bispectral index by the Bouillon 2004 surface, without the noise and delay of a monitor",
    )
