"""Sections on the policies: tuned values, model cards of trained policies, and computing time."""

from collections.abc import Mapping
from typing import Any

from rl_drug_dosage.reports.markup import Cell, Html, definitions, details, el, join, paragraph, table
from rl_drug_dosage.reports.pieces import name_cell
from rl_drug_dosage.reports.view import View
from rl_drug_dosage.reports.words import amount, capital, compact, count

__all__ = ["cards", "timing"]

_PARTS = {
    "env": "Environment",
    "training": "Training",
    "progress": "Progress",
    "action": "Action",
    "normalizer": "Normaliser",
    "versions": "Versions",
}
"""Entries of a model card, most important first."""


def _pairs(part: Mapping[str, Any]) -> Html:
    return definitions(((name.replace("_", " "), amount(value)) for name, value in part.items()), class_="config")


def _card(view: View, name: str) -> Html:
    row = view.row[name]
    card: Mapping[str, Any] = row["card"]
    known = [(title, card[key]) for key, title in _PARTS.items() if isinstance(card.get(key), dict)]
    rest = {k: v for k, v in card.items() if k not in _PARTS and k != "intended_use"}
    parts = [
        details(title, _pairs(part), open=title in {"Environment", "Training", "Versions"}) for title, part in known
    ]
    if rest:
        parts.append(details("Record", _pairs(rest)))
    return el(
        "article",
        el("h3", name_cell(view, name)),
        paragraph(f"{capital(row['title'])}. {capital(str(card.get('intended_use', view.record['intended_use'])))}."),
        *parts,
        class_="card",
    )


def _tuned(view: View) -> Html:
    rows: list[tuple[list[Cell | str], str | None]] = []
    for name in view.names:
        row = view.row[name]
        if row["card"] or view.shielded(name):
            continue
        chosen = dict(row["tuned"])
        candidates, share = chosen.pop("candidates", None), chosen.pop("attainment_pct", None)
        rows.append(
            (
                [
                    Cell(name_cell(view, name), head=True),
                    Cell(capital(row["title"]), class_="words"),
                    Cell(
                        join(
                            *(
                                el("span", f"{k.replace('_', ' ')} {amount(v)}", class_="chip")
                                for k, v in chosen.items()
                            )
                        )
                        if chosen
                        else "none",
                        class_="words",
                    ),
                    "–" if candidates is None else count(candidates),
                    "–" if share is None else compact(share),
                ],
                None,
            )
        )
    columns = ("policy", "description", "tuned values", "candidates", "in target when tuned (%)")
    caption = "Policies without a model file; they are tuned on a separate cohort"
    return table(caption, columns, rows, label="Policies and their tuning", class_="tuned")


def cards(view: View) -> list[Html]:
    """HTML of this section of the report."""
    trained = [n for n in view.names if view.row[n]["card"] and not view.shielded(n)]
    parts = []
    if any(not view.row[n]["card"] for n in view.names):
        parts.append(_tuned(view))
    parts.extend(_card(view, n) for n in trained)
    if not trained:
        parts.append(paragraph("No trained policy was included."))
    return parts


def timing(view: View) -> list[Html]:
    """HTML of this section of the report."""
    found = view.record["timing"]
    patients = view.settings["patients"]
    rows: list[tuple[list[Cell | str], str | None]] = []
    for name in view.names:
        if name not in found["policies"]:
            continue
        clock = found["policies"][name]
        rows.append(
            (
                [
                    Cell(name_cell(view, name), head=True),
                    _seconds(clock["tune_and_compile_s"]),
                    _seconds(clock["run_s"]),
                    count(patients / clock["run_s"]) if clock["run_s"] > 0.0 else "–",
                ],
                None,
            )
        )
    columns = ("policy", "tuning and compiling (s)", f"{count(patients)} patients (s)", "patients per second")
    return [
        table("Wall time", columns, rows, label="Wall time", class_="numbers"),
        paragraph(
            f"Total: {_seconds(found['total_s'])} s. Two policies are tuned and compiled in parallel. Times are "
            "the only numbers in this report that differ between runs."
        ),
    ]


def _seconds(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:,.1f}"
