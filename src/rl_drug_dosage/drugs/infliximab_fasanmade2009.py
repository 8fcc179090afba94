"""Infliximab in ulcerative colitis, two compartments (Fasanmade 2009)."""

from jaxtyping import Array

from rl_drug_dosage.drugs.shared.infliximab import TROUGH_TARGET
from rl_drug_dosage.drugs.shared.spoken import SEX_WORDS, WEIGHT
from rl_drug_dosage.pkpd import (
    Categorical,
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
    Values,
)

__all__ = ["DRUG"]

_ABSTRACT = "Fasanmade 2009, abstract"
_TABLE_3 = "Fasanmade 2009 Table 3, as transcribed in nlmixr2lib Fasanmade_2009_infliximab.R"
_WEEK_H = 168.0


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL = 0.407 (ALB/4.1)^-1.54 (1 + 0.471 ATI) (1 - 0.236 F); V1 = 3.29 (WT/77)^0.538 (1 - 0.137 F).

    V2 = 4.13, Q = 7.14; F is 1 in women; clearances are published per day.
    """
    female = covariates["female"]
    cl_l_per_day = (
        theta["cl"]
        * (covariates["alb_g_per_l"] / 41.0) ** theta["alb_on_cl"]
        * (1.0 + theta["antibodies_on_cl"] * covariates["antibodies"])
        * (1.0 + theta["female_on_cl"] * female)
    )
    return {
        "cl": cl_l_per_day / 24.0,
        "v1": theta["v1"] * (covariates["wt_kg"] / 77.0) ** theta["wt_on_v1"] * (1.0 + theta["female_on_v1"] * female),
        "q2": theta["q2"] / 24.0,
        "v2": theta["v2"],
    }


DRUG = DrugModel(
    name="infliximab-fasanmade2009",
    drug="infliximab",
    title="Infliximab in ulcerative colitis (Fasanmade 2009)",
    citation=(
        "Fasanmade AA, Adedokun OJ, Ford J, Hernandez D, Johanns J, Hu C, Davis HM, Zhou H. Population "
        "pharmacokinetic analysis of infliximab in patients with ulcerative colitis. Eur J Clin Pharmacol "
        "2009;65(12):1211-1228."
    ),
    doi="10.1007/s00228-009-0718-4",
    population="482 adults with moderate to severe ulcerative colitis (trials ACT 1 and ACT 2)",
    structure=Mammillary(peripherals=1),
    thetas={
        "cl": Param(0.407, "L/day", _ABSTRACT, "clearance of a man with albumin 4.1 g/dL and no antibodies"),
        "v1": Param(3.29, "L", _ABSTRACT, "central volume of a man of 77 kg"),
        "q2": Param(7.14, "L/day", _ABSTRACT, "intercompartmental clearance"),
        "v2": Param(4.13, "L", _ABSTRACT, "peripheral volume"),
        "alb_on_cl": Param(-1.54, "1", _TABLE_3, "exponent of albumin / 4.1 g/dL on clearance"),
        "antibodies_on_cl": Param(0.471, "1", _TABLE_3, "change of clearance with antibodies to infliximab"),
        "female_on_cl": Param(-0.236, "1", _TABLE_3, "change of clearance in women"),
        "wt_on_v1": Param(0.538, "1", _TABLE_3, "exponent of WT / 77 kg on central volume"),
        "female_on_v1": Param(-0.137, "1", _TABLE_3, "change of central volume in women"),
    },
    parameters=parameters,
    etas=(
        Eta("cl", Param(37.7, "%", _ABSTRACT, "between-subject CV of clearance"), kind="cv_exact"),
        Eta("v1", Param(22.1, "%", _ABSTRACT, "between-subject CV of central volume"), kind="cv_exact"),
    ),
    covariates=(
        Covariate(
            name="female",
            unit="0/1",
            low=0.0,
            high=1.0,
            typical=0.0,
            source=f"{_TABLE_3}: 39.2 % women",
            meaning="1 woman, 0 man",
            distribution=Categorical((0.0, 1.0), (0.608, 0.392)),
            column="FEMALE",
            words=SEX_WORDS,
        ),
        Covariate(
            name="wt_kg",
            unit="kg",
            low=36.0,
            high=159.0,
            typical=77.0,
            source=(
                "Fasanmade 2009 (nlmixr2lib): median 77, range 36-159; the virtual cohort spans it over six "
                "standard deviations"
            ),
            meaning="body weight",
            distribution=LogNormal(77.0, 0.25),
            column="WT",
            aliases=WEIGHT,
        ),
        Covariate(
            name="alb_g_per_l",
            unit="g/L",
            low=20.0,
            high=55.0,
            typical=41.0,
            source=(
                "typical value: centre of the published formula (4.1 g/dL); range unverified: this project's "
                "choice; spread: InsightRX/mipdtrial infliximab vignette (variance 30)"
            ),
            meaning="serum albumin",
            distribution=Normal(41.0, 5.48),
            column="ALB",
        ),
        Covariate(
            name="antibodies",
            unit="0/1",
            low=0.0,
            high=1.0,
            typical=0.0,
            source="Fasanmade 2009 (nlmixr2lib): 6.8 % at any time",
            meaning="antibodies to infliximab at any visit",
            distribution=Categorical((0.0, 1.0), (0.932, 0.068)),
            column="ATI",
        ),
    ),
    outputs=(
        Output(
            name="concentration",
            unit="mg/L",
            residual=Residual(
                "combined2",
                additive=Param(0.0413, "mg/L", _TABLE_3, "additive residual standard deviation"),
                proportional=Param(0.403, "1", _TABLE_3, "proportional residual standard deviation"),
            ),
            meaning="infliximab in serum",
        ),
    ),
    targets=(TROUGH_TARGET,),
    dosing=DosingOptions(
        routes=(Route("2-h intravenous infusion", "central", 2.0),),
        amounts_mg=tuple(float(amount) for amount in range(100, 1601, 100)),
        intervals_h=(8 * _WEEK_H, 2 * _WEEK_H, 4 * _WEEK_H, 6 * _WEEK_H, 10 * _WEEK_H, 12 * _WEEK_H),
        usual_dose_mg=400.0,
        source=(
            "5 mg/kg at weeks 0, 2, 6, then every 8 weeks (Fasanmade 2009), for 77 kg in 100 mg vials; intervals of "
            "the mipdtrial vignette"
        ),
    ),
    limits_of_use=(
        "adults with ulcerative colitis",
        "antibodies are present or absent for the whole treatment; their titre is not modelled",
    ),
    ambiguities=(
        "the abstract's CVs are read as exact: omega^2 = 0.133 and 0.048; nlmixr2lib gives 0.131 (37.4 %) and 0.048",
        "albumin is given in g/L; the published centre is 4.1 g/dL",
        "nlmixr2lib's list of authors differs from the article's",
    ),
    second_source="Fasanmade 2009, abstract: clearances, volumes, CVs, half-life of about 14 days; nlmixr2lib agrees",
)
