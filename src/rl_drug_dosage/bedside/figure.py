"""The figure of a recommendation: levels, doses, the curve with its bands, and what other policies would lead to."""

import math
from datetime import UTC, timedelta

from rl_drug_dosage.bedside.history import Level
from rl_drug_dosage.bedside.recommendation import Curve, PolicyResult, Recommendation
from rl_drug_dosage.bedside.words import policy_name
from rl_drug_dosage.reports.markup import Child, Html, el
from rl_drug_dosage.reports.svg import Plot, drawing, label, num, ticks
from rl_drug_dosage.reports.words import tick
from rl_drug_dosage.utils.words import measured, output_words

__all__ = ["axis_words", "curve_figure", "legend", "levels_of", "time_marks"]

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BELOW = 720.0, 340.0, 46.0, 24.0, 8.0, 44.0
_DAY_H = 24.0
_MOST_HOURS = 96.0
"""Longest stretch whose axis counts hours."""
_SERIES = 8


def curve_figure(result: Recommendation, curve: Curve, *, anchor: str) -> Html:
    """One output over time: past levels and doses, now, and the curve of every policy.

    Args:
        result: the recommendation.
        curve: under the recommended regimen.
        anchor: prefix of ids, unique in the page.
    """
    output = curve.output
    own = output == result.curves[0].output
    others = [p for p in result.policies if own and p.curve is not None and p is not result.best]
    levels = levels_of(result, output)
    window = result.window if own else None
    top = max([float(curve.bands[4].max()), *(v.value for v in levels), *((e or 0.0) for e in window or ())])
    x0, x1 = float(curve.time_h[0]), float(curve.time_h[-1])
    plot = Plot(_LEFT, _TOP, _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BELOW, x0, x1, 0.0, 1.06 * top or 1.0)
    marks = time_marks(result, x0, x1)
    y_ticks = ticks(0.0, plot.y1, 5)
    frame = plot.frame(below=False, x_ticks=[at for at, _ in marks], y_ticks=y_ticks)
    bottom = plot.top + plot.height
    names = [label(plot.left + plot.x(at), bottom + 14, text, "tick mid") for at, text in marks]
    shapes = [*_window(plot, window), *_bands(plot, curve)]
    shapes += [_course(plot, p, i + 1, result.start_h) for i, p in enumerate(others)]
    shapes += [_line_at(plot, result.history.now_h, "zero"), _line_at(plot, result.start_h, "ghost")]
    shapes += [_dose(plot, d.time_h, given=d.given) for d in result.history.doses if x0 <= d.time_h <= x1]
    shapes += [_dot(plot, v.time_h, v.value, below=v.below_limit) for v in levels if x0 <= v.time_h <= x1]
    axis = axis_words(result, x1 - x0)
    return drawing(
        anchor,
        f"{output_words(output)} of {result.drug} over time",
        f"{measured(output, curve.unit)}: {len(levels)} levels, {len(result.history.doses)} doses, and the forecast "
        f"under {result.best.words or 'no dose'}",
        _HEIGHT,
        frame,
        *names,
        label(_LEFT, 12, measured(output, curve.unit), "heading"),
        label(_WIDTH - _RIGHT, bottom + 32, axis, "heading end"),
        plot.inside(*shapes),
        *_words_at(plot, result),
        width=_WIDTH,
    )


def levels_of(result: Recommendation, output: str) -> list[Level]:
    """The levels of an output; those that name none are of the first that is shown."""
    return [v for v in result.history.levels if (v.output or result.curves[0].output) == output]


def legend(result: Recommendation) -> Html:
    """What lines, areas and marks mean."""

    def entry(text: str, *shapes: Child, class_: str | None = None) -> Html:
        swatch = el("svg", *shapes, viewBox="0 0 28 14", class_=f"swatch {class_ or ''}".strip(), aria_hidden="true")
        return el("li", swatch, text)

    def line(class_: str) -> Html:
        return el("path", d="M0 7H28", class_=class_)

    def box(class_: str) -> Html:
        return el("rect", x="0", y="2", width="28", height="10", class_=class_)

    others = [p for p in result.policies if p.curve is not None and p is not result.best]
    entries = [
        entry(f"median under {policy_name(result.best.name)}", line("median"), class_="c0"),
        entry("50 % band", box("inner"), class_="c0"),
        entry("90 % band", box("outer"), class_="c0"),
        *(
            entry(f"median under {policy_name(p.name)}", line("median"), class_=f"c{(i + 1) % _SERIES}")
            for i, p in enumerate(others)
        ),
        entry(
            "measured level (hollow: below the limit)", el("circle", cx="14", cy="7", r="4", class_="dot"), class_="c5"
        ),
        entry("dose (hollow: missed)", el("path", d="M14 2L19 12H9Z", class_="changed")),
    ]
    if result.window is not None:
        entries.append(entry("target", box("window")))
    return el("ul", *entries, class_="legend")


