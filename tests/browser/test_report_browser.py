"""The benchmark's report in a browser, with the network off: `make test-browser`."""

import importlib.util
import json
from pathlib import Path

import pytest

from rl_drug_dosage.reports.page import report_html

pytestmark = pytest.mark.browser

_FILE = Path(__file__).resolve().parents[1] / "reports" / "report_records.py"
_SPEC = importlib.util.spec_from_file_location("report_records", _FILE)
records = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(records)

LONG = "a-policy-whose-model-file-has-a-name-that-is-much-longer-than-any-phone-is-wide"
HOSTILE = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"
RECORDS = {
    "everything": records.everything,
    "large": records.large,
    "single": lambda: records.make_record(("label",), harms=()),
    "open": lambda: records.make_record(
        windows=(("peak", "concentration", None, 30.0, "mg/L"), ("nadir", "concentration", 5.0, None, "mg/L"))
    ),
    "names": lambda: records.make_record(
        ("mipd", LONG, HOSTILE, "oracle"), stress=("double-error",), failed={LONG: (1,)}
    ),
}
WIDTHS = (390, 1280)

VISIBLE = """
const visible = e => { const r = e.getBoundingClientRect(); return r.width > 0 && r.height > 0; };
const pages = [...document.querySelectorAll('.picker input')];
const figures = () => [...document.querySelectorAll('svg[role=img]')].filter(visible);
const name = svg => svg.querySelector('title').textContent;
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Writes a record's report and gives its path."""
    folder = tmp_path_factory.mktemp("reports")

    def write(name):
        path = folder / f"{name}.html"
        if not path.exists():
            path.write_text(report_html(json.loads(json.dumps(RECORDS[name]()))), encoding="utf-8")
        return path

    return write


@pytest.fixture(params=RECORDS)
def path(request, page):
    return page(request.param)


def test_it_asks_for_nothing_and_complains_of_nothing(browser, path):
    """One request, the file itself; not a line on the console; no name becomes code."""
    browser.view(1280)
    browser.log("browser")
    browser.requests()
    browser.open(path)
    browser.run("return new Promise(done => setTimeout(done, 300))")
    assert [url for url in browser.requests() if not url.startswith("data:")] == [path.as_uri()]
    assert browser.log("browser") == []
    assert browser.run("return document.title").endswith("dosing policies compared")
    assert browser.run("return document.querySelectorAll('script, img, iframe, object, link[href^=http]').length") == 1


@pytest.mark.parametrize("width", WIDTHS)
def test_every_figure_is_drawn(browser, path, width):
    """Each has a place on the page, and marks in it; those of each patient once the patient is chosen."""
    browser.view(width)
    browser.open(path)
    found = browser.run(
        VISIBLE
        + """
        const empty = [], seen = new Set();
        const look = () => {
          for (const svg of figures()) {
            seen.add(svg);
            const marks = [...svg.querySelectorAll('path, rect, circle')].filter(m => {
              const b = m.getBBox();
              return b.width + b.height > 0 && !m.closest('.grid') && !m.matches('.axis, .track');
            });
            const r = svg.getBoundingClientRect();
            if (r.width < 60 || r.height < 15 || !marks.length) empty.push(name(svg));
          }
        };
        look();
        for (const input of pages) { input.click(); look(); }
        return [empty, seen.size, document.querySelectorAll('svg[role=img]').length];
        """
    )
    assert found[0] == []
    assert found[1] == found[2] > 0


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_never_scrolls_sideways(browser, path, width):
    """What is wider scrolls in a box of its own, which takes the focus."""
    browser.view(width)
    browser.open(path)
    wide = browser.run(
        """
        const wide = [];
        for (const e of document.querySelectorAll('body *')) {
          const r = e.getBoundingClientRect();
          if (r.right > innerWidth + 0.5 && r.width > 0 && !e.closest('.scroll, pre, .skip') && !e.ownerSVGElement)
            wide.push(e.outerHTML.slice(0, 90));
        }
        const page = document.documentElement;
        return [page.scrollWidth - page.clientWidth, innerWidth, wide.slice(0, 5)];
        """
    )
    assert wide == [0, width, []]


@pytest.mark.parametrize("width", WIDTHS)
def test_every_word_can_be_read(browser, path, width):
    """No letter below 9 pixels; in a figure no text leaves it or lies on another one."""
    browser.view(width)
    browser.open(path)
    found = browser.run(
        VISIBLE
        + """
        const small = [], lost = [], met = [];
        for (const e of document.querySelectorAll('body *')) {
          const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
          if (!own || !visible(e) || e.closest('script')) continue;
          const scale = e.ownerSVGElement ? e.getScreenCTM().a : 1;
          const size = parseFloat(getComputedStyle(e).fontSize) * scale;
          if (size < 9) small.push([size, e.textContent.slice(0, 60)]);
        }
        for (const svg of figures()) {
          const frame = svg.getBoundingClientRect();
          const boxes = [...svg.querySelectorAll('text')].map(t => [t.getBoundingClientRect(), t.textContent]);
          for (const [b, text] of boxes)
            if (b.left < frame.left - 1 || b.right > frame.right + 1 ||
                b.top < frame.top - 1 || b.bottom > frame.bottom + 1)
              lost.push([name(svg), text]);
          boxes.forEach(([a, one], i) => boxes.slice(i + 1).forEach(([b, other]) => {
            const over = Math.min(a.right, b.right) - Math.max(a.left, b.left);
            const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
            if (over > 1 && down > 4) met.push([name(svg), one, other]);
          }));
        }
        return [small.slice(0, 5), lost.slice(0, 5), met.slice(0, 5)];
        """
    )
    assert found == [[], [], []]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["everything", "single", "names"])
