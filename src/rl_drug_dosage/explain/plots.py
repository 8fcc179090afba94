"""The figures of an explanation, as PNG bytes: dose versus level and covariates, and importance of the inputs."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rl_drug_dosage.utils.result import png_bytes

__all__ = ["Curve", "bars_png", "panels", "panels_png", "percentiles"]

_COLORS = {
    "PPO": "tab:blue",
    "mipd": "tab:orange",
    "label": "tab:gray",
    "uncorrected": "tab:green",
    "PPO minus Bayesian dose": "tab:blue",
}
_BAND = (25, 50, 75)
_WIDE = 3
"""Number of panels per row."""


@dataclass(frozen=True)
class Curve:
    """One panel.

    Args:
        title: title of the panel.
        x_label, y_label: axis labels with units.
        x: positions of the points.
        banfrom rl_drug_dosage.utils.result import png_bytes
    ds: per policy, the 25th, 50th and 75th percentile of the dose.
        window: limits of the goal, if it is defined on x.
        ticks: names of the points if x has few values; they are then not joined.
        signed: whether values may be negative; the axis then shows a line at 0 in place of beginning there.
    """

    title: str
    x_label: str
    y_label: str
    x: Float[np.ndarray, " point"]
    bands: Mapping[str, Float[np.ndarray, "3 point"]]
    window: tuple[float, float] | None = None
    ticks: tuple[str, ...] = ()
    signed: bool = False


def percentiles(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " 3"]:
    """25th, 50th and 75th percentile."""
    return np.asarray(np.percentile(values, _BAND))


def panels_png(curves: Sequence[Curve], title: str) -> bytes:
    """The figure of `panels` as PNG."""
    return png_bytes(panels(curves, title))


def panels(curves: Sequence[Curve], title: str) -> Figure:
    """Panels side by side, median and 25th to 75th percentile of every policy."""
    columns = min(_WIDE, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(max(4.2 * columns, 6.0), 0.9 + 3.4 * rows), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(textwrap.fill(title, 45 * columns + 20), fontsize=10)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes[len(curves) :]:
        ax.set_visible(False)
    for ax, curve in zip(axes, curves, strict=False):
        _panel(ax, curve)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=9)
    return figure


def _panel(ax: Any, curve: Curve) -> None:
    if curve.window is not None:
        ax.axvspan(*curve.window, color="tab:green", alpha=0.12, lw=0, label="goal", zorder=0)
    width = 0.12 * float(np.min(np.diff(curve.x))) if len(curve.x) > 1 else 0.1
    for i, (name, (low, middle, high)) in enumerate(curve.bands.items()):
        color = _COLORS.get(name, "tab:purple")
        if curve.ticks:
            x = curve.x + (i - (len(curve.bands) - 1) / 2) * width
            ax.errorbar(x, middle, (middle - low, high - middle), color=color, fmt="o", ms=4, capsize=3, label=name)
            continue
        ax.fill_between(curve.x, low, high, color=color, alpha=0.18, lw=0)
        ax.plot(curve.x, middle, color=color, lw=1.6, marker="o", ms=3, label=name)
    if curve.ticks:
        ax.set_xticks(curve.x, curve.ticks)
    if curve.signed:
        ax.axhline(0.0, color="black", lw=0.8)
    else:
        ax.set_ylim(bottom=0)
    ax.set_title(curve.title, fontsize=9)
    ax.set_xlabel(textwrap.fill(curve.x_label, 48), fontsize=9)
    ax.set_ylabel(textwrap.fill(curve.y_label, 36), fontsize=9)


def bars_png(names: Sequence[str], first: Sequence[float], later: Sequence[float], title: str) -> bytes:
    """Change of the dose when an input is taken from another patient: at the first decision, and at later ones.

    Args:
        names: names of the inputs, most important first.
        first: mean change at the first decision, in % of the mean dose.
        later: the same at the later decisions.
        title: title of the figure.
    """
    figure = Figure(figsize=(8, 1.6 + 0.5 * len(names)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    at = np.arange(len(names))
    for shift, values, color, label in (
        (-0.2, first, "tab:blue", "first dose"),
        (0.2, later, "tab:orange", "later doses"),
    ):
        bars = ax.barh(at + shift, values, 0.38, color=color, label=label)
        ax.bar_label(bars, [f"{v:.1f}" for v in values], padding=3, fontsize=8)
    ax.set_yticks(at, [textwrap.fill(n, 32) for n in names], fontsize=9)
    ax.invert_yaxis()
    ax.set_xlim(0, 1.12 * max([*first, *later, 1.0]))
    ax.set_xlabel("mean change of the dose when this is taken from another patient (% of the mean dose)", fontsize=9)
    ax.set_title(textwrap.fill(title, 100), fontsize=10)
    ax.legend(loc="lower right", fontsize=9)
    return png_bytes(figure)
