"""Propofol from neonates to the elderly and the obese, three compartments, effect site, BIS (Eleveld 2018)."""

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.drugs.shared.anaesthesia import (
    BIS_TARGET,
    al_sallami_fat_free_mass_kg,
    female_covariate,
    uniform_adults,
)
from rl_drug_dosage.pkpd import (
    Categorical,
    Covariate,
    DosingOptions,
    DrugModel,
    Eta,
    Mammillary,
    Output,
    Param,
    Residual,
    Route,
    Values,
    links,
)

__all__ = ["DRUG"]

_STREAM = (
    "NONMEM control stream of Eleveld 2018 (digital supplement), as kept in StevenLShafer/stanpumpR drugs_propofol.R"
)
_OMEGA = (
    "Eleveld 2018 Table 2, as transcribed identically in CRAN package tci poppk_mods.R and Python Anesthesia Simulator"
)
_PD = (
    "Eleveld 2018 Table 3, as transcribed identically in CRAN package tci and Python Anesthesia Simulator pd_models.py"
)
_RANGE = (
    "27 weeks postmenstrual age to 88 y, 0.68-160 kg in the paper (unverified: not read in a source); adults only here"
)


def _sigmoid(x: Array | float, x50: Array, slope: Array | float = 1.0) -> Array:
    return x**slope / (x**slope + x50**slope)


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """Size, maturation and ageing as in the control stream, arterial samples; `finish` completes Q2 and Q3."""
    age, weight, opioid = covariates["age_y"], covariates["wt_kg"], covariates["opioid"]
    female = covariates["female"]
    lean = al_sallami_fat_free_mass_kg(weight, covariates["height_cm"], age, female)
    lean_share = lean / al_sallami_fat_free_mass_kg(*(jnp.asarray(v) for v in (70.0, 170.0, 35.0, 0.0)))
    weeks, reference_weeks = 52.0 * age + 40.0, 52.0 * 35.0 + 40.0
    e50_cl, slope_cl = jnp.exp(theta["ln_e50_cl_maturation"]), jnp.exp(theta["ln_slope_cl_maturation"])
    e50_q3, wt50_v1 = jnp.exp(theta["ln_e50_q3_maturation"]), jnp.exp(theta["ln_wt50_v1"])
    cl_maturation = _sigmoid(weeks, e50_cl, slope_cl) / _sigmoid(reference_weeks, e50_cl, slope_cl)
    q3_maturation = _sigmoid(weeks, e50_q3)
    ln_cl = jnp.where(female > 0.5, theta["ln_cl_female"], theta["ln_cl_male"])
    return {
        "cl": 60.0 * jnp.exp(ln_cl + theta["age_on_cl"] * age * opioid) * (weight / 70.0) ** 0.75 * cl_maturation,
        "v1": jnp.exp(theta["ln_v1"]) * _sigmoid(weight, wt50_v1) / _sigmoid(70.0, wt50_v1),
        "v2": jnp.exp(theta["ln_v2"] + theta["age_on_v2"] * (age - 35.0)) * weight / 70.0,
        "v3": jnp.exp(theta["ln_v3"] + theta["age_on_v3"] * age * opioid) * lean_share,
        "q2": 60.0 * jnp.exp(theta["ln_q2"]) * (1.0 + jnp.exp(theta["ln_child_on_q2"]) * (1.0 - q3_maturation)),
        "q3": 60.0 * jnp.exp(theta["ln_q3"]) * q3_maturation / _sigmoid(reference_weeks, e50_q3),
        "v2_reference": jnp.exp(theta["ln_v2"]),
        "v3_reference": jnp.exp(theta["ln_v3"]),
        "ke0": 60.0 * theta["ke0"] * (weight / 70.0) ** -0.25,
        "bis_ce50_mg_per_l": theta["ce50"] * jnp.exp(theta["age_on_ce50"] * (age - 35.0)),
        "bis_baseline": theta["bis_baseline"],
        "bis_gamma_below": theta["bis_gamma_below"],
        "bis_gamma_above": theta["bis_gamma_above"],
        "bis_delay_s": theta["bis_delay"] + jnp.exp(theta["age_on_bis_delay"] * age),
    }


def finish(p: Values, covariates: Values) -> dict[str, Array]:
    """Scale Q2 and Q3 with the patient's own V2 and V3, random effects included, to the power 0.75."""
    return {
        **p,
        "q2": p["q2"] * (p["v2"] / p["v2_reference"]) ** 0.75,
        "q3": p["q3"] * (p["v3"] / p["v3_reference"]) ** 0.75,
    }


