"""Tobramycin with and without cystic fibrosis, newborns to the elderly, two compartments (Hennig 2013)."""

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.drugs.shared.body_size import fat_free_mass_kg
from rl_drug_dosage.drugs.shared.molar_mass import MOLAR_MASSES
from rl_drug_dosage.drugs.shared.spoken import AGE, HEIGHT, SEX_WORDS, WEIGHT
from rl_drug_dosage.pkpd import (
    Categorical,
    Correlation,
    Covariate,
    DosingOptions,
    DrugModel,
    Eta,
    LogNormal,
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

_TABLE_2 = "Hennig 2013 Table 2, as transcribed in nlmixr2lib Hennig_2013_tobra.R"
_TABLE_1 = "Hennig 2013 Table 1, as transcribed in nlmixr2lib Hennig_2013_tobra.R"
_NORM = (
    "norm cited by Hennig 2013 (Johansson 2011, Ceriotti 2008, Junge 2004), as read in PKPDsim pk_vanco_kloprogge.json5"
)


def _normal_creatinine_umol_per_l(theta: Values, age_y: Array, female: Array) -> Array:
    """Mean serum creatinine of healthy people of this age and sex."""
    child = theta["norm_0"] + theta["norm_log"] * jnp.log(age_y) + theta["norm_sqrt"] * jnp.sqrt(age_y)
    adult = jnp.where(female, theta["norm_female"], theta["norm_male"])
    at_15 = theta["norm_0"] + theta["norm_log"] * jnp.log(15.0) + theta["norm_sqrt"] * jnp.sqrt(15.0)
    teenager = at_15 + (adult - at_15) * (age_y - 15.0) / 3.0
    return jnp.where(age_y <= 15.0, child, jnp.where(age_y <= 18.0, teenager, adult))


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL = CL_sex (FFM/70)^0.952 F_age (norm/SCR)^0.222; V1, V2 with FFM/70, Q with (FFM/70)^0.952."""
    female, age = covariates["female"] > 0.5, covariates["age_y"]
    size = fat_free_mass_kg(covariates["wt_kg"], covariates["height_cm"], covariates["female"]) / 70.0
    on_flow = size ** theta["ffm_on_cl"]
    of_age = 1.0 + jnp.where(age < 18.0, theta["age_on_cl_child"], theta["age_on_cl_adult"]) * (age - 18.0)
    norm = _normal_creatinine_umol_per_l(theta, age, female)
    renal = (norm / covariates["scr_umol_per_l"]) ** theta["scr_on_cl"]
    return {
        "cl": jnp.where(female, theta["cl_female"], theta["cl_male"]) * on_flow * of_age * renal,
        "v1": jnp.where(female, theta["v1_female"], theta["v1_male"]) * size,
        "q2": theta["q2"] * on_flow,
        "v2": theta["v2"] * size,
    }


DRUG = DrugModel(
    name="tobramycin-hennig2013",
    drug="tobramycin",
    title="Tobramycin with and without cystic fibrosis (Hennig 2013)",
    citation=(
        "Hennig S, Standing JF, Staatz CE, Thomson AH. Population pharmacokinetics of tobramycin in patients with "
        "and without cystic fibrosis. Clin Pharmacokinet 2013;52(4):289-301."
    ),
    doi="10.1007/s40262-013-0036-y",
    population="732 patients aged 0.01-85 years (465 with cystic fibrosis), 5,605 levels, eight centres",
    molar_mass=MOLAR_MASSES["tobramycin"],
    structure=Mammillary(peripherals=1),
    thetas={
        "cl_female": Param(8.1, "L/h", _TABLE_2, "clearance of a woman of 18 years with 70 kg of fat-free mass"),
        "cl_male": Param(9.4, "L/h", _TABLE_2, "clearance of a man of 18 years with 70 kg of fat-free mass"),
        "v1_female": Param(20.1, "L", _TABLE_2, "central volume of a woman with 70 kg of fat-free mass"),
        "v1_male": Param(25.1, "L", _TABLE_2, "central volume of a man with 70 kg of fat-free mass"),
        "q2": Param(1.5, "L/h", _TABLE_2, "intercompartmental clearance at 70 kg of fat-free mass"),
        "v2": Param(10.0, "L", _TABLE_2, "peripheral volume at 70 kg of fat-free mass"),
        "ffm_on_cl": Param(0.952, "1", _TABLE_2, "exponent of FFM / 70 kg on both clearances"),
        "age_on_cl_child": Param(-0.021, "1/y", _TABLE_2, "slope of clearance with age below 18 years"),
        "age_on_cl_adult": Param(-0.010, "1/y", _TABLE_2, "slope of clearance with age above 18 years"),
        "scr_on_cl": Param(0.222, "1", _TABLE_2, "exponent of normal over measured serum creatinine on clearance"),
        "norm_0": Param(-2.37330, "umol/L", _NORM, "constant of normal creatinine up to 15 years"),
        "norm_log": Param(-12.91367, "umol/L", _NORM, "coefficient of ln(age in years)"),
        "norm_sqrt": Param(23.93581, "umol/L", _NORM, "coefficient of the square root of age in years"),
        "norm_male": Param(84.0, "umol/L", _NORM, "normal creatinine of men, reached linearly from 15 to 18 years"),
        "norm_female": Param(69.5, "umol/L", _NORM, "normal creatinine of women, reached linearly from 15 to 18 years"),
    },
    parameters=parameters,
    etas=(
        Eta("cl", Param(25.9, "%", _TABLE_2, "between-subject CV of clearance"), kind="cv_exact"),
        Eta("v1", Param(15.2, "%", _TABLE_2, "between-subject CV of central volume"), kind="cv_exact"),
        Eta("q2", Param(41.8, "%", _TABLE_2, "between-subject CV of intercompartmental clearance"), kind="cv_exact"),
        Eta("v2", Param(58.5, "%", _TABLE_2, "between-subject CV of peripheral volume"), kind="cv_exact"),
    ),
    correlations=(
        Correlation("cl", "v1", Param(65.8, "%", _TABLE_2, "correlation of clearance and central volume"), kind="corr"),
        Correlation("cl", "q2", Param(71.1, "%", _TABLE_2, "correlation of both clearances"), kind="corr"),
        Correlation("v1", "q2", Param(47.5, "%", _TABLE_2, "correlation of central volume and Q"), kind="corr"),
    ),
    covariates=(
        Covariate(
            name="female",
            unit="0/1",
            low=0.0,
            high=1.0,
            typical=0.0,
            source=f"{_TABLE_1}: 99 of 208 adults",
            meaning="1 woman, 0 man",
            distribution=Categorical((0.0, 1.0), (1.0 - 99 / 208, 99 / 208)),
            column="FEMALE",
            words=SEX_WORDS,
        ),
        Covariate(
            name="age_y",
            unit="y",
            low=0.01,
            high=85.0,
            typical=31.7,
            source=f"{_TABLE_1}: 0.01-85, adult median 31.7; the virtual cohort is adult: log-scale spread ln(85/18)/5",
            meaning="age",
            distribution=LogNormal(31.7, 0.31),
            column="AGE",
            aliases=AGE,
        ),
        Covariate(
            name="wt_kg",
            unit="kg",
            low=3.3,
            high=120.0,
            typical=58.0,
            source=f"{_TABLE_1}: 3.3-120, adult median 58.0; the spread of the virtual cohort is this project's choice",
            meaning="body weight",
            distribution=LogNormal(58.0, 0.2),
            column="WT",
            aliases=WEIGHT,
        ),
        Covariate(
            name="height_cm",
            unit="cm",
            low=45.0,
            high=200.0,
            typical=167.0,
            source="typical value: Tucuxi's default; range and cohort unverified: this project's choice",
            meaning="height",
            distribution=Normal(167.0, 8.0),
            column="HT",
            aliases=HEIGHT,
        ),
        Covariate(
            name="scr_umol_per_l",
            unit="umol/L",
            low=30.0,
            high=300.0,
            typical=68.3,
            source=(
                f"{_TABLE_1}: median of adults 68.3 (children 44.7); range and spread unverified: this project's choice"
            ),
            meaning="serum creatinine",
            distribution=LogNormal(68.3, 0.3),
            column="SCR",
        ),
    ),
    outputs=(
        Output(
            name="concentration",
            unit="mg/L",
            residual=Residual(
                "proportional", proportional=Param(20.4, "%", _TABLE_2, "proportional residual standard deviation")
            ),
            meaning="tobramycin in serum or plasma",
        ),
    ),
    targets=(
        Target(
            "concentration",
            "auc24",
            70.0,
            110.0,
            "mg h/L",
            "sotalya/tucuxi-drugs ch.tucuxi.tobramycin.hennig2013.tdd (suggested by P. Drennan; best value 100)",
        ),
    ),
    dosing=DosingOptions(
        routes=(Route("30-min intravenous infusion", "central", 0.5),),
        amounts_mg=tuple(float(amount) for amount in range(40, 1001, 40)),
        intervals_h=(24.0, 12.0, 8.0),
        usual_dose_mg=400.0,
        source="sotalya/tucuxi-drugs ch.tucuxi.tobramycin.hennig2013.tdd; shorter intervals: Hennig 2013 Table 1",
    ),
    limits_of_use=(
        "no dialysis",
        "body composition of small children comes from a formula for adults, as in the paper",
    ),
    ambiguities=(
        (
            "the normal creatinine (SCR_mean) is given by citation only; here the function of the cited papers is "
            "used. Tucuxi uses the constant 37.2 umol/L, its value at 7.5 years, which lowers the clearance of "
            "adults by 13-17 %; nlmixr2lib leaves it to the user"
        ),
        (
            "creatinine below 60 umol/L was raised to 60 during covariate model building; no transcription does "
            "this, nor does this file"
        ),
        "CVs are read as exact (nlmixr2lib); Tucuxi reads them as standard deviations (V2: 0.342, not 0.294)",
        "the 8.4 % error between duplicate samples of one centre is omitted, as in both transcriptions",
    ),
    second_source=(
        "sotalya/tucuxi-drugs ch.tucuxi.tobramycin.hennig2013 (revised 2020 and 2021): the same thetas, "
        "correlations, error"
    ),
)
