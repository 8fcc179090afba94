"""The page of `clinic` in a browser: by keyboard, on paper, saved and opened, at two widths, light and dark."""

import base64
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

WIDTHS = (390, 1280)
TABS = ("bedside", "trial", "play")
KEYS = {"Tab": 9, "Enter": 13, " ": 32, "ArrowRight": 39, "ArrowLeft": 37, "ArrowDown": 40}
PREPARING_S = 300


class Page:
    """The page, driven by keys."""

    def __init__(self, browser, address):
        self.browser, self.address = browser, address

    def open(self, width=1280, *, dark=False):
        self.browser.view(width, dark=dark)
        self.browser._own("POST", "/url", {"url": self.address})
        self.until("document.body.dataset.state === 'ready'", PREPARING_S)

    def until(self, script, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.browser.run(f"return Boolean({script})"):
                return
            time.sleep(0.05)
        said = self.browser.run(
            "return JSON.stringify(document.body.dataset) + document.getElementById('status').textContent"
        )
        pytest.fail(f"{script} is not so after {seconds} s: {said}")

    def press(self, key, times=1, *, shift=False):
        for _ in range(times):
            own = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": KEYS[key]}
            own |= {"modifiers": 8 if shift else 0}
            text = {"Enter": "\r", " ": " "}.get(key)
            down = own | ({"text": text} if text else {})
            self.browser.devtools("Input.dispatchKeyEvent", type="keyDown", **down)
            self.browser.devtools("Input.dispatchKeyEvent", type="keyUp", **own)

    def write(self, text):
        self.browser.devtools("Input.insertText", text=text)

    def tab_to(self, script, most=80):
        """Press Tab until the element with the focus, ``e``, is the one."""
        for _ in range(most):
            if self.browser.run(f"const e = document.activeElement; return Boolean(e && ({script}))"):
                return
            self.press("Tab")
        focus = self.browser.run("return document.activeElement.outerHTML.slice(0, 200)")
        pytest.fail(f"{script} was not reached by Tab; the focus is on {focus}")

    def fill(self, field, text):
        self.tab_to(f"e.dataset.field === {json.dumps(field)}")
        self.write(text)

    def changed(self, script):
        """Run a script that changes the form, and wait for the answer."""
        self.browser.run(f"document.body.dataset.state = 'before'; {script}")
        self.until("['ready', 'refused'].includes(document.body.dataset.state)", PREPARING_S)

    def set(self, field, value):
        self.changed(
            f"const e = document.querySelector('[data-field={json.dumps(field)}]'); e.value = {json.dumps(value)};"
            "e.dispatchEvent(new Event('input', {bubbles: true}));"
        )


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clinic")
    command = [sys.executable, "-m", "rl_drug_dosage", "clinic", "--no-browser"]
    with (
        (folder / "err").open("w") as err,
        subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=err, text=True) as server,
    ):
        said = [server.stdout.readline() for _ in range(3)]
        yield re.search(r"http://\S+", said[1])[0]
        server.terminate()
    # On a busy machine XLA remarks there that it compiles slowly.
    said = (folder / "err").read_text()
    assert "internal error" not in said
    assert "Traceback" not in said
    assert [p.name for p in folder.iterdir()] == ["err"]


@pytest.fixture(scope="module")
def page(browser, address):
    browser.devtools(
        "Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1
    )
    own = Page(browser, address)
    own.open()
    own.until("document.body.dataset.programs === 'ready'", PREPARING_S)
    yield own
    browser.devtools(
        "Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0
    )


def test_it_asks_its_own_server_alone_and_complains_of_nothing(browser, page, address):
    """From opening over another drug's example to a dose of one's own: no line on the console, no other address."""
    browser.log("browser")
    browser.requests()
    page.open()
    page.changed(
        "const e = document.getElementById('example'); e.value = 'example 1'; e.dispatchEvent(new Event('change'));"
    )
    for tab in ("trial", "play", "bedside"):
        browser.run(f"document.getElementById('tab-{tab}').click()")
        time.sleep(0.5)

    asked = [url for url in browser.requests() if not url.startswith("data:")]
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith(address)] == []
    assert browser.log("browser") == []
    assert "Research and education only" in browser.run("return document.body.innerText")


