"""Tacrolimus twice daily after kidney transplantation, two compartments, three transit steps (Woillard 2011)."""

import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.drugs.shared.molar_mass import MOLAR_MASSES
from rl_drug_dosage.pkpd import (
    Categorical,
    Covariate,
    DosingOptions,
    DrugModel,
    Eta,
    LinearSystem,
    Normal,
    Output,
    Param,
    Residual,
    Route,
    Target,
    Values,
)

__all__ = ["DRUG"]

_LIB = "as transcribed in nlmixr2lib Woillard_2011_tacrolimus.R"
_TABLE_4 = f"Woillard 2011 Table 4, whole data set, {_LIB}"
_TABLE_1 = f"Woillard 2011 Table 1, {_LIB}"
_IOV = "Woillard 2011 Table 4, as quoted in nlmixr2lib's article on the model"


def matrix(p: Values) -> Array:
    """Depot and two transit compartments with the rate ktr, then two compartments; rows are slopes, 1/h."""
    ktr, v1, v2 = p["ktr"], p["v1"], p["v2"]
    zero = jnp.zeros_like(ktr)
    return jnp.stack(
        [
            jnp.stack([-ktr, zero, zero, zero, zero]),
            jnp.stack([ktr, -ktr, zero, zero, zero]),
            jnp.stack([zero, ktr, -ktr, zero, zero]),
            jnp.stack([zero, zero, ktr, -(p["cl"] + p["q2"]) / v1, p["q2"] / v2]),
            jnp.stack([zero, zero, zero, p["q2"] / v1, -p["q2"] / v2]),
        ]
    )


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL/F = 21.2 (HCT/35)^-1.14 2.00^CYP3A5*1; V1/F = 486 x 0.29 and ktr = 3.34 x 1.53 for Prograf."""
    cl = (
        theta["cl"]
        * (covariates["hct_percent"] / 35.0) ** theta["hct_on_cl"]
        * theta["expresser_on_cl"] ** covariates["cyp3a5_expresser"]
    )
    return {
        "cl": cl,
        "v1": theta["v1"] * theta["prograf_on_v1"],
        "q2": theta["q2"],
        "v2": theta["v2"],
        "ktr": theta["ktr"] * theta["prograf_on_ktr"],
    }


DRUG = DrugModel(
    name="tacrolimus-woillard2011",
    drug="tacrolimus",
    title="Tacrolimus twice daily in adults after kidney transplantation (Woillard 2011)",
    citation=(
        "Woillard JB, de Winter BCM, Kamar N, Marquet P, Rostaing L, Rousseau A. Population pharmacokinetic model and "
        "Bayesian estimator for two tacrolimus formulations: twice daily Prograf and once daily Advagraf. Br J Clin "
        "Pharmacol 2011;71(3):391-402."
    ),
    doi="10.1111/j.1365-2125.2010.03837.x",
    population=(
        "73 adults after kidney transplantation, 186 profiles, Limoges and Toulouse: 32 on Prograf in the first six "
        "months, 41 on Advagraf after the first year; here Prograf"
    ),
    molar_mass=MOLAR_MASSES["tacrolimus"],
    structure=LinearSystem(
        names=("depot", "transit1", "transit2", "central", "peripheral1"),
        matrix=matrix,
        required=("ktr", "cl", "v1", "q2", "v2"),
    ),
    thetas={
        "ktr": Param(3.34, "1/h", _TABLE_4, "rate of each of three transit steps, Advagraf"),
        "prograf_on_ktr": Param(1.53, "1", _TABLE_4, "factor of Prograf on it"),
        "cl": Param(21.2, "L/h", _TABLE_4, "apparent clearance at a haematocrit of 35 %, CYP3A5*3/*3"),
        "hct_on_cl": Param(-1.14, "1", _TABLE_4, "exponent of haematocrit / 35 %"),
        "expresser_on_cl": Param(2.00, "1", _TABLE_4, "factor of CYP3A5*1 carriers on clearance"),
        "v1": Param(486.0, "L", _TABLE_4, "apparent central volume, Advagraf"),
        "prograf_on_v1": Param(0.29, "1", _TABLE_4, "factor of Prograf on it"),
        "q2": Param(79.0, "L/h", _TABLE_4, "apparent intercompartmental clearance"),
        "v2": Param(271.0, "L", _TABLE_4, "apparent peripheral volume"),
    },
    parameters=parameters,
    etas=(
        Eta("ktr", Param(24.0, "%", _TABLE_4, "between-subject CV of the transit rate"), kind="cv_exact"),
        Eta("cl", Param(28.0, "%", _TABLE_4, "between-subject CV of clearance"), kind="cv_exact"),
        Eta("v1", Param(31.0, "%", _TABLE_4, "between-subject CV of central volume"), kind="cv_exact"),
        Eta("q2", Param(54.0, "%", _TABLE_4, "between-subject CV of intercompartmental clearance"), kind="cv_exact"),
        Eta("v2", Param(60.0, "%", _TABLE_4, "between-subject CV of peripheral volume"), kind="cv_exact"),
    ),
    occasion_etas=(
        Eta("ktr", Param(33.0, "%", _IOV, "inter-occasion CV of the transit rate, Prograf"), kind="cv_exact"),
        Eta("cl", Param(31.0, "%", _IOV, "inter-occasion CV of clearance, Prograf"), kind="cv_exact"),
        Eta("v1", Param(75.0, "%", _IOV, "inter-occasion CV of central volume, Prograf"), kind="cv_exact"),
    ),
    covariates=(
        Covariate(
            name="hct_percent",
            unit="%",
            low=20.9,
            high=46.6,
            typical=35.0,
            source=(
                f"{_TABLE_1}: Prograf, median 32.3, range 20.9-46.6; typical value: centre of the published formula; "
                "the spread of the virtual cohort is that range over six standard deviations"
            ),
            meaning="haematocrit",
            distribution=Normal(32.3, 4.3),
            column="HCT",
        ),
        Covariate(
            name="cyp3a5_expresser",
            unit="0/1",
            low=0.0,
            high=1.0,
            typical=0.0,
            source=f"{_TABLE_1}: 6 of 73 on either formulation",
            meaning="carries CYP3A5*1",
            distribution=Categorical((0.0, 1.0), (67 / 73, 6 / 73)),
            column="CYP3A5",
        ),
    ),
    outputs=(
        Output(
            name="concentration",
            unit="ug/L",
            residual=Residual(
                "combined2",
                additive=Param(0.71, "ug/L", _TABLE_4, "additive residual standard deviation"),
                proportional=Param(11.3, "%", _TABLE_4, "proportional residual standard deviation"),
            ),
            value=lambda state, p: 1000.0 * state["central"] / p["v1"],
            auc_scale=1000.0,
            meaning="tacrolimus in whole blood",
        ),
    ),
    targets=(
        Target("concentration", "trough", 10.0, 15.0, "ug/L", f"Woillard 2011: target of the first six weeks, {_LIB}"),
        Target("concentration", "trough", 5.0, 10.0, "ug/L", f"Woillard 2011: target after six weeks, {_LIB}"),
    ),
    dosing=DosingOptions(
        routes=(Route("oral capsule", "depot"),),
        amounts_mg=tuple(0.5 * capsules for capsules in range(1, 31)),
        intervals_h=(12.0,),
        usual_dose_mg=3.0,
        source=(
            f"Woillard 2011: Prograf, 0.1 mg/kg a day at first, for a median of 65 kg, {_LIB}; in two doses of "
            "3.25 mg, here 3; the grid of capsules is this project's choice"
        ),
    ),
    limits_of_use=(
        "adults in the first six months after kidney transplantation",
        "immediate-release capsules twice a day: Prograf's factors are built in",
        "6 of 73 patients carry CYP3A5*1",
    ),
    ambiguities=(
        (
            "CVs are read as exact (nlmixr2lib); a public PyTorch version has the variances 0.06, 0.08, 0.10, 0.29 and "
            "0.36"
        ),
        (
            "an occasion of the paper is a visit, weeks apart; where occasions are shorter, patients change faster "
            "than its own did"
        ),
        "the Discussion gives V1/F as 205 L on Prograf, Table 4's formula 141 L, which is used",
        "'combined' error is read as added variances (nlmixr2lib)",
        "the factor of Prograf may be that of the first six months: the cohorts do not overlap in time",
    ),
    second_source=(
        "two public simulators of the model, in PyTorch and in mrgsolve: equal thetas (one PyTorch version changes the "
        "exponent of haematocrit on purpose), and equal inter-occasion values in the first"
    ),
)
