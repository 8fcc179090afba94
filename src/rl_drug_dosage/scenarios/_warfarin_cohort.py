"""Shared by the warfarin scenarios: tablets, goal, INR measurement error, covariates of both Hamberg models."""

from collections.abc import Mapping

from jaxtyping import Array

from rl_drug_dosage.clinic.cohort import Drawn, drawn
from rl_drug_dosage.clinic.scenario import Harm, Judged
from rl_drug_dosage.clinic.ward import Dosage
from rl_drug_dosage.drugs.shared.warfarin import DIPLOTYPES, TABLETS
from rl_drug_dosage.pkpd import Categorical, Covariate, Eta, LogNormal, Normal, Param, Residual, Target, Uniform
from rl_drug_dosage.pkpd.distributions import Distribution

__all__ = [
    "DAY_TO_DAY",
    "DOSAGE",
    "ELSEWHERE",
    "GOAL_INR",
    "HARMS",
    "INR_ERROR",
    "MODELS",
    "SPREAD",
    "TEST_ONLY",
    "TRIAL",
    "covariates",
    "squared_distance",
]

MODELS = ("warfarin-hamberg2010", "warfarin-hamberg2007")
TEST_ONLY = ("warfarin-falkenhagen2023",)

TRIAL = "Augustin D et al. Front Pharmacol 2023;14:1270443 (DavAug/mipd-warfarin)"

DOSAGE = Dosage(
    amounts=TABLETS.amounts_mg,
    unit="mg",
    compartment="depot",
    usual=TABLETS.usual_dose_mg,
    source=TABLETS.source,
)

INR_ERROR = Residual(
    "lognormal",
    proportional=Param(
        0.1,
        "1",
        "DavAug/mipd-warfarin results/data/mipd_trial_cohort.csv, column 'Sigma log'",
        "SD of ln INR of a measurement",
    ),
)
"""Laboratory error. The models' published residual errors (SD 0.20 and 0.0325) also include model error and are assumed
by `mipd`; `mipd-assay` assumes this one."""

DAY_TO_DAY = Eta(
    "ec50",
    Param(
        0.1,
        "1",
        f"{TRIAL}, 10_simulate_tdm_data_no_explained_IIV.py: daily vitamin K intake is N(1, 0.1) times the usual; "
        "its proportional effect on EC50 is this project's choice, since no Hamberg model has vitamin K",
        "SD of ln EC50 between days",
    ),
    kind="sd",
)

SPREAD = {
    "cl": 0.3,
    "v1": 0.2,
    "ec50": 0.4,
    "gamma": 0.5,
    "mtt_fast": 0.5,
    "mtt_slow": 0.5,
    "inr_max": 0.3,
    "inr_base": 0.1,
}
"""Log-scale variability that training may add (this project's choice): wide enough for coagulation that is faster,
slower, steeper or flatter than in any published model. No number of Hamberg 2007 and no result on it was used."""

ELSEWHERE: Mapping[str, Distribution] = {
    "age_y": Uniform(22.0, 87.0),
    "cyp2c9": Categorical(DIPLOTYPES, (0.3, 0.2, 0.2, 0.1, 0.1, 0.1)),
    "vkorc1_g_alleles": Categorical((2.0, 1.0, 0.0), (0.34, 0.33, 0.33)),
}
"""Additional patients for training: of all ages, often with rare genotypes. This project's choice."""

GOAL_INR = Target("inr", "trough", 2.0, 3.0, "1", f"{TRIAL}; INR 2-3, set point 2.5", aim=2.5, log=False)

HARMS = (
    Harm(
        "INR > 4",
        "trough",
        "inr",
        "bleeding risk rises from INR 4: Aurora's table skips doses there (anzabizadeh/ReiL aurora.py)",
        above=4.0,
    ),
    Harm("INR > 5", "trough", "inr", "Aurora's red flag (anzabizadeh/ReiL aurora.py)", above=5.0),
)


def covariates(
    age: LogNormal | Normal,
    median_y: float,
    cyp2c9: tuple[float, ...],
    vkorc1: tuple[float, float, float],
    source: str,
) -> tuple[Covariate, ...]:
    """The covariates of both models.

    Args:
        age: age distribution, years.
        median_y: the typical age, years.
        cyp2c9: frequencies of *1/*1, *1/*2, *1/*3, *2/*2, *2/*3, *3/*3.
        vkorc1: frequencies of -1639 GG, GA, AA.
        source: source of the three.
    """
    return drawn(
        MODELS,
        {
            "age_y": Drawn(
                age, f"{source}; truncated to the ages in Hamberg 2007", low=22.0, high=87.0, typical=median_y
            ),
            "cyp2c9": Drawn(Categorical(DIPLOTYPES, cyp2c9), source),
            "vkorc1_g_alleles": Drawn(Categorical((2.0, 1.0, 0.0), vkorc1), source),
            "inr_base": Drawn(),
        },
    )


def squared_distance(judged: Judged) -> Array:
    """-((INR - 2.5) / 2.5)^2 at the end of the day."""
    return -(((judged.metrics[0][0] - 2.5) / 2.5) ** 2)
