"""The benchmark's report: what it says is what the record says, and nothing in the record can change what it is."""

import base64
import dataclasses
import hashlib
import importlib.util
import json
import re
import time
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_drug_dosage.clinic.stress import STRESSES
from rl_drug_dosage.registry import SCENARIO, find_scenario, names
from rl_drug_dosage.reports.markup import Html, el
from rl_drug_dosage.reports.page import report_html
from rl_drug_dosage.reports.svg import Plot, robust_top, ticks
from rl_drug_dosage.reports.view import View
from rl_drug_dosage.trials import benchmark as benchmarks
from rl_drug_dosage.trials import benchmark_runs, entrants
from rl_drug_dosage.trials.outcome import gathered
from rl_drug_dosage.trials.trial import Trial
from rl_drug_dosage.utils.kept_programs import Program

_SPEC = importlib.util.spec_from_file_location("report_records", Path(__file__).with_name("report_records.py"))
records = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(records)
make_record = records.make_record

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&amp;"
VOID = {"meta", "link", "input"}


class Page(HTMLParser):
    """A document as a list of elements, each with its attributes, its path and the text in it."""

    def __init__(self, text):
        super().__init__()
        self.elements, self._open = [], []
        self.feed(text)
        self.close()
        assert self._open == [], "an element is not closed"

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"an attribute twice: {attrs}"
        element = {"tag": tag, "text": "", "in": [e["tag"] for e in self._open], **dict(attrs)}
        element["within"] = list(self._open)
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag):
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self._open:
            element["text"] += data

    def find(self, tag, **attributes):
        return [
            e
            for e in self.elements
            if e["tag"] == tag and all(e.get(k.rstrip("_")) == v for k, v in attributes.items())
        ]

    def inside(self, outer, tag):
        return [e for e in self.elements if e["tag"] == tag and any(o is outer for o in e["within"])]

    @property
    def ids(self):
        return [e["id"] for e in self.elements if "id" in e]


def sections(page):
    return [s["id"] for s in page.find("section")]


def read(text):
    """The number that a text shows."""
    return float(text.replace("−", "-").replace(",", "").replace("\u00a0", " ").split(" ")[0])


def shows(text, value):
    """Whether a text is a number rounded as far as it is written out."""
    decimals = len(text.partition(".")[2])
    return abs(read(text) - value) <= 0.5000001 * 10.0**-decimals


RECORDS = {
    "everything": records.everything,
    "plain": make_record,
    "single": lambda: make_record(("label",), harms=()),
    "oracle only": lambda: make_record(("oracle",)),
    "open edges": lambda: make_record(
        windows=(("peak", "concentration", None, 15.0, "mg/L"), ("nadir", "concentration", 5.0, None, "mg/L"))
    ),
    "no edges at first": lambda: make_record(
        windows=(("trough", "concentration", [None] * 4 + [5.0] * 10, [None] * 4 + [9.0] * 10, "mg/L"),)
    ),
    "all failed": lambda: make_record(("mipd", "label"), patients=3, failed={"mipd": range(3), "label": range(3)}),
    "one patient": lambda: make_record(patients=1, worst=1),
    "one decision": lambda: make_record(
        decisions=1, points=1, windows=(("auc_total", "concentration", 8.0, 9.0, "1"),)
    ),
    "many worst": lambda: make_record(("mipd", "label"), worst=14),
    "odd judged": lambda: make_record(judged=(3, 7, 13)),
}


@cache
def written(name):
    """(record, document, its elements)."""
    record = RECORDS[name]()
    text = report_html(record)
    return record, text, Page(text)


@pytest.fixture(params=RECORDS)
def report(request):
    return written(request.param)