def _window(plot: Plot, window: tuple[float | None, float | None] | None) -> list[Html]:
    if window is None:
        return []
    low, high = window
    y1 = plot.y(plot.y0 if low is None else low)
    y0 = plot.y(plot.y1 if high is None else high)
    return [el("rect", x="0", y=num(y0), width=num(plot.width), height=num(max(y1 - y0, 0.0)), class_="window")]


def _bands(plot: Plot, curve: Curve) -> list[Child]:
    times = curve.time_h.tolist()
    p5, p25, p50, p75, p95 = (row.tolist() for row in curve.bands)
    group = [
        plot.band(times, p5, p95, "outer"),
        plot.band(times, p25, p75, "inner"),
        plot.line(times, p50, "median"),
    ]
    return [el("g", *group, class_="c0")]


def _course(plot: Plot, policy: PolicyResult, place: int, from_h: float) -> Html:
    """The median ahead: what was is the same for all."""
    assert policy.curve is not None
    ahead = policy.curve.time_h >= from_h
    line = plot.line(policy.curve.time_h[ahead].tolist(), policy.curve.bands[2][ahead].tolist(), "median")
    return el("g", line, class_=f"c{place % _SERIES}")


def _line_at(plot: Plot, time_h: float, class_: str) -> Html:
    return el("path", d=f"M{num(plot.x(time_h))} 0V{num(plot.height)}", class_=class_)


def _dose(plot: Plot, time_h: float, *, given: bool) -> Html:
    x, y = plot.x(time_h), plot.height
    path = f"M{num(x)} {num(y - 10)}L{num(x + 5)} {num(y)}H{num(x - 5)}Z"
    return el("path", d=path, class_="changed" if given else "zero")


def _dot(plot: Plot, time_h: float, value: float, *, below: bool) -> Html:
    at = {"cx": num(plot.x(time_h)), "cy": num(plot.y(value)), "r": "4.5"}
    kind = "zero" if below else "dot"
    return el("circle", **at, class_=f"c5 {kind}", fill="none" if below else None)


def _words_at(plot: Plot, result: Recommendation) -> list[Html]:
    """Names of the two upright lines, on either side where they are close."""
    now, due = plot.left + plot.x(result.history.now_h), plot.left + plot.x(result.start_h)
    if abs(due - now) < 1.0:
        return [label(now - 4, plot.top - 2, "now, next dose", "side end")]
    return [label(now - 4, plot.top - 2, "now", "side end"), label(due + 4, plot.top - 2, "next dose", "side")]


def axis_words(result: Recommendation, span_h: float) -> str:
    """What the time axis counts."""
    if result.history.origin is not None:
        return "date" if span_h > _MOST_HOURS else "clock time"
    return "days" if span_h > _MOST_HOURS else "hours"


def time_marks(result: Recommendation, x0: float, x1: float) -> list[tuple[float, str]]:
    """Ticks of the time axis, in h, with their texts."""
    origin, span = result.history.origin, x1 - x0
    if origin is None:
        unit = _DAY_H if span > _MOST_HOURS else 1.0
        return [(at * unit, tick(at)) for at in ticks(x0 / unit, x1 / unit, 8)]
    start = origin.astimezone(UTC) + timedelta(hours=x0)
    midnight = start.astimezone(origin.tzinfo).replace(hour=0, minute=0, second=0, microsecond=0)
    step = next(s for s in (3, 6, 12, 24, 48, 168, 672, 10**6) if span / s <= 9)
    found = []
    for i in range(math.ceil((span + _DAY_H) / step) + 1):
        # Wall-clock arithmetic: the next mark is at the same hour of the day, whatever the clock did in between.
        moment = midnight + timedelta(hours=i * step)
        hours = (moment.astimezone(UTC) - origin.astimezone(UTC)).total_seconds() / 3600.0
        if x0 <= hours <= x1:
            found.append((hours, f"{moment:%d %b}" if moment.hour == 0 else f"{moment:%H:%M}"))
    return found
