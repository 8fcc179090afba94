"""Makes the built pages fit for those who do not see them or use no mouse: what Sphinx and the theme leave open.

axe-core names each of these (tests/browser/test_site_browser.py).
"""

import re
from pathlib import Path

_LINES = re.compile(r"<dl>\n((?:<dd>.*</dd>\n)+)</dl>")

CHANGES = (
    # A heading has a level.
    (re.compile(r'<p class="caption" role="heading">'), '<p class="caption" role="heading" aria-level="2">'),
    # Two landmarks of a kind have names.
    (re.compile(r'<aside class="sidebar-drawer">'), '<aside class="sidebar-drawer" aria-label="Menu">'),
    (re.compile(r'<aside class="toc-drawer'), '<aside aria-label="On this page" class="toc-drawer'),
    # What scrolls can be scrolled by keys.
    (re.compile(r"<pre(?=[ >])(?! tabindex)"), '<pre tabindex="0"'),
    (re.compile(r'<div class="table-wrapper(?=[^"]*")'), '<div tabindex="0" class="table-wrapper'),
    # Between an argument and what it is stands a dash; elsewhere two hyphens begin an option.
    (re.compile(r"(<p><strong>\S+</strong>[^\n]*?) -- "), r"\1 – "),
    # The page of the search is called what it is.
    (re.compile(r'<div id="search-results">'), '<h1>Search</h1>\n<div id="search-results">'),
    # A column without a name has no heading.
    (re.compile(r'<th class="head([^"]*)"><p></p></th>'), r'<td class="head\1"></td>'),
)


def finish(site: Path) -> None:
    """Change every page in place."""
    for path in site.rglob("*.html"):
        if "gallery" in path.relative_to(site).parts:  # reports with a style of their own
            continue
        text = path.read_text(encoding="utf-8")
        new = _LINES.sub(_signature, text)
        for pattern, instead in CHANGES:
            new = pattern.sub(instead, new)
        if new != text:
            path.write_text(new, encoding="utf-8")


def _signature(match: re.Match[str]) -> str:
    """The parameters of a long signature, a line each: a list that defines nothing is no list of definitions."""
    lines = match[1].replace("<dd>", '<span class="sig-line">').replace("</dd>", "</span>")
    return f'<span class="sig-lines">\n{lines}</span>'