@pytest.mark.long
def test_it_is_a_document_that_holds_together(report):
    """Closed elements, identifiers that are unique, references that lead somewhere, headings without gaps."""
    _, _, page = report
    assert len(page.ids) == len(set(page.ids))
    for element in page.elements:
        for name in ("aria-labelledby", "for"):
            assert set(element.get(name, "").split()) <= set(page.ids), element
        if element.get("href", "").startswith("#"):
            assert element["href"][1:] in page.ids
    assert [len(page.find(tag)) for tag in ("html", "head", "body", "h1", "main", "nav", "header", "footer")] == [1] * 8
    levels = [int(e["tag"][1]) for e in page.elements if re.fullmatch(r"h[1-6]", e["tag"])]
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    assert "None" not in page.find("main")[0]["text"]
    assert "nan" not in re.findall(r"\w+", page.find("main")[0]["text"])


@pytest.mark.long
def test_figures_say_what_they_show_and_no_coordinate_is_missing(report):
    _, _, page = report
    figures = page.find("svg", role="img")
    assert figures
    for figure in figures:
        (title,), (description,) = page.inside(figure, "title"), page.inside(figure, "desc")
        assert title["text"]
        assert re.search(r"\d", description["text"])
        drawn = [e.get("d", "") + "".join(e.get(k, "") for k in ("x", "y")) for e in page.inside(figure, "path")]
        assert not re.search(r"nan|inf|None|e[-+]?\d", "".join(drawn))