def bis(state: Values, p: Values) -> Array:
    """BIS = E0 / (1 + (Ce / Ce50)^gamma), with a steeper gamma below Ce50 than above."""
    gamma = jnp.where(state["effect"] <= p["bis_ce50_mg_per_l"], p["bis_gamma_below"], p["bis_gamma_above"])
    return links.bis(state["effect"], p["bis_baseline"], p["bis_ce50_mg_per_l"], gamma)


DRUG = DrugModel(
    name="propofol-eleveld2018",
    drug="propofol",
    title="Propofol for broad application, with BIS (Eleveld 2018)",
    citation=(
        "Eleveld DJ, Colin P, Absalom AR, Struys MMRF. Pharmacokinetic-pharmacodynamic model for propofol for "
        "broad application in anaesthesia and sedation. Br J Anaesth 2018;120:942-959."
    ),
    doi="10.1016/j.bja.2018.01.018",
    population=(
        "30 studies pooled, neonates to the elderly and the obese; BIS of a subset (1,033 persons: "
        "unverified, from memory)"
    ),
    structure=Mammillary(peripherals=2, effect=True),
    thetas={
        "ln_v1": Param(1.837860, "ln(L)", _STREAM, "theta 1: V1, 6.283 L at 70 kg"),
        "ln_v2": Param(3.238730, "ln(L)", _STREAM, "theta 2: V2, 25.501 L at 70 kg, 35 y"),
        "ln_v3": Param(5.608800, "ln(L)", _STREAM, "theta 3: V3, 272.817 L"),
        "ln_cl_male": Param(0.5819830, "ln(L/min)", _STREAM, "theta 4: clearance of men, 1.790 L/min"),
        "ln_q2": Param(0.5596720, "ln(L/min)", _STREAM, "theta 5: Q2, 1.750 L/min"),
        "ln_q3": Param(0.1030460, "ln(L/min)", _STREAM, "theta 6: Q3, 1.109 L/min"),
        "ln_e50_cl_maturation": Param(
            3.744220, "ln(week)", _STREAM, "theta 8: half-maturation of clearance, 42.3 weeks"
        ),
        "ln_slope_cl_maturation": Param(2.203300, "ln(1)", _STREAM, "theta 9: steepness of that maturation, 9.05"),
        "age_on_v2": Param(-0.01563300, "1/y", _STREAM, "theta 10: V2 falls with age, from 35 y"),
        "age_on_cl": Param(-0.002857090, "1/y", _STREAM, "theta 11: clearance falls with age under opioids"),
        "ln_wt50_v1": Param(3.513130, "ln(kg)", _STREAM, "theta 12: weight at half the maximal V1, 33.6 kg"),
        "age_on_v3": Param(-0.01381660, "1/y", _STREAM, "theta 13: V3 falls with age under opioids"),
        "ln_e50_q3_maturation": Param(4.223570, "ln(week)", _STREAM, "theta 14: half-maturation of Q3, 68.3 weeks"),
        "ln_cl_female": Param(0.7420430, "ln(L/min)", _STREAM, "theta 15: clearance of women, 2.100 L/min"),
        "ln_child_on_q2": Param(0.2656420, "ln(1)", _STREAM, "theta 16: Q2 is higher in children, factor 1.304"),
        "ke0": Param(0.146, "1/min", _PD, "equilibration rate of the effect site at 70 kg, arterial samples"),
        "ce50": Param(3.08, "mg/L", _PD, "effect-site concentration at half-maximal BIS reduction, 35 y"),
        "age_on_ce50": Param(-0.00635, "1/y", _PD, "Ce50 falls with age, from 35 y"),
        "bis_baseline": Param(93.0, "1", _PD, "BIS without drug, also the maximal reduction"),
        "bis_gamma_below": Param(1.89, "1", _PD, "steepness where Ce is below Ce50"),
        "bis_gamma_above": Param(1.47, "1", _PD, "steepness where Ce is above Ce50"),
        "bis_delay": Param(
            15.0,
            "s",
            "Python Anesthesia Simulator pd_models.py (15 s plus an exponential of age)",
            "delay of the monitor",
        ),
        "age_on_bis_delay": Param(0.0517, "1/y", _PD, "the delay grows as exp(0.0517 age), s"),
    },
    parameters=parameters,
    etas=(
        Eta("v1", Param(0.610, "1", _OMEGA, "variance of ln V1"), kind="var"),
        Eta("v2", Param(0.565, "1", _OMEGA, "variance of ln V2"), kind="var"),
        Eta("v3", Param(0.597, "1", _OMEGA, "variance of ln V3"), kind="var"),
        Eta("cl", Param(0.265, "1", _OMEGA, "variance of ln CL"), kind="var"),
        Eta("q2", Param(0.346, "1", _OMEGA, "variance of ln Q2"), kind="var"),
        Eta("q3", Param(0.209, "1", _OMEGA, "variance of ln Q3"), kind="var"),
        Eta("ke0", Param(0.702, "1", _OMEGA, "variance of ln ke0"), kind="var"),
        Eta("bis_ce50_mg_per_l", Param(0.242, "1", _OMEGA, "variance of ln Ce50"), kind="var"),
    ),
    finish=finish,
    covariates=(
        uniform_adults("age_y", "y", (18.0, 88.0), 35.0, (18.0, 70.0), _RANGE),
        female_covariate(_RANGE),
        uniform_adults(
            "height_cm", "cm", (140.0, 200.0), 170.0, (150.0, 190.0), "reference patient 170 cm; limits unverified"
        ),
        uniform_adults("wt_kg", "kg", (40.0, 160.0), 70.0, (50.0, 100.0), _RANGE),
        Covariate(
            name="opioid",
            unit="0/1",
            low=0.0,
            high=1.0,
            typical=0.0,
            source=f"{_STREAM} (TECH); equal proportions in the virtual cohort are this project's choice",
            meaning="also receives an opioid",
            distribution=Categorical((0.0, 1.0), (0.5, 0.5)),
            column="OPIOID",
        ),
    ),
    outputs=(
        Output(
            "bis",
            "1",
            Residual("additive", additive=Param(8.03, "1", _PD, "residual SD of BIS")),
            bis,
            "bispectral index",
        ),
        Output("effect_site", "mg/L", None, lambda state, p: state["effect"], "propofol at the effect site"),
        Output(
            "concentration",
            "mg/L",
            Residual(
                "lognormal", proportional=Param(0.1913070, "1", _STREAM, "theta 7: residual SD of ln concentration")
            ),
            meaning="propofol in arterial blood",
        ),
    ),
    targets=(BIS_TARGET,),
    dosing=DosingOptions(
        routes=(Route("10-s infusion step", "central", 10.0 / 3600.0), Route("intravenous bolus", "central", 0.0)),
        amounts_mg=tuple(0.25 * step for step in range(141)),
        intervals_h=(10.0 / 3600.0,),
        usual_dose_mg=1.75,
        source=(
            "pump of 10 mg/mL at 0-1,260 mL/h set every 10 s; usual dose about 9 mg/kg/h at 70 kg; this "
            "project's choice"
        ),
    ),
    limits_of_use=(
        "the equations also cover children, but the ranges in this file are those of adults born at term",
        "arterial samples only; for venous ones V1 and Q2 differ and ke0 is 1.24 1/min",
        "BIS responds to propofol alone; opioids act through clearance and V3 only",
    ),
    ambiguities=(
        (
            "theta 5 gives 1.75 L/min, and an adult of 35 y has Q2 = 1.83 L/min because the maturation of Q3, which "
            "enters Q2, is then 96 %; opentiva 1.1.2 and a web calculator use 1.83 instead of theta 5 and so count "
            "maturation twice"
        ),
        (
            "Q2 and Q3 use the patient's own V2 and V3, random effects included, as in the control stream; "
            "Python Anesthesia Simulator and tci omit the random effects there"
        ),
        (
            "steepness is 1.89 below Ce50 and 1.47 above (Python Anesthesia Simulator and a web calculator that "
            "quotes Table 3); tci swaps the two"
        ),
        (
            "the paper also has a random effect on each patient's residual error (variances 0.463 for "
            "concentrations, 0.230 for BIS), which is left out here"
        ),
        (
            "the delay of BIS, 15 s + exp(0.0517 age) s, is returned as `bis_delay_s` for the monitor to apply: "
            "an output function cannot use earlier times"
        ),
    ),
    second_source=(
        "Python Anesthesia Simulator, CRAN tci, opentiva: thetas agree except for opentiva's Q2; stanpumpR's "
        "tested volumes and clearances are reproduced to 7 digits"
    ),
)
