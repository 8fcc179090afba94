"""Vancomycin in hospitalised adults, two compartments, clearance linear in creatinine clearance (Thomson 2009)."""

from jaxtyping import Array

from rl_drug_dosage.drugs.shared.molar_mass import MOLAR_MASSES
from rl_drug_dosage.drugs.shared.spoken import WEIGHT
from rl_drug_dosage.pkpd import (
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

_SOURCE = "Thomson 2009, as transcribed in PKPDsim pk_vanco_thomson.json5 and in Tong 2026 Table S1 (nlmixr2lib)"


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL = 2.99 (1 + 0.0154 (CRCL - 66)); V1 = 0.675 WT; Q = 2.28; V2 = 0.732 WT."""
    wt = covariates["wt_kg"]
    renal = 1.0 + theta["crcl_on_cl"] * (covariates["crcl_ml_per_min"] - 66.0)
    return {"cl": theta["cl"] * renal, "v1": theta["v1"] * wt, "q2": theta["q2"], "v2": theta["v2"] * wt}


DRUG = DrugModel(
    name="vancomycin-thomson2009",
    drug="vancomycin",
    title="Vancomycin in hospitalised adults (Thomson 2009)",
    citation=(
        "Thomson AH, Staatz CE, Tobin CM, Gall M, Lovering AM. Development and evaluation of vancomycin dosage "
        "guidelines designed to achieve new target concentrations. J Antimicrob Chemother 2009;63(5):1050-1057."
    ),
    doi="10.1093/jac/dkp085",
    population="398 adult inpatients, 1,557 levels, United Kingdom",
    molar_mass=MOLAR_MASSES["vancomycin"],
    structure=Mammillary(peripherals=1),
    thetas={
        "cl": Param(2.99, "L/h", _SOURCE, "clearance at CRCL 66 mL/min"),
        "crcl_on_cl": Param(
            0.0154, "min/mL", _SOURCE, "fractional change of clearance per mL/min of CRCL from 66 mL/min"
        ),
        "v1": Param(0.675, "L/kg", _SOURCE, "central volume per kg of body weight"),
        "q2": Param(2.28, "L/h", _SOURCE, "intercompartmental clearance"),
        "v2": Param(0.732, "L/kg", _SOURCE, "peripheral volume per kg of body weight"),
    },
    parameters=parameters,
    etas=(
        Eta("cl", Param(27.0, "%", _SOURCE, "between-subject CV of clearance"), kind="cv_approx"),
        Eta("v1", Param(15.0, "%", _SOURCE, "between-subject CV of central volume"), kind="cv_approx"),
        Eta("q2", Param(49.0, "%", _SOURCE, "between-subject CV of intercompartmental clearance"), kind="cv_approx"),
        Eta("v2", Param(130.0, "%", _SOURCE, "between-subject CV of peripheral volume"), kind="cv_approx"),
    ),
    correlations=(
        Correlation("cl", "v1", Param(0.01, "1", _SOURCE, "covariance of clearance and central volume"), kind="cov"),
    ),
    covariates=(
        Covariate(
            name="crcl_ml_per_min",
            unit="mL/min",
            low=10.0,
            high=150.0,
            typical=66.0,
            source=(
                "typical value: centre of the published formula; upper limit: the cap of the capped form (Tong 2026 "
                "Table S1); lower limit unverified: this project's choice, far above 1.07 mL/min, where the "
                "formula gives 0; cohort: InsightRX/mipdtrial vancomycin vignettes, exp(N(ln 6, ln 1.6)) L/h"
            ),
            meaning="Cockcroft-Gault creatinine clearance",
            distribution=LogNormal(100.0, 0.47),
            column="CRCL",
        ),
        Covariate(
            name="wt_kg",
            unit="kg",
            low=20.4,
            high=173.8,
            typical=79.0,
            source=(
                "range and median of the 87,586 patients whom Tong 2026 dosed with this model (Table 1); the range "
                "of the paper's own patients is unverified; cohort: InsightRX/mipdtrial vancomycin vignettes, N(90, "
                "25)"
            ),
            meaning="body weight",
            distribution=Normal(90.0, 25.0),
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
                additive=Param(1.6, "mg/L", _SOURCE, "additive residual standard deviation"),
                proportional=Param(15.0, "%", _SOURCE, "proportional residual standard deviation"),
            ),
            meaning="vancomycin in serum",
        ),
    ),
    targets=(
        Target(
            "concentration",
            "auc24",
            400.0,
            600.0,
            "mg h/L",
            "Rybak MJ et al. Am J Health Syst Pharm 2020;77(11):835-864 (consensus guideline), at MIC 1 mg/L",
        ),
    ),
    dosing=DosingOptions(
        routes=(Route("1-h intravenous infusion", "central", 1.0), Route("2-h intravenous infusion", "central", 2.0)),
        amounts_mg=tuple(float(amount) for amount in range(250, 5001, 250)),
        intervals_h=(12.0, 8.0, 24.0, 48.0),
        usual_dose_mg=1000.0,
        source="grid, interval and infusion of the InsightRX/mipdtrial vancomycin vignettes",
    ),
    limits_of_use=(
        "adults only",
        "no dialysis: CRCL is the only covariate for renal function",
        "clearance is 0 at CRCL 1.07 mL/min and negative below: never extrapolate to anuria",
    ),
    ambiguities=(
        (
            "CVs are read as omega itself (27 % is omega^2 = 0.0729): PKPDsim, Tong 2026 and Tucuxi agree; read as "
            "exact CVs, V2 would have omega^2 = 0.99 instead of 1.69"
        ),
        "the covariance 0.01 of CL and V1 is given in PKPDsim and Tong 2026; Tucuxi sets it to 0",
        (
            "CRCL is not capped inside the model: the cap at 150 mL/min is from Hughes 2024 and Tong 2026, not from "
            "the paper"
        ),
    ),
    second_source=(
        "Tong 2026 supplement (nlmixr2lib Tong_2026_vancomycin_thomson.R) and sotalya/tucuxi-drugs "
        "ch.tucuxi.vancomycin.thomson2009.pkmodel: the same thetas; Tucuxi writes 2.99 x 0.0154 CRCL, which differs "
        "by 1.6 % at 66 mL/min"
    ),
)
