"""Curves and final results of a run's seeds as numbers for the record."""

from typing import Any

import numpy as np

from rl_drug_dosage.training.compare.aggregates import interquartile_mean, stratified_interval
from rl_drug_dosage.training.compare.runs import Curve
from rl_drug_dosage.utils.seeding import Stream, generator

__all__ = ["curve_record", "final_record"]

_POINTS = 120
"""Of a drawn curve: resampling every update of a long run would take minutes and show no more."""
_BANDS = {"lowest": 0.0, "q25": 25.0, "median": 50.0, "q75": 75.0, "highest": 100.0}


def _aggregated(values: np.ndarray, seed: int) -> dict[str, np.ndarray | None]:
    """Quantiles and interquartile mean over seeds; the interval needs two seeds. The only stratum is the run's task."""
    found: dict[str, np.ndarray | None] = {n: np.percentile(values, q, axis=-1) for n, q in _BANDS.items()}
    found["iqm"] = interquartile_mean(values)
    found["iqm_low"] = found["iqm_high"] = None
    if values.shape[-1] > 1:
        found["iqm_low"], found["iqm_high"] = stratified_interval([values], generator(seed, Stream.EVALUATE, 4))
    return found


def curve_record(curve: Curve, seed: int) -> dict[str, Any]:
    """Lists over environment steps, of at most 120 points; the last one is among them."""
    kept = np.unique(np.linspace(0, len(curve.steps) - 1, min(_POINTS, len(curve.steps))).round().astype(int))
    found = _aggregated(curve.values[kept], seed)
    return {"step": curve.steps[kept].tolist(), **{n: None if v is None else v.tolist() for n, v in found.items()}}


def final_record(curve: Curve, step: int, seed: int) -> dict[str, Any]:
    """The last value of each seed, and what they are together."""
    found = _aggregated(curve.values[-1], seed)
    at = {"step": int(curve.steps[-1]), "at_the_end": bool(curve.steps[-1] == step)}
    return {
        **at,
        "values": curve.values[-1].tolist(),
        **{n: None if v is None else float(v) for n, v in found.items()},
    }
