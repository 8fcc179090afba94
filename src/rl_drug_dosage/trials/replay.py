"""What a chart said at earlier decisions, for policies that carry in their memory what results have told.

A result counts from the first decision at which it would be back as planned, or at which it was told, if that was
earlier. So a level that comes late counts as if it had come in time, and a corrected one as if it had never been
another. Doses are those that were given.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Scenario

__all__ = ["History", "as_of", "counts_from"]

_NEVER = np.iinfo(np.int32).max


def counts_from(scenario: Scenario) -> Int[np.ndarray, "decision sample"]:
    """The decision from which each result counts if it comes back as planned; samples may be drawn in any interval."""
    drawn_h = np.arange(scenario.schedule.decisions)[:, None] * scenario.schedule.interval_h
    back_h = drawn_h + np.asarray(scenario.monitoring.at_h)[None] + scenario.monitoring.turnaround_h
    return np.ceil((back_h - 1e-4) / scenario.schedule.interval_h).astype(np.int32)


def as_of(record: Record, counted: Int[np.ndarray, "patient decision sample"], decision: int) -> Record:
    """The charts as they would have been at an earlier decision, had all been known in time.

    Args:
        record: the charts now.
        counted: the decision from which each result counts.
        decision: the earlier decision.
    """
    past = np.arange(record.dose.shape[1]) < decision
    known = np.asarray(record.known) & (counted <= decision)
    return Record(
        k=np.asarray(decision, np.int32),  # type: ignore[arg-type]
        covariates={n: c[:, np.minimum(np.arange(c.shape[1]), decision)] for n, c in record.covariates.items()},
        dose=np.where(past, record.dose, 0).astype(np.float32),  # type: ignore[arg-type]
        level=np.where(known, record.level, 0).astype(np.float32),  # type: ignore[arg-type]
        known=known,  # type: ignore[arg-type]
        below=np.asarray(record.below) & known,  # type: ignore[arg-type]
        baseline=record.baseline,
        intake_mg=record.intake_mg,
        choice=record.choice * past[: record.choice.shape[1]].astype(np.int32),
        due=record.due,
    )


@dataclass
class History:
    """When results of a course were told, and whether the policy's memory still holds what the chart says.

    Args:
        planned: from `counts_from`.
        sampled: which intervals have samples as planned.
        told: the decision that was due when each result was first told.
        keys: random keys of the decisions so far, for policies that draw.
        changed: an entry has changed that an earlier decision has read.
        unplanned: since the last decision, a result was told that no plan expects now.
    """

    planned: Int[np.ndarray, "decision sample"]
    sampled: Bool[np.ndarray, " decision"]
    told: Int[np.ndarray, "patient decision sample"]
    keys: list[np.ndarray] = field(default_factory=list)
    changed: bool = False
    unplanned: bool = False

    @classmethod
    def of(cls, scenario: Scenario, patients: int) -> "History":
        """The history of a course that begins."""
        planned = counts_from(scenario)
        return cls(planned, scenario.sampled(), np.full((patients, *planned.shape), _NEVER, np.int32))

    @property
    def counted(self) -> Int[np.ndarray, "patient decision sample"]:
        """The decision from which each result counts."""
        return np.minimum(self.planned, self.told)

    def tell(self, seen: np.ndarray, at: int, slot: int, decision: int) -> None:
        """Results of some patients are told while a decision is due."""
        self.told[seen, at, slot] = np.minimum(self.told[seen, at, slot], decision)
        self.changed |= bool((self.counted[seen, at, slot] < decision).any())
        self.unplanned |= bool(seen.any()) and not (self.sampled[at] and self.planned[at, slot] == decision)

    def given(self, keys: np.ndarray) -> None:
        """A dose was given: the next decision is due."""
        self.keys.append(keys)
        self.unplanned = False

    def memory(
        self,
        record: Record,
        first: Callable[[Record], Any],
        then: Callable[[Any, Record, np.ndarray], Any],
    ) -> Any:
        """The policy's memory at the decision that is due, computed from admission.

        Args:
            record: the charts now.
            first: from the charts at admission to the first memory.
            then: from memory, charts and keys at a decision to the memory after it.
        """
        counted, now = self.counted, int(record.k)
        memory = first(as_of(record, counted, 0))
        for decision in range(now):
            memory = then(memory, as_of(record, counted, decision), self.keys[decision])
        return memory
