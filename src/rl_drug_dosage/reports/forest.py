"""Sections on differences from the reference, overall and in subgroups, and on attainment under stress."""

from typing import Any

from rl_drug_dosage.reports.intervals import Axis, Row, intervals_figure, near_axis, span
from rl_drug_dosage.reports.markup import Cell, Html, el, join, paragraph, table
from rl_drug_dosage.reports.pieces import figure, name_cell, panels
from rl_drug_dosage.reports.view import View
from rl_drug_dosage.reports.words import clip, count, interval, points, share

__all__ = ["comparison", "stress", "subgroups"]


def _sides(reference: str) -> tuple[str, str]:
    short = clip(reference, 16)
    return f"← {short} better", f"better than {short} →"


def comparison(view: View) -> list[Html]:
    """Paired differences of every policy from the reference."""
    found = view.differences
    if not found:
        return [paragraph("Only one policy was included, so there is nothing to compare.")]
    rows = [Row(d.policy, d.mean, d.low, d.high, view.kind(d.policy), style=view.style(d.policy)) for d in found]
    left, right = _sides(view.reference)
    low, high = span((v for r in rows for v in (r.low, r.high)), 0.0)
    figures = [
        figure(
            f"Difference from {view.reference} in points of attainment, with 95\u00a0% intervals",
            intervals_figure(
                "pairs", f"Differences from {view.reference}", [("", rows)], Axis(low, high, 0.0, left, right)
            ),
        )
    ]
    near = [r for r in rows if max(abs(r.low), abs(r.high)) < 0.15 * (high - low)]
    if near and len(near) < len(rows):
        axis = Axis(*span((v for r in near for v in (r.low, r.high)), 0.0), 0.0, left, right)
        figures.append(
            figure(
                "Enlarged view of the differences near zero",
                intervals_figure("pairs-near", f"Differences from {view.reference}, enlarged", [("", near)], axis),
            )
        )
    cells: list[tuple[list[Cell | str], str | None]] = [
        (
            [
                Cell(name_cell(view, d.policy), head=True),
                points(d.mean),
                interval(d.low, d.high, signed=True),
                share(d.better_pct),
                share(d.worse_pct),
                share(max(0.0, 100.0 - d.better_pct - d.worse_pct)),
                *_from_bedside(view, d.policy),
            ],
            view.style(d.policy),
        )
        for d in found
    ]
    columns: tuple[str, ...] = ("policy", "points", "95 % interval", "% better", "% worse", "% equal")
    if view.bedside:
        columns += (f"points from {view.bedside}", "95 % interval")
    caption = f"Paired comparison with {view.reference}: the difference, and the patients who did better or worse"
    listed = table(caption, columns, cells, label="Paired differences", class_="numbers")
    return [el("div", el("div", *figures, class_="figures"), listed, class_="beside")]


def _from_bedside(view: View, name: str) -> list[Cell | str]:
    """The difference from Bayesian dosing as at the bedside, where that is not the reference."""
    if not view.bedside:
        return []
    found = view.difference(name, view.bedside)
    return ["–", "–"] if found is None else [points(found.mean), interval(found.low, found.high, signed=True)]


def subgroups(view: View) -> list[Html]:
    """Differences from the reference in every stratum."""
    found = view.record["subgroups"]
    others = [n for n in view.names if n != view.reference]
    if not found:
        return [paragraph("This task has no subgroups.")]
    if not others:
        return [_alone(view)]
    order = list(dict.fromkeys(g["stratum"] for g in found))

    def groups(name: str) -> list[tuple[str, list[Row]]]:
        own = [g for g in found if g["policy"] == name]
        return [
            (
                stratum,
                [
                    Row(
                        f"{g['level'].replace('>=', '≥')}, n {count(g['patients'])}",
                        **g["difference"],
                        kind=view.kind(name),
                        style=view.style(name),
                    )
                    for g in own
                    if g["stratum"] == stratum
                ],
            )
            for stratum in order
        ]

    drawn = {name: groups(name) for name in others}
    flat = [[row for _, rows in drawn[name] for row in rows] for name in others]
    left, right = _sides(view.reference)
    axis = Axis(*near_axis(flat), 0.0, left, right)
    beyond = any(r.low < axis.low or r.high > axis.high for rows in flat for r in rows)
    return [
        paragraph(
            f"Difference from {view.reference} in points of attainment in each subgroup, with 95\u00a0% intervals. "
            "Small groups have wide intervals, and with many groups some differ by chance."
            + (
                " An arrowhead marks an interval that extends beyond the axis; the numbers are above it."
                if beyond
                else ""
            )
        ),
        panels(
            figure(
                name_cell(view, name),
                intervals_figure(
                    f"sub-{view.index(name)}", f"Subgroups, {name} against {view.reference}", drawn[name], axis
                ),
                policy=view.index(name),
                class_=view.style(name),
            )
            for name in others
        ),
    ]


def _alone(view: View) -> Html:
    rows: list[tuple[list[Cell | str], str | None]] = [
        (
            [
                Cell(f"{g['stratum']}: {g['level'].replace('>=', '≥')}", head=True),
                count(g["patients"]),
                share(g["attainment_pct"]["mean"]),
                interval(g["attainment_pct"]["low"], g["attainment_pct"]["high"]),
            ],
            None,
        )
        for g in view.record["subgroups"]
    ]
    columns = ("subgroup", "patients", "in target (%)", "95 % interval")
    return table("Attainment by subgroup", columns, rows, label="Attainment by subgroup", class_="numbers")


def stress(view: View) -> list[Html]:
    """Attainment of each policy under each stress setting, and without stress."""
    settings = view.record["stress"]
    names = [n for n in view.names if any(n == r["policy"] for s in settings for r in s["policies"])]
    rows = {(s["name"], r["policy"]): r["attainment_pct"] for s in settings for r in s["policies"]}

    def drawn(name: str) -> Html:
        plain = view.row[name]["attainment_pct"]
        looks: dict[str, Any] = {"kind": view.kind(name), "style": view.style(name), "signed": False}
        lines = [Row("as designed", **plain, **looks)]
        lines += [Row(s["name"], **rows[s["name"], name], **looks) for s in settings if (s["name"], name) in rows]
        axis = Axis(0.0, 100.0, plain["mean"], "in target (%)", "line: as designed")
        return intervals_figure(f"stress-{view.index(name)}", f"Stress settings, {name}", [("", lines)], axis)

    cells: list[tuple[list[Cell | str], str | None]] = []
    for name in names:
        plain = view.row[name]["attainment_pct"]["mean"]
        own: list[Cell | str] = [Cell(name_cell(view, name), head=True), share(plain)]
        for s in settings:
            found = rows.get((s["name"], name))
            own.append(_changed(found["mean"], plain) if found else "–")
        cells.append((own, view.style(name)))
    return [
        paragraph("Every policy as built and tuned, under disturbances that it was not designed for:"),
        el(
            "dl",
            [el("div", el("dt", s["name"]), el("dd", s["title"])) for s in settings],
            class_="pairs",
        ),
        panels(figure(name_cell(view, n), drawn(n), policy=view.index(n), class_=view.style(n)) for n in names),
        table(
            "In target (%), and the change from the scenario as designed",
            ("policy", "as designed", *(s["name"] for s in settings)),
            cells,
            label="Stress settings",
            class_="numbers",
        ),
    ]


def _changed(value: float, plain: float) -> Cell:
    return Cell(join(el("span", share(value), class_="main"), el("span", points(value - plain), class_="sub")))
