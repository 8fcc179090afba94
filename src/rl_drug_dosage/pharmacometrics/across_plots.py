"""The figure of an estimation across models: weights, and the averaged course of each patient."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from rl_drug_dosage.pharmacometrics.across_weights import Compared
from rl_drug_dosage.pharmacometrics.estimation import Estimation
from rl_drug_dosage.utils.files import atomic_write
from rl_drug_dosage.utils.result import figure_of_size, png_bytes

__all__ = ["MODELS_PLOT", "SHOWN", "Course", "draw_models", "save_models_plot"]

MODELS_PLOT = "models.png"
SHOWN = 12
"""Patients that are drawn."""
_ENTRY_IN = 1.9
"""Width of an entry of the legend, inches."""


@dataclass(frozen=True)
class Course:
    """One patient's course of the first output that all models predict, in the unit of the first model."""

    time_h: Float[np.ndarray, "time"]
    mean: Float[np.ndarray, "time"]
    """Of the average; not a number where there is none."""
    low: Float[np.ndarray, "time"]
    high: Float[np.ndarray, "time"]
    models: Float[np.ndarray, "model time"]
    """Mean of each model."""
    output: int
    """Of the first model."""


def draw_models(estimations: Sequence[Estimation], compared: Compared, courses: Sequence[Course], title: str) -> Any:
    """Weights as stacked bars, and below them a panel for each of the first patients."""
    count = len(courses)
    columns = min(max(count, 1), 4)
    rows = -(-count // columns)
    bars = 0.9 + 0.24 * count
    figure = figure_of_size(max(3.1 * columns, 6.5), bars + 2.6 * rows + 0.8)
    figure.suptitle(_plain(title), fontsize=10)
    top, below = figure.subfigures(2, 1, height_ratios=[bars, 2.6 * rows + 0.5])
    colours = [f"C{k % 10}" for k in range(len(estimations))]
    _weights(top.subplots(), estimations, compared, count, colours)
    panels = below.subplots(rows, columns, squeeze=False)
    for i, (axes, course) in enumerate(zip(panels.flat, courses, strict=False)):
        _panel(axes, course, estimations, i, colours)
    for axes in panels.flat[count:]:
        axes.set_axis_off()
    for axes in panels.flat[max(count - columns, 0) : count]:
        axes.set_xlabel("time (h)", fontsize=9)
    if courses:
        output = estimations[0].model.outputs[courses[0].output]
        below.supylabel(output.name if output.unit == "1" else f"{output.name} ({output.unit})", fontsize=10)
    pairs = (pair for axes in figure.axes for pair in zip(*axes.get_legend_handles_labels(), strict=True))
    by_label = {label: handle for handle, label in pairs}
    fitting = max(int(figure.get_figwidth() / _ENTRY_IN), 1)
    figure.legend(by_label.values(), by_label.keys(), loc="outside lower center", ncols=fitting, fontsize=8)
    return figure


def save_models_plot(
    estimations: Sequence[Estimation], compared: Compared, courses: Sequence[Course], folder: Path, title: str
) -> Path:
    """Write the figure of `draw_models`.

    Raises:
        OutputError: the figure cannot be written.
    """
    atomic_write(folder / MODELS_PLOT, png_bytes(draw_models(estimations, compared, courses, title)))
    return folder / MODELS_PLOT


def _weights(
    axes: Any, estimations: Sequence[Estimation], compared: Compared, count: int, colours: Sequence[str]
) -> None:
    names = [_plain(p.fitted.name, 24) for p in estimations[0].patients[:count]]
    places, left = np.arange(count), np.zeros(count)
    for k, one in enumerate(estimations):
        width = np.nan_to_num(compared.weight[:count, k])
        axes.barh(places, width, left=left, color=colours[k], label=one.model.name, height=0.7)
        left = left + width
    axes.set_yticks(places, names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.tick_params(labelsize=8)
    axes.set_xlabel("weight of the model", fontsize=9)
    axes.set_ylabel("patient", fontsize=9)


def _panel(axes: Any, course: Course, estimations: Sequence[Estimation], i: int, colours: Sequence[str]) -> None:
    patient = estimations[0].patients[i]
    if np.all(np.isfinite(course.mean)):
        axes.fill_between(course.time_h, course.low, course.high, color="0.8", lw=0, label="90 % of the average")
        axes.plot(course.time_h, course.mean, color="black", lw=1.5, label="average")
    for own, colour in zip(course.models, colours, strict=True):
        axes.plot(course.time_h, own, color=colour, lw=0.9, ls="--")
    levels = patient.levels
    shown = np.asarray(levels.used) & (np.asarray(levels.output) == course.output)
    below = np.asarray(levels.below)
    above = np.asarray(levels.censored) & ~below
    for marks, marker, label in (
        (shown & ~below & ~above, "o", "level"),
        (shown & below, "v", "below the limit"),
        (shown & above, "^", "above the limit"),
    ):
        if marks.any():
            axes.plot(levels.time_h[marks], levels.value[marks], marker, color="black", ms=4, mfc="none", label=label)
    axes.set_title(_plain(patient.fitted.name), fontsize=9)
    axes.tick_params(labelsize=8)
    axes.set_ylim(bottom=0)


def _plain(text: str, longest: int = 90) -> str:
    """Text in which no dollar sign starts a formula, and which fits above a panel."""
    short = text if len(text) <= longest else f"{text[: longest - 3]}..."
    return short.replace("\\", "/").replace("$", r"\$")
