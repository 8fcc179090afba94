"""Effect of propofol and remifentanil on BIS: the Bouillon 2004 surface with Schnider's and Minto's kinetics."""

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.drugs.propofol_schnider1998 import DRUG as PROPOFOL
from rl_drug_dosage.drugs.remifentanil_minto1997 import DRUG as REMIFENTANIL
from rl_drug_dosage.drugs.shared.anaesthesia import BIS_ETAS, BIS_TARGET, BIS_THETAS, bis_output, bis_parameters
from rl_drug_dosage.pkpd import DosingOptions, DrugModel, Eta, LinearSystem, Output, Param, Route, Target, Values

__all__ = ["DRUG"]

_COMPARTMENTS = (
    "central",
    "peripheral1",
    "peripheral2",
    "effect",
    "remi_central",
    "remi_peripheral1",
    "remi_peripheral2",
    "remi_effect",
)
_KINETICS = ("cl", "v1", "q2", "v2", "q3", "v3", "ke0")
_REMI = "remi_"


def _prefixed(thetas: dict[str, Param]) -> dict[str, Param]:
    return {f"{_REMI}{name}": theta for name, theta in thetas.items()}


def _block(p: Values, prefix: str) -> Array:
    """Rate matrix, 1/h, of one drug: central and two peripherals (mg), effect site (mg/L)."""
    cl, v1, q2, v2, q3, v3, ke0 = (p[f"{prefix}{name}"] for name in _KINETICS)
    zero = jnp.zeros_like(cl)
    return jnp.stack(
        [
            jnp.stack([-(cl + q2 + q3) / v1, q2 / v2, q3 / v3, zero]),
            jnp.stack([q2 / v1, -q2 / v2, zero, zero]),
            jnp.stack([q3 / v1, zero, -q3 / v3, zero]),
            jnp.stack([ke0 / v1, zero, zero, -ke0]),
        ]
    )


def matrix(p: Values) -> Array:
    """Two drugs without a pharmacokinetic interaction."""
    return jnp.zeros((8, 8)).at[:4, :4].set(_block(p, "")).at[4:, 4:].set(_block(p, _REMI))


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """Schnider's parameters, Minto's with the prefix ``remi_``, and the surface."""
    propofol = PROPOFOL.parameters(theta, {**covariates, "remi_ce_ng_per_ml": jnp.zeros(())})
    own = {name.removeprefix(_REMI): value for name, value in theta.items() if name.startswith(_REMI)}
    remifentanil = REMIFENTANIL.parameters(own, covariates)
    return {
        **{name: jnp.asarray(propofol[name], dtype=float) for name in _KINETICS},
        **{f"{_REMI}{name}": jnp.asarray(remifentanil[name], dtype=float) for name in _KINETICS},
        **bis_parameters(theta),
    }


_REMI_ETAS = tuple(Eta(f"{_REMI}{e.parameter}", e.size, e.kind, e.form) for e in REMIFENTANIL.etas)

DRUG = DrugModel(
    name="propofol-remifentanil-bouillon2004",
    drug="propofol with remifentanil",
    title="Effect of propofol and remifentanil on BIS (Bouillon 2004)",
    citation=(
        "Bouillon TW, Bruhn J, Radulescu L, Andresen C, Shafer TJ, Cohane C, Shafer SL. Pharmacodynamic "
        "interaction between propofol and remifentanil regarding hypnosis, tolerance of laryngoscopy, "
        "bispectral index, and electroencephalographic approximate entropy. Anesthesiology 2004;100:1353-1372. "
        f"Kinetics: {PROPOFOL.citation} {REMIFENTANIL.citation}"
    ),
    doi="10.1097/00000542-200406000-00006",
    population=(
        "surface: 20 healthy volunteers, each drug alone and with a constant level of the other; kinetics: "
        "see the two drug files"
    ),
    structure=LinearSystem(
        _COMPARTMENTS,
        matrix,
        (*_KINETICS, *(f"{_REMI}{name}" for name in _KINETICS)),
    ),
    thetas={
        **{name: theta for name, theta in PROPOFOL.thetas.items() if name not in BIS_THETAS},
        **_prefixed(dict(REMIFENTANIL.thetas)),
        **BIS_THETAS,
    },
    parameters=parameters,
    etas=(*(e for e in PROPOFOL.etas if e not in BIS_ETAS), *_REMI_ETAS, *BIS_ETAS),
    covariates=tuple(c for c in PROPOFOL.covariates if c.name != "remi_ce_ng_per_ml"),
    outputs=(
        bis_output("remi_effect"),
        Output("effect_site", "mg/L", None, lambda state, p: state["effect"], "propofol at the effect site"),
        Output(
            "remi_effect_site",
            "ng/mL",
            None,
            lambda state, p: 1000.0 * state["remi_effect"],
            "remifentanil at the effect site",
        ),
        Output("concentration", "mg/L", None, meaning="propofol in arterial blood"),
        Output(
            "remi_concentration",
            "ng/mL",
            None,
            lambda state, p: 1000.0 * state["remi_central"] / p["remi_v1"],
            "remifentanil in arterial blood",
        ),
    ),
    targets=(
        BIS_TARGET,
        Target("remi_effect_site", "value", 2.0, 4.0, "ng/mL", REMIFENTANIL.targets[0].source),
    ),
    dosing=DosingOptions(
        routes=(
            Route("10-s infusion step of propofol", "central", 10.0 / 3600.0),
            Route("10-s infusion step of remifentanil", "remi_central", 10.0 / 3600.0),
        ),
        amounts_mg=PROPOFOL.dosing.amounts_mg,
        intervals_h=PROPOFOL.dosing.intervals_h,
        usual_dose_mg=PROPOFOL.dosing.usual_dose_mg,
        source=(
            "the grid is for propofol; remifentanil steps are 0-0.05 mg, see remifentanil-minto1997; this "
            "project's choice"
        ),
    ),
    limits_of_use=(
        *PROPOFOL.limits_of_use,
        "one dose grid for two drugs: remifentanil needs its own grid, given in its own drug file",
    ),
    ambiguities=(
        (
            "Bouillon estimated study-specific effect sites; this file combines the surface with Schnider's and "
            "Minto's, as does Python Anesthesia Simulator"
        ),
        (
            "beta is 0, so the surface is additive for BIS; the same paper finds strong synergy for responsiveness, "
            "which is not modelled here"
        ),
        *REMIFENTANIL.ambiguities,
    ),
    second_source=(
        "Python Anesthesia Simulator combines the same three models; no other transcription of the surface was found"
    ),
)
