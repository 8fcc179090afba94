"""Omalizumab and IgE, binding in equilibrium (Hayashi 2007): an antibody whose target disposes of it."""

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
    LogNormal,
    Normal,
    Output,
    Param,
    Residual,
    Route,
    Target,
    Values,
)
from rl_drug_dosage.pkpd.ode import OdeSystem

__all__ = ["DRUG"]

_TABLE_3 = "Hayashi 2007 Table 3, as transcribed in nlmixr2lib Hayashi_2007_omalizumab.R"
_TABLE_1 = "Hayashi 2007 Table 1, as transcribed in nlmixr2lib Hayashi_2007_omalizumab.R"
_METHODS = "Hayashi 2007 Methods, page 552, as transcribed in nlmixr2lib Hayashi_2007_omalizumab.R"
_WEEK_H = 168.0
_LEAST_NMOL = 1e-9
"""Stands for no antibody in the ratio to the power alpha, whose slope is infinite at 0."""


def _bound_nmol(total: Array, ige: Array, p: Values) -> Array:
    """Complex C of C^2 - (X + E + Kd VX VE / VC) C + X E = 0, with Kd = Kd0 (X/E)^alpha; the smaller root."""
    kd = p["kd0"] * (jnp.maximum(total, _LEAST_NMOL) / jnp.maximum(ige, _LEAST_NMOL)) ** p["alpha"]
    half = 0.5 * (total + ige + kd * p["v1"] ** 2 / p["v_complex"])
    return total * ige / (half + jnp.sqrt(jnp.maximum(half * half - total * ige, 0.0)))


def _nmol_per_l(x: Values, p: Values) -> tuple[Array, Array, Array]:
    """Free antibody, free IgE, complex."""
    total, ige = x["antibody"] * p["nmol_per_mg"], x["ige"]
    bound = _bound_nmol(total, ige, p)
    return (total - bound) / p["v1"], (ige - bound) / p["v1"], bound / p["v_complex"]


def rhs(t: Array, x: Values, p: Values, pk: Values) -> Mapping[str, Array]:
    """Total antibody (mg) loses CL free + CLc complex, total IgE (nmol) gains its production and loses alike."""
    free, free_ige, complex_ = _nmol_per_l(x, p)
    with_complex = (p["cl"] + p["cl_complex_more"]) * complex_
    absorbed = p["ka"] * x["depot"]
    return {
        "depot": -absorbed,
        "antibody": absorbed - (p["cl"] * free + with_complex) / p["nmol_per_mg"],
        "ige": p["production"] - p["cl_ige"] * free_ige - with_complex,
    }


