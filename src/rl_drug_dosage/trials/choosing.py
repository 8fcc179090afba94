"""Choose among variants of a policy on validation patients, for `policies.best_bayes`.

The patients follow the controller's model, as published and as varied as in training (`clinic.simulators.randomised`),
in a stream of chance of their own. No other drug model is looked at, and no trial, tuning or training has these
patients. Every variant treats the same ones. Its score is the mean of the two mean attainments; a variant that comes
later in the list must lead by more than the standard error of the paired difference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from rl_drug_dosage.clinic.faults import refusal
from rl_drug_dosage.clinic.policy import Setting
from rl_drug_dosage.clinic.simulators import randomised, simulator_of
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.registry import POLICY, find
from rl_drug_dosage.trials.entrants import enter
from rl_drug_dosage.trials.statistics import endpoints
from rl_drug_dosage.trials.trial import Cohort, run_trial
from rl_drug_dosage.utils.progress import Progress, quiet
from rl_drug_dosage.utils.seeding import Stream

__all__ = ["VARIANTS", "Choice", "Tried", "choose", "strongest"]

VARIANTS = (
    "mipd",
    "mipd,error=assay",
    "mipd,prior=widened",
    "mipd,prior=widened,error=assay",
    "mipd-average",
    "mipd-ensemble",
    "mipd-ensemble,error=assay",
    "mipd-ensemble,prior=widened",
    "mipd-ensemble,prior=widened,error=assay",
)
"""Variants of Bayesian dosing, the simplest and cheapest first."""


@dataclass(frozen=True)
class Tried:
    """One variant on the validation patients.

    Args:
        policy: its reference.
        believed_pct: mean attainment of patients of the controller's model as published, %.
        randomised_pct: the same of patients as varied as in training.
        score_pct: mean of the two.
        behind_points: by how much the highest score is higher, and the standard error of that paired difference.
        behind_se_points: see ``behind_points``.
    """

    policy: str
    believed_pct: float
    randomised_pct: float
    score_pct: float
    behind_points: float
    behind_se_points: float


@dataclass(frozen=True)
class Choice:
    """What was chosen for a setting.

    Args:
        chosen: reference of a variant.
        tried: results of every variant that fits, in the order given.
        refused: variant -> why it does not fit the scenario.
        patients, seed: of the validation cohort.
    """

    chosen: str
    tried: tuple[Tried, ...]
    refused: Mapping[str, str]
    patients: int
    seed: int

    def record(self) -> dict[str, Any]:
        """For JSON, percentages with two decimals."""
        rows = [{k: v if isinstance(v, str) else round(v, 2) for k, v in vars(one).items()} for one in self.tried]
        return {
            "chosen": self.chosen,
            "patients": self.patients,
            "seed": self.seed,
            "tried": rows,
            "refused": dict(self.refused),
        }


def choose(
    setting: Setting,
    variants: Sequence[str] = VARIANTS,
    *,
    patients: int = 250,
    seed: int = 1,
    progress: Progress = quiet,
) -> Choice:
    """Try every variant on the validation patients of a setting, and choose one.

    Args:
        setting: the task and the controller; its simulator is not used.
        variants: references, the simplest first.
        patients: number of each of the two cohorts.
        seed: of the cohorts, in a stream of their own.
        progress: reports each result.

    Raises:
        ConfigError: no variant fits the scenario, or a variant needs the truth.
        UnknownNameError, BadPluginError: a variant that is no policy.
    """
    scenario, controller = setting.scenario, setting.controller.name
    believed = (simulator_of(scenario, controller), randomised(scenario, controller, 1.0))
    refused: dict[str, str] = {}
    shares: dict[str, Float[np.ndarray, "cohort patient"]] = {}
    asked = tuple(dict.fromkeys(variants))
    for at, variant in enumerate(asked):
        found = find(POLICY, variant)
        if found.value.sees_truth:
            raise ConfigError(f"policy {variant!r} needs the patient's true parameters: leave it out of the variants")
        if reason := refusal(found.value, scenario, found.name):
            refused[variant] = reason
            progress(f"{variant}: left out, {reason}", None)
            continue
        progress(f"trying {variant}", at / len(asked))
        policy = enter(setting, variant, seed=seed).policy
        trials = [
            run_trial(scenario, model, policy, Cohort(seed, patients, stream=Stream.VALIDATE)) for model in believed
        ]
        shares[variant] = np.stack([endpoints(scenario, trial)["attainment_pct"] for trial in trials])
        progress(f"{variant}: {' and '.join(f'{share.mean():.2f} %' for share in shares[variant])}", None)
    if not shares:
        raise ConfigError(f"none of {', '.join(variants)} fits {scenario.title!r}: give other variants")
    chosen, behind = strongest({name: each.mean(0) for name, each in shares.items()})
    tried = tuple(
        Tried(name, float(each[0].mean()), float(each[1].mean()), float(each.mean()), *behind[name])
        for name, each in shares.items()
    )
    return Choice(chosen, tried, refused, patients, seed)


def strongest(scores: Mapping[str, Float[np.ndarray, " patient"]]) -> tuple[str, dict[str, tuple[float, float]]]:
    """The variant with the highest mean; of equal ones the first.

    Args:
        scores: score of every patient by variant, the simplest variant first.

    Returns:
        Its name; and of every variant, by how much the highest mean is higher, and the standard error of the mean
        paired difference (infinite with one patient).
    """
    best = max(scores, key=lambda name: float(scores[name].mean()))
    behind = {}
    for name, score in scores.items():
        lead = scores[best] - score
        error = float(lead.std(ddof=1) / np.sqrt(lead.size)) if lead.size > 1 else np.inf
        behind[name] = (float(lead.mean()), error)
    return best, behind
