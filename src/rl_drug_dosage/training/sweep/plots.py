"""A sweep as a picture: one panel a parameter, one mark a trial."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import NullFormatter

from rl_drug_dosage.training.sweep.folder import TrialRecord, best_of
from rl_drug_dosage.training.sweep.space import Choices, Parameter, shown
from rl_drug_dosage.utils.result import figure_of_size

__all__ = ["draw"]

_COLUMNS = 3
_MARGIN = 0.05
"""Of an axis, beyond each end of its range."""


def draw(space: Sequence[Parameter], records: Sequence[TrialRecord], objective: str, title: str) -> Any:
    """Every parameter against the objective; the best trial is ringed, failed ones are crosses at the lower edge.

    Args:
        space: what varied.
        records: the trials.
        objective: what the vertical axis is.
        title: of the figure.
    """
    columns = min(_COLUMNS, len(space))
    rows = math.ceil(len(space) / columns)
    figure = figure_of_size(3.4 * columns + 0.6, 2.9 * rows + 0.5)
    panels = np.ravel(figure.subplots(rows, columns, sharey=True, squeeze=False))
    complete = [r for r in records if r.objective is not None]
    values = [r.objective for r in complete if r.objective is not None]
    best = best_of(records)
    for axes, parameter in zip(panels, space, strict=False):
        at = _positions(parameter, complete)
        # Later trials are darker: the search gathers where it is good.
        marks = axes.scatter(at, values, c=[r.trial for r in complete], cmap="viridis_r", s=22, zorder=2)
        marks.set_clim(1, max(2, len(records)))
        if best is not None:
            axes.scatter(
                _positions(parameter, [best]), [best.objective], s=110, fc="none", ec="tab:red", lw=1.6, zorder=3
            )
        failed = [r for r in records if r.objective is None]
        if failed:
            axes.scatter(
                _positions(parameter, failed), np.full(len(failed), 0.02), marker="x", c="tab:gray", s=22,
                transform=axes.get_xaxis_transform(),
            )  # fmt: skip
        _scale(axes, parameter)
        axes.set_xlabel(parameter.name)
        axes.grid(alpha=0.25)
    for axes in panels[len(space) :]:
        axes.set_visible(False)
    for axes in panels[::columns]:
        axes.set_ylabel(objective, fontsize=9)
    figure.suptitle(f"{title}: best trial ringed, later trials darker", fontsize=10, parse_math=False)
    return figure


def _positions(parameter: Parameter, records: Sequence[TrialRecord]) -> list[float]:
    """Where each trial stands; those of equal choices are set apart by their number."""
    if isinstance(parameter, Choices):
        return [parameter.values.index(r.params[parameter.name]) + 0.03 * ((r.trial * 7) % 11 - 5) for r in records]
    return [float(r.params[parameter.name]) for r in records]


def _scale(axes: Any, parameter: Parameter) -> None:
    """The horizontal axis: all of what could have been drawn, whether or not it was."""
    if isinstance(parameter, Choices):
        axes.set_xticks(range(len(parameter.values)), [shown(v) for v in parameter.values])
        axes.set_xlim(-0.5, len(parameter.values) - 0.5)
        return
    low, high = float(parameter.low), float(parameter.high)
    if not parameter.log:
        pad = _MARGIN * (high - low)
        axes.set_xlim(low - pad, high + pad)
        return
    axes.set_xscale("log")
    pad = (high / low) ** _MARGIN
    axes.set_xlim(low / pad, high * pad)
    axes.xaxis.set_minor_formatter(NullFormatter())  # numbers between powers of ten would lie on each other
    if high < 100.0 * low:
        middle = math.sqrt(low * high)
        axes.set_xticks([low, middle, high], [f"{v:.3g}" for v in (low, middle, high)])