def test_a_patient_is_entered_and_dosed_by_keyboard_alone(browser, page):
    """New case, covariates, two doses, a level; then the slider, by its arrow keys."""
    page.open()
    page.tab_to("e.id === 'new'")
    page.press("Enter")
    page.until("document.activeElement.id === 'name'")
    page.write("Keyboard")
    page.fill("now", "2026-11-04 07:30")
    page.fill("zone", "Europe/Berlin")
    page.fill("covariates.crcl_ml_per_min", "60 mL/min")
    page.fill("covariates.wt_kg", "80 kg")
    page.tab_to("e.dataset.field === 'covariates.dialysis'")
    page.press("ArrowDown")
    for i, (at, amount) in enumerate((("2026-11-03 08:00", "1.5 g"), ("2026-11-03 20:00", "1 g")), 1):
        page.tab_to("e.id === 'add-dose'")
        page.press("Enter")
        page.until(f"document.activeElement.dataset.field === 'doses[{i}].time'")
        page.write(at)
        page.press("Tab")
        if i > 1:
            browser.run("document.activeElement.select()")
        page.write(amount)
        if i == 1:
            page.press("Tab")
            page.write("90 min")
    page.tab_to("e.id === 'add-level'")
    page.press("Enter")
    page.until("document.activeElement.dataset.field === 'levels[1].time'")
    page.write("2026-11-03 19:30")
    page.press("Tab")
    page.write("11 mg/L")

    page.until("document.body.dataset.state === 'ready' && document.querySelector('#dose .tiles')", PREPARING_S)
    shown = browser.run("return document.getElementById('results').innerText")
    assert "Bayesian dosing recommends" in shown
    assert "mg over" in shown
    assert browser.run("return document.querySelectorAll('#chart0 circle').length") == 1
    before = browser.run("return document.getElementById('own-range').value")
    page.tab_to("e.id === 'own-range'")
    page.press("ArrowRight")
    page.until("document.body.dataset.own === 'ready'")
    words = browser.run("return document.getElementById('own-words').textContent")
    moved = browser.run("return document.getElementById('own-mg').value")
    assert float(moved) != float(before)
    assert words.startswith(f"{float(moved):g} mg")
    assert "target" in words
    assert browser.run("return document.querySelectorAll('#chart0 .own').length") == 1


def test_of_the_former_patient_nothing_stays(browser, page):
    """Neither after New case nor before the answer for another example; and an empty form is no fault yet."""
    page.open()
    browser.run("document.getElementById('new').click()")
    assert browser.run("return document.body.dataset.state") == "empty"
    time.sleep(1)
    assert "Nothing is computed yet" in browser.run("return document.getElementById('results').innerText")
    assert browser.run("return document.querySelectorAll('#dose, .alarm, .error').length") == 0
    page.changed(
        "const e = document.getElementById('example'); e.value = 'example 1'; e.dispatchEvent(new Event('change'))"
    )
    assert browser.run("return document.querySelectorAll('#dose').length") == 1


def test_tables_with_two_harms_are_not_cut(browser, page):
    page.open(1280)
    page.changed(
        "const d = document.getElementById('drug'); d.value = 'infliximab'; d.dispatchEvent(new Event('change'))"
    )
    found = browser.run(
        "return [...document.querySelectorAll('#results .scroll')].map(e => e.scrollWidth - e.clientWidth)"
    )
    assert len(found) >= 4
    assert max(found) == 0


def test_the_tabs_are_chosen_by_arrows(browser, page):
    page.open()
    page.tab_to("e.id === 'tab-bedside'")
    page.press("ArrowRight")
    assert browser.run("return [document.activeElement.id, document.body.dataset.tab]") == ["tab-trial", "trial"]
    page.press("ArrowRight")
    assert browser.run("return document.getElementById('panel-play').hidden") is False
    page.press("ArrowRight")
    assert browser.run("return document.body.dataset.tab") == "bedside"


