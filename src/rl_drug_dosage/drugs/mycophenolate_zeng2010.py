"""Mycophenolic acid in children after transplantation, two compartments (Zeng 2010)."""

from jaxtyping import Array

from rl_drug_dosage.drugs.shared.molar_mass import MOLAR_MASSES
from rl_drug_dosage.drugs.shared.spoken import WEIGHT
from rl_drug_dosage.pkpd import (
    Categorical,
    Covariate,
    DosingOptions,
    DrugModel,
    Eta,
    LogNormal,
    Mammillary,
    Output,
    Param,
    Residual,
    Route,
    Target,
    Values,
)

__all__ = ["DRUG"]

_TABLE_3 = "Zeng 2010 Table 3, as transcribed in nlmixr2lib Zeng_2010_mycophenolic_acid.R"
_TABLE_1 = "Zeng 2010 Table 1, as transcribed in nlmixr2lib Zeng_2010_mycophenolic_acid.R"


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL = 6.42 (1 + 1.09 WT/27.9) (1 - 0.60 TACROLIMUS); V1 = 7.24; Q = 3.74; V2 = 16.8; ka = 0.39; F = 0.48."""
    size = 1.0 + theta["wt_on_cl"] * covariates["wt_kg"] / 27.9
    return {
        "cl": theta["cl"] * size * (1.0 + theta["tacrolimus_on_cl"] * covariates["tacrolimus"]),
        "v1": theta["v1"],
        "q2": theta["q2"],
        "v2": theta["v2"],
        "ka": theta["ka"],
        "f_depot": theta["f"],
    }


DRUG = DrugModel(
    name="mycophenolate-zeng2010",
    drug="mycophenolate mofetil",
    title="Mycophenolate mofetil in children after transplantation (Zeng 2010)",
    citation=(
        "Zeng L, Blair EYL, Nath CE, Shaw PJ, Earl JW, Stephen K, Montgomery K, Coakley JC, Hodson E, Stormon M, "
        "McLachlan AJ. Population pharmacokinetics of mycophenolic acid in children and young people undergoing blood "
        "or marrow and solid organ transplantation. Br J Clin Pharmacol 2010;70(4):567-579."
    ),
    doi="10.1111/j.1365-2125.2010.03734.x",
    population=(
        "38 children and young people (0.4-19.9 years) after blood or marrow, kidney or liver transplantation, Sydney"
    ),
    molar_mass=MOLAR_MASSES["mycophenolic acid"],
    structure=Mammillary(peripherals=1, depot=True),
    thetas={
        "cl": Param(6.42, "L/h", _TABLE_3, "clearance on ciclosporin, extrapolated to 0 kg"),
        "wt_on_cl": Param(1.09, "1", _TABLE_3, "slope of clearance on WT / 27.9 kg"),
        "tacrolimus_on_cl": Param(-0.60, "1", _TABLE_3, "change of clearance on tacrolimus instead of ciclosporin"),
        "v1": Param(7.24, "L", _TABLE_3, "central volume"),
        "q2": Param(3.74, "L/h", _TABLE_3, "intercompartmental clearance"),
        "v2": Param(16.8, "L", _TABLE_3, "peripheral volume"),
        "ka": Param(0.39, "1/h", _TABLE_3, "absorption"),
        "f": Param(0.48, "1", _TABLE_3, "oral bioavailability"),
    },
    parameters=parameters,
    etas=(
        Eta("cl", Param(31.6, "%", _TABLE_3, "between-subject CV of clearance"), kind="cv_exact"),
        Eta("ka", Param(59.1, "%", _TABLE_3, "between-subject CV of absorption"), kind="cv_exact"),
        Eta("f_depot", Param(34.6, "%", _TABLE_3, "between-subject CV of bioavailability"), kind="cv_exact"),
    ),
    occasion_etas=(Eta("cl", Param(5.8, "%", _TABLE_3, "inter-occasion CV of clearance"), kind="cv_exact"),),
    covariates=(
        Covariate(
            name="wt_kg",
            unit="kg",
            low=3.4,
            high=87.7,
            typical=27.9,
            source=(
                f"{_TABLE_1}: median 27.9, range 3.4-87.7; the log-scale spread of the virtual cohort is a sixth of it"
            ),
            meaning="body weight",
            distribution=LogNormal(27.9, 0.54),
            column="WT",
            aliases=WEIGHT,
        ),
        Covariate(
            name="tacrolimus",
            unit="0/1",
            low=0.0,
            high=1.0,
            typical=0.0,
            source=f"{_TABLE_1}: 15 of 38 on tacrolimus, the others on ciclosporin",
            meaning="calcineurin inhibitor: 1 tacrolimus, 0 ciclosporin",
            distribution=Categorical((0.0, 1.0), (23 / 38, 15 / 38)),
            column="TAC",
        ),
    ),
    outputs=(
        Output(
            name="concentration",
            unit="mg/L",
            residual=Residual("lognormal", proportional=Param(0.48, "1", _TABLE_3, "log-scale residual SD")),
            meaning="mycophenolic acid in plasma, total",
        ),
    ),
    targets=(
        Target(
            "concentration",
            "auc24",
            60.0,
            120.0,
            "mg h/L",
            "Zeng 2010 Tables 4 and 5, the range of the simulations (read in nlmixr2lib's vignette): 30-60 per 12 h",
        ),
    ),
    dosing=DosingOptions(
        routes=(Route("tablet or suspension", "depot"), Route("2-h intravenous infusion", "central", 2.0)),
        amounts_mg=tuple(float(amount) for amount in range(50, 2001, 50)),
        intervals_h=(12.0, 8.0),
        usual_dose_mg=400.0,
        source=(
            f"{_TABLE_1}: 10-15 mg/kg two or three times a day, at 27.9 kg; steps of 50 mg are this project's choice"
        ),
    ),
    limits_of_use=(
        "children and young people: volumes do not change with weight",
        "no adults, no enteric-coated sodium salt",
        "the second peak of enterohepatic recirculation is part of the residual error",
    ),
    ambiguities=(
        (
            "doses are read as mg of mycophenolate mofetil, as in nlmixr2lib's vignette; its file speaks of "
            "equivalents of the acid, 74 % of that"
        ),
        (
            "the paper's text has 14.74 and 5.51 L/h for the median child on ciclosporin and tacrolimus, its equation "
            "13.42 and 5.37: the equation is followed"
        ),
        "CVs are read as exact, as nlmixr2lib does",
    ),
    second_source=(
        "none for the numbers: nlmixr2lib is the only transcription found; the clearances that the paper's text prints "
        "agree with the equation within 9 and 3 %"
    ),
)
