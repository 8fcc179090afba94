"""Propofol: deep reinforcement learning against PID on simulated patients (Schamberg 2020 and 2022)."""

from rl_drug_dosage.trials.published_metrics import performance_error
from rl_drug_dosage.trials.published_trial import (
    Difference,
    PublishedMetric,
    PublishedNumber,
    PublishedRun,
    PublishedTrial,
)

__all__ = ["PUBLISHED"]

_BIS = 50.0
_FROM = 10
"""Intervals of induction that are not judged: 5 min, as in `scenarios.propofol_v1`."""

_AIM_2022 = "Schamberg 2022, abstract"
_AIME_2020 = "Schamberg 2020, abstract"

_MDAPE = PublishedMetric(
    "MDAPE",
    "%",
    "a patient's median absolute performance error |value - target| / target from minute 5 on, without monitor noise",
    performance_error(_BIS, from_decision=_FROM, absolute=True),
    over="median",
)
_MDPE = PublishedMetric(
    "MDPE",
    "%",
    "the same with its sign: above 0 the BIS is above its target",
    performance_error(_BIS, from_decision=_FROM, absolute=False),
    over="median",
)

PUBLISHED = PublishedTrial(
    title="Schamberg 2022, propofol to a level of unconsciousness",
    citation=(
        "Schamberg G et al. Continuous action deep reinforcement learning for propofol dosing during general "
        "anesthesia. Artif Intell Med 2022. Before it: Schamberg G, Badgeley M, Brown EN. Controlling level of "
        "unconsciousness by titrating propofol with deep reinforcement learning. AIME 2020 (arXiv 2008.12333)"
    ),
    sources="the abstracts of both papers",
    protocol={
        "patients": "simulated, with randomised parameters of a PK/PD model; nine recorded operations besides (2022). "
        "How many, and demographics: not read",
        "simulated with": "a PK/PD model with randomised parameters; which, and its numbers: not read",
        "dosed by": (
            "2020: cross-entropy method, a probability of infusing a fixed dose, at test a continuous rate; 2022: "
            "actor and critic with continuous rates and three reward functions; PID"
        ),
        "monitoring": "a level of unconsciousness; its noise, delay and interval: not read",
        "doses": "infusion rates; range: not read",
        "duration": "not read",
        "drop-out": "not read",
    },
    metrics=(_MDAPE, _MDPE),
    numbers=(
        PublishedNumber("deep RL, 2022", _MDAPE.name, 1.9, _AIM_2022, spread=1.8),
        PublishedNumber("PID, 2022", _MDAPE.name, 3.1, _AIM_2022, spread=1.1),
        PublishedNumber(
            "deep RL, least drug, 2022",
            _MDPE.name,
            1.1,
            f"{_AIM_2022}: 'median episode median performance error'",
            spread=0.5,
        ),
        PublishedNumber("deep RL, 2020", _MDAPE.name, 1.7, _AIME_2020, spread=0.6),
        PublishedNumber("PID, 2020", _MDAPE.name, 3.4, _AIME_2020, spread=1.2),
    ),
    unread=(
        "what follows the sign ±: a standard deviation, or another measure of spread",
        "model, cohort, target level, whether there is surgery or noise, duration, and from when errors count",
    ),
    assumed=(
        "errors count from the end of induction on, which the scenario puts at minute 5",
        "the median over patients, as the abstract of 2022 says; that of 2020 does not say",
    ),
    runs=(
        PublishedRun(
            scenario="propofol",
            stands_for="closed-loop propofol to a target",
            patients=250,
            policies=("label", "pid", "tci"),
        ),
    ),
    differences=(
        Difference(
            "what is controlled",
            "a level of unconsciousness",
            "BIS 50 of Eleveld 2018, measured 25 s late with noise of SD 3",
        ),
        Difference("surgery", "not read", "an incision in minute 20 that adds up to 20 to BIS for half an hour"),
        Difference("patients", "not read", "Eleveld 2018 with its variability; remifentanil in two thirds"),
        Difference("decisions", "not read", "every 30 s for 60 min"),
    ),
)
