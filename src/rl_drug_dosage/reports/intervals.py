"""A forest plot: means with their intervals, one per row, on a common axis."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rl_drug_dosage.reports.markup import Child, Html, el
from rl_drug_dosage.reports.svg import WIDTH, drawing, label, num, ticks
from rl_drug_dosage.reports.words import clip, interval, points, share, tick

__all__ = ["Axis", "Row", "intervals_figure", "near_axis", "span"]

_SIDE = 10.0
_LINE, _HEAD, _TRACK = 36.0, 22.0, 12.0
_WIDE = WIDTH - 2.0 * _SIDE


@dataclass(frozen=True)
class Row:
    """One mean. ``kind`` determines the shape, the classes in ``style`` the colour."""

    name: str
    mean: float
    low: float
    high: float
    kind: str
    signed: bool = True
    style: str = ""

    @property
    def text(self) -> str:
        """Mean and interval, as text."""
        write = points if self.signed else share
        return f"{write(self.mean)} ({interval(self.low, self.high, signed=self.signed)})"


@dataclass(frozen=True)
class Axis:
    """The common axis.

    Args:
        low, high: limits.
        mark: position of the reference line: zero, or a mean to compare with.
        left, right: labels of the two sides.
    """

    low: float
    high: float
    mark: float
    left: str
    right: str

    def x(self, value: float) -> float:
        """Position of a value, in pixels of the figure."""
        return _SIDE + _WIDE * (value - self.low) / (self.high - self.low)


def _shape(x: float, y: float, kind: str) -> Html:
    """A dot, a diamond for an oracle, a square behind the shield, so that colour is not the only difference."""
    if kind == "oracle":
        d = f"M{num(x)} {num(y - 5.5)}l5.5 5.5-5.5 5.5-5.5-5.5Z"
    elif kind == "shielded":
        d = f"M{num(x - 4)} {num(y - 4)}h8v8h-8Z"
    else:
        return el("circle", cx=num(x), cy=num(y), r="4.2", class_="dot")
    return el("path", d=d, class_="dot")


def _arrow(axis: Axis, y: float, *, right: bool) -> Html:
    x, way = (axis.x(axis.high), -7) if right else (axis.x(axis.low), 7)
    return el("path", d=f"M{num(x)} {num(y)}l{way} -5v10Z", class_="dot")


def _whisker(row: Row, axis: Axis, y: float) -> list[Html]:
    """Interval and mean, with an arrowhead at the end of the axis if they extend beyond it."""
    low, high = max(row.low, axis.low), min(row.high, axis.high)
    drawn: list[Html] = []
    if low <= high:
        drawn.append(el("path", d=f"M{num(axis.x(low))} {num(y)}H{num(axis.x(high))}", class_="whisker"))
    if axis.low <= row.mean <= axis.high:
        drawn.append(_shape(axis.x(row.mean), y, row.kind))
    if row.low < axis.low:
        drawn.append(_arrow(axis, y, right=False))
    if row.high > axis.high:
        drawn.append(_arrow(axis, y, right=True))
    return drawn


def intervals_figure(
    anchor: str, title: str, groups: Sequence[tuple[str, Sequence[Row]]], axis: Axis, description: str = ""
) -> Html:
    """Draw groups of rows on a common axis."""
    marks: list[Child] = []
    at = ticks(axis.low, axis.high, 6)
    y = 0.0
    for heading, rows in groups:
        if heading:
            marks.append(label(_SIDE, y + 14.0, heading, "group"))
            y += _HEAD
        for row in rows:
            middle = y + 23.0
            top = num(middle - _TRACK / 2.0)
            lines = "".join(f"M{num(axis.x(v))} {top}v{num(_TRACK)}" for v in at)
            marks.append(
                el(
                    "g",
                    label(_SIDE, y + 12.0, clip(row.name, 30), "row-name"),
                    label(WIDTH - _SIDE, y + 12.0, row.text, "row-text end"),
                    el("rect", x=num(_SIDE), y=top, width=num(_WIDE), height=num(_TRACK), rx="2", class_="track"),
                    el("path", d=lines, class_="grid"),
                    el("path", d=f"M{num(axis.x(axis.mark))} {num(middle - 6)}v14", class_="zero"),
                    _whisker(row, axis, middle),
                    class_=row.style or f"k-{row.kind}",
                )
            )
            y += _LINE
    marks.extend(label(axis.x(v), y + 8.0, tick(v), "tick mid") for v in at)
    marks.append(label(_SIDE, y + 24.0, axis.left, "side"))
    marks.append(label(WIDTH - _SIDE, y + 24.0, axis.right, "side end"))
    said = "; ".join(
        f"{heading + ' ' if heading else ''}{row.name} {row.text}" for heading, rows in groups for row in rows
    )
    return drawing(anchor, title, f"{description}{said}", y + 30.0, *marks)


def span(values: Iterable[float], mark: float) -> tuple[float, float]:
    """Axis limits that include all values and ``mark``, with a margin on both sides."""
    known = [mark, *values]
    low, high = min(known), max(known)
    pad = 0.06 * (high - low) or 1.0
    return low - pad, high + pad


def near_axis(rows_of: Sequence[Sequence[Row]]) -> tuple[float, float]:
    """An axis for the third of the policies nearest to the reference, at least two; the others get arrowheads."""
    reach = sorted(
        (max((max(abs(r.low), abs(r.high)) for r in rows), default=0.0), i) for i, rows in enumerate(rows_of)
    )
    chosen = [i for _, i in reach[: max(2, math.ceil(len(reach) / 3))]]
    return span((v for i in chosen for r in rows_of[i] for v in (r.low, r.high)), 0.0)
