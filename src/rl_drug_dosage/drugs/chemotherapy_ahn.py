"""Chemotherapy with tumour, normal and immune cells (de Pillis 2003, values of Ahn & Park 2011 and DTRGym)."""

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.pkpd import DosingOptions, DrugModel, Output, Param, Route, Target, Values
from rl_drug_dosage.pkpd.ode import OdeSystem

__all__ = ["DRUG"]

_GYM = "GilesLuo/DTR-Bench DTRGym/ahn_chemo_env.py, the same in anzabizadeh/ReiL cancer_model_test.py"
_START = "GilesLuo/DTR-Bench DTRGym/ahn_chemo_env.py (case 2 of Ahn & Park 2011)"
_RATES = ("r1", "r2", "c1", "c2", "c3", "c4", "a1", "a2", "a3", "d1", "d2", "s", "rho")
_PLAIN = ("b1", "b2", "alpha", "normal0", "tumour0", "immune0")


def rhs(t: Array, x: Values, p: Values, pk: Values) -> Mapping[str, Array]:
    """Derivatives per hour of normal N, tumour T and immune I cells and drug B.

    N' = r2 N (1 - b2 N) - c4 T N - a3 (1 - e^-B) N;  T' = r1 T (1 - b1 T) - c2 I T - c3 T N - a2 (1 - e^-B) T;
    I' = s + rho I T / (alpha + T) - c1 I T - d1 I - a1 (1 - e^-B) I;  B' = -d2 B, plus the infusion.
    """
    n, tumour, i, b = x["normal"], x["tumour"], x["immune"], x["drug"]
    kill = -jnp.expm1(-b)
    return {
        "normal": n * (p["r2"] * (1.0 - p["b2"] * n) - p["c4"] * tumour - p["a3"] * kill),
        "tumour": tumour * (p["r1"] * (1.0 - p["b1"] * tumour) - p["c2"] * i - p["c3"] * n - p["a2"] * kill),
        "immune": p["s"]
        + i * (p["rho"] * tumour / (p["alpha"] + tumour) - p["c1"] * tumour - p["d1"] - p["a1"] * kill),
        "drug": -p["d2"] * b,
    }


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """Convert rates per day to rates per hour."""
    return {**{name: theta[name] / 24.0 for name in _RATES}, **{name: theta[name] for name in _PLAIN}}


DRUG = DrugModel(
    name="chemotherapy-ahn",
    drug="chemotherapy",
    title="Chemotherapy with tumour, normal and immune cells (Ahn & Park 2011)",
    citation=(
        "Ahn I, Park J. Drug scheduling of cancer chemotherapy based on natural actor-critic approach. "
        "BioSystems 2011;106:121-129. Model: de Pillis LG, Radunskaya A. The dynamics of an optimally "
        "controlled tumor model: a case study. Math Comput Model 2003;37:1221-1244. Benchmark: Luo Z et al. "
        "DTR-Bench, arXiv 2405.18610."
    ),
    doi="10.1016/j.biosystems.2011.07.005",
    population="none: a theoretical patient, with cells as fractions of the carrying capacity",
    structure=OdeSystem(
        states=("normal", "tumour", "immune", "drug"),
        rhs=rhs,
        required=(*_RATES, *_PLAIN),
        start=lambda p: {"normal": p["normal0"], "tumour": p["tumour0"], "immune": p["immune0"]},
        doses_into=("drug",),
    ),
    thetas={
        "r1": Param(1.5, "1/d", _GYM, "growth of tumour cells"),
        "r2": Param(1.0, "1/d", _GYM, "growth of normal cells"),
        "b1": Param(1.0, "1", _GYM, "inverse carrying capacity of tumour cells"),
        "b2": Param(1.0, "1", _GYM, "inverse carrying capacity of normal cells"),
        "c1": Param(1.0, "1/d", _GYM, "immune cells lost to tumour cells"),
        "c2": Param(0.5, "1/d", _GYM, "tumour cells killed by immune cells"),
        "c3": Param(1.0, "1/d", _GYM, "tumour cells lost in competition with normal cells"),
        "c4": Param(1.0, "1/d", _GYM, "normal cells lost in competition with tumour cells"),
        "a1": Param(0.2, "1/d", _GYM, "maximal kill of immune cells by the drug"),
        "a2": Param(0.3, "1/d", _GYM, "maximal kill of tumour cells by the drug"),
        "a3": Param(0.1, "1/d", _GYM, "maximal kill of normal cells by the drug"),
        "d1": Param(0.2, "1/d", _GYM, "death of immune cells"),
        "d2": Param(1.0, "1/d", _GYM, "elimination of the drug"),
        "s": Param(0.33, "1/d", _GYM, "influx of immune cells"),
        "rho": Param(0.01, "1/d", _GYM, "immune response to the tumour"),
        "alpha": Param(0.3, "1", _GYM, "tumour at the half-maximal immune response"),
        "normal0": Param(0.9, "1", _START, "normal cells at the start"),
        "tumour0": Param(0.2, "1", _START, "tumour cells at the start"),
        "immune0": Param(0.005, "1", _START, "immune cells at the start"),
    },
    parameters=parameters,
    etas=(),
    covariates=(),
    outputs=(
        Output("tumour", "1", None, lambda state, p: state["tumour"], "tumour cells, fraction of capacity"),
        Output("normal", "1", None, lambda state, p: state["normal"], "normal cells, fraction of capacity"),
        Output("immune", "1", None, lambda state, p: state["immune"], "immune cells, fraction of capacity"),
        Output("drug", "1", None, lambda state, p: state["drug"], "drug in blood, dimensionless"),
    ),
    targets=(
        Target(
            "normal",
            "value",
            0.63,
            None,
            "1",
            "DTRGym ends an episode when normal cells fall below 0.7 of 0.9 at the start",
        ),
    ),
    dosing=DosingOptions(
        routes=(Route("6-h infusion", "drug", 6.0), Route("instantaneous dose", "drug", 0.0)),
        amounts_mg=tuple(step / 40.0 for step in range(11)),
        intervals_h=(6.0,),
        usual_dose_mg=0.125,
        source="DTRGym: rate u of 0-1 per day, held for 6 h, so a step delivers u / 4; steps of u = 0.1",
    ),
    limits_of_use=(
        "a benchmark, not a drug: nothing is calibrated on patients; amounts are dimensionless, although labelled mg",
        (
            "DTRGym draws every parameter uniformly within 5 % of its value; uniform random effects are not "
            "supported here, so there is none"
        ),
    ),
    ambiguities=(
        (
            "DTRGym clips negative cell counts to 0 after every step; the equations keep them positive, so nothing "
            "is clipped here"
        ),
        "in some of its settings DTRGym adds noise to the derivative, which is a different model",
    ),
    second_source=(
        "anzabizadeh/ReiL cancer_model.py and cancer_model_test.py: same equations and values, other initial states"
    ),
)
