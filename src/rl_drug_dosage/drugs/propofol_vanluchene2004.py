"""Propofol by the modified Marsh kinetics, with the sigmoid BIS curve of Vanluchene 2004 (Ghent)."""

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.drugs.propofol_marsh1991 import DRUG as MARSH
from rl_drug_dosage.drugs.shared.anaesthesia import BIS_ETAS, BIS_TARGET, BIS_THETAS
from rl_drug_dosage.pkpd import DrugModel, Eta, Mammillary, Output, Param, Values, links

__all__ = ["DRUG"]

_BIS = (
    "Vanluchene 2004, BIS, as transcribed in Python Anesthesia Simulator pd_models.py (hill_model 'Vanluchene', "
    "version of yumuk1989/Python_Anesthesia_Simulator)"
)
_KINETICS = ("cl", "v1", "q2", "v2", "q3", "v3", "ke0")


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """Marsh's kinetics, proportional to weight; BIS = 95.9 - 87.5 Ce^2.69 / (4.92^2.69 + Ce^2.69)."""
    marsh = MARSH.parameters(
        {**theta, **{name: jnp.asarray(p.value) for name, p in BIS_THETAS.items()}},
        {**covariates, "remi_ce_ng_per_ml": jnp.zeros(())},
    )
    return {
        **{name: marsh[name] for name in _KINETICS},
        "bis_baseline": theta["bis_baseline"],
        "bis_fall": theta["bis_fall"],
        "bis_c50_propofol_mg_per_l": theta["bis_c50_propofol"],
        "bis_gamma": theta["bis_gamma"],
    }


def _bis(state: Values, p: Values) -> Array:
    """The curve, cut at 0 and 100, between which the index lies: a patient's baseline and fall are drawn apart."""
    fall = links.emax(state["effect"], p["bis_fall"], p["bis_c50_propofol_mg_per_l"], p["bis_gamma"])
    return jnp.clip(p["bis_baseline"] - fall, 0.0, 100.0)


DRUG = DrugModel(
    name="propofol-vanluchene2004",
    drug="propofol",
    title="Propofol by the modified Marsh model, with BIS (Vanluchene 2004)",
    citation=(
        "Vanluchene ALG, Vereecke H, Thas O, Mortier EP, Shafer SL, Struys MMRF. Spectral entropy as an "
        "electroencephalographic measure of anesthetic drug effect: a comparison with bispectral index and processed "
        f"midlatency auditory evoked response. Anesthesiology 2004;101:34-42. Kinetics: {MARSH.citation}"
    ),
    doi="10.1097/00000542-200407000-00008",
    population=(
        "BIS curve: patients of the group in Ghent, propofol alone, number and ages unverified; kinetics: see "
        "propofol-marsh1991"
    ),
    structure=Mammillary(peripherals=2, effect=True),
    thetas={
        **{name: theta for name, theta in MARSH.thetas.items() if name not in BIS_THETAS},
        "bis_baseline": Param(95.9, "1", _BIS, "BIS without drug"),
        "bis_fall": Param(87.5, "1", _BIS, "largest fall of BIS"),
        "bis_c50_propofol": Param(4.92, "mg/L", _BIS, "propofol Ce at half of the largest fall"),
        "bis_gamma": Param(2.69, "1", _BIS, "steepness of the curve"),
    },
    parameters=parameters,
    etas=(
        Eta("bis_baseline", Param(4.0, "%", _BIS, "CV of BIS without drug"), kind="cv_exact"),
        Eta("bis_fall", Param(11.0, "%", _BIS, "CV of the largest fall"), kind="cv_exact"),
        Eta("bis_c50_propofol_mg_per_l", Param(34.0, "%", _BIS, "CV of C50 of propofol"), kind="cv_exact"),
        Eta("bis_gamma", Param(32.0, "%", _BIS, "CV of the steepness"), kind="cv_exact"),
        *(eta for eta in MARSH.etas if eta not in BIS_ETAS),
    ),
    covariates=tuple(c for c in MARSH.covariates if c.name == "wt_kg"),
    outputs=(
        Output(
            "bis",
            "1",
            None,
            _bis,
            "bispectral index by the curve of Vanluchene 2004, without the noise and delay of a monitor",
        ),
        Output("effect_site", "mg/L", None, lambda state, p: state["effect"], "propofol at the effect site"),
        Output("concentration", "mg/L", None, meaning="propofol in blood"),
    ),
    targets=(BIS_TARGET,),
    dosing=MARSH.dosing,
    limits_of_use=(
        *MARSH.limits_of_use,
        "propofol alone: an opioid changes neither BIS nor the kinetics here",
    ),
    ambiguities=(
        *(text for text in MARSH.ambiguities if "BIS surface" not in text),
        (
            "kinetics and curve are two publications of one group's practice, not one fit: ke0 1.2 1/min (Struys 2000, "
            "Ghent) belongs to Marsh's kinetics, the curve was estimated with an effect site that was not read"
        ),
        "BIS is cut at 0 and 100: with independent log-normal baseline and fall 1 patient in 7 would begin above 100",
        "the CVs are read as exact log-normal CVs, as in Python Anesthesia Simulator; the paper was not read",
    ),
    second_source=(
        "a public controller script in MATLAB with 'average Hill function values (vanluchene)' has the same E0, Emax, "
        "C50 and gamma, without CVs; kinetics: see propofol-marsh1991"
    ),
)
