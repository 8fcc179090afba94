"""High-dose methotrexate in adults with cancer, three compartments (Joerger 2006)."""

from jaxtyping import Array

from rl_drug_dosage.drugs.shared.molar_mass import MOLAR_MASSES
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

_ABSTRACT = "Joerger 2006, abstract"
_TABLE_2 = "Joerger 2006 Table 2, as transcribed in nlmixr2lib Joerger_2006_methotrexate.R"
_EQUATION_1 = "Joerger 2006 Equation 1, as transcribed in nlmixr2lib Joerger_2006_methotrexate.R"
_TABLE_1 = "Joerger 2006 Table 1 and Results, as transcribed in nlmixr2lib Joerger_2006_methotrexate.R"
_UMOL_PER_MG = 1000.0 / 454.44
"""Methotrexate has 454.44 g/mol."""


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL = 8.85 + 0.0423 (CRCL - 87) - 2.45 PPI - 1.46 NSAID; V1 = 23.0; Q = 0.444, 0.716; V2 = 185; V3 = 5.34."""
    return {
        "cl": theta["cl"]
        + theta["crcl_on_cl"] * (covariates["crcl_ml_per_min"] - 87.0)
        + theta["ppi_on_cl"] * covariates["ppi"]
        + theta["nsaid_on_cl"] * covariates["nsaid"],
        "v1": theta["v1"],
        "q2": theta["q2"],
        "v2": theta["v2"],
        "q3": theta["q3"],
        "v3": theta["v3"],
    }


DRUG = DrugModel(
    name="methotrexate-joerger2006",
    drug="methotrexate",
    title="High-dose methotrexate in adults with cancer (Joerger 2006)",
    citation=(
        "Joerger M, Huitema ADR, van den Bongard HJGD, Baas P, Schornagel JH, Schellens JHM, Beijnen JH. Determinants "
        "of the elimination of methotrexate and 7-hydroxy-methotrexate following high-dose infusional therapy to "
        "cancer patients. Br J Clin Pharmacol 2006;62(1):71-80."
    ),
    doi="10.1111/j.1365-2125.2005.02513.x",
    population="76 adults (17-77 years) with cancer, 304 courses of 0.3-12 g/m2 over 1-24 h, Amsterdam",
    molar_mass=MOLAR_MASSES["methotrexate"],
    structure=Mammillary(peripherals=2),
    thetas={
        "cl": Param(8.85, "L/h", f"{_ABSTRACT}; {_TABLE_2}", "clearance at CRCL 87 mL/min without PPI or NSAID"),
        "crcl_on_cl": Param(0.0423, "L/h per mL/min", _EQUATION_1, "change of clearance per mL/min of CRCL"),
        "ppi_on_cl": Param(-2.45, "L/h", _EQUATION_1, "change of clearance with a proton-pump inhibitor"),
        "nsaid_on_cl": Param(-1.46, "L/h", _EQUATION_1, "change of clearance after an NSAID"),
        "v1": Param(23.0, "L", _TABLE_2, "central volume"),
        "q2": Param(0.444, "L/h", _TABLE_2, "clearance to the first peripheral compartment"),
        "v2": Param(185.0, "L", _TABLE_2, "first peripheral volume"),
        "q3": Param(0.716, "L/h", _TABLE_2, "clearance to the second peripheral compartment"),
        "v3": Param(5.34, "L", _TABLE_2, "second peripheral volume"),
    },
    parameters=parameters,
    etas=(
        Eta("cl", Param(19.6, "%", _TABLE_2, "between-subject CV of clearance"), kind="cv_exact"),
        Eta("q2", Param(32.0, "%", _TABLE_2, "between-subject CV of the first exchange"), kind="cv_exact"),
        Eta("v3", Param(31.0, "%", _TABLE_2, "between-subject CV of second peripheral volume"), kind="cv_exact"),
    ),
    covariates=(
        Covariate(
            name="crcl_ml_per_min",
            unit="mL/min",
            low=40.0,
            high=140.0,
            typical=87.0,
            source=(
                f"{_TABLE_1}: median 87.5, range 40-140; the log-scale spread of the virtual cohort is a sixth of it"
            ),
            meaning="Cockcroft-Gault creatinine clearance before the course; 140 mL/min for all above",
            distribution=LogNormal(87.5, 0.21),
            column="CRCL",
        ),
        Covariate(
            name="ppi",
            unit="0/1",
            low=0.0,
            high=1.0,
            typical=0.0,
            source=f"{_TABLE_1}: 13 of 76",
            meaning="takes omeprazole or lansoprazole during the course",
            distribution=Categorical((0.0, 1.0), (63 / 76, 13 / 76)),
            column="PPI",
        ),
        Covariate(
            name="nsaid",
            unit="0/1",
            low=0.0,
            high=1.0,
            typical=0.0,
            source=f"{_TABLE_1}: 6 of 76",
            meaning="took diclofenac or ibuprofen until the day before",
            distribution=Categorical((0.0, 1.0), (70 / 76, 6 / 76)),
            column="NSAID",
        ),
    ),
    outputs=(
        Output(
            name="concentration",
            unit="umol/L",
            residual=Residual(
                "lognormal", proportional=Param(52.3, "%", _TABLE_2, "residual SD on the log scale, in per cent")
            ),
            value=lambda state, p: _UMOL_PER_MG * state["central"] / p["v1"],
            meaning="methotrexate in plasma",
            auc_scale=_UMOL_PER_MG,
        ),
    ),
    targets=(
        Target(
            "concentration",
            "auc_total",
            1000.0,
            1100.0,
            "umol h/L",
            "AUC of a course of 1,000-1,100 umol h/L in lymphoma of the nervous system (Joerger M et al. Br J Clin "
            "Pharmacol 2012;73:240-247): from memory, unverified",
        ),
    ),
    dosing=DosingOptions(
        routes=(Route("4-h intravenous infusion", "central", 4.0), Route("24-h intravenous infusion", "central", 24.0)),
        amounts_mg=tuple(float(amount) for amount in range(500, 20001, 250)),
        intervals_h=(336.0, 168.0, 504.0),
        usual_dose_mg=4250.0,
        source=(
            f"{_TABLE_1}: 0.3-12 g/m2, mostly 1-5 g/m2 over 1-6 h, at a median of 1.94 m2; steps and intervals of one "
            "to three weeks are this project's choice"
        ),
    ),
    limits_of_use=(
        "adults with leucovorin rescue, hydration and alkaline urine",
        "no acute kidney injury during the course, no ascites or effusions, no glucarpidase",
        "7-hydroxy-methotrexate is left out",
        "the target is the AUC of one course: over several courses it adds up",
    ),
    ambiguities=(
        (
            "Equation 1 is printed with 87 - CRCL, against the text, where clearance rises with CRCL: the sign is "
            "turned, as nlmixr2lib does"
        ),
        "the residual error is additive on the log scale: 52.3 % is read as its standard deviation",
        "CVs are read as exact: omega^2 = 0.0377, 0.0975 and 0.0918",
        (
            "for the metabolite the abstract has decreases of 39 and 38 % where its equation gives 18 % of 2 L/h: one "
            "more reason to leave it out"
        ),
        "Taylor 2020 (MTXPK.org, 772 children) is better known, but prints no residual error",
    ),
    second_source=(
        "the abstract prints clearance (8.85), and 27 % and 16 % less with benzimidazoles and NSAIDs: 2.45 and 1.46 of "
        "8.85 are 27.7 and 16.5 %. Volumes, exchange and random effects have one reader, nlmixr2lib"
    ),
)
