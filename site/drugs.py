"""The drug pages of docs/drugs, each with a picture of the typical patient."""

from typing import Any

from pictures import picture
from staging import ROOT, Stage, place

from reference import tree
from rl_drug_dosage.registry import load_drug

FOLDER = ROOT / "docs" / "drugs"


def write_drugs(stage: Stage) -> None:
    """Copy the pages, put the picture behind the first paragraph, and list the pages for the menu."""
    names = sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != "index")
    for name in names:
        page = f"docs/drugs/{name}.md"
        title, _, *rest = stage.linked((ROOT / page).read_text(encoding="utf-8"), page).split("\n\n")
        shown = picture(
            stage, place(page), f"drug-{name}", _drawn(name), f"The typical patient of {name} at the usual dose"
        )
        line = f"`{name}`, built in; `rl-drug-dosage info --drug {name}` prints this page."
        stage.write(place(page), "\n\n".join((title, line, shown, *rest)) + "\n")
    page = "docs/drugs/index.md"
    text = stage.linked((ROOT / page).read_text(encoding="utf-8"), page)
    stage.write(place(page), text + "\n\n" + tree([f"{n} </drugs/{n}>" for n in names], maxdepth="1", hidden=""))


def _drawn(name: str) -> Any:
    def draw() -> Any:
        from rl_drug_dosage.checks.pictures import draw_drug

        return draw_drug(load_drug(name))

    return draw
