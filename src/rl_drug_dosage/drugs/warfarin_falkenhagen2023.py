"""Warfarin and INR by turnover of vitamin K and factors II, VII and X, reduced from coagulation (Falkenhagen 2023)."""

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.drugs.shared.warfarin import (
    INR_TARGET,
    TABLETS,
    by_diplotype,
    cyp2c9_covariate,
    vkorc1_covariate,
)
from rl_drug_dosage.pkpd import Covariate, DrugModel, Eta, Fixed, Mammillary, OdeSystem, Output, Param, Values, links

__all__ = ["DRUG"]

_LIB = "as transcribed in nlmixr2lib Falkenhagen_2023_warfarin_qsp.R"
_TABLE_S1 = f"Falkenhagen 2023 Table S1, {_LIB}"
_WAJIMA = (
    f"Wajima 2009, reference value, {_LIB}, and equal in DavAug/mipd-warfarin "
    "models/wajima_coagulation_model_parameters.csv"
)
_ASSUMED = f"Falkenhagen 2023 Equation 3 (assumed, not estimated), {_LIB}"
_FACTORS = ("ii", "vii", "x")
_FASTEST_PER_H = 1.2
"""Turnover of vitamin K hydroquinone that the fixed steps of trials follow, see ``ambiguities``."""


def _rhs(t: Array, x: Values, p: Values, pk: Values) -> Mapping[str, Array]:
    """Hydroquinone v and factors f over their drug-free values, which cancel.

    d v/dt = k (1 - E - v), E = emax C / (ec50 + C); d f/dt = k_f (v - f).
    """
    inhibited = links.emax(pk["concentration"], p["emax"], p["ec50"])
    return {
        "hydroquinone": p["k_hydroquinone"] * (1.0 - inhibited - x["hydroquinone"]),
        **{f"factor_{name}": p[f"k_{name}"] * (x["hydroquinone"] - x[f"factor_{name}"]) for name in _FACTORS},
    }


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """KE = 0.02 1/h times the CL of both CYP2C9 alleles over that of *1/*1; IC50 = the sum of both VKORC1 alleles."""
    one, two, three = (theta[f"cl_allele_{star}"] for star in (1, 2, 3))
    cl = by_diplotype(covariates["cyp2c9"], (one + one, one + two, one + three, two + two, two + three, three + three))
    g_alleles = covariates["vkorc1_g_alleles"]
    return {
        "ka": theta["ka"],
        "v1": theta["v1"],
        "ke": theta["ke"] * cl / (one + one),
        "emax": theta["emax"],
        "ec50": g_alleles * theta["ec50_allele_g"] + (2.0 - g_alleles) * theta["ec50_allele_a"],
        "k_vitamin_k": theta["k_vitamin_k"],
        "vitamin_k": theta["vitamin_k"],
        "hydroquinone": theta["hydroquinone"],
        **{f"k_{name}": theta[f"k_{name}"] for name in _FACTORS},
        "inr_base": covariates["inr_base"],
        "inr_power": theta["inr_power"],
    }


def finish(p: Values, covariates: Values) -> dict[str, Array]:
    """CL = ke V; hydroquinone is lost at the rate that keeps it constant without drug, k VK(0) / VKH2(0)."""
    lost = p["k_vitamin_k"] * p["vitamin_k"] / p["hydroquinone"]
    return {**p, "cl": p["ke"] * p["v1"], "k_hydroquinone": jnp.minimum(lost, _FASTEST_PER_H)}


def _inr(state: Values, p: Values) -> Array:
    return p["inr_base"] * (state["factor_ii"] * state["factor_vii"] * state["factor_x"]) ** p["inr_power"]


_STATES = ("hydroquinone", *(f"factor_{name}" for name in _FACTORS))
_VARIED = {
    "ka": "absorption",
    "v1": "volume",
    "ke": "elimination",
    "ec50": "IC50",
    "k_vitamin_k": "conversion of vitamin K",
    "k_ii": "loss of factor II",
    "k_vii": "loss of factor VII",
    "k_x": "loss of factor X",
    "vitamin_k": "vitamin K",
    "hydroquinone": "vitamin K hydroquinone without drug",
}

