"""The gallery: real reports, courses, dosing tables, made by the commands that stand beside them."""

import csv
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pictures import kept, place_picture
from staging import ROOT, Stage, filled

from reference import table

EXTRA = ROOT / "build" / "site-extra"
"""Files that go onto the site as they are."""
PAGE = "gallery.md"


@dataclass(frozen=True)
class Piece:
    """One piece of the gallery, as gallery.toml says it.

    Args:
        name: of its folder.
        title: its heading.
        words: what is to be seen.
        commands: run one after the other in a folder that has models/ and examples/.
        pictures: (file, what it shows).
        pages: (file, the words of its link), HTML that opens offline.
        text: what is made of the folder's files, one of `TEXTS`.
    """

    name: str
    title: str
    words: str
    commands: tuple[str, ...]
    pictures: tuple[tuple[str, str], ...] = ()
    pages: tuple[tuple[str, str], ...] = ()
    text: str = ""


def pieces() -> list[Piece]:
    """All pieces, in order."""
    text = (ROOT / "site" / "gallery.toml").read_text(encoding="utf-8")
    return [Piece(**piece) for piece in tomllib.loads(text)["piece"]]


def _ranking(folder: Path) -> str:
    with (folder / "benchmark-vancomycin" / "benchmark.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = ("attainment_pct.mean", "worst_5_pct", "final_pct", "burden.change_last_third_pct.median")
    head = ("policy", "target attainment, %", "worst 5 %", "last interval", "late change of dose, %")
    return table(head, ((f"`{row['policy']}`", *(f"{float(row[c]):.1f}" for c in columns)) for row in rows))


def _dosing_table(folder: Path) -> str:
    """The pages of the dosing table, between its heading and the next one."""
    text = (folder / "explained" / "explain.md").read_text(encoding="utf-8")
    _, found, rest = text.partition("\n## The table")
    inside = rest.partition("\n## ")[0] if found else text
    return "\n".join(line for line in inside.splitlines()[1:] if not line.startswith(("![", "#")))


TEXTS: dict[str, Callable[[Path], str]] = {"": lambda _: "", "ranking": _ranking, "dosing table": _dosing_table}


def write_gallery(stage: Stage, *, full: bool = True) -> None:
    """Write the page; what it shows is made once for each state of the package."""
    shutil.rmtree(EXTRA, ignore_errors=True)
    EXTRA.mkdir(parents=True)
    parts = [_piece(stage, piece) for piece in pieces()] if full else ["This build was made with `--no-gallery`."]
    stage.write(PAGE, filled("gallery", pieces="\n\n".join(parts)))


def _piece(stage: Stage, piece: Piece) -> str:
    folder = kept(f"gallery-{piece.name}", lambda into: _run(piece, into))
    block = "```bash\n" + "\n".join(piece.commands) + "\n```"
    parts = [f"## {piece.title}", piece.words.strip(), block]
    for file, words in piece.pages:
        there = EXTRA / "gallery" / piece.name / Path(file).name
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / file, there)
        parts.append(f'<a href="{there.relative_to(EXTRA).as_posix()}">{words} (opens as a page of its own)</a>')
    parts.append(TEXTS[piece.text](folder))
    for pattern, words in piece.pictures:
        for i, file in enumerate(sorted(folder.glob(pattern))):
            own = folder / f"{piece.name}-{file.stem}.png"
            if not own.exists():
                shutil.copyfile(file, own)
            parts.append(place_picture(stage, PAGE, own, words if i == 0 else f"{words} ({file.stem})"))
    return "\n\n".join(part for part in parts if part)


def _run(piece: Piece, folder: Path) -> None:
    for name in ("models", "examples"):
        (folder / name).symlink_to(ROOT / name, target_is_directory=True)
    for command in piece.commands:
        print(f"site: {command}", flush=True)
        program = [sys.executable, "-m", "rl_drug_dosage", *shlex.split(command)[1:]]
        done = subprocess.run(program, cwd=folder, env=os.environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"site: the gallery's command failed: {command}\n{done.stdout}{done.stderr}")
    for name in ("models", "examples"):
        (folder / name).unlink()
