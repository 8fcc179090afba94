"""The three figures of an evaluation: concentration over time, dose over time, one against the other.

A window of the goal is shaded on an axis of its own quantity only; what cannot be read off the concentration, such as
an AUC24, has axes of its own below it.
"""

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rl_drug_dosage.envs.functional import Window
from rl_drug_dosage.envs.render import shade, target_words, top_with
from rl_drug_dosage.training.episodes import Episodes
from rl_drug_dosage.utils.files import atomic_write
from rl_drug_dosage.utils.result import png_bytes
from rl_drug_dosage.utils.words import titled

__all__ = ["PLOTS", "draw_concentration", "save_plots"]

PLOTS = ("rollout_concentration", "rollout_dose", "concentration_vs_dose")

_BAND = (5, 95)
_MANY = 10
"""From so many episodes on the courses are shown as a percentile band instead of one line each."""
_MOST_POINTS = 5_000


def save_plots(episodes: Episodes, folder: Path, title: str) -> dict[str, Path]:
    """Draw and write the figures as PNG.

    Args:
        episodes: one or more; of many the median and the 5th to 95th percentile are shown.
        folder: where to; it must exist.
        title: the policy and the environment.

    Returns:
        The path of each figure by its name.

    Raises:
        OutputError: a figure cannot be written.
    """
    draws = (draw_concentration, _dose, _scatter)
    return {name: _save(draw(episodes, title), folder / f"{name}.png") for name, draw in zip(PLOTS, draws, strict=True)}


_HEIGHT, _PANEL = 4.5, 2.6
"""Inches: of a figure with one plot, and of each further one."""
_LABEL = 24
"""Letters that fit beside a further plot."""


def _new(title: str, further: int = 0) -> tuple[Any, list[Any]]:
    # fixed margins and fixed places for the legends: to search for good ones takes longer than to draw the figure
    height = _HEIGHT + further * _PANEL
    figure = Figure(figsize=(8, height), dpi=100)
    FigureCanvasAgg(figure)
    edges = {
        "left": 0.12 if further else 0.09,
        "right": 0.98,
        "bottom": 0.11 * _HEIGHT / height,
        "top": 1 - 0.07 * _HEIGHT / height,
    }
    ratios = [3.2, *[2.2] * further]
    found = figure.subplots(
        1 + further, squeeze=False, sharex=True, gridspec_kw={**edges, "height_ratios": ratios, "hspace": 0.22}
    )
    axes = list(found[:, 0])
    axes[0].set_title(title, fontsize=10)
    return figure, axes


def _save(figure: Any, path: Path) -> Path:
    atomic_write(path, png_bytes(figure))
    return path


def draw_concentration(episodes: Episodes, title: str) -> Any:
    """Courses of the monitored output, one line each or a percentile band; what targets are about besides it below."""
    further = episodes.apart
    figure, (axes, *below) = _new(title, len(further))
    time = np.arange(episodes.concentration.shape[1])
    valid = np.column_stack([np.ones(len(episodes.valid), bool), episodes.valid])
    values, axis = np.where(valid, episodes.concentration, np.nan), episodes.axes["concentration"]
    _courses(axes, time, values, "tab:blue", axis.words)
    if episodes.windows:
        # without a window above the courses, the legend needs the room
        highest = np.nanmax(values) * (1.0 if episodes.on_course else 1.25)
        axes.set_ylim(0, top_with(episodes.on_course, highest, room=1.05 * 1.25))
    for window in episodes.on_course:
        shade(axes, window, time[-1])
    axes.set_xlim(0, time[-1])
    axes.set_ylabel(axis.label)
    axes.legend(loc="upper right")
    for ax, (window, course) in zip(below, further, strict=True):
        _metric(ax, window, np.where(episodes.valid, course, np.nan))
    (below or [axes])[-1].set_xlabel(episodes.axes["time"].label)
    return figure


