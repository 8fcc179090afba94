"""Chemotherapy of the Ahn model in the five settings of DTR-Bench (Luo 2024)."""

from rl_drug_dosage.trials.published_metrics import sum_of_rewards
from rl_drug_dosage.trials.published_trial import (
    Difference,
    PublishedMetric,
    PublishedNumber,
    PublishedRun,
    PublishedTrial,
)

__all__ = ["PUBLISHED"]

_GYM = "GilesLuo/DTR-Bench DTRGym/ahn_chemo_env.py (before commit 910a008)"
_STUDY = (
    "GilesLuo/DTR-Bench demo/AhnChemoEnv-discrete-setting1-DQN.db, an Optuna study with 68 finished trials of "
    "hyper-parameters"
)
_RETURN = PublishedMetric(
    "return",
    "1",
    (
        f"sum over 600 steps of 6 h of N / N0 - T / T0 - rate, no discount ({_GYM}); here four times a dose of 2 days "
        "count for two steps each"
    ),
    sum_of_rewards,
)
_POLICIES = ("label", "mipd", "oracle")


def _run(scenario: str, setting: str) -> PublishedRun:
    return PublishedRun(scenario=scenario, stands_for=setting, patients=250, policies=_POLICIES)


PUBLISHED = PublishedTrial(
    title="Luo 2024, chemotherapy of the Ahn model (DTR-Bench)",
    citation=(
        "Luo Z, Zhu M, Liu F, Li J, Pan Y, Zhou J, Zhu T. DTR-Bench: an in silico environment and benchmark platform "
        "for reinforcement learning based dynamic treatment regime. arXiv 2405.18610, 2024"
    ),
    sources=f"the abstract; the code of the environment, {_GYM}, and of training; one deposited study",
    protocol={
        "patients": (
            "normal, tumour and immune cells 0.9, 0.2, 0.005 at the start. Setting 1: all the same; settings 2-5: "
            "every parameter uniform within 5 %; settings 3-5 also the start within 5 (setting 3) or 10 %"
        ),
        "simulated with": (
            "Ahn & Park 2011; settings 3, 4 and 5 multiply derivatives by 1 + N(0, 0.1), N(0, 0.2), N(0, 0.2) at each "
            "evaluation of the solver"
        ),
        "dosed by": "DQN and its relatives, C51, SAC, DDPG, TD3, some with recurrent networks; no clinical rule",
        "monitoring": (
            "tumour, immune cells and drug every 6 h, in settings 3, 4 and 5 with uniform noise of 10, 25 and 25 %; "
            "in setting 5 the last value is repeated for 50 % (continuous doses) or 75 % (discrete) of them"
        ),
        "doses": "a rate of 0-1 per day, held for 6 h; discrete: 11 levels in the deposited study",
        "duration": "600 steps, 150 days",
        "drop-out": "death below 0.7 of the initial normal cells: -100 and the end",
    },
    metrics=(_RETURN,),
    numbers=(
        PublishedNumber(
            "DQN, best of 68",
            _RETURN.name,
            394.7,
            f"{_STUDY}: largest value, '394.70 ± 0.00' over 100 episodes that are all the same in this setting",
            scenario="chemotherapy-clean",
        ),
        PublishedNumber(
            "DQN, median of 68",
            _RETURN.name,
            233.3,
            f"{_STUDY}: median of the values, computed by this project",
            scenario="chemotherapy-clean",
        ),
    ),
    unread=(
        (
            "the tables of the paper: returns of every algorithm in the five settings. The abstract says that "
            "performance degrades with noise and variability and that some algorithms fail to converge"
        ),
    ),
    assumed=("the deposited study is of the environment in the code: its name and its 11 doses say so",),
    runs=(
        _run("chemotherapy-clean", "setting 1: all patients the same, no noise"),
        _run("chemotherapy", "setting 2: patients differ"),
        _run("chemotherapy-small-noise", "setting 3: small noise"),
        _run("chemotherapy-large-noise", "setting 4: large noise"),
        _run("chemotherapy-missing", "setting 5: large noise, measurements missing"),
    ),
    differences=(
        Difference("decisions", "600, every 6 h", "75, every 2 days; a rate is held for 2 days"),
        Difference(
            "what the clinic knows",
            "tumour, immune cells and drug, every 6 h",
            "the tumour, by imaging every 28 days (setting 5: every 14 days, half of them missing)",
        ),
        Difference("variability", "uniform", "log-normal with the same SD; growth varies from decision to decision"),
        Difference(
            "return",
            "cells before each step, -100 at death and nothing after it",
            "cells after 12, 24, 36 and 48 h, each for two steps; -1 for every 2 days from a death on",
        ),
    ),
)
