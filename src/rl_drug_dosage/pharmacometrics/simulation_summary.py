"""What a cohort's courses come to: peaks, troughs, areas, and how many patients attain the target."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rl_drug_dosage.pharmacometrics.simulation_plan import Plan
from rl_drug_dosage.pkpd import Target

__all__ = ["SummaryRow", "bounds_text", "interval_metrics", "summarize"]

type Metrics = dict[str, Float[np.ndarray, "patient"]]


@dataclass(frozen=True)
class SummaryRow:
    """One line of the table: a quantity over the patients, or the share of those who attain a target."""

    name: str
    unit: str
    median: float | None = None
    p5: float | None = None
    p95: float | None = None
    attained_pct: float | None = None

    def record(self) -> dict[str, str | float]:
        """What is known, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


def interval_metrics(
    plan: Plan, predicted: Float[np.ndarray, "patient time output"], area: Float[np.ndarray, "patient 2"]
) -> Metrics:
    """Per patient: each panel's peak and trough of the last interval, lowest value, areas, and time in the target."""
    model, grid, course = plan.model, plan.grid, plan.course
    start, end = course.auc_window_h
    found: Metrics = {}
    for i in plan.panels:
        output, values = model.outputs[i], predicted[:, :, i]
        found[f"{output.name} peak"] = values[:, grid.last].max(axis=1)
        found[f"{output.name} trough"] = values[:, grid.end]
        found[f"{output.name} lowest"] = values.min(axis=1)
        found[f"{output.name} final"] = values[:, -1]
        if output.auc_scale is not None:
            scaled = output.auc_scale * area
            found[f"{output.name} auc24"] = (scaled[:, 1] - scaled[:, 0]) * 24.0 / (end - start)
            found[f"{output.name} auc_total"] = scaled[:, 1]
            found[f"{output.name} average"] = (scaled[:, 1] - scaled[:, 0]) / (end - start)
    weights, weights_last = _trapezoid(grid.time_h[grid.shown]), _trapezoid(grid.time_h[grid.last])
    for number, target in enumerate(model.targets):
        i = model.output_index(target.output)
        if target.metric == "value":
            inside = _inside(target, predicted[:, grid.shown, i])
            found[f"target {number} share"] = inside @ weights
            found[f"target {number} throughout"] = inside.all(axis=1)
        elif target.metric == "time_above":
            above = predicted[:, grid.last, i] >= (target.low or 0.0)
            found[f"target {number} share"] = above @ weights_last
    return found


def _trapezoid(time_h: Float[np.ndarray, "time"]) -> Float[np.ndarray, "time"]:
    """Share of the whole that each time stands for."""
    halves = np.diff(time_h) / 2.0
    return (np.append(halves, 0.0) + np.append(0.0, halves)) / (time_h[-1] - time_h[0])


def _inside(target: Target, values: Float[np.ndarray, "..."]) -> np.ndarray:
    low = -np.inf if target.low is None else target.low
    high = np.inf if target.high is None else target.high
    return (values >= low) & (values <= high)


def bounds_text(target: Target) -> str:
    """``400 to 600 mg h/L``, ``up to 2 mg/L``."""
    unit = "" if target.unit == "1" else f" {target.unit}"
    if target.low is None:
        return f"up to {target.high:g}{unit}"
    if target.high is None:
        return f"from {target.low:g}{unit}"
    return f"{target.low:g} to {target.high:g}{unit}"


def summarize(plan: Plan, metrics: Metrics) -> tuple[SummaryRow, ...]:
    """Median and 5th to 95th percentile of the quantities, then the targets."""
    rows = []
    for i in plan.panels:
        output = plan.model.outputs[i]
        shown = [("peak", output.unit), ("trough", output.unit)]
        edges = [(t.low, t.high) for t in plan.model.targets if t.metric == "value" and t.output == output.name]
        if any(high is None for _, high in edges):
            shown.append(("lowest", output.unit))
        if f"{output.name} auc24" in metrics:
            shown.append(("auc24", f"{output.unit.partition('/')[0]} h/{output.unit.partition('/')[2]}"))
        for name, unit in shown:
            low, middle, high = np.percentile(metrics[f"{output.name} {name}"], (5, 50, 95))
            rows.append(SummaryRow(f"{output.name} {name}", unit, float(middle), float(low), float(high)))
    for number, target in enumerate(plan.model.targets):
        rows += _attainment(number, target, metrics)
    return tuple(rows)


def _attainment(number: int, target: Target, metrics: Metrics) -> list[SummaryRow]:
    what = f"{target.output} {bounds_text(target)}"
    share = metrics.get(f"target {number} share")
    if target.metric == "value":
        assert share is not None
        final = _inside(target, metrics[f"{target.output} final"])
        throughout = metrics[f"target {number} throughout"]
        return [
            SummaryRow(f"{what}: time inside", "%", attained_pct=100.0 * float(share.mean())),
            SummaryRow(f"{what}: patients inside at the end", "%", attained_pct=100.0 * float(final.mean())),
            SummaryRow(f"{what}: patients always inside", "%", attained_pct=100.0 * float(throughout.mean())),
        ]
    if target.metric == "time_above":
        assert share is not None
        return [SummaryRow(f"{what}: time above in an interval", "%", attained_pct=100.0 * float(share.mean()))]
    values = metrics.get(f"{target.output} {target.metric}")
    if values is None:
        return []
    name = f"{target.output} {target.metric} {bounds_text(target)}: patients who attain it"
    return [SummaryRow(name, "%", attained_pct=100.0 * float(_inside(target, values).mean()))]
