"""Warfarin for 19 days with a daily INR: a neural network, deep RL and Bayesian dosing (Augustin 2023)."""

from rl_drug_dosage.trials.published_metrics import any_above, late_change, left_early, level_in_range, share_in_range
from rl_drug_dosage.trials.published_trial import (
    Difference,
    PublishedMetric,
    PublishedNumber,
    PublishedRun,
    PublishedTrial,
)

__all__ = ["PUBLISHED"]

_LEVELS = 19
_LIMIT = 5.0
"""INR of the drop-out rule."""

_NOTEBOOK = "results/1_systems_pharmacology_model/results.ipynb"
_RL_DATA = "results/4_reinforcement_learning/mipd_trial_predicted_dosing_regimens.csv"
_PKPD_DATA = "results/2_semi_mechanistic_model/mipd_trial_predicted_dosing_regimens.csv"

_NETWORK = "neural network"
_RL = "deep RL"
_PKPD = "PKPD, Bayesian"

_END = PublishedMetric(
    "in range at the end",
    "%",
    "share of all patients whose last INR, measured on day 18 before the 19th dose, is 2-3; who drops out is not",
    level_in_range(2.0, 3.0, levels=_LEVELS, limit=_LIMIT),
)
_TTR = PublishedMetric(
    "median TTR",
    "%",
    (
        "share of a patient's 19 measured INRs (days 0-18, the one before the first dose included) that are 2-3; "
        "patients who complete"
    ),
    share_in_range(2.0, 3.0, levels=_LEVELS, limit=_LIMIT),
    over="median",
)
_LEFT = PublishedMetric(
    "dropouts",
    "%",
    "share of patients with three measured INRs above 5 in a row and, in no such case, a third dose below the first",
    left_early(levels=_LEVELS, limit=_LIMIT),
)
_ABOVE_3 = PublishedMetric(
    "INR > 3", "%", "share of patients with any measured INR above 3", any_above(3.0, levels=_LEVELS)
)
_ABOVE_4 = PublishedMetric(
    "INR > 4", "%", "share of patients with any measured INR above 4", any_above(4.0, levels=_LEVELS)
)
_CHANGE = PublishedMetric(
    "late change of dose",
    "%",
    (
        "mean absolute change of the dose from day to day over the last third of the course, % of the mean dose "
        "there: this project's burden, computed from their deposited doses as well"
    ),
    late_change,
)


def _of_data(file: str, arm: str, values: tuple[float, ...]) -> tuple[PublishedNumber, ...]:
    """Numbers that this project computed from their deposited INRs and doses of 1,000 patients."""
    metrics = (_END, _TTR, _LEFT, _ABOVE_3, _ABOVE_4, _CHANGE)
    place = (
        f"DavAug/mipd-warfarin {file}, INR and dose of each day: computed by this project by the metric's definition"
    )
    return tuple(PublishedNumber(arm, m.name, v, place) for m, v in zip(metrics, values, strict=True))


