"""Metrics of an interval, and target attainment; shared by the simulator and planning controllers."""

from functools import reduce
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from rl_drug_dosage.clinic.scenario import Scenario, intervals_before
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.pkpd.description import Metric

__all__ = ["Verdict", "deviations", "harmed", "judge", "metric_of", "needs_area", "window_metrics"]


class Verdict(NamedTuple):
    """Target attainment of one interval: fractions of its points (0 or 1 if there is a single point)."""

    inside: Float[Array, ""]
    """Inside every window."""
    under: Float[Array, ""]
    """Below the lower limit of at least one window."""
    over: Float[Array, ""]
    """Above the upper limit of at least one window."""


def needs_area(scenario: Scenario) -> bool:
    """Whether the goal uses an AUC."""
    windows, harms = scenario.goal.targets, scenario.goal.harms
    return any(metric in {"auc24", "auc_total"} for metric in [w.metric for w in windows] + [h.metric for h in harms])


def metric_of(
    metric: Metric, output: str, model: DrugModel, scenario: Scenario, values: Array, area: Array, total: Array
) -> Float[Array, " point"]:
    """One metric of one interval.

    Args:
        metric: name of the metric.
        output: name of the output.
        model: the model whose outputs are the columns of ``values``.
        scenario: the task, for the interval's length.
        values: outputs, ``[grid, output]``.
        area: AUC of this interval, or of the 24 h that end with it (`clinic.areas.last_day`), mg h/L.
        total: AUC since the start, including this interval, mg h/L.
    """
    at = model.output_index(output)
    column = values[:, at]
    match metric:
        case "value":
            return column
        case "trough":
            return column[-1:]
        case "peak":
            return jnp.max(column, keepdims=True)
        case "nadir":
            return jnp.min(column, keepdims=True)
        case "auc24":
            covered_h = (1 + intervals_before(scenario.schedule, scenario.goal)) * scenario.schedule.interval_h
            return jnp.reshape(area * (model.outputs[at].auc_scale or jnp.nan) * 24.0 / covered_h, 1)
        case "auc_total":
            return jnp.reshape(total * (model.outputs[at].auc_scale or jnp.nan), 1)
        case "average" | "time_above":
            raise ConfigError(f"a scenario's goal cannot use {metric!r}: use trough, peak, nadir, value or an AUC")


def window_metrics(
    model: DrugModel, scenario: Scenario, values: Float[Array, "grid output"], area: Array, total: Array
) -> tuple[Float[Array, " point"], ...]:
    """The metric of every window, in order."""
    return tuple(metric_of(w.metric, w.output, model, scenario, values, area, total) for w in scenario.goal.targets)


def judge(
    metrics: tuple[Float[Array, " point"], ...], low: Float[Array, " window"], high: Float[Array, " window"]
) -> Verdict:
    """Fractions of points inside, under and over."""
    below = [m < low[i] for i, m in enumerate(metrics)]
    above = [m > high[i] for i, m in enumerate(metrics)]
    points = max(m.shape[0] for m in metrics)

    def share(flags: list[Array]) -> Array:
        return jnp.broadcast_to(reduce(jnp.logical_or, flags), (points,)).mean(dtype=float)

    outside = share([a | b for a, b in zip(below, above, strict=True)])
    return Verdict(1.0 - outside, share(below), share(above))


def harmed(
    model: DrugModel,
    scenario: Scenario,
    values: Float[Array, "grid output"],
    area: Array,
    total: Array,
    t_h: Array | float = jnp.inf,
) -> Float[Array, " harm"]:
    """1 for every harm that occurred in the interval that started at ``t_h``, otherwise 0."""
    found = []
    for h in scenario.goal.harms:
        m = metric_of(h.metric, h.output, model, scenario, values, area, total)
        low, high = (-jnp.inf if h.below is None else h.below), (jnp.inf if h.above is None else h.above)
        beyond = jnp.any((m < low) | (m > high))
        found.append((beyond & (t_h >= h.from_h - 1e-4)).astype(float))
    return jnp.stack(found) if found else jnp.zeros(0)


def deviations(
    scenario: Scenario,
    metrics: tuple[Float[Array, " point"], ...],
    low: Float[Array, " window"],
    high: Float[Array, " window"],
    aim: Float[Array, " window"],
) -> tuple[Float[Array, " point"], ...]:
    """Of each window, the distance of its metric from the aim.

    1 is the distance of the window limit (on the log scale if ``log`` is set).
    For a window with one limit, the distance is counted from the limit, in units of 20 % of it. Points are scaled by
    the square root of their number, so a window has the same weight whatever their number.
    """
    found = []
    for i, window in enumerate(scenario.goal.targets):
        m = metrics[i]
        both = window.low is not None and window.high is not None
        if window.log:
            m, lo, hi, target = (jnp.log(jnp.maximum(v, 1e-9)) for v in (m, low[i], high[i], aim[i]))
            side = jnp.log(1.2)
        else:
            lo, hi, target = low[i], high[i], aim[i]
            side = 0.2 * jnp.abs(target)
        width = jnp.where(m > target, hi - target, target - lo) if both else side
        d = (m - target) / width
        if not both:
            d = jnp.minimum(d, 0.0) if window.high is None else jnp.maximum(d, 0.0)
        found.append(d / m.shape[0] ** 0.5)
    return tuple(found)