def test_everything_comes_in_the_file(report):
    """No address is asked for, and the page's own policy would not let it."""
    _, _, page = report
    for element in page.elements:
        assert element["tag"] not in {"img", "iframe", "object", "embed", "base", "image", "use", "video", "audio"}
        for name in ("src", "href", "xlink:href", "srcset", "action", "poster", "style"):
            assert re.match(r"(#|data:,$|$)", element.get(name) or ""), element
        assert not [name for name in element if name.startswith("on")]
    style, script = page.find("style")[0]["text"], page.find("script")[0]["text"]
    assert not re.search(r"url\(|@import|@font-face", style)
    assert not re.search(r"fetch|XMLHttp|import|https?:", script)
    (policy,) = [e["content"] for e in page.find("meta") if e.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    for source in (style, script):
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_sections_are_those_of_the_record():
    always = ["result", "task", "ranking", "burden", "courses", "pairs", "subgroups", "worst", "cards", "timing"]
    assert sections(written("plain")[2]) == always
    everything = sections(written("everything")[2])
    assert everything == [*always[:7], "mismatch", "stress", *always[7:]]


def test_the_burden_of_every_policy_is_shown_and_what_it_is_judged_by():
    """Median and mean of each column, in the order of the headings; a record from before it has no such section."""
    record, _, page = written("everything")
    (table,) = [t for t in page.find("table") if t["within"][-1].get("aria-label") == "Table: Changes of dose"]
    rows = page.inside(table, "tr")[2:]
    order = sorted(record["policies"], key=lambda r: r["rank"])
    for element, row in zip(rows, order, strict=True):
        assert page.inside(element, "th")[0]["text"].startswith(row["policy"])
        cells = [e["text"] for e in page.inside(element, "td")]
        numbers = [row["burden"][c][k] for c in row["burden"] for k in ("median", "mean")]
        assert all(shows(text, value) for text, value in zip(cells, numbers, strict=True))
    (own,) = [e["text"] for e in page.find("section", id="burden")]
    assert "becomes constant, so that late changes are a burden: nothing changes." in own

    other = make_record()
    other["scenario"]["steady"] = False
    assert "counted and not judged: nothing changes." in report_html(other)
    del other["scenario"]["steady"], other["scenario"]["steady_text"]
    assert "does not state whether" in report_html(other)
    for row in other["policies"]:
        del row["burden"]
    assert "burden" not in sections(Page(report_html(other)))


def test_the_same_from_the_file_as_from_the_benchmark(report):
    """JSON turns the keys of ``reasons`` into text."""
    record, text, _ = report
    assert text == report_html(json.loads(json.dumps(record)))


@pytest.mark.parametrize("name", ["everything", "plain", "single"])
def test_the_table_shows_the_record(name):
    """Every number of every row, rounded as far as it is written out, under headings in that order."""
    record, _, page = written(name)
    (table,) = page.find("table", class_="ranking")
    rows = page.inside(table, "tr")[2:]
    order = sorted(record["policies"], key=lambda r: r["rank"])
    assert len(rows) == len(order)
    shield = record["settings"]["shield"]
    for element, row in zip(rows, order, strict=True):
        cells = [e["text"] for e in page.inside(element, "td")]
        head = page.inside(element, "th")[0]["text"]
        assert int(cells[0]) == row["rank"]
        assert head.startswith(row["policy"])
        share = row["attainment_pct"]
        main, low, high = re.fullmatch(r"([\d.]+?\.\d)([\d.]+) to ([\d.]+)", cells[1]).groups()
        assert shows(main, share["mean"])
        assert shows(low, share["low"])
        assert shows(high, share["high"])
        numbers = [
            *(row[k] for k in ("attainment_median_pct", "final_pct", "worst_5_pct", "under_pct", "over_pct")),
            *(
                row["harms"][h["name"]][k]
                for h in record["scenario"]["harms"]
                for k in ("patients_pct", "intervals_pct")
            ),
            *(row[k] for k in ("total_dose", "dose_changes", "return")),
            *(n for reason, n in row["interventions"].items() if shield or reason in {"not a number", "off the grid"}),
            row["dropouts"],
        ]
        assert len(cells) == len(numbers) + 4
        for text, value in zip(cells[3:-1], numbers, strict=True):
            assert shows(text, value), (row["policy"], text, value)
        failed = row["failed_patients"]
        assert cells[-1] == "none" if not failed else cells[-1].startswith(f"{len(failed)}: {failed[0]}")


def test_a_reason_that_occurs_is_shown_without_a_shield_too():
    """A scenario may cap doses by itself one day; a count must not vanish for want of a setting."""
    record = make_record()
    assert "daily cap" not in Page(report_html(record)).find("table", class_="ranking")[0]["text"]
    record["policies"][2]["interventions"]["daily cap"] = 17
    table = Page(report_html(record)).find("table", class_="ranking")[0]["text"]
    assert "daily cap" in table


def test_every_failed_patient_is_named():
    _, _, page = written("everything")
    (text,) = [e["text"] for e in page.find("details") if "failed patients" in e["text"]]
    assert [int(n) for n in re.findall(r"\d+", text)] == list(range(30))


def test_every_policy_is_in_every_figure():
    record, _, page = written("everything")
    names = {r["policy"] for r in record["policies"]}
    own = {n for n in names if not n.endswith("+shield")}
    others = names - {record["settings"]["reference"]}

    def named(section):
        found = [e for e in page.find("figure") if any(o.get("id") == section for o in e["within"])]
        captions = [page.inside(f, "span") for f in found]
        return [next(s["text"] for s in spans if s.get("class") == "name") for spans in captions if spans]

    assert set(named("courses")) == names
    assert len(named("courses")) == 2 * len(names)  # levels, then areas
    assert set(named("subgroups")) == others
    assert set(named("mismatch")) == own
    assert set(named("stress")) == own
    assert set(named("worst")) == names
    assert len(named("worst")) == 10 * len(names)
    boxes = page.inside(page.find("form")[0], "label")
    assert {b["text"] for b in boxes} == names


def test_mismatch_and_stress_show_the_record():
    """Cell by cell, simulator down and controller across."""
    record, _, page = written("everything")
    models, tests = record["mismatch"]["models"], record["mismatch"]["test_only"]
    assert tests
    for cell in record["mismatch"]["cells"]:
        (table,) = [
            t
            for t in page.find("table", class_="heatmap")
            if t["within"][-1]["aria-label"].endswith(f", {cell['policy']}")
        ]
        cells = page.inside(table, "td")
        found = cells[[*models, *tests].index(cell["simulator"]) * len(models) + models.index(cell["controller"])]
        assert shows(found["text"][: found["text"].index(".") + 2], cell["attainment_pct"]["mean"])
        assert found["class"] == f"heat h{round(cell['attainment_pct']['mean'] / 10)}"
    said = [e["text"] for e in page.find("span", class_="sub") if e["text"].endswith(", test only")]
    assert len(said) == len(tests) * len({cell["policy"] for cell in record["mismatch"]["cells"]})
    (table,) = [t for t in page.find("table") if t["within"][-1].get("aria-label") == "Table: Stress settings"]
    for element in page.inside(table, "tr")[1:]:
        name = next(s["text"] for s in page.inside(element, "span") if s.get("class") == "name")
        cells = [e["text"] for e in page.inside(element, "td")]
        for text, setting in zip(cells[1:], record["stress"], strict=True):
            (own,) = [p for p in setting["policies"] if p["policy"] == name]
            assert shows(text[: text.index(".") + 2], own["attainment_pct"]["mean"])


def test_no_text_of_the_record_becomes_markup():
    """Names, titles, sources, units, reasons, card entries: all of them are text."""
    record = records.everything()
    attacked = _attack(record)
    page = Page(report_html(attacked))
    plain = written("everything")[2]
    assert len(page.find("script")) == 1
    assert {e["tag"] for e in page.elements} == {e["tag"] for e in plain.elements}
    assert page.find("main")[0]["text"].count("<script>alert(1)</script>") > 500
    keys = {k for e in plain.elements for k in e}
    assert {k for e in page.elements for k in e} <= keys


FREE = {"courses", "distributions", "policies", "harms", "interventions", "covariates", "tuned", "versions", "training"}
"""The keys of these are names, not words of the format."""


def _attack(value, parent=""):
    """The same record with an attack in every text, and in every key that is a name."""
    if isinstance(value, str):
        return value if parent in {"time_unit", "metric"} else HOSTILE + value
    if isinstance(value, list):
        return [_attack(v, parent if isinstance(v, str) else "") for v in value]
    if isinstance(value, dict):
        return {
            (HOSTILE + k if parent in FREE else k): _attack(v, "" if parent in FREE else k) for k, v in value.items()
        }
    return value


def test_only_markup_is_markup():
    """`el` escapes text in content and attributes, and refuses a name that is none."""
    assert el("p", "<b>", Html("<i></i>"), title='"<') == '<p title="&quot;&lt;">&lt;b&gt;<i></i></p>'
    assert el("p", hidden=True, class_=None, id=False) == "<p hidden></p>"
    with pytest.raises(ValueError, match="not the name of an attribute"):
        el("p", **{"x><script": "y"})


def lead(record):
    (text,) = [p["text"] for p in Page(report_html(record)).find("p", class_="lead")]
    return text


def test_the_leader_is_a_contestant():
    """An oracle and a shielded entry above it are told of, and do not lead."""
    record = make_record(("oracle", "mipd", "agent"), shield=True)
    text = lead(record)
    assert text.startswith("Of 2 policies, mipd leads on 400 virtual patients: 93.0\u00a0%")
    assert "It is the reference. The next best is agent." in text
    assert "oracle 97.0\u00a0%" in text
    assert "not ranked as a contestant" in text
    record = make_record(("oracle", "agent", "mipd"))
    text = lead(record)
    assert "agent leads" in text
    assert "agent differs from mipd, the reference, by +4.0 points (+2.5 to +5.5): the interval lies above zero" in text
    assert "40.0\u00a0% of the patients did better, 30.0\u00a0% did worse" in text


def test_with_another_reference_bayesian_dosing_as_at_the_bedside_is_compared_too():
    """In a sentence and in columns of their own; the reference's title says which variant it is."""
    record = make_record(("agent", "best-bayes", "mipd", "label"), reference="best-bayes")
    text = lead(record)
    assert "agent differs from best-bayes, the reference, by +4.0 points" in text
    assert "agent differs from mipd, Bayesian dosing as programs at the bedside do it, by +8.0 points" in text
    page = Page(report_html(record))
    assert any("best-bayes (what best-bayes does)" in cell["text"] for cell in page.find("dd"))

    def columns(record):
        page = Page(report_html(record))
        (table,) = [t for t in page.find("table") if t["within"][-1].get("aria-label") == "Table: Paired differences"]
        return [[cell["text"] for cell in page.inside(row, "td")] for row in page.inside(table, "tr")[1:]]

    assert [row[5] for row in columns(record)] == ["+8.0", "–", "−4.0"]
    assert {len(row) for row in columns(make_record(("agent", "mipd", "label")))} == {5}
    # The reference leads: the sentence is about the leader.
    ahead = lead(make_record(("best-bayes", "agent", "mipd"), reference="best-bayes"))
    assert "best-bayes differs from mipd, Bayesian dosing as programs at the bedside do it, by +8.0 points" in ahead


def test_words_are_no_stronger_than_the_interval():
    record = make_record(("agent", "mipd"), gap=1.0)
    assert "the interval includes zero, so this benchmark does not show a difference" in lead(record)
    record = make_record(("mipd", "agent"), gap=4.0)
    assert "agent differs from mipd by −4.0 points (−5.5 to −2.5): the interval lies below zero" in lead(record)
    record["policies"][1]["attainment_pct"] = record["policies"][0]["attainment_pct"]
    assert "mipd and agent share the lead among 2 policies" in lead(record)


def test_a_pair_may_stand_either_way_round():
    """The record has each pair once."""
    record = make_record()
    turned = make_record()
    for pair in turned["paired"]:
        pair["policy"], pair["against"] = pair["against"], pair["policy"]
        pair["mean"], pair["low"], pair["high"] = -pair["mean"], -pair["high"], -pair["low"]
        pair["better_pct"], pair["worse_pct"] = pair["worse_pct"], pair["better_pct"]
    assert report_html(turned) == report_html(record)


def test_what_went_wrong_is_said():
    record = make_record(failed={"label": (3, 4)})
    record["policies"][2]["interventions"]["not a number"] = 11
    text = lead(record)
    assert "Patients whose simulation failed count as never in target: label 2." in text
    assert "Proposed doses that were not a number were replaced: agent 11 times." in text


def test_harms_of_the_leader_are_told_beside_those_of_the_reference():
    record = make_record(("agent", "mipd"), harms=("AUC24 > 600", "AUC24 > 700"))
    for row, shares in zip(record["policies"], ((22.0, 3.0), (99.2, 50.0)), strict=True):
        for harm, share in zip(("AUC24 > 600", "AUC24 > 700"), shares, strict=True):
            row["harms"][harm]["patients_pct"] = share
    assert (
        "AUC24 > 600 occurred at least once in 22.0 % of the patients under agent (99.2 % under mipd) and "
        "AUC24 > 700 in 3.0 % (50.0 % under mipd)."
    ) in lead(record).replace("\u00a0", " ")


def test_research_and_education_only_stands_first():
    page = Page(report_html(make_record()))
    assert page.find("p", class_="use")[0]["text"] == "Research and education only; not for treating patients."
    assert page.find("p", class_="use")[0]["in"][-1] == "header"


def test_windows_are_written_out():
    """Two-sided, open, and changing in the course."""
    windows = (
        ("trough", "concentration", [10.0] * 7 + [5.0] * 7, [15.0] * 7 + [None] * 7, "mg/L"),
        ("auc24", "concentration", None, 600.0, "mg h/L"),
    )
    page = Page(report_html(make_record(windows=windows, judged=range(2, 14))))
    (table,) = [t for t in page.find("table") if t["within"][-1].get("aria-label") == "Table: Windows of the goal"]
    rows = [[c["text"].replace("\u00a0", " ") for c in page.inside(r, "td")] for r in page.inside(table, "tr")[1:]]
    assert [r[:2] for r in rows] == [
        ["10 to 15 mg/L", "0 to 3.5 days"],
        ["at least 5 mg/L", "3.5 to 7 days"],
        ["at most 600 mg h/L", "the whole course"],
    ]
    assert "12 of 14 intervals, those from 1 to 7 days" in page.find("main")[0]["text"]


def test_a_window_is_drawn_where_it_is_and_where_it_counts():
    """Its edges lie at its values on the axis, in the judged intervals only."""
    low, high = 10.0, 20.0
    record = make_record(
        ("mipd",), windows=(("trough", "concentration", low, high, "mg/L"),), judged=(*range(3, 8), 10)
    )
    page = Page(report_html(record))
    (figure,) = [e for e in page.find("svg") if e.get("aria-labelledby", "").startswith("course-")]
    labels = [(float(e["y"]), e["text"]) for e in page.inside(figure, "text") if e.get("class") == "tick end"]
    bottom = next(y for y, text in labels if text == "0") - 3.5
    step = next((y - 3.5, float(text)) for y, text in labels if text not in {"0", "days"})
    per_unit = (bottom - step[0]) / step[1]
    plot = page.inside(figure, "svg")[0]
    rects = [e for e in page.inside(plot, "rect") if e["class"] == "window"]
    width = float(plot["width"])
    expected = [(3 / 14 * width, 5 / 14 * width), (10 / 14 * width, 1 / 14 * width)]
    assert len(rects) == len(expected)
    for rect, (left, wide) in zip(rects, expected, strict=True):
        assert float(rect["x"]) == pytest.approx(left, abs=0.1)
        assert float(rect["width"]) == pytest.approx(wide, abs=0.15)
        assert float(rect["y"]) + float(plot["y"]) == pytest.approx(bottom - high * per_unit, abs=0.3)
        assert float(rect["height"]) == pytest.approx((high - low) * per_unit, abs=0.3)


def test_nine_policies_fit_in_two_megabytes():
    """The most that a record can hold: 180 decisions, 400 points, rough courses. And it is made while you wait."""
    names = (*(f"policy-{i}" for i in range(8)), "mipd")
    record = make_record(names, decisions=180, points=400, stress=("double-error",), mismatch=("a-b", "a-c"))
    start = time.perf_counter()
    size = len(report_html(record).encode())
    assert size < 2_000_000
    assert time.perf_counter() - start < 20.0  # 1 s on two busy cores


def test_twelve_policies_keep_their_places():
    page = Page(report_html(records.large()))
    assert len(page.inside(page.find("table", class_="ranking")[0], "tr")) == 2 + 12


values = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60)


