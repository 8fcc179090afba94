"""Meropenem in adults with infections, two compartments (Li 2006)."""

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
    Output,
    Param,
    Residual,
    Route,
    Target,
    Values,
)

__all__ = ["DRUG"]

_DDMORE = "Li 2006 by DDMODEL00000213, as transcribed in nlmixr2lib Li_2006_meropenem.R"
_TUCUXI = "sotalya/tucuxi-drugs ch.tucuxi.meropenem.li2006.tdd"


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL = 14.6 (CRCL/83)^0.62 (AGE/35)^-0.34; V1 = 10.8 (WT/70)^0.99; Q = 18.6; V2 = 12.6."""
    renal = (covariates["crcl_ml_per_min"] / 83.0) ** theta["crcl_on_cl"]
    return {
        "cl": theta["cl"] * renal * (covariates["age_y"] / 35.0) ** theta["age_on_cl"],
        "v1": theta["v1"] * (covariates["wt_kg"] / 70.0) ** theta["wt_on_v1"],
        "q2": theta["q2"],
        "v2": theta["v2"],
    }


DRUG = DrugModel(
    name="meropenem-li2006",
    drug="meropenem",
    title="Meropenem in adults with infections (Li 2006)",
    citation=(
        "Li C, Kuti JL, Nightingale CH, Nicolau DP. Population pharmacokinetic analysis and dosing regimen "
        "optimization of meropenem in adult patients. J Clin Pharmacol 2006;46(10):1171-1178."
    ),
    doi="10.1177/0091270006291035",
    population=(
        "79 adults (18-93 years) with intra-abdominal infection, community-acquired or ventilator-associated "
        "pneumonia, 0.5-2 g every 8 h over 0.5 or 3 h"
    ),
    molar_mass=MOLAR_MASSES["meropenem"],
    structure=Mammillary(peripherals=1),
    thetas={
        "cl": Param(14.6, "L/h", _DDMORE, "clearance at 35 years and CRCL 83 mL/min"),
        "v1": Param(10.8, "L", _DDMORE, "central volume at 70 kg"),
        "q2": Param(18.6, "L/h", _DDMORE, "intercompartmental clearance"),
        "v2": Param(12.6, "L", _DDMORE, "peripheral volume"),
        "crcl_on_cl": Param(0.62, "1", _DDMORE, "exponent of CRCL / 83 mL/min on clearance"),
        "age_on_cl": Param(-0.34, "1", _DDMORE, "exponent of AGE / 35 y on clearance"),
        "wt_on_v1": Param(0.99, "1", _DDMORE, "exponent of WT / 70 kg on central volume"),
    },
    parameters=parameters,
    etas=(
        Eta("cl", Param(0.118, "1", _DDMORE, "variance of log clearance"), kind="var"),
        Eta("v1", Param(0.143, "1", _DDMORE, "variance of log central volume"), kind="var"),
        Eta("q2", Param(0.290, "1", _DDMORE, "variance of log intercompartmental clearance"), kind="var"),
        Eta("v2", Param(0.102, "1", _DDMORE, "variance of log peripheral volume"), kind="var"),
    ),
    covariates=(
        Covariate(
            name="age_y",
            unit="y",
            low=18.0,
            high=93.0,
            typical=35.0,
            source=f"range: {_TUCUXI}; median 35, log-normal with an SD of 18.2 y: {_DDMORE}",
            meaning="age",
            distribution=LogNormal(35.0, 0.47),
            column="AGE",
            aliases=AGE,
        ),
        Covariate(
            name="wt_kg",
            unit="kg",
            low=40.0,
            high=127.0,
            typical=70.0,
            source=f"range: {_TUCUXI}; median 70, log-normal with an SD of 16.1 kg: {_DDMORE}",
            meaning="body weight",
            distribution=LogNormal(70.0, 0.22),
            column="WT",
            aliases=WEIGHT,
        ),
        Covariate(
            name="crcl_ml_per_min",
            unit="mL/min",
            low=15.0,
            high=200.0,
            typical=83.0,
            source=(
                f"centre: {_DDMORE}, which says that the paper gives no distribution; range and spread unverified: "
                "this project's choice"
            ),
            meaning="creatinine clearance, not divided by body surface",
            distribution=LogNormal(83.0, 0.4),
            column="CRCL",
        ),
    ),
    outputs=(
        Output(
            name="concentration",
            unit="mg/L",
            residual=Residual(
                "combined2",
                additive=Param(0.47, "mg/L", _DDMORE, "additive residual standard deviation"),
                proportional=Param(19.0, "%", _DDMORE, "proportional residual standard deviation"),
            ),
            meaning="meropenem in serum, total",
        ),
    ),
    targets=(
        Target(
            "concentration",
            "trough",
            2.0,
            8.0,
            "mg/L",
            f"{_TUCUXI}: residual target 2-8 mg/L, best 4, alarm above 30",
            aim=4.0,
        ),
    ),
    dosing=DosingOptions(
        routes=(
            Route("30-min intravenous infusion", "central", 0.5),
            Route("3-h intravenous infusion", "central", 3.0),
        ),
        amounts_mg=tuple(float(amount) for amount in range(250, 2001, 250)),
        intervals_h=(8.0, 4.0, 6.0, 12.0, 24.0),
        usual_dose_mg=1000.0,
        source=f"doses, intervals and infusions of {_TUCUXI}; 250 mg below them is this project's choice",
    ),
    limits_of_use=(
        "adults, no dialysis",
        "concentrations are total; about 2 % is bound (from memory, unverified)",
    ),
    ambiguities=(
        "variances are those of the DDMORE bundle; Tucuxi has their square roots, 0.343, 0.378, 0.539 and 0.319",
        "residual SDs 0.47 mg/L and 19 % are rounded; Tucuxi has 0.469 and 18.8 %",
        (
            "a model of an mrgsolve workshop (metrumresearchgroup/page-2018-mrgsolve) has other numbers (CL 15.0, V1 "
            "12.7, Q 15.2): it was fitted again to the simulated data of the bundle"
        ),
    ),
    second_source=(
        "Tucuxi ch.tucuxi.meropenem.li2006.tdd, written at CHUV from the paper: all fixed effects equal, standard "
        "deviations equal to the square roots of the variances to their digits"
    ),
)