def test_a_saved_case_is_opened_again(browser, page, tmp_path):
    """What is saved is a patient file that the package reads; opened, it has the same answer."""
    from rl_drug_dosage.bedside.files import read_history

    page.open()
    page.changed(
        "const e = document.getElementById('example'); e.value = 'example 1'; e.dispatchEvent(new Event('change'));"
    )
    browser.devtools("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    page.tab_to("e.id === 'save'")
    page.press("Enter")
    file = tmp_path / "vancomycin-case.json"
    for _ in range(100):
        if file.exists() and file.stat().st_size:
            break
        time.sleep(0.1)
    assert len(read_history(file).levels) == 2
    tiles = "return document.querySelector('#dose .tiles').innerText"
    before = browser.run(tiles)

    page.open()
    assert browser.run(tiles) != before
    opened(browser, page, file, "ready")

    assert browser.run(tiles) == before
    assert "missed dose" in browser.run("return document.getElementById('name').value")


def opened(browser, page, path, state):
    """Open a file on the page."""
    root = browser.devtools("DOM.getDocument")["root"]["nodeId"]
    node = browser.devtools("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
    browser.run("document.body.dataset.state = 'before'")
    browser.devtools("DOM.setFileInputFiles", files=[str(path)], nodeId=node)
    page.until(f"document.body.dataset.state === '{state}'", PREPARING_S)


@pytest.mark.parametrize("name", ["vancomycin.toml", "gentamicin.json"])
def test_a_patient_file_whose_clearance_is_computed_is_opened(browser, page, name):
    page.open()
    opened(browser, page, Path(__file__).parents[2] / "examples" / "patients" / name, "ready")
    assert "by cockcroft-gault" in browser.run("return document.getElementById('results').innerText")


def test_a_file_that_names_no_formula_asks_for_one(browser, page):
    page.open()
    opened(browser, page, Path(__file__).parents[2] / "examples" / "patients" / "vancomycin_bundle.json", "refused")
    page.changed("const e = document.getElementById('offer'); e.value = '0'; e.dispatchEvent(new Event('change'));")
    assert browser.run("return document.body.dataset.state") == "ready"
    assert "by cockcroft-gault" in browser.run("return document.getElementById('status').textContent")


def test_an_answer_of_before_is_marked_while_the_next_is_computed(browser, page):
    """The network is made slow, as the compiler is for a history of another size."""
    page.open()
    browser.run(
        """
        window.marked = false;
        new MutationObserver(() => {
          const said = document.querySelector('#results > .busy'), old = document.querySelector('#results .stale');
          if (said && old) window.marked = true;
        }).observe(document.getElementById('results'), {childList: true, subtree: true, attributes: true});
        const real = window.fetch;
        window.fetch = (...all) => new Promise((done) => setTimeout(() => done(real(...all)), 900));
        """
    )
    page.set("levels[1].value", "19 mg/L")
    assert browser.run("return window.marked")
    assert not browser.run("return document.querySelectorAll('#results .busy, #results .stale').length")


def test_the_patients_of_a_table_can_be_chosen(browser, page, tmp_path):
    table = tmp_path / "ward.csv"
    table.write_text(
        "ID,TIME,AMT,RATE,DV,CRCL,WT\nP1,0,1000,1000,.,80,70\nP1,11.5,.,.,9.1,80,70\n"
        "P2,0,1250,1250,.,110,82\nP2,11.5,.,.,6.4,110,82\n"
    )
    page.open()
    opened(browser, page, table, "ready")

    assert browser.run("return document.getElementById('name').value") == "P1"
    assert "ward.csv holds 2 patients" in browser.run("return document.getElementById('status').textContent")
    browser.run("document.body.dataset.state = 'before'")
    browser.run(
        "const e = document.getElementById('example'); e.value = 'file 1'; e.dispatchEvent(new Event('change'));"
    )
    page.until("document.body.dataset.state === 'ready'", PREPARING_S)
    assert browser.run("return document.getElementById('name').value") == "P2"
    assert "1250" in browser.run("return document.querySelector('[data-field=\"doses[1].amount\"]').value")


def test_categories_are_shown_as_they_are_told(browser, page):
    """Sex, which the file has as a code; yes and no."""
    page.open()
    page.changed(
        "const e = document.getElementById('drug'); e.value = 'infliximab'; e.dispatchEvent(new Event('change'));"
    )
    page.until("document.body.dataset.state === 'ready'", PREPARING_S)

    found = browser.run(
        """
        return [...document.querySelectorAll('#covariates select')].map(
          s => [s.labels[0].textContent, s.selectedOptions[0].textContent]);
        """
    )
    assert ["Sex", "male"] in found or ["Sex", "female"] in found
    assert not [row for row in found if row[1] == "not known"]


def test_rows_are_pasted_from_a_spreadsheet(browser, page):
    page.open()
    page.changed(
        """
        const e = document.querySelector('[data-field="levels[1].time"]'), data = new DataTransfer();
        data.setData('text/plain', '2026-03-03 04:00\\t40 mg/L\\r\\n2026-03-03 07:15\\t30 mg/L\\r\\n');
        e.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true}));
        """
    )
    found = browser.run("return [...document.querySelectorAll('#levels tbody input')].map(i => i.value)")
    assert found == ["2026-03-03 04:00", "40 mg/L", "2026-03-03 07:15", "30 mg/L"]
    assert browser.run("return document.querySelectorAll('#chart0 circle').length") == 2


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("levels[1].time", "2026-03-01 08:00", "before any dose"),
        ("doses[2].time", "2026-03-02 08:00", "has a dose already"),
        ("now", "2026-03-01 08:00", "after now"),
        ("levels[1].value", "20 kg", "is a mass"),
        ("covariates.wt_kg", "", "missing"),
        ("covariates.wt_kg", "800 kg", "possible"),
        ("zone", "Mars/Olympus", "Mars/Olympus"),
        ("ask.next_dose", "2026-03-01 08:00", "before now"),
        ("doses[1].time", "2026-03-29 02:30", "does not exist"),
    ],
)
def test_a_slip_is_said_in_words_next_to_its_field(browser, page, field, value, said):
    page.open()
    page.set(field, value)

    assert browser.run("return document.body.dataset.state") == "refused"
    shown = browser.run(
        """
        const e = document.querySelector('#case [aria-invalid]'), near = document.getElementById('field-error');
        if (!e || !near) return null;
        const far = Math.abs(e.getBoundingClientRect().bottom - near.getBoundingClientRect().top);
        return [near.textContent, e.getAttribute('aria-describedby'), far];
        """
    )
    assert shown is not None
    assert said in shown[0]
    assert shown[1] == "field-error"
    assert shown[2] < 120
    assert said in browser.run("return document.querySelector('#results .alarm').textContent")
    browser.log("browser")