def start(p: Values) -> dict[str, Array]:
    """IgE at its measured level before treatment."""
    return {"ige": p["ige0"] * p["v1"]}


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL/F = 7.32 (WT/61.1)^0.911 mL/h; V/F = 5900 (WT/61.1)^0.658 mL; IgE: CL 71.0 (IGE/482.4)^-0.281 mL/h.

    Production 30.3 (IGE/482.4)^0.657 ug/h; complex: 5.86 mL/h more, 3630 mL; Kd0 1.07 nmol/L; ka 0.0200 per h.
    """
    size, ige = covariates["wt_kg"] / 61.1, covariates["ige_ng_per_ml"]
    relative = ige / 482.4
    return {
        "ka": theta["ka"],
        "cl": theta["cl"] / 1000.0 * size ** theta["wt_on_cl"],
        "cl_complex_more": theta["cl_complex_more"] / 1000.0,
        "cl_ige": theta["cl_ige"] / 1000.0 * relative ** theta["ige_on_cl_ige"],
        "v1": theta["v1"] / 1000.0 * size ** theta["wt_on_v1"],
        "v_complex": theta["v_complex"] / 1000.0,
        "production": 1000.0 * theta["production"] / theta["molar_mass_ige"] * relative ** theta["ige_on_production"],
        "kd0": theta["kd0"],
        "alpha": theta["alpha"],
        "ige0": 1000.0 * ige / theta["molar_mass_ige"],
        "nmol_per_mg": 1e6 / theta["molar_mass"],
        "ng_per_nmol_ige": theta["molar_mass_ige"],
    }


def _total_mg_per_l(state: Values, p: Values) -> Array:
    free, _, complex_ = _nmol_per_l(state, p)
    return (free + complex_) / p["nmol_per_mg"]


def _ige_ng_per_ml(state: Values, p: Values, *, bound: bool) -> Array:
    _, free, complex_ = _nmol_per_l(state, p)
    return (free + complex_ * bound) * p["ng_per_nmol_ige"] / 1000.0


def _error(percent: float, meaning: str) -> Residual:
    return Residual("lognormal", proportional=Param(percent, "%", _TABLE_3, meaning))


DRUG = DrugModel(
    name="omalizumab-hayashi2007",
    drug="omalizumab",
    title="Omalizumab and IgE in allergic adults (Hayashi 2007)",
    citation=(
        "Hayashi N, Tsukamoto Y, Sallas WM, Lowe PJ. A mechanism-based binding model for the population "
        "pharmacokinetics and pharmacodynamics of omalizumab. Br J Clin Pharmacol 2007;63(5):548-561."
    ),
    doi="10.1111/j.1365-2125.2006.02803.x",
    population="202 Japanese adults, healthy atopic or with seasonal rhinitis, 1,037 omalizumab, 2,155 IgE levels",
    structure=OdeSystem(
        states=("depot", "antibody", "ige"),
        rhs=rhs,
        required=(
            *("ka", "cl", "cl_complex_more", "cl_ige", "v1", "v_complex"),
            *("production", "kd0", "alpha", "ige0", "nmol_per_mg"),
        ),
        start=start,
        doses_into=("depot",),
    ),
    thetas={
        "ka": Param(0.0200, "1/h", _TABLE_3, "absorption from under the skin"),
        "cl": Param(7.32, "mL/h", _TABLE_3, "apparent clearance of free omalizumab at 61.1 kg"),
        "wt_on_cl": Param(0.911, "1", _TABLE_3, "exponent of WT / 61.1 kg on clearance"),
        "cl_complex_more": Param(5.86, "mL/h", _TABLE_3, "apparent clearance of the complex above that of free drug"),
        "cl_ige": Param(71.0, "mL/h", _TABLE_3, "apparent clearance of free IgE at 482.4 ng/mL before treatment"),
        "ige_on_cl_ige": Param(-0.281, "1", _TABLE_3, "exponent of IgE / 482.4 ng/mL on it"),
        "v1": Param(5900.0, "mL", _TABLE_3, "apparent volume of omalizumab, and of IgE, at 61.1 kg"),
        "wt_on_v1": Param(0.658, "1", _TABLE_3, "exponent of WT / 61.1 kg on this volume"),
        "v_complex": Param(3630.0, "mL", _TABLE_3, "apparent volume of the complex"),
        "production": Param(30.3, "ug/h", _TABLE_3, "apparent production of IgE at 482.4 ng/mL before treatment"),
        "ige_on_production": Param(0.657, "1", _TABLE_3, "exponent of IgE / 482.4 ng/mL on production"),
        "kd0": Param(1.07, "nmol/L", _TABLE_3, "dissociation constant where omalizumab equals IgE"),
        "alpha": Param(0.157, "1", _TABLE_3, "exponent of omalizumab over IgE on the dissociation constant"),
        "molar_mass": Param(150_000.0, "g/mol", _METHODS, "molar mass of omalizumab"),
        "molar_mass_ige": Param(190_000.0, "g/mol", _METHODS, "molar mass of IgE"),
    },
    parameters=parameters,
    etas=(
        Eta("ka", Param(39.9, "%", _TABLE_3, "between-subject CV of absorption"), kind="cv_exact"),
        Eta("cl", Param(20.3, "%", _TABLE_3, "between-subject CV of clearance"), kind="cv_exact"),
        Eta("cl_complex_more", Param(34.9, "%", _TABLE_3, "between-subject CV of the complex's surplus"), "cv_exact"),
        Eta("v1", Param(13.0, "%", _TABLE_3, "between-subject CV of volume"), kind="cv_exact"),
        Eta("v_complex", Param(25.0, "%", _TABLE_3, "between-subject CV of the complex's volume"), kind="cv_exact"),
        Eta("cl_ige", Param(25.3, "%", _TABLE_3, "between-subject CV of the clearance of IgE"), kind="cv_exact"),
        Eta("production", Param(23.1, "%", _TABLE_3, "between-subject CV of production"), kind="cv_exact"),
    ),
    correlations=(
        Correlation(
            "cl_ige", "production", Param(0.968, "1", _TABLE_3, "correlation of IgE's clearance and production"), "corr"
        ),
    ),
    covariates=(
        Covariate(
            name="wt_kg",
            unit="kg",
            low=42.0,
            high=101.0,
            typical=61.1,
            source=f"{_TABLE_1}: 42-101; mean 60.5, SD 10.2 (study 1305); centre of the formula 61.1",
            meaning="body weight",
            distribution=Normal(60.5, 10.2),
            column="WT",
            aliases=WEIGHT,
        ),
        Covariate(
            name="ige_ng_per_ml",
            unit="ng/mL",
            low=53.0,
            high=2143.0,
            typical=482.4,
            source=(
                f"{_TABLE_1}: 53-2143; mean 373, SD 317 (study 1305), here as a log-normal of that mean and SD; centre "
                "of the formula 482.4"
            ),
            meaning="total IgE before treatment; 1 IU/mL is 2.42 ng/mL",
            distribution=LogNormal(284.0, 0.74),
            column="IGE",
        ),
    ),
    outputs=(
        Output(
            name="concentration",
            unit="mg/L",
            residual=_error(16.7, "log-scale residual SD of omalizumab"),
            value=_total_mg_per_l,
            meaning="omalizumab in serum, free and bound",
        ),
        Output(
            name="free_ige",
            unit="ng/mL",
            residual=_error(21.8, "log-scale residual SD of free IgE"),
            value=lambda state, p: _ige_ng_per_ml(state, p, bound=False),
            meaning="IgE in serum that is not bound to omalizumab",
        ),
        Output(
            name="total_ige",
            unit="ng/mL",
            residual=_error(21.1, "log-scale residual SD of total IgE"),
            value=lambda state, p: _ige_ng_per_ml(state, p, bound=True),
            meaning="IgE in serum, free and bound",
        ),
    ),
    targets=(
        Target(
            "free_ige",
            "trough",
            None,
            21.0,
            "ng/mL",
            "free IgE of 12-21 ng/mL goes with clinical efficacy (Hayashi 2007, read in nlmixr2lib's vignette)",
        ),
    ),
    dosing=DosingOptions(
        routes=(Route("subcutaneous injection", "depot"),),
        amounts_mg=tuple(float(amount) for amount in range(0, 601, 75)),
        intervals_h=(4 * _WEEK_H, 2 * _WEEK_H),
        usual_dose_mg=300.0,
        source=(
            "150-375 mg every 2 or 4 weeks by weight and IgE (Hayashi 2007, nlmixr2lib); 600 mg and no dose are added"
        ),
    ),
    limits_of_use=(
        "the level of free IgE is not measured in the clinic",
        "binding is instantaneous, and the dissociation constant depends on the ratio of antibody to IgE",
        "time from the first dose on: IgE of a patient treated before is not its level before treatment",
    ),
    ambiguities=(
        "clearances and volumes are apparent (over bioavailability, 0.62 in the paper's discussion)",
        (
            "IgE starts at the measured level and moves to production over clearance, 427 ng/mL for the typical "
            "patient, as published: the two were estimated apart"
        ),
        "CVs are read as exact; errors are exp(eps), here log-normal, where nlmixr2lib has proportional ones",
    ),
    second_source=(
        "none for the numbers: nlmixr2lib is the only transcription found. The paper's half-lives, 23 days of free "
        "omalizumab and 2.4 days of IgE, follow from them"
    ),
)
