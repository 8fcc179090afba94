"""The pages of docs/notebooks as Jupyter notebooks: `make notebooks`, and beside each page of the site.

A page stays Markdown, which reads and changes well; its blocks run in the tests (tests/site/test_blocks.py). A notebook
has the same cells without output. Links to other pages are words there, because a notebook lies anywhere.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from staging import LINK, ROOT, Stage

FOLDER = ROOT / "docs" / "notebooks"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"\A# .+\n")


def notebook(text: str) -> dict[str, Any]:
    """A page as a notebook of format 4.5."""
    cells = []
    for kind, source in _cells(text):
        cell: dict[str, Any] = {"id": f"cell-{len(cells)}", "cell_type": kind, "metadata": {}}
        if kind == "code":
            cell |= {"execution_count": None, "outputs": []}
        cells.append(cell | {"source": source.splitlines(keepends=True)})
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    about = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": about, "cells": cells}


def _cells(text: str) -> Iterator[tuple[str, str]]:
    """(kind, source) of each cell; blocks of other languages than Python and the shell stay words."""
    words = ""
    end = 0
    for found in BLOCK.finditer(text):
        words += text[end : found.start()]
        end = found.end()
        if found[1] not in {"python", "bash"}:
            words += found[0]
            continue
        yield from _words(words)
        words = ""
        yield "code", (found[2] if found[1] == "python" else f"%%bash\n{found[2]}").rstrip()
    yield from _words(words + text[end:])


def _words(text: str) -> Iterator[tuple[str, str]]:
    def unlinked(match: re.Match[str]) -> str:
        return match[0] if "://" in match[2] else match[1]

    if said := LINK.sub(unlinked, text).strip():
        yield "markdown", said


def write_notebooks(stage: Stage, extra: Path) -> None:
    """Put a notebook beside each page, and a link to it under the page's heading."""
    write_all(extra / "notebooks")
    for path in pages():
        page = path.relative_to(ROOT).as_posix()
        text = stage.linked(path.read_text(encoding="utf-8"), page)
        link = f'<a href="{path.stem}.ipynb" download>Download as a Jupyter notebook</a>'
        stage.write(f"notebooks/{path.name}", HEADING.sub(rf"\g<0>\n{link}\n", text))


def pages() -> list[Path]:
    """The pages that are notebooks."""
    return sorted(FOLDER.glob("*.md"))


def write_all(folder: Path) -> list[Path]:
    """Write every notebook into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for path in pages():
        written.append(folder / f"{path.stem}.ipynb")
        made = json.dumps(notebook(path.read_text(encoding="utf-8")), indent=1, ensure_ascii=False)
        written[-1].write_text(made + "\n", encoding="utf-8")
    return written


if __name__ == "__main__":
    for one in write_all(ROOT / "build" / "notebooks"):
        print(one.relative_to(ROOT))
