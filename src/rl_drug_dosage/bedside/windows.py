"""What is measured of a regimen, and when: the interval that counts, its moments, and metrics out of them.

The interval that counts is the last one before ``start + horizon``: the n-th, with n intervals of at least the horizon,
or of so little less that a dose may be that late (`LATE`): 24.25 h are one day, and not the begin of a second one.
An AUC24 is that of the last 24 h, or of that interval, scaled to 24 h, where it is longer.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from rl_drug_dosage.pkpd import Dose, DrugModel, Mammillary, central_concentration

__all__ = [
    "LATE",
    "Measure",
    "Option",
    "Window",
    "Windows",
    "columns_of",
    "followed_by",
    "needs_grid",
    "read_metrics",
    "window_of",
]

LATE = 0.15
"""Part of an interval by which a dose, or a sample, may miss its time and still be of it. Unverified: our choice."""
_GRID = 97
"""Points of the interval where extremes have no closed form, as in the engine's dose search."""
_DAY_H = 24.0
_NEEDS = {
    "auc24": ("area", "end"),
    "average": ("start", "end"),
    "auc_total": ("end",),
    "peak": ("dosed", "infused"),
    "nadir": ("start", "end"),
    "time_above": (),
}
"""Metric -> the moments of a window that it is made of: where the AUC24 begins, the end, the start before and after its
dose, the end of its infusion. Others are the value at the end."""


@dataclass(frozen=True)
class Measure:
    """A metric of an output; see `rl_drug_dosage.pkpd.description.Metric`.

    Args:
        metric, output: what is taken of what.
        above: of ``time_above``, the level.
    """

    metric: str
    output: str
    above: float | None = None


@dataclass(frozen=True)
class Option:
    """A regimen that may follow the history.

    Args:
        amount_mg: of each dose.
        interval_h: between doses.
        duration_h: of each infusion; 0: a bolus.
        compartment: where it goes.
    """

    amount_mg: float
    interval_h: float
    duration_h: float
    compartment: str

    @property
    def way(self) -> tuple[float, float, str]:
        """What it shares with regimens that differ in their amount only."""
        return self.interval_h, self.duration_h, self.compartment

    @property
    def possible(self) -> bool:
        """Whether the infusion ends within its interval."""
        return self.duration_h <= self.interval_h * (1 + 1e-9)


@dataclass(frozen=True)
class Window:
    """The interval that counts of a way.

    Args:
        count: doses until its end.
        start_h, end_h: the interval.
        area_from_h: where its AUC24 begins.
        dose_end_h: end of the interval's infusion.
    """

    count: int
    start_h: float
    end_h: float
    area_from_h: float
    dose_end_h: float


def window_of(start_h: float, interval_h: float, duration_h: float, horizon_h: float) -> Window:
    """The interval that counts, see the module."""
    count = max(math.ceil(horizon_h / interval_h - LATE), 1)
    end = start_h + count * interval_h
    area = min(max(_DAY_H, interval_h), count * interval_h)
    begin = end - interval_h
    return Window(count, begin, end, end - area, min(begin + duration_h, end))


def followed_by(option: Option, start_h: float, count: int, amount_mg: float | None = None) -> tuple[Dose, ...]:
    """The doses of a regimen."""
    amount = option.amount_mg if amount_mg is None else amount_mg
    return tuple(
        Dose(start_h + i * option.interval_h, amount, option.compartment, duration_h=option.duration_h)
        for i in range(count)
    )


class Windows(eqx.Module):
    """Times of the columns of every way, and what areas are scaled by."""

    time_h: Float[Array, "way time"]
    after: Bool[Array, "way time"]
    hours: Float[Array, "way"]
    """Length of the AUC24's stretch."""
    interval_h: Float[Array, "way"]


def needs_grid(model: DrugModel, measure: Measure) -> bool:
    """Whether extremes may lie between the columns of every window."""
    if measure.metric == "time_above":
        return True
    if measure.metric not in {"peak", "nadir"}:
        return False
    structure, output = model.structure, model.outputs[model.output_index(measure.output)]
    # Without absorption and effect site the concentration rises only while an infusion runs.
    plain = isinstance(structure, Mammillary) and not structure.depot and not structure.effect
    return not (plain and output.value is central_concentration)


def _moments(measures: Sequence[Measure]) -> tuple[str, ...]:
    """The moments that metrics are made of, each once."""
    return tuple(dict.fromkeys(name for each in measures for name in _NEEDS.get(each.metric, ("end",)))) or ("end",)


def columns_of(
    measures: Sequence[Measure], options: Sequence[Option], windows: Sequence[Window], *, grid: bool, rows: int
) -> Windows:
    """The times at which regimens are looked at, padded.

    Args:
        measures: what is wanted of each.
        options: the regimens.
        windows: their intervals that count.
        grid: with equally spaced points between, for extremes without a closed form.
        rows: padded to this many.
    """
    table, flags, hours = [], [], []
    for window in windows:
        # A bolus has no infusion: at its end the dose counts.
        moments = {
            "area": (window.area_from_h, False),
            "end": (window.end_h, False),
            "start": (window.start_h, False),
            "dosed": (window.start_h, True),
            "infused": (window.dose_end_h, window.dose_end_h < window.end_h),
        }
        chosen = [moments[name] for name in _moments(measures)]
        if grid:
            chosen += [(float(t), False) for t in np.linspace(window.start_h, window.end_h, _GRID)]
        table.append([time for time, _ in chosen])
        flags.append([after for _, after in chosen])
        hours.append(window.end_h - window.area_from_h)

    def padded(values: Sequence[Any]) -> Any:
        column = np.asarray(values)
        return np.concatenate([column, np.repeat(column[-1:], rows - column.shape[0], axis=0)])

    return Windows(padded(table), padded(flags), padded(hours), padded([o.interval_h for o in options]))


def read_metrics(
    model: DrugModel,
    measures: tuple[Measure, ...],
    grid: bool,
    f: Float[Array, "time output"],
    area: Float[Array, "time"],
    window: Windows,
) -> Float[Array, "measure"]:
    """The metrics, out of the columns of a window."""
    found, moments = [], _moments(measures)
    place = {name: i for i, name in enumerate(moments)}
    for measure in measures:
        at = model.output_index(measure.output)
        scale, y = model.outputs[at].auc_scale or 1.0, f[:, at]
        between = y[len(moments) :] if grid else y[:0]
        found.append(_metric(measure, scale, y, area, between, window, place))
    return jnp.stack(found)


def _metric(  # noqa: PLR0911 - one line a metric
    measure: Measure,
    scale: float,
    y: Float[Array, "time"],
    area: Float[Array, "time"],
    between: Float[Array, "point"],
    window: Windows,
    place: Mapping[str, int],
) -> Float[Array, ""]:
    """One metric; ``between`` are the points of the interval, where extremes need them."""
    match measure.metric:
        case "auc24":
            return (area[place["end"]] - area[place["area"]]) / window.hours * _DAY_H * scale
        case "auc_total":
            return area[place["end"]] * scale
        case "average":
            return (area[place["end"]] - area[place["start"]]) / window.interval_h * scale
        case "peak":
            ends = jnp.stack([y[place["dosed"]], y[place["infused"]]])
            return jnp.max(jnp.concatenate([ends, between[1:]]))
        case "nadir":
            ends = jnp.stack([y[place["start"]], y[place["end"]]])
            return jnp.min(jnp.concatenate([ends, between]))
        case "time_above":
            return jnp.mean(between[1:] > (measure.above or 0.0))
        case _:
            return y[place["end"]]
