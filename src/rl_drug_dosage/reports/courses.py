"""Section with percentile bands of the cohort under every policy, and the doses below."""

from collections.abc import Mapping, Sequence
from typing import Any

from rl_drug_dosage.reports.markup import Child, Html, el, join, paragraph
from rl_drug_dosage.reports.pieces import figure, name_cell, panels
from rl_drug_dosage.reports.strips import Strip, panel, shared_top, window_band
from rl_drug_dosage.reports.svg import Plot, Values, robust_top
from rl_drug_dosage.reports.view import View, Window
from rl_drug_dosage.reports.words import and_, capital, compact, percent, unit_of
from rl_drug_dosage.utils.words import output_words, titled

__all__ = ["courses", "legend"]

_FILE = Mapping[str, Any]


def _top(columns: Sequence[Values]) -> float:
    return max((v for column in columns for v in column if v is not None), default=0.0)


def _bottom(bands: Sequence[Sequence[Values]]) -> float:
    """Lower limit of the vertical axis: 0, or less for negative values."""
    return min((v for columns in bands for column in columns for v in column if v is not None and v < 0), default=0.0)


def _bands(plot: Plot, time: Sequence[float], rows: Sequence[Values]) -> list[Child]:
    p5, p25, p50, p75, p95 = rows
    return [
        plot.band(time, p5, p95, "outer"),
        plot.band(time, p25, p75, "inner"),
        plot.line(time, p50, "median"),
    ]


def _step_bands(plot: Plot, starts: Sequence[float], end: float, rows: Sequence[Values]) -> list[Child]:
    p5, p25, p50, p75, p95 = rows
    return [
        plot.step_band(starts, end, p5, p95, "outer"),
        plot.step_band(starts, end, p25, p75, "inner"),
        plot.steps(starts, end, p50, "median"),
    ]


def _quoted(column: Sequence[Values], at: int, unit: str) -> str:
    """The five percentiles at one time, as text."""
    low, _, middle, _, high = (compact(row[at]) for row in column)
    return f"median {middle}{unit_of(unit)}, 5th to 95th percentile {low} to {high}"


def _swatch(*shapes: Child, class_: str | None = None) -> Html:
    return el("svg", *shapes, viewBox="0 0 28 14", class_=f"swatch {class_ or ''}".strip(), aria_hidden="true")


def _entry(text: str, *shapes: Child, class_: str | None = None) -> Html:
    return el("li", _swatch(*shapes, class_=class_), text)


def _rect(class_: str, y: int = 2, height: int = 10) -> Html:
    return el("rect", x="0", y=str(y), width="28", height=str(height), class_=class_)


def _line(class_: str, y: int = 7) -> Html:
    return el("path", d=f"M0 {y}H28", class_=class_)


def legend(*, window: bool, bands: bool = True, doses: bool = True) -> Html:
    """Legend of lines and areas."""
    entries = []
    if bands:
        entries.append(_entry("median", _line("median")))
        entries.append(_entry("25th to 75th percentile", _rect("inner", 3, 8)))
        entries.append(_entry("5th to 95th percentile", _rect("outer")))
    if window:
        entries.append(_entry("target window", _rect("window"), _line("window-edge", 2), _line("window-edge", 12)))
    if doses:
        entries.append(_entry("dose (lower panel)", _rect("outer", 5, 9), _line("median", 5)))
    return el("ul", *entries, class_="legend")


def _shown(view: View) -> list[str]:
    """Policies with at least one computed course."""
    return [n for n in view.names if view.record["courses"].get(n, {}).get("time")]


def _caption(view: View, name: str) -> Html:
    attained = view.row[name]["attainment_pct"]["mean"]
    return join(name_cell(view, name), el("span", f"{percent(attained)} in target", class_="aside"))


def _about_windows(on: Sequence[Window]) -> str:
    """A note on the windows drawn in the figure."""
    if not on:
        return "The target is defined on another quantity: see the next figure."
    return f"The target window for {and_([w.title for w in on])} is drawn in the judged intervals."


