"""Infliximab CT-P13 in inflammatory bowel disease, two compartments (Hanzel 2021)."""

from jaxtyping import Array

from rl_drug_dosage.drugs.shared.infliximab import TROUGH_TARGET
from rl_drug_dosage.drugs.shared.spoken import WEIGHT
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
    Values,
)

__all__ = ["DRUG"]

_TABLE_3 = "Hanzel 2021 Table 3, final model, as transcribed in nlmixr2lib Hanzel_2021_infliximab.R"
_TABLE_2 = "Hanzel 2021 Table 2, as transcribed in nlmixr2lib Hanzel_2021_infliximab.R"
_WEEK_H = 168.0


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL = 0.355 (WT/70)^0.666 (ALB/44)^-0.826 1.39^ATI; V1 = 3.10 (WT/70)^0.385; V2, Q, ka, F below.

    V2 = 1.93 (WT/70)^1.08, Q = 0.598 (WT/70)^1.26, ka = 0.273, F = 0.791; rates and clearances are published per day.
    """
    size = covariates["wt_kg"] / 70.0
    cl_l_per_day = (
        theta["cl"]
        * size ** theta["wt_on_cl"]
        * (covariates["alb_g_per_l"] / 44.0) ** theta["alb_on_cl"]
        * theta["antibodies_on_cl"] ** covariates["antibodies"]
    )
    return {
        "cl": cl_l_per_day / 24.0,
        "v1": theta["v1"] * size ** theta["wt_on_v1"],
        "q2": theta["q2"] / 24.0 * size ** theta["wt_on_q2"],
        "v2": theta["v2"] * size ** theta["wt_on_v2"],
        "ka": theta["ka"] / 24.0,
        "f_depot": theta["f"],
    }


DRUG = DrugModel(
    name="infliximab-hanzel2021",
    drug="infliximab",
    title="Infliximab CT-P13 in Crohn's disease and ulcerative colitis (Hanzel 2021)",
    citation=(
        "Hanzel J, Bukkems LH, Gecse KB, D'Haens GR, Mathot RAA. Population pharmacokinetics of subcutaneous "
        "infliximab CT-P13 in Crohn's disease and ulcerative colitis. Aliment Pharmacol Ther 2021;54(10):1309-1319."
    ),
    doi="10.1111/apt.16609",
    population=(
        "175 adults with Crohn's disease (55 %) or ulcerative colitis, 2,772 levels, intravenous induction, then "
        "intravenous or subcutaneous maintenance (trial CT-P13 1.6)"
    ),
    structure=Mammillary(peripherals=1, depot=True),
    thetas={
        "cl": Param(0.355, "L/d", _TABLE_3, "clearance at 70 kg, albumin 44 g/L, no antibodies"),
        "v1": Param(3.10, "L", _TABLE_3, "central volume at 70 kg"),
        "q2": Param(0.598, "L/d", _TABLE_3, "intercompartmental clearance at 70 kg"),
        "v2": Param(1.93, "L", _TABLE_3, "peripheral volume at 70 kg"),
        "ka": Param(0.273, "1/d", _TABLE_3, "subcutaneous absorption"),
        "f": Param(0.791, "1", _TABLE_3, "subcutaneous bioavailability"),
        "wt_on_cl": Param(0.666, "1", _TABLE_3, "exponent of WT / 70 kg on clearance"),
        "wt_on_v1": Param(0.385, "1", _TABLE_3, "exponent of WT / 70 kg on central volume"),
        "wt_on_v2": Param(1.08, "1", _TABLE_3, "exponent of WT / 70 kg on peripheral volume"),
        "wt_on_q2": Param(1.26, "1", _TABLE_3, "exponent of WT / 70 kg on intercompartmental clearance"),
        "alb_on_cl": Param(-0.826, "1", _TABLE_3, "exponent of albumin / 44 g/L on clearance"),
        "antibodies_on_cl": Param(1.39, "1", _TABLE_3, "factor of antibodies on clearance"),
    },
    parameters=parameters,
    etas=(
        Eta("cl", Param(27.7, "%", _TABLE_3, "between-subject CV of clearance"), kind="cv_exact"),
        Eta("f_depot", Param(16.4, "%", _TABLE_3, "between-subject CV of bioavailability"), kind="cv_exact"),
        Eta("v1", Param(21.4, "%", _TABLE_3, "between-subject CV of central volume"), kind="cv_exact"),
        Eta("ka", Param(48.5, "%", _TABLE_3, "between-subject CV of absorption"), kind="cv_exact"),
    ),
    correlations=(
        Correlation("cl", "f_depot", Param(-0.013, "1", _TABLE_3, "correlation of CL and F"), kind="corr"),
        Correlation("cl", "v1", Param(0.028, "1", _TABLE_3, "correlation of CL and V1"), kind="corr"),
        Correlation("cl", "ka", Param(-0.046, "1", _TABLE_3, "correlation of CL and ka"), kind="corr"),
        Correlation("f_depot", "v1", Param(0.00008, "1", _TABLE_3, "correlation of F and V1"), kind="corr"),
        Correlation("f_depot", "ka", Param(0.003, "1", _TABLE_3, "correlation of F and ka"), kind="corr"),
        Correlation("v1", "ka", Param(-0.069, "1", _TABLE_3, "correlation of V1 and ka"), kind="corr"),
    ),
    covariates=(
        Covariate(
            name="wt_kg",
            unit="kg",
            low=43.0,
            high=118.0,
            typical=70.0,
            source=(
                f"{_TABLE_2}: median 69, range 43-118; typical value: centre of the published formula; the log-scale "
                "spread of the virtual cohort is that range over six standard deviations"
            ),
            meaning="body weight",
            distribution=LogNormal(69.0, 0.17),
            column="WT",
            aliases=WEIGHT,
        ),
        Covariate(
            name="alb_g_per_l",
            unit="g/L",
            low=20.0,
            high=55.0,
            typical=44.0,
            source=(
                "typical value: centre of the published formula; range and spread unverified: this project's choice, "
                "as in infliximab-fasanmade2009"
            ),
            meaning="serum albumin",
            distribution=Normal(44.0, 5.48),
            column="ALB",
        ),
        Covariate(
            name="antibodies",
            unit="0/1",
            low=0.0,
            high=1.0,
            typical=0.0,
            source=f"{_TABLE_2}: 33 % developed neutralising antibodies during treatment",
            meaning="antibodies to infliximab",
            distribution=Categorical((0.0, 1.0), (0.67, 0.33)),
            column="ATI",
        ),
    ),
    outputs=(
        Output(
            name="concentration",
            unit="mg/L",
            residual=Residual(
                "combined2",
                additive=Param(1.66, "mg/L", _TABLE_3, "additive residual standard deviation"),
                proportional=Param(10.2, "%", _TABLE_3, "proportional residual standard deviation"),
            ),
            meaning="infliximab in serum",
        ),
    ),
    targets=(TROUGH_TARGET,),
    dosing=DosingOptions(
        routes=(
            Route("2-h intravenous infusion", "central", 2.0),
            Route("subcutaneous injection", "depot"),
        ),
        amounts_mg=(120.0, *(float(amount) for amount in range(200, 1201, 100))),
        intervals_h=(8 * _WEEK_H, 2 * _WEEK_H, 4 * _WEEK_H, 6 * _WEEK_H, 10 * _WEEK_H, 12 * _WEEK_H),
        usual_dose_mg=400.0,
        source=(
            "5 mg/kg intravenously, or 120 mg (240 mg above 80 kg) subcutaneously every two weeks (Hanzel 2021, "
            "nlmixr2lib); 400 mg: 5 mg/kg for 69 kg in vials of 100 mg; infusion and intervals as in "
            "infliximab-fasanmade2009"
        ),
    ),
    limits_of_use=(
        "adults with inflammatory bowel disease on CT-P13",
        "antibodies and albumin may change over time; the titre is not modelled",
    ),
    ambiguities=(
        "CVs are read as exact, residual variances as added (nlmixr2lib)",
        "nlmixr2lib gives volumes and clearances; that they are per day follows from its time unit",
        "33 % is the proportion with neutralising antibodies at any time; antibodies of any kind are more frequent",
    ),
    second_source=(
        "nlmixr2lib Song_2025_infliximab.R quotes V2 and Q from this paper as 1.96 L and 0.599 L/d, not 1.93 and "
        "0.598; no second copy of the other numbers was read"
    ),
)
