"""Warfarin dose and INR with age and per-allele CYP2C9 and VKORC1 effects (Hamberg 2010)."""

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
    LogNormal,
    Mammillary,
    Output,
    Param,
    Residual,
    Values,
    links,
)

__all__ = ["DRUG"]

_REIL = "anzabizadeh/ReiL hamberg_pkpd_2010.py"
_KINETICS = (
    f"Hamberg 2010 Table 2, as transcribed identically in {_REIL} and nlmixr2lib Xia_2024_warfarin.R (kept fixed there)"
)
_VOLUME = f"{_KINETICS} and DavAug/mipd-warfarin hamberg_warfarin_inr_model_parameters.csv"
_EFFECT = (
    f"Hamberg 2010 Table 4, as transcribed identically in {_REIL} and DavAug/mipd-warfarin "
    "hamberg_warfarin_inr_model_parameters.csv"
)
_COHORT = "virtual trial of Augustin D et al. Front Pharmacol 2023;14:1270443 (DavAug/mipd-warfarin)"


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL = (two alleles) (1 - 0.00571 (age - 71)); EC50 = two alleles; half of a dose is S-warfarin."""
    s1, s2, s3 = theta["cl_allele_1"], theta["cl_allele_2"], theta["cl_allele_3"]
    alleles = by_diplotype(covariates["cyp2c9"], (s1 + s1, s1 + s2, s1 + s3, s2 + s2, s2 + s3, s3 + s3))
    g_alleles = covariates["vkorc1_g_alleles"]
    return {
        "cl": alleles * (1.0 + theta["age_on_cl"] * (covariates["age_y"] - 71.0)),
        "v1": theta["v"],
        "ka": theta["ka"],
        "f_depot": theta["s_share"],
        "emax": theta["emax"],
        "gamma": theta["gamma"],
        "ec50": g_alleles * theta["ec50_allele_g"] + (2.0 - g_alleles) * theta["ec50_allele_a"],
        "mtt_fast": theta["mtt_fast"],
        "mtt_slow": theta["mtt_slow"],
        "inr_base": covariates["inr_base"],
        "inr_max": theta["inr_max"],
    }


DRUG = DrugModel(
    name="warfarin-hamberg2010",
    drug="warfarin",
    title="Warfarin dose and INR in adults (Hamberg 2010)",
    citation=(
        "Hamberg AK, Wadelius M, Lindh JD, Dahl ML, Padrini R, Deloukas P, Rane A, Jonsson EN. A "
        "pharmacometric model describing the relationship between warfarin dose and INR response with respect "
        "to variations in CYP2C9, VKORC1, and age. Clin Pharmacol Ther 2010;87:727-734."
    ),
    doi="10.1038/clpt.2010.37",
    population=(
        "adults on warfarin, kinetics from the Italian patients of Hamberg 2007, INR from a larger cohort "
        "(size unverified)"
    ),
    structure=coagulation_chains(Mammillary(depot=True), fast=3, slow=3),
    thetas={
        "cl_allele_1": Param(0.174, "L/h", _KINETICS, "clearance of S-warfarin due to one CYP2C9*1 allele, 71 y"),
        "cl_allele_2": Param(0.0879, "L/h", _KINETICS, "the same, due to one *2 allele"),
        "cl_allele_3": Param(0.0422, "L/h", _KINETICS, "the same, due to one *3 allele"),
        "age_on_cl": Param(-0.00571, "1/y", _KINETICS, "change of clearance per year from 71 y"),
        "v": Param(14.3, "L", _VOLUME, "apparent volume"),
        "ka": Param(2.0, "1/h", _VOLUME, "absorption, fixed"),
        "s_share": Param(0.5, "1", f"{_REIL}: dose halved, bioavailability 1", "fraction of S-warfarin in a tablet"),
        "emax": Param(1.0, "1", _EFFECT, "maximal inhibition, fixed"),
        "gamma": Param(1.15, "1", _EFFECT, "steepness of the inhibition"),
        "ec50_allele_g": Param(2.05, "mg/L", _EFFECT, "contribution of one VKORC1 -1639G allele to EC50"),
        "ec50_allele_a": Param(0.96, "mg/L", _EFFECT, "contribution of one VKORC1 -1639A allele to EC50"),
        "mtt_fast": Param(28.6, "h", _EFFECT, "mean transit time of the fast chain of three steps"),
        "mtt_slow": Param(118.3, "h", _EFFECT, "mean transit time of the slow chain of three steps"),
        "inr_max": Param(20.0, "1", _EFFECT, "maximal increase of the INR, fixed"),
    },
    parameters=parameters,
    etas=(
        Eta("cl", Param(0.089, "1", _VOLUME, "variance of ln CL"), kind="var"),
        Eta("v1", Param(0.054, "1", _VOLUME, "variance of ln V"), kind="var"),
        Eta("ec50", Param(0.34, "1", f"Hamberg 2010 Table 4 (data set C), {_REIL}", "variance of ln EC50"), kind="var"),
    ),
    covariates=(
        Covariate(
            name="age_y",
            unit="y",
            low=18.0,
            high=90.0,
            typical=71.0,
            source=f"limits unverified; drawn log-normally around 50 y as in the {_COHORT}",
            meaning="age",
            distribution=LogNormal(50.0, 0.15),
            column="AGE",
            aliases=AGE,
        ),
        cyp2c9_covariate((0.62, 0.20, 0.12, 0.03, 0.02, 0.01), _COHORT),
        vkorc1_covariate((0.35, 0.45, 0.20), _COHORT),
        Covariate(
            name="inr_base",
            unit="1",
            low=0.8,
            high=1.5,
            typical=1.0,
            source="1 in ReiL and mipd-warfarin; the limits are this project's choice",
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
            Residual(
                "lognormal",
                proportional=Param(
                    0.20,
                    "1",
                    f"Hamberg 2010 Table 4 (data set C), {_REIL}",
                    "residual SD of ln INR; scale and error model not checked",
                    unverified=True,
                ),
            ),
            lambda state, p: links.inr(p["inr_base"], p["inr_max"], state["fast3"], state["slow3"]),
            "international normalised ratio",
        ),
        Output(
            "concentration",
            "mg/L",
            Residual(
                "lognormal",
                proportional=Param(
                    0.099,
                    "1",
                    f"Hamberg 2010 Table 2, {_REIL}",
                    "residual SD of ln S-warfarin; could be the variance",
                    unverified=True,
                ),
            ),
            meaning="S-warfarin in plasma",
        ),
    ),
    targets=(INR_TARGET,),
    dosing=TABLETS,
    limits_of_use=(
        "vitamin K intake and drug interactions (amiodarone, ...) are not in the model",
        "the INR cannot exceed 21: the effect saturates at 20 above baseline",
    ),
    ambiguities=(
        (
            "age: clearance falls by 0.571 % per year; ReiL subtracts a negative coefficient, so it rises, contrary "
            "to the text, to nlmixr2lib's Xia 2024 (1 - 0.00571 (age - 71)) and to Hamberg 2007"
        ),
        (
            "0.089 and 0.054 are variances (ReiL), not standard deviations (mipd-warfarin calls them 'Log std.'): "
            "as variances they give CVs of 30 and 23 % where Hamberg 2007 found 31 and 26 % in the same patients, "
            "as standard deviations 9 and 5 %"
        ),
        (
            "EC50: variance 0.34 from the data set behind the final estimates (ReiL); mipd-warfarin has 0.240, and "
            "0.190 for the INR's error, from another column of Table 4. A re-fit of this structure in 646 patients "
            "found a CV of 56 % (Xia 2024), which is closer to sqrt(0.34) = 58 % than to 24 or 49 %"
        ),
        (
            "residual errors are read as log-scale standard deviations, as in mipd-warfarin; in ReiL the 0.20 is an "
            "additive error of the INR"
        ),
        (
            "the paper's KPD variant replaces clearance and volume by KDE with a variance of 0.589; this file uses "
            "the variant with plasma kinetics, as does mipd-warfarin"
        ),
        (
            "bioavailability is 1 and half of the dose is S-warfarin (as in ReiL, which used 0.9 before): typical "
            "doses for INR 2.5 then agree with Table 5 of Hamberg 2007"
        ),
        (
            "mipd-warfarin's README gives the product of the chains and gamma 1; its model file and parameters use "
            "the mean and 1.15"
        ),
    ),
    second_source=(
        "ReiL, DavAug/mipd-warfarin and nlmixr2lib Xia_2024_warfarin.R: kinetics agree; gamma and transit times agree "
        "in the first two, Xia has another column of the same table"
    ),
)
