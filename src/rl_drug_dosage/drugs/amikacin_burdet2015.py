"""Amikacin in ventilator-associated pneumonia, two compartments (Burdet 2015)."""

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
    Uniform,
    Values,
)

__all__ = ["DRUG"]

_SOURCE = "Burdet 2015, as transcribed in levenc/posologyr tests/testthat/test_map_nlmixr.R"


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL = 4.3 (CRCL/82)^0.7; V1 = 15.9 (WT/78)^0.9 (P/F/169)^0.4; V2 = 21.4; Q = 12.1."""
    lung = (covariates["pf_ratio_mmhg"] / 169.0) ** theta["pf_on_v1"]
    return {
        "cl": theta["cl"] * (covariates["crcl_ml_per_min"] / 82.0) ** theta["crcl_on_cl"],
        "v1": theta["v1"] * (covariates["wt_kg"] / 78.0) ** theta["wt_on_v1"] * lung,
        "q2": theta["q2"],
        "v2": theta["v2"],
    }


DRUG = DrugModel(
    name="amikacin-burdet2015",
    drug="amikacin",
    title="Amikacin in ventilator-associated pneumonia (Burdet 2015)",
    citation=(
        "Burdet C, Pajot O, Couffignal C, et al. Population pharmacokinetics of single-dose amikacin in critically "
        "ill patients with suspected ventilator-associated pneumonia. Eur J Clin Pharmacol 2015;71(1):75-83."
    ),
    doi="10.1007/s00228-014-1766-y",
    population="60 critically ill adults with suspected ventilator-associated pneumonia, one dose",
    molar_mass=MOLAR_MASSES["amikacin"],
    structure=Mammillary(peripherals=1),
    thetas={
        "cl": Param(4.3, "L/h", _SOURCE, "clearance at CRCL 82 mL/min"),
        "crcl_on_cl": Param(0.7, "1", _SOURCE, "exponent of CRCL / 82 mL/min on clearance"),
        "v1": Param(15.9, "L", _SOURCE, "central volume at 78 kg and PaO2/FiO2 169 mmHg"),
        "wt_on_v1": Param(0.9, "1", _SOURCE, "exponent of WT / 78 kg on central volume"),
        "pf_on_v1": Param(0.4, "1", _SOURCE, "exponent of PaO2/FiO2 / 169 mmHg on central volume"),
        "q2": Param(12.1, "L/h", _SOURCE, "intercompartmental clearance"),
        "v2": Param(21.4, "L", _SOURCE, "peripheral volume"),
    },
    parameters=parameters,
    etas=(
        Eta("cl", Param(0.1, "1", _SOURCE, "between-subject variance of ln CL"), kind="var"),
        Eta("v1", Param(0.05, "1", _SOURCE, "between-subject variance of ln V1"), kind="var"),
        Eta("v2", Param(0.2, "1", _SOURCE, "between-subject variance of ln V2"), kind="var"),
        Eta("q2", Param(0.08, "1", _SOURCE, "between-subject variance of ln Q"), kind="var"),
    ),
    correlations=(
        Correlation("cl", "v1", Param(0.01, "1", _SOURCE, "covariance of ln CL and ln V1"), kind="cov"),
        Correlation("cl", "v2", Param(0.01, "1", _SOURCE, "covariance of ln CL and ln V2"), kind="cov"),
        Correlation("v1", "v2", Param(0.02, "1", _SOURCE, "covariance of ln V1 and ln V2"), kind="cov"),
        Correlation("cl", "q2", Param(-0.06, "1", _SOURCE, "covariance of ln CL and ln Q"), kind="cov"),
        Correlation("v1", "q2", Param(0.004, "1", _SOURCE, "covariance of ln V1 and ln Q"), kind="cov"),
        Correlation("v2", "q2", Param(0.003, "1", _SOURCE, "covariance of ln V2 and ln Q"), kind="cov"),
    ),
    covariates=(
        Covariate(
            name="crcl_ml_per_min",
            unit="mL/min",
            low=10.0,
            high=250.0,
            typical=82.0,
            source=(
                "typical value: centre of the published formula; range unverified: this project's choice; spread "
                "of the virtual cohort borrowed from intensive care (Roberts 2011 Table 1)"
            ),
            meaning="creatinine clearance measured in urine over 4 h",
            distribution=LogNormal(82.0, 0.606),
            column="CRCL",
        ),
        Covariate(
            name="wt_kg",
            unit="kg",
            low=40.0,
            high=150.0,
            typical=78.0,
            source=(
                "typical value: centre of the published formula; range unverified: this project's choice; spread "
                "of the virtual cohort borrowed from intensive care (Roberts 2011 Table 1)"
            ),
            meaning="total body weight",
            distribution=Normal(78.0, 15.8),
            column="WT",
            aliases=WEIGHT,
        ),
        Covariate(
            name="pf_ratio_mmhg",
            unit="mmHg",
            low=50.0,
            high=400.0,
            typical=169.0,
            source=(
                "typical value: centre of the published formula; range and virtual cohort unverified: "
                "this project's choice"
            ),
            meaning="ratio of arterial oxygen pressure to inspired oxygen fraction",
            distribution=Uniform(100.0, 300.0),
            column="PF",
        ),
    ),
    outputs=(
        Output(
            name="concentration",
            unit="mg/L",
            residual=Residual(
                "combined2",
                additive=Param(0.2, "mg/L", _SOURCE, "additive residual standard deviation"),
                proportional=Param(0.1, "1", _SOURCE, "proportional residual standard deviation"),
            ),
            meaning="amikacin in plasma",
        ),
    ),
    targets=(
        Target(
            "concentration",
            "peak",
            64.0,
            80.0,
            "mg/L",
            "eight to ten times an MIC of 8 mg/L: Logre E et al. Ann Intensive Care 2020;10:75",
        ),
    ),
    dosing=DosingOptions(
        routes=(Route("30-min intravenous infusion", "central", 0.5),),
        amounts_mg=tuple(float(amount) for amount in range(250, 3001, 250)),
        intervals_h=(24.0, 36.0, 48.0),
        usual_dose_mg=2000.0,
        source=(
            "25 mg/kg once a day (Logre 2020), infusion of the posologyr case study; the grid is this project's choice"
        ),
    ),
    limits_of_use=("critically ill adults", "developed on single doses", "no dialysis"),
    ambiguities=(
        (
            "residual variances are added (combined2), as in posologyr's test against nlmixr; posologyr's case "
            "study adds the standard deviations (combined1)"
        ),
        (
            "population size, and ranges of 45-126 kg and 4-412 mL/min, come from a public mrgsolve file of the "
            "paper's model without covariates; the ranges here are narrower or wider, see the covariates"
        ),
        "pages and DOI are unverified: no record of the paper was read",
    ),
    second_source="none: one transcription, whose MAP estimates against nlmixr are reproduced",
)
