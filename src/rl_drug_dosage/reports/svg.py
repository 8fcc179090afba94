"""SVG figures: scales, ticks, lines, bands and steps, in pixels of the plot."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rl_drug_dosage.reports.markup import Child, Html, el
from rl_drug_dosage.reports.words import tick

__all__ = ["WIDTH", "Plot", "Values", "drawing", "label", "num", "robust_top", "ticks"]

WIDTH = 344.0
"""Width of every figure: that of a phone, so text has the same size there as on a desktop with several per row."""
_TOLERANCE = 0.2
"""Maximum error of a simplified line, in pixels."""

Values = Sequence[float | None]


def num(value: float) -> str:
    """A coordinate, to a tenth of a pixel."""
    text = f"{value:.1f}"
    return text.removesuffix(".0")


def ticks(low: float, high: float, most: int) -> list[float]:
    """About ``most`` round numbers at most, from ``low`` to ``high``."""
    span = high - low
    if not span > 0.0:
        return [low]
    rough = span / max(most, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1.0, 2.0, 2.5, 5.0, 10.0) if s * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def robust_top(tops: Iterable[float]) -> float:
    """Upper limit of a shared axis: the highest value that is at most twice the median.

    Otherwise one policy with random doses would compress the courses of all others.
    """
    known = sorted(t for t in tops if math.isfinite(t))
    middle = known[(len(known) - 1) // 2] if known else 0.0
    top = max((t for t in known if t <= 2.0 * middle), default=0.0)
    return top if top > 0.0 else max([*known, 0.0]) or 1.0


def drawing(anchor: str, title: str, description: str, height: float, *children: Child, width: float = WIDTH) -> Html:
    """A figure with a title and a description as text."""
    return el(
        "svg",
        el("title", title, id=f"{anchor}-t"),
        el("desc", description, id=f"{anchor}-d"),
        *children,
        role="img",
        viewBox=f"0 0 {num(width)} {num(height)}",
        aria_labelledby=f"{anchor}-t {anchor}-d",
    )


def label(x: float, y: float, text: Child, class_: str | None = None) -> Html:
    """Text. Classes ``end`` and ``mid`` align it."""
    return el("text", text, x=num(x), y=num(y), class_=class_)


def _simplified(xs: Sequence[float], ys: Sequence[float]) -> list[tuple[float, float]]:
    """Simplify a line to an error of at most `_TOLERANCE`, with the swinging-door algorithm.

    A segment from the last kept point is extended while one slope passes all points within the tolerance.
    """
    points = list(zip(xs, ys, strict=True))
    if len(points) < 3:
        return points
    kept = [points[0]]
    low, high = -math.inf, math.inf
    for before, point in pairwise(points):
        (x0, y0), (x, y) = kept[-1], point
        run = x - x0
        slope = (y - y0) / run if run > 0.0 else math.inf
        if not low <= slope <= high:
            kept.append(before)
            x0, y0 = before
            run = x - x0
            low, high = -math.inf, math.inf
        if run > 0.0:
            low = max(low, (y - _TOLERANCE - y0) / run)
            high = min(high, (y + _TOLERANCE - y0) / run)
    if kept[-1] != points[-1]:
        kept.append(points[-1])
    return kept


def _runs(*columns: Values) -> list[tuple[int, int]]:
    """Ranges in which every column has a number."""
    found, start = [], None
    length = len(columns[0])
    for i in range(length + 1):
        known = i < length and all(c[i] is not None for c in columns)
        if known and start is None:
            start = i
        elif not known and start is not None:
            found.append((start, i))
            start = None
    return found


@dataclass(frozen=True)
class Plot:
    """A rectangle with two scales.

    Args:
        left, top, width, height: the rectangle.
        x0, x1, y0, y1: values at its edges.
    """

    left: float
    top: float
    width: float
    height: float
    x0: float
    x1: float
    y0: float
    y1: float

    def x(self, value: float) -> float:
        """Pixels from the left edge of the plot."""
        return self.width * (value - self.x0) / ((self.x1 - self.x0) or 1.0)

    def y(self, value: float) -> float:
        """Pixels from the top. Values far outside are moved to just outside, which keeps the numbers short."""
        at = self.height * (1.0 - (value - self.y0) / ((self.y1 - self.y0) or 1.0))
        return min(max(at, -3.0 * self.height), 4.0 * self.height)

    def inside(self, *children: Child, class_: str | None = None) -> Html:
        """Clip a drawing to the rectangle."""
        return el(
            "svg",
            *children,
            x=num(self.left),
            y=num(self.top),
            width=num(self.width),
            height=num(self.height),
            class_=class_,
        )

    def _points(self, xs: Sequence[float], ys: Values, start: int, stop: int) -> list[tuple[float, float]]:
        return _simplified([self.x(v) for v in xs[start:stop]], [self.y(v) for v in ys[start:stop] if v is not None])

    def line(self, xs: Sequence[float], ys: Values, class_: str) -> Html | None:
        """A line, with gaps at missing values."""
        parts = [_path(self._points(xs, ys, a, b)) for a, b in _runs(ys)]
        return el("path", d="".join(parts), class_=class_) if parts else None

    def band(self, xs: Sequence[float], low: Values, high: Values, class_: str) -> Html | None:
        """The area between two lines."""
        parts = []
        for a, b in _runs(low, high):
            there, back = self._points(xs, low, a, b), self._points(xs, high, a, b)
            parts.append(f"{_path(there)}{_path(back[::-1], 'L')}Z")
        return el("path", d="".join(parts), class_=class_) if parts else None

    def steps(self, starts: Sequence[float], end: float, ys: Values, class_: str) -> Html | None:
        """A line of steps: a value holds from its start to the next one."""
        edges = [*starts, end]
        parts = [f"M{num(self.x(edges[a]))} {_stairs(self, edges, ys, a, b)}" for a, b in _runs(ys)]
        return el("path", d="".join(parts), class_=class_) if parts else None

    def step_band(self, starts: Sequence[float], end: float, low: Values, high: Values, class_: str) -> Html | None:
        """The area between two lines of steps."""
        edges = [*starts, end]
        parts = []
        for a, b in _runs(low, high):
            there = f"M{num(self.x(edges[a]))} {_stairs(self, edges, low, a, b)}"
            parts.append(f"{there}{_stairs_back(self, edges, high, a, b)}Z")
        return el("path", d="".join(parts), class_=class_) if parts else None

    def frame(self, *, below: bool, x_ticks: Sequence[float], y_ticks: Sequence[float], bare: bool = False) -> Html:
        """Grid, axes and their numbers; those of the horizontal axis only ``below`` the lowest plot."""
        across = "".join(f"M0 {num(self.y(v))}H{num(self.width)}" for v in y_ticks)
        down = "".join(f"M{num(self.x(v))} 0V{num(self.height)}" for v in x_ticks)
        bottom = self.top + self.height
        return Html(
            el(
                "g",
                el("path", d=across + down),
                class_="grid",
                transform=f"translate({num(self.left)} {num(self.top)})",
            )
            + el("path", d=f"M{num(self.left)} {num(bottom)}H{num(self.left + self.width)}", class_="axis")
            + "".join(
                label(self.left - 5, self.top + self.y(v) + 3.5, tick(v), "tick end") for v in y_ticks if not bare
            )
            + "".join(label(self.left + self.x(v), bottom + 13, tick(v), "tick mid") for v in x_ticks if below)
        )


def _path(points: Sequence[tuple[float, float]], first: str = "M") -> str:
    (x, y), *rest = points
    text = [f"{first}{num(x)} {num(y)}"]
    text.extend(f"L{num(x)} {num(y)}" for x, y in rest)
    return "".join(text)


def _stairs(plot: Plot, edges: Sequence[float], ys: Values, start: int, stop: int) -> str:
    """Steps from the first value to the last; equal values are one step."""
    heights = [num(plot.y(y or 0.0)) for y in ys[start:stop]]
    height = heights[0]
    text = [height]
    for i in range(start + 1, stop):
        if heights[i - start] != height:
            height = heights[i - start]
            text.append(f"H{num(plot.x(edges[i]))}V{height}")
    text.append(f"H{num(plot.x(edges[stop]))}")
    return "".join(text)


def _stairs_back(plot: Plot, edges: Sequence[float], ys: Values, start: int, stop: int) -> str:
    """Steps from the last value to the first."""
    heights = [num(plot.y(y or 0.0)) for y in ys[start:stop]]
    height = heights[-1]
    text = [f"V{height}"]
    for i in range(stop - 2, start - 1, -1):
        if heights[i - start] != height:
            height = heights[i - start]
            text.append(f"H{num(plot.x(edges[i + 1]))}V{height}")
    text.append(f"H{num(plot.x(edges[start]))}")
    return "".join(text)
