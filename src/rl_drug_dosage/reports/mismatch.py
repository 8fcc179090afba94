"""Section on model misspecification: for each policy, a heat map of simulator against controller."""

import string
from collections.abc import Mapping, Sequence
from typing import Any

from rl_drug_dosage.reports.markup import Html, el, join, paragraph, scroller
from rl_drug_dosage.reports.pieces import figure, name_cell, panels
from rl_drug_dosage.reports.view import View
from rl_drug_dosage.reports.words import interval, share

__all__ = ["mismatch"]


def _letter(i: int) -> str:
    return string.ascii_uppercase[i] if i < 26 else str(i + 1)


def _short(models: Sequence[str]) -> list[str]:
    """Model names without the drug, if all begin with the same one."""
    drugs = {m.partition("-")[0] for m in models}
    return [m.partition("-")[2] or m for m in models] if len(drugs) == 1 else list(models)


def _shade(value: float) -> str:
    """One of eleven colours from 0 to 100 %."""
    return f"heat h{min(max(round(value / 10.0), 0), 10)}"


def _map(
    view: View, name: str, models: list[str], tests: list[str], cells: Mapping[tuple[str, str], Mapping[str, Any]]
) -> Html:
    followed = [*models, *tests]
    shorts = _short(followed)
    head = el(
        "thead",
        el(
            "tr",
            el("th", "patients follow", scope="col"),
            [
                el("th", join("believed ", _letter(i)), el("span", short, class_="sub"), scope="col")
                for i, short in enumerate(shorts[: len(models)])
            ],
        ),
    )
    body = []
    for i, (simulator, short) in enumerate(zip(followed, shorts, strict=True)):
        said = f"{short}, test only" if simulator in tests else short
        row: list[Html] = [el("th", _letter(i), el("span", said, class_="sub"), scope="row")]
        for controller in models:
            found = cells.get((simulator, controller))
            row.append(_cell(found) if found else el("td", "–"))
        body.append(el("tr", *row))
    box = scroller(f"Table: mismatch, {name}", el("table", head, el("tbody", *body), class_="heatmap"))
    return figure(name_cell(view, name), box, policy=view.index(name), class_=view.style(name))


def _cell(found: Mapping[str, Any]) -> Html:
    return el(
        "td",
        el("span", share(found["mean"]), class_="main"),
        el("span", interval(found["low"], found["high"]), class_="sub"),
        class_=_shade(found["mean"]),
    )


def mismatch(view: View) -> list[Html]:
    """HTML of this section of the report."""
    models: list[str] = view.record["mismatch"]["models"]
    tests: list[str] = view.record["mismatch"].get("test_only", [])
    cells: dict[str, dict[tuple[str, str], Mapping[str, Any]]] = {}
    for cell in view.record["mismatch"]["cells"]:
        own = cells.setdefault(cell["policy"], {})
        own[cell["simulator"], cell["controller"]] = cell["attainment_pct"]
    order = [n for n in view.names if n in cells]
    key = el(
        "dl",
        [el("div", el("dt", _letter(i)), el("dd", m)) for i, m in enumerate([*models, *tests])],
        class_="pairs key",
    )
    scale = el(
        "p",
        el("span", "0 %", class_="quiet"),
        [el("span", class_=f"heat h{i}") for i in range(11)],
        el("span", "100 %", class_="quiet"),
        class_="scale",
        aria_hidden="true",
    )
    return [
        paragraph(
            "Attainment (%) with its 95\u00a0% interval. Rows: the model that simulates the patients. Columns: the "
            "model that the policy assumes. On the diagonal the two are the same. A policy without a model differs "
            "between columns only because it was tuned with the assumed model."
        ),
        *(
            [paragraph("A test-only model simulates patients in rows; no policy was trained, tuned or built with it.")]
            if tests
            else []
        ),
        key,
        scale,
        panels(_map(view, n, models, tests, cells[n]) for n in order),
    ]
