"""The section with a published trial's numbers beside ours, and where the protocols differ."""

from rl_drug_dosage.reports.markup import Cell, Html, definitions, el, paragraph, table
from rl_drug_dosage.reports.view import View
from rl_drug_dosage.reports.words import capital
from rl_drug_dosage.utils.published_words import CAVEAT, our_rows, their_rows

__all__ = ["published"]


def published(view: View) -> list[Html]:
    """HTML of this section of the report."""
    record = view.record["published"]
    rows: list[tuple[list[Cell | str], str | None]] = []
    for whose, found in (("theirs", their_rows(record)), ("ours", our_rows(record))):
        for name, cells in found:
            style = view.style(name) if whose == "ours" else None
            rows.append(([Cell(f"{whose}: {name}", head=True), *cells], style))
    run = record["run"]
    changed = "; ".join(f"{c['option']} {c['given']} in place of {c['planned']}" for c in record["changed"])
    return [
        paragraph(f"Theirs: {record['citation']}"),
        paragraph(f"Ours: {run['stands_for']}, scenario {run['scenario']}."),
        table(
            "Their numbers, and ours computed in the same way with 95 % intervals over patients",
            ["", *(f"{m['name']} ({m['unit']})" for m in record["metrics"])],
            rows,
            label="Beside a published trial",
            class_="numbers",
        ),
        paragraph(CAVEAT, class_="note"),
        definitions((capital(d["what"]), f"theirs: {d['theirs']}; ours: {d['ours']}") for d in record["differences"]),
        definitions((("Replaced in the scenario", run["replaced"]), ("Changed by the user", changed))),
        definitions((m["name"], f"{m['over']} over patients; {m['meaning']}") for m in record["metrics"]),
        el("h3", "Not read, and assumed"),
        el("ul", [el("li", text) for text in (*record["unread"], *(f"assumed: {t}" for t in record["assumed"]))]),
        el("h3", "Where their numbers stand"),
        el("ul", [el("li", text) for text in dict.fromkeys(f"{n['arm']}: {n['place']}" for n in record["theirs"])]),
    ]
