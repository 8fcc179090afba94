"""Propofol, weight-proportional three-compartment model of the first TCI pumps, with BIS (Marsh 1991)."""

from jaxtyping import Array

from rl_drug_dosage.drugs.shared.anaesthesia import (
    BIS_ETAS,
    BIS_TARGET,
    BIS_THETAS,
    REMIFENTANIL_COVARIATE,
    bis_output,
    bis_parameters,
    uniform_adults,
)
from rl_drug_dosage.pkpd import DosingOptions, DrugModel, Mammillary, Output, Param, Route, Values

__all__ = ["DRUG"]

_TABLE = "Marsh 1991 (Diprifusor set), as transcribed in opentiva propofol.py and in CRAN package tci poppk_mods.R"
_RANGE = "Diprifusor limits 16 y and older, up to 150 kg (opentiva propofol.py); the lower limit of 30 kg is unverified"


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """V1 = 0.228 L/kg; the other volumes and the clearances follow from the rate constants."""
    v1 = theta["v1"] * covariates["wt_kg"]
    return {
        "cl": 60.0 * theta["k10"] * v1,
        "v1": v1,
        "q2": 60.0 * theta["k12"] * v1,
        "v2": v1 * theta["k12"] / theta["k21"],
        "q3": 60.0 * theta["k13"] * v1,
        "v3": v1 * theta["k13"] / theta["k31"],
        "ke0": 60.0 * theta["ke0"],
        "remi_ce_ng_per_ml": covariates["remi_ce_ng_per_ml"],
        **bis_parameters(theta),
    }


DRUG = DrugModel(
    name="propofol-marsh1991",
    drug="propofol",
    title="Propofol, the Diprifusor model, with BIS (Marsh 1991)",
    citation="Marsh B, White M, Morton N, Kenny GNC. Pharmacokinetic model driven infusion of propofol in children. "
    "Br J Anaesth 1991;67:41-48. Effect site: Struys MMRF et al. Anesthesiology 2000;92:399-406. "
    "BIS: Bouillon TW et al. Anesthesiology 2004;100:1353-1372.",
    doi="10.1093/bja/67.1.41",
    population=(
        "rate constants of 18 adults under regional anaesthesia (Gepts 1987); V1 changed in a study of 20 children"
    ),
    structure=Mammillary(peripherals=2, effect=True),
    thetas={
        "v1": Param(0.228, "L/kg", _TABLE, "central volume per kg of total body weight"),
        "k10": Param(0.119, "1/min", _TABLE, "elimination"),
        "k12": Param(0.112, "1/min", _TABLE, "central to fast peripheral"),
        "k13": Param(0.0419, "1/min", _TABLE, "central to slow peripheral"),
        "k21": Param(0.055, "1/min", _TABLE, "fast peripheral to central"),
        "k31": Param(0.0033, "1/min", _TABLE, "slow peripheral to central"),
        "ke0": Param(
            1.2,
            "1/min",
            "Struys 2000 ('modified Marsh'), as transcribed in opentiva, tci and Python Anesthesia Simulator",
            "equilibration rate of the effect site",
        ),
        **BIS_THETAS,
    },
    parameters=parameters,
    etas=BIS_ETAS,
    covariates=(
        uniform_adults("wt_kg", "kg", (30.0, 150.0), 70.0, (50.0, 100.0), _RANGE),
        REMIFENTANIL_COVARIATE,
    ),
    outputs=(
        bis_output(),
        Output("effect_site", "mg/L", None, lambda state, p: state["effect"], "propofol at the effect site"),
        Output("concentration", "mg/L", None, meaning="propofol in blood"),
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
        "16 years and older; age, height and sex are ignored, so elderly and obese patients are overdosed",
        "no between-subject variability of the kinetics was published, and none is added",
    ),
    ambiguities=(
        "ke0: 0.26 1/min in the Diprifusor, never published; 1.2 1/min in Struys 2000, which is followed",
        "k13 is 0.0419 1/min in opentiva and 0.042 in tci and Python Anesthesia Simulator: the first is used",
        (
            "opentiva also lists V2 0.463 and V3 2.893 L/kg; the rate constants give 0.464 and 2.895, and they are "
            "followed"
        ),
        "Python Anesthesia Simulator gives every parameter an unpublished CV of 100 %; left out",
        "the BIS surface was estimated with a different effect-site model",
    ),
    second_source="opentiva, CRAN tci and Python Anesthesia Simulator: agree except for k13",
)
