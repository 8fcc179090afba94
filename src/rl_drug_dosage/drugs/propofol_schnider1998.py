"""Propofol in adult volunteers, three compartments, effect site and BIS (Schnider 1998 and 1999, Bouillon 2004)."""

from jaxtyping import Array

from rl_drug_dosage.drugs.shared.anaesthesia import (
    BIS_ETAS,
    BIS_TARGET,
    BIS_THETAS,
    REMIFENTANIL_COVARIATE,
    bis_output,
    bis_parameters,
    female_covariate,
    james_lean_body_mass_kg,
    uniform_adults,
)
from rl_drug_dosage.pkpd import DosingOptions, DrugModel, Eta, Mammillary, Output, Param, Route, Values

__all__ = ["DRUG"]

_TABLE = (
    "Schnider 1998, covariate model, as transcribed identically in StevenLShafer/stanpumpR drugs_propofol.R and in "
    "Python Anesthesia Simulator pk_models.py"
)
_CV = "Schnider 1998, as transcribed identically in CRAN package tci and in Python Anesthesia Simulator pk_models.py"
_RANGE = "24 volunteers (11 women): 25-81 y, 44-123 kg, 155-191 cm (review at docsubra.com/tci_bibliography.html)"


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """V1 and V3 are constant; V2 and CL2 fall with age; CL1 is linear in weight, lean body mass (James) and height."""
    age, weight, height = covariates["age_y"], covariates["wt_kg"], covariates["height_cm"]
    lean = james_lean_body_mass_kg(weight, height, covariates["female"])
    clearance = (
        theta["cl1"]
        + theta["wt_on_cl1"] * (weight - 77.0)
        + theta["lbm_on_cl1"] * (lean - 59.0)
        + theta["height_on_cl1"] * (height - 177.0)
    )
    return {
        "cl": 60.0 * clearance,
        "v1": theta["v1"],
        "q2": 60.0 * (theta["cl2"] + theta["age_on_cl2"] * (age - 53.0)),
        "v2": theta["v2"] + theta["age_on_v2"] * (age - 53.0),
        "q3": 60.0 * theta["cl3"],
        "v3": theta["v3"],
        "ke0": 60.0 * theta["ke0"],
        "remi_ce_ng_per_ml": covariates["remi_ce_ng_per_ml"],
        **bis_parameters(theta),
    }