def courses(view: View) -> list[Html]:
    """HTML of this section of the report."""
    shown = _shown(view)
    missing = [n for n in view.names if n not in shown]
    on = [w for w in view.windows if view.on_output(w)]
    parts = [
        paragraph(
            f"{capital(view.output_title)} over time, doses, and the percentage of patients in target, on the same "
            f"axes for every policy. Failed patients are excluded. {_about_windows(on)}{view.of_the_first}"
        )
    ]
    if missing:
        parts.append(paragraph(f"No course can be shown for {and_(missing)}: every patient failed."))
    if not shown:
        return parts
    parts.append(legend(window=bool(on)))
    parts.append(panels(_outputs(view, shown, on)))
    for i, window in enumerate(view.windows):
        if not view.on_output(window):
            parts.append(el("h3", f"{capital(window.title)} in each interval"))
            parts.append(legend(window=True, doses=False))
            parts.append(panels(_metrics(view, shown, window, i)))
    return parts


def _outputs(view: View, shown: Sequence[str], on: Sequence[Window]) -> list[Html]:
    found: dict[str, _FILE] = {n: view.record["courses"][n] for n in shown}
    top = shared_top(robust_top(_top(found[n]["values"]) for n in shown), on)
    bottom = _bottom([found[n]["values"] for n in shown])
    dose_top = 1.08 * robust_top(_top(found[n]["dose"]) for n in shown)

    def drawn(name: str) -> Html:
        own = found[name]
        start, end = own["decision_time"], view.horizon

        def output(plot: Plot) -> list[Child]:
            return [*(window_band(view, w, plot) for w in on), *_bands(plot, own["time"], own["values"])]

        def dose(plot: Plot) -> list[Child]:
            return [*_step_bands(plot, start, end, own["dose"])]

        def inside(plot: Plot) -> list[Child]:
            zero = [0.0] * len(start)
            return [plot.step_band(start, end, zero, own["inside_pct"], "outer median")]

        strips = [
            Strip(view.output_title, 116.0, top, output, _top(own["values"]), bottom),
            Strip(titled("dose", view.dose_unit), 52.0, dose_top, dose, _top(own["dose"])),
            Strip("patients in target (%)", 36.0, 104.0, inside),
        ]
        unit = view.scenario["output"]["unit"]
        said = (
            f"At the end {_quoted(own['values'], -1, unit)}. First dose {_quoted(own['dose'], 0, view.dose_unit)}; "
            f"last dose {_quoted(own['dose'], -1, view.dose_unit)}. In target in the last interval: "
            f"{compact(own['inside_pct'][-1])} %."
        )
        title = f"{capital(output_words(view.scenario['output']['name']))} and doses, {name}"
        return figure(
            _caption(view, name),
            panel(view, f"course-{view.index(name)}", title, said, strips),
            policy=view.index(name),
            class_=view.style(name),
        )

    return [drawn(n) for n in shown]


def _metrics(view: View, shown: Sequence[str], window: Window, i: int) -> list[Html]:
    """A target on another quantity than the output, such as an AUC: its value in each interval, window and doses."""
    found: dict[str, _FILE] = {n: view.record["courses"][n] for n in shown}
    rows = {n: found[n]["metrics"][i] for n in shown}
    top = shared_top(robust_top(_top(rows[n]) for n in shown), [window])
    bottom = _bottom(list(rows.values()))
    heading = titled(window.title, window.unit)

    def drawn(name: str) -> Html:
        start = found[name]["decision_time"]

        def metric(plot: Plot) -> list[Child]:
            return [*window_band(view, window, plot), *_step_bands(plot, start, view.horizon, rows[name])]

        said = f"First interval: {_quoted(rows[name], 0, window.unit)}. Last: {_quoted(rows[name], -1, window.unit)}."
        return figure(
            _caption(view, name),
            panel(
                view,
                f"metric-{i}-{view.index(name)}",
                f"{capital(window.title)} in every interval, {name}",
                said,
                [Strip(heading, 130.0, top, metric, _top(rows[name]), bottom)],
            ),
            policy=view.index(name),
            class_=view.style(name),
        )

    return [drawn(n) for n in shown]
