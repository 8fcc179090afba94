"""Unfractionated heparin and aPTT in children, one compartment (Al-Sallami 2016)."""

from jaxtyping import Array

from rl_drug_dosage.drugs.shared.body_size import growth_height_cm, growth_weight_kg, maturing_fat_free_mass_kg
from rl_drug_dosage.drugs.shared.spoken import AGE, HEIGHT, SEX_WORDS, WEIGHT
from rl_drug_dosage.pkpd import (
    Categorical,
    Correlation,
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
    Uniform,
    Values,
)

__all__ = ["DRUG"]

_TABLE_2 = "Al-Sallami 2016 Table 2, as transcribed in nlmixr2lib AlSallami_2016_unfractionatedHeparin.R"
_TABLE_3 = "Al-Sallami 2016 Table 3, as transcribed in nlmixr2lib AlSallami_2016_unfractionatedHeparin.R"
_TABLE_1 = "Al-Sallami 2016 Table 1, as transcribed in nlmixr2lib AlSallami_2016_unfractionatedHeparin.R"
_GROWTH = "virtual cohort: growth chart with a spread that is this project's choice"
_IU_PER_MG = 100.0
"""A way to count: 1 mg of the dose tables stands for 100 IU."""


def parameters(theta: Values, covariates: Values) -> dict[str, Array]:
    """CL = 0.603 FFM/15; V = 0.751 WT/20; aPTT = 35.6 s + 0.67 s/(IU/L) C."""
    ffm = maturing_fat_free_mass_kg(
        covariates["age_y"], covariates["wt_kg"], covariates["height_cm"], covariates["female"]
    )
    return {
        "cl": theta["cl"] * ffm / 15.0,
        "v1": theta["v1"] * covariates["wt_kg"] / 20.0,
        "baseline_s": theta["baseline"],
        "slope": theta["slope"],
        "iu_per_mg": theta["iu_per_mg"],
    }


def _iu_per_l(state: Values, p: Values) -> Array:
    return p["iu_per_mg"] * state["central"] / p["v1"]