def _metric(ax: Any, window: Window, values: np.ndarray) -> None:
    """What a window is about, interval by interval."""
    steps = values.shape[1]
    # the last value is repeated to give its interval a width
    held = np.column_stack([values, values[:, -1]])
    _courses(ax, np.arange(steps + 1), held, "tab:purple", window.quantity.words, drawstyle="steps-post")
    ax.set_ylim(0, top_with([window], np.nanmax(values), room=1.05))
    shade(ax, window, steps)
    quantity = window.quantity
    one_line = len(quantity.label) <= _LABEL
    unit = titled("", quantity.unit).strip()
    ax.set_ylabel(quantity.label if one_line else f"{textwrap.fill(quantity.words, _LABEL)}\n{unit}".rstrip())
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 0.97), ncols=3, frameon=False, fontsize=9)


def _dose(episodes: Episodes, title: str) -> Any:
    figure, (axes,) = _new(title)
    dose = np.where(episodes.valid, episodes.dose, np.nan)
    # a dose stands for the step that follows it; the last value is repeated to give its step a width
    steps = np.column_stack([dose, dose[:, -1]])
    _courses(axes, np.arange(steps.shape[1]), steps, "tab:orange", "dose", drawstyle="steps-post")
    axes.set_xlim(0, steps.shape[1] - 1)
    if episodes.windows:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(episodes.axes["time"].label)
    axes.set_ylabel(episodes.axes["dose"].label)
    axes.legend(loc="upper right")
    return figure


def _scatter(episodes: Episodes, title: str) -> Any:
    shown = np.argwhere(episodes.valid)
    if len(shown) > _MOST_POINTS:
        # evenly through all episodes, so that every time step keeps its share
        shown = shown[np.linspace(0, len(shown) - 1, _MOST_POINTS).astype(int)]
        title = f"{title}; {_MOST_POINTS:,} of {int(episodes.valid.sum()):,} steps"
    episode, step = shown.T
    figure, (axes,) = _new(title)
    points = axes.scatter(
        episodes.concentration[episode, step], episodes.dose[episode, step], c=step, s=12, cmap="viridis", alpha=0.8
    )
    for window in episodes.on_course:
        _span(axes, window, episodes.valid.shape[1], points)
    if episodes.on_course:
        axes.legend(loc="upper right")
    axes.set_xlabel(f"{episodes.axes['concentration'].label}, when the dose was chosen")
    axes.set_ylabel(episodes.axes["dose"].label)
    figure.colorbar(points, ax=axes, label=episodes.axes["time"].label)
    return figure


def _span(axes: Any, window: Window, steps: int, points: Any) -> None:
    """A window across the points; where its edges change, a bar for each stretch in the colour of its time."""
    ends = axes.get_xlim()
    stretches = [
        (start, stop, low if np.isfinite(low) else ends[0], high if np.isfinite(high) else ends[1])
        for start, stop, low, high in window.stretches(steps)
    ]
    if len({(low, high) for _, _, low, high in stretches}) == 1:
        _, _, low, high = stretches[0]
        axes.axvspan(low, high, color="tab:green", alpha=0.15, label=target_words(window), zorder=0)
        if low == ends[0] or high == ends[1]:
            axes.set_xlim(min(low, ends[0]), max(high, ends[1]))
        return
    label: str | None = f"{target_words(window)}, in the colour of its time"
    for i, (start, stop, low, high) in enumerate(stretches):
        color, at = points.cmap(points.norm((start + stop - 1) / 2)), 0.025 * (1 + i)
        axes.plot([low, high], [at, at], color=color, lw=4, transform=axes.get_xaxis_transform(), label=label)
        label = None


def _courses(axes: Any, time: np.ndarray, values: np.ndarray, color: str, name: str, **style: Any) -> None:
    if len(values) < _MANY:
        for i, course in enumerate(values):
            label = name if i == 0 else None
            axes.plot(time, course, color=color, alpha=0.9 if len(values) == 1 else 0.5, lw=1.2, label=label, **style)
        return
    # nanpercentile goes through the columns one by one, and most environments need no padding
    percentile = np.nanpercentile if np.isnan(values).any() else np.percentile
    low, middle, high = percentile(values, (_BAND[0], 50, _BAND[1]), axis=0)
    step = "post" if "drawstyle" in style else None
    label = f"{_BAND[0]}th to {_BAND[1]}th percentile"
    axes.fill_between(time, low, high, color=color, alpha=0.25, step=step, lw=0, label=label)
    axes.plot(time, middle, color=color, lw=1.5, label=f"median {name}", **style)
