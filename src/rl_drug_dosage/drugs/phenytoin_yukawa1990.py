"""Oral phenytoin in Japanese outpatients with epilepsy, saturable elimination (Yukawa 1990)."""

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.drugs.shared.molar_mass import MOLAR_MASSES
from rl_drug_dosage.drugs.shared.spoken import AGE, WEIGHT
from rl_drug_dosage.pkpd import (
    Categorical,
    Covariate,
    DosingOptions,
    DrugModel,
    Eta,
    Normal,
    Output,
    Param,
    Residual,
    Route,
    Target,
    Uniform,
    Values,
)
from rl_drug_dosage.pkpd.ode_models import michaelis_menten

__all__ = ["DRUG"]

_TABLE_3 = "Yukawa 1990 Table III (model 2), as transcribed in nlmixr2lib Yukawa_1990_phenytoin.R"
_TABLE_1 = "Yukawa 1990 Tables I and II, as transcribed in nlmixr2lib Yukawa_1990_phenytoin.R"
_LITERATURE = "literature constant in nlmixr2lib Yukawa_1990_phenytoin.R, not from the paper"


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """Vmax = 325 (WT/60)^0.737 1.08^AED mg/d; Km = 2.41 0.752^child 1.32^AED mg/L."""
    combined = covariates["combined"]
    child = jnp.where(covariates["age_y"] < 15.0, 1.0, 0.0)
    vmax_mg_per_day = theta["vmax"] * (covariates["wt_kg"] / 60.0) ** theta["wt_on_vmax"]
    return {
        "vmax": vmax_mg_per_day * theta["combined_on_vmax"] ** combined / 24.0,
        "km": theta["km"] * theta["child_on_km"] ** child * theta["combined_on_km"] ** combined,
        "v1": theta["v"] * covariates["wt_kg"],
        "ka": theta["ka"],
    }


DRUG = DrugModel(
    name="phenytoin-yukawa1990",
    drug="phenytoin",
    title="Oral phenytoin in Japanese outpatients (Yukawa 1990)",
    citation=(
        "Yukawa E, Higuchi S, Aoyama T. Population pharmacokinetics of phenytoin from routine clinical data in "
        "Japan: an update. Chem Pharm Bull (Tokyo) 1990;38:1973-1976."
    ),
    doi="10.1248/cpb.38.1973",
    population="334 outpatients with epilepsy (756 pairs of daily dose and steady-state level), one hospital in Japan",
    molar_mass=MOLAR_MASSES["phenytoin"],
    structure=michaelis_menten(depot=True),
    thetas={
        "vmax": Param(325.0, "mg/d", _TABLE_3, "maximal elimination of an adult of 60 kg on phenytoin alone"),
        "km": Param(2.41, "mg/L", _TABLE_3, "level at half-maximal elimination of an adult on phenytoin alone"),
        "wt_on_vmax": Param(0.737, "1", _TABLE_3, "exponent of WT / 60 kg on Vmax"),
        "child_on_km": Param(0.752, "1", _TABLE_3, "factor on Km below 15 y"),
        "combined_on_vmax": Param(1.08, "1", _TABLE_3, "factor on Vmax with another antiepileptic"),
        "combined_on_km": Param(1.32, "1", _TABLE_3, "factor on Km with another antiepileptic"),
        "v": Param(0.6, "L/kg", _LITERATURE, "volume of distribution of total drug", unverified=True),
        "ka": Param(1.5, "1/h", _LITERATURE, "absorption from tablets", unverified=True),
    },
    parameters=parameters,
    etas=(
        Eta("vmax", Param(19.3, "%", _TABLE_3, "between-subject CV of Vmax"), kind="cv_approx"),
        Eta("km", Param(63.1, "%", _TABLE_3, "between-subject CV of Km"), kind="cv_approx"),
    ),
    covariates=(
        Covariate(
            name="age_y",
            unit="y",
            low=0.6,
            high=71.1,
            typical=24.3,
            source=(
                f"{_TABLE_1}: mean 24.3, range 0.6-71.1; virtual cohort 15 y and older, uniform: this project's choice"
            ),
            meaning="age; below 15 y counts as a child",
            distribution=Uniform(15.0, 71.1),
            column="AGE",
            aliases=AGE,
        ),
        Covariate(
            name="wt_kg",
            unit="kg",
            low=9.0,
            high=115.0,
            typical=60.0,
            source=f"{_TABLE_1}: mean 49.1, sd 15.5, range 9-115; 60 kg is the paper's standard patient",
            meaning="body weight",
            distribution=Normal(49.1, 15.5),
            column="WT",
            aliases=WEIGHT,
        ),
        Covariate(
            name="combined",
            unit="0/1",
            low=0.0,
            high=1.0,
            typical=0.0,
            source=f"{_TABLE_1}: 233 of 334",
            meaning="takes another antiepileptic as well",
            distribution=Categorical((0.0, 1.0), (101 / 334, 233 / 334)),
            column="COAED",
        ),
    ),
    outputs=(
        Output(
            "concentration",
            "mg/L",
            Residual(
                "proportional",
                proportional=Param(10.3, "%", _TABLE_3, "residual CV, which the paper applies to the dose"),
            ),
            meaning="total phenytoin in serum",
        ),
    ),
    targets=(Target("concentration", "trough", 10.0, 20.0, "mg/L", f"therapeutic range given with {_TABLE_1}"),),
    dosing=DosingOptions(
        routes=(Route("tablet", "depot"), Route("intravenous bolus", "central")),
        amounts_mg=tuple(float(amount) for amount in range(0, 401, 25)),
        intervals_h=(12.0, 8.0, 24.0),
        usual_dose_mg=125.0,
        source="steps of 25 mg, two or three times daily; mean dose of the cohort 225.8 mg/d; this project's choice",
    ),
    limits_of_use=(
        "built on steady-state levels only: the time to steady state depends on two literature constants",
        (
            "tablets only: the paper's powder has a bioavailability that falls with the daily dose, 1 - exp(-9.92 / "
            "(mg/kg/d))"
        ),
        "a daily dose at or above Vmax has no steady state: levels rise indefinitely",
        "total concentrations; not for low albumin or renal failure",
    ),
    ambiguities=(
        (
            "CVs are read as sqrt(omega^2) (nlmixr2lib), usual for 1990; read as exact, Km would vary less (0.335 "
            "instead of 0.398)"
        ),
        (
            "the residual error of 10.3 % applies to the predicted daily dose; for the level it is larger by (Km + "
            "C) / Km at steady state. nlmixr2lib applies it to the level, as does this file"
        ),
        "nlmixr2lib fixes V at 36 L; here it is 0.6 L/kg",
    ),
    second_source="none: nlmixr2lib is the only transcription found",
)
