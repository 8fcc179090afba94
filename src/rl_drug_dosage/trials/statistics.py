"""Statistics of trials: endpoints per patient, paired differences with bootstrap intervals, subgroups."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.shield import REASONS
from rl_drug_dosage.trials.burden import BURDEN, burden
from rl_drug_dosage.trials.trial import Trial

if TYPE_CHECKING:
    from rl_drug_dosage.trials.outcome import Outcome

__all__ = ["RESAMPLES", "WORST", "Interval", "bootstrap", "endpoints", "paired", "strata_of", "subgroups", "summary"]

RESAMPLES = 2000
_LEVEL = 95.0
WORST = 0.05
"""Share of patients that a trial calls the worst."""
_ONE_BY_ONE = 5_000
"""Up to so many patients are drawn by the counts of each; of more, those who are alike together, if their outcomes are
few, or the patients themselves: for 5,000 patients counts took 0.5 s, for 12,500 draws took 0.2 s."""
_FEW = 10
"""Outcomes are few where there are so many patients to one: a count takes ten times as long as a draw."""


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float

    def record(self) -> dict[str, float]:
        """For JSON, rounded to the precision of the resampling."""
        return {name: round(value, 4) for name, value in vars(self).items()}


def bootstrap(
    columns: Float[np.ndarray, "patient column"], rng: np.random.Generator, resamples: int = RESAMPLES
) -> list[Interval]:
    """Percentile intervals of the column means; patients are drawn with replacement (Efron 1979).

    All columns use the same resamples, so differences between them are paired. A resample is represented by the counts
    of its patients, which are multinomial, so its means are one matrix product.
    """
    n = len(columns)
    rows, share = (columns, np.full(n, 1.0 / n)) if n <= _ONE_BY_ONE else _alike(columns)
    if n <= _ONE_BY_ONE or _FEW * len(rows) <= n:
        blocks = _blocks(resamples, len(rows))
        means = np.concatenate([rng.multinomial(n, share, size=size) @ rows / n for size in blocks])
    else:
        means = np.stack([_counts(rng, n) @ columns / n for _ in range(resamples)])
    low, high = np.percentile(means, [(100.0 - _LEVEL) / 2.0, (100.0 + _LEVEL) / 2.0], axis=0)
    return [Interval(float(m), float(a), float(b)) for m, a, b in zip(columns.mean(0), low, high, strict=True)]


def _counts(rng: np.random.Generator, n: int) -> np.ndarray:
    """How often each of ``n`` patients is among ``n`` that are drawn with replacement."""
    return np.bincount(rng.integers(n, size=n), minlength=n)


def _alike(columns: Float[np.ndarray, "patient column"]) -> tuple[np.ndarray, np.ndarray]:
    """The different rows, and the share of patients that have each: to draw rows by these is to draw patients."""
    code = np.unique(columns[:, 0], return_inverse=True)[1]
    for column in columns.T[1:]:
        values, place = np.unique(column, return_inverse=True)
        code = np.unique(code * len(values) + place, return_inverse=True)[1]
    # Codes are 0, 1, ...: counted and found without sorting millions of patients once more.
    count = np.bincount(code)
    first = np.empty(len(count), np.int64)
    first[code[::-1]] = np.arange(len(code) - 1, -1, -1)
    return columns[first], count / len(columns)


def _blocks(resamples: int, n: int) -> list[int]:
    """Resamples in blocks of at most 4 million counts, 32 MB."""
    size = max(1, min(resamples, 4_000_000 // n))
    return [min(size, resamples - start) for start in range(0, resamples, size)]


def _total(scenario: Scenario, trial: Trial) -> np.ndarray:
    """Sum of all administrations of each patient, in the dosage's unit."""
    dosage = scenario.dosage
    if not dosage.intervals_h:
        more = len(dosage.first_at_h) - len(dosage.at_h) if dosage.first_at_h else 0
        return trial.dose.sum(1) * len(dosage.at_h) + trial.dose[:, 0] * more
    return (trial.dose * np.maximum(scenario.schedule.interval_h / trial.every_h, 1.0)).sum(1)