DRUG = DrugModel(
    name="heparin-alsallami2016",
    drug="heparin",
    title="Unfractionated heparin and aPTT in children at cardiac angiography (Al-Sallami 2016)",
    citation=(
        "Al-Sallami HS, Newall F, Monagle P, Ignjatovic V, Cranswick N, Duffull S. Development of a population "
        "pharmacokinetic-pharmacodynamic model of a single bolus dose of unfractionated heparin in paediatric "
        "patients. Br J Clin Pharmacol 2016;82(1):178-184."
    ),
    doi="10.1111/bcp.12930",
    population="64 children (0.5-15.5 years) at cardiac angiography, 231 heparin levels, 290 aPTT, Melbourne",
    structure=Mammillary(),
    thetas={
        "cl": Param(0.603, "L/h", _TABLE_2, "clearance at a fat-free mass of 15 kg"),
        "v1": Param(0.751, "L", _TABLE_2, "volume at 20 kg"),
        "baseline": Param(35.6, "s", _TABLE_3, "aPTT without heparin"),
        "slope": Param(0.67, "s L/IU", _TABLE_3, "rise of aPTT per IU/L of heparin"),
        "iu_per_mg": Param(
            _IU_PER_MG,
            "IU/mg",
            "this project's way to count; nothing depends on it",
            "IU that 1 mg of the dose tables stands for",
            unverified=True,
        ),
    },
    parameters=parameters,
    etas=(
        Eta("cl", Param(50.0, "%", _TABLE_2, "between-subject CV of clearance"), kind="cv_exact"),
        Eta("v1", Param(40.0, "%", _TABLE_2, "between-subject CV of volume"), kind="cv_exact"),
        Eta("baseline_s", Param(0.43, "1", _TABLE_3, "between-subject CV of aPTT without heparin"), kind="cv_exact"),
        Eta("slope", Param(64.0, "%", _TABLE_3, "between-subject CV of the slope"), kind="cv_exact"),
    ),
    correlations=(Correlation("cl", "v1", Param(0.75, "1", _TABLE_2, "correlation of clearance and volume"), "corr"),),
    covariates=(
        Covariate(
            name="age_y",
            unit="y",
            low=0.5,
            high=15.5,
            typical=6.7,
            source=f"{_TABLE_1}: mean 6.7, range 0.5-15.5; uniform in the virtual cohort: this project's choice",
            meaning="age",
            distribution=Uniform(),
            column="AGE",
            aliases=AGE,
        ),
        Covariate(
            name="female",
            unit="0/1",
            low=0.0,
            high=1.0,
            typical=0.0,
            source=f"{_TABLE_1}: 53.1 % girls",
            meaning="1 girl, 0 boy",
            distribution=Categorical((0.0, 1.0), (0.469, 0.531)),
            column="FEMALE",
            words=SEX_WORDS,
        ),
        Covariate(
            name="height_cm",
            unit="cm",
            low=65.0,
            high=176.0,
            typical=115.7,
            source=f"{_TABLE_1}: mean 115.7, range 65-176; {_GROWTH}",
            meaning="height, or length below 2 years",
            distribution=Normal(lambda drawn: growth_height_cm(drawn["age_y"], drawn["female"]), 5.0),
            column="HT",
            aliases=HEIGHT,
        ),
        Covariate(
            name="wt_kg",
            unit="kg",
            low=6.7,
            high=68.6,
            typical=23.6,
            source=f"{_TABLE_1}: mean 23.6, range 6.7-68.6; {_GROWTH}",
            meaning="body weight",
            distribution=LogNormal(lambda drawn: growth_weight_kg(drawn["age_y"], drawn["female"]), 0.15),
            column="WT",
            aliases=WEIGHT,
        ),
    ),
    outputs=(
        Output(
            name="aptt",
            unit="s",
            residual=Residual(
                "combined2",
                additive=Param(0.005, "s", _TABLE_3, "additive residual standard deviation"),
                proportional=Param(30.0, "%", _TABLE_3, "proportional residual standard deviation"),
            ),
            value=lambda state, p: p["baseline_s"] + p["slope"] * _iu_per_l(state, p),
            meaning="activated partial thromboplastin time",
        ),
        Output(
            name="concentration",
            unit="IU/L",
            residual=Residual(
                "combined2",
                additive=Param(90.0, "IU/L", _TABLE_2, "additive residual standard deviation"),
                proportional=Param(17.0, "%", _TABLE_2, "proportional residual standard deviation"),
            ),
            value=_iu_per_l,
            meaning="heparin in plasma by protamine titration",
            auc_scale=_IU_PER_MG,
        ),
    ),
    targets=(
        Target(
            "aptt",
            "value",
            60.0,
            85.0,
            "s",
            "aPTT 60-85 s, the usual range of children on an infusion: from memory, unverified",
        ),
    ),
    dosing=DosingOptions(
        routes=(
            Route("6-min intravenous injection", "central", 0.1),
            Route("1-h intravenous infusion", "central", 1.0),
        ),
        amounts_mg=tuple(float(amount) for amount in range(61)),
        intervals_h=(6.0, 1.0, 4.0, 12.0),
        usual_dose_mg=21.0,
        source=(
            f"{_TABLE_1}: 600-5,000 IU, mean 91 IU/kg, here 2,100 IU at 23.6 kg; given over 0.1 h as in the paper; "
            "steps of 100 IU and intervals are this project's choice"
        ),
    ),
    limits_of_use=(
        (
            "one high dose at angiography: the authors found that the model overpredicts aPTT under an infusion of "
            "lower dose"
        ),
        "children; neonates below half a year were not studied",
        "heparin by protamine titration, not anti-Xa; aPTT of one reagent (PTT-A, read up to 999 s)",
    ),
    ambiguities=(
        "doses are in IU: in the tables of this package 1 mg stands for 100 IU",
        "omega of the baseline is printed as 0.43 in a column of per cent: read as 43 %, as nlmixr2lib does",
        "the additive error of aPTT, 0.005, is printed in U/L: read as seconds; it hardly matters",
        "CVs are read as exact (nlmixr2lib); the paper does not say",
    ),
    second_source=(
        "abstract: one compartment, fat-free mass on clearance, linear aPTT; its numbers are in the tables only, of "
        "which nlmixr2lib is the one reader. A slope of 150 s/(IU/mL) = 0.15 s/(IU/L) in 633 children on infusions (J "
        "Clin Pharmacol 2022;62:733-746, abstract) is a quarter of this one, as the authors' warning about infusions "
        "says"
    ),
)
