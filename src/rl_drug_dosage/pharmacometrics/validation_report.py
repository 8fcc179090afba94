"""A model validation as one HTML page that needs no network: the answer first, then tables, figures, subgroups."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rl_drug_dosage.pharmacometrics.validation_errors import ErrorRow, Interval
from rl_drug_dosage.reports.document import document, picture
from rl_drug_dosage.reports.markup import Cell, Html, definitions, el, join, paragraph, section, table
from rl_drug_dosage.reports.words import count, points, share

if TYPE_CHECKING:
    from rl_drug_dosage.pharmacometrics.validation import ModelValidation

__all__ = ["REPORT", "known_words", "report_html"]

REPORT = "report.html"

_STYLE = "\nfigure img { display: block; max-width: 100%; height: auto; background: #fff; border-radius: 6px; }\n"
_HEADINGS = {
    "log_density": "log density",
    "rbias_pct": "rBias (%)",
    "median_pe_pct": "median PE (%)",
    "rrmse_pct": "rRMSE (%)",
    "median_ape_pct": "median |PE| (%)",
    "p30_pct": "within 30 % (%)",
    "covered90_pct": "in 90 % PI (%)",
}
_MISSING = Interval(math.nan, math.nan, math.nan)


def known_words(row: ErrorRow) -> str:
    """What a row's predictions know: ``covariates``, ``2 levels``."""
    if row.about.kind == "a priori":
        return "covariates"
    if row.about.earlier is None:
        return "1 or more levels"
    return f"{row.about.earlier} level{'s' * (row.about.earlier != 1)}"


def report_html(result: "ModelValidation", plots: Mapping[str, bytes]) -> str:
    """The whole page.

    Args:
        result: what to report.
        plots: its figures, see `validation_plots.plot_files`.
    """
    errors, forecasts, *checks = plots.values()
    parts = [
        ("result", "Result", list(_answer(result))),
        ("errors", "Prediction errors", list(_errors(result, errors))),
    ]
    if result.weights:
        parts.append(("weights", "Weights", [_weights(result)]))
    parts += [
        ("forecasts", "Forecasts against levels", [_figure(forecasts, "Forecasts against levels")]),
        ("checks", "Predictive checks", list(_checks(result, checks))),
        ("subgroups", "Subgroups", list(_subgroups(result))),
        ("notes", "Notes and settings", list(_notes(result))),
    ]
    links = [el("li", el("a", name, href=f"#{anchor}")) for anchor, name, _ in parts]
    body = el(
        "body",
        el("a", "Skip to the result", href="#result", class_="skip"),
        el(
            "header",
            paragraph("Model validation", class_="kicker"),
            el("h1", result.title),
            paragraph("For research and education only; nothing here is meant to treat a patient.", class_="use"),
            class_="top",
        ),
        el("nav", el("ul", *links), aria_label="Contents"),
        el("main", *(section(anchor, name, *content) for anchor, name, content in parts if content), id="main"),
        el(
            "footer",
            paragraph("rl_drug_dosage. All numbers are in validation.csv and validation.json beside this file."),
        ),
    )
    return document(f"{result.title}: model validation", body, style=_STYLE)


def _figure(png: bytes, description: str) -> Html:
    return el("figure", picture(png, description))


def _answer(result: "ModelValidation") -> Iterator[Html]:
    levels = result.clinic.levels
    tiles = [("patients", count(len(result.clinic.names))), ("levels", count(levels.value.size))]
    if result.preference is not None:
        best = result.preference
        tiles.insert(0, ("preferred" if best.sure else "preferred, not surely", best.model))
        tiles.append(("log density above the second", points(best.difference.value)))
    yield definitions(((name, el("span", value, class_="big")) for name, value in tiles), class_="tiles")
    for sentence in result.sentences():
        yield paragraph(f"{sentence}.", class_="lead")
    if result.preference is None:
        yield paragraph("One model was given: there is nothing to prefer it to.", class_="lead")


