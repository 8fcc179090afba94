"""Tacrolimus in adults after kidney transplantation, plasma disposition and red-cell binding (Storset 2014)."""

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.drugs.shared.molar_mass import MOLAR_MASSES
from rl_drug_dosage.pkpd import (
    Categorical,
    Correlation,
    Covariate,
    DosingOptions,
    DrugModel,
    Eta,
    Fixed,
    Mammillary,
    Normal,
    Output,
    Param,
    Residual,
    Route,
    Target,
    Values,
)

__all__ = ["DRUG"]

_TABLE_2 = "Storset 2014 Table 2, as transcribed in nlmixr2lib Storset_2014_tacrolimus.R"
_TABLE_1 = "Storset 2014 Table 1, as transcribed in nlmixr2lib Storset_2014_tacrolimus.R"
_METHODS = "Storset 2014 Methods (fixed at literature values), as transcribed in nlmixr2lib Storset_2014_tacrolimus.R"
_RCPC = "Storset 2014, as transcribed in tnzo12/rcpc drug/Tacrolimus_Kidney/Storset.R"


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """Plasma clearances (FFM/60)^(3/4), volumes FFM/60; CYP3A5 on CL and F; prednisolone on F."""
    size = covariates["ffm_kg"] / 60.0
    expresser, dose = covariates["cyp3a5_expresser"], covariates["prednisolone_mg_per_day"]
    induced = 1.0 - theta["prednisolone_max"] * dose / (theta["prednisolone_50"] + dose)
    return {
        "cl": theta["cl"] * size**0.75 * theta["expresser_on_cl"] ** expresser,
        "v1": theta["v1"] * size,
        "q2": theta["q2"] * size**0.75,
        "v2": theta["v2"] * size,
        "ka": theta["ka"],
        "lag_depot": theta["lag"],
        "bioavailability": induced * theta["expresser_on_f"] ** expresser,
        "day_1_factor": theta["day_1_on_f"],
        "bmax_ug_per_l": theta["bmax"] * covariates["hct_percent"] / 100.0,
        "kd_ug_per_l": theta["kd"],
    }


def finish(p: Values, covariates: Values) -> dict[str, Array]:
    """Apply the first day's factor, with its own random effect, on the first day only."""
    first_day = jnp.where(covariates["first_day"] > 0.5, p["day_1_factor"], 1.0)
    return {**p, "f_depot": p["bioavailability"] * first_day}


def _whole_blood_ug_per_l(state: Values, p: Values) -> Array:
    plasma = 1000.0 * state["central"] / p["v1"]
    return plasma * (1.0 + p["bmax_ug_per_l"] / (plasma + p["kd_ug_per_l"]))


