"""Piperacillin in burn patients, two compartments (Jeon 2014)."""

from jaxtyping import Array

from rl_drug_dosage.drugs.shared.molar_mass import MOLAR_MASSES
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

_ABSTRACT = "Jeon 2014, abstract"
_TABLE_2 = "Jeon 2014 Table 2, as transcribed in nlmixr2lib Jeon_2014_piperacillin.R"
_TABLE_1 = "Jeon 2014 Table 1, as transcribed in nlmixr2lib Jeon_2014_piperacillin.R"


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL = 16.6 CRCL/132 - 0.0874 DAY; V1 = 25.3 + 14.8 SEPSIS; Q = 0.636; V2 = 16.1."""
    renal = theta["cl"] * covariates["crcl_ml_per_min"] / 132.0
    return {
        "cl": renal + theta["day_on_cl"] * covariates["burn_day"],
        "v1": theta["v1"] + theta["sepsis_on_v1"] * covariates["sepsis"],
        "q2": theta["q2"],
        "v2": theta["v2"],
    }


DRUG = DrugModel(
    name="piperacillin-jeon2014",
    drug="piperacillin",
    title="Piperacillin with tazobactam in burn patients (Jeon 2014)",
    citation=(
        "Jeon S, Han S, Lee J, Hong T, Paek J, Woo H, Yim DS. Population pharmacokinetic analysis of piperacillin in "
        "burn patients. Antimicrob Agents Chemother 2014;58(7):3744-3751."
    ),
    doi="10.1128/AAC.02089-13",
    population=(
        "50 adults in a burn intensive care unit, 4 g every 8 h over 30 min, Hangang Sacred Heart Hospital, Seoul"
    ),
    molar_mass=MOLAR_MASSES["piperacillin"],
    structure=Mammillary(peripherals=1),
    thetas={
        "cl": Param(16.6, "L/h", _ABSTRACT, "clearance at CRCL 132 mL/min on the day of the burn"),
        "day_on_cl": Param(-0.0874, "L/h", _ABSTRACT, "change of clearance per day since the burn"),
        "v1": Param(25.3, "L", _ABSTRACT, "central volume without sepsis"),
        "sepsis_on_v1": Param(14.8, "L", _ABSTRACT, "change of central volume in sepsis"),
        "q2": Param(0.636, "L/h", _ABSTRACT, "intercompartmental clearance"),
        "v2": Param(16.1, "L", _ABSTRACT, "peripheral volume"),
    },
    parameters=parameters,
    etas=(
        Eta("cl", Param(35.4, "%", _TABLE_2, "between-subject CV of clearance"), kind="cv_exact"),
        Eta("v1", Param(42.4, "%", _TABLE_2, "between-subject CV of central volume"), kind="cv_exact"),
        Eta("q2", Param(90.3, "%", _TABLE_2, "between-subject CV of intercompartmental clearance"), kind="cv_exact"),
    ),
    correlations=(
        Correlation("cl", "v1", Param(0.434, "1", _TABLE_2, "correlation of clearance and central volume"), "corr"),
    ),
    covariates=(
        Covariate(
            name="crcl_ml_per_min",
            unit="mL/min",
            low=39.0,
            high=231.4,
            typical=132.0,
            source=f"{_TABLE_1}: mean 132.1, range 39-231.4; spread of the virtual cohort: a sixth of that range",
            meaning="Cockcroft-Gault creatinine clearance",
            distribution=Normal(132.0, 32.0),
            column="CRCL",
        ),
        Covariate(
            name="burn_day",
            unit="d",
            low=2.0,
            high=50.0,
            typical=12.8,
            source=(
                f"{_TABLE_1}: mean 12.8, range 2-68, cut at 50 days, beyond which clearance comes near 0 at the lowest "
                "CRCL; the log-scale spread of the virtual cohort is this project's choice"
            ),
            meaning="days since the burn",
            distribution=LogNormal(10.0, 0.6),
            column="DAI",
        ),
        Covariate(
            name="sepsis",
            unit="0/1",
            low=0.0,
            high=1.0,
            typical=0.0,
            source=f"{_TABLE_1}: 12 of 50",
            meaning="sepsis, as judged by the physician",
            distribution=Categorical((0.0, 1.0), (38 / 50, 12 / 50)),
            column="SEPSIS",
        ),
    ),
    outputs=(
        Output(
            name="concentration",
            unit="mg/L",
            residual=Residual(
                "combined2",
                additive=Param(0.359, "mg/L", _TABLE_2, "additive residual standard deviation"),
                proportional=Param(18.5, "%", _TABLE_2, "proportional residual standard deviation"),
            ),
            meaning="piperacillin in plasma, total",
        ),
    ),
    targets=(
        Target(
            "concentration",
            "trough",
            8.0,
            30.0,
            "mg/L",
            "sotalya/tucuxi-drugs ch.tucuxi.piperacillin.chen2016.tdd: residual target 8-30 mg/L, best 15",
            aim=15.0,
        ),
    ),
    dosing=DosingOptions(
        routes=(
            Route("30-min intravenous infusion", "central", 0.5),
            Route("4-h intravenous infusion", "central", 4.0),
        ),
        amounts_mg=tuple(float(amount) for amount in range(1000, 8001, 1000)),
        intervals_h=(8.0, 4.0, 6.0, 12.0, 24.0),
        usual_dose_mg=4000.0,
        source=(
            "4 g every 8 h over 30 min (Jeon 2014, abstract); intervals and the 4-h infusion of Tucuxi's piperacillin; "
            "doses above 4 g are this project's choice"
        ),
    ),
    limits_of_use=(
        "adults with burns: clearance and volume are higher than in other patients",
        "doses are piperacillin alone, without tazobactam",
        "clearance falls in a straight line with the days since the burn: not beyond 50 days",
    ),
    ambiguities=(
        "CVs are read as exact: omega^2 = 0.118, 0.165 and 0.596, as nlmixr2lib does; the paper does not say",
        (
            "Tucuxi has piperacillin by Chen 2016 with CL = 9.14 + 4.6^(CRCL/68.7), which cannot be meant (a factor "
            "became a base); posologyr has Roberts 2010, of which no second transcription was found"
        ),
    ),
    second_source=(
        "the abstract prints all six fixed effects and both equations: equal to nlmixr2lib; random effects and error "
        "have one reader"
    ),
)