@given(values)
def test_a_simplified_line_stays_where_it_was(ys):
    """Within the tolerance at every point that was left out."""
    xs = [float(i) for i in range(len(ys))]
    low, high = min(ys), max(ys)
    plot = Plot(0.0, 0.0, 300.0, 100.0, 0.0, xs[-1], low, high if high > low else low + 1.0)
    d = plot.line(xs, ys, "median")
    found = [tuple(map(float, p.split())) for p in re.findall(r"[ML]([-\d.]+ [-\d.]+)", d)]
    assert len(found) <= len(ys)
    for x, y in zip(xs, ys, strict=True):
        px, py = plot.x(x), plot.y(y)
        (x0, y0), (x1, y1) = next((a, b) for a, b in pairwise(found) if a[0] - 0.06 <= px <= b[0] + 0.06)
        share = (px - x0) / (x1 - x0)
        slope = abs(y1 - y0) / (x1 - x0)
        assert abs(y0 + share * (y1 - y0) - py) <= 0.2 + 0.06 + 0.12 * slope


def test_a_straight_line_is_two_points():
    """However many the record has."""
    xs = [float(i) for i in range(400)]
    plot = Plot(0.0, 0.0, 300.0, 100.0, 0.0, 399.0, 0.0, 400.0)
    assert plot.line(xs, xs, "median") == '<path d="M0 100L300 0.2" class="median"></path>'


