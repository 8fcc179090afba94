"""Oral digoxin in Japanese patients with atrial fibrillation and heart failure, one compartment (Hirai 2022)."""

import jax.numpy as jnp
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
    Normal,
    Output,
    Param,
    Residual,
    Route,
    Target,
    Values,
)

__all__ = ["DRUG"]

_TABLE_3 = "Hirai 2022 Table 3, as transcribed in nlmixr2lib Hirai_2022_digoxin.R"
_TABLE_1 = "Hirai 2022 Table 1, as transcribed in nlmixr2lib Hirai_2022_digoxin.R"
_ABSTRACT = "Hirai 2022, abstract"


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL/F = 6.209 (min(CRCL, 120)/60)^0.409 (1 - 0.238 AMIODARONE); V/F = 6.0 WT; ka = 1.0."""
    renal = jnp.minimum(covariates["crcl_ml_per_min"], theta["crcl_cap"]) / 60.0
    amiodarone = 1.0 + theta["amiodarone_on_cl"] * covariates["amiodarone"]
    return {
        "cl": theta["cl"] * renal ** theta["crcl_on_cl"] * amiodarone,
        "v1": theta["v1"] * covariates["wt_kg"],
        "ka": theta["ka"],
    }


DRUG = DrugModel(
    name="digoxin-hirai2022",
    drug="digoxin",
    title="Oral digoxin in atrial fibrillation and heart failure (Hirai 2022)",
    citation=(
        "Hirai T, Kasai H, Naganuma M, Hagiwara N, Shiga T. Population pharmacokinetic analysis and dosage "
        "recommendations for digoxin in Japanese patients with atrial fibrillation and heart failure using real-world "
        "data. BMC Pharmacol Toxicol 2022;23:14."
    ),
    doi="10.1186/s40360-022-00552-y",
    population="391 Japanese adults with atrial fibrillation and heart failure, 3,465 troughs, one hospital, 2008-2016",
    molar_mass=MOLAR_MASSES["digoxin"],
    structure=Mammillary(depot=True),
    thetas={
        "cl": Param(6.209, "L/h", _TABLE_3, "apparent clearance at CRCL 60 mL/min without amiodarone"),
        "crcl_on_cl": Param(0.409, "1", _TABLE_3, "exponent of CRCL / 60 mL/min on clearance"),
        "crcl_cap": Param(120.0, "mL/min", "Hirai 2022 Methods (nlmixr2lib)", "CRCL above which clearance stays"),
        "amiodarone_on_cl": Param(-0.238, "1", _TABLE_3, "change of clearance with amiodarone"),
        "v1": Param(6.0, "L/kg", f"{_TABLE_3} (fixed)", "apparent volume per kg of body weight"),
        "ka": Param(1.0, "1/h", f"{_TABLE_3} (fixed)", "absorption from tablets"),
    },
    parameters=parameters,
    etas=(Eta("cl", Param(34.4, "%", _TABLE_3, "omega of log clearance"), kind="cv_approx"),),
    covariates=(
        Covariate(
            name="crcl_ml_per_min",
            unit="mL/min",
            low=10.0,
            high=200.0,
            typical=56.5,
            source=f"{_TABLE_1}: median 56.5, quartiles 40.7 and 75.6; range unverified: this project's choice",
            meaning="Cockcroft-Gault creatinine clearance; 120 mL/min counts for all above",
            distribution=LogNormal(56.5, 0.46),
            column="CRCL",
        ),
        Covariate(
            name="wt_kg",
            unit="kg",
            low=30.0,
            high=120.0,
            typical=57.0,
            source=f"{_TABLE_1}: mean 57, SD 15; range unverified: this project's choice",
            meaning="body weight",
            distribution=Normal(57.0, 15.0),
            column="WT",
            aliases=WEIGHT,
        ),
        Covariate(
            name="amiodarone",
            unit="0/1",
            low=0.0,
            high=1.0,
            typical=0.0,
            source=f"{_TABLE_1}: 63 of 391",
            meaning="takes amiodarone as well",
            distribution=Categorical((0.0, 1.0), (328 / 391, 63 / 391)),
            column="AMIO",
        ),
    ),
    outputs=(
        Output(
            name="concentration",
            unit="ng/mL",
            residual=Residual("proportional", proportional=Param(36.6, "%", _TABLE_3, "proportional residual SD")),
            value=lambda state, p: 1000.0 * state["central"] / p["v1"],
            meaning="digoxin in serum",
            auc_scale=1000.0,
        ),
    ),
    targets=(
        Target(
            "concentration",
            "trough",
            0.5,
            0.9,
            "ng/mL",
            f"below 0.9 ng/mL in heart failure: {_ABSTRACT}; from 0.5 ng/mL: Komatsu T et al. J Pharm Health Care Sci "
            "2015;1:25, abstract",
        ),
    ),
    dosing=DosingOptions(
        routes=(Route("tablet", "depot"),),
        amounts_mg=tuple(0.0625 * count for count in range(9)),
        intervals_h=(24.0, 48.0),
        usual_dose_mg=0.125,
        source=f"{_TABLE_1}: 0.0625, 0.125 and 0.25 mg a day; up to 0.5 mg in the same steps: this project's choice",
    ),
    limits_of_use=(
        "maintenance doses: distribution was not observed, and levels within 6 h of a dose are not described",
        "no intravenous loading, no dialysis",
    ),
    ambiguities=(
        (
            "omega of 34.4 % is read as the standard deviation itself, which reproduces Table 4 of the paper slightly "
            "better than an exact CV (nlmixr2lib's comparison)"
        ),
        "volume and absorption come from the literature: only troughs were measured",
    ),
    second_source=(
        "the equation in the paper's Results, in two digits (6.2, 0.41, 0.24), and the eighteen probabilities of its "
        "Table 4, both read in nlmixr2lib's vignette: the model reproduces them. Komatsu 2015 (192 other Japanese) has "
        "4.4 L/h with amiodarone and 7.9 without at CRCL 60 mL/min, here 4.7 and 6.2"
    ),
)
