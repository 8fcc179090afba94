"""Morphine and its glucuronides in neonates and infants (Knibbe 2009)."""

import math

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.drugs.shared.spoken import WEIGHT
from rl_drug_dosage.pkpd import (
    Correlation,
    Covariate,
    DosingOptions,
    DrugModel,
    Eta,
    LinearSystem,
    LogNormal,
    Output,
    Param,
    Residual,
    Route,
    Target,
    Uniform,
    Values,
)

__all__ = ["DRUG"]

_LST = "Knibbe 2009, NONMEM output of DDMODEL00000248, as transcribed in nlmixr2lib Knibbe_2009_morphine.R"
_MOD = "Knibbe 2009, control stream of DDMODEL00000248, as transcribed in nlmixr2lib Knibbe_2009_morphine.R"
_CHOICE = (
    "preterm neonates to children below 3 years (title of the paper); limits unverified; virtual cohort of neonates "
    "and typical value: this project's choice"
)


def matrix(p: Values) -> Array:
    """Morphine in two compartments, its glucuronides in one each; rows are the compartments' slopes."""
    v1, to_m3g, to_m6g = p["v1"], p["form_m3g"], p["form_m6g"]
    zero = jnp.zeros_like(v1)
    return jnp.stack(
        [
            jnp.stack([-(p["q2"] + to_m3g + to_m6g) / v1, p["q2"] / p["v2"], zero, zero]),
            jnp.stack([p["q2"] / v1, -p["q2"] / p["v2"], zero, zero]),
            jnp.stack([to_m3g / v1, zero, -p["excrete_m3g"] / p["v_glucuronide"], zero]),
            jnp.stack([to_m6g / v1, zero, zero, -p["excrete_m6g"] / p["v_glucuronide"]]),
        ]
    )


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """Clearances times WT^1.44, volumes times WT, Q without weight; glucuronidation rises after day 10.

    To M3G 0.00309 or 0.00825, to M6G 0.000408 or 0.000699, out of M3G 0.00219, of M6G 0.00111 L/min; V1 = V2 = 1.99 WT;
    glucuronides 0.119 V1.
    """
    for_clearance = 60.0 * covariates["wt_kg"] ** theta["wt_on_cl"]
    older = covariates["pna_days"] > 10.0
    v1 = theta["v1"] * covariates["wt_kg"]
    return {
        "form_m3g": jnp.where(older, theta["form_m3g_older"], theta["form_m3g_newborn"]) * for_clearance,
        "form_m6g": jnp.where(older, theta["form_m6g_older"], theta["form_m6g_newborn"]) * for_clearance,
        "excrete_m3g": theta["excrete_m3g"] * for_clearance,
        "excrete_m6g": theta["excrete_m6g"] * for_clearance,
        "q2": 60.0 * theta["q2"],
        "v1": v1,
        "v2": v1,
        "v_glucuronide": theta["glucuronide_on_v1"] * v1,
        "glucuronide_on_v1": theta["glucuronide_on_v1"],
    }


def finish(p: Values, covariates: Values) -> dict[str, Array]:
    """All volumes follow the individual central volume."""
    return {**p, "v2": p["v1"], "v_glucuronide": p["glucuronide_on_v1"] * p["v1"]}


def _sd(variance: float, meaning: str) -> Residual:
    source = f"{_LST}: square root of SIGMA {variance:g}"
    return Residual("lognormal", proportional=Param(math.sqrt(variance), "1", source, meaning))


