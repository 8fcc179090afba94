"""Busulfan in children before transplantation, one compartment on fat-free mass (Shukla 2020)."""

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.drugs.shared.body_size import growth_height_cm, growth_weight_kg, maturing_fat_free_mass_kg
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

_SOURCE = "Shukla 2020, as transcribed in InsightRX/PKPDsim pk_busulfan_shukla.json5"
_RANGE = (
    "unverified for Shukla 2020: range and median of Long-Boyle JR et al. Ther Drug Monit 2015;37:236-245 Table "
    "2 (same centre), as transcribed in nlmixr2lib LongBoyle_2015_busulfan.R"
)


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL = 3.96 (FFM/12)^0.75 M (1 - 0.20 REGI) (1 - 0.135 after 24 h); V = 10.8 FFM/12.

    M = 0.451 + 0.549 (1 - exp(-1.37 AGE)).
    """
    age = covariates["age_y"]
    size = maturing_fat_free_mass_kg(age, covariates["wt_kg"], covariates["height_cm"], covariates["female"]) / 12.0
    at_birth = theta["cl_at_birth"]
    maturation = at_birth + (1.0 - at_birth) * (1.0 - jnp.exp(-theta["maturation_rate"] * age))
    regimen = 1.0 + theta["clofarabine_on_cl"] * covariates["clofarabine"]
    later = 1.0 + jnp.where(covariates["time_h"] > 24.0, theta["later_on_cl"], 0.0)
    return {"cl": theta["cl"] * size**0.75 * maturation * regimen * later, "v1": theta["v1"] * size}


DRUG = DrugModel(
    name="busulfan-shukla2020",
    drug="busulfan",
    title="Busulfan in children before haematopoietic cell transplantation (Shukla 2020)",
    citation=(
        "Shukla P, Goswami S, Keizer RJ, Winger BA, Kharbanda S, Dvorak CC, Long-Boyle J. Assessment of a "
        "model-informed precision dosing platform use in routine clinical care for personalized busulfan therapy in "
        "the pediatric hematopoietic cell transplantation (HCT) population. Front Pharmacol 2020;11:888."
    ),
    doi="10.3389/fphar.2020.00888",
    population="children and young adults, University of California San Francisco (188 patients in the evaluation)",
    molar_mass=MOLAR_MASSES["busulfan"],
    structure=Mammillary(),
    thetas={
        "cl": Param(3.96, "L/h", _SOURCE, "mature clearance at 12 kg of fat-free mass on the first day"),
        "v1": Param(10.8, "L", _SOURCE, "volume at 12 kg of fat-free mass"),
        "cl_at_birth": Param(0.451, "1", _SOURCE, "clearance at birth as a fraction of the mature clearance"),
        "maturation_rate": Param(1.37, "1/y", _SOURCE, "rate of maturation"),
        "clofarabine_on_cl": Param(-0.20, "1", _SOURCE, "change of clearance with fludarabine and clofarabine"),
        "later_on_cl": Param(-0.135, "1", _SOURCE, "change of clearance from 24 h after the start of treatment"),
    },
    parameters=parameters,
    etas=(
        Eta("cl", Param(0.0595, "1", _SOURCE, "between-subject variance of ln CL"), kind="var"),
        Eta("v1", Param(0.0293, "1", _SOURCE, "between-subject variance of ln V"), kind="var"),
    ),
    correlations=(Correlation("cl", "v1", Param(0.0323, "1", _SOURCE, "covariance of ln CL and ln V"), kind="cov"),),
    occasion_etas=(
        Eta("cl", Param(12.88, "%", _SOURCE, "inter-occasion CV of clearance, occasions of 24 h"), kind="cv_approx"),
        Eta("v1", Param(13.34, "%", _SOURCE, "inter-occasion CV of volume, occasions of 24 h"), kind="cv_approx"),
    ),
    covariates=(
        Covariate(
            name="female",
            unit="0/1",
            low=0.0,
            high=1.0,
            typical=0.0,
            source=f"{_RANGE}: 41 % female",
            meaning="1 girl, 0 boy",
            distribution=Categorical((0.0, 1.0), (0.59, 0.41)),
            column="FEMALE",
            words=SEX_WORDS,
        ),
        Covariate(
            name="age_y",
            unit="y",
            low=0.1,
            high=24.0,
            typical=7.0,
            source=_RANGE,
            meaning="age",
            distribution=Uniform(),
            column="AGE",
            aliases=AGE,
        ),
        Covariate(
            name="wt_kg",
            unit="kg",
            low=3.0,
            high=101.0,
            typical=22.0,
            source=f"{_RANGE}; virtual cohort around the CDC's medians: this project's choice",
            meaning="body weight",
            distribution=LogNormal(lambda c: growth_weight_kg(c["age_y"], c["female"]), 0.15),
            column="WT",
            aliases=WEIGHT,
        ),
        Covariate(
            name="height_cm",
            unit="cm",
            low=45.0,
            high=205.0,
            typical=122.0,
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
            name="clofarabine",
            unit="0/1",
            low=0.0,
            high=1.0,
            typical=0.0,
            source=(
                "InsightRX/mipdtrial busulfan vignette sets it to 0 for all; the proportion of patients is unverified"
            ),
            meaning="conditioning with fludarabine and clofarabine (REGI)",
            distribution=Fixed(0.0),
            column="REGI",
        ),
        Covariate(
            name="time_h",
            unit="h",
            low=0.0,
            high=192.0,
            typical=0.0,
            source=(
                "PKPDsim pk_busulfan_shukla.json5: clearance changes at 24 h; upper end: end of the course in mipdtrial"
            ),
            meaning="hours since the first dose: records at 24 h and the end",
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
                additive=Param(0.0222, "mg/L", f"{_SOURCE} (22.2 ng/mL)", "additive residual standard deviation"),
                proportional=Param(0.106, "1", _SOURCE, "proportional residual standard deviation"),
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
        usual_dose_mg=100.0,
        source=(
            "dose table of Bartelink IH et al. Ther Drug Monit 2012;34:574-583 (97 mg at 20 kg, 108 mg at 23 kg, "
            "every 24 h); infusion of the mipdtrial vignette; the grid is this project's choice"
        ),
    ),
    limits_of_use=("children and young adults", "four days of conditioning before transplantation"),
    ambiguities=(
        "inter-occasion CVs are read as log-scale standard deviations, as in PKPDsim",
        "the second regimen (REGI) is fludarabine with clofarabine according to mipdtrial; the paper was not read",
        "fat-free mass uses the maturation formula as in PKPDsim; the paper's own formula was not read",
    ),
    second_source=(
        "PKPDposterior's Stan version of the model (InsightRX): the same thetas, between-subject SDs rounded to "
        "0.24 and 0.17"
    ),
)
