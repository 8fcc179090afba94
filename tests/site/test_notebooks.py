"""The pages of docs/notebooks as Jupyter notebooks: the same code, in order, and nothing that leads nowhere."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / "site").exists(), reason="a source distribution has no site")
PAGES = sorted(path.stem for path in (ROOT / "docs" / "notebooks").glob("*.md"))


def test_there_are_six():
    assert PAGES == ["headline", "offline", "pharmacist", "pharmacometrician", "researcher", "student"]


@pytest.mark.parametrize("page", PAGES)
def test_a_notebook_has_the_blocks_of_its_page(notebooks, tmp_path, page):
    """Python as it is, the shell under IPython's magic; the words without links to pages that are not there."""
    notebooks.write_all(tmp_path)
    made = json.loads((tmp_path / f"{page}.ipynb").read_text(encoding="utf-8"))
    text = (ROOT / "docs" / "notebooks" / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(python|bash)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)

    assert (made["nbformat"], made["nbformat_minor"]) == (4, 5)
    code = ["".join(cell["source"]) for cell in made["cells"] if cell["cell_type"] == "code"]
    assert code == [("%%bash\n" if kind == "bash" else "") + block.rstrip() for kind, block in blocks]
    words = "".join("".join(cell["source"]) for cell in made["cells"] if cell["cell_type"] == "markdown")
    assert words.startswith("# ")
    assert re.findall(r"\]\((?!https://)", words) == []
    assert len({cell["id"] for cell in made["cells"]}) == len(made["cells"])


def test_other_blocks_stay_words(notebooks):
    made = notebooks.notebook("# A\n\n```text\nshown\n```\n\n```python\nx = 1\n```\n\n[b](c.md), [d](https://e)\n")
    assert [(c["cell_type"], "".join(c["source"])) for c in made["cells"]] == [
        ("markdown", "# A\n\n```text\nshown\n```"),
        ("code", "x = 1"),
        ("markdown", "b, [d](https://e)"),
    ]


def test_the_site_shows_what_blocks_print_and_draw(notebooks, notebook_runs, monkeypatch, tmp_path):
    """Prints, the value of the last line, a figure; names of a block hold in the next; long texts are cut."""
    monkeypatch.setattr(notebook_runs, "kept", lambda _, make: (make(tmp_path), tmp_path)[1])
    blocks = [
        ("python", "import os\nx = 6\nprint(os.path.abspath('six'))\nx * 7\n"),
        ("bash", "for i in $(seq 70); do echo line $i; done\n"),
        ("python", "from matplotlib.figure import Figure\nf = Figure()\nf.subplots().plot([x])\nf\n"),
        ("python", "class T:\n    def _repr_html_(self):\n        return '<table></table>'\n\nT()\n"),
        ("bash", "python examples/train_with_sb3.py --steps 100000\n"),
    ]
    folder, found = notebook_runs.outputs("student", blocks)
    assert [one["text"] for one in (found[0], *found[2:])] == ["six\n42\n", "", "", ""]
    assert notebook_runs.shortened(found[1]["text"]).splitlines()[-2:] == ["line 60", "... and 10 more lines"]
    assert [one["table"] for one in found] == ["", "", "", "<table></table>", ""]
    assert [one["pictures"] for one in found] == [[], [], ["student-2.png"], [], []]
    cells = notebook_runs.as_cells(folder, found[2])
    assert [cell["output_type"] for cell in cells] == ["display_data"]
    page = "# A\n\n```python\n1\n```\n"
    assert notebooks.notebook(page, [cells])["cells"][1]["outputs"] == cells


def test_a_block_that_fails_ends_the_build(notebook_runs, monkeypatch, tmp_path):
    monkeypatch.setattr(notebook_runs, "kept", lambda _, make: (make(tmp_path), tmp_path)[1])
    with pytest.raises(
        SystemExit, match=r"docs/notebooks/student.md failed\n--- x = 1\nsaid\n(?s:.)*ZeroDivisionError"
    ):
        notebook_runs.outputs("student", [("python", "x = 1\nprint('said')\nx / 0\n")])