DRUG = DrugModel(
    name="morphine-knibbe2009",
    drug="morphine",
    title="Morphine and its glucuronides in neonates and infants (Knibbe 2009)",
    citation=(
        "Knibbe CAJ, Krekels EHJ, van den Anker JN, DeJongh J, Santen GWE, van Dijk M, Simons SHP, van Lingen RA, "
        "Jacqz-Aigrain EM, Danhof M, Tibboel D. Morphine glucuronidation in preterm neonates, infants and children "
        "younger than 3 years. Clin Pharmacokinet 2009;48(6):371-385."
    ),
    doi="10.2165/00003088-200948060-00003",
    population=(
        "248 preterm and term neonates, infants and children below 3 years, 2,159 morphine levels, after surgery"
    ),
    structure=LinearSystem(
        names=("central", "peripheral1", "m3g", "m6g"),
        matrix=matrix,
        required=("form_m3g", "form_m6g", "excrete_m3g", "excrete_m6g", "q2", "v1", "v2", "v_glucuronide"),
    ),
    thetas={
        "form_m3g_newborn": Param(0.00309, "L/min", _LST, "clearance to M3G at 1 kg until day 10"),
        "form_m3g_older": Param(0.00825, "L/min", _LST, "clearance to M3G at 1 kg after day 10"),
        "form_m6g_newborn": Param(0.000408, "L/min", _LST, "clearance to M6G at 1 kg until day 10"),
        "form_m6g_older": Param(0.000699, "L/min", _LST, "clearance to M6G at 1 kg after day 10"),
        "excrete_m3g": Param(0.00219, "L/min", _LST, "clearance of M3G at 1 kg"),
        "excrete_m6g": Param(0.00111, "L/min", _LST, "clearance of M6G at 1 kg"),
        "wt_on_cl": Param(1.44, "1", _LST, "exponent of WT / 1 kg on these clearances"),
        "q2": Param(0.0289, "L/min", _LST, "intercompartmental clearance, without weight"),
        "v1": Param(1.99, "L/kg", _LST, "central, and peripheral, volume per kg of body weight"),
        "glucuronide_on_v1": Param(0.119, "1", _LST, "volume of either glucuronide over the central volume"),
    },
    parameters=parameters,
    finish=finish,
    etas=(
        Eta("form_m3g", Param(0.104, "1", _LST, "variance of log clearance to M3G"), kind="var"),
        Eta("v1", Param(0.230, "1", _LST, "variance of log central volume"), kind="var"),
        Eta("excrete_m6g", Param(0.185, "1", _LST, "variance of log clearance of M6G"), kind="var"),
        Eta("excrete_m3g", Param(0.258, "1", _LST, "variance of log clearance of M3G"), kind="var"),
    ),
    correlations=(
        Correlation(
            "excrete_m6g", "excrete_m3g", Param(0.178, "1", _LST, "covariance of both log clearances"), kind="cov"
        ),
    ),
    covariates=(
        Covariate(
            name="wt_kg",
            unit="kg",
            low=0.5,
            high=17.0,
            typical=3.0,
            source=_CHOICE,
            meaning="body weight",
            distribution=LogNormal(2.5, 0.35),
            column="WT",
            aliases=WEIGHT,
        ),
        Covariate(
            name="pna_days",
            unit="d",
            low=0.0,
            high=1095.0,
            typical=5.0,
            source=_CHOICE,
            meaning="age since birth",
            distribution=Uniform(0.0, 28.0),
            column="PNA",
        ),
    ),
    outputs=(
        Output(
            name="concentration",
            unit="ng/mL",
            residual=_sd(0.371, "log-scale residual SD of morphine"),
            value=lambda state, p: 1000.0 * state["central"] / p["v1"],
            meaning="morphine in plasma",
            auc_scale=1000.0,
        ),
        Output(
            name="m3g",
            unit="ng/mL",
            residual=_sd(0.206, "log-scale residual SD of M3G"),
            value=lambda state, p: 1000.0 * state["m3g"] / p["v_glucuronide"],
            meaning="morphine-3-glucuronide in plasma",
        ),
        Output(
            name="m6g",
            unit="ng/mL",
            residual=_sd(0.0967, "log-scale residual SD of M6G"),
            value=lambda state, p: 1000.0 * state["m6g"] / p["v_glucuronide"],
            meaning="morphine-6-glucuronide in plasma",
        ),
    ),
    targets=(
        Target(
            "concentration",
            "trough",
            20.0,
            40.0,
            "ng/mL",
            "level under a constant infusion: 20-40 ng/mL seem adequate in children (Pacifici GM. Clinics "
            "2016;71:474-480, abstract; the same says that neonates may need about 120 ng/mL)",
        ),
    ),
    dosing=DosingOptions(
        routes=(Route("24-h intravenous infusion", "central", 24.0), Route("intravenous bolus", "central")),
        amounts_mg=tuple(0.03 * count for count in range(201)),
        intervals_h=(24.0, 12.0, 6.0, 3.0),
        usual_dose_mg=0.03 * 24,
        source=(
            "10 ug/kg/h after 100 ug/kg, or 30 ug/kg every 3 h (Bouwmeester NJ et al. Br J Anaesth 2003;90:642-652, "
            "abstract), at 3 kg; steps of 0.03 mg are this project's choice"
        ),
    ),
    limits_of_use=(
        "a step at 10 days of age: clearance to the glucuronides jumps there",
        "no asphyxia with hypothermia, no extracorporeal circulation",
        "concentrations only: pain and respiratory depression are not in the model",
    ),
    ambiguities=(
        (
            "the numbers are those of the final output in the repository, of 338 children; the paper had 248, and "
            "prints an exponent of 1.44 as well"
        ),
        "levels of glucuronides are in the mass of morphine, as the control stream has no molar masses",
        "errors are additive on the log scale: their SDs are square roots of the printed SIGMAs",
        "an extra error of one study's samples (SIGMA 9.36) is left out",
    ),
    second_source=(
        "none besides nlmixr2lib, typed from the authors' NONMEM output. Clearance per kg of a term newborn and of an "
        "infant lies within one SD of Kart 1997's meta-analysis; that of a preterm newborn (3.8 mL/min/kg at 1.2 kg) "
        "is higher than its 2.2 (SD 0.7)"
    ),
)
