"""S-warfarin and INR with age, CYP2C9 and VKORC1, two compartments and two transit chains (Hamberg 2007)."""

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.drugs.shared.spoken import AGE
from rl_drug_dosage.drugs.shared.warfarin import (
    INR_TARGET,
    TABLETS,
    by_diplotype,
    coagulation_chains,
    cyp2c9_covariate,
    vkorc1_covariate,
)
from rl_drug_dosage.pkpd import (
    Covariate,
    DrugModel,
    Eta,
    Fixed,
    Mammillary,
    Normal,
    Output,
    Param,
    Residual,
    Values,
    links,
)

__all__ = ["DRUG"]

_LIB = "as transcribed identically in nlmixr2lib Hamberg_2007_warfarin_s.R and anzabizadeh/ReiL hamberg_pkpd.py"
_TABLE_1 = "Hamberg 2007 Table 1, as transcribed in nlmixr2lib Hamberg_2007_warfarin_s.R"
_TABLE_2 = f"Hamberg 2007 Table 2, {_LIB}"
_TABLE_4 = f"Hamberg 2007 Table 4, {_LIB}"


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL = 0.314 (1 - reduction) (1 - 0.0091 (age - 71)) L/h; EC50 by VKORC1; half of a dose is S-warfarin."""
    kept = by_diplotype(
        covariates["cyp2c9"],
        (
            1.0,
            1.0 - theta["reduction_12"] / 100.0,
            1.0 - theta["reduction_13"] / 100.0,
            1.0 - theta["reduction_22"] / 100.0,
            1.0 - theta["reduction_23"] / 100.0,
            1.0 - theta["reduction_33"] / 100.0,
        ),
    )
    g_alleles = covariates["vkorc1_g_alleles"]
    return {
        "cl": theta["cl"] * kept * (1.0 + theta["age_on_cl"] / 100.0 * (covariates["age_y"] - 71.0)),
        "v1": theta["v1"],
        "q2": theta["q2"],
        "v2": theta["v2"],
        "ka": theta["ka"],
        "f_depot": theta["s_share"],
        "emax": theta["emax"],
        "gamma": theta["gamma"],
        "ec50": jnp.select(
            [g_alleles == 2.0, g_alleles == 1.0, g_alleles == 0.0],
            [theta["ec50_gg"], theta["ec50_ga"], theta["ec50_aa"]],
            jnp.nan,
        ),
        "mtt_fast": theta["mtt_fast"],
        "mtt_slow": theta["mtt_slow"],
        "inr_base": covariates["inr_base"],
        "inr_max": theta["inr_max"],
        "inr_power": theta["inr_power"],
    }


DRUG = DrugModel(
    name="warfarin-hamberg2007",
    drug="warfarin",
    title="S-warfarin and INR in Italian outpatients (Hamberg 2007)",
    citation=(
        "Hamberg AK, Dahl ML, Barban M, Scordo MG, Wadelius M, Pengo V, Padrini R, Jonsson EN. A PK-PD model "
        "for predicting the impact of age, CYP2C9, and VKORC1 genotype on individualization of warfarin "
        "therapy. Clin Pharmacol Ther 2007;81:529-538."
    ),
    doi="10.1038/sj.clpt.6100084",
    population=(
        "150 Italian adults on warfarin, median 71 y (22-87); kinetics from all, INR from 57 (single 10 mg "
        "dose and steady state)"
    ),
    structure=coagulation_chains(Mammillary(peripherals=1, depot=True), fast=6, slow=1),
    thetas={
        "cl": Param(0.314, "L/h", _TABLE_2, "apparent oral clearance of S-warfarin, CYP2C9 *1/*1, 71 y"),
        "v1": Param(13.8, "L", _TABLE_2, "apparent central volume"),
        "q2": Param(0.131, "L/h", _TABLE_2, "apparent intercompartmental clearance"),
        "v2": Param(6.59, "L", _TABLE_2, "apparent peripheral volume"),
        "ka": Param(2.0, "1/h", _TABLE_2, "absorption, fixed"),
        "age_on_cl": Param(
            -0.91, "%/y", _TABLE_2, "change of clearance per year from 71 y (size from Table 2, sign from the text)"
        ),
        "reduction_12": Param(31.5, "%", _TABLE_2, "reduction of clearance in *1/*2"),
        "reduction_13": Param(45.3, "%", _TABLE_2, "reduction of clearance in *1/*3"),
        "reduction_22": Param(72.2, "%", _TABLE_2, "reduction of clearance in *2/*2"),
        "reduction_23": Param(69.0, "%", _TABLE_2, "reduction of clearance in *2/*3"),
        "reduction_33": Param(85.2, "%", _TABLE_2, "reduction of clearance in *3/*3"),
        "s_share": Param(
            0.5,
            "1",
            "nlmixr2lib vignette Hamberg_2007_warfarin_pkpd_pgx.Rmd: doses of Table 5 are racemic, half is S-warfarin",
            "fraction of S-warfarin in a racemic tablet; volumes and clearances are apparent, so nothing else is lost",
        ),
        "emax": Param(1.0, "1", _TABLE_4, "maximal inhibition, fixed"),
        "gamma": Param(0.424, "1", _TABLE_4, "steepness of the inhibition"),
        "ec50_gg": Param(4.61, "mg/L", _TABLE_4, "S-warfarin at half-maximal inhibition, VKORC1 GG"),
        "ec50_ga": Param(3.02, "mg/L", _TABLE_4, "the same, VKORC1 GA"),
        "ec50_aa": Param(2.20, "mg/L", _TABLE_4, "the same, VKORC1 AA"),
        "mtt_fast": Param(11.6, "h", _TABLE_4, "mean transit time of the six-step chain"),
        "mtt_slow": Param(120.0, "h", _TABLE_4, "mean transit time of the one-step chain"),
        "inr_max": Param(20.0, "1", f"Hamberg 2007 Appendix, {_LIB}", "maximal increase of the INR, fixed"),
        "inr_power": Param(3.61, "1", _TABLE_4, "exponent lambda of the lost activity"),
    },
    parameters=parameters,
    etas=(
        Eta("cl", Param(31.0, "%", _TABLE_2, "between-subject CV of clearance"), kind="cv_exact"),
        Eta("v1", Param(26.2, "%", _TABLE_2, "between-subject CV of V1"), kind="cv_exact"),
        Eta("v2", Param(99.1, "%", _TABLE_2, "between-subject CV of V2"), kind="cv_exact"),
        Eta("mtt_fast", Param(14.1, "%", _TABLE_4, "between-subject CV of the fast transit time"), kind="cv_exact"),
        Eta("mtt_slow", Param(102.0, "%", _TABLE_4, "between-subject CV of the slow transit time"), kind="cv_exact"),
        Eta("ec50", Param(40.9, "%", _TABLE_4, "between-subject CV of EC50"), kind="cv_exact"),
    ),
    covariates=(
        Covariate(
            name="age_y",
            unit="y",
            low=22.0,
            high=87.0,
            typical=71.0,
            source=(
                f"{_TABLE_1}: median 71, range 22-87; spread of the virtual cohort from the Aurora cohort as in "
                "ReiL (67.3, sd 13.43)"
            ),
            meaning="age",
            distribution=Normal(67.30, 13.43),
            column="AGE",
            aliases=AGE,
        ),
        cyp2c9_covariate((0.587, 0.173, 0.167, 0.033, 0.027, 0.013), f"{_TABLE_1}, n = 150"),
        vkorc1_covariate((0.39, 0.41, 0.20), f"{_TABLE_1}, n = 56"),
        Covariate(
            name="inr_base",
            unit="1",
            low=0.8,
            high=1.5,
            typical=1.0,
            source=(
                "the patient's own value in the paper; 1.0 in nlmixr2lib and ReiL; the limits are this project's choice"
            ),
            meaning="INR before warfarin",
            distribution=Fixed(1.0),
            column="INRBASE",
            aliases=("inr_baseline",),
        ),
    ),
    outputs=(
        Output(
            "inr",
            "1",
            Residual("lognormal", proportional=Param(0.0325, "1", _TABLE_4, "residual SD of ln INR")),
            lambda state, p: links.inr(
                p["inr_base"], p["inr_max"], state["fast6"], state["slow1"], p["inr_power"], product=True
            ),
            "international normalised ratio",
        ),
        Output(
            "concentration",
            "mg/L",
            Residual(
                "lognormal", proportional=Param(0.301, "1", _TABLE_2, "residual SD of ln S-warfarin at steady state")
            ),
            meaning="S-warfarin in plasma",
        ),
    ),
    targets=(INR_TARGET,),
    dosing=TABLETS,
    limits_of_use=(
        "R-warfarin and vitamin K are not in the model",
        "INR responses are from 57 patients, VKORC1 from 56: typical doses for rare genotypes are extrapolations",
        "drug interactions (amiodarone, ...) are not in the model",
    ),
    ambiguities=(
        (
            "rate of the six-step chain: the appendix gives ktr1 = 1/MTT1 (followed by nlmixr2lib); Ravvaz and ReiL "
            "use 6/MTT1, which is followed here. With 1/MTT1 a single 10 mg dose changes the typical INR by 0.00, "
            "0.00 and 0.03 at the 12, 36 and 60 h of the study's samples, below its residual error, so MTT1 could "
            "not have been estimated to 4.65 %; in the authors' later model (Hamberg 2010) MTT is the transit time "
            "of the whole chain. The steady state is the same"
        ),
        (
            "residual error of S-warfarin is 0.0908 after a single dose and 0.301 at steady state; the latter is "
            "used throughout"
        ),
        "the paper has covariances of CL with V1 and among MTT1, MTT2 and EC50 but gives no values: set to 0",
        (
            "the text says that clearance falls with age but not from which age on; here it falls at every age, as "
            "in Figure 3 and Table 5"
        ),
        "ReiL adds a bioavailability of 0.9 from a textbook; not followed, since Table 5 is reproduced without it",
    ),
    second_source=(
        "anzabizadeh/ReiL and nlmixr2lib: same numbers, different ktr1 and bioavailability; Table 5 "
        "(54 doses for INR 2.5) is reproduced"
    ),
)
