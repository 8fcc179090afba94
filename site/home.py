"""The first page: what the site has, section by section, and the menu."""

import re

from reference import tree
from staging import MADE, ROOT, Section, Stage, place, sections


def write_home(stage: Stage) -> None:
    """Write index.md, and the menu's lists of pages below models."""
    found = sections()
    sentence = (ROOT / "README.md").read_text(encoding="utf-8").split("\n\n")
    parts = ["# rl_drug_dosage", sentence[1], sentence[2], f"**{sentence[3]}**"]
    parts += [_card(stage, section) for section in found]
    parts += [tree(section.places(), caption=section.name, hidden="", maxdepth="1") for section in found]
    stage.write("index.md", "\n\n".join(parts) + "\n")
    cards = sorted(p.stem for p in (ROOT / "models").glob("*.md") if p.name != "README.md")
    index = stage.linked((ROOT / "models" / "README.md").read_text(encoding="utf-8"), "models/README.md")
    stage.write("models/index.md", index + "\n\n" + tree([f"models/{c}" for c in cards], maxdepth="1", hidden=""))


def _card(stage: Stage, section: Section) -> str:
    links = (f"[{_title(stage, page)}]({place(page)})" for page in section.pages)
    return f"## {section.name}\n\n{section.blurb}\n\n" + "\n".join(f"- {link}" for link in links)


def _title(stage: Stage, page: str) -> str:
    """The first heading."""
    path = stage.folder / place(page) if page.startswith(MADE) else ROOT / page
    found = re.search(r"^# (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else page
