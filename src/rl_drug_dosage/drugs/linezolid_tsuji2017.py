"""Linezolid and platelets in hospitalised patients (Tsuji 2017)."""

import math

from jaxtyping import Array

from rl_drug_dosage.drugs.shared.molar_mass import MOLAR_MASSES
from rl_drug_dosage.drugs.shared.spoken import AGE, WEIGHT
from rl_drug_dosage.pkpd import (
    Covariate,
    DosingOptions,
    DrugModel,
    Eta,
    LogNormal,
    Mammillary,
    Normal,
    Output,
    Param,
    Residual,
    Route,
    Target,
    Values,
)
from rl_drug_dosage.pkpd.ode_models import friberg

__all__ = ["DRUG"]

_TABLE_2 = "Tsuji 2017 Table 2, as transcribed in nlmixr2lib Tsuji_2017_linezolid.R"
_TABLE_1 = "Tsuji 2017 Table 1, as transcribed in nlmixr2lib Tsuji_2017_linezolid.R"
_METHODS = "Tsuji 2017 Methods, Equations 3-5 (fixed), as transcribed in nlmixr2lib Tsuji_2017_linezolid.R"


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL = (1.86 (1 - 0.021 (AGE - 69)) + 1.44 RF) S^0.75, RF = CRCL S^-0.75 / 100, S = WT/70.

    V1 = 22.9 S; V2 = 24.7 S; Q = 10.9 S^0.75; ka = ln 2 / 3.61 h; F = 0.922.
    Platelets: Friberg's chain, E = 0.00566 C on their formation.
    """
    size = covariates["wt_kg"] / 70.0
    for_rates = size ** theta["wt_on_cl"]
    other = theta["cl_other"] * (1.0 + theta["age_on_cl"] * (covariates["age_y"] - 69.0))
    renal = theta["cl_renal"] * covariates["crcl_ml_per_min"] / for_rates / 100.0
    return {
        "cl": (other + renal) * for_rates,
        "v1": theta["v1"] * size,
        "q2": theta["q2"] * for_rates,
        "v2": theta["v2"] * size,
        "ka": math.log(2.0) / theta["absorption_half_life"],
        "f_depot": theta["f"],
        "unbound": theta["unbound"],
        "mtt": theta["mtt"],
        "gamma": theta["gamma"],
        "slope": theta["slope"],
        "circ0": theta["circ0"] / 1000.0,
    }


DRUG = DrugModel(
    name="linezolid-tsuji2017",
    drug="linezolid",
    title="Linezolid and thrombocytopenia in hospitalised patients (Tsuji 2017)",
    citation=(
        "Tsuji Y, Holford NHG, Kasai H, Ogami C, Heo YA, Higashi Y, Mizoguchi A, To H, Yamamoto Y. Population "
        "pharmacokinetics and pharmacodynamics of linezolid-induced thrombocytopenia in hospitalized patients. Br J "
        "Clin Pharmacol 2017;83(8):1758-1772."
    ),
    doi="10.1111/bcp.13262",
    population="81 Japanese inpatients, nearly all adults, 493 total and 380 unbound levels, 575 platelet counts",
    molar_mass=MOLAR_MASSES["linezolid"],
    structure=friberg(Mammillary(peripherals=1, depot=True)),
    thetas={
        "cl_other": Param(1.86, "L/h", _TABLE_2, "non-renal clearance at 70 kg and 69 years"),
        "cl_renal": Param(1.44, "L/h", _TABLE_2, "renal clearance at 70 kg and CRCL 100 mL/min"),
        "age_on_cl": Param(-0.021, "1/y", _TABLE_2, "fractional change of non-renal clearance per year above 69"),
        "wt_on_cl": Param(0.75, "1", _METHODS, "exponent of WT / 70 kg on clearances"),
        "v1": Param(22.9, "L", _TABLE_2, "central volume at 70 kg"),
        "q2": Param(10.9, "L/h", _TABLE_2, "intercompartmental clearance at 70 kg"),
        "v2": Param(24.7, "L", _TABLE_2, "peripheral volume at 70 kg"),
        "absorption_half_life": Param(3.61, "h", _TABLE_2, "half-life of absorption from tablets"),
        "f": Param(0.922, "1", _TABLE_2, "oral bioavailability"),
        "unbound": Param(0.823, "1", _TABLE_2, "unbound fraction in plasma"),
        "mtt": Param(113.0, "h", _TABLE_2, "mean transit time of platelet formation"),
        "gamma": Param(0.187, "1", _TABLE_2, "exponent of the feedback, printed as -0.187 on the inverse ratio"),
        "circ0": Param(206000.0, "1/uL", _TABLE_2, "platelets before treatment"),
        "slope": Param(0.00566, "L/mg", _TABLE_2, "inhibition of platelet formation per mg/L of total linezolid"),
    },
    parameters=parameters,
    etas=(
        Eta("cl", Param(0.369, "1", _TABLE_2, "omega of log clearance"), kind="sd"),
        Eta("v1", Param(1.421, "1", _TABLE_2, "omega of log central volume"), kind="sd"),
        Eta("v2", Param(0.050, "1", _TABLE_2, "omega of log peripheral volume"), kind="sd"),
        Eta("q2", Param(1.822, "1", _TABLE_2, "omega of log intercompartmental clearance"), kind="sd"),
        Eta("mtt", Param(0.239, "1", _TABLE_2, "omega of log mean transit time"), kind="sd"),
        Eta("gamma", Param(0.307, "1", _TABLE_2, "omega of log feedback exponent"), kind="sd"),
        Eta("circ0", Param(0.570, "1", _TABLE_2, "omega of log platelets before treatment"), kind="sd"),
        Eta("slope", Param(0.473, "1", _TABLE_2, "omega of log slope"), kind="sd"),
    ),
    covariates=(
        Covariate(
            name="age_y",
            unit="y",
            low=1.0,
            high=85.0,
            typical=69.0,
            source=f"{_TABLE_1}: median 69, central 95 % 1-85; virtual cohort of adults: this project's choice",
            meaning="age",
            distribution=Normal(66.0, 14.0),
            column="AGE",
            aliases=AGE,
        ),
        Covariate(
            name="wt_kg",
            unit="kg",
            low=21.0,
            high=99.5,
            typical=53.2,
            source=(
                f"{_TABLE_1}: median 53.2, central 95 % 21.0-99.5; the log-scale spread of the virtual cohort is this "
                "project's choice"
            ),
            meaning="total body weight",
            distribution=LogNormal(53.2, 0.22),
            column="WT",
            aliases=WEIGHT,
        ),
        Covariate(
            name="crcl_ml_per_min",
            unit="mL/min",
            low=5.6,
            high=188.4,
            typical=59.6,
            source=(
                f"{_TABLE_1}: median 59.6, range 5.6-188.4; the log-scale spread of the virtual cohort is this "
                "project's choice"
            ),
            meaning="Cockcroft-Gault creatinine clearance, not divided by body surface",
            distribution=LogNormal(59.6, 0.6),
            column="CRCL",
        ),
    ),
    outputs=(
        Output(
            name="concentration",
            unit="mg/L",
            residual=Residual(
                "combined2",
                additive=Param(0.251, "mg/L", _TABLE_2, "additive residual SD of total levels"),
                proportional=Param(0.318, "1", _TABLE_2, "proportional residual SD of total levels"),
            ),
            meaning="linezolid in plasma, total",
        ),
        Output(
            name="unbound",
            unit="mg/L",
            residual=Residual(
                "combined2",
                additive=Param(0.034, "mg/L", _TABLE_2, "additive residual SD of unbound levels"),
                proportional=Param(0.319, "1", _TABLE_2, "proportional residual SD of unbound levels"),
            ),
            value=lambda state, p: p["unbound"] * state["central"] / p["v1"],
            meaning="linezolid in plasma, unbound",
        ),
        Output(
            name="platelets",
            unit="10^9/L",
            residual=Residual(
                "proportional", proportional=Param(0.234, "1", _TABLE_2, "proportional residual SD of platelet counts")
            ),
            value=lambda state, p: state["circ"],
            meaning="platelets in blood",
        ),
    ),
    targets=(
        Target(
            "concentration",
            "trough",
            2.0,
            8.0,
            "mg/L",
            "trough 2-8 mg/L, position paper (Abdul-Aziz MH et al. Intensive Care Med 2020;46:1127-1153): from memory, "
            "unverified",
        ),
    ),
    dosing=DosingOptions(
        routes=(Route("1-h intravenous infusion", "central", 1.0), Route("tablet", "depot")),
        amounts_mg=tuple(float(amount) for amount in range(150, 1201, 150)),
        intervals_h=(12.0, 8.0, 24.0),
        usual_dose_mg=600.0,
        source=(
            f"{_TABLE_1}: 300 mg once to 600 mg twice a day, infusions of 1-2 h; steps of 150 mg: this project's choice"
        ),
    ),
    limits_of_use=(
        (
            "only the inhibition of platelet formation is in the model, the mechanism of 97 % of the patients; the "
            "paper's mixture gives 3 % a faster loss of platelets"
        ),
        "no dialysis; children got a fixed renal function in the paper",
        (
            "central volume and intercompartmental clearance vary enormously (log SD 1.4 and 1.8): levels soon after a "
            "dose are poorly predicted"
        ),
    ),
    ambiguities=(
        "random effects are printed as square roots of omega^2 (footnote of Table 2), and read so",
        "the feedback exponent is -0.187 on count over baseline: here 0.187 on the inverse ratio, as Friberg has it",
        "the random effect of clearance acts on the sum of renal and other clearance",
    ),
    second_source=(
        "none for the numbers: nlmixr2lib is the only transcription found. nlmixr2lib also has Abdelgawad 2024, whose "
        "absorption (5.68 transit steps) and saturable elimination describe patients on rifampicin"
    ),
)
