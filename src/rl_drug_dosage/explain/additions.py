"""What a policy adds to the Bayesian dose that it corrects, and when.

The Bayesian dose of every decision is that of the policy's own belief, on the records of the patients whom the policy
treats. Decisions are sorted by two questions that can be answered at the bedside: how far the Bayesian dose is from the
dose before, and whether the new levels were what the belief expected. A cell of the table is the median of what was
added, in percent of the Bayesian dose. The table is tested on new patients: how often the Bayesian dose, changed by the
cell, is the policy's dose, beside how often the Bayesian dose alone is.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.explain.measures import Fidelity, agreement
from rl_drug_dosage.explain.probe import Probe
from rl_drug_dosage.explain.told import TOLD

__all__ = ["ASKED", "SURPRISES", "Added", "Additions", "additions_of", "with_uncorrected"]

ASKED_PCT, SURPRISE_SD = (-25.0, -5.0, 5.0, 25.0), (-1.0, 1.0)
"""Edges of the bands: this project's choice. A quarter of the dose before, and a standard deviation, are much."""
ASKED = (
    "first dose",
    "the dose before was 0",
    "lower by more than 25 %",
    "lower by 5 to 25 %",
    "within 5 %",
    "higher by 5 to 25 %",
    "higher by more than 25 %",
)
"""Rows: the Bayesian dose beside the dose before."""
SURPRISES = ("no new level", "lower than expected", "as expected", "higher than expected")
"""Columns: the new levels beside what the belief expected, more than one standard deviation below or above."""
_FIRST, _AFTER_NONE, _NO_LEVEL = 0, 1, 0
_FEWEST = 5
_STEP_PCT = 5.0


@dataclass(frozen=True, eq=False)
class Added:
    """Decisions of one probe, ``[patient, decision]``.

    Args:
        given: the policy's doses.
        best: the Bayesian doses.
        surprise: of the new levels, in standard deviations; NaN where there are none.
        target: expected share inside the targets ahead under the Bayesian dose.
        doubt: whether the belief was in doubt.
        lasting: the slow correction, a power of 2.
        counted: decisions at which the patient was treated and a dose was due.
    """

    given: Float[np.ndarray, "patient decision"]
    best: Float[np.ndarray, "patient decision"]
    surprise: Float[np.ndarray, "patient decision"]
    target: Float[np.ndarray, "patient decision"]
    doubt: Bool[np.ndarray, "patient decision"]
    lasting: Float[np.ndarray, "patient decision"]
    counted: Bool[np.ndarray, "patient decision"]

    @cached_property
    def before(self) -> Float[np.ndarray, "patient decision"]:
        """The dose before; NaN at the first decision."""
        return np.concatenate([np.full((len(self.given), 1), np.nan), self.given[:, :-1]], axis=1)

    @cached_property
    def asked_pct(self) -> Float[np.ndarray, "patient decision"]:
        """Change from the dose before to the Bayesian dose; NaN after none or a dose of 0."""
        before = np.where(self.before > 0.0, self.before, np.nan)
        return np.asarray(100.0 * (self.best / before - 1.0))

    @cached_property
    def added_pct(self) -> Float[np.ndarray, "patient decision"]:
        """Change from the Bayesian dose to the one given; NaN where the Bayesian dose is 0."""
        best = np.where(self.best > 0.0, self.best, np.nan)
        return np.asarray(100.0 * (self.given / best - 1.0))

    @cached_property
    def cell(self) -> tuple[Int[np.ndarray, "patient decision"], Int[np.ndarray, "patient decision"]]:
        """Row and column of every decision, indices of `ASKED` and `SURPRISES`."""
        row = _AFTER_NONE + 1 + np.digitize(self.asked_pct, ASKED_PCT)
        row = np.where(self.before > 0.0, row, _AFTER_NONE)
        row[:, 0] = _FIRST
        column = np.where(np.isnan(self.surprise), _NO_LEVEL, 1 + np.digitize(self.surprise, SURPRISE_SD))
        return row, column


