"""What a benchmark keeps of one policy's trial: the endpoints of every patient, and the courses of the first ones.

A course is a kilobyte or more, its endpoints a tenth of that. Cohorts are treated and read in blocks, of which only
the endpoints stay, so that ten million patients of one policy need less than 2 GiB.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.shield import REASONS
from rl_drug_dosage.trials.statistics import endpoints
from rl_drug_dosage.trials.trial import Cohort, Trial, first_of, merge

__all__ = ["BLOCK", "Outcome", "blocks_of", "gathered"]

BLOCK = 100_000
"""Patients that are treated at once, and whose courses are kept."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of one policy.

    Args:
        trial: the courses of the first patients, `BLOCK` at most.
        covariates: of all patients at admission.
        ends: `statistics.endpoints` of all patients.
        failed: whether a patient's simulation was not finite.
        reasons: decisions by why dose and proposal differ, in the order of `clinic.shield.REASONS`.
        doubtful: decisions on an estimate that had not converged.
        abstained: doses that a learnt policy left to the Bayesian dosing that it corrects.
    """

    trial: Trial
    covariates: Mapping[str, Float[np.ndarray, "patient"]]
    ends: Mapping[str, Float[np.ndarray, "patient"]]
    failed: Bool[np.ndarray, "patient"]
    reasons: Int[np.ndarray, "reason"]
    doubtful: int
    abstained: int

    @property
    def first(self) -> int:
        """Number of the first patient."""
        return self.trial.first

    @property
    def patients(self) -> int:
        """How many there are."""
        return len(self.failed)


def blocks_of(cohort: Cohort) -> list[Cohort]:
    """The cohort in ranges of at most `BLOCK` patients."""
    ends = cohort.first + cohort.count
    starts = range(cohort.first, ends, BLOCK)
    return [Cohort(cohort.seed, min(BLOCK, ends - start), start, cohort.stream) for start in starts]


def gathered(scenario: Scenario, blocks: Iterable[Trial], patients: int) -> Outcome:
    """The outcome of a trial that comes in adjacent ranges.

    Args:
        scenario: the task.
        blocks: the ranges in their order; each is forgotten before the next one is asked for, but for the first
            patients' courses.
        patients: of all of them.

    Raises:
        ConfigError: the ranges are not adjacent.
        ValueError: they have another number of patients.
    """
    whole: dict[str, np.ndarray] = {}
    covariates: dict[str, np.ndarray] = {}
    failed = np.zeros(patients, bool)
    reasons = np.zeros(len(REASONS), int)
    doubtful = abstained = done = 0
    kept: list[Trial] = []
    for block in blocks:
        own = slice(done, done + block.patients)
        for into, columns in ((whole, endpoints(scenario, block)), (covariates, block.covariates)):
            for name, column in columns.items():
                if name not in into:
                    into[name] = np.empty(patients, column.dtype)
                into[name][own] = column
        failed[own] = block.failed
        reasons += np.bincount(block.reason.ravel(), minlength=len(REASONS))
        doubtful += int(block.doubtful.sum())
        abstained += int(block.abstained.sum())
        if done < BLOCK:
            kept.append(first_of(block, min(block.patients, BLOCK - done)))
        done += block.patients
    if done != patients:
        raise ValueError(f"{done} patients instead of {patients}")
    return Outcome(merge(kept), covariates, whole, failed, reasons, doubtful, abstained)
