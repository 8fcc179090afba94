"""Busulfan before transplantation, infants to adults, two compartments on normal fat mass (McCune 2014)."""

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.drugs.shared.body_size import fat_free_mass_kg, growth_height_cm, growth_weight_kg
from rl_drug_dosage.drugs.shared.molar_mass import MOLAR_MASSES
from rl_drug_dosage.drugs.shared.spoken import AGE, HEIGHT, SEX_WORDS, WEIGHT
from rl_drug_dosage.pkpd import (
    Categorical,
    Correlation,
    Covariate,
    DosingOptions,
    DrugModel,
    Eta,
    Fixed,
    LogNormal,
    Mammillary,
    Normal,
    Output,
    Param,
    Residual,
    Route,
    Target,
    Uniform,
    Values,
)

__all__ = ["DRUG"]

_SOURCE = "McCune 2014 and its supplement, as transcribed in InsightRX/PKPDsim pk_busulfan_mccune.json5"
_ABSTRACT = "McCune 2014, abstract: 12.4 L/h for a man with 62 kg of normal fat mass, 70 kg of body weight"


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """With normal fat mass NFM = FFM + f (WT - FFM): clearances (NFM/62)^0.75, volumes NFM/59.

    CL also matures with postmenstrual age PMA, 1 / (1 + (PMA/45.7)^-2.3), and decreases during treatment.
    """
    wt, female = covariates["wt_kg"], covariates["female"]
    ffm = fat_free_mass_kg(wt, covariates["height_cm"], female)
    on_flow = ((ffm + theta["fat_on_cl"] * (wt - ffm)) / theta["nfm_of_cl"]) ** 0.75
    mass = (ffm + theta["fat_on_v"] * (wt - ffm)) / theta["nfm_of_v"]
    volume = mass * jnp.where(female > 0.5, theta["female_on_v"], 1.0)
    pma_weeks = covariates["age_y"] * 52.1775 + 40.0
    maturation = 1.0 / (1.0 + (pma_weeks / theta["tm50"]) ** -theta["hill"])
    hours = covariates["time_h"]
    later = jnp.where(hours > 36.0, theta["cl_after_36_h"], jnp.where(hours > 6.0, theta["cl_after_6_h"], 1.0))
    return {
        "cl": theta["cl"] * on_flow * maturation * later,
        "v1": theta["v1"] * volume,
        "q2": theta["q2"] * on_flow,
        "v2": theta["v2"] * volume,
    }


