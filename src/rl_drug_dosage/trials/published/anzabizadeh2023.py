"""Warfarin for 90 days: deep reinforcement learning against dosing protocols (Anzabi Zadeh 2023, the package ReiL)."""

from collections.abc import Callable, Collection

import numpy as np

from rl_drug_dosage.clinic.events import Adherence
from rl_drug_dosage.trials.published_metrics import among, share_of_ends_in_range
from rl_drug_dosage.trials.published_trial import Difference, PublishedMetric, PublishedRun, PublishedTrial
from rl_drug_dosage.trials.trial import Trial

__all__ = ["PUBLISHED"]

_TAG = "anzabizadeh/ReiL, tag paper_1_rev_1"
_PATIENT = f"{_TAG}, reil/healthcare/patient_warfarin_ravvaz.py"
_SUBJECT = f"{_TAG}, reil/healthcare/subjects/warfarin.py"

_NORMAL = frozenset({(11.0, 2.0), (12.0, 2.0), (11.0, 1.0)})
_SENSITIVE = frozenset(
    {(12.0, 1.0), (13.0, 1.0), (22.0, 1.0), (23.0, 2.0), (13.0, 2.0), (22.0, 2.0), (12.0, 0.0), (11.0, 0.0)}
)
"""(CYP2C9 as in `drugs.shared.warfarin`, VKORC1 G alleles); everybody else is highly sensitive."""

_DAYS = share_of_ends_in_range(2.0, 3.0)


def _with(genotypes: Collection[tuple[float, float]], *, inside: bool = True) -> Callable[[Trial], np.ndarray]:
    def who(trial: Trial) -> np.ndarray:
        pairs = zip(trial.covariates["cyp2c9"], trial.covariates["vkorc1_g_alleles"], strict=True)
        return np.asarray([((float(c), float(v)) in genotypes) == inside for c, v in pairs])

    return who


def _pttr(name: str, of: str, who: Callable[[Trial], np.ndarray] | None = None) -> PublishedMetric:
    meaning = (
        f"share of days 1-90 that end with the INR of the model, without laboratory error, at 2-3; {of} "
        f"(PTTR_exact of {_SUBJECT}, sensitivity of {_PATIENT})"
    )
    return PublishedMetric(name, "%", meaning, _DAYS if who is None else among(_DAYS, who))


PUBLISHED = PublishedTrial(
    title="Anzabi Zadeh 2023, warfarin for 90 days",
    citation=(
        "Anzabi Zadeh S, Street WN, Thomas BW. Optimizing warfarin dosing using deep reinforcement learning. J "
        "Biomed Inform 2023;137:104267 (arXiv 2202.03486)"
    ),
    sources=f"the abstract; the code of {_TAG} (May 2022), which defines cohort, models, doses and metric",
    protocol={
        "patients": (
            "the Aurora cohort of Ravvaz 2017: age N(67.3, 13.43) y from 18 on; CYP2C9 *1/*1 67.39, *1/*2 14.86, "
            f"*1/*3 9.25, *2/*2 6.51, *2/*3 1.97, *3/*3 0.02 %; VKORC1 GG 38.37, GA 44.18, AA 17.45 % ({_PATIENT}); "
            "how many: not read"
        ),
        "simulated with": (
            "Hamberg 2007 with a baseline INR of 1 (reil/healthcare/mathematical_models/hamberg_pkpd.py); a second "
            "PK/PD model for robustness (abstract)"
        ),
        "dosed by": (
            "deep RL trained on virtual patients; 'a set of clinically accepted dosing protocols' (abstract), in the "
            "code the arms AAA, CAA, PGAA, PGPGA and PGPGI of Ravvaz 2017"
        ),
        "monitoring": (
            "an INR at each decision. The interval to the next one is part of the action: the code offers daily, 2-3-7 "
            "(days 2, 5, then weekly), weekly and free intervals of 1-28 days; which one: not read"
        ),
        "doses": f"once daily, 0-15 mg in steps of 0.5 mg, the same until the next decision ({_SUBJECT})",
        "duration": f"90 days ({_SUBJECT})",
        "drop-out": "none in the code",
    },
    metrics=(
        _pttr("PTTR", "all patients"),
        _pttr("PTTR, normal", "CYP2C9 and VKORC1 of normal sensitivity", _with(_NORMAL)),
        _pttr("PTTR, sensitive", "sensitive genotypes", _with(_SENSITIVE)),
        _pttr("PTTR, highly sensitive", "highly sensitive genotypes", _with(_NORMAL | _SENSITIVE, inside=False)),
    ),
    numbers=(),
    unread=(
        (
            "every number of the results: only the abstract could be read, which says that the policy outperforms the "
            "protocols 'by a wide margin' and is 'comparable' to them on the second model"
        ),
        "size of the test cohort, dosing intervals of the published policy, whether PTTR is averaged over patients",
    ),
    assumed=(
        "no missed and no late doses: this version of the code has neither",
        "PTTR averaged over patients",
    ),
    runs=(
        PublishedRun(
            scenario="warfarin-90d",
            stands_for="patients of their first model, a controller that believes another one",
            simulator="warfarin-hamberg2007",
            controller="warfarin-hamberg2010",
            replaced={"adherence": Adherence(), "dropout": None},
            replaced_text=(
                "adherence: every dose taken, in time, as in their code; dropout: none, as in their code. The INRs "
                "are the scenario's: 18 in 90 days, five of them in the first week"
            ),
            patients=250,
        ),
    ),
    differences=(
        Difference(
            "variability of patients",
            (
                "SDs of logarithms are the square roots of the published coefficients of variation (clearance 0.557, "
                "EC50 0.640), and only the middle half of each distribution is kept, which leaves SDs of about 0.21 "
                "and 0.24 (hamberg_pkpd.py; random_lognormal_truncated in reil/utils/functions.py)"
            ),
            "the published ones, whole: clearance 0.30, EC50 0.39 (`info --drug warfarin-hamberg2007`)",
        ),
        Difference(
            "INR that is judged",
            (
                "the model's, with log-normal errors of the concentration (SD 0.301, hourly) and of the INR (SD "
                "0.0325, daily)"
            ),
            "the model's without an error; EC50 varies from day to day, SD of its logarithm 0.1",
        ),
        Difference(
            "decisions and INRs",
            "a dose for 1-28 days, until the next INR",
            "a dose every day; 18 INRs, further and further apart",
        ),
        Difference("doses", "0-15 mg", "0-30 mg"),
        Difference(
            "what the learnt policy was trained on",
            "patients of the model that tests it",
            "patients of Hamberg 2010, a fifth of whose doses are missed",
        ),
    ),
)
