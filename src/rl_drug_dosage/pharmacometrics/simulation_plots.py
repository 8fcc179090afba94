"""The figure of a simulation: a percentile band for each output with its target, and the doses beneath."""

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from rl_drug_dosage.pharmacometrics.log_axes import make_logarithmic
from rl_drug_dosage.pharmacometrics.simulation_plan import Plan
from rl_drug_dosage.pharmacometrics.simulation_summary import bounds_text
from rl_drug_dosage.pkpd import Output, Target
from rl_drug_dosage.utils.files import atomic_write
from rl_drug_dosage.utils.result import png_bytes
from rl_drug_dosage.utils.words import time_axis

__all__ = ["bands", "draw", "save_figure"]

_BAND = (5, 50, 95)
_MOST_BARS = 240
_SPIKY = 0.01
"""An output that is below this share of its peak most of the time is drawn on a log axis,"""
_DECADES = 1e-5
"""which begins at this share."""


def bands(
    shown: list[Float[np.ndarray, "patient shown panel"]], panel: int, at_a_time: int = 64
) -> Float[np.ndarray, "3 shown"]:
    """5th, 50th and 95th percentile over all patients at each shown time, without a copy of all courses."""
    points = shown[0].shape[1]
    parts = []
    for start in range(0, points, at_a_time):
        column = np.concatenate([chunk[:, start : start + at_a_time, panel] for chunk in shown])
        parts.append(np.percentile(column, _BAND, axis=0))
    return np.concatenate(parts, axis=1)


def save_figure(plan: Plan, shown: list[Float[np.ndarray, "patient shown panel"]], patients: int, path: Path) -> None:
    """Draw it, see `draw`, and write it as PNG.

    Raises:
        OutputError: it cannot be written.
    """
    import matplotlib as mpl

    mpl.use("agg")
    atomic_write(path, png_bytes(draw(plan, shown, patients)))


def draw(plan: Plan, shown: list[Float[np.ndarray, "patient shown panel"]], patients: int) -> Any:
    """The figure: outputs from the top, doses at the bottom.

    Args:
        plan: what was simulated.
        shown: predictions of each chunk at ``plan.grid.shown``, for ``plan.panels``.
        patients: size of the cohort; ``shown`` may hold the first of them only, which the figure then says.
    """
    from matplotlib.figure import Figure

    panels = len(plan.panels)
    figure = Figure(figsize=(8, 1.9 + 2.9 * panels), dpi=120, layout="constrained")
    axes = figure.subplots(panels + 1, 1, sharex=True, squeeze=False, height_ratios=[*[3.0] * panels, 1.0])[:, 0]
    axes[0].set_title(_title(plan, sum(len(chunk) for chunk in shown), patients), fontsize=10)
    scale, unit = time_axis(plan.course.total_h)
    time = plan.grid.time_h[plan.grid.shown] * scale
    for panel, (ax, index) in enumerate(zip(axes[:panels], plan.panels, strict=True)):
        _draw_output(ax, plan, plan.model.outputs[index], time, bands(shown, panel))
    _draw_doses(axes[-1], plan, scale)
    axes[-1].set_xlim(0, plan.course.total_h * scale)
    axes[-1].set_xlabel(f"time since the first dose ({unit})")
    return figure


def _title(plan: Plan, drawn: int, patients: int) -> str:
    what = f"{patients:,} virtual patient{'s' if patients > 1 else ''}" if plan.model.etas else "typical patient"
    some = f" (the first {drawn:,} shown)" if drawn < patients else ""
    return f"{plan.model.name}: {plan.course.label}\n{what}{some}; predictions without residual error"


def _unit(unit: str) -> str:
    return "no unit" if unit == "1" else unit.replace("10^9", "10⁹")


def _draw_output(ax: Any, plan: Plan, output: Output, time: np.ndarray, band: np.ndarray) -> None:
    low, middle, high = band
    if np.any(high > low):
        ax.fill_between(time, low, high, color="tab:blue", alpha=0.25, lw=0, label="5th to 95th percentile")
        ax.plot(time, middle, color="tab:blue", lw=1.5, label="median")
    else:
        ax.plot(time, middle, color="tab:blue", lw=1.5, label="every patient")
    top = float(high.max())
    for target in plan.model.targets:
        if target.output == output.name and (window := _window(plan, target)) is not None:
            top = max(top, _draw_window(ax, window, float(low.min())))
    if top > 0 and float(np.median(middle)) < _SPIKY * float(middle.max()):
        ax.set_ylim(_DECADES * top, 2 * top)
        make_logarithmic(ax, "y")
    else:
        ax.set_ylim(0, 1.05 * top if top > 0 else 1.0)
    ax.set_ylabel(_label(output))
    ax.legend(loc="best", fontsize=8)


def _label(output: Output) -> str:
    """What is measured, without remarks, in lines that fit beside a panel, and its unit."""
    words = textwrap.fill((output.meaning or output.name).partition(";")[0], 32)
    return f"{words}\n({_unit(output.unit)})"


type _Window = tuple[str, float | None, float | None]


def _window(plan: Plan, target: Target) -> _Window | None:
    """Label and edges on the output's own axis; an area is drawn as the average that makes it."""
    text = _unit(bounds_text(target))
    if target.metric in {"auc24", "auc_total"}:
        scale = plan.model.outputs[plan.model.output_index(target.output)].auc_scale
        if scale is None:
            return None
        hours = 24.0 if target.metric == "auc24" else plan.course.last_interval_h[1]
        name = "AUC24" if target.metric == "auc24" else "AUC of the course"
        low, high = (None if edge is None else edge / hours for edge in (target.low, target.high))
        return f"target {name} {text}, as its average", low, high
    name = "" if target.metric == "value" else f"{target.metric.replace('_', ' ')} "
    return f"target {name}{text}", target.low, target.high


def _draw_window(ax: Any, window: _Window, lowest: float) -> float:
    """Returns the height that the window needs."""
    label, low, high = window
    if low is not None and high is not None:
        ax.axhspan(low, high, color="tab:green", alpha=0.15, lw=0, label=label, zorder=0)
        return 1.15 * high
    edge = low if high is None else high
    assert edge is not None
    ax.axhline(edge, color="tab:green", lw=1.2, ls="--", label=label, zorder=0)
    return 1.15 * edge


def _draw_doses(ax: Any, plan: Plan, scale: float) -> None:
    course = plan.course
    doses = course.dose_times_h
    if doses.size > _MOST_BARS and course.duration_h > 0:
        rate = course.dose_mg / course.duration_h
        edges = np.concatenate([doses, doses + course.duration_h])
        steps = np.concatenate([np.full(doses.size, rate), np.full(doses.size, -rate)])
        order = np.lexsort((-steps, edges))
        level = np.cumsum(steps[order])
        ax.fill_between(edges[order] * scale, level, step="post", color="tab:orange", alpha=0.7, lw=0)
        ax.set_ylabel("infusion rate\n(mg/h)")
        ax.set_ylim(0, 1.15 * float(level.max()))
        return
    least = 0.004 * course.total_h
    width = max(course.duration_h, least)
    edge = "white" if course.back_to_back else "none"
    ax.bar(
        doses * scale,
        np.full(doses.size, course.dose_mg),
        width * scale,
        align="edge",
        color="tab:orange",
        ec=edge,
        lw=0.8,
    )
    ax.set_ylabel("dose\n(mg)")
    ax.set_ylim(0, 1.15 * course.dose_mg if course.dose_mg > 0 else 1.0)
