"""A benchmark as one self-contained HTML file: text, tables and SVG figures.

The file works offline, without JavaScript, on a phone, in dark mode and in print. Its content security policy allows
only the style sheet and the script inside the file, and no network request.
"""

from collections.abc import Callable, Mapping
from typing import Any

from rl_drug_dosage.reports.burden import burden, has_burden
from rl_drug_dosage.reports.cards import cards, timing
from rl_drug_dosage.reports.courses import courses
from rl_drug_dosage.reports.document import asset, document
from rl_drug_dosage.reports.forest import comparison, stress, subgroups
from rl_drug_dosage.reports.markup import Html, el, join, paragraph, section, void
from rl_drug_dosage.reports.mismatch import mismatch
from rl_drug_dosage.reports.published import published
from rl_drug_dosage.reports.ranking import ranking
from rl_drug_dosage.reports.result import result
from rl_drug_dosage.reports.task import task
from rl_drug_dosage.reports.view import View
from rl_drug_dosage.reports.words import capital
from rl_drug_dosage.reports.worst import worst

__all__ = ["report_html"]

_Section = tuple[str, str, Callable[[View], list[Html]]]
_SECTIONS: tuple[_Section, ...] = (
    ("task", "Task and settings", task),
    ("ranking", "Ranking", ranking),
    ("burden", "Changes of dose", burden),
    ("published", "Beside a published trial", published),
    ("courses", "Courses", courses),
    ("pairs", "Paired differences", comparison),
    ("subgroups", "Subgroups", subgroups),
    ("mismatch", "Model mismatch", mismatch),
    ("stress", "Stress", stress),
    ("worst", "Worst patients", worst),
    ("cards", "Policies and model cards", cards),
    ("timing", "Timing", timing),
)
_OPTIONAL = frozenset({"published", "mismatch", "stress"})
"""Sections that depend on optional parts of the record."""


def report_html(record: Mapping[str, Any]) -> str:
    """The report of a benchmark's record, from `benchmark` or read from ``benchmark.json``.

    Args:
        record: format 1.

    Returns:
        A complete HTML document.
    """
    view = View(record)
    there = {"burden": has_burden(record), **{name: bool(record.get(name)) for name in _OPTIONAL}}
    wanted = [s for s in _SECTIONS if there.get(s[0], True)]
    title = capital(view.scenario["title"])
    header = el(
        "header",
        paragraph("In-silico dosing trial", class_="kicker"),
        el("h1", title),
        paragraph(f"{capital(record['intended_use'])}.", class_="use"),
        class_="top",
    )
    links = [el("li", el("a", name, href=f"#{anchor}")) for anchor, name, _ in (("result", "Result", None), *wanted)]
    main = el(
        "main",
        section("result", "Result", *result(view)),
        *(
            join(_filter(view) if anchor == "courses" else None, section(anchor, name, *build(view)))
            for anchor, name, build in wanted
        ),
        id="main",
    )
    body = el(
        "body",
        el("a", "Skip to the result", href="#result", class_="skip"),
        header,
        el("nav", el("ul", *links), aria_label="Contents"),
        main,
        el(
            "footer",
            paragraph(
                f"rl_drug_dosage, {view.scenario['env_id']}. {capital(record['intended_use'])}. All numbers are in "
                "benchmark.json in the same folder."
            ),
        ),
        el("script", asset("report.js")),
    )
    return document(f"{title}: dosing policies compared", body, script=asset("report.js"))


def _filter(view: View) -> Html | None:
    """Checkboxes that select the policies in the figures; the script makes them visible."""
    if len(view.names) < 3:
        return None
    boxes = [
        el(
            "label",
            void("input", type="checkbox", value=view.index(name), checked=True),
            el("span", name, class_="name"),
            class_=view.style(name),
        )
        for name in view.names
    ]
    return el(
        "form",
        el("fieldset", el("legend", "Policies in the figures below"), *boxes),
        id="filter",
        hidden=True,
        autocomplete="off",
    )
