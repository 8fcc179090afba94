"""The figures of a comparison: learning curves with bands over seeds, and final results with intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

from rl_drug_dosage.reports.intervals import Axis, Row, intervals_figure, span
from rl_drug_dosage.reports.markup import Html, el, paragraph
from rl_drug_dosage.reports.pieces import figure
from rl_drug_dosage.reports.svg import WIDTH, Plot, drawing, label, ticks
from rl_drug_dosage.reports.words import capital, fixed
from rl_drug_dosage.training.compare.runs import METRICS
from rl_drug_dosage.training.compare.shown import Shown

__all__ = ["curve_figures", "final_figures"]

_LEFT, _TOP, _HEIGHT, _BELOW, _RIGHT = 52.0, 8.0, 200.0, 34.0, 10.0
_WIDE_BANDS = 4
"""Up to so many runs the lowest and the highest seed are drawn too."""
_ROOM = 1.03
_OUTLIERS = 0.02
"""Share of a figure's points at each end that may lie outside, so that one bad start does not flatten all curves."""


def curve_figures(shown: Shown, task: str, runs: Sequence[Mapping[str, Any]]) -> list[Html]:
    """Two figures for each metric: median and bands, interquartile mean and interval; of single seeds one."""
    found = []
    for metric, words in METRICS.items():
        own = [run for run in runs if metric in run["curves"]]
        if not own:
            continue
        several = any(run["seeds"] > 1 for run in own)
        anchor = f"{shown.tasks.index(task)}-{metric.replace('/', '-')}"
        outer = ("lowest", "highest") if len(own) <= _WIDE_BANDS else None
        title = f"{capital(words)}, median" if several else capital(words)
        found.append(_curves(shown, f"m{anchor}", title, own, metric, "median",
                             [b for b in (outer, ("q25", "q75")) if b]))  # fmt: skip
        if not several:
            continue
        found.append(_curves(shown, f"i{anchor}", f"{capital(words)}, interquartile mean", own, metric, "iqm",
                             [("iqm_low", "iqm_high")]))  # fmt: skip
    if not found:
        return [paragraph("No run has logged a return.")]
    return [el("div", *found, class_="panels curves")]


def _curves(
    shown: Shown,
    anchor: str,
    title: str,
    runs: Sequence[Mapping[str, Any]],
    metric: str,
    line: str,
    bands: Sequence[tuple[str, str]],
) -> Html:
    curves = {run["name"]: run["curves"][metric] for run in runs}
    last = max(curve["step"][-1] for curve in curves.values())
    low, high = _limits([v for c in curves.values() for n in (line, *bands[-1]) for v in c[n] or ()])
    # Room at the right: what stands at the last step is drawn whole.
    plot = Plot(_LEFT, _TOP, WIDTH - _LEFT - _RIGHT, _HEIGHT, 0.0, _ROOM * last, low, high)
    marks = [_one(plot, shown.style(name), curve, line, bands) for name, curve in curves.items()]
    said = "; ".join(f"{name} ends at {fixed(curve[line][-1])}" for name, curve in curves.items())
    return figure(
        title,
        drawing(
            anchor,
            title,
            f"Over {last:,.0f} environment steps: {said}",
            _TOP + _HEIGHT + _BELOW,
            plot.frame(below=True, x_ticks=ticks(0.0, last, 4), y_ticks=ticks(low, high, 5)),
            plot.inside(*marks),
            label(WIDTH - _RIGHT, _TOP + _HEIGHT + 28.0, "environment steps", "side end"),
        ),
    )


def _one(plot: Plot, style: str, curve: Mapping[str, Any], line: str, bands: Sequence[tuple[str, str]]) -> Html:
    drawn: list[Html | None] = []
    for i, (low, high) in enumerate(bands):
        if curve[low] is not None and curve[low] != curve[high]:
            drawn.append(plot.band(curve["step"], curve[low], curve[high], "outer" if i == 0 else "inner"))
    if len(curve["step"]) == 1:  # a line of one point is invisible
        x, y = plot.x(curve["step"][0]), plot.y(curve[line][0])
        drawn.append(el("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r="4", class_="dot"))
    else:
        drawn.append(plot.line(curve["step"], curve[line], "median"))
    return el("g", *drawn, class_=style)


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Ends of the vertical axis."""
    known = sorted(values)
    cut = int(_OUTLIERS * len(known))
    low, high = known[cut], known[-1 - cut]
    pad = 0.05 * (high - low) or 1.0
    return low - pad, high + pad


def final_figures(shown: Shown, task: str, runs: Sequence[Mapping[str, Any]]) -> list[Html]:
    """The interquartile means of the last returns with their intervals; none where no run has several seeds."""
    metric = "eval/mean_reward"
    own = shown.by_final([r for r in runs if metric in r["final"] and r["seeds"] > 1])
    if len(own) < 2:
        return []
    rows = []
    for run in own:
        final, style = run["final"][metric], shown.style(run["name"])
        rows.append(
            Row(run["name"], final["iqm"], final["iqm_low"], final["iqm_high"], "contestant", signed=False, style=style)
        )
    best = rows[0].mean
    axis = Axis(*span((v for r in rows for v in (r.low, r.high)), best), best, "← lower return", "higher return →")
    title = f"Last return in evaluation on {task}: interquartile mean over seeds with 95\u00a0% interval"
    drawn = intervals_figure(f"final-{shown.tasks.index(task)}", title, [("", rows)], axis)
    return [el("div", figure(title, drawn), class_="panels")]
