"""Gentamicin after cardiothoracic surgery with unstable renal function, two compartments (Staatz 2005)."""

from jaxtyping import Array

from rl_drug_dosage.drugs.shared.molar_mass import MOLAR_MASSES
from rl_drug_dosage.drugs.shared.spoken import WEIGHT
from rl_drug_dosage.pkpd import (
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
    Values,
)

__all__ = ["DRUG"]

_TABLE_4 = "Staatz 2005 Table 4 'All data', as transcribed in nlmixr2lib Staatz_2005_gentamicin.R"
_TABLE_1 = "Staatz 2005 Table 1, as transcribed in nlmixr2lib Staatz_2005_gentamicin.R"


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL = 2.81 (1 + 0.0150 (B - 63) + 0.0174 D); V1 = 0.251 WT; V2 = 0.156 WT; Q = 1.45.

    B is the baseline CRCL, D = CRCL - B.
    """
    wt, change = covariates["wt_kg"], covariates["crcl_change_ml_per_min"]
    baseline = covariates["crcl_ml_per_min"] - change
    renal = 1.0 + theta["baseline_on_cl"] * (baseline - 63.0) + theta["change_on_cl"] * change
    return {"cl": theta["cl"] * renal, "v1": theta["v1"] * wt, "q2": theta["q2"], "v2": theta["v2"] * wt}


DRUG = DrugModel(
    name="gentamicin-staatz2005",
    drug="gentamicin",
    title="Gentamicin after cardiothoracic surgery with unstable renal function (Staatz 2005)",
    citation=(
        "Staatz CE, Byrne C, Thomson AH. Population pharmacokinetic modelling of gentamicin and vancomycin in "
        "patients with unstable renal function following cardiothoracic surgery. Br J Clin Pharmacol "
        "2006;61(2):164-176 (online 2005)."
    ),
    doi="10.1111/j.1365-2125.2005.02547.x",
    population="135 adults (96 for model building, 39 for testing), 550 levels, Western Infirmary Glasgow, 1998-2004",
    molar_mass=MOLAR_MASSES["gentamicin"],
    structure=Mammillary(peripherals=1),
    thetas={
        "cl": Param(2.81, "L/h", _TABLE_4, "clearance at a stable CRCL of 63 mL/min"),
        "baseline_on_cl": Param(
            0.0150, "min/mL", _TABLE_4, "fractional change of clearance per mL/min of baseline CRCL"
        ),
        "change_on_cl": Param(
            0.0174, "min/mL", _TABLE_4, "fractional change of clearance per mL/min of change from baseline"
        ),
        "v1": Param(0.251, "L/kg", _TABLE_4, "central volume per kg of body weight"),
        "q2": Param(1.45, "L/h", _TABLE_4, "intercompartmental clearance"),
        "v2": Param(0.156, "L/kg", _TABLE_4, "peripheral volume per kg of body weight"),
    },
    parameters=parameters,
    etas=(
        Eta("cl", Param(27.0, "%", _TABLE_4, "between-subject CV of clearance"), kind="cv_exact"),
        Eta("v2", Param(84.0, "%", _TABLE_4, "between-subject CV of peripheral volume"), kind="cv_exact"),
    ),
    covariates=(
        Covariate(
            name="crcl_ml_per_min",
            unit="mL/min",
            low=9.0,
            high=171.0,
            typical=63.0,
            source=(
                f"{_TABLE_1}: median 57, range 9-169 (test set 21-171); typical value: centre of the published "
                "formula; the log-scale spread of the virtual cohort is that range over five standard deviations"
            ),
            meaning="current Cockcroft-Gault creatinine clearance, with serum creatinine floored at 60 umol/L",
            distribution=LogNormal(57.0, 0.59),
            column="CRCL",
        ),
        Covariate(
            name="crcl_change_ml_per_min",
            unit="mL/min",
            low=-76.0,
            high=58.0,
            typical=0.0,
            source="range: Staatz, Byrne, Thomson, abstract at PAGE; a virtual cohort starts at its baseline",
            meaning="change of creatinine clearance from its baseline",
            distribution=Fixed(0.0),
            column="DCRCL",
        ),
        Covariate(
            name="wt_kg",
            unit="kg",
            low=39.0,
            high=138.0,
            typical=72.0,
            source=(
                f"{_TABLE_1}: median 72, range 39-138; the log-scale spread of the virtual cohort is that range over "
                "five standard deviations"
            ),
            meaning="total body weight",
            distribution=LogNormal(72.0, 0.25),
            column="WT",
            aliases=WEIGHT,
        ),
    ),
    outputs=(
        Output(
            name="concentration",
            unit="mg/L",
            residual=Residual(
                "combined2",
                additive=Param(0.13, "mg/L", _TABLE_4, "additive residual standard deviation"),
                proportional=Param(24.0, "%", _TABLE_4, "proportional residual standard deviation"),
            ),
            meaning="gentamicin in serum",
        ),
    ),
    targets=(
        Target("concentration", "trough", None, 2.0, "mg/L", "Staatz 2005, target of the unit (nlmixr2lib)"),
        Target(
            "concentration",
            "peak",
            7.0,
            10.0,
            "mg/L",
            "Staatz 2005, higher target of the unit 1 h after the dose (nlmixr2lib)",
        ),
    ),
    dosing=DosingOptions(
        routes=(Route("30-min intravenous infusion", "central", 0.5), Route("intravenous bolus", "central")),
        amounts_mg=tuple(float(amount) for amount in range(40, 481, 20)),
        intervals_h=(12.0, 8.0, 24.0, 36.0, 48.0),
        usual_dose_mg=120.0,
        source=(
            f"{_TABLE_1}: median dose 120 mg, range 40-300 mg, bolus or 10-30 min infusion; intervals are this "
            "project's choice"
        ),
    ),
    limits_of_use=("adults after cardiothoracic surgery", "no dialysis"),
    ambiguities=(
        (
            "the change term is inside the bracket, as in the authors' PAGE abstract; one note in nlmixr2lib "
            "puts it outside"
        ),
        "nlmixr2lib omits the change term (slope 0.0150 for every change); here it is kept, as published",
        "63 mL/min is the median of the model-building data; Table 4 does not give it for all data",
        (
            "CVs are read as exact: V2's 84 % is omega^2 = ln(1 + 0.84^2) = 0.534 (nlmixr2lib prints 0.455, a slip). "
            "Read as omega itself, as the same group does in Thomson 2009, it would be 0.706"
        ),
    ),
    second_source="authors' abstract at PAGE: form of the clearance model; no second copy of the numbers was read",
)