def endpoints(scenario: Scenario, trial: Trial) -> dict[str, Float[np.ndarray, " patient"]]:
    """The endpoints of every patient.

    ``attainment_pct``: percentage of the judged intervals (or their points) inside every window, the primary endpoint;
    0 for a failed patient. ``final_pct``: the same for the last judged interval. ``under_pct``, ``over_pct``: below or
    above at least one window. ``return``: sum of rewards. ``total_dose``: sum of amounts given, in the dosage's unit
    times administrations. ``change_last_third_pct``, ``dose_changes``, ``zigzags``, ``holds``: see
    `trials.burden.course_burden`. ``dropped_out``: 1 or 0. ``harm:NAME``, one per harm: number of intervals with that
    event.
    """
    judged = scenario.judged()
    ok = ~trial.failed
    last = int(np.flatnonzero(judged)[-1])
    ended = ~trial.alive[:, -1]
    found = {
        "attainment_pct": 100.0 * np.where(ok, trial.inside[:, judged].mean(1), 0.0),
        "final_pct": 100.0 * np.where(ok, trial.inside[:, last], 0.0),
        "under_pct": 100.0 * np.where(ok, trial.under[:, judged].mean(1), 0.0),
        "over_pct": 100.0 * np.where(ok, trial.over[:, judged].mean(1), 0.0),
        "return": np.where(ok, trial.reward.sum(1), 0.0),
        "total_dose": _total(scenario, trial),
        **burden(scenario, trial),
        "dropped_out": ended.astype(float),
    }
    for i, harm in enumerate(scenario.goal.harms):
        found[f"harm:{harm.name}"] = np.where(ok, trial.harms[:, :, i].sum(1), 0.0)
    return {name: np.asarray(column, np.float64) for name, column in found.items()}


def summary(scenario: Scenario, outcome: "Outcome", interval: Interval) -> dict[str, Any]:
    """The table row of one policy."""
    ends = outcome.ends
    share = np.sort(ends["attainment_pct"])
    worst = share[: max(1, round(WORST * len(share)))]
    row: dict[str, Any] = {
        "attainment_pct": interval.record(),
        "attainment_median_pct": float(np.median(share)),
        "worst_5_pct": float(worst.mean()),
    }
    row |= {name: float(ends[name].mean()) for name in ("final_pct", "under_pct", "over_pct", "return", "total_dose")}
    row["dose_changes"] = float(ends["dose_changes"].mean())
    row["burden"] = {
        name: {"median": float(np.median(ends[name])), "mean": float(ends[name].mean())} for name in BURDEN
    }
    row["harms"] = {
        harm.name: {
            "patients_pct": float(100.0 * (ends[f"harm:{harm.name}"] > 0).mean()),
            "intervals_pct": float(100.0 * ends[f"harm:{harm.name}"].mean() / scenario.schedule.decisions),
        }
        for harm in scenario.goal.harms
    }
    row["dropouts"] = int(ends["dropped_out"].sum())
    row["interventions"] = {reason: int(outcome.reasons[i]) for i, reason in enumerate(REASONS) if i}
    row["doubtful_decisions"] = outcome.doubtful
    row["abstained_decisions"] = outcome.abstained
    row["failed_patients"] = (outcome.first + np.flatnonzero(outcome.failed)).tolist()
    return row


def paired(
    names: Sequence[str], shares: Float[np.ndarray, "patient policy"], rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Paired differences in attainment for every pair of policies: points, interval, and which was better."""
    pairs = [(i, j) for i in range(len(names)) for j in range(i + 1, len(names))]
    if not pairs:
        return []
    differences = np.stack([shares[:, i] - shares[:, j] for i, j in pairs], axis=1)
    rows = []
    for (i, j), interval, column in zip(pairs, bootstrap(differences, rng), differences.T, strict=True):
        rows.append(
            {
                "policy": names[i],
                "against": names[j],
                **interval.record(),
                "better_pct": float(100.0 * (column > 1e-9).mean()),
                "worse_pct": float(100.0 * (column < -1e-9).mean()),
            }
        )
    return rows


def strata_of(scenario: Scenario, covariates: Mapping[str, np.ndarray]) -> list[tuple[str, str, np.ndarray]]:
    """(stratum, level, patients) for every non-empty level of the scenario's strata."""
    found = []
    units = {c.name: c.unit for c in scenario.covariates}
    for title, name, edges in scenario.strata:
        column = np.asarray(covariates[name])
        place = np.digitize(column, edges)
        for level in range(len(edges) + 1):
            who = place == level
            if not who.any():
                continue
            unit = f" {units[name]}" if units[name] not in {"1", "0/1", "code", "count"} else ""
            if level == 0:
                label = f"< {edges[0]:g}{unit}"
            elif level == len(edges):
                label = f">= {edges[-1]:g}{unit}"
            else:
                label = f"{edges[level - 1]:g} to {edges[level]:g}{unit}"
            found.append((title, label, who))
    return found


def subgroups(
    scenario: Scenario,
    covariates: Mapping[str, np.ndarray],
    names: Sequence[str],
    shares: Float[np.ndarray, "patient policy"],
    reference: str,
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """Attainment of every policy in every stratum, and its difference from the reference in that stratum."""
    base = names.index(reference)
    rows = []
    for title, label, who in strata_of(scenario, covariates):
        own = shares[who]
        intervals = bootstrap(own, rng)
        differences = bootstrap(own - own[:, base : base + 1], rng)
        for name, interval, difference in zip(names, intervals, differences, strict=True):
            rows.append(
                {
                    "stratum": title,
                    "level": label,
                    "patients": int(who.sum()),
                    "policy": name,
                    "attainment_pct": interval.record(),
                    "difference": difference.record(),
                }
            )
    return rows
