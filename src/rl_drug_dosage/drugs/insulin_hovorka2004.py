"""Insulin, meals and glucose in type 1 diabetes (Hovorka 2004)."""

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.drugs.shared.spoken import WEIGHT
from rl_drug_dosage.pkpd import (
    Correlation,
    Covariate,
    DosingOptions,
    DrugModel,
    Eta,
    Fixed,
    Output,
    Param,
    Route,
    Target,
    Uniform,
    Values,
)
from rl_drug_dosage.pkpd.ode import OdeSystem

__all__ = ["DRUG"]

_TABLE = (
    "Hovorka 2004, as transcribed identically in hpeuscher/loopinsight1 src/core/models/Hovorka.js and "
    "McGillDiabetesLab/artificial-pancreas-simulator patient2.m"
)
_EQUATION = "Hovorka 2004 equations, as transcribed in hpeuscher/loopinsight1 src/core/models/Hovorka.js"
_SPREAD = "a public Monte-Carlo set of Hovorka patients that cites D. Boiroux's thesis, Table 2.1 (truncated normals)"
_STATES = (
    "subcutaneous1",
    "subcutaneous2",
    "gut1",
    "gut2",
    "insulin",
    "transport",
    "disposal",
    "production",
    "glucose1",
    "glucose2",
)
_REQUIRED = (
    *("k12", "ka1", "ka2", "ka3", "sit", "sid", "sie", "egp0", "f01", "vg", "vi", "ke"),
    *("tmax_insulin", "tmax_gut", "mu_per_mg", "renal_rate", "glucose0"),
)


def _uptake(glucose: Array, p: Values) -> Array:
    """Glucose leaving without insulin, mmol/h: F01 (less below 4.5 mmol/L) and renal loss above 9 mmol/L."""
    return p["f01"] * jnp.minimum(glucose / 4.5, 1.0) + p["renal_rate"] * jnp.maximum(glucose - 9.0, 0.0) * p["vg"]


def basal_insulin_mu_per_l(p: Values) -> Array:
    """Plasma insulin that keeps glucose at ``glucose0``: the positive root of a quadratic, or 0 if none is needed.

    From EGP0 (1 - SIE I) = U + Q1 SIT I SID I / (k12 + SID I), with U the uptake without insulin and Q1 = VG glucose0.
    """
    spare = p["egp0"] - _uptake(p["glucose0"], p)
    q1 = p["glucose0"] * p["vg"]
    a = p["sid"] * (p["sit"] * q1 + p["egp0"] * p["sie"])
    b = p["egp0"] * p["sie"] * p["k12"] - spare * p["sid"]
    c = -spare * p["k12"]
    return jnp.maximum((-b + jnp.sqrt(jnp.maximum(b * b - 4.0 * a * c, 0.0))) / (2.0 * a), 0.0)


def start(p: Values) -> dict[str, Array]:
    """Steady state under the basal infusion that keeps glucose at ``glucose0``."""
    insulin = basal_insulin_mu_per_l(p)
    under_skin = insulin * p["ke"] * p["vi"] * p["tmax_insulin"] / p["mu_per_mg"]
    q1 = p["glucose0"] * p["vg"]
    return {
        "subcutaneous1": under_skin,
        "subcutaneous2": under_skin,
        "insulin": insulin,
        "transport": p["sit"] * insulin,
        "disposal": p["sid"] * insulin,
        "production": p["sie"] * insulin,
        "glucose1": q1,
        "glucose2": q1 * p["sit"] * insulin / (p["k12"] + p["sid"] * insulin),
    }