DRUG = DrugModel(
    name="tacrolimus-storset2014",
    drug="tacrolimus",
    title="Tacrolimus in adults after kidney transplantation, theory-based (Storset 2014)",
    citation=(
        "Storset E, Holford N, Hennig S, Bergmann TK, Bergan S, Bremer S, Asberg A, Midtvedt K, Staatz CE. Improved "
        "prediction of tacrolimus concentrations early after kidney transplantation using theory-based "
        "pharmacokinetic modelling. Br J Clin Pharmacol 2014;78(3):509-523."
    ),
    doi="10.1111/bcp.12361",
    population="242 adults after kidney transplantation, 3,100 levels, Brisbane and Oslo",
    molar_mass=MOLAR_MASSES["tacrolimus"],
    structure=Mammillary(peripherals=1, depot=True),
    thetas={
        "ka": Param(1.01, "1/h", _TABLE_2, "absorption rate constant"),
        "lag": Param(0.41, "h", _TABLE_2, "absorption lag"),
        "cl": Param(
            811.0, "L/h", _TABLE_2, "apparent plasma clearance at 60 kg of fat-free mass, CYP3A5 non-expresser"
        ),
        "v1": Param(6290.0, "L", _TABLE_2, "apparent central plasma volume at 60 kg of fat-free mass"),
        "q2": Param(1200.0, "L/h", _TABLE_2, "apparent intercompartmental plasma clearance at 60 kg of fat-free mass"),
        "v2": Param(32100.0, "L", _TABLE_2, "apparent peripheral plasma volume at 60 kg of fat-free mass"),
        "expresser_on_cl": Param(1.30, "1", _TABLE_2, "factor of CYP3A5 expressers on clearance"),
        "expresser_on_f": Param(0.82, "1", _TABLE_2, "factor of CYP3A5 expressers on bioavailability"),
        "prednisolone_max": Param(0.67, "1", _TABLE_2, "maximal loss of bioavailability due to prednisolone"),
        "prednisolone_50": Param(35.0, "mg/day", _TABLE_2, "prednisolone dose with half-maximal loss"),
        "day_1_on_f": Param(2.68, "1", _TABLE_2, "factor on bioavailability on the day of transplantation"),
        "bmax": Param(418.0, "ug/L", _METHODS, "binding capacity of red cells"),
        "kd": Param(3.8, "ug/L", _METHODS, "plasma concentration at half of the binding capacity"),
    },
    parameters=parameters,
    finish=finish,
    etas=(
        Eta("cl", Param(40.0, "%", _TABLE_2, "between-subject CV of clearance"), kind="cv_exact"),
        Eta("v1", Param(54.0, "%", _TABLE_2, "between-subject CV of central volume"), kind="cv_exact"),
        Eta("q2", Param(63.0, "%", _TABLE_2, "between-subject CV of intercompartmental clearance"), kind="cv_exact"),
        Eta(
            "day_1_factor", Param(57.0, "%", _TABLE_2, "between-subject CV of the first day's factor"), kind="cv_exact"
        ),
    ),
    correlations=(
        Correlation("cl", "v1", Param(0.43, "1", _TABLE_2, "correlation of clearance and central volume"), kind="corr"),
        Correlation("cl", "q2", Param(0.62, "1", _TABLE_2, "correlation of both clearances"), kind="corr"),
    ),
    occasion_etas=(
        Eta("bioavailability", Param(0.0515, "1", _RCPC, "inter-occasion variance of ln F"), kind="var"),
        Eta("ka", Param(0.8919, "1", _RCPC, "inter-occasion variance of ln ka"), kind="var"),
    ),
    covariates=(
        Covariate(
            name="ffm_kg",
            unit="kg",
            low=35.0,
            high=80.0,
            typical=59.0,
            source=(
                f"{_TABLE_1}: median 59, range 35-80; the range spans five standard deviations of the virtual cohort"
            ),
            meaning="fat-free mass (Janmahasatian)",
            distribution=Normal(59.0, 9.0),
            column="FFM",
        ),
        Covariate(
            name="hct_percent",
            unit="%",
            low=24.0,
            high=45.0,
            typical=34.0,
            source=(
                f"{_TABLE_1}: medians 33 and 36, range 24-45; the virtual cohort spans the range over five standard "
                "deviations"
            ),
            meaning="haematocrit",
            distribution=Normal(34.0, 4.2),
            column="HCT",
        ),
        Covariate(
            name="cyp3a5_expresser",
            unit="0/1",
            low=0.0,
            high=1.0,
            typical=0.0,
            source=f"{_TABLE_1}: 56 of 261",
            meaning="carries CYP3A5*1",
            distribution=Categorical((0.0, 1.0), (205 / 261, 56 / 261)),
            column="CYP3A5",
        ),
        Covariate(
            name="prednisolone_mg_per_day",
            unit="mg/day",
            low=0.0,
            high=80.0,
            typical=20.0,
            source=f"{_TABLE_1}: starts of 20-30 mg, up to 80 mg a day in Oslo; virtual cohort: Oslo's 20 mg a day",
            meaning="oral prednisolone",
            distribution=Fixed(20.0),
            column="PRED",
        ),
        Covariate(
            name="first_day",
            unit="0/1",
            low=0.0,
            high=1.0,
            typical=0.0,
            source="Storset 2014 Methods (nlmixr2lib); a virtual cohort starts after it",
            meaning="within 24 h of transplantation",
            distribution=Fixed(0.0),
            column="DAY1",
        ),
    ),
    outputs=(
        Output(
            name="concentration",
            unit="ug/L",
            residual=Residual("proportional", proportional=Param(14.9, "%", _TABLE_2, "proportional residual SD")),
            value=_whole_blood_ug_per_l,
            meaning="tacrolimus in whole blood, LC-MS/MS equivalents",
        ),
    ),
    targets=(
        Target("concentration", "trough", 7.0, 8.0, "ug/L", "Storset 2014, Brisbane (nlmixr2lib)"),
        Target("concentration", "trough", 3.0, 7.0, "ug/L", "Storset 2014, Oslo (nlmixr2lib)"),
    ),
    dosing=DosingOptions(
        routes=(Route("oral capsule", "depot"),),
        amounts_mg=tuple(0.5 * k for k in range(1, 41)),
        intervals_h=(12.0,),
        usual_dose_mg=3.0,
        source="Storset 2014: Oslo starts 0.04 mg/kg twice a day, for 80 kg; 0.5 mg capsules",
    ),
    limits_of_use=(
        "adults after kidney transplantation",
        "the plasma AUC is not the whole-blood AUC: binding saturates",
    ),
    ambiguities=(
        (
            "inter-occasion variances are given in one transcription only (rcpc: 0.0515 and 0.8919, exact CVs of 23 % "
            "and 120 %); nlmixr2lib omits them"
        ),
        "the correlation of V1 and Q is not given: 0",
        "CYP3A5 counts (3, 53, 205) add up to 261, the text says 242 patients: proportions of the counts are used",
        (
            "rcpc also applies the first day's random effect on other days; here, as in nlmixr2lib, only on the first "
            "day"
        ),
    ),
    second_source=(
        "tnzo12/rcpc drug/Tacrolimus_Kidney/Storset.R and the tdmore model: the same plasma thetas and effects; "
        "abstract: 16.1 L/h in whole blood at a haematocrit of 45 %, agrees"
    ),
)
