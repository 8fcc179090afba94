"""Vancomycin by continuous infusion in critically ill adults, one compartment (Roberts 2011)."""

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
    Normal,
    Output,
    Param,
    Residual,
    Route,
    Target,
    Values,
)

__all__ = ["DRUG"]

_TABLE_2 = (
    "Roberts 2011 Table 2 (bootstrap means of the final model), as transcribed in nlmixr2lib Roberts_2011_vancomycin.R"
)
_TABLE_1 = "Roberts 2011 Table 1, as transcribed in nlmixr2lib Roberts_2011_vancomycin.R"


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL = 4.58 CRCL/100; V = 1.53 WT."""
    renal = covariates["crcl_ml_per_min_per_1_73m2"] / 100.0
    return {"cl": theta["cl"] * renal, "v1": theta["v1"] * covariates["wt_kg"]}


DRUG = DrugModel(
    name="vancomycin-roberts2011",
    drug="vancomycin",
    title="Vancomycin by continuous infusion in critically ill adults (Roberts 2011)",
    citation=(
        "Roberts JA, Taccone FS, Udy AA, Vincent JL, Jacobs F, Lipman J. Vancomycin dosing in critically ill "
        "patients: robust methods for improved continuous-infusion regimens. Antimicrob Agents Chemother "
        "2011;55(6):2704-2709."
    ),
    doi="10.1128/AAC.01708-10",
    population="206 septic adults in intensive care, 579 levels, Erasme Hospital Brussels, 2008-2009",
    molar_mass=MOLAR_MASSES["vancomycin"],
    structure=Mammillary(),
    thetas={
        "cl": Param(4.58, "L/h", _TABLE_2, "clearance at a creatinine clearance of 100 mL/min/1.73 m2"),
        "v1": Param(1.53, "L/kg", _TABLE_2, "volume per kg of body weight"),
    },
    parameters=parameters,
    etas=(
        Eta("cl", Param(38.9, "%", _TABLE_2, "between-subject CV of clearance"), kind="cv_exact"),
        Eta("v1", Param(37.4, "%", _TABLE_2, "between-subject CV of volume"), kind="cv_exact"),
    ),
    covariates=(
        Covariate(
            name="crcl_ml_per_min_per_1_73m2",
            unit="mL/min/1.73m2",
            low=10.0,
            high=250.0,
            typical=90.7,
            source=(
                f"{_TABLE_1}: mean 90.7, SD 60.4 (the cohort is log-normal with these); upper limit: largest value "
                "simulated in the paper's Figure 3; lower limit unverified: this project's choice"
            ),
            meaning="measured 24-h urinary creatinine clearance, normalised to body surface area",
            distribution=LogNormal(75.5, 0.606),
            column="CRCL",
        ),
        Covariate(
            name="wt_kg",
            unit="kg",
            low=43.2,
            high=106.4,
            typical=74.8,
            source=(
                f"{_TABLE_1}: mean 74.8, SD 15.8; range unverified: mean +- 2 SD, the paper's is not in the sources "
                "read"
            ),
            meaning="total body weight",
            distribution=Normal(74.8, 15.8),
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
                additive=Param(2.4, "mg/L", _TABLE_2, "additive residual standard deviation"),
                proportional=Param(19.9, "%", _TABLE_2, "proportional residual standard deviation"),
            ),
            meaning="vancomycin in serum",
        ),
    ),
    targets=(
        Target(
            "concentration", "value", 20.0, 30.0, "mg/L", "Roberts 2011, target of the unit during continuous infusion"
        ),
    ),
    dosing=DosingOptions(
        routes=(
            Route("24-h intravenous infusion", "central", 24.0),
            Route("3-h intravenous loading infusion", "central", 3.0),
        ),
        amounts_mg=tuple(float(amount) for amount in range(250, 6001, 250)),
        intervals_h=(24.0,),
        usual_dose_mg=2500.0,
        source=(
            "Roberts 2011 proposes a loading dose of 35 mg/kg over 3 h, then 35 mg/kg a day (its patients had 15 "
            "mg/kg, then 30 mg/kg a day); the grid of vial sizes is this "
            "project's choice"
        ),
    ),
    limits_of_use=(
        "septic adults in intensive care without renal replacement therapy",
        "developed on continuous-infusion plateaus: one compartment does not describe peaks",
        "needs a measured urinary creatinine clearance, not Cockcroft-Gault",
    ),
    ambiguities=(
        (
            "CVs are read as exact (nlmixr2lib); read as omega itself the variances would be 0.151 and 0.140, not "
            "0.141 and 0.131"
        ),
        "the residual variances are added (NONMEM's usual coding); the paper says only 'combined'",
    ),
    second_source="no second transcription was read; seventeen AUCs printed in the Results are reproduced",
)