def rhs(t: Array, x: Values, p: Values, pk: Values) -> Mapping[str, Array]:
    """Derivatives per hour. Subcutaneous insulin in mg, plasma insulin in mU/L; carbohydrate in mg, glucose in mmol.

    Q1' = UG - F01c - FR - x1 Q1 + k12 Q2 + EGP0 (1 - x3);  Q2' = x1 Q1 - (k12 + x2) Q2;  xi' = kai (Si I - xi);
    I' = S2 / (tmaxI VI) - ke I, with two equal absorption steps for insulin and for food. Actions x in 1/h, 1/h, 1.
    """
    insulin_in = x["subcutaneous2"] / p["tmax_insulin"]
    food_in = x["gut2"] / p["tmax_gut"]
    moved = x["transport"] * x["glucose1"]
    back = p["k12"] * x["glucose2"]
    produced = p["egp0"] * (1.0 - x["production"])
    return {
        "subcutaneous1": -x["subcutaneous1"] / p["tmax_insulin"],
        "subcutaneous2": x["subcutaneous1"] / p["tmax_insulin"] - insulin_in,
        "gut1": -x["gut1"] / p["tmax_gut"],
        "gut2": x["gut1"] / p["tmax_gut"] - food_in,
        "insulin": insulin_in * p["mu_per_mg"] / p["vi"] - p["ke"] * x["insulin"],
        "transport": p["ka1"] * (p["sit"] * x["insulin"] - x["transport"]),
        "disposal": p["ka2"] * (p["sid"] * x["insulin"] - x["disposal"]),
        "production": p["ka3"] * (p["sie"] * x["insulin"] - x["production"]),
        "glucose1": food_in / 180.16 - _uptake(x["glucose1"] / p["vg"], p) - moved + back + produced,
        "glucose2": moved - back - x["disposal"] * x["glucose2"],
    }


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """Convert per kg to per patient and per minute to per hour."""
    weight = covariates["wt_kg"]
    return {
        "k12": 60.0 * theta["k12"],
        "ka1": 60.0 * theta["ka1"],
        "ka2": 60.0 * theta["ka2"],
        "ka3": 60.0 * theta["ka3"],
        "sit": 60.0 * theta["sit"],
        "sid": 60.0 * theta["sid"],
        "sie": theta["sie"],
        "egp0": 60.0 * theta["egp0"] * weight,
        "f01": 60.0 * theta["f01"] * weight,
        "vg": theta["vg"] * weight,
        "vi": theta["vi"] * weight,
        "ke": 60.0 * theta["ke"],
        "tmax_insulin": theta["tmax_insulin"] / 60.0,
        "tmax_gut": theta["tmax_gut"] / 60.0,
        "mu_per_mg": 1000.0 / theta["mg_per_unit"],
        "renal_rate": 60.0 * theta["renal_rate"],
        "glucose0": covariates["glucose0_mmol_per_l"],
        "f_gut1": theta["ag"],
    }


def finish(p: Values, covariates: Values) -> dict[str, Array]:
    """Add ``basal_mg_per_h``, the basal infusion assumed to continue from the start."""
    return {**p, "basal_mg_per_h": basal_insulin_mu_per_l(p) * p["ke"] * p["vi"] / p["mu_per_mg"]}


def _spread(parameter: str, percent: float, meaning: str) -> Eta:
    return Eta(parameter, Param(percent, "%", _SPREAD, f"SD over mean of {meaning}", unverified=True), kind="cv_exact")


