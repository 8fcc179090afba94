"""The first page: what the site has, section by section, and the menu."""

import re

from staging import MADE, ROOT, Section, Stage, place, sections

from reference import tree

OWN_TITLE = {"README.md": "README: the project on one page"}


def write_home(stage: Stage) -> None:
    """Write index.md, and the menu's lists of pages below models."""
    found = sections()
    sentence = (ROOT / "README.md").read_text(encoding="utf-8").split("\n\n")
    parts = ["# rl_drug_dosage", sentence[1], sentence[2], f"**{sentence[3]}**"]
    parts.append("`````{container} cards\n" + "\n\n".join(_card(stage, section) for section in found) + "\n`````")
    parts += [tree(_entries(section), caption=section.name, hidden="", maxdepth="1") for section in found]
    stage.write("index.md", "\n\n".join(parts) + "\n")
    cards = sorted(p.stem for p in (ROOT / "models").glob("*.md") if p.name != "README.md")
    index = stage.linked((ROOT / "models" / "README.md").read_text(encoding="utf-8"), "models/README.md")
    stage.write("models/index.md", index + "\n\n" + tree([f"models/{c}" for c in cards], maxdepth="1", hidden=""))


def _entries(section: Section) -> list[str]:
    """The entries of the menu, with a title of their own where the heading will not do."""
    pairs = zip(section.pages, section.places(), strict=True)
    return [f"{OWN_TITLE[page]} </{where}>" if page in OWN_TITLE else f"/{where}" for page, where in pairs]


def _card(stage: Stage, section: Section) -> str:
    links = (f"- [{_title(stage, page)}]({place(page)})" for page in section.pages)
    rubric = f"```{{rubric}} {section.name}\n:heading-level: 2\n```"
    return "\n\n".join(("````{container} card", rubric, section.blurb, "\n".join(links), "````"))


def _title(stage: Stage, page: str) -> str:
    """Its first heading; the README's is that of the first page as well, so that it is called what it is."""
    if page in OWN_TITLE:
        return OWN_TITLE[page]
    path = stage.folder / place(page) if page.startswith(MADE) else ROOT / page
    found = re.search(r"^# (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else page
