"""Draws the episode so far, for ``render_mode="rgb_array"``."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from jaxtyping import Float

from rl_drug_dosage.envs.functional import FunctionalEnv, Window

__all__ = ["draw_course", "shade", "target_words", "top_with"]

_ROOM = 1.5
"""Headroom above the curve, as a multiple of its maximum, for the legend."""
_WINDOW = {"color": "tab:green", "alpha": 0.15, "zorder": 0}


def draw_course(
    env: FunctionalEnv,
    concentration: Float[np.ndarray, "step+1"],
    dose: Float[np.ndarray, " step"],
    metrics: Float[np.ndarray, "window step"],
) -> np.ndarray:
    """Draw stacked panels: the monitored output, goal metrics of another quantity, and the doses.

    A window is shaded only on an axis of the same quantity.

    Args:
        env: source of the windows, the horizon, names and units.
        concentration: value at the start and after each step.
        dose: dose given at the start of each step.
        metrics: metric of each window in each step; no rows if the environment returns none.

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
        # a metric is computed at the end of step t and describes the whole step
        ax.hlines(row, np.arange(row.size), np.arange(row.size) + 1, color="tab:purple", label=window.quantity.words)
        ax.set_ylabel(window.quantity.unit_words)
        ax.legend(loc="lower right", bbox_to_anchor=(1.0, 0.95), ncols=2, frameon=False, fontsize=8)
    # a dose given at the start of step t is drawn over that step
    lower.bar(np.arange(dose.size), dose, align="edge", color="tab:orange")
    lower.set_ylim(0, env.highest_dose)
    lower.set_ylabel(env.axes["dose"].label)
    lower.set_xlabel(env.axes["time"].label)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def target_words(window: Window) -> str:
    """Legend label of a window."""
    match window.quantity.metric, window.quantity.output:
        case "value", _:
            return "therapeutic window"
        case "trough", "concentration":
            return "trough target"
        case "trough", _:
            return "target at the end of an interval"
    return "target"


def top_with(windows: Iterable[Window], highest: float, *, room: float) -> float:
    """Upper limit of a vertical axis that starts at 0 and leaves ``room`` times the highest window edge."""
    edges = [e for w in windows for _, lo, hi in (*w.earlier, (0, w.low, w.high)) for e in (lo, hi) if math.isfinite(e)]
    return max([*(room * e for e in edges), 1.05 * float(highest)]) or 1.0


def shade(ax: Any, window: Window, steps: int) -> None:
    """Shade a window over the judged steps. Set the axis limits first: open edges extend to them.

    Args:
        ax: axes with steps on x and the window's quantity on y.
        window: window of the goal.
        steps: number of steps in an episode.
    """
    label: str | None = target_words(window)
    for start, stop, low, high in window.stretches(steps, ax.get_ylim()):
        if (start, stop) == (0, steps):
            ax.axhspan(low, high, label=label, **_WINDOW)
        else:
            ax.fill_between([start, stop], low, high, label=label, lw=0, **_WINDOW)
        label = None