DRUG = DrugModel(
    name="propofol-schnider1998",
    drug="propofol",
    title="Propofol in adult volunteers, with BIS (Schnider 1998)",
    citation=(
        "Schnider TW, Minto CF, Gambus PL, Andresen C, Goodale DB, Shafer SL, Youngs EJ. The influence of "
        "method of administration and covariates on the pharmacokinetics of propofol in adult volunteers. "
        "Anesthesiology 1998;88:1170-1182. Effect site: Schnider TW et al. Anesthesiology 1999;90:1502-1516. "
        "BIS: Bouillon TW et al. Anesthesiology 2004;100:1353-1372."
    ),
    doi="10.1097/00000542-199805000-00006",
    population="24 healthy volunteers, 25-81 y, bolus and infusion, arterial samples",
    structure=Mammillary(peripherals=2, effect=True),
    thetas={
        "v1": Param(4.27, "L", _TABLE, "central volume"),
        "v2": Param(18.9, "L", _TABLE, "fast peripheral volume at 53 y"),
        "v3": Param(238.0, "L", _TABLE, "slow peripheral volume"),
        "cl1": Param(1.89, "L/min", _TABLE, "elimination clearance at 77 kg, lean body mass 59 kg, 177 cm"),
        "cl2": Param(1.29, "L/min", _TABLE, "clearance to the fast peripheral compartment at 53 y"),
        "cl3": Param(0.836, "L/min", _TABLE, "clearance to the slow peripheral compartment"),
        "age_on_v2": Param(-0.391, "L/y", _TABLE, "change of V2 per year from 53 y"),
        "age_on_cl2": Param(-0.024, "L/min/y", _TABLE, "change of CL2 per year from 53 y"),
        "wt_on_cl1": Param(0.0456, "L/min/kg", _TABLE, "change of CL1 per kg of total body weight from 77 kg"),
        "lbm_on_cl1": Param(-0.0681, "L/min/kg", _TABLE, "change of CL1 per kg of lean body mass from 59 kg"),
        "height_on_cl1": Param(0.0264, "L/min/cm", _TABLE, "change of CL1 per cm of height from 177 cm"),
        "ke0": Param(
            0.456,
            "1/min",
            "Schnider 1999, as transcribed in opentiva, tci and Python Anesthesia Simulator",
            "equilibration rate of the effect site (EEG)",
        ),
        **BIS_THETAS,
    },
    parameters=parameters,
    etas=(
        Eta("v1", Param(4.04, "%", _CV, "between-subject CV of V1"), kind="cv_exact"),
        Eta("v3", Param(14.35, "%", _CV, "between-subject CV of V3"), kind="cv_exact"),
        Eta("cl", Param(10.05, "%", _CV, "between-subject CV of CL1"), kind="cv_exact"),
        Eta("q3", Param(11.79, "%", _CV, "between-subject CV of CL3"), kind="cv_exact"),
        *BIS_ETAS,
    ),
    covariates=(
        uniform_adults("age_y", "y", (25.0, 81.0), 53.0, (18.0, 70.0), _RANGE),
        female_covariate(_RANGE),
        uniform_adults("height_cm", "cm", (155.0, 191.0), 177.0, (150.0, 190.0), _RANGE),
        uniform_adults("wt_kg", "kg", (44.0, 123.0), 77.0, (50.0, 100.0), _RANGE),
        REMIFENTANIL_COVARIATE,
    ),
    outputs=(
        bis_output(),
        Output("effect_site", "mg/L", None, lambda state, p: state["effect"], "propofol at the effect site"),
        Output("concentration", "mg/L", None, meaning="propofol in arterial blood"),
    ),
    targets=(BIS_TARGET,),
    dosing=DosingOptions(
        routes=(Route("10-s infusion step", "central", 10.0 / 3600.0), Route("intravenous bolus", "central", 0.0)),
        amounts_mg=tuple(0.25 * step for step in range(141)),
        intervals_h=(10.0 / 3600.0,),
        usual_dose_mg=1.75,
        source=(
            "pump of 10 mg/mL at 0-1,260 mL/h set every 10 s; usual dose about 9 mg/kg/h at 70 kg; this "
            "project's choice"
        ),
    ),
    limits_of_use=(
        "adults; not for the obese: James lean body mass decreases above BMI 42 (men) and 35 (women)",
        "V1 is the same for every patient, which underestimates early concentrations in small and frail patients",
        "no residual error is given: the transcriptions that were read have none",
    ),
    ambiguities=(
        "age is centred at 53 y in V2 (stanpumpR, Python Anesthesia Simulator, tci); opentiva 1.1.2 writes 52",
        "V2 and CL2 carry no random effect (tci: 0); Python Anesthesia Simulator gives them 1 %",
        (
            "CVs are read as exact log-normal CVs (tci, Python Anesthesia Simulator's formula); the latter then "
            "multiplies them by the typical value, which is not done here"
        ),
        "tci 0.2 uses lean body mass instead of total body weight in the 77 kg term; not followed",
        (
            "the BIS surface was estimated with its own effect site: using it with this ke0 is common practice "
            "(Python Anesthesia Simulator), not a published model"
        ),
        (
            "ke0 has no published between-subject variability; the 42 % in Python Anesthesia Simulator is its "
            "authors' guess and is left out"
        ),
    ),
    second_source=(
        "StevenLShafer/stanpumpR, Python Anesthesia Simulator, CRAN tci, opentiva: agree except for the listed errors"
    ),
)
