"""A recommendation as one HTML page that needs neither network nor script."""

import base64
from collections.abc import Sequence

from rl_drug_dosage.bedside.figure import curve_figure, legend
from rl_drug_dosage.bedside.plots import curve_png
from rl_drug_dosage.bedside.recommendation import INTENDED_USE, PolicyResult, Recommendation, option_words
from rl_drug_dosage.bedside.regimens import Row
from rl_drug_dosage.bedside.rivals import LABEL
from rl_drug_dosage.bedside.words import percent, policy_name
from rl_drug_dosage.reports.document import document
from rl_drug_dosage.reports.markup import Cell, Html, definitions, el, join, paragraph, scroller, section, table
from rl_drug_dosage.reports.words import capital
from rl_drug_dosage.utils.words import lasting, output_words, unit_words, with_unit

__all__ = ["fragment", "sheet_html"]

type _Cells = tuple[Sequence[Cell | str], str | None]

_STYLE = """
.warn { margin: 0 0 1.25rem; padding: 0.6rem 1rem 0.6rem 1.6rem; border-left: 3px solid var(--accent);
  background: var(--sunken); }
.plain { padding-left: 1.2rem; }
.course svg { min-width: 36rem; }
.regimens td:nth-child(2) { min-width: 8rem; }
@page { size: A4 portrait; }
"""


def sheet_html(result: Recommendation) -> str:
    """The page."""
    header = el(
        "header",
        paragraph("Dose recommendation for one patient", class_="kicker"),
        el("h1", capital(result.title)),
        paragraph(INTENDED_USE, class_="use"),
        class_="top",
    )
    body = el(
        "body",
        el("a", "Skip to the dose", href="#dose", class_="skip"),
        header,
        el("main", *_sections(result), id="main"),
        el("footer", paragraph(f"rl_drug_dosage. {INTENDED_USE}")),
    )
    return document(capital(result.title), body, style=_STYLE)


def fragment(result: Recommendation) -> str:
    """For a notebook: what matters, without the frame of a page."""
    return el(
        "div",
        el("p", el("strong", result.title)),
        el("p", INTENDED_USE),
        _warnings(result),
        _tiles(result),
        _picture(result),
        _policies(result),
    )


def _picture(result: Recommendation) -> Html:
    """The figure as an image: a notebook has not the style of a page."""
    words = f"{output_words(result.curves[0].output)} over time under {result.best.words or 'no dose'}"
    data = base64.b64encode(curve_png(result)).decode()
    return el("img", src=f"data:image/png;base64,{data}", alt=words, style="max-width: 100%")


def _sections(result: Recommendation) -> list[Html]:
    figures = [
        el(
            "figure",
            el("figcaption", capital(curve.output)),
            scroller(f"Figure: {curve.output}", curve_figure(result, curve, anchor=f"curve{i}")),
            class_="course",
        )
        for i, curve in enumerate(result.curves)
    ]
    return [
        section("dose", "Dose", _warnings(result), _tiles(result), _policies(result)),
        section("curve", "Levels", legend(result), *figures),
        section("why", "Why", _listed(result.reasons), _next_level(result)),
        section("others", "Alternatives", _alternatives(result)),
        section("models", "Models and estimate", _models(result), _parameters(result)),
        section(
            "history", "What was told", _doses(result), _levels(result), _covariates(result), _listed(result.notes)
        ),
    ]


def _listed(texts: tuple[str, ...]) -> Html | None:
    return el("ul", *(el("li", capital(text)) for text in texts), class_="plain") if texts else None


def _warnings(result: Recommendation) -> Html | None:
    if not result.warnings:
        return None
    return el("ul", *(el("li", capital(text)) for text in result.warnings), class_="warn", role="alert")


def _says(result: Recommendation) -> str:
    """Whose dose stands there: where the levels contradict every model, it is no recommendation."""
    name = result.best.name
    if result.contradicted and result.best.row is not None:
        whose = "the label's rule" if name == LABEL else policy_name(name)
        return f"Nothing is recommended; {whose} gives"
    return f"{policy_name(name)} recommends"


