"""The documentation site in a browser, opened from its folder with the network off: `make test-browser`.

RLDD_SITE names a site that is built already; otherwise one is built here, without the gallery.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
WIDTHS = (390, 1280)
PAGES = (
    "index",
    "start",
    "how-to/my-policy",
    "reference/api/trials",
    "drugs/vancomycin-goti2018",
    "glossary",
    "reference/cli/benchmark",
    "gallery",
)
QUERIES = {
    "vancomycin trough": "glossary.html",
    "GAE": "explanation/ppo-line-by-line.html",
    "resume": "training.html",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    if given := os.environ.get("RLDD_SITE"):
        return Path(given).resolve()
    folder = tmp_path_factory.mktemp("site") / "site"
    command = [sys.executable, ROOT / "site" / "build.py", "--no-gallery", "--output", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("page", PAGES)
def test_it_asks_for_its_own_files_alone_and_complains_of_nothing(browser, site, page):
    browser.view(1280)
    browser.open(site / f"{page}.html")
    browser.log("browser")
    browser.requests()
    browser.open(site / f"{page}.html")
    time.sleep(0.3)

    asked = [url for url in browser.requests() if not url.startswith("data:")]
    assert len(asked) > 3
    assert [url for url in asked if not url.startswith(site.as_uri())] == []
    assert browser.log("browser") == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("page", PAGES)
def test_the_page_never_scrolls_sideways(browser, site, page, width):
    browser.view(width)
    browser.open(site / f"{page}.html")

    assert browser.run("const e = document.documentElement; return e.scrollWidth - e.clientWidth") <= 0


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("page", PAGES)
def test_axe_finds_nothing_serious(browser, site, axe, page, width, dark):
    """Contrast, headings, tables, landmarks, what the keyboard reaches."""
    browser.view(width, dark=dark)
    browser.open(site / f"{page}.html")
    time.sleep(0.3)
    browser.devtools("Runtime.evaluate", expression=axe)
    found = browser.run(
        """
        return axe.run(document, {resultTypes: ['violations']}).then(r => r.violations.map(
          v => [v.impact, v.id, v.nodes.length, v.nodes.slice(0, 3).map(n => n.html.slice(0, 160))]));
        """
    )
    assert found == []


@pytest.mark.parametrize("query", QUERIES)
def test_the_search_finds_it_offline(browser, site, query):
    """From a file, without a server."""
    browser.view(1280)
    browser._own("POST", "/url", {"url": f"{(site / 'search.html').as_uri()}?q={query.replace(' ', '+')}"})
    found = []
    for _ in range(100):
        found = browser.run(
            "return [...document.querySelectorAll('#search-results .search > li > a')].map(a => a.getAttribute('href'))"
        )
        if any(QUERIES[query] in link for link in found):
            break
        time.sleep(0.1)
    assert any(QUERIES[query] in link for link in found), found
    browser.log("browser")


def test_the_theme_can_be_dark(browser, site):
    """As the system says, and by the switch."""
    ground = "return getComputedStyle(document.body).backgroundColor"
    browser.view(1280)
    browser.open(site / "index.html")
    light = browser.run(ground)
    browser.view(1280, dark=True)

    assert browser.run(ground) != light
