"""Cefepime in critically ill adults, two compartments (An 2023)."""

from jaxtyping import Array

from rl_drug_dosage.drugs.shared.molar_mass import MOLAR_MASSES
from rl_drug_dosage.drugs.shared.spoken import WEIGHT
from rl_drug_dosage.pkpd import (
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

_PS = "An 2023, as transcribed in InsightRX/PKPDsim pk_cefepime_an.json5"
_TUCUXI = "sotalya/tucuxi-drugs ch.tucuxi.cefepime.buclin2020.tdd"


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL = 2.00 CRCL/54 + 0.526; V1 = 13.4 WT/90; Q = 12.0; V2 = 7.52."""
    return {
        "cl": theta["cl_renal"] * covariates["crcl_ml_per_min"] / 54.0 + theta["cl_other"],
        "v1": theta["v1"] * covariates["wt_kg"] / 90.0,
        "q2": theta["q2"],
        "v2": theta["v2"],
    }


DRUG = DrugModel(
    name="cefepime-an2023",
    drug="cefepime",
    title="Cefepime in critically ill adults (An 2023)",
    citation=(
        "An G, Creech CB, Wu N, Nation RL, Gu K, Nalbant D, Jimenez-Truque N, Fissell W, Patel PC, Fishbane N, "
        "Watanabe A, Rolsma S, Kirkpatrick CMJ, Landersdorfer CB, Winokur P. Population pharmacokinetics and target "
        "attainment analyses to identify a rational empirical dosing strategy for cefepime in critically ill patients. "
        "J Antimicrob Chemother 2023;78(6):1460-1470."
    ),
    doi="10.1093/jac/dkad106",
    population="130 critically ill adults (76 men), 278 levels, two intensive care sites",
    molar_mass=MOLAR_MASSES["cefepime"],
    structure=Mammillary(peripherals=1),
    thetas={
        "cl_renal": Param(2.00, "L/h", _PS, "renal clearance at CRCL 54 mL/min"),
        "cl_other": Param(0.526, "L/h", _PS, "other clearance"),
        "v1": Param(13.4, "L", _PS, "central volume at 90 kg"),
        "q2": Param(12.0, "L/h", _PS, "intercompartmental clearance"),
        "v2": Param(7.52, "L", _PS, "peripheral volume"),
    },
    parameters=parameters,
    etas=(
        Eta("cl", Param(0.299, "1", _PS, "omega of log clearance"), kind="sd"),
        Eta("v1", Param(0.654, "1", _PS, "omega of log central volume"), kind="sd"),
        Eta("v2", Param(0.173, "1", _PS, "omega of log peripheral volume"), kind="sd"),
    ),
    covariates=(
        Covariate(
            name="crcl_ml_per_min",
            unit="mL/min",
            low=10.0,
            high=250.0,
            typical=86.0,
            source=f"{_PS}: median 86, quartiles 52 and 126; range unverified: this project's choice",
            meaning="Cockcroft-Gault creatinine clearance with lean body weight by James, at least 30 kg",
            distribution=LogNormal(86.0, 0.65),
            column="CRCL",
        ),
        Covariate(
            name="wt_kg",
            unit="kg",
            low=40.0,
            high=200.0,
            typical=90.0,
            source=f"{_PS}: median 90, quartiles 70 and 110; range unverified: this project's choice",
            meaning="body weight",
            distribution=LogNormal(90.0, 0.33),
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
                additive=Param(6.44, "mg/L", _PS, "additive residual standard deviation"),
                proportional=Param(22.4, "%", _PS, "proportional residual standard deviation"),
            ),
            meaning="cefepime in plasma, total",
        ),
    ),
    targets=(
        Target(
            "concentration",
            "trough",
            4.0,
            20.0,
            "mg/L",
            f"{_TUCUXI}: above 4 times a MIC of 1 mg/L; neurotoxicity above 20 mg/L in intermittent dosing",
        ),
    ),
    dosing=DosingOptions(
        routes=(
            Route("30-min intravenous infusion", "central", 0.5),
            Route("3-h intravenous infusion", "central", 3.0),
        ),
        amounts_mg=tuple(float(amount) for amount in range(250, 3001, 250)),
        intervals_h=(8.0, 6.0, 12.0, 24.0),
        usual_dose_mg=1000.0,
        source=(
            "0.5-h and 3-h infusions, 3 g a day as a balance of target and toxicity (An 2023, abstract), here in three "
            "doses; the grid is this project's choice"
        ),
    ),
    limits_of_use=(
        "critically ill adults without dialysis or haemofiltration",
        "concentrations are total, about 80 % unbound (from memory, unverified)",
    ),
    ambiguities=(
        (
            "clearance is centred at CRCL 54 mL/min although the median is given as 86: PKPDsim computes CRCL with "
            "lean body weight, and 54 may belong to that"
        ),
        "omegas are read as standard deviations: PKPDsim squares 0.299, 0.654 and 0.173",
    ),
    second_source=(
        "none for the numbers: PKPDsim is the only transcription found. The abstract confirms two compartments, "
        "CRCL and weight as covariates and 130 patients"
    ),
)
