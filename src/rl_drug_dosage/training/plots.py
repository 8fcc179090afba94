"""The three figures of an evaluation: concentration over time, dose over time, one against the other."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rl_drug_dosage.training.episodes import Episodes
from rl_drug_dosage.utils.files import atomic_write

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


def _new(title: str) -> tuple[Any, Any]:
    # fixed margins and fixed places for the legends: to search for good ones takes longer than to draw the figure
    figure = Figure(figsize=(8, 4.5), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.subplots(gridspec_kw={"left": 0.09, "right": 0.98, "bottom": 0.11, "top": 0.93})
    axes.set_title(title, fontsize=10)
    return figure, axes


def _save(figure: Any, path: Path) -> Path:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", pil_kwargs={"compress_level": 1})
    atomic_write(path, buffer.getvalue())
    return path


def draw_concentration(episodes: Episodes, title: str) -> Any:
    """Courses of the monitored output: one line each, or a percentile band."""
    figure, axes = _new(title)
    time = np.arange(episodes.concentration.shape[1])
    valid = np.column_stack([np.ones(len(episodes.valid), bool), episodes.valid])
    _courses(axes, time, np.where(valid, episodes.concentration, np.nan), "tab:blue", "concentration")
    top = np.nanmax(np.where(valid, episodes.concentration, np.nan))
    if (window := episodes.window) is not None:
        axes.axhspan(window.low, window.high, color="tab:green", alpha=0.15, label="therapeutic window", zorder=0)
        axes.set_ylim(0, 1.05 * max(float(top), 1.25 * window.high))
    axes.set_xlim(0, time[-1])
    axes.set_xlabel(episodes.axes["time"].label)
    axes.set_ylabel(episodes.axes["concentration"].label)
    axes.legend(loc="upper right")
    return figure


def _dose(episodes: Episodes, title: str) -> Any:
    figure, axes = _new(title)
    dose = np.where(episodes.valid, episodes.dose, np.nan)
    # a dose stands for the step that follows it; the last value is repeated to give its step a width
    steps = np.column_stack([dose, dose[:, -1]])
    _courses(axes, np.arange(steps.shape[1]), steps, "tab:orange", "dose", drawstyle="steps-post")
    axes.set_xlim(0, steps.shape[1] - 1)
    if episodes.window is not None:
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
    figure, axes = _new(title)
    points = axes.scatter(
        episodes.concentration[episode, step], episodes.dose[episode, step], c=step, s=12, cmap="viridis", alpha=0.8
    )
    if (window := episodes.window) is not None:
        axes.axvspan(window.low, window.high, color="tab:green", alpha=0.15, label="therapeutic window", zorder=0)
        axes.legend(loc="upper right")
    axes.set_xlabel(f"{episodes.axes['concentration'].label}, when the dose was chosen")
    axes.set_ylabel(episodes.axes["dose"].label)
    figure.colorbar(points, ax=axes, label=episodes.axes["time"].label)
    return figure


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