@dataclass(frozen=True, eq=False)
class Additions:
    """The table, and how far to trust it.

    Args:
        added: the decisions that it was made of.
        median_pct: what was added in each cell; 0 where there are fewer than 5 decisions.
        low_pct, high_pct: 25th and 75th percentile.
        changed_pct: percentage of decisions with another dose than the Bayesian one; NaN where there are none.
        counts: decisions behind each cell.
        fidelity: of the Bayesian dose alone, and of the Bayesian dose changed by its cell, on new patients.
        gain: attainment of the policy minus that of the Bayesian dose in points, mean, low, high; on the same patients.
        late_pct: change of dose over the last third of the course (`trials.burden`), median of the patients dosed by
            the policy, and dosed by the Bayesian dose.
    """

    added: Added
    median_pct: Float[np.ndarray, "row column"]
    low_pct: Float[np.ndarray, "row column"]
    high_pct: Float[np.ndarray, "row column"]
    changed_pct: Float[np.ndarray, "row column"]
    counts: Int[np.ndarray, "row column"]
    fidelity: tuple[Fidelity, Fidelity]
    gain: tuple[float, float, float]
    late_pct: tuple[float, float]

    @property
    def sure(self) -> Bool[np.ndarray, "row column"]:
        """Cells with enough decisions."""
        return np.asarray(self.counts >= _FEWEST)


def with_uncorrected(probe: Probe) -> Probe:
    """The probe with the Bayesian dose that the driving policy corrects as the last policy's dose."""
    best = probe.told[..., TOLD.index("best"), None].astype(probe.doses.dtype)
    return replace(probe, doses=np.concatenate([probe.doses, best], axis=-1))


def _added(probe: Probe) -> Added:
    told = dict(zip(TOLD, np.moveaxis(probe.told, -1, 0).astype(np.float64), strict=True))
    return Added(
        given=probe.doses[..., 0].astype(np.float64),
        best=told["best"],
        surprise=np.where(told["surprise"] == 0.0, np.nan, told["surprise"]),
        target=told["target"],
        doubt=told["doubt"] > 0.5,
        lasting=told["lasting"],
        counted=probe.alive & (told["due"] > 0.5),
    )


def additions_of(
    scenario: Scenario, probe: Probe, judged: Probe, gain: tuple[float, float, float], late_pct: tuple[float, float]
) -> Additions:
    """The table of what a policy adds.

    Args:
        scenario: the task.
        probe: decisions of the policy with what it was told (``ask(..., told=True)``).
        judged: the same of new patients.
        gain: see `Additions`.
        late_pct: see `Additions`.
    """
    added = _added(probe)
    rows, columns = added.cell
    shape = (len(ASKED), len(SURPRISES))
    median, low, high, changed = (np.full(shape, np.nan) for _ in range(4))
    counts = np.zeros(shape, int)
    for i, j in np.ndindex(*shape):
        own = added.counted & (rows == i) & (columns == j)
        counts[i, j] = own.sum()
        if counts[i, j]:
            changed[i, j] = 100.0 * (added.given != added.best)[own].mean()
        share = added.added_pct[own]
        share = share[np.isfinite(share)]
        if len(share) >= _FEWEST:
            low[i, j], median[i, j], high[i, j] = np.percentile(share, (25.0, 50.0, 75.0))
    median = np.where(np.isfinite(median), _STEP_PCT * np.round(median / _STEP_PCT), 0.0)
    new = _added(judged)
    own = new.counted
    ruled = _nearest(scenario, new.best[own] * (1.0 + median[new.cell][own] / 100.0))
    fidelity = tuple(agreement(scenario, new.given[own], doses) for doses in (new.best[own], ruled))
    return Additions(added, median, low, high, changed, counts, fidelity, gain, late_pct)  # type: ignore[arg-type]


def _nearest(scenario: Scenario, amount: np.ndarray) -> np.ndarray:
    """The nearest amounts of the grid; halfway between two, the lower one."""
    grid = scenario.dosage.grid().astype(np.float64)
    return np.asarray(grid[np.searchsorted(0.5 * (grid[1:] + grid[:-1]), amount, side="left")])
