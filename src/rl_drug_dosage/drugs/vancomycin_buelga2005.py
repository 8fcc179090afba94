"""Vancomycin in adults with haematological malignancies, one compartment (Buelga 2005, general model)."""

from jaxtyping import Array

from rl_drug_dosage.drugs.shared.molar_mass import MOLAR_MASSES
from rl_drug_dosage.drugs.shared.spoken import WEIGHT
from rl_drug_dosage.pkpd import (
    Correlation,
    Covariate,
    DosingOptions,
    DrugModel,
    Eta,
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

_ABSTRACT = "Buelga 2005, abstract"
_TABLE_4 = "Buelga 2005 Table 4, as transcribed in nlmixr2lib Buelga_2005_vancomycin.R"
_TABLE_1 = "Buelga 2005 Table 1, as transcribed in nlmixr2lib Buelga_2005_vancomycin.R"


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL = 1.08 CRCL (CRCL in L/h); V = 0.98 WT."""
    crcl_l_per_h = covariates["crcl_ml_per_min"] * 0.06
    return {"cl": theta["cl"] * crcl_l_per_h, "v1": theta["v1"] * covariates["wt_kg"]}


DRUG = DrugModel(
    name="vancomycin-buelga2005",
    drug="vancomycin",
    title="Vancomycin in adults with haematological malignancies (Buelga 2005)",
    citation=(
        "Buelga DS, Fernandez de Gatta MM, Herrera EV, Dominguez-Gil A, Garcia MJ. Population pharmacokinetic "
        "analysis of vancomycin in patients with hematological malignancies. Antimicrob Agents Chemother "
        "2005;49(12):4934-4941."
    ),
    doi="10.1128/AAC.49.12.4934-4941.2005",
    population="215 inpatients aged 15 years and older, 1,004 levels, University Hospital of Salamanca, 1989-1999",
    molar_mass=MOLAR_MASSES["vancomycin"],
    structure=Mammillary(),
    thetas={
        "cl": Param(1.08, "1", _ABSTRACT, "ratio of clearance to creatinine clearance, both in L/h"),
        "v1": Param(0.98, "L/kg", _ABSTRACT, "volume per kg of body weight"),
    },
    parameters=parameters,
    etas=(
        Eta("cl", Param(28.16, "%", _ABSTRACT, "between-subject CV of clearance"), kind="cv_approx"),
        Eta("v1", Param(37.15, "%", _ABSTRACT, "between-subject CV of volume"), kind="cv_approx"),
    ),
    correlations=(
        Correlation("cl", "v1", Param(23.12, "%", _TABLE_4, "correlation of clearance and volume"), kind="corr"),
    ),
    covariates=(
        Covariate(
            name="crcl_ml_per_min",
            unit="mL/min",
            low=11.0,
            high=167.8,
            typical=89.4,
            source=(
                f"{_TABLE_1}: mean 89.4, SD 39.2; range unverified: mean +- 2 SD, the paper's is not in the sources "
                "read"
            ),
            meaning="Cockcroft-Gault creatinine clearance",
            distribution=Normal(89.4, 39.2),
            column="CRCL",
        ),
        Covariate(
            name="wt_kg",
            unit="kg",
            low=42.1,
            high=87.3,
            typical=64.7,
            source=(
                f"{_TABLE_1}: mean 64.7, SD 11.3; range unverified: mean +- 2 SD, the paper's is not in the sources "
                "read"
            ),
            meaning="total body weight",
            distribution=Normal(64.7, 11.3),
            column="WT",
            aliases=WEIGHT,
        ),
    ),
    outputs=(
        Output(
            name="concentration",
            unit="mg/L",
            residual=Residual(
                "additive", additive=Param(3.52, "mg/L", _TABLE_4, "additive residual standard deviation")
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
        routes=(Route("1-h intravenous infusion", "central", 1.0),),
        amounts_mg=tuple(float(amount) for amount in range(250, 3001, 250)),
        intervals_h=(12.0, 6.0, 8.0, 24.0, 48.0),
        usual_dose_mg=750.0,
        source=(
            f"{_TABLE_1}: 0.5-1 h infusions every 6-48 h, mean 1,535 mg/day; the grid of vial sizes is this "
            "project's choice"
        ),
    ),
    limits_of_use=(
        "adults with a haematological malignancy, not in intensive care",
        "peaks were drawn 2 h or more after the infusion: the distribution phase is not described",
        "in acute myeloid leukaemia the paper gives the coefficient 1.17 for clearance",
    ),
    ambiguities=(
        (
            "CVs are read as omega itself (PKPDsim: 0.0793 and 0.138), since the Methods say that the exponential "
            "model was approximated by a proportional one; nlmixr2lib reads exact CVs (0.0763 and 0.1293)"
        ),
        (
            "'omega CL/V 23.12 %' is read as a correlation by both transcriptions; PKPDsim's comment says 25 %, its "
            "number is 23.12 %"
        ),
    ),
    second_source="InsightRX/PKPDsim pk_vanco_buelga.json5: the same thetas and additive error, variances CV^2",
)
