"""The section with the burden of each policy's courses: changes of dose, zigzags, holds."""

from collections.abc import Mapping
from typing import Any

from rl_drug_dosage.reports.markup import Cell, Html, definitions, paragraph, table
from rl_drug_dosage.reports.pieces import name_cell
from rl_drug_dosage.reports.view import View
from rl_drug_dosage.reports.words import capital, share
from rl_drug_dosage.utils.burden_words import BURDEN_WORDS, steady_words

__all__ = ["burden", "has_burden"]


def has_burden(record: Mapping[str, Any]) -> bool:
    """Whether a record says something about it; those of earlier versions do not."""
    return all("burden" in row for row in record["policies"])


def burden(view: View) -> list[Html]:
    """HTML of this section of the report."""
    rows: list[tuple[list[Cell | str], str | None]] = []
    for name in view.names:
        own = view.row[name]["burden"]
        numbers = [share(own[column][kind]) for column in BURDEN_WORDS for kind in ("median", "mean")]
        rows.append(([Cell(name_cell(view, name), head=True), *numbers], view.style(name)))
    return [
        paragraph(steady_words(view.scenario)),
        table(
            "Changes of dose per patient, median and mean over patients",
            ["policy", *(kind for _ in BURDEN_WORDS for kind in ("median", "mean"))],
            rows,
            groups=[("", 1), *((heading, 2) for heading, _ in BURDEN_WORDS.values())],
            label="Changes of dose",
            class_="numbers",
        ),
        definitions(((capital(heading), f"{meaning}.") for heading, meaning in BURDEN_WORDS.values()), class_="pairs"),
        paragraph(
            "Doses are those prescribed, per administration, at the decisions at which the patient is still treated. "
            "Where dosing intervals can be chosen, a decision within a longer interval does not count.",
            class_="note",
        ),
    ]