def _errors(result: "ModelValidation", plot: bytes) -> Iterator[Html]:
    yield paragraph(
        "A priori: from covariates alone, for all levels. Then by the number of earlier levels that a forecast knows. "
        "PE is 100 (prediction - level) / level. Below each number is its 95 % interval, over bootstrap samples of "
        "patients.",
        class_="note",
    )
    yield _figure(plot, "Bias, imprecision and accuracy by number of earlier levels")
    for name, unit in result.outputs:
        rows = [row for row in result.rows if row.about.output == name and not row.about.by]
        yield _error_table(f"Errors, {name}" + ("" if unit == "1" else f" in {unit}"), rows)


def _error_table(caption: str, rows: Sequence[ErrorRow]) -> Html:
    body: list[tuple[list[Cell | str], str | None]] = []
    before = ""
    for row in rows:
        group = f"{row.about.group}, " if row.about.by else ""
        cells: list[Cell | str] = [Cell(row.model if row.model != before else "", head=True), group + known_words(row)]
        cells += [count(row.levels), *(_cell(row.measures.get(name, _MISSING), name) for name in _HEADINGS)]
        body.append((cells, None))
        before = row.model
    columns = ("model", "known", "levels", *_HEADINGS.values())
    return table(caption, columns, body, label=caption, class_="numbers")


def _cell(found: Interval, name: str) -> Cell | str:
    if math.isnan(found.value):
        return "–"
    write = (lambda value: f"{value:.2f}".replace("-", "−")) if name == "log_density" else share
    if math.isnan(found.low):
        return write(found.value)
    around = f"{write(found.low)} to {write(found.high)}"
    return Cell(join(el("span", write(found.value), class_="main"), el("span", around, class_="sub")))


def _weights(result: "ModelValidation") -> Html:
    rows: list[tuple[list[Cell | str], str | None]] = [
        (
            [
                Cell(w.model, head=True),
                f"{w.log_density:.1f}".replace("-", "−"),
                share(w.first_pct),
                f"{w.bayes:.3f}",
                _weight(w.stacking),
            ],
            None,
        )
        for w in result.weights
    ]
    columns = ("model", "log density", "best in % of resamples", "probability", "weight in the average")
    caption = "Which model, or which average, to believe"
    return table(caption, columns, rows, label=caption, class_="numbers")


def _weight(found: Interval) -> Cell | str:
    around = f"{found.low:.2f} to {found.high:.2f}"
    return Cell(join(el("span", f"{found.value:.2f}", class_="main"), el("span", around, class_="sub")))


def _checks(result: "ModelValidation", plots: Sequence[bytes]) -> Iterator[Html]:
    yield paragraph(
        "The clinic simulated with each model, prediction-corrected. Where the lines leave the bands, the model does "
        "not describe the patients.",
        class_="note",
    )
    for candidate, plot in zip(result.clinic.candidates, plots, strict=True):
        yield _figure(plot, f"Predictive check of {candidate.name}")


def _subgroups(result: "ModelValidation") -> Iterator[Html]:
    for by in dict.fromkeys(row.about.by for row in result.rows if row.about.by):
        for name, _ in result.outputs:
            rows = [row for row in result.rows if (row.about.by, row.about.output) == (by, name)]
            if rows:
                yield _error_table(f"By {by}" + (f", {name}" if len(result.outputs) > 1 else ""), rows)


def _notes(result: "ModelValidation") -> Iterator[Html]:
    if result.notes:
        yield el("ul", [el("li", note) for note in result.notes])
    options = result.options
    yield definitions(
        [
            ("data", result.clinic.file),
            *((c.name, f"{c.model.title}. {c.model.citation}") for c in result.clinic.candidates),
            ("simulations", count(options.replicates)),
            ("occasions", "as in OCC" if options.occasions else "one"),
            ("covariates between records", options.interpolation),
            ("seed", str(options.seed)),
        ],
        class_="pairs",
    )
