"""Figures of a model validation: errors by number of earlier levels, forecasts against levels, predictive checks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rl_drug_dosage.pharmacometrics.log_axes import make_logarithmic
from rl_drug_dosage.pharmacometrics.validation_average import EQUAL
from rl_drug_dosage.pharmacometrics.validation_data import Clinic
from rl_drug_dosage.pharmacometrics.validation_errors import ErrorRow
from rl_drug_dosage.pharmacometrics.validation_vpc import PERCENTILES, Vpc
from rl_drug_dosage.utils.result import figure_of_size, png_bytes

if TYPE_CHECKING:
    from rl_drug_dosage.pharmacometrics.validation import ModelValidation

__all__ = ["draw_check", "draw_errors", "draw_forecasts", "plot_files", "plot_names"]

ERRORS_PLOT, FORECASTS_PLOT, VPC_PLOT = "errors.png", "forecasts.png", "vpc_{}.png"

_SHOWN = (
    ("rbias_pct", "bias rBias (%)"),
    ("rrmse_pct", "imprecision rRMSE (%)"),
    ("p30_pct", "levels within 30 % (%)"),
)
_COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown", "tab:pink", "tab:olive")
_MARKERS = "osDv^<>P"
_MOST_EARLIER = 5
"""Numbers of earlier levels that are drawn apart."""
_FEWEST = 5
"""Levels below which a point is not drawn: its interval would be wider than the figure."""
_DECADES = 20.0
"""Levels that span more than this factor are drawn on log axes."""
_ENTRY_IN = 2.4
"""Width of an entry of the legend, inches."""


def plot_names(clinic: Clinic) -> list[str]:
    """Names of the figures."""
    return [ERRORS_PLOT, FORECASTS_PLOT, *(VPC_PLOT.format(_file(c.name)) for c in clinic.candidates)]


def _file(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)


def plot_files(result: "ModelValidation") -> dict[str, bytes]:
    """Every figure by its name, as PNG."""
    figures = [draw_errors(result), draw_forecasts(result)]
    figures += [draw_check(result, candidate.name) for candidate in result.clinic.candidates]
    names = plot_names(result.clinic)
    return {name: png_bytes(figure, dpi=120) for name, figure in zip(names, figures, strict=True)}


def draw_errors(result: "ModelValidation") -> Any:
    """A row of panels per output: bias, imprecision and accuracy, by model and number of earlier levels."""
    outputs = result.outputs
    figure = figure_of_size(11.5, 3.6 * len(outputs) + 0.6)
    panels = figure.subplots(len(outputs), len(_SHOWN), squeeze=False)
    names = [each.name for each in (*result.forecasts, *result.averages) if each.name != EQUAL]
    for row, (output, _) in zip(panels, outputs, strict=True):
        places = _places([r for r in result.rows if r.about.output == output and not r.about.by], names)
        for axes, (measure, title) in zip(row, _SHOWN, strict=True):
            _errors_panel(axes, places, names, measure)
            axes.set_title(title if len(outputs) == 1 else f"{output}: {title}", fontsize=10)
    about = "by what the prediction knows, with 95 % intervals over patients"
    figure.suptitle(f"{_plain(result.title, 140)}\n{about}", fontsize=10)
    _legend(figure, panels)
    return figure


def _places(rows: Sequence[ErrorRow], names: Sequence[str]) -> list[tuple[str, dict[str, ErrorRow]]]:
    """Label on the axis, and the rows of every model there."""

    def of(kind: str, earlier: int | None) -> dict[str, ErrorRow]:
        return {r.model: r for r in rows if (r.about.kind, r.about.earlier) == (kind, earlier) and r.model in names}

    counts = sorted({r.about.earlier for r in rows if r.about.earlier})
    found = [("none\n(a priori)", of("a priori", None))]
    found += [(f"{n}", of("forecast", n)) for n in counts[:_MOST_EARLIER]]
    if len(counts) > 1:
        found.append(("1 or\nmore", of("forecast", None)))
    return [(label, own) for label, own in found if own]


def _errors_panel(axes: Any, places: list[tuple[str, dict[str, ErrorRow]]], names: Sequence[str], measure: str) -> None:
    width = 0.7 / len(names)
    for m, name in enumerate(names):
        points = [
            (at + (m - (len(names) - 1) / 2) * width, own[name].measures[measure])
            for at, (_, own) in enumerate(places)
            if name in own and own[name].compared >= _FEWEST
        ]
        if not points:
            continue
        x = np.array([point for point, _ in points])
        y, low, high = (np.array([getattr(i, end) for _, i in points]) for end in ("value", "low", "high"))
        bars = np.nan_to_num([y - low, high - y])
        axes.errorbar(
            x, y, yerr=np.maximum(bars, 0.0), fmt=_MARKERS[m % len(_MARKERS)], ms=4.5, lw=1.3, capsize=2,
            color=_colour(m, name, names), label=_plain(name),
        )  # fmt: skip
    if measure == "rbias_pct":
        axes.axhline(0.0, color="0.4", lw=0.8, zorder=0)
    else:
        axes.set_ylim(bottom=0.0)
    if measure == "p30_pct":
        axes.set_ylim(0.0, 104.0)
    axes.set_xticks(range(len(places)), [label for label, _ in places], fontsize=8)
    axes.set_xlabel("earlier levels of the patient", fontsize=9)
    axes.set_xlim(-0.6, len(places) - 0.4)
    axes.tick_params(axis="y", labelsize=8)
    axes.grid(axis="y", color="0.92")
    axes.set_axisbelow(True)


def _colour(m: int, name: str, names: Sequence[str]) -> str:
    return "0.35" if name.startswith("average") and m == len(names) - 1 else _COLOURS[m % len(_COLOURS)]


def draw_forecasts(result: "ModelValidation") -> Any:
    """Levels against a-priori predictions and against forecasts: a row per model and output, on equal axes."""
    table, several = result.clinic.levels, len(result.outputs) > 1
    cases = [(each, output) for output in range(len(result.outputs)) for each in result.forecasts]
    figure = figure_of_size(7.6, 3.5 * len(cases) + 0.6)
    panels = figure.subplots(len(cases), 2, squeeze=False)
    for row, (each, output) in zip(panels, cases, strict=True):
        name, unit = result.outputs[output]
        own = table.output == output
        measured = f"measured {name}" if unit == "1" else f"measured {name} ({unit})"
        for axes, predicted, some, kind in (
            (row[0], each.apriori, own, "a-priori prediction"),
            (row[1], each.forecast, own & (table.earlier > 0), "forecast from earlier levels"),
        ):
            _identity(axes, np.concatenate([predicted[some], table.value[some]]))
            for side, marker, label in ((0, "o", "level"), (-1, "v", "below the limit"), (1, "^", "above the limit")):
                shown = some & (table.side == side)
                if shown.any():
                    fill = {"mfc": "none"} if side else {}
                    axes.plot(
                        predicted[shown], table.value[shown], marker, color="tab:blue", ms=4, alpha=0.65, label=label,
                        **fill,
                    )  # fmt: skip
            axes.set_xlabel(kind if unit == "1" else f"{kind} ({unit})", fontsize=9)
            axes.set_ylabel(measured, fontsize=9)
            axes.set_title(_plain(f"{each.name}, {name}" if several else each.name), fontsize=9)
            axes.tick_params(labelsize=8)
    figure.suptitle(_plain(result.clinic.file), fontsize=10)
    _legend(figure, panels)
    return figure


def _identity(axes: Any, values: np.ndarray) -> None:
    """Equal axes, the line on which prediction and level agree, and 30 % of the level around it."""
    positive = values[np.isfinite(values) & (values > 0)]
    low, high = (float(positive.min()), float(positive.max())) if positive.size else (0.1, 1.0)
    logarithmic = high / low > _DECADES
    ends = np.array([low / 1.3, high * 1.3] if logarithmic else [0.0, 1.05 * high])
    axes.set_xlim(*ends)
    axes.set_ylim(*ends)
    if logarithmic:
        make_logarithmic(axes)
    axes.set_aspect("equal")
    line = np.linspace(ends[0], ends[1], 50)
    axes.fill_betweenx(line, 0.7 * line, 1.3 * line, color="0.9", lw=0, label="within 30 % of the level")
    axes.plot(ends, ends, color="0.4", lw=1, label="identity")


def draw_check(result: "ModelValidation", model: str) -> Any:
    """The prediction-corrected check of one model: a panel per output, and one of the share below quantification."""
    checks = [check for check in result.checks if check.model == model]
    censored = [any(one.below_pct > 0 for one in check.bins) for check in checks]
    heights = [ratio for below in censored for ratio in ((3.0, 1.1) if below else (3.0,))] or [3.0]
    figure = figure_of_size(7.0, 1.25 * sum(heights) + 1.0)
    panels = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    place = iter(panels)
    for check, below in zip(checks, censored, strict=True):
        name, unit = result.outputs[check.output]
        upper = next(place)
        _check_panel(upper, check)
        upper.set_ylabel(f"{name}, prediction-corrected" + ("" if unit == "1" else f"\n({unit})"), fontsize=9)
        last = upper
        if below:
            last = next(place)
            last.sharex(upper)
            _below_panel(last, check)
            upper.tick_params(labelbottom=False)
        last.set_xlabel("time since the last dose (h)" if check.clock == "after-dose" else "time (h)", fontsize=9)
    if not checks:
        panels[0].set_axis_off()
        panels[0].text(0.5, 0.5, "no level that can be simulated", ha="center")
    count = result.options.replicates
    figure.suptitle(_plain(f"{model}: {result.clinic.file} and {count:,} simulations of it"), fontsize=10)
    _legend(figure, panels)
    return figure


def _check_panel(axes: Any, check: Vpc) -> None:
    middle = np.array([one.middle_h for one in check.bins])
    measured = np.stack([one.measured for one in check.bins], axis=1)
    simulated = np.stack([one.simulated for one in check.bins], axis=1)
    edges = np.array([check.bins[0].low_h, *(one.high_h for one in check.bins)])
    for p, percentile in enumerate(PERCENTILES):
        colour = "tab:red" if percentile == 50.0 else "tab:blue"
        low, _, high = simulated[p].T
        label = (
            "90 % band of the simulated median"
            if percentile == 50.0
            else "90 % band of the simulated 10th and 90th percentile"
        )
        axes.fill_between(middle, low, high, color=colour, alpha=0.22, lw=0, label=label)
        if len(middle) == 1:
            axes.errorbar(middle, simulated[p][:, 1], yerr=np.abs(simulated[p][:, ::2] - simulated[p][:, 1:2]).T,
                          color=colour, capsize=4)  # fmt: skip
        style = "-" if percentile == 50.0 else "--"
        axes.plot(middle, measured[p], style, color="black", lw=1.4, marker=".", ms=5,
                  label="measured median" if percentile == 50.0 else "measured 10th and 90th percentile")  # fmt: skip
    axes.plot(check.hours, check.corrected, "o", color="0.45", ms=2.5, alpha=0.5, label="level", zorder=1)
    top = np.nanmax([np.nanmax(simulated[..., 2]), np.nanmax(measured)])
    _axis_of_levels(axes, check, top)
    axes.plot(edges, np.zeros(edges.size), "|", color="black", ms=7, transform=axes.get_xaxis_transform(),
              clip_on=False, label="bins")  # fmt: skip
    axes.tick_params(labelsize=8)


def _axis_of_levels(axes: Any, check: Vpc, top: float) -> None:
    """Linear up to a little above the bands, or logarithmic; levels beyond the axis are counted on it."""
    values = check.corrected[check.corrected > 0]
    low, high = np.percentile(values, [2.0, 98.0]) if values.size else (0.0, 1.0)
    if low > 0 and high / low > _DECADES:
        axes.set_yscale("log")
        return
    limit = 1.6 * top
    axes.set_ylim(0.0, limit)
    beyond = int(np.sum(check.corrected > limit))
    if beyond:
        axes.text(0.99, 0.985, f"{beyond} level{'s' if beyond > 1 else ''} above", fontsize=7, color="0.3",
                  ha="right", va="top", transform=axes.transAxes)  # fmt: skip


def _below_panel(axes: Any, check: Vpc) -> None:
    middle = np.array([one.middle_h for one in check.bins])
    low, _, high = np.stack([one.below_simulated_pct for one in check.bins]).T
    axes.fill_between(middle, low, high, color="tab:green", alpha=0.22, lw=0, label="90 % band of the simulated share")
    axes.plot(middle, [one.below_pct for one in check.bins], "k-", marker=".", ms=5, lw=1.2)
    axes.set_ylim(bottom=0.0)
    axes.set_ylabel("below\nlimit (%)", fontsize=9)
    axes.tick_params(labelsize=8)


def _legend(figure: Any, panels: Any) -> None:
    """One for all panels, below them."""
    pairs = (pair for axes in np.ravel(panels) for pair in zip(*axes.get_legend_handles_labels(), strict=True))
    by_label = {label: handle for handle, label in pairs}
    columns = max(int(figure.get_figwidth() / _ENTRY_IN), 1)
    figure.legend(by_label.values(), by_label.keys(), loc="outside lower center", ncols=columns, fontsize=8)


def _plain(text: str, longest: int = 100) -> str:
    """Text in which no dollar sign starts a formula, and which fits above a figure."""
    short = text if len(text) <= longest else f"{text[: longest - 3]}..."
    return short.replace("\\", "/").replace("$", r"\$")