DRUG = DrugModel(
    name="busulfan-mccune2014",
    drug="busulfan",
    title="Busulfan before haematopoietic cell transplantation, infants to adults (McCune 2014)",
    citation=(
        "McCune JS, Bemer MJ, Barrett JS, Scott Baker K, Gamis AS, Holford NHG. Busulfan in infant to adult "
        "hematopoietic cell transplant recipients: a population pharmacokinetic model for initial and Bayesian dose "
        "personalization. Clin Cancer Res 2014;20(3):754-763."
    ),
    doi="10.1158/1078-0432.CCR-13-1960",
    population="1,610 transplant recipients aged 0.1-66 years, 12,380 levels",
    molar_mass=MOLAR_MASSES["busulfan"],
    structure=Mammillary(peripherals=1),
    thetas={
        "cl": Param(12.4, "L/h", _ABSTRACT, "clearance at 62 kg of normal fat mass in the first 6 h"),
        "v1": Param(13.9, "L", _SOURCE, "central volume at 59 kg of normal fat mass"),
        "q2": Param(135.2, "L/h", _SOURCE, "intercompartmental clearance at 62 kg of normal fat mass"),
        "v2": Param(29.9, "L", _SOURCE, "peripheral volume at 59 kg of normal fat mass"),
        "nfm_of_cl": Param(62.0, "kg", _ABSTRACT, "normal fat mass that the clearances refer to"),
        "nfm_of_v": Param(
            59.0,
            "kg",
            "computed: that of the abstract's man, 70 kg and 176 cm, with 0.203 of his fat (58.9 kg)",
            "normal fat mass that the volumes refer to",
            unverified=True,
        ),
        "fat_on_cl": Param(0.509, "1", _SOURCE, "fraction of fat mass that counts for clearances"),
        "fat_on_v": Param(0.203, "1", _SOURCE, "fraction of fat mass that counts for volumes"),
        "female_on_v": Param(1.07, "1", _SOURCE, "factor on both volumes in women"),
        "tm50": Param(45.7, "weeks", _SOURCE, "postmenstrual age at half of the adult clearance"),
        "hill": Param(2.3, "1", _SOURCE, "steepness of maturation"),
        "cl_after_6_h": Param(0.932, "1", _SOURCE, "factor on clearance from 6 h after the start of treatment"),
        "cl_after_36_h": Param(0.919, "1", _SOURCE, "factor on clearance from 36 h after the start of treatment"),
    },
    parameters=parameters,
    etas=(
        Eta("cl", Param(0.0459, "1", _SOURCE, "between-subject variance of ln CL"), kind="var"),
        Eta("v1", Param(0.152, "1", _SOURCE, "between-subject variance of ln V1"), kind="var"),
        Eta("q2", Param(0.814, "1", _SOURCE, "between-subject variance of ln Q"), kind="var"),
        Eta("v2", Param(0.00932, "1", _SOURCE, "between-subject variance of ln V2"), kind="var"),
    ),
    correlations=(
        Correlation("cl", "v1", Param(0.0172, "1", _SOURCE, "covariance of ln CL and ln V1"), kind="cov"),
        Correlation("cl", "q2", Param(0.0681, "1", _SOURCE, "covariance of ln CL and ln Q"), kind="cov"),
        Correlation("v1", "q2", Param(0.097, "1", _SOURCE, "covariance of ln V1 and ln Q"), kind="cov"),
        Correlation("cl", "v2", Param(0.0115, "1", _SOURCE, "covariance of ln CL and ln V2"), kind="cov"),
        Correlation("v1", "v2", Param(-0.00924, "1", _SOURCE, "covariance of ln V1 and ln V2"), kind="cov"),
        Correlation("q2", "v2", Param(0.069, "1", _SOURCE, "covariance of ln Q and ln V2"), kind="cov"),
    ),
    occasion_etas=(
        Eta("cl", Param(11.3, "%", _SOURCE, "inter-occasion CV of clearance, occasions of 24 h"), kind="cv_approx"),
        Eta(
            "v1", Param(22.4, "%", _SOURCE, "inter-occasion CV of central volume, occasions of 24 h"), kind="cv_approx"
        ),
    ),
    covariates=(
        Covariate(
            name="female",
            unit="0/1",
            low=0.0,
            high=1.0,
            typical=0.0,
            source="proportion of women unverified: half, this project's choice",
            meaning="1 woman, 0 man",
            distribution=Categorical((0.0, 1.0), (0.5, 0.5)),
            column="FEMALE",
            words=SEX_WORDS,
        ),
        Covariate(
            name="age_y",
            unit="y",
            low=0.1,
            high=66.0,
            typical=40.0,
            source="McCune 2014, abstract: 0.1-66; typical value and virtual cohort are this project's choice",
            meaning="age, for birth at term",
            distribution=Uniform(),
            column="AGE",
            aliases=AGE,
        ),
        Covariate(
            name="wt_kg",
            unit="kg",
            low=3.0,
            high=160.0,
            typical=70.0,
            source=(
                "McCune 2014, abstract: man of 70 kg; range unverified, and virtual cohort around the CDC's medians: "
                "this project's choice"
            ),
            meaning="total body weight",
            distribution=LogNormal(lambda c: growth_weight_kg(c["age_y"], c["female"]), 0.15),
            column="WT",
            aliases=WEIGHT,
        ),
        Covariate(
            name="height_cm",
            unit="cm",
            low=45.0,
            high=205.0,
            typical=176.0,
            source=(
                "range unverified; typical value, and virtual cohort around the CDC's medians: this project's choice"
            ),
            meaning="height",
            distribution=Normal(
                lambda c: growth_height_cm(c["age_y"], c["female"]),
                lambda c: 0.04 * growth_height_cm(c["age_y"], c["female"]),
            ),
            column="HT",
            aliases=HEIGHT,
        ),
        Covariate(
            name="time_h",
            unit="h",
            low=0.0,
            high=192.0,
            typical=0.0,
            source=(
                "PKPDsim pk_busulfan_mccune.json5: clearance changes at 6 h and 36 h; upper end: end of the course "
                "in mipdtrial"
            ),
            meaning="hours since the first treatment dose (not since a test dose): records at 6 h, 36 h and the end",
            distribution=Fixed(0.0),
            column="HOURS",
        ),
    ),
    outputs=(
        Output(
            name="concentration",
            unit="mg/L",
            residual=Residual(
                "combined2",
                additive=Param(0.027, "mg/L", f"{_SOURCE} (27 ng/mL)", "additive residual standard deviation"),
                proportional=Param(0.0387, "1", _SOURCE, "proportional residual standard deviation"),
            ),
            meaning="busulfan in plasma",
        ),
    ),
    targets=(
        Target(
            "concentration",
            "auc_total",
            72.0,
            108.0,
            "mg h/L",
            (
                "90 +- 20 % over four days: InsightRX/mipdtrial vignettes/busulfan_mipd.Rmd (78-101 in Lawson R et "
                "al. 2020)"
            ),
        ),
    ),
    dosing=DosingOptions(
        routes=(Route("3-h intravenous infusion", "central", 3.0), Route("2-h intravenous infusion", "central", 2.0)),
        amounts_mg=tuple(float(amount) for amount in range(2, 481, 2)),
        intervals_h=(24.0, 6.0, 12.0),
        usual_dose_mg=224.0,
        source=(
            "3.2 mg/kg over 3 h every 24 h, four times (mipdtrial vignette), for 70 kg; the grid is this project's "
            "choice"
        ),
    ),
    limits_of_use=(
        "four days of conditioning before transplantation",
        "weight, height and age must be consistent: fat-free mass comes from a formula for adults",
    ),
    ambiguities=(
        (
            "clearance: the abstract gives 12.4 L/h at 62 kg of normal fat mass, PKPDsim 11.4 L/h at 70 kg, with the "
            "decrease during treatment on top. 12.4 x 0.919 is 11.4, so PKPDsim seems to hold the value from 36 h on "
            "and to apply the decrease twice. The abstract is followed: 56 mg give a man of 70 kg 1,180 uM min at "
            "steady state, the product information of 0.8 mg/kg 1,167 (CV 20 %); with PKPDsim's it would be 1,405"
        ),
        (
            "volumes: PKPDsim divides by 70 kg, which gives 0.53 L/kg in that man; here by 59 kg, his own normal fat "
            "mass for volumes, as clearance refers to his own 62 kg: 0.62 L/kg. The paper's table was not read"
        ),
        (
            "the published dose table of Bartelink 2012 for 90 mg h/L gives 74-88 mg h/L here in 16-65 kg, and 87-104 "
            "with PKPDsim's clearance"
        ),
        "inter-occasion CVs are read as log-scale standard deviations, as in PKPDsim; V2 has none",
        "the factors on clearance are not cumulative: 0.919 replaces 0.932",
        "postmenstrual age is computed as age plus 40 weeks",
    ),
    second_source=(
        "McCune 2014, abstract: clearance, and 95 % of adult clearance at 2.5 years, agree; 62 kg of normal fat mass "
        "in a man of 70 kg is 63.2 kg at 176 cm. PKPDsim: the abstract contradicts its clearance and reference mass, "
        "see the ambiguities; nothing but PKPDsim was read for the volumes, Q and all variances"
    ),
)
