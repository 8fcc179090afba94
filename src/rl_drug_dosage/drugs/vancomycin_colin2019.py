"""Vancomycin from preterm neonates to the elderly, two compartments (Colin 2019, pooled analysis)."""

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.drugs.shared.molar_mass import MOLAR_MASSES
from rl_drug_dosage.drugs.shared.spoken import AGE, WEIGHT
from rl_drug_dosage.pkpd import (
    Categorical,
    Covariate,
    DosingOptions,
    DrugModel,
    Eta,
    Fixed,
    LogNormal,
    Mammillary,
    Output,
    Param,
    Residual,
    Route,
    Target,
    Uniform,
    Values,
)

__all__ = ["DRUG"]

_ABSTRACT = "Colin 2019, abstract"
_PS = "Colin 2019, as transcribed in InsightRX/PKPDsim pk_vanco_colin.json5"
_BOTH = f"{_PS} and in a public mrgsolve script of the paper"
_MRG = "Colin 2019, as transcribed in a public mrgsolve script (variances of the NONMEM code)"
_CHOICE = "range and cohort unverified: this project's choice, the paper pools 14 studies from preterm neonates on"
_DAYS_PER_YEAR = 365.25


def usual_creatinine_mg_per_dl(pma_y: Array) -> Array:
    """Creatinine of a healthy person: exp(-1.22839 + 0.67190 log10 PMA + 6.27017 exp(-3.10940 PMA)), PMA in years."""
    return jnp.exp(-1.22839 + 0.67190 * jnp.log10(pma_y) + 6.27017 * jnp.exp(-3.10940 * pma_y))


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL = 5.31 M D exp(-0.649 (SCR - usual)) 1.293^cancer; V1 = 42.9 S; V2 = 41.7 S; Q = 3.22; S = WT/70.

    M = PMA^2.89 / (PMA^2.89 + 0.893^2.89), D = 1 / (1 + (PMA/61.6)^2.24), PMA in years. `finish` adds the size of
    the individual volumes: CL (V1/42.9)^0.75, Q (V2/41.7)^0.75.
    """
    pma_y = covariates["age_y"] + covariates["ga_weeks"] * 7.0 / _DAYS_PER_YEAR
    mature = 1.0 / (1.0 + (pma_y / theta["maturation_50"]) ** -theta["maturation_steepness"])
    declined = 1.0 / (1.0 + (pma_y / theta["decline_50"]) ** theta["decline_steepness"])
    excess = covariates["scr_mg_per_dl"] - usual_creatinine_mg_per_dl(pma_y)
    size = covariates["wt_kg"] / 70.0
    return {
        "cl": theta["cl"]
        * mature
        * declined
        * jnp.exp(-theta["scr_on_cl"] * excess)
        * (1.0 + theta["cancer_on_cl"] * covariates["cancer"]),
        "v1": theta["v1"] * size,
        "q2": theta["q2"],
        "v2": theta["v2"] * size,
        "v1_70": theta["v1"],
        "v2_70": theta["v2"],
    }


def finish(p: Values, covariates: Values) -> dict[str, Array]:
    """Scale the clearances with the individual volumes, random effects included."""
    return {**p, "cl": p["cl"] * (p["v1"] / p["v1_70"]) ** 0.75, "q2": p["q2"] * (p["v2"] / p["v2_70"]) ** 0.75}


DRUG = DrugModel(
    name="vancomycin-colin2019",
    drug="vancomycin",
    title="Vancomycin throughout life (Colin 2019)",
    citation=(
        "Colin PJ, Allegaert K, Thomson AH, Touw DJ, Dolton M, de Hoog M, Roberts JA, Adane ED, Yamamoto M, "
        "Santos-Buelga D, Martin-Suarez A, Simon N, Taccone FS, Lo YL, Barcia E, Struys MMRF, Eleveld DJ. Vancomycin "
        "pharmacokinetics throughout life: results from a pooled population analysis and evaluation of current dosing "
        "recommendations. Clin Pharmacokinet 2019;58(6):767-780."
    ),
    doi="10.1007/s40262-018-0727-5",
    population="14 studies pooled, from preterm neonates to the elderly, with and without a malignancy",
    molar_mass=MOLAR_MASSES["vancomycin"],
    structure=Mammillary(peripherals=1),
    thetas={
        "cl": Param(5.31, "L/h", _ABSTRACT, "maximal clearance of 70 kg at the usual creatinine"),
        "v1": Param(42.9, "L", _ABSTRACT, "central volume of 70 kg"),
        "v2": Param(41.7, "L", _ABSTRACT, "peripheral volume of 70 kg"),
        "q2": Param(3.22, "L/h", _ABSTRACT, "intercompartmental clearance of 70 kg"),
        "maturation_50": Param(0.893, "y", f"{_ABSTRACT} (46.4 weeks); {_BOTH}", "PMA at half of the clearance"),
        "maturation_steepness": Param(2.89, "1", _BOTH, "steepness of the maturation with postmenstrual age"),
        "decline_50": Param(61.6, "y", _ABSTRACT, "PMA at which clearance has declined to half"),
        "decline_steepness": Param(2.24, "1", _BOTH, "steepness of the decline with age"),
        "scr_on_cl": Param(0.649, "dL/mg", _BOTH, "fall of log clearance per mg/dL of creatinine above the usual one"),
        "cancer_on_cl": Param(0.293, "1", _MRG, "change of clearance with a haematological malignancy"),
    },
    parameters=parameters,
    finish=finish,
    etas=(
        Eta("cl", Param(0.0749, "1", _MRG, "variance of log clearance"), kind="var"),
        Eta("v1", Param(0.0721, "1", _MRG, "variance of log central volume"), kind="var"),
        Eta("v2", Param(0.672, "1", _MRG, "variance of log peripheral volume"), kind="var"),
    ),
    covariates=(
        Covariate(
            name="age_y",
            unit="y",
            low=0.0,
            high=100.0,
            typical=35.0,
            source=f"typical value: {_ABSTRACT}; {_CHOICE}",
            meaning="age since birth",
            distribution=Uniform(18.0, 90.0),
            column="AGE",
            aliases=AGE,
        ),
        Covariate(
            name="ga_weeks",
            unit="weeks",
            low=22.0,
            high=43.0,
            typical=40.0,
            source=f"40 weeks for adults, as in both transcriptions; {_CHOICE}",
            meaning="gestational age at birth; 40 weeks where it is not known",
            distribution=Fixed(40.0),
            column="GA",
        ),
        Covariate(
            name="wt_kg",
            unit="kg",
            low=0.4,
            high=200.0,
            typical=70.0,
            source=f"typical value: {_ABSTRACT}; {_CHOICE}",
            meaning="body weight",
            distribution=LogNormal(75.0, 0.22),
            column="WT",
            aliases=WEIGHT,
        ),
        Covariate(
            name="scr_mg_per_dl",
            unit="mg/dL",
            low=0.1,
            high=5.0,
            typical=0.83,
            source=f"typical value: {_ABSTRACT}; {_CHOICE}",
            meaning="serum creatinine",
            distribution=LogNormal(0.9, 0.35),
            column="SCR",
        ),
        Covariate(
            name="cancer",
            unit="0/1",
            low=0.0,
            high=1.0,
            typical=0.0,
            source=f"{_MRG}; share in the cohort unverified: this project's choice",
            meaning="haematological malignancy",
            distribution=Categorical((0.0, 1.0), (0.9, 0.1)),
            column="CANCER",
        ),
    ),
    outputs=(
        Output(
            name="concentration",
            unit="mg/L",
            residual=Residual(
                "combined2",
                additive=Param(1.109, "mg/L", f"{_MRG}: square root of the variance 1.230", "additive residual SD"),
                proportional=Param(21.4, "%", f"{_BOTH}: square root of the variance 0.046", "proportional SD"),
            ),
            meaning="vancomycin in serum",
        ),
    ),
    targets=(
        Target(
            "concentration",
            "auc24",
            400.0,
            600.0,
            "mg h/L",
            "Rybak MJ et al. Am J Health Syst Pharm 2020;77(11):835-864 (consensus guideline), at MIC 1 mg/L",
        ),
    ),
    dosing=DosingOptions(
        routes=(Route("1-h intravenous infusion", "central", 1.0), Route("2-h intravenous infusion", "central", 2.0)),
        amounts_mg=(*(float(x) for x in range(10, 250, 10)), *(float(x) for x in range(250, 3001, 125))),
        intervals_h=(12.0, 6.0, 8.0, 24.0, 48.0),
        usual_dose_mg=1000.0,
        source="steps for neonates below 250 mg, vial sizes above; this project's choice",
    ),
    limits_of_use=(
        "no dialysis",
        "the neonates of one study, whose levels came from heel pricks, had other volumes: that effect is left out",
        "creatinine acts through its difference from the usual one of the age: implausible far above 3 mg/dL",
    ),
    ambiguities=(
        (
            "clearance is 5.31 L/h before the decline with age, 4.10 L/h at 35 years: the abstract prints both. "
            "PKPDsim divides maturation and decline by their values at 35 years, so that its typical adult has "
            "5.31 L/h, 30 % more: the abstract is followed"
        ),
        ("V1 is 42.9 L in the abstract; both transcriptions have 42.52 L, exp(3.75): the rounded log in the table"),
        (
            "the additive error 1.23 is a variance (SD 1.109 mg/L) in the mrgsolve script, an SD in PKPDsim; the "
            "proportional 0.046 is a variance in both, so that the first reading is followed"
        ),
        (
            "variances 0.0749, 0.0721, 0.672 (mrgsolve script, with CVs of 27.4, 26.9 and 82.0 %, their square "
            "roots); PKPDsim has 0.0746, 0.0716, 0.684"
        ),
        "the decline in the mrgsolve script has one sign wrong, so that it cannot be run: its numbers agree",
    ),
    second_source=(
        "abstract, PKPDsim and a public mrgsolve script: V2, Q, half ages, steepness, creatinine effect and usual "
        "creatinine agree; clearance, V1, variances and additive error differ as said under ambiguities"
    ),
)