def test_levels_that_contradict_every_model_are_said_in_red(browser, page):
    page.open()
    page.changed(
        """
        const e = document.querySelector('[data-field="levels[1].time"]'), data = new DataTransfer();
        data.setData('text/plain', '2026-03-03 07:00\\t200 mg/L\\n2026-03-03 07:15\\t0.1 mg/L\\n');
        e.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true}));
        """
    )

    shown = browser.run("return document.querySelector('#results .alarm').textContent")
    assert "contradict every model" in shown
    tiles = browser.run("return document.querySelector('#dose .tiles').innerText")
    assert "Nothing is recommended; the label's rule gives" in tiles


def test_it_is_printed(browser, page):
    """As PDF: the sheet has the dose and the curve, and no buttons."""
    page.open()
    found = browser.devtools("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
    assert base64.b64decode(found["data"]).startswith(b"%PDF")
    browser.view(794, media="print")
    seen = browser.run(
        """
        const shown = id => getComputedStyle(document.querySelector(id)).display !== 'none';
        const end = e => e.getBoundingClientRect().right;
        const wide = [...document.querySelectorAll('table, svg')].filter(e => end(e) > innerWidth + 1);
        return [...['.tabs', '.buttons', '.own-dose', '#dose .tiles', '.use'].map(shown), wide.length];
        """
    )
    assert seen == [False, False, False, True, True, 0]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("tab", TABS)
def test_the_page_never_scrolls_sideways(browser, page, width, tab):
    page.open(width)
    browser.run(f"document.getElementById('tab-{tab}').click()")
    time.sleep(0.5)
    found = browser.run(
        """
        const wide = [...document.querySelectorAll('body *')].filter(e => {
          const r = e.getBoundingClientRect();
          return r.right > innerWidth + 0.5 && r.width > 0 && !e.closest('.scroll, pre, .skip') && !e.ownerSVGElement;
        }).map(e => e.outerHTML.slice(0, 90));
        return [document.documentElement.scrollWidth - document.documentElement.clientWidth, wide.slice(0, 5)];
        """
    )
    assert found == [0, []]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("tab", [*TABS, "refused"])
def test_axe_finds_nothing_serious(browser, page, axe, width, dark, tab):
    """Names, contrast, roles, order; also of the form with a slip in it."""
    page.open(width, dark=dark)
    if tab == "refused":
        page.set("levels[1].value", "20 kg")
    else:
        browser.run(f"document.getElementById('tab-{tab}').click()")
        time.sleep(0.5)
    browser.devtools("Runtime.evaluate", expression=axe)
    found = browser.run(
        """
        return axe.run(document, {resultTypes: ['violations']}).then(r => r.violations.map(
          v => [v.impact, v.id, v.nodes.length, v.nodes[0].html.slice(0, 200)]));
        """
    )
    assert found == []
    browser.log("browser")


def test_a_game_is_played(browser, page):
    """Two decisions by keyboard: the slider, Enter; the chart grows."""
    page.open()
    browser.run("document.getElementById('tab-play').click()")
    page.until("document.querySelectorAll('#play-scenario option').length > 2")
    page.tab_to("e.id === 'play-start'")
    page.press("Enter")
    page.until("document.body.dataset.game === '0'", PREPARING_S)
    for turn in ("1", "2"):
        page.tab_to("e.id === 'play-amount'")
        page.press("ArrowRight")
        page.press("Enter")
        page.until(f"document.body.dataset.game === '{turn}'")
    assert "decision 3 of 14" in browser.run("return document.getElementById('h-game').textContent")
    assert browser.run("return document.querySelectorAll('#play-chart circle').length") >= 1


def test_a_change_is_answered_soon(browser, page):
    """Once warm. The bar is 300 ms on a quiet machine; here only that nothing is compiled anew."""
    page.open()
    page.until("document.body.dataset.programs === 'ready'", PREPARING_S)
    times = []
    for value in ("30 mg/L", "31 mg/L", "29 mg/L"):
        page.set("levels[1].value", value)
        times.append(int(browser.run("return document.body.dataset.reaction")))
    assert min(times) < 2000
