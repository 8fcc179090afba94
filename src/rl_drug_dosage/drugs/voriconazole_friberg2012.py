"""Voriconazole in children, adolescents and adults, saturable and linear elimination (Friberg 2012)."""

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.drugs.shared.molar_mass import MOLAR_MASSES
from rl_drug_dosage.drugs.shared.spoken import AGE, WEIGHT
from rl_drug_dosage.pkpd import (
    Categorical,
    Correlation,
    Covariate,
    DosingOptions,
    DrugModel,
    Eta,
    LogNormal,
    Output,
    Param,
    Residual,
    Route,
    Target,
    Uniform,
    Values,
)
from rl_drug_dosage.pkpd.ode import OdeSystem

__all__ = ["DRUG"]

_TABLE_3 = "Friberg 2012 Table 3, as transcribed in nlmixr2lib Friberg_2012_voriconazole.R"
_TABLE_2 = "Friberg 2012 Table 2, as transcribed in nlmixr2lib Friberg_2012_voriconazole.R"
_METHODS = "Friberg 2012 Methods (fixed), as transcribed in nlmixr2lib Friberg_2012_voriconazole.R"
_HELPERS = ("shared", "child", "size", "oral", "oral_adult", "speed")


def rhs(t: Array, x: Values, p: Values, pk: Values) -> Mapping[str, Array]:
    """dA/dt = ka depot - CL C - Vmax(t) C / (Km + C) - Q (C - Cp), and Vmax falls from 1 h on (Emax in time)."""
    since = jnp.maximum(t - 1.0, 0.0)
    vmax = p["vmax"] * (1.0 - p["vmax_inhibition"] * since / (since + p["t50"] - 1.0))
    central, other = x["central"] / p["v1"], x["peripheral1"] / p["v2"]
    absorbed, moved = p["ka"] * x["depot"], p["q2"] * (central - other)
    return {
        "depot": -absorbed,
        "central": absorbed - p["cl"] * central - vmax * central / (p["km"] + central) - moved,
        "peripheral1": moved,
    }


