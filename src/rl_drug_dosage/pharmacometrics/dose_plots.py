"""The figure of a dose search: what is predicted for each patient under the best regimen."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rl_drug_dosage.pharmacometrics.dose_options import Question
from rl_drug_dosage.pharmacometrics.dose_types import PatientDoses
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.utils.files import atomic_write
from rl_drug_dosage.utils.result import figure_of_size, png_bytes

__all__ = ["FIGURE", "draw_doses", "save_doses_figure"]

FIGURE = "doses.png"

_PANELS = 6
"""Patients that are drawn."""
_LONGEST = 60
"""Characters of a title above a panel."""
_BLUE, _ORANGE, _GREEN = "tab:blue", "tab:orange", "tab:green"


def draw_doses(model: DrugModel, question: Question, patients: Sequence[PatientDoses], title: str) -> Any:
    """A panel for each of the first patients: levels, course and bands, window, doses so far and searched ones."""
    shown = patients[:_PANELS]
    columns = min(len(shown), 2)
    rows = -(-len(shown) // columns)
    figure = figure_of_size(max(5.2 * columns, 6.5), 3.3 * rows + 0.8)
    figure.suptitle("\n".join(textwrap.wrap(_plain(title, 220), 110)), fontsize=10)
    panels = figure.subplots(rows, columns, squeeze=False)
    target = question.aim.target
    output = model.output_index(target.output)
    unit = model.outputs[output].unit
    for axes, patient in zip(panels.flat, shown, strict=False):
        _panel(axes, patient, question, output)
        axes.set_xlabel("time (h)", fontsize=9)
        axes.set_ylabel(target.output if unit == "1" else f"{target.output} ({unit})", fontsize=9)
    for axes in panels.flat[len(shown) :]:
        axes.set_axis_off()
    pairs = (pair for axes in panels.flat for pair in zip(*axes.get_legend_handles_labels(), strict=True))
    by_label = {label: handle for handle, label in pairs}
    figure.legend(by_label.values(), by_label.keys(), loc="outside lower center", ncols=4, fontsize=8)
    return figure


def save_doses_figure(
    model: DrugModel, question: Question, patients: Sequence[PatientDoses], title: str, folder: Path
) -> Path:
    """Write `draw_doses` to ``doses.png``.

    Raises:
        OutputError: the file cannot be written.
    """
    path = folder / FIGURE
    atomic_write(path, png_bytes(draw_doses(model, question, patients, title)))
    return path


def _panel(axes: Any, patient: PatientDoses, question: Question, output: int) -> None:
    course, best, back = patient.course, patient.best, patient.offset_h
    time, start = course.time_h - back, patient.start_h - back
    axes.fill_between(time, course.bands[0], course.bands[4], color=_BLUE, alpha=0.15, lw=0, label="90 % band")
    axes.fill_between(time, course.bands[1], course.bands[3], color=_BLUE, alpha=0.30, lw=0, label="50 % band")
    axes.plot(time, course.map, color=_BLUE, lw=1.3, label="point estimate")
    _window(axes, question)
    axes.axvline(start, color="0.3", lw=0.8, ls=":", label="start of the search")
    levels = patient.data.levels
    own = (np.asarray(levels.output) == output) & (np.asarray(levels.time_h) - back >= time[0])
    for mask, style in (
        (own & levels.used & ~levels.censored, {"marker": "o", "color": "black", "label": "level"}),
        (own & levels.used & levels.censored, {"marker": "v", "mfc": "none", "color": "black", "label": "censored"}),
        (own & ~levels.used, {"marker": "x", "color": "tab:gray", "label": "not used"}),
    ):
        if mask.any():
            axes.plot(levels.time_h[mask] - back, levels.value[mask], ls="", ms=4.5, zorder=4, **style)
    _ticks(axes, _given_h(patient) - back, time, "dose so far", "0.35")
    future = start + best.interval_h * np.arange(np.ceil((time[-1] - start) / best.interval_h - 1e-9))
    _ticks(axes, future, time, "searched dose", _ORANGE)
    head = (
        f"patient {patient.name}: {best.amount_mg:g} mg every {best.interval_h:g} h, {100.0 * best.inside:.0f} % inside"
    )
    if not bool(patient.fitted.estimate.converged):
        head = f"patient {patient.name}: not converged"
    axes.set_title(_plain(head, _LONGEST), fontsize=9)
    axes.tick_params(labelsize=8)
    axes.set_xlim(time[0], time[-1])
    axes.set_ylim(bottom=0)


def _given_h(patient: PatientDoses) -> np.ndarray:
    """When doses were given, additional ones too."""
    given = [dose for dose in patient.data.doses if dose.amount_mg > 0]
    return np.array([dose.time_h + k * dose.interval_h for dose in given for k in range(dose.additional + 1)])


def _ticks(axes: Any, hours: np.ndarray, time: np.ndarray, label: str, color: str) -> None:
    shown = hours[(hours >= time[0]) & (hours <= time[-1])]
    if shown.size:
        axes.plot(
            shown, np.zeros(shown.size), "|", color=color, ms=10, mew=1.6, label=label,
            transform=axes.get_xaxis_transform(), clip_on=False,
        )  # fmt: skip


def _window(axes: Any, question: Question) -> None:
    """Where the target is a level."""
    target = question.aim.target
    if target.metric in {"auc24", "auc_total"}:
        return
    low, high = (target.low, None) if target.metric == "time_above" else (target.low, target.high)
    if low is not None and high is not None:
        axes.axhspan(low, high, color=_GREEN, alpha=0.15, lw=0, label=f"window of the {target.metric}", zorder=0)
        return
    for edge in (low, high):
        if edge is not None:
            axes.axhline(edge, color=_GREEN, lw=1.2, ls="--", label=f"limit of the {target.metric}", zorder=0)


def _plain(text: str, longest: int) -> str:
    """Text in which no dollar sign starts a formula, and which fits."""
    short = text if len(text) <= longest else f"{text[: longest - 3]}..."
    return short.replace("\\", "/").replace("$", r"\$")
