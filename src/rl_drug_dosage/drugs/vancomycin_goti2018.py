"""Vancomycin in hospitalised adults with and without haemodialysis, two compartments (Goti 2018)."""

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

_TABLE_2 = "Goti 2018 Table 2, as transcribed in nlmixr2lib Goti_2018_vancomycin.R"
_TABLE_1 = "Goti 2018 Table 1, as transcribed in nlmixr2lib Goti_2018_vancomycin.R"
_OUR_SPREAD = "the log-scale spread of the virtual cohort is this project's choice"


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL = 4.5 (CRCL/120)^0.8 0.7^DIAL; V1 = 58.4 (WT/70) 0.5^DIAL; V2 = 38.4; Q = 6.5."""
    dialysis = covariates["dialysis"]
    renal = (covariates["crcl_ml_per_min"] / 120.0) ** theta["crcl_on_cl"]
    return {
        "cl": theta["cl"] * renal * theta["dialysis_on_cl"] ** dialysis,
        "v1": theta["v1"] * covariates["wt_kg"] / 70.0 * theta["dialysis_on_v1"] ** dialysis,
        "q2": theta["q2"],
        "v2": theta["v2"],
    }


DRUG = DrugModel(
    name="vancomycin-goti2018",
    drug="vancomycin",
    title="Vancomycin in hospitalised adults, some on haemodialysis (Goti 2018)",
    citation="Goti V, Chaturvedula A, Fossler MJ, Mok S, Jacob JT. Hospitalized patients with and without hemodialysis "
    "have markedly different vancomycin pharmacokinetics: a population pharmacokinetic model-based analysis. "
    "Ther Drug Monit 2018;40(2):212-221.",
    doi="10.1097/FTD.0000000000000490",
    population="1,812 inpatients older than 16 years (2,765 levels; 336 on haemodialysis), two US hospitals, 2011-2012",
    molar_mass=MOLAR_MASSES["vancomycin"],
    structure=Mammillary(peripherals=1),
    thetas={
        "cl": Param(4.5, "L/h", _TABLE_2, "clearance at CRCL 120 mL/min without dialysis"),
        "v1": Param(58.4, "L", _TABLE_2, "central volume at 70 kg without dialysis"),
        "v2": Param(38.4, "L", _TABLE_2, "peripheral volume"),
        "q2": Param(6.5, "L/h", _TABLE_2, "intercompartmental clearance"),
        "crcl_on_cl": Param(0.8, "1", _TABLE_2, "exponent of CRCL / 120 mL/min on clearance"),
        "dialysis_on_cl": Param(0.7, "1", _TABLE_2, "factor on clearance on haemodialysis"),
        "dialysis_on_v1": Param(0.5, "1", _TABLE_2, "factor on central volume on haemodialysis"),
    },
    parameters=parameters,
    etas=(
        Eta("cl", Param(39.8, "%", _TABLE_2, "between-subject CV of clearance"), kind="cv_exact"),
        Eta("v1", Param(81.6, "%", _TABLE_2, "between-subject CV of central volume"), kind="cv_exact"),
        Eta("v2", Param(57.1, "%", _TABLE_2, "between-subject CV of peripheral volume"), kind="cv_exact"),
    ),
    covariates=(
        Covariate(
            name="crcl_ml_per_min",
            unit="mL/min",
            low=4.0,
            high=150.0,
            typical=62.0,
            source=f"{_TABLE_1}: median 62, range 4-150; {_OUR_SPREAD}",
            meaning="Cockcroft-Gault creatinine clearance, capped at 150 mL/min, creatinine >= 1 mg/dL if elderly",
            distribution=LogNormal(62.0, 0.6),
            column="CRCL",
        ),
        Covariate(
            name="wt_kg",
            unit="kg",
            low=33.0,
            high=255.0,
            typical=79.0,
            source=f"{_TABLE_1}: median 79, range 33-255; {_OUR_SPREAD}",
            meaning="body weight",
            distribution=LogNormal(79.0, 0.3),
            column="WT",
            aliases=WEIGHT,
        ),
        Covariate(
            name="dialysis",
            unit="0/1",
            low=0.0,
            high=1.0,
            typical=0.0,
            source=f"{_TABLE_1}: 336 of 1,812",
            meaning="on intermittent haemodialysis during the admission",
            distribution=Categorical((0.0, 1.0), (1.0 - 336 / 1812, 336 / 1812)),
            column="DIAL",
        ),
    ),
    outputs=(
        Output(
            name="concentration",
            unit="mg/L",
            residual=Residual(
                "combined2",
                additive=Param(3.4, "mg/L", _TABLE_2, "additive residual standard deviation"),
                proportional=Param(22.7, "%", _TABLE_2, "proportional residual standard deviation"),
            ),
            meaning="vancomycin in serum",
        ),
    ),
    targets=(
        Target(
            output="concentration",
            metric="auc24",
            low=400.0,
            high=600.0,
            unit="mg h/L",
            source="Rybak MJ et al. Am J Health Syst Pharm 2020;77(11):835-864 (consensus guideline), at MIC 1 mg/L",
        ),
    ),
    dosing=DosingOptions(
        routes=(Route("1-h intravenous infusion", "central", 1.0), Route("2-h intravenous infusion", "central", 2.0)),
        amounts_mg=tuple(float(amount) for amount in range(250, 3001, 250)),
        intervals_h=(12.0, 8.0, 24.0, 48.0),
        usual_dose_mg=1000.0,
        source="vial sizes and intervals in common use; this project's choice",
    ),
    limits_of_use=(
        "adults only (over 16 years)",
        "dialysis is a covariate of the admission: single dialysis sessions are not modelled",
        "most patients had a single trough, so the data say little about distribution",
    ),
    ambiguities=(
        (
            "V2 is not scaled with weight, as Tucuxi, PKPDsim and posologyr transcribe Table 2; nlmixr2lib scales it "
            "by WT/70 based on a sentence in the Methods"
        ),
        (
            "CVs are read as exact (omega^2 = ln(1 + CV^2): nlmixr2lib, posologyr), 0.510 for V1; PKPDsim takes "
            "omega^2 = CV^2, 0.666: two against one, and the paper does not say"
        ),
        (
            "residual error is the paper's 22.7 % and 3.4 mg/L, variances added; PKPDsim deliberately lowers it to "
            "19.7 % and 1.42 mg/L"
        ),
        (
            "serum creatinine is floored at 1 mg/dL above 60 years in the paper, above 65 in its erratum: CRCL must "
            "be given already computed"
        ),
    ),
    second_source="InsightRX/PKPDsim pk_vanco_goti.json5: the same thetas and covariate effects",
)
