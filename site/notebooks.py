"""The pages of docs/notebooks as Jupyter notebooks: `make notebooks`, and beside each page of the site.

A page stays Markdown, which reads and changes well; its blocks run in the tests (tests/site/test_blocks.py). A notebook
has the same cells; on the site, page and notebook also show what the blocks print and draw (notebook_runs.py). Links to
other pages are words in a notebook, because it lies anywhere.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from notebook_runs import as_cells, as_markdown, outputs
from staging import LINK, ROOT, Stage

FOLDER = ROOT / "docs" / "notebooks"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
RUNNABLE = ("python", "bash")
HEADING = re.compile(r"\A# .+\n")


def notebook(text: str, shown: Sequence[list[dict[str, Any]]] = ()) -> dict[str, Any]:
    """A page as a notebook of format 4.5.

    Args:
        text: of the page.
        shown: the outputs of each cell of code; none where there are none.
    """
    cells: list[dict[str, Any]] = []
    left = iter(shown)
    for kind, source in _cells(text):
        cell: dict[str, Any] = {"id": f"cell-{len(cells)}", "cell_type": kind, "metadata": {}}
        if kind == "code":
            cell |= {"execution_count": None, "outputs": next(left, [])}
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
        if found[1] not in RUNNABLE:
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


def write_notebooks(stage: Stage, extra: Path, *, run: bool = True) -> None:
    """Put a notebook beside each page, and a link to it under the page's heading; both with outputs, if ``run``."""
    for path in pages():
        page = path.relative_to(ROOT).as_posix()
        text = path.read_text(encoding="utf-8")
        blocks = [(found[1], found[2]) for found in BLOCK.finditer(text) if found[1] in RUNNABLE]
        made = outputs(path.stem, blocks) if run else None
        folder, found = made or (extra, [])
        _write(extra / "notebooks", path, [as_cells(folder, one) for one in found])
        below = iter([as_markdown(stage, f"notebooks/{path.name}", folder, one) for one in found])

        def with_output(match: re.Match[str], below: Iterator[str] = below) -> str:
            printed = next(below, "") if match[1] in RUNNABLE else ""
            return f"{match[0]}\n\n{printed}" if printed else match[0]

        text = BLOCK.sub(with_output, stage.linked(text, page))
        link = f'<a href="{path.stem}.ipynb" download>Download as a Jupyter notebook</a>'
        stage.write(f"notebooks/{path.name}", HEADING.sub(rf"\g<0>\n{link}\n", text))


def pages() -> list[Path]:
    """The pages that are notebooks."""
    return sorted(FOLDER.glob("*.md"))


def write_all(folder: Path) -> list[Path]:
    """Write every notebook into a folder."""
    return [_write(folder, path) for path in pages()]


def _write(folder: Path, page: Path, shown: Sequence[list[dict[str, Any]]] = ()) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    made = json.dumps(notebook(page.read_text(encoding="utf-8"), shown), indent=1, ensure_ascii=False)
    (there := folder / f"{page.stem}.ipynb").write_text(made + "\n", encoding="utf-8")
    return there


if __name__ == "__main__":
    for one in write_all(ROOT / "build" / "notebooks"):
        print(one.relative_to(ROOT))