def test_axe_finds_nothing_serious(browser, page, axe, name, width, dark):
    """Contrast, headings, tables, landmarks, names of figures."""
    browser.view(width, dark=dark)
    browser.open(page(name))
    # DevTools evaluates it: the page's own policy allows no further script.
    browser.devtools("Runtime.evaluate", expression=axe)
    found = browser.run(
        """
        for (const e of document.querySelectorAll('details')) e.open = true;
        return axe.run(document, {resultTypes: ['violations']}).then(r => r.violations.map(
          v => [v.impact, v.id, v.nodes.length, v.nodes[0].html.slice(0, 200)]));
        """
    )
    assert [v for v in found if v[0] in {"serious", "critical"}] == []
    assert found == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_words_and_marks_of_figures_stand_out(browser, page, dark):
    """WCAG 2.2: 4.5 to 1 for text, 3 to 1 for lines and dots. axe does not look into SVG."""
    browser.view(1280, dark=dark)
    browser.open(page("everything"))
    found = browser.run(
        """
        const parse = c => c.match(/[\\d.]+/g).map(Number);
        const light = c => { const f = parse(c).slice(0, 3).map(v => v / 255)
          .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
          return 0.2126 * f[0] + 0.7152 * f[1] + 0.0722 * f[2]; };
        const ratio = (a, b) => {
          const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
          return (x + 0.05) / (y + 0.05);
        };
        const weak = new Set();
        let looked = 0;
        for (const e of document.querySelectorAll(
            'svg text, .median, .whisker, .dot, .window-edge, .axis, .zero, .bar, .ghost, .changed')) {
          const s = getComputedStyle(e), text = e.tagName === 'text';
          const colour = text || e.matches('.dot, .bar, .changed') ? s.fill : s.stroke;
          const ground = getComputedStyle(e.closest('section')).backgroundColor;
          looked += 1;
          if (ratio(colour, ground) < (text ? 4.5 : 3)) weak.add(`${e.tagName} ${e.getAttribute('class')} ${colour}`);
        }
        return [looked, [...weak]];
        """
    )
    assert found[0] > 1000
    assert found[1] == []


def test_without_scripts_everything_is_there(browser, page):
    """All but the choice of policies; a patient is chosen by a radio button."""
    browser.view(390, scripts=False)
    browser.open(page("everything"))
    assert _shown(browser) == [1, False]
    browser.devtools("Runtime.evaluate", expression="document.getElementById('pick-3').click()")
    found = browser.devtools(
        "Runtime.evaluate",
        expression="[...document.querySelectorAll('.patient')].findIndex(p => p.offsetHeight > 0)",
    )
    assert found["result"]["value"] == 3
    browser.view(390)


def _shown(browser):
    script = """(() => {
      const patients = [...document.querySelectorAll('.patient')].filter(p => p.offsetHeight > 0).length;
      return [patients, document.getElementById('filter').offsetHeight > 0];
    })()"""
    return browser.devtools("Runtime.evaluate", expression=script, returnByValue=True)["result"]["value"]


def test_policies_can_be_left_out_of_the_figures(browser, page):
    """Unticking one hides its panels everywhere, and only its."""
    browser.view(1280)
    browser.open(page("everything"))
    assert _shown(browser) == [1, True]
    found = browser.run(
        """
        const box = document.querySelector('#filter input[value="1"]');
        const shown = p => [...document.querySelectorAll('figure')]
          .filter(f => (f.dataset.policy === '1') === p && f.checkVisibility()).length;
        const before = [shown(true), shown(false)];
        box.click();
        const without = [shown(true), shown(false)];
        box.click();
        return [before, without, [shown(true), shown(false)]];
        """
    )
    (own, others), without, again = found
    assert own > 3
    assert without == [0, others]
    assert again == [own, others]


def test_on_paper_nothing_is_cut_off(browser, page):
    """No box scrolls, the chosen patient is printed, and the page is as wide as a sheet of A4, lying."""
    browser.view(1032, media="print")
    browser.open(page("everything"))
    found = browser.run(
        """
        const cut = [...document.querySelectorAll('table, pre, svg')].filter(
          e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80));
        return [document.documentElement.scrollWidth - document.documentElement.clientWidth, cut];
        """
    )
    assert found == [0, []]