PUBLISHED = PublishedTrial(
    title="Augustin 2023, warfarin initiation for 19 days",
    citation=(
        "Augustin D, Lambert B, Robinson M, Wang K, Gavaghan D. Simulating clinical trials for model-informed "
        "precision dosing: using warfarin treatment as a use case. Front Pharmacol 2023;14:1270443"
    ),
    sources=(
        "the repository DavAug/mipd-warfarin: scripts, the outputs in its notebook, the deposited cohort, INRs and "
        "doses; of the paper the abstract only"
    ),
    protocol={
        "patients": (
            "1,000 virtual ones (5_simulate_cohort_for_mipd_trial.py): age LogN(50 y, 0.15); CYP2C9 *1/*1 62, *1/*2 "
            "20, *1/*3 12, *2/*2 3, *2/*3 2, *3/*3 1 %; VKORC1 GG 35, GA 45, AA 20 %"
        ),
        "simulated with": (
            "a systems model of coagulation and of the INR test (Wajima 2009, Hartmann's parameters), variability "
            "between patients, daily vitamin K intake N(1, 0.1) of the usual, doses delayed by Exp(0.5 h) "
            "(7_simulate_tdm_data_for_mipd_trial.py)"
        ),
        "dosed by": (
            "neural network regression on covariates; deep RL (double DQN) on genotypes, age and the last INR, "
            "trained on patients of the PKPD model; the PKPD model (Hamberg 2010) refitted to three trials simulated "
            "with the systems model, updated by MCMC each day, doses minimising the squared distance from INR 2.5"
        ),
        "monitoring": "an INR every day, before the dose of that day, known at once; log-normal error, SD 0.1",
        "doses": "once daily: 0, 1, 2, 2.5 and then every 0.5 mg up to 30 mg",
        "duration": "19 doses on days 0-18; 19 INRs on days 0-18 (the regression arm: 20 on days 0-19)",
        "drop-out": f"three measured INRs above 5 in a row, the dose not lowered ({_NOTEBOOK}, terminate_trial)",
    },
    metrics=(_END, _TTR, _LEFT, _ABOVE_3, _ABOVE_4, _CHANGE),
    numbers=(
        PublishedNumber(
            _NETWORK, _END.name, 47.0, f"DavAug/mipd-warfarin {_NOTEBOOK}, Summary figure: 470 of 1,000, on day 19"
        ),
        PublishedNumber(
            _NETWORK, _TTR.name, 45.0, f"DavAug/mipd-warfarin {_NOTEBOOK}, Summary figure: 0.45 of 20 INRs"
        ),
        PublishedNumber(
            _NETWORK, _LEFT.name, 1.7, f"DavAug/mipd-warfarin {_NOTEBOOK}, Evaluate regression model: 17 of 1,000"
        ),
        PublishedNumber(
            _NETWORK,
            _CHANGE.name,
            0.0,
            f"DavAug/mipd-warfarin {_NOTEBOOK}, Evaluate regression model: the same dose on all 19 days",
        ),
        *_of_data(_RL_DATA, _RL, (65.8, 68.4, 1.0, 65.1, 8.6, 55.5)),
        *_of_data(_PKPD_DATA, _PKPD, (75.1, 73.7, 0.0, 95.9, 1.4, 71.9)),
    ),
    unread=(
        "how the figures of the text are rounded, and intervals if there are any",
        "the regression arm's INRs, which are not deposited: its INRs above 3 and 4 are left out",
    ),
    assumed=("what the notebook and the scripts compute is what the paper reports",),
    runs=(
        PublishedRun(
            scenario="warfarin",
            stands_for="patients of one published model, a controller that believes another one",
            simulator="warfarin-hamberg2007",
            controller="warfarin-hamberg2010",
            replaced={"dropout": None},
            replaced_text=(
                "dropout: none, because theirs is counted afterwards, from measured INRs; it is here, too, in the "
                "metrics"
            ),
        ),
    ),
    differences=(
        Difference(
            "simulated with",
            "a systems model of coagulation",
            (
                "Hamberg 2007. `--simulator warfarin-falkenhagen2023` is reduced from the same systems model; it is "
                "kept for tests of policies that nobody has chosen by it"
            ),
        ),
        Difference(
            "what the controller believes",
            "Hamberg 2010 refitted to trials simulated with the test patients' own model",
            "Hamberg 2010 as published; nothing is fitted to the test patients' model",
        ),
        Difference(
            "INR before treatment",
            (
                "median 1.17, 2.5th to 97.5th percentile 0.77-1.87, as measured on day 0 (computed from the "
                "deposited INRs)"
            ),
            "1.0 in every patient, measured with the same error",
        ),
        Difference(
            "vitamin K",
            "daily intake in the systems model, SD 10 %",
            "EC50 varies from day to day, SD of its logarithm 0.1",
        ),
        Difference("learnt policy", "a state without memory", "the shipped policy corrects a dose from all INRs"),
        Difference(
            "time of the INR", "when the dose of the day is taken", "24 h after the planned time of the last dose"
        ),
    ),
)
