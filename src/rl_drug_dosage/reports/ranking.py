"""The section with the ranked table."""

from collections.abc import Sequence

from rl_drug_dosage.reports.markup import Cell, Html, classes, details, el, join, paragraph, table
from rl_drug_dosage.reports.pieces import name_cell
from rl_drug_dosage.reports.svg import drawing
from rl_drug_dosage.reports.view import View
from rl_drug_dosage.reports.words import and_, clip, compact, count, fixed, interval, share

__all__ = ["ranking"]

_ALWAYS = ("not a number", "off the grid")
"""Reasons that are counted without a shield too (`clinic.shield.REASONS`)."""
_MOST_NAMED = 6
"""Number of failed patients listed in the table; more are listed below it."""


def _reasons(view: View) -> list[str]:
    """The reasons for changed doses: two that are always counted, and those of the shield if it was used."""
    all_ = list(dict.fromkeys(reason for row in view.rows for reason in row["interventions"]))
    used = {reason for row in view.rows for reason, times in row["interventions"].items() if times}
    return [r for r in all_ if r in _ALWAYS or r in used or view.settings["shield"]]


def _histogram(view: View, name: str) -> Html | str:
    """Histogram of attainment over patients."""
    bins: Sequence[int] = view.record.get("distributions", {}).get(name, [])
    if not sum(bins):
        return "–"
    most, wide = max(bins), 100.0 / len(bins)
    bars = "".join(f"M{4 * i} 24V{24 - max(22 * n / most, 1.0):.1f}h3V24Z" for i, n in enumerate(bins) if n)
    full, none = bins[-1], bins[0]
    text = (
        f"{count(full)} of {count(sum(bins))} patients were in target for {compact(100.0 - wide)} % of the time or "
        f"more, {count(none)} for less than {compact(wide)} %"
    )
    return drawing(
        f"h{view.index(name)}",
        f"Attainment over patients, {name}",
        text,
        25.0,
        el("path", d=bars, class_="bar"),
        el("path", d=f"M0 24.5H{4 * len(bins) - 1}", class_="axis"),
        width=4.0 * len(bins) - 1.0,
    )


def _failed(view: View, name: str) -> str:
    numbers = view.row[name]["failed_patients"]
    if not numbers:
        return "none"
    named = ", ".join(map(str, numbers[:_MOST_NAMED]))
    more = len(numbers) - _MOST_NAMED
    return f"{count(len(numbers))}: {named}" + (f" and {count(more)} more" if more > 0 else "")


def _cells(view: View, name: str, reasons: Sequence[str]) -> list[Cell | str]:
    row = view.row[name]
    attained = row["attainment_pct"]
    harms = [
        share(row["harms"][h["name"]][key]) for h in view.scenario["harms"] for key in ("patients_pct", "intervals_pct")
    ]
    return [
        str(row["rank"]),
        Cell(
            join(name_cell(view, name), None if view.shielded(name) else el("span", row["title"], class_="sub")),
            head=True,
            class_="stick",
        ),
        Cell(
            join(
                el("span", share(attained["mean"]), class_="main"),
                el("span", interval(attained["low"], attained["high"]), class_="sub"),
            )
        ),
        Cell(_histogram(view, name), class_="histogram"),
        share(row["attainment_median_pct"]),
        share(row["final_pct"]),
        share(row["worst_5_pct"]),
        share(row["under_pct"]),
        share(row["over_pct"]),
        *harms,
        compact(row["total_dose"]),
        share(row["dose_changes"]),
        fixed(row["return"]),
        *(count(row["interventions"].get(reason, 0)) for reason in reasons),
        count(row["dropouts"]),
        Cell(_failed(view, name), class_="words"),
    ]


def _columns(view: View, reasons: Sequence[str]) -> tuple[list[str], list[tuple[str, int]]]:
    harms = [h["name"] for h in view.scenario["harms"]]
    columns = [
        "#",
        "policy",
        "mean, 95\u00a0% interval",
        "over patients",
        "median",
        "last interval",
        "worst 5\u00a0%",
        "under",
        "over",
        *(f"% of {what}" for _ in harms for what in ("patients", "intervals")),
        f"total ({view.dose_unit})",
        "changes",
        "return",
        *reasons,
        "dropouts",
        "failed",
    ]
    groups = [
        ("", 2),
        ("in target (%)", 5),
        ("out of target (%)", 2),
        *((name, 2) for name in harms),
        ("dosing", 3),
        ("changed doses by reason", len(reasons)),
        ("patients lost", 2),
    ]
    return columns, [g for g in groups if g[1]]


def ranking(view: View) -> list[Html]:
    """HTML of this section of the report."""
    reasons = _reasons(view)
    columns, groups = _columns(view, reasons)
    rows = [(_cells(view, name, reasons), classes("row", view.style(name))) for name in view.names]
    decisions = view.settings["patients"] * view.scenario["decisions"]
    caption = (
        "Policies by mean attainment. A patient's attainment is the percentage of judged intervals inside all windows. "
        "Ranks include all entries, also oracles and policies behind the shield."
    )
    return [
        table(caption, columns, rows, groups=groups, label="Ranked policies", class_="ranking"),
        paragraph(
            "Total dose, dose changes and return are means over patients. Worst 5\u00a0%: mean over the patients with "
            "the lowest attainment. The histograms show the number of patients by attainment, from 0 to 100\u00a0%. "
            f"Changed doses are counted over {count(decisions)} decisions. A proposal that is not a number, or "
            "not on the dose grid, is always replaced; the other reasons apply to the shield. A "
            "patient whose simulation failed has an attainment of 0.",
            class_="note",
        ),
        *_all_failed(view),
    ]


def _all_failed(view: View) -> list[Html]:
    many = [n for n in view.names if len(view.row[n]["failed_patients"]) > _MOST_NAMED]
    if not many:
        return []
    texts = [
        paragraph(el("strong", name), ": ", ", ".join(map(str, view.row[name]["failed_patients"]))) for name in many
    ]
    return [details(f"All failed patients of {clip(and_(many), 80)}", *texts)]
