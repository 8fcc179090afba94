"""The picture behind ``render_mode="rgb_array"``: the course of one episode so far."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Float

from rl_drug_dosage.envs.functional import FunctionalEnv, Window

__all__ = ["draw_course", "shade", "target_words", "top_with"]

_ROOM = 1.5
"""Above the course, for the legend."""
_WINDOW = {"color": "tab:green", "alpha": 0.15, "zorder": 0}


def draw_course(
    env: FunctionalEnv,
    concentration: Float[np.ndarray, "step+1"],
    dose: Float[np.ndarray, " step"],
    metrics: Float[np.ndarray, "window step"],
) -> np.ndarray:
    """Draw the monitored output, the goal's metrics that cannot be read off it, and the doses, one above the other.

    A window is shaded on an axis of its own quantity only.

    Args:
        env: for the windows, the horizon, names and units.
        concentration: at the start and after each step.
        dose: given at the start of each step.
        metrics: of the windows, in each step; no rows where the environment gives none.

    Returns:
        ``uint8 [480, 640, 3]``.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.8), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axis, steps = env.axes["concentration"], env.horizon
    windows = env.windows
    on = [w for w in windows if w.quantity.is_on(axis)]
    apart = [(w, row) for w, row in zip(windows, metrics, strict=False) if w not in on]
    upper, *middle, lower = figure.subplots(2 + len(apart), 1, sharex=True, height_ratios=[3, *[2] * len(apart), 1])
    upper.set_xlim(0, steps)
    upper.set_ylim(0, top_with(on, _ROOM * np.nanmax(concentration, initial=0.0), room=1.5))
    for window in on:
        shade(upper, window, steps)
    upper.plot(np.arange(concentration.size), concentration, color="tab:blue", label=axis.words)
    upper.set_ylabel(axis.label)
    upper.legend(loc="upper right")
    for ax, (window, row) in zip(middle, apart, strict=True):
        ax.set_ylim(0, top_with([window], np.nanmax(row, initial=0.0), room=1.05))
        shade(ax, window, steps)
        # what happened in step t is known at its end and belongs to all of it
        ax.hlines(row, np.arange(row.size), np.arange(row.size) + 1, color="tab:purple", label=window.quantity.words)
        ax.set_ylabel(window.quantity.unit_words)
        ax.legend(loc="lower right", bbox_to_anchor=(1.0, 0.95), ncols=2, frameon=False, fontsize=8)
    # a dose given at the start of step t acts during it
    lower.bar(np.arange(dose.size), dose, align="edge", color="tab:orange")
    lower.set_ylim(0, env.highest_dose)
    lower.set_ylabel(env.axes["dose"].label)
    lower.set_xlabel(env.axes["time"].label)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def target_words(window: Window) -> str:
    """What the band of a window is called."""
    match window.quantity.metric, window.quantity.output:
        case "value", _:
            return "therapeutic window"
        case "trough", "concentration":
            return "trough target"
        case "trough", _:
            return "target at the end of an interval"
    return "target"


def top_with(windows: Iterable[Window], highest: float, *, room: float) -> float:
    """The end of a vertical axis from 0 on which windows can be seen, with ``room`` times their highest edge."""
    edges = [e for w in windows for _, lo, hi in (*w.earlier, (0, w.low, w.high)) for e in (lo, hi) if math.isfinite(e)]
    return max([*(room * e for e in edges), 1.05 * float(highest)]) or 1.0


def shade(ax: Any, window: Window, steps: int) -> None:
    """Shade a window over the steps that count; the limits of the axis must be set. Open edges reach to its ends.

    Args:
        ax: axes in steps and in the window's quantity.
        window: of the goal.
        steps: of an episode.
    """
    label: str | None = target_words(window)
    for start, stop, low, high in window.stretches(steps, ax.get_ylim()):
        if (start, stop) == (0, steps):
            ax.axhspan(low, high, label=label, **_WINDOW)
        else:
            ax.fill_between([start, stop], low, high, label=label, lw=0, **_WINDOW)
        label = None