@given(values, st.integers(0, 30), st.integers(1, 10))
def test_a_gap_stays_a_gap(ys, at, length):
    """Where there is no number there is no line."""
    column = [None if at <= i < at + length else y for i, y in enumerate(ys)]
    xs = [float(i) for i in range(len(ys))]
    plot = Plot(0.0, 0.0, 300.0, 100.0, 0.0, xs[-1], -1e6, 1e6)
    d = plot.line(xs, column, "median") or ""
    runs = sum(a is None and b is not None for a, b in zip([None, *column], column, strict=False))
    assert d.count("M") == runs


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 8))
def test_ticks_are_round_even_and_inside(low, span, most):
    found = ticks(low, low + span, most)
    assert len(found) <= most + 1
    assert all(low - 1e-6 * span - 1e-9 <= t <= low + span + 1e-6 * span + 1e-9 for t in found)
    gaps = [b - a for a, b in pairwise(found)]
    assert all(g == pytest.approx(gaps[0], rel=1e-6, abs=1e-9) for g in gaps)


@given(st.lists(st.floats(0.0, 1e6), min_size=1, max_size=12))
def test_a_shared_axis_leaves_out_only_what_is_far_off(tops):
    end = robust_top(tops)
    assert end in tops or (end == 1.0 and not any(tops))
    assert sum(t <= end for t in tops) >= len(tops) / 2
    middle = sorted(tops)[(len(tops) - 1) // 2]
    assert middle == 0.0 or end == max(t for t in tops if t <= 2.0 * middle)


def test_what_runs_off_an_axis_is_told():
    """The figure says how far it goes."""
    record = make_record()
    record["courses"]["random"]["values"][4] = [v * 100 for v in record["courses"]["random"]["values"][4]]
    top = max(record["courses"]["random"]["values"][4])
    page = Page(report_html(record))
    (text,) = [
        e["text"] for e in page.find("text", class_="off end") if "course-" in e["within"][-1]["aria-labelledby"]
    ]
    assert shows(text.removeprefix("↑ up to "), top)


def test_stretches_of_a_window_cover_the_course():
    view = View(
        make_record(
            windows=(("trough", "concentration", [1.0, 1.0, 2.0, 2.0], [None, None, None, 5.0], "1"),), decisions=4
        )
    )
    assert view.windows[0].edges() == [(0, 2, 1.0, None), (2, 3, 2.0, None), (3, 4, 2.0, 5.0)]


def without_names(value, parent=""):
    """The kinds of things in a record; of those that go by names, such as policies, one."""
    if isinstance(value, dict):
        items = list(value.items())[:1] if parent in FREE and parent != "training" else value.items()
        return {("NAME" if parent in FREE else k): without_names(v, "" if parent in FREE else k) for k, v in items}
    if isinstance(value, list):
        return [without_names(value[0])] if value else []
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


@dataclasses.dataclass(frozen=True)
class Nobody:
    """Stands for a policy."""


def made_up_trial(setting, entrant, work, shield=None, ward=""):
    """A trial with random numbers in the place of a simulation, which would have to be compiled."""
    scenario = setting.scenario
    rng = np.random.default_rng(len(entrant.name))
    patients, decisions = work.options.cohort.count, scenario.schedule.decisions
    by_decision = (patients, decisions)
    _, _, aim = scenario.edges()
    share = rng.uniform(0.0, 1.0, by_decision)
    failed = np.arange(patients) == 1
    trial = Trial(
        first=0,
        covariates={c.name: rng.uniform(c.low, c.high, patients) for c in scenario.covariates},
        values=np.where(
            failed[:, None, None], np.nan, rng.uniform(1.0, 80.0, (*by_decision, len(scenario.schedule.output_times_h)))
        ),
        measured=np.full((*by_decision, len(scenario.monitoring.at_h)), np.nan),
        baseline=np.full(patients, np.nan),
        metrics=aim[None] * rng.lognormal(0.0, 0.3, (*by_decision, aim.shape[1])),
        dose=rng.choice(scenario.dosage.grid(), by_decision),
        proposal=rng.choice(scenario.dosage.grid(), by_decision),
        every_h=np.full(by_decision, scenario.schedule.interval_h),
        reason=rng.integers(0, 3, by_decision),
        doubtful=np.zeros(by_decision, bool),
        abstained=np.zeros(by_decision, bool),
        inside=share,
        under=0.4 * (1.0 - share),
        over=0.6 * (1.0 - share),
        harms=rng.integers(0, 2, (*by_decision, len(scenario.goal.harms))).astype(float),
        reward=-share,
        alive=np.ones(by_decision, bool),
        failed=failed,
    )
    return gathered(scenario, [trial], patients), 0.01


@pytest.fixture
def made_up(monkeypatch):
    """Makes a scenario's record by the benchmark's own code, without running a policy."""
    for room in (benchmarks, benchmark_runs):
        monkeypatch.setattr(room, "treated", made_up_trial)
    monkeypatch.setattr(benchmark_runs, "prepare_trial", lambda *args, **options: Program(list, 1.0, 2.0, False))
    monkeypatch.setattr(
        entrants, "tuned", lambda definition, setting, seed: (Nobody(), {"candidates": 3, "amount": 1.0})
    )

    def make(name):
        scenario = find_scenario(name).value
        stress = tuple(n for n, s in STRESSES.items() if s.change(scenario) is not None)[:2]
        options = benchmarks.BenchmarkOptions(
            scenario=name,
            policies=("label", "random"),
            patients=12,
            shield=True,
            mismatch=len(scenario.models) + len(scenario.test_only) > 1,
            stress=stress,
        )
        return benchmarks.benchmark(options, command="rl-drug-dosage benchmark").record

    return make


def test_made_up_records_have_the_true_format(made_up):
    """What the tests above are told of is what a benchmark writes."""
    true, ours = without_names(made_up("vancomycin")), without_names(records.everything())
    for part in (true, ours):
        for row in part["policies"]:
            row["tuned"] = row["card"] = row["failed_patients"] = None
        for setting in part["stress"]:
            setting["policies"][0]["failed_patients"] = None
        part["worst"][0]["courses"]["NAME"]["reasons"] = None
        part["worst"][0]["courses"]["NAME"]["values"] = None
        part["scenario"]["dosage"]["per"] = None
        for window in part["scenario"]["windows"]:
            window["low"] = window["high"] = None
    assert ours == true


@pytest.mark.long
@pytest.mark.parametrize("name", names(SCENARIO))
def test_every_scenario_has_a_report(made_up, name):
    """With its windows, units, times and outputs: names and numbers are there, and the document holds together."""
    record = json.loads(json.dumps(made_up(name), allow_nan=False))
    text = report_html(record)
    page = Page(text)
    main = page.find("main")[0]["text"]
    assert len(page.ids) == len(set(page.ids))
    assert not re.search(r"\bNone\b|\bnan\b", main)
    for window in record["scenario"]["windows"]:
        assert window["source"] in main
    for harm in record["scenario"]["harms"]:
        assert harm["name"] in main
    on_output = any(View(record).on_output(w) for w in View(record).windows)
    drawn = [o.get("aria-labelledby", "") for e in page.find("rect", class_="window") for o in e["within"]]
    assert any(name.startswith("course-") for name in drawn) == on_output