DRUG = DrugModel(
    name="insulin-hovorka2004",
    drug="insulin",
    title="Insulin, meals and glucose in type 1 diabetes (Hovorka 2004)",
    citation=(
        "Hovorka R, Canonico V, Chassin LJ, Haueter U, Massi-Benedetti M, Orsini Federici M, Pieber TR, "
        "Schaller HC, Schaupp L, Vering T, Wilinska ME. Nonlinear model predictive control of glucose "
        "concentration in subjects with type 1 diabetes. Physiol Meas 2004;25:905-920."
    ),
    doi="10.1088/0967-3334/25/4/010",
    population=(
        "adults with type 1 diabetes; glucose kinetics from 6 men (Hovorka 2002), insulin absorption from "
        "pump users (unverified)"
    ),
    structure=OdeSystem(_STATES, rhs, _REQUIRED, start, doses_into=("subcutaneous1", "gut1")),
    thetas={
        "k12": Param(0.066, "1/min", _TABLE, "glucose from the non-accessible to the accessible compartment"),
        "ka1": Param(0.006, "1/min", _TABLE, "rate of insulin action on transport"),
        "ka2": Param(0.06, "1/min", _TABLE, "rate of insulin action on disposal"),
        "ka3": Param(0.03, "1/min", _TABLE, "rate of insulin action on production"),
        "sit": Param(51.2e-4, "1/min per mU/L", _TABLE, "insulin sensitivity of transport"),
        "sid": Param(8.2e-4, "1/min per mU/L", _TABLE, "insulin sensitivity of disposal"),
        "sie": Param(520e-4, "1 per mU/L", _TABLE, "insulin sensitivity of endogenous production"),
        "egp0": Param(0.0161, "mmol/kg/min", _TABLE, "endogenous glucose production without insulin"),
        "f01": Param(0.0097, "mmol/kg/min", _TABLE, "glucose uptake that does not depend on insulin"),
        "vg": Param(0.16, "L/kg", _TABLE, "glucose volume"),
        "vi": Param(0.12, "L/kg", _TABLE, "insulin volume"),
        "ke": Param(0.138, "1/min", _TABLE, "elimination of insulin"),
        "tmax_insulin": Param(
            55.0, "min", f"{_EQUATION} (patient2.m: 1/0.018 min)", "time to maximal insulin absorption"
        ),
        "tmax_gut": Param(40.0, "min", _TABLE, "time to maximal carbohydrate absorption"),
        "ag": Param(0.8, "1", _TABLE, "fraction of carbohydrate that is absorbed"),
        "renal_rate": Param(0.003, "1/min", _EQUATION, "renal loss of glucose above 9 mmol/L"),
        "mg_per_unit": Param(
            0.035, "mg/U", "product information of insulin lispro: 100 units are 3.5 mg", "mass of a unit"
        ),
    },
    parameters=parameters,
    etas=(
        _spread("egp0", 100 * 0.0039 / 0.0161, "EGP0"),
        _spread("f01", 100 * 0.0022 / 0.0097, "F01"),
        _spread("k12", 100 * 0.0282 / 0.0649, "k12"),
        _spread("ka1", 100 * 0.0056 / 0.0055, "ka1"),
        _spread("ka2", 100 * 0.0507 / 0.0683, "ka2"),
        _spread("ka3", 100 * 0.0235 / 0.0304, "ka3"),
        _spread("sit", 100 * 32.09 / 51.2, "SIT"),
        _spread("sid", 100 * 7.84 / 8.2, "SID"),
        _spread("sie", 100 * 306.2 / 520.0, "SIE"),
        _spread("ke", 100 * 0.035 / 0.14, "ke"),
        _spread("vi", 100 * 0.012 / 0.12, "VI"),
        _spread("tmax_insulin", 100 * 0.0045 / 0.018, "1 / tmaxI"),
        Eta("tmax_gut", Param(0.25, "1", _SPREAD, "SD of ln tmaxG", unverified=True), kind="sd"),
    ),
    correlations=(
        Correlation(
            "egp0",
            "f01",
            Param(
                0.9,
                "1",
                "this project's choice: independent, one patient in sixteen would produce less glucose than they use "
                "and need no insulin, which type 1 diabetes excludes; with 0.9 it is less than one in a million",
                "correlation of ln EGP0 and ln F01",
                unverified=True,
            ),
            kind="corr",
        ),
    ),
    finish=finish,
    covariates=(
        Covariate(
            name="wt_kg",
            unit="kg",
            low=40.0,
            high=120.0,
            typical=75.0,
            source=(
                "75 kg in loopinsight1, drawn uniformly over 65-95 kg as in the Monte-Carlo set; the limits are "
                "unverified"
            ),
            meaning="body weight",
            distribution=Uniform(65.0, 95.0),
            column="WT",
            aliases=WEIGHT,
        ),
        Covariate(
            name="glucose0_mmol_per_l",
            unit="mmol/L",
            low=4.5,
            high=12.0,
            typical=6.0,
            source="6 mmol/L in loopinsight1; the limits are this project's choice",
            meaning="glucose at the start, maintained by a basal infusion that must continue (`basal_mg_per_h`)",
            distribution=Fixed(6.0),
            column="GLUC0",
        ),
    ),
    outputs=(
        Output("glucose", "mmol/L", None, lambda state, p: state["glucose1"] / p["vg"], "glucose in plasma"),
        Output("insulin", "mU/L", None, lambda state, p: state["insulin"], "insulin in plasma"),
    ),
    targets=(
        Target(
            "glucose",
            "value",
            3.9,
            10.0,
            "mmol/L",
            "time in range 70-180 mg/dL, international consensus: Battelino T et al. Diabetes Care 2019;42:1593-1603",
        ),
    ),
    dosing=DosingOptions(
        routes=(
            Route("5-min step of a subcutaneous pump", "subcutaneous1", 1.0 / 12.0),
            Route("subcutaneous bolus", "subcutaneous1", 0.0),
            Route("meal, mg of carbohydrate", "gut1", 0.0),
        ),
        amounts_mg=tuple(0.035 * 0.05 * step for step in range(301)),
        intervals_h=(1.0 / 12.0, 0.25, 1.0),
        usual_dose_mg=0.035 * 0.05,
        source="pump steps of 0.05 units (0.00175 mg) up to 15 units, set every 5 min: this project's choice",
    ),
    limits_of_use=(
        "no exercise, no glucagon, no circadian rhythm, no glucose sensor error",
        "without the basal infusion assumed at the start, glucose rises from the first hour",
        (
            "the typical patient needs 0.13 U/kg a day of basal insulin, a clinic's about 0.31: scenario t1d scales "
            "the sensitivities"
        ),
        "endogenous production can become negative (x3 above 1) after very large doses; the paper sets no floor",
    ),
    ambiguities=(
        (
            "renal loss is 0.003 (G - 9) VG; loopinsight1 omits the volume, the Monte-Carlo set and loopinsight1's "
            "own unit comments include it"
        ),
        (
            "the random effects are log-normal with the same CV; the set that was read draws truncated normals, EGP0 "
            "and F01 independently. "
            "Its variability of VG (exp(VG) normal) and of the absorbed fraction (uniform 0.7-1.2) is left out"
        ),
        (
            "simulators differ in the typical ka values: 0.006, 0.06, 0.03 (Hovorka) or 0.0055, 0.0683, 0.0304 (mean "
            "of 6 men); the first are used"
        ),
        "insulin is dosed in mg, at 0.035 mg per unit; the factor cancels if units are converted with it",
    ),
    second_source=(
        "loopinsight1 and McGill artificial-pancreas-simulator: same values; equations agree except for renal loss"
    ),
)
