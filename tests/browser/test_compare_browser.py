"""The page of `compare` in a browser, with the network off: `make test-browser`."""

import json

import pytest

import rl_drug_dosage as rldd
from rl_drug_dosage.training.compare.page import comparison_html

pytestmark = pytest.mark.browser

WIDTHS = (390, 1280)
LONG = "a-run-whose-name-is-much-longer-than-any-phone-is-wide-and-has-to-wrap-somewhere"
TINY = {
    "num_envs": 4, "num_steps": 64, "num_minibatches": 4, "update_epochs": 2, "hidden_size": 8, "eval_freq": 1,
    "total_timesteps": 2048, "progress": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The page of three runs, one of them with one seed, and a broken one."""
    folder = tmp_path_factory.mktemp("runs")
    for name, own in (("a", {"seeds": 3}), (LONG, {"seeds": 3, "gamma": 0.9}), ("one", {"env_kwargs": '{"k": 0.1}'})):
        rldd.train(**TINY, runs_dir=str(folder), run_name=name, **own)
    (folder / "broken").mkdir()
    record = rldd.compare([folder / n for n in ("a", LONG, "one", "broken")], progress=False).record
    found = folder / "comparison.html"
    found.write_text(comparison_html(json.loads(json.dumps(record))), encoding="utf-8")
    return found


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_and_asks_for_nothing(browser, path, width, dark):
    """One request, the file itself; not a line on the console; nothing wider than the window; every figure drawn."""
    browser.view(width, dark=dark)
    browser.log("browser")
    browser.requests()
    browser.open(path)
    browser.run("return new Promise(done => setTimeout(done, 300))")

    assert [url for url in browser.requests() if not url.startswith("data:")] == [path.as_uri()]
    assert browser.log("browser") == []
    assert browser.run("return document.documentElement.scrollWidth <= window.innerWidth")
    empty = browser.run(
        "return [...document.querySelectorAll('svg[role=img]')].filter(s => s.getBoundingClientRect().height < 40 "
        "|| !s.querySelector('.median, .dot')).map(s => s.querySelector('title').textContent)"
    )
    assert empty == []
    assert browser.run("return document.querySelectorAll('svg[role=img]').length") == 7


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing(browser, axe, path, width, dark):
    """Contrast, headings, tables, landmarks, names of figures."""
    browser.view(width, dark=dark)
    browser.open(path)
    browser.devtools("Runtime.evaluate", expression=axe)
    found = browser.run(
        "return axe.run(document, {resultTypes: ['violations']})"
        ".then(r => r.violations.map(v => [v.impact, v.id, v.nodes[0].html.slice(0, 200)]))"
    )
    assert found == []
