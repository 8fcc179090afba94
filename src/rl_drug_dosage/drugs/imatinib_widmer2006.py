"""Oral imatinib in leukaemia and stromal tumours, one compartment with demographic covariates (Widmer 2006)."""

from jaxtyping import Array

from rl_drug_dosage.drugs.shared.molar_mass import MOLAR_MASSES
from rl_drug_dosage.drugs.shared.spoken import AGE, SEX_WORDS, WEIGHT
from rl_drug_dosage.pkpd import (
    Categorical,
    Correlation,
    Covariate,
    DosingOptions,
    DrugModel,
    Eta,
    Mammillary,
    Normal,
    Output,
    Param,
    Residual,
    Route,
    Target,
    Uniform,
    Values,
)

__all__ = ["DRUG"]

_ABSTRACT = "Widmer 2006, abstract"
_TUCUXI = "Widmer 2006, as transcribed in sotalya/tucuxi-drugs ch.tucuxi.imatinib.gotta2012 (.tdd and .pkmodel)"


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL = 14.3 + 5.42 (WT-70)/70 + 1.49 S - 5.81 (AGE-50)/50 - 0.806 G; V = 347 + 46.2 S.

    S is 1 in men and -1 in women; G is 1 for stromal tumours and -1 for leukaemia.
    """
    man = 1.0 - 2.0 * covariates["female"]
    gist = 2.0 * covariates["gist"] - 1.0
    cl = (
        theta["cl"]
        + theta["wt_on_cl"] * (covariates["wt_kg"] - 70.0) / 70.0
        + theta["sex_on_cl"] * man
        + theta["age_on_cl"] * (covariates["age_y"] - 50.0) / 50.0
        + theta["gist_on_cl"] * gist
    )
    return {"cl": cl, "v1": theta["v1"] + theta["sex_on_v1"] * man, "ka": theta["ka"]}


def _plasma_ug_per_l(state: Values, p: Values) -> Array:
    return 1000.0 * state["central"] / p["v1"]


DRUG = DrugModel(
    name="imatinib-widmer2006",
    drug="imatinib",
    title="Imatinib in chronic myeloid leukaemia and gastrointestinal stromal tumours (Widmer 2006)",
    citation=(
        "Widmer N, Decosterd LA, Csajka C, Leyvraz S, Duchosal MA, Rosselet A, Rochat B, Eap CB, Henry H, Biollaz "
        "J, Buclin T. Population pharmacokinetics of imatinib and the role of alpha1-acid glycoprotein. Br J Clin "
        "Pharmacol 2006;62(1):97-112."
    ),
    doi="10.1111/j.1365-2125.2006.02719.x",
    population="59 adults with chronic myeloid leukaemia or gastrointestinal stromal tumours, 321 levels, Lausanne",
    molar_mass=MOLAR_MASSES["imatinib"],
    structure=Mammillary(depot=True),
    thetas={
        "cl": Param(
            14.3, "L/h", _ABSTRACT, "apparent clearance at 70 kg and 50 years, halfway between sexes and diseases"
        ),
        "wt_on_cl": Param(5.42, "L/h", _TUCUXI, "change of clearance when weight doubles from 70 kg"),
        "sex_on_cl": Param(1.49, "L/h", _TUCUXI, "added to clearance in men, subtracted in women"),
        "age_on_cl": Param(-5.81, "L/h", _TUCUXI, "change of clearance when age doubles from 50 years"),
        "gist_on_cl": Param(-0.806, "L/h", _TUCUXI, "added to clearance for stromal tumours, subtracted for leukaemia"),
        "v1": Param(347.0, "L", _ABSTRACT, "apparent volume, halfway between the sexes"),
        "sex_on_v1": Param(46.2, "L", _TUCUXI, "added to volume in men, subtracted in women"),
        "ka": Param(0.609, "1/h", _TUCUXI, "absorption rate constant"),
    },
    parameters=parameters,
    etas=(
        Eta("cl", Param(0.356, "1", _TUCUXI, "between-subject SD of ln CL"), kind="sd"),
        Eta("v1", Param(0.629, "1", _TUCUXI, "between-subject SD of ln V"), kind="sd"),
    ),
    correlations=(
        Correlation(
            "cl", "v1", Param(0.179, "1", _TUCUXI, "covariance of ln CL and ln V (correlation 0.799)"), kind="cov"
        ),
    ),
    covariates=(
        Covariate(
            name="female",
            unit="0/1",
            low=0.0,
            high=1.0,
            typical=0.0,
            source="proportion of women unverified: half, this project's choice",
            meaning="1 woman, 0 man",
            distribution=Categorical((0.0, 1.0), (0.5, 0.5)),
            column="FEMALE",
            words=SEX_WORDS,
        ),
        Covariate(
            name="age_y",
            unit="y",
            low=20.0,
            high=79.0,
            typical=50.0,
            source=(
                "Yang 2025 Table 1 (nlmixr2lib): 20-79; typical value: centre of the formula; virtual cohort: this "
                "project's choice"
            ),
            meaning="age",
            distribution=Uniform(),
            column="AGE",
            aliases=AGE,
        ),
        Covariate(
            name="wt_kg",
            unit="kg",
            low=44.0,
            high=110.0,
            typical=70.0,
            source=(
                "Tucuxi's domain of the model: 44-110; typical value: centre of the formula; spread: that range "
                "over five standard deviations"
            ),
            meaning="body weight",
            distribution=Normal(70.0, 13.2),
            column="WT",
            aliases=WEIGHT,
        ),
        Covariate(
            name="gist",
            unit="0/1",
            low=0.0,
            high=1.0,
            typical=0.0,
            source="proportions of the diseases unverified: half, this project's choice",
            meaning="1 gastrointestinal stromal tumour, 0 chronic myeloid leukaemia",
            distribution=Categorical((0.0, 1.0), (0.5, 0.5)),
            column="GIST",
        ),
    ),
    outputs=(
        Output(
            name="concentration",
            unit="ug/L",
            residual=Residual(
                "proportional", proportional=Param(0.3138, "1", _TUCUXI, "proportional residual standard deviation")
            ),
            value=_plasma_ug_per_l,
            auc_scale=1000.0,
            meaning="total imatinib in plasma",
        ),
    ),
    targets=(
        Target(
            "concentration",
            "trough",
            750.0,
            1500.0,
            "ug/L",
            "sotalya/tucuxi-drugs ch.tucuxi.imatinib.gotta2012.tdd (best 1000)",
        ),
    ),
    dosing=DosingOptions(
        routes=(Route("oral tablet", "depot"),),
        amounts_mg=tuple(float(amount) for amount in range(100, 801, 100)),
        intervals_h=(24.0, 12.0),
        usual_dose_mg=400.0,
        source=(
            "sotalya/tucuxi-drugs ch.tucuxi.imatinib.gotta2012.tdd (100-400, 600 and 800 mg, default 400 mg); 12 h: "
            "this project's choice"
        ),
    ),
    limits_of_use=(
        "adults with chronic myeloid leukaemia or gastrointestinal stromal tumours",
        "total drug: alpha1-acid glycoprotein, used in the paper's second model, is not in this one",
    ),
    ambiguities=(
        (
            "sex: Tucuxi's description codes men as 0, but its formula calls the covariate MALE and adds 1.49 L/h "
            "and 46.2 L for 1: men are assumed to have the larger clearance and volume"
        ),
        (
            "the abstract's 36 % and 63 % are log-scale SDs (0.356 and 0.629): the printed covariance 0.179 gives "
            "the correlation 0.799 with these, not with exact CVs"
        ),
        (
            "nlmixr2lib, after Yang 2025, uses the same numbers in a model without covariates and without "
            "correlation; according to the abstract, 36 % and 63 % remain after the demographic covariates"
        ),
        (
            "Gotta V et al. Clin Pharmacokinet 2012;51:187-201 validates this model with these numbers (ages up to "
            "88 years): it has no separate file"
        ),
    ),
    second_source="nlmixr2lib Widmer_2006_imatinib.R (after Yang 2025): clearance, volume, ka, CVs and error agree",
)
