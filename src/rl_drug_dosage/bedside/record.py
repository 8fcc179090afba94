"""A recommendation as values for machines: the form of ``--json`` and of the page's interface."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from rl_drug_dosage.bedside.recommendation import (
    FORMAT,
    INTENDED_USE,
    Curve,
    PolicyResult,
    Recommendation,
    option_words,
)
from rl_drug_dosage.bedside.regimens import Row
from rl_drug_dosage.utils.words import lasting, measured, output_words

__all__ = ["policy_record", "record_of"]


def record_of(result: Recommendation) -> dict[str, Any]:
    """Everything, with numbers of six significant digits; what is not finite is None."""
    history = result.history
    sampling = result.sampling
    found: dict[str, Any] = {
        "format": FORMAT,
        "intended_use": INTENDED_USE,
        "patient": history.name,
        "drug": result.drug,
        "now_h": history.now_h,
        "origin": None if history.origin is None else history.origin.isoformat(),
        "next_dose_h": result.start_h,
        "next_dose": result.when(result.start_h),
        "horizon_h": result.horizon_h,
        "horizon": lasting(result.horizon_h),
        "recommended": {"policy": result.best.name, "dose_mg": result.dose_mg, "interval_h": result.interval_h},
        "contradicted": result.contradicted,
        "targets": list(result.targets),
        "harms": list(result.harms),
        "quantity": {"name": result.quantity, "unit": result.unit},
        "window": None if result.window is None else list(result.window),
        "label": {
            "amounts_mg": list(result.amounts_mg),
            "intervals_h": list(result.intervals_h),
            "intervals": [lasting(hours) for hours in result.intervals_h],
        },
        "policies": [_policy(result, p) for p in result.policies],
        "alternatives": [_row(result, row) for row in result.rows],
        "next_level": None
        if sampling is None
        else {
            "time_h": sampling.time_h,
            "time": result.when(sampling.time_h),
            "reduction": sampling.reduction,
            "of": sampling.quantity,
        },
        "models": [
            {"name": name, "weight": weight, "effective_draws": result.effective[name]}
            for name, weight in result.weights.items()
        ],
        "parameters": [asdict(p) for p in result.parameters],
        "curves": [_curve(c) for c in result.curves],
        "doses": [asdict(d) for d in history.doses],
        "levels": [asdict(v) for v in history.levels],
        "covariates": [asdict(c) for c in history.covariates],
        "reasons": list(result.reasons),
        "warnings": list(result.warnings),
        "notes": list(result.notes),
    }
    plain: dict[str, Any] = _plain(found)
    return plain


def policy_record(result: Recommendation, policy: PolicyResult) -> dict[str, Any]:
    """One policy, or a regimen of the reader's choice, as in `record_of`."""
    plain: dict[str, Any] = _plain(_policy(result, policy))
    return plain


def _policy(result: Recommendation, policy: PolicyResult) -> dict[str, Any]:
    return {
        "name": policy.name,
        "words": policy.words,
        "abstains": policy.abstains or None,
        "regimen": None if policy.row is None else _row(result, policy.row),
        "curve": None if policy.curve is None else _curve(policy.curve),
        "notes": list(policy.notes),
    }


def _row(result: Recommendation, row: Row) -> dict[str, Any]:
    option = row.option
    return {
        "words": option_words(option),
        "dose_mg": option.amount_mg,
        "interval_h": option.interval_h,
        "duration_h": option.duration_h,
        "compartment": option.compartment,
        "target": row.target,
        "harms": dict(zip(result.harms, row.harms, strict=True)),
        "below": row.below,
        "above": row.above,
        "estimate": row.estimate,
        "percentiles": list(row.percentiles),
    }


def _curve(curve: Curve) -> dict[str, Any]:
    return {
        "output": curve.output,
        "words": output_words(curve.output),
        "axis": measured(curve.output, curve.unit),
        "unit": curve.unit,
        "time_h": curve.time_h,
        "estimate": curve.estimate,
        "percentiles": [5, 25, 50, 75, 95],
        "bands": curve.bands,
    }


def _plain(value: Any) -> Any:
    """Values of JSON."""
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(v) for v in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, float | np.floating):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def _array(value: np.ndarray) -> list[Any]:
    """Curves are most of a record: their numbers are not looked at one by one."""
    if value.ndim > 1 or value.dtype.kind != "f":
        return [_plain(row) for row in value]
    return [float(f"{v:.6g}") if math.isfinite(v) else None for v in value.tolist()]
