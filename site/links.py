"""Looks every link of the built pages up: the file it leads to, and the place in it."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ADDRESSES = {"a": ("href",), "img": ("src", "srcset"), "link": ("href",), "script": ("src",), "source": ("src",)}
FETCHED = {"img", "link", "script", "source"}


class _Page(HTMLParser):
    """The links, the places and the fetched things of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[tuple[str, str]] = []
        self.places: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag names and where it leads."""
        said = dict(attrs)
        self.places |= {value for name in ("id", "name") if (value := said.get(name))}
        for name in ADDRESSES.get(tag, ()):
            if (address := said.get(name)) is not None:
                self.links.append((tag, address))


def check_links(site: Path) -> tuple[int, list[str]]:
    """(links within the site, faults): a file or place that is not there, and anything fetched from elsewhere."""
    pages = {path: _read(path) for path in sorted(site.rglob("*.html"))}
    count, faults = 0, []
    for path, page in pages.items():
        for tag, address in page.links:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                if tag in FETCHED and parts.scheme != "data":
                    faults.append(f"{path.relative_to(site)} fetches {address}: the site has to work offline")
                continue
            count += 1
            there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if there.is_dir():
                there /= "index.html"
            if not there.exists():
                faults.append(f"{path.relative_to(site)} links to {address}, which is not there")
            elif parts.fragment and there in pages and unquote(parts.fragment) not in pages[there].places:
                faults.append(f"{path.relative_to(site)} links to {address}, which has no such place")
    return count, faults


def _read(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page