def _logistic(x: Array | float) -> Array:
    return 1.0 / (1.0 + jnp.exp(-x))


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL = 6.16 S^0.75; Vmax = 114 S^0.75; Km = 1.15; V1 = 79.0 S; V2 = 103 S; Q = 15.5 S^0.75 (1.637 in patients).

    S = WT/70. Below 12 years the logit of the inhibition is 1.50 - 0.390; adults with a slow CYP2C19 are inhibited
    wholly. Adults: ka 100 per h, lag 0.949 h; adolescents and children: 0.458 and 1.19 per h, lag 0.120 h.
    """
    size = covariates["wt_kg"] / 70.0
    child = jnp.where(covariates["age_y"] < 12.0, 1.0, 0.0)
    adult = jnp.where(covariates["age_y"] >= 17.0, 1.0, 0.0)
    inhibition = _logistic(theta["vmax_inhibition"] + theta["child_on_vmax_inhibition"] * child)
    patient = 1.0 - adult
    young = theta["ka_child"] * (1.0 + theta["adolescent_on_ka"] * (patient - child))
    return {
        "cl": theta["cl"] * size**0.75,
        "vmax": theta["vmax"] * size**0.75,
        "km": theta["km"],
        "vmax_inhibition": jnp.where(adult * covariates["cyp2c19_slow"] > 0.5, 1.0, inhibition),
        "t50": theta["t50"],
        "v1": theta["v1"] * size,
        "q2": theta["q2"] * size**0.75 * (1.0 + theta["patient_on_q2"] * patient),
        "v2": theta["v2"] * size,
        "ka": jnp.where(adult > 0.5, theta["ka_adult"], young),
        "lag_depot": theta["lag"] * (1.0 + theta["patient_on_lag"] * patient),
        "f_depot": _logistic(theta["f_logit"]),
        "f_logit": theta["f_logit"],
        "box_cox": theta["box_cox"],
        "eta_on_vmax": jnp.where(adult > 0.5, theta["adult_eta_on_vmax"], theta["adolescent_eta_on_vmax"]),
        "eta_on_cl": 1.0 + theta["patient_eta_on_cl"] * patient,
        **dict.fromkeys(_HELPERS, jnp.ones(())),
    }


def finish(p: Values, covariates: Values) -> dict[str, Array]:
    """Let the random effects act, which the paper shares and scales between ages; F is Box-Cox transformed."""
    child, adult = covariates["age_y"] < 12.0, covariates["age_y"] >= 17.0
    on_vmax = jnp.where(child, p["child"], p["shared"] ** p["eta_on_vmax"])
    on_f = jnp.where(adult, p["oral_adult"], p["oral"])
    shift = (on_f ** p["box_cox"] - 1.0) / p["box_cox"]
    return {
        **p,
        "km": p["km"] * p["shared"],
        "vmax": p["vmax"] * on_vmax,
        "cl": p["cl"] * p["size"] ** p["eta_on_cl"],
        "ka": p["ka"] * jnp.where(adult, 1.0, p["speed"]),
        "f_depot": _logistic(p["f_logit"] + shift),
    }


DRUG = DrugModel(
    name="voriconazole-friberg2012",
    drug="voriconazole",
    title="Voriconazole in children, adolescents and adults (Friberg 2012)",
    citation=(
        "Friberg LE, Ravva P, Karlsson MO, Liu P. Integrated population pharmacokinetic analysis of voriconazole in "
        "children, adolescents, and adults. Antimicrob Agents Chemother 2012;56(6):3032-3042."
    ),
    doi="10.1128/AAC.05761-11",
    population=(
        "112 immunocompromised children (2 to below 12 years), 26 adolescents (12 to below 17) and 35 healthy adults, "
        "3,336 levels"
    ),
    molar_mass=MOLAR_MASSES["voriconazole"],
    structure=OdeSystem(
        states=("depot", "central", "peripheral1"),
        rhs=rhs,
        required=("ka", "cl", "vmax", "km", "vmax_inhibition", "t50", "v1", "q2", "v2"),
        doses_into=("depot", "central"),
    ),
    thetas={
        "cl": Param(6.16, "L/h", _TABLE_3, "linear clearance at 70 kg"),
        "vmax": Param(114.0, "mg/h", _TABLE_3, "maximal elimination in the first hour at 70 kg"),
        "km": Param(1.15, "mg/L", _TABLE_3, "level at half-maximal elimination"),
        "vmax_inhibition": Param(1.50, "1", _TABLE_3, "logit of the final inhibition of Vmax"),
        "child_on_vmax_inhibition": Param(-0.390, "1", _TABLE_3, "shift of that logit below 12 years"),
        "t50": Param(2.41, "h", _TABLE_3, "time at half of the inhibition"),
        "v1": Param(79.0, "L", _TABLE_3, "central volume at 70 kg"),
        "q2": Param(15.5, "L/h", _TABLE_3, "intercompartmental clearance of healthy adults at 70 kg"),
        "patient_on_q2": Param(0.637, "1", _TABLE_3, "change of it in children and adolescents"),
        "v2": Param(103.0, "L", _TABLE_3, "peripheral volume at 70 kg"),
        "f_logit": Param(0.585, "1", _TABLE_3, "logit of oral bioavailability"),
        "box_cox": Param(0.367, "1", _TABLE_3, "Box-Cox exponent of the random effect of bioavailability"),
        "ka_child": Param(1.19, "1/h", _TABLE_3, "absorption in children"),
        "adolescent_on_ka": Param(-0.615, "1", _TABLE_3, "change of it in adolescents"),
        "ka_adult": Param(100.0, "1/h", f"{_TABLE_3} (fixed)", "absorption in adults, after the lag"),
        "lag": Param(0.949, "h", _TABLE_3, "lag of absorption in adults"),
        "patient_on_lag": Param(-0.874, "1", _TABLE_3, "change of it in children and adolescents"),
        "adult_eta_on_vmax": Param(0.584, "1", _TABLE_3, "share of Km's random effect that acts on Vmax in adults"),
        "adolescent_eta_on_vmax": Param(0.208, "1", _TABLE_3, "the same in adolescents"),
        "patient_eta_on_cl": Param(1.70, "1", _TABLE_3, "by how much clearance's random effect is larger in patients"),
    },
    parameters=parameters,
    finish=finish,
    etas=(
        Eta("shared", Param(1.36, "1", _TABLE_3, "omega of Km, shared with Vmax from 12 years on"), kind="sd"),
        Eta("child", Param(0.239, "1", _TABLE_3, "omega of Vmax in children"), kind="sd"),
        Eta("size", Param(0.435, "1", _TABLE_3, "omega of clearance in adults"), kind="sd"),
        Eta("v1", Param(0.136, "1", _TABLE_3, "omega of central volume"), kind="sd"),
        Eta("v2", Param(0.769, "1", _TABLE_3, "omega of peripheral volume"), kind="sd"),
        Eta("q2", Param(0.424, "1", _TABLE_3, "omega of intercompartmental clearance"), kind="sd"),
        Eta("oral", Param(1.67, "1", _TABLE_3, "omega of logit bioavailability in patients"), kind="sd"),
        Eta("oral_adult", Param(0.686, "1", _TABLE_3, "omega of logit bioavailability in adults"), kind="sd"),
        Eta("speed", Param(0.898, "1", _TABLE_3, "omega of absorption in patients"), kind="sd"),
    ),
    correlations=(
        Correlation("shared", "child", Param(0.81, "1", _TABLE_3, "correlation of Km and Vmax in children"), "corr"),
    ),
    covariates=(
        Covariate(
            name="age_y",
            unit="y",
            low=2.0,
            high=55.0,
            typical=34.0,
            source=f"{_TABLE_2}: 2-55 years, adults median 34; virtual cohort of adults: this project's choice",
            meaning="age: below 12 a child, below 17 an adolescent",
            distribution=Uniform(22.0, 55.0),
            column="AGE",
            aliases=AGE,
        ),
        Covariate(
            name="wt_kg",
            unit="kg",
            low=10.8,
            high=97.0,
            typical=76.0,
            source=(
                f"{_TABLE_2}: 10.8-97.0, adults median 76.0 (49.0-97.0); the spread of the virtual cohort is this "
                "project's choice"
            ),
            meaning="body weight",
            distribution=LogNormal(76.0, 0.16),
            column="WT",
            aliases=WEIGHT,
        ),
        Covariate(
            name="cyp2c19_slow",
            unit="0/1",
            low=0.0,
            high=1.0,
            typical=0.0,
            source=f"{_TABLE_2}: 38.7 % heterozygous extensive and 2.9 % poor metabolisers",
            meaning="heterozygous extensive or poor metaboliser by CYP2C19; counts in adults only",
            distribution=Categorical((0.0, 1.0), (0.584, 0.416)),
            column="CYP2C19SLOW",
        ),
    ),
    outputs=(
        Output(
            name="concentration",
            unit="mg/L",
            residual=Residual(
                "lognormal",
                proportional=Param(0.365, "1", _TABLE_3, "log-scale residual SD of the later children and adolescents"),
            ),
            meaning="voriconazole in plasma",
        ),
    ),
    targets=(
        Target(
            "concentration",
            "trough",
            1.0,
            5.5,
            "mg/L",
            "trough 1-5.5 mg/L (Pascual A et al. Clin Infect Dis 2008;46:201-211): from memory, unverified",
        ),
    ),
    dosing=DosingOptions(
        routes=(
            Route("2-h intravenous infusion", "central", 2.0),
            Route("tablet or suspension", "depot"),
        ),
        amounts_mg=tuple(float(amount) for amount in range(50, 601, 50)),
        intervals_h=(12.0, 8.0, 24.0),
        usual_dose_mg=300.0,
        source="4 mg/kg every 12 h at 76 kg, by vein at no more than 3 mg/kg/h (VFEND label); tablets of 50 and 200 mg",
    ),
    limits_of_use=(
        "the adults were healthy, so that bioavailability and clearance vary less than in patients",
        "no interaction with inducers or inhibitors of CYP2C19, CYP2C9 or CYP3A4; no cirrhosis",
        "Vmax falls from the first dose on: time is counted from it, and a dose record at steady state (SS) is wrong",
    ),
    ambiguities=(
        (
            "the residual error differs by study (0.593, 0.425, 0.365 on the log scale; 0.0912 by vein and 0.160 by "
            "mouth in healthy adults) and by patient (omega 0.456): one value, 0.365, is used for all"
        ),
        "the lower Km and Vmax of study 1 (-38.2 %) are left out: they belong to one study",
        (
            "PKPDsim applies that factor to all children, gives adults ka 1.19 per h and the patients' Q, blocks Vmax "
            "at any age, and has 0.5, 1 and 1 as omegas of Vmax, Km and bioavailability: nlmixr2lib's table is followed"
        ),
        "adults are those from 17 years on: nobody was between 17 and 21",
        "bioavailability is 0.64 for the typical patient of any age, and 0.96 in the label of adults",
    ),
    second_source=(
        "InsightRX/PKPDsim pk_voriconazole_friberg.json5: CL, Vmax, Km, V1, V2, Q (times 1.637), T50, lag, inhibition, "
        "Box-Cox exponent, and omegas of ka, CL, V1, V2 and Q agree; differences are listed under ambiguities"
    ),
)
