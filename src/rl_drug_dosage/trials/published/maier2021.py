"""Paclitaxel and neutropenia: reinforcement learning and data assimilation against MAP (Maier 2021)."""

from rl_drug_dosage.trials.published_metrics import metric_beyond, total_dose
from rl_drug_dosage.trials.published_trial import Difference, PublishedMetric, PublishedRun, PublishedTrial

__all__ = ["PUBLISHED"]

_GRADE_4, _GRADE_0 = 1.0, 4.0
"""Leukocytes, 10^9/L, CTCAE v5.0 as in `scenarios.paclitaxel_v2`."""

PUBLISHED = PublishedTrial(
    title="Maier 2021, paclitaxel and neutropenia",
    citation=(
        "Maier C, Hartung N, Kloft C, Huisinga W, de Wiljes J. Reinforcement learning and Bayesian data assimilation "
        "for model-informed precision dosing in oncology. CPT Pharmacometrics Syst Pharmacol 2021;10:241-254"
    ),
    sources="the abstract, and a summary of the methods by others",
    protocol={
        "patients": "virtual ones with sex, age and baseline neutrophil count; how many: not read",
        "simulated with": "a published model of paclitaxel-induced neutropenia; which, and its numbers: not read",
        "dosed by": (
            "model-informed dosing tables and MAP estimates, which the abstract calls the current strategies; "
            "Bayesian data assimilation (DA), RL (Monte Carlo tree search with upper confidence bounds), and DA with "
            "RL"
        ),
        "monitoring": "neutrophil counts; RL sees the grades of neutropenia of the cycles before. Days: not read",
        "doses": "paclitaxel every 3 weeks; dose grid: not read",
        "duration": "several cycles; how many: not read",
        "drop-out": "not read",
    },
    metrics=(
        PublishedMetric(
            "grade 4", "%", "share of cycles with a nadir below grade 4's limit", metric_beyond(below=_GRADE_4)
        ),
        PublishedMetric(
            "grade 0", "%", "share of cycles with a nadir at or above grade 1's limit", metric_beyond(above=_GRADE_0)
        ),
        PublishedMetric("total dose", "x 320 mg", "sum of the doses of six cycles", total_dose),
    ),
    numbers=(),
    unread=(
        (
            "every number of the results. The abstract says that the three new approaches 'have the potential to "
            "substantially reduce the incidence of life-threatening grade 4 and subtherapeutic grade 0 neutropenia'"
        ),
        "model, dose grid, sampling days, number of cycles and of patients, reward",
    ),
    assumed=(
        "six cycles, infusions of 3 h, counts before each dose and around the nadir: the scenario's values",
        "grades counted by cycles, from the true nadir",
    ),
    runs=(
        PublishedRun(
            scenario="paclitaxel", stands_for="3-weekly paclitaxel, six cycles, with leukocytes in place of neutrophils"
        ),
    ),
    differences=(
        Difference(
            "what is counted",
            "neutrophils",
            "leukocytes, the cells of Friberg 2002: grade 4 below 1.0, grade 0 from 4.0 x 10^9/L",
        ),
        Difference("what controllers believe", "not read", "the model that simulates the patients"),
        Difference("covariates", "sex, age and baseline count", "none in Friberg 2002; the baseline count is measured"),
        Difference("doses", "not read", "0 to 1.4 times 320 mg in twentieths"),
    ),
)