DRUG = DrugModel(
    name="warfarin-falkenhagen2023",
    drug="warfarin",
    title="Warfarin and INR from a reduced coagulation model (Falkenhagen 2023)",
    citation=(
        "Falkenhagen U, Knöchel J, Kloft C, Huisinga W. Deriving mechanism-based pharmacodynamic models by reducing "
        "quantitative systems pharmacology models: an application to warfarin. CPT Pharmacometrics Syst Pharmacol "
        "2023;12(4):432-443. Reduced from: Wajima T, Isbister GK, Duffull SB. A comprehensive model for the humoral "
        "coagulation network in humans. Clin Pharmacol Ther 2009;86(3):290-298."
    ),
    doi="10.1002/psp4.12903",
    population=(
        "no patients were fitted: a reduction of Wajima 2009's 62 equations, within 10 % of its INR in 995 of 1,000 "
        "virtual adults"
    ),
    structure=OdeSystem(
        _STATES,
        _rhs,
        ("emax", "ec50", "k_hydroquinone", *(f"k_{name}" for name in _FACTORS)),
        lambda p: dict.fromkeys(_STATES, jnp.ones(())),
        Mammillary(depot=True),
    ),
    thetas={
        "ka": Param(1.0, "1/h", _WAJIMA, "absorption"),
        "v1": Param(10.0, "L", _WAJIMA, "apparent volume of racemic warfarin"),
        "ke": Param(0.02, "1/h", _WAJIMA, "elimination, CYP2C9 *1/*1"),
        "cl_allele_1": Param(0.1000, "L/h", _TABLE_S1, "clearance of an allele CYP2C9*1"),
        "cl_allele_2": Param(0.0505, "L/h", _TABLE_S1, "clearance of an allele CYP2C9*2"),
        "cl_allele_3": Param(0.0243, "L/h", _TABLE_S1, "clearance of an allele CYP2C9*3"),
        "emax": Param(1.0, "1", _WAJIMA, "largest inhibition of the synthesis of vitamin K hydroquinone"),
        "ec50_allele_g": Param(0.1700, "mg/L", _TABLE_S1, "IC50 of an allele VKORC1 -1639G"),
        "ec50_allele_a": Param(0.0796, "mg/L", _TABLE_S1, "IC50 of an allele VKORC1 -1639A"),
        "k_vitamin_k": Param(0.0228, "1/h", _WAJIMA, "conversion of vitamin K to its hydroquinone"),
        "vitamin_k": Param(1.0, "1", f"Wajima 2009, {_LIB}", "vitamin K, relative, constant"),
        "hydroquinone": Param(0.1, "1", f"Wajima 2009, {_LIB}", "vitamin K hydroquinone without drug, relative"),
        "k_ii": Param(0.010, "1/h", _WAJIMA, "loss of factor II, half-life 69 h"),
        "k_vii": Param(0.12, "1/h", _WAJIMA, "loss of factor VII, half-life 6 h"),
        "k_x": Param(0.018, "1/h", _WAJIMA, "loss of factor X, half-life 39 h"),
        "inr_power": Param(-0.1975, "1", f"Falkenhagen 2023 Equation 13, {_LIB}", "exponent of II x VII x X"),
    },
    parameters=parameters,
    finish=finish,
    etas=tuple(
        Eta(name, Param(0.4, "1", _ASSUMED, f"between-subject SD of ln {what}"), kind="sd")
        for name, what in _VARIED.items()
    ),
    covariates=(
        cyp2c9_covariate(
            (0.664, 0.183, 0.119, 0.0125, 0.0164, 0.0053),
            f"{_TABLE_S1}: alleles *1 0.815, *2 0.112, *3 0.073, in Hardy-Weinberg proportions (this project's choice)",
        ),
        vkorc1_covariate(
            (0.370, 0.477, 0.154),
            f"{_TABLE_S1}: alleles G 0.608, A 0.392, in Hardy-Weinberg proportions (this project's choice)",
        ),
        Covariate(
            name="inr_base",
            unit="1",
            low=0.8,
            high=1.5,
            typical=1.0,
            source=(
                f"Falkenhagen 2023: the INR is relative to that without drug, 1, {_LIB}; limits: this project's choice"
            ),
            meaning="INR before warfarin",
            distribution=Fixed(1.0),
            column="INRBASE",
            aliases=("inr_baseline",),
        ),
    ),
    outputs=(
        Output("inr", "1", None, _inr, "international normalised ratio"),
        Output("concentration", "mg/L", None, meaning="warfarin in plasma"),
    ),
    targets=(INR_TARGET,),
    dosing=TABLETS,
    limits_of_use=(
        "the paper's range is an INR below 4; its exponent is fitted between 2 and 3",
        "age, weight, diet and interactions are not in the model; vitamin K does not change during treatment",
        "the variability is assumed, 40 % on every parameter, and no residual error exists",
    ),
    ambiguities=(
        (
            "genotype acts on ke as a ratio to *1/*1, as in the authors' code (nlmixr2lib), so that V varies "
            "independently"
        ),
        "factors are relative to their drug-free values, which cancel: their variability has no effect and is left out",
        (
            "loss of hydroquinone is limited to 1.2 1/h, a half-life of 35 min (1 patient in 120 exceeds it), so that "
            "the fixed steps of trials stay stable; no INR at the end of a day changes by more than 1 %"
        ),
        "whether 10 L and 0.34 mg/L belong to racemic or S-warfarin is not said: doses are racemic in Wajima 2009",
    ),
    second_source=(
        "DavAug/mipd-warfarin, Wajima's model in SBML: the same volume, rates and IC50 of the wild type; Table S1's "
        "alleles were read once"
    ),
)