def _tiles(result: Recommendation) -> Html:
    best = result.best
    row = best.row
    pairs: list[tuple[str, Html | str]] = [
        (_says(result), el("span", best.words or "nothing", class_="big")),
        ("next dose", el("span", result.when(result.start_h).removeprefix("at "), class_="big")),
    ]
    if row is not None:
        pairs.append(("probability of the target", el("span", percent(row.target), class_="big")))
        pairs += [(name, el("span", percent(p), class_="big")) for name, p in zip(result.harms, row.harms, strict=True)]
    return join(
        el("dl", *(el("div", el("dt", term), el("dd", value)) for term, value in pairs), class_="tiles"),
        paragraph(
            f"Target: {'; '.join(result.targets)}. It counts in the interval that ends about "
            f"{lasting(result.horizon_h)} after the next dose. Probabilities are those of the patient's true value, "
            "without the error of an assay."
        ),
    )


def _chances(result: Recommendation, row: Row) -> list[str]:
    low, _, middle, _, high = row.percentiles
    return [percent(row.target), *(percent(p) for p in row.harms), f"{middle:.4g}", f"{low:.4g} to {high:.4g}"]


def _columns(result: Recommendation, first: str) -> list[str]:
    unit = "" if result.unit == "1" else f", {result.unit}"
    return [first, "target", *result.harms, f"median {result.quantity}{unit}", "90 % interval"]


def _policies(result: Recommendation) -> Html:
    blank = [""] * (len(result.harms) + 3)
    rows: list[_Cells] = []
    for policy in result.policies:
        said = policy.words or f"abstains: {policy.abstains}"
        name = Cell(join(policy_name(policy.name), *_notes(policy)), head=True)
        rows.append(([name, said, *(_chances(result, policy.row) if policy.row is not None else blank)], None))
    columns = ["policy", *_columns(result, "dose")]
    return table(
        "The policies side by side, judged by the same forecast", columns, rows, label="policies", class_="regimens"
    )


def _notes(policy: PolicyResult) -> list[Html]:
    return [el("span", capital(note), class_="sub small") for note in policy.notes]


def _alternatives(result: Recommendation) -> Html:
    rows: list[_Cells] = [
        ([Cell(option_words(row.option), head=True), *_chances(result, row)], None) for row in result.rows
    ]
    return table(
        "Regimens of the label, best first", _columns(result, "regimen"), rows, label="alternatives", class_="numbers"
    )


def _next_level(result: Recommendation) -> Html | None:
    if result.sampling is None:
        return None
    share = percent(result.sampling.reduction)
    return paragraph(
        f"The next level would tell most {result.when(result.sampling.time_h)}: it is expected to take away {share} of "
        f"the variance of {result.sampling.quantity}."
    )


def _models(result: Recommendation) -> Html:
    rows: list[_Cells] = [
        ([Cell(name, head=True), percent(weight), f"{result.effective[name]:.0f}"], None)
        for name, weight in result.weights.items()
    ]
    return table(
        "How well each published model predicted the levels",
        ["model", "weight", "effective draws"],
        rows,
        label="models",
        class_="numbers",
    )


def _parameters(result: Recommendation) -> Html:
    rows: list[_Cells] = [
        (
            [
                Cell(with_unit(p.name, p.unit), head=True),
                f"{p.value:.3g}",
                f"{p.typical:.3g}",
                f"{p.sds:+.1f}",
            ],
            None,
        )
        for p in result.parameters
    ]
    return table(
        "The estimate of the most probable model",
        ["parameter", "patient", "typical, same covariates", "standard deviations"],
        rows,
        label="estimate",
        class_="numbers",
    )


def _doses(result: Recommendation) -> Html | None:
    rows: list[_Cells] = [
        (
            [
                Cell(result.when(d.time_h).removeprefix("at "), head=True),
                f"{d.amount:g} mg",
                f"{d.duration_h:g} h" if d.duration_h else "",
                d.route or "",
                "given" if d.given else "missed",
            ],
            None,
        )
        for d in result.history.doses
    ]
    return table("Doses", ["time", "amount", "infused over", "route", ""], rows, label="doses") if rows else None


def _levels(result: Recommendation) -> Html | None:
    units = {c.output: c.unit for c in result.curves}
    first = result.curves[0].output
    rows: list[_Cells] = []
    for v in result.history.levels:
        name = v.output or first
        value = f"{'< ' if v.below_limit else ''}{v.value:g} {unit_words(units.get(name, ''))}".strip()
        rows.append(([Cell(result.when(v.time_h).removeprefix("at "), head=True), output_words(name), value], None))
    return table("Levels", ["time", "output", "value"], rows, label="levels") if rows else None


def _covariates(result: Recommendation) -> Html | None:
    pairs = [
        (f"{c.name}, {result.when(c.time_h).removeprefix('at ')}", f"{c.value:g}") for c in result.history.covariates
    ]
    return definitions(pairs, class_="facts") if pairs else None
