"""Gentamicin in critically ill adults, one compartment: the Bos 2019 model refitted in Quebec (Duong 2022)."""

from jaxtyping import Array

from rl_drug_dosage.drugs.shared.molar_mass import MOLAR_MASSES
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

_LIB = "as transcribed in nlmixr2lib Duong_2022_gentamicin_bos.R"
_TABLE_S2 = f"Duong 2022 Table S2, row of Bos et al., {_LIB}"
_TABLE_S1 = f"Bos 2019, residual error as in Duong 2022 Table S1, {_LIB}; the refit's is not reported"
_TABLE_1 = f"Duong 2022 Table 1, {_LIB}"


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL = 3.44 (1 + 0.00925 (CRCL - 92)); V = 22.4."""
    renal = 1.0 + theta["crcl_on_cl"] * (covariates["crcl_ml_per_min"] - 92.0)
    return {"cl": theta["cl"] * renal, "v1": theta["v1"]}


DRUG = DrugModel(
    name="gentamicin-duong2022",
    drug="gentamicin",
    title="Gentamicin in critically ill adults in Quebec (Duong 2022)",
    citation=(
        "Duong A, Simard C, Williamson D, Marsot A. Model re-estimation: an alternative for poor predictive "
        "performance during external evaluations? Example of gentamicin in critically ill patients. Pharmaceutics "
        "2022;14(7):1426. Structure: Bos JC et al. Antimicrob Agents Chemother 2019;63(4):e02328-18."
    ),
    doi="10.3390/pharmaceutics14071426",
    population=(
        "87 critically ill adults (59 +- 18 years, 80 +- 22 kg) with sepsis or endocarditis, two hospitals in Montreal "
        "and Quebec, 2009-2020"
    ),
    molar_mass=MOLAR_MASSES["gentamicin"],
    structure=Mammillary(),
    thetas={
        "cl": Param(3.44, "L/h", _TABLE_S2, "clearance at a creatinine clearance of 92 mL/min"),
        "crcl_on_cl": Param(
            0.00925, "min/mL", _TABLE_S2, "fractional change of clearance per mL/min of CRCL from 92 mL/min"
        ),
        "v1": Param(22.4, "L", _TABLE_S2, "volume, of any weight"),
    },
    parameters=parameters,
    etas=(
        Eta("cl", Param(27.1, "%", _TABLE_S2, "between-subject CV of clearance"), kind="cv_exact"),
        Eta("v1", Param(39.4, "%", _TABLE_S2, "between-subject CV of volume"), kind="cv_exact"),
    ),
    covariates=(
        Covariate(
            name="crcl_ml_per_min",
            unit="mL/min",
            low=10.0,
            high=250.0,
            typical=92.0,
            source=(
                f"{_TABLE_1}: mean 92.2, SD 48.9 (the cohort is log-normal with these); typical value: centre of the "
                "published formula; limits unverified: this project's choice"
            ),
            meaning="Cockcroft-Gault creatinine clearance",
            distribution=LogNormal(81.5, 0.498),
            column="CRCL",
        ),
    ),
    outputs=(
        Output(
            name="concentration",
            unit="mg/L",
            residual=Residual(
                "combined2",
                additive=Param(0.056, "mg/L", _TABLE_S1, "additive residual standard deviation"),
                proportional=Param(32.0, "%", _TABLE_S1, "proportional residual standard deviation"),
            ),
            meaning="gentamicin in serum",
        ),
    ),
    targets=(
        Target(
            "concentration",
            "auc24",
            70.0,
            100.0,
            "mg h/L",
            "Kirkpatrick 1999 (gentamicin once daily), abstract: AUC24 of 70-100 mg h/L",
        ),
    ),
    dosing=DosingOptions(
        routes=(
            Route("30-min intravenous infusion", "central", 0.5),
            Route("1-h intravenous infusion", "central", 1.0),
        ),
        amounts_mg=tuple(float(amount) for amount in range(40, 701, 20)),
        intervals_h=(24.0, 8.0, 12.0, 36.0, 48.0),
        usual_dose_mg=200.0,
        source=(
            f"{_TABLE_1}: total daily dose 2.4 +- 1.1 mg/kg, about 200 mg at 80 kg; grid, intervals and infusions are "
            "this project's choice"
        ),
    ),
    limits_of_use=(
        "adults in intensive care without renal replacement therapy",
        "volume and clearance do not depend on weight",
        "one compartment: neither the first minutes after an infusion nor the slow phase of gentamicin are described",
    ),
    ambiguities=(
        "CVs are read as exact (nlmixr2lib)",
        "residual errors are those that Bos 2019 estimated in other patients, since the refit's were not reported",
        "'mixed' residual error is read as added variances (nlmixr2lib)",
    ),
    second_source="no second transcription was read",
)
