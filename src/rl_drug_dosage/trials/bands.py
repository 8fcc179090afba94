"""Data of a benchmark's figures: percentile bands of a trial, and the courses of its worst patients."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.shield import REASONS
from rl_drug_dosage.trials.trial import Trial

__all__ = ["PERCENTILES", "bands", "worst_courses"]

PERCENTILES = (5.0, 25.0, 50.0, 75.0, 95.0)
_WORST = 10
_MOST_POINTS = 400
"""Maximum number of times in a figure: more cannot be distinguished on a page."""


def _times(scenario: Scenario) -> np.ndarray:
    """All grid times of the course, in the displayed unit."""
    schedule = scenario.schedule
    at_h = np.arange(schedule.decisions)[:, None] * schedule.interval_h + np.asarray(schedule.output_times_h)[None]
    return at_h.ravel() * schedule.shown_per_h


def _thin(count: int) -> np.ndarray:
    """Indices of at most `_MOST_POINTS` of ``count`` points."""
    return np.unique(np.linspace(0, count - 1, min(count, _MOST_POINTS)).round().astype(int))


def _round(values: np.ndarray) -> list[Any]:
    """Round to four significant digits, finer than a pixel."""
    with np.errstate(all="ignore"):
        text = np.vectorize(lambda v: float(f"{v:.4g}") if np.isfinite(v) else None, otypes=[object])
    found: list[Any] = text(values).tolist()
    return found


def bands(scenario: Scenario, trial: Trial) -> dict[str, Any]:
    """Percentiles over patients of the monitored output, of each window's metric and of the dose.

    Failed patients are excluded from the bands (they are listed elsewhere).
    """
    ok = ~trial.failed
    values = trial.values[ok].reshape(ok.sum(), -1)
    at = _thin(values.shape[1])
    start = np.arange(scenario.schedule.decisions) * scenario.schedule.interval_h * scenario.schedule.shown_per_h
    if not ok.any():
        return {
            "percentiles": list(PERCENTILES),
            "time": [],
            "values": [],
            "decision_time": [],
            "metrics": [],
            "dose": [],
        }
    return {
        "percentiles": list(PERCENTILES),
        "time": _round(_times(scenario)[at]),
        "values": _round(np.percentile(values[:, at], PERCENTILES, axis=0)),
        "decision_time": _round(start),
        "metrics": [
            _round(np.percentile(trial.metrics[ok][:, :, w], PERCENTILES, axis=0))
            for w in range(trial.metrics.shape[2])
        ],
        "dose": _round(np.percentile(trial.dose[ok], PERCENTILES, axis=0)),
        "inside_pct": _round(100.0 * trial.inside[ok].mean(0)),
    }


def worst_courses(
    scenario: Scenario, trials: Mapping[str, Trial], ends: Mapping[str, Mapping[str, np.ndarray]], reference: str
) -> list[dict[str, Any]]:
    """The ten worst patients under the reference (lowest attainment, then return), with all their courses.

    Of those whose courses were kept, `outcome.BLOCK` at most.
    """
    base, any_trial = ends[reference], trials[reference]
    count = any_trial.patients
    order = np.lexsort((base["return"][:count], base["attainment_pct"][:count]))[:_WORST]
    at = _thin(any_trial.values.shape[1] * any_trial.values.shape[2])
    found = []
    for i in order:
        courses = {
            name: {
                "attainment_pct": round(float(ends[name]["attainment_pct"][i]), 2),
                "values": _round(trial.values[i].ravel()[at]),
                "dose": _round(trial.dose[i]),
                "reasons": {int(k): REASONS[int(trial.reason[i, k])] for k in np.flatnonzero(trial.reason[i])},
                "failed": bool(trial.failed[i]),
            }
            for name, trial in trials.items()
        }
        found.append(
            {
                "patient": int(any_trial.first + i),
                "covariates": {n: float(f"{c[i]:.4g}") for n, c in any_trial.covariates.items()},
                "time": _round(_times(scenario)[at]),
                "courses": courses,
            }
        )
    return found
