"""Lays the pages of the site out for Sphinx: copies of the repository's own texts, with their links made the site's.

The texts stay where they are read on their own (README, docs/, models/). A copy's place is its place in the
repository, without ``docs/``; what lies outside of docs and is no page itself, such as a source file that a page links
to, becomes a page under ``files/`` that shows it. So no link leads out of the site.
"""

import os
import re
import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
MADE = "made:"
OWN_PLACE = {
    "README.md": "readme.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "CHANGELOG.md": "project/changelog.md",
    "models/README.md": "models/index.md",
    "benchmarks/README.md": "project/benchmarks.md",
    "tests/reference/pkpd/README.md": "project/reference-data.md",
}
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
IMAGE = re.compile(r"!\[((?:[^\[\]])*)\]\(([^()\s:]+)\)")
# Pages that the build writes are no files of the repository, so that a text names one in italics and not by a link.
MADE_NAME = re.compile(r"\*Reference: ([A-Za-z ]+)\*")
MADE_PLACE = {
    "Python API": "reference/api.md",
    "command line": "reference/cli.md",
    "metrics": "reference/metrics.md",
    "observations": "reference/observations.md",
    "policies": "reference/policies.md",
    "scenarios": "reference/scenarios.md",
}
FENCE = re.compile(r"^(```+|~~~+)")
LEXERS = {".py": "python", ".toml": "toml", ".json": "json", ".csv": "text", ".sh": "bash", ".txt": "text"}
# Pygments has no lexer of these names; a title after the name is not for it either.
WORDS = {"csv": "text", "sh": "bash"}


@dataclass(frozen=True)
class Section:
    """A part of the menu.

    Args:
        name: its title.
        blurb: the line under it on the first page.
        pages: paths in the repository, or ``made:`` and a place on the site.
    """

    name: str
    blurb: str
    pages: tuple[str, ...]

    def places(self) -> tuple[str, ...]:
        """Where its pages lie on the site, without suffix."""
        return tuple(place(page).removesuffix(".md") for page in self.pages)


def sections() -> list[Section]:
    """The menu; pages that are not there yet are left out only if they are made by the build."""
    found = tomllib.loads((ROOT / "site" / "navigation.toml").read_text(encoding="utf-8"))["section"]
    return [Section(s["name"], s["blurb"], tuple(s["pages"])) for s in found]


def filled(name: str, **parts: str) -> str:
    """A page of site/pages with what the build makes in the places that it leaves open."""
    text = (ROOT / "site" / "pages" / f"{name}.md").read_text(encoding="utf-8")
    for part, made in parts.items():
        text = text.replace(f"<!-- {part} -->", made)
    return text


def place(page: str) -> str:
    """Where a text of the repository lies on the site."""
    if page.startswith(MADE):
        return page.removeprefix(MADE)
    return OWN_PLACE.get(page) or page.removeprefix("docs/")


@dataclass
class Stage:
    """A folder of Sphinx sources that is being filled.

    Args:
        folder: where it lies.
        shown: files of the repository that pages link to and that are shown as pages.
        written: the pages so far.
    """

    folder: Path
    shown: set[str] = field(default_factory=set)
    written: set[Path] = field(default_factory=set)

    def write(self, where: str, text: str) -> None:
        """Write a page; one that is as it was keeps its time, so that Sphinx does not read it again."""
        path = self.folder / where
        self.written.add(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")

    def copy(self, page: str) -> None:
        """Write the copy of a text, links changed."""
        text = (ROOT / page).read_text(encoding="utf-8")
        self.write(place(page), self.linked(text, page))

    def linked(self, text: str, page: str) -> str:
        """The text with the links of its place in the repository as links of its place on the site, pictures copied."""
        at = place(page)
        own = PurePosixPath(page).parent

        def pictured(match: re.Match[str]) -> str:
            file = ROOT / os.path.normpath(own / match[2])
            there = PurePosixPath("pictures") / file.name
            (self.folder / "pictures").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, self.folder / there)
            return f"![{match[1]}]({os.path.relpath(there, PurePosixPath(at).parent)})"

        def changed(match: re.Match[str]) -> str:
            label, target = match[1], match[2]
            path, hash_mark, anchor = target.partition("#")
            if not path or re.match(r"[a-z][a-z+.-]*:", path):
                return match[0]
            whole = os.path.normpath(own / path)
            if not (ROOT / whole).exists():
                raise SystemExit(f"site: {page} links to {target}, which is not in the repository: correct the link")
            there = os.path.relpath(self.target(whole), PurePosixPath(at).parent)
            return f"[{label}]({there}{hash_mark}{anchor})"

        def named(match: re.Match[str]) -> str:
            if match[1] not in MADE_PLACE:
                raise SystemExit(f"site: {page} names {match[0]}; allowed: {', '.join(MADE_PLACE)}; correct the name")
            there = os.path.relpath(MADE_PLACE[match[1]], PurePosixPath(at).parent)
            return f"[Reference: {match[1]}]({there})"

        # A link's words may be broken over two lines, so that whole stretches of prose are looked at.
        parts = (
            (fenced, "\n".join(line for _, line in lines)) for fenced, lines in groupby(_lines(text), lambda x: x[0])
        )
        return "\n".join(
            part if fenced else MADE_NAME.sub(named, LINK.sub(changed, IMAGE.sub(pictured, part)))
            for fenced, part in parts
        )

    def target(self, whole: str) -> str:
        """The page of the site that stands for a path of the repository."""
        path = ROOT / whole
        if path.is_dir():
            for index in ("README.md", "index.md"):
                if (path / index).exists():
                    return place(f"{whole}/{index}")
        elif path.suffix == ".md":
            return place(whole)
        self.shown.add(whole)
        return f"files/{whole}.md"

    def show_files(self) -> None:
        """Write a page for each source file or folder that a page links to."""
        for whole in sorted(self.shown):
            self.write(f"files/{whole}.md", self._file(whole))

    def _file(self, whole: str) -> str:
        head = f"---\norphan: true\n---\n# {whole}\n\n"
        path = ROOT / whole
        if path.is_dir():
            names = sorted(p.name for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
            texts = [f"## {n}\n\n{_block(path / n)}" for n in names if (path / n).suffix in LEXERS]
            return head + "\n\n".join(texts) + "\n"
        return head + _block(path) + "\n"


def _block(path: Path) -> str:
    text = path.read_text(encoding="utf-8").rstrip()
    fence = "`" * (1 + max((len(m) for m in re.findall(r"`{3,}", text)), default=2))
    return f"{fence}{LEXERS.get(path.suffix, 'text')}\n{text}\n{fence}"


def _lines(text: str) -> Iterator[tuple[bool, str]]:
    """(whether it belongs to a code block, the line); the first line of a block with a lexer that Pygments knows."""
    fence = ""
    for line in text.splitlines():
        found = FENCE.match(line)
        if fence:
            yield True, line
            fence = "" if found and line.strip() == fence else fence
        elif found:
            fence = found[1]
            word = line[len(fence) :].split(" ")[0].strip()
            yield True, fence + WORDS.get(word, word)
        else:
            yield False, line
