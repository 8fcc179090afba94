"""A recommendation drawn by matplotlib: the figure and the text as PDF, and the figure alone for notebooks."""

import io
import itertools
import textwrap
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np

from rl_drug_dosage.bedside.figure import axis_words, levels_of, time_marks
from rl_drug_dosage.bedside.recommendation import INTENDED_USE, Recommendation
from rl_drug_dosage.bedside.words import policy_name
from rl_drug_dosage.reports.words import capital
from rl_drug_dosage.utils.result import figure_of_size, png_bytes
from rl_drug_dosage.utils.words import measured, output_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["curve_png", "sheet_pdf"]

_A4 = (8.27, 11.69)
_LETTERS, _LINES_FIRST, _LINES, _TITLE = 128, 58, 92, 88
"""Of a page: letters in a line, lines below the figure, lines of a page without one, letters in a line of the title."""
_TYPE: dict[str, Any] = {"family": "monospace", "fontsize": 6.6, "va": "top"}
_COLOURS = ("#0848b7", "#cf4324", "#964770", "#4e2e10", "#4180e5")
"""The first of reports/report.css."""


def sheet_pdf(result: Recommendation) -> bytes:
    """The document: the first page has the figure, and the text goes on over as many as it needs."""
    from matplotlib.backends.backend_pdf import PdfPages
    from matplotlib.figure import Figure

    told = [f"next dose {result.when(result.start_h)}", *result.text().splitlines()[3:]]
    lines = [part for line in told for part in _wrapped(line)]
    pages = [lines[:_LINES_FIRST]]
    pages += [lines[i : i + _LINES] for i in range(_LINES_FIRST, len(lines), _LINES)]
    data = io.BytesIO()
    # Without a date the same answer is the same file.
    how = {"Title": result.title, "CreationDate": None}
    with _plain_text(), PdfPages(data, metadata=how) as document:
        for number, page in enumerate(pages, 1):
            figure = Figure(figsize=_A4)
            top = 0.95
            if number == 1:
                title = textwrap.fill(capital(result.title), _TITLE, max_lines=2, placeholder=" ...")
                figure.text(0.07, 0.978, title, fontsize=11, va="top")
                figure.text(0.07, 0.938, INTENDED_USE, fontsize=9, va="top")
                _draw(figure.add_axes((0.11, 0.68, 0.82, 0.22)), result)
                top = 0.63
            figure.text(0.07, top, "\n".join(page), linespacing=1.25, **_TYPE)
            figure.text(0.93, 0.03, f"rl_drug_dosage. {INTENDED_USE} {number} / {len(pages)}", fontsize=6, ha="right")
            document.savefig(figure)
    return data.getvalue()


def curve_png(result: Recommendation) -> bytes:
    """The figure alone."""
    with _plain_text():
        figure = figure_of_size(8.0, 3.2)
        _draw(figure.add_subplot(), result)
        return png_bytes(figure)


def _plain_text() -> AbstractContextManager[None]:
    """A patient's name may have dollar signs, and is no formula."""
    import matplotlib as mpl

    return mpl.rc_context({"text.parse_math": False})


def _wrapped(line: str) -> list[str]:
    """A line of a page; what is longer goes on below, indented."""
    return textwrap.wrap(line, _LETTERS, subsequent_indent="    ", drop_whitespace=False) or [""]


def _draw(axes: "Axes", result: Recommendation) -> None:
    """The first output over time, as `figure.curve_figure` has it."""
    curve = result.curves[0]
    x0, x1 = float(curve.time_h[0]), float(curve.time_h[-1])
    p5, p25, p50, p75, p95 = curve.bands
    axes.fill_between(curve.time_h, p5, p95, color=_COLOURS[0], alpha=0.15, linewidth=0, label="90 % band")
    axes.fill_between(curve.time_h, p25, p75, color=_COLOURS[0], alpha=0.25, linewidth=0, label="50 % band")
    axes.plot(curve.time_h, p50, color=_COLOURS[0], label=f"median under {policy_name(result.best.name)}")
    others = [p for p in result.policies if p.curve is not None and p is not result.best]
    for policy, colour in zip(others, itertools.cycle(_COLOURS[1:]), strict=False):
        assert policy.curve is not None
        ahead = policy.curve.time_h >= result.start_h
        axes.plot(policy.curve.time_h[ahead], policy.curve.bands[2][ahead], color=colour, linestyle="--")
        axes.lines[-1].set_label(f"median under {policy_name(policy.name)}")
    if result.window is not None:
        low, high = result.window
        top = float(np.max(p95)) if high is None else high
        axes.axhspan(low or 0.0, top, color="#00785a", alpha=0.12, label="target")
    levels = levels_of(result, curve.output)
    for below, face in ((False, "#211c3c"), (True, "none")):
        own = [v for v in levels if v.below_limit is below]
        if own:
            said = "level below the limit" if below else "measured level"
            axes.scatter([v.time_h for v in own], [v.value for v in own], s=22, zorder=3, label=said)
            axes.collections[-1].set(facecolor=face, edgecolor="#211c3c")
    for given, face, said in ((True, "#55616d", "dose"), (False, "none", "missed dose")):
        at = [d.time_h for d in result.history.doses if d.given is given]
        if at:
            axes.scatter(at, np.zeros(len(at)), marker="^", s=26, clip_on=False, label=said)
            axes.collections[-1].set(facecolor=face, edgecolor="#55616d")
    axes.axvline(result.history.now_h, color="#55616d", linewidth=0.8)
    axes.axvline(result.start_h, color="#55616d", linewidth=0.8, linestyle=":")
    marks = time_marks(result, x0, x1)
    axes.set_xticks([at for at, _ in marks], [text for _, text in marks])
    axes.set(xlim=(x0, x1), ylim=(0.0, None), ylabel=measured(curve.output, curve.unit))
    axes.set_title(f"{capital(output_words(curve.output))}; lines: now, next dose (dotted)", fontsize=9, loc="left")
    axes.set_xlabel(axis_words(result, x1 - x0), fontsize=7, loc="right", labelpad=1)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=6.5, ncols=4, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.1))
