"""A panel of plots with a common time axis: output, metric, doses, percentage in target."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rl_drug_dosage.reports.markup import Child, Html, el
from rl_drug_dosage.reports.svg import WIDTH, Plot, drawing, label, num, ticks
from rl_drug_dosage.reports.view import View, Window
from rl_drug_dosage.reports.words import compact

__all__ = ["Strip", "panel", "shared_top", "window_band"]

_LEFT, _RIGHT = 44.0, 8.0
_HEADING, _GAP, _FOOT = 16.0, 10.0, 18.0
_SHORT = {"minutes": "min"}
"""Short units, because the space left of the axis is narrow."""


@dataclass(frozen=True)
class Strip:
    """One plot of a panel.

    Args:
        heading: quantity and unit.
        height: height in pixels.
        top: upper limit of the vertical axis.
        draw: draws the contents, back to front.
        highest: highest value; if it exceeds ``top``, the panel states it.
        bottom: lower limit of the vertical axis.
    """

    heading: str
    height: float
    top: float
    draw: Callable[[Plot], Sequence[Child]]
    highest: float = 0.0
    bottom: float = 0.0


def panel(view: View, anchor: str, title: str, description: str, strips: Sequence[Strip]) -> Html:
    """Draw the strips one below the other."""
    y = 0.0
    marks: list[Child] = []
    across = ticks(0.0, view.horizon, 7)
    for place, strip in enumerate(strips):
        last = place == len(strips) - 1
        plot = Plot(
            _LEFT, y + _HEADING, WIDTH - _LEFT - _RIGHT, strip.height, 0.0, view.horizon, strip.bottom, strip.top
        )
        up = ticks(strip.bottom, strip.top, 4 if strip.height > 70 else 2)
        marks.append(label(_LEFT, y + 10.0, strip.heading, "heading"))
        if strip.highest > strip.top * 1.001:
            marks.append(label(WIDTH - _RIGHT, y + 10.0, f"↑ up to {compact(strip.highest)}", "off end"))
        marks.append(plot.frame(below=last, x_ticks=across, y_ticks=up))
        marks.append(plot.inside(*strip.draw(plot)))
        y += _HEADING + strip.height + (0.0 if last else _GAP)
    marks.append(label(_LEFT - 8.0, y + 13.0, _SHORT.get(view.time_unit, view.time_unit), "tick end"))
    return drawing(anchor, title, description, y + _FOOT, *marks)


def window_band(view: View, window: Window, plot: Plot) -> list[Html]:
    """The window in the judged intervals: an area with dashed edges."""
    judged = set(view.scenario["judged"])
    drawn = []
    for start, stop, low, high in window.edges():
        if low is None and high is None:
            continue
        for a, b in _ranges(k for k in range(start, stop) if k in judged):
            left, right = plot.x(a * view.step), plot.x(b * view.step)
            top = plot.y(high) if high is not None else -2.0
            bottom = plot.y(low) if low is not None else plot.height + 2.0
            drawn.append(
                el("rect", x=num(left), y=num(top), width=num(right - left), height=num(bottom - top), class_="window")
            )
            edges = "".join(f"M{num(left)} {num(plot.y(v))}H{num(right)}" for v in (low, high) if v is not None)
            drawn.append(el("path", d=edges, class_="window-edge"))
    return drawn


def _ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for k in numbers:
        if found and found[-1][1] == k:
            found[-1] = (found[-1][0], k + 1)
        else:
            found.append((k, k + 1))
    return found


def shared_top(top: float, windows: Sequence[Window]) -> float:
    """Upper limit of an axis on which the windows are visible."""
    edges = [v for w in windows for v in (*w.low, *w.high) if v is not None]
    return 1.04 * max([top, *(1.15 * v for v in edges)])
