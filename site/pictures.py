"""Pictures that the build draws, kept in build/site-pictures until a file of the package changes."""

import hashlib
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from staging import ROOT, Stage

KEPT = ROOT / "build" / "site-pictures"


@cache
def package_digest() -> str:
    """Of every file of the package, in whose figures the pictures may change."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "src").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def kept(name: str, make: Callable[[Path], None]) -> Path:
    """A folder of files that ``make`` writes, made once for each state of the package."""
    folder = KEPT / package_digest() / name
    if not folder.exists():
        part = folder.with_name(f"{name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        make(part)
        part.rename(folder)
    return folder


def forget_others() -> None:
    """Remove what belongs to other states of the package."""
    for folder in KEPT.glob("*"):
        if folder.name != package_digest():
            shutil.rmtree(folder)


def picture(stage: Stage, page: str, name: str, draw: Callable[[], Any], words: str) -> str:
    """The Markdown of a picture; it is drawn if it is not kept.

    Args:
        stage: where the site is laid out.
        page: that shows it.
        name: of the file, without suffix.
        draw: gives a matplotlib figure.
        words: what it shows, for those who do not see it.
    """

    def make(folder: Path) -> None:
        from rl_drug_dosage.checks.pictures import save

        print(f"site: drawing {name}", flush=True)
        save(draw(), folder / f"{name}.png")

    return place_picture(stage, page, kept(name, make) / f"{name}.png", words)


def place_picture(stage: Stage, page: str, file: Path, words: str) -> str:
    """Copy a picture beside the pages; the Markdown that shows it."""
    there = stage.folder / "pictures" / file.name
    there.parent.mkdir(parents=True, exist_ok=True)
    if not there.exists() or there.read_bytes() != file.read_bytes():
        shutil.copyfile(file, there)
    up = "../" * page.count("/")
    return f"![{words}]({up}pictures/{file.name})"
