"""What the blocks of a notebook's page print and draw: the page is run from its first block to its last.

Kept like the pictures of the site until a file of the package or the page itself changes.
"""

import base64
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from pictures import kept, place_picture
from staging import ROOT, Stage

NOT_RUN = {"python examples/train_with_sb3.py --steps 100000": "needs PyTorch"}
"""First line of a block -> why it does not run here."""
EXTRAS = {"offline": ("minari",), "researcher": ("optuna",)}
"""Modules that a page needs and that an installation without extras does not have."""
_MOST_LINES = 60


def outputs(stem: str, blocks: list[tuple[str, str]]) -> tuple[Path, list[dict[str, Any]]] | None:
    """The folder of a page's run, and what each block printed and drew; None where an extra is missing."""
    missing = [name for name in EXTRAS.get(stem, ()) if importlib.util.find_spec(name) is None]
    if missing:
        print(f"site: notebook {stem} without its output: {', '.join(missing)} is not installed", flush=True)
        return None
    run = [(kind, "" if code.splitlines()[0] in NOT_RUN else code) for kind, code in blocks]
    digest = hashlib.sha256(json.dumps(run).encode()).hexdigest()[:8]
    folder = kept(f"notebook-{stem}-{digest}", lambda into: _run(stem, run, into))
    return folder, json.loads((folder / "outputs.json").read_text(encoding="utf-8"))


def _run(stem: str, run: list[tuple[str, str]], folder: Path) -> None:
    print(f"site: running notebook {stem}", flush=True)
    for name in ("models", "examples"):
        shutil.copytree(ROOT / name, folder / name)
    done = run_blocks(run, folder, f"{stem}-")
    if done.returncode:
        raise SystemExit(f"site: a block of docs/notebooks/{stem}.md failed\n{done.stdout}{done.stderr}")
    for left in folder.iterdir():
        if left.is_dir():
            shutil.rmtree(left)


def run_blocks(blocks: list[tuple[str, str]], folder: Path, pictures: str = "") -> subprocess.CompletedProcess[str]:
    """Run blocks in a folder, in a process of its own, with this interpreter's programs; see run_blocks.py."""
    own = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "WANDB_MODE": "offline"}
    return subprocess.run(
        [sys.executable, "-c", (ROOT / "site" / "run_blocks.py").read_text(encoding="utf-8"), pictures],
        input=json.dumps(blocks),
        cwd=folder,
        env=os.environ | own | {"COLUMNS": "110", "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        check=False,
    )


def shortened(text: str) -> str:
    """The first lines, and how many more there are."""
    lines = text.rstrip().splitlines()
    if len(lines) <= _MOST_LINES:
        return "\n".join(lines)
    return "\n".join([*lines[:_MOST_LINES], f"... and {len(lines) - _MOST_LINES} more lines"])


def as_markdown(stage: Stage, page: str, folder: Path, found: dict[str, Any]) -> str:
    """What stands below a block on the site."""
    parts = [f"```text\n{shortened(found['text'])}\n```"] if found["text"].strip() else []
    if found["table"]:
        # The class that the theme gives to tables of text.
        own = found["table"].replace("<table>", '<table class="docutils">', 1)
        parts.append(f"<div class='table-wrapper'>{own}</div>")
    parts += [place_picture(stage, page, folder / name, "what the block above draws") for name in found["pictures"]]
    return "\n\n".join(parts)


def as_cells(folder: Path, found: dict[str, Any]) -> list[dict[str, Any]]:
    """The same as outputs of a notebook's cell."""
    made: list[dict[str, Any]] = []
    if found["text"].strip():
        lines = (shortened(found["text"]) + "\n").splitlines(keepends=True)
        made.append({"output_type": "stream", "name": "stdout", "text": lines})
    if found["table"]:
        data = {"text/html": found["table"]}
        made.append({"output_type": "execute_result", "execution_count": None, "metadata": {}, "data": data})
    for name in found["pictures"]:
        png = base64.b64encode((folder / name).read_bytes()).decode()
        made.append({"output_type": "display_data", "metadata": {}, "data": {"image/png": png}})
    return made
