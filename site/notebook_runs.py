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

DRIVER = """
import ast, json, os, subprocess, sys, tempfile
import matplotlib
matplotlib.use("agg")
names = {"__name__": "page"}
found = []
for i, (kind, code) in enumerate(json.load(sys.stdin)):
    pictures, table = [], ""
    with tempfile.TemporaryFile() as caught:
        sys.stdout.flush()
        screen = os.dup(1)
        os.dup2(caught.fileno(), 1)
        try:
            if kind == "bash":
                subprocess.run(["bash", "-euo", "pipefail", "-c", code], check=True)
            else:
                tree = ast.parse(code)
                last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
                exec(compile(tree, "block", "exec"), names)
                if last is not None:
                    value = eval(compile(ast.Expression(last.value), "block", "eval"), names)
                    if hasattr(value, "savefig"):
                        pictures.append(f"{i}.png")
                        value.savefig(pictures[-1], dpi=110)
                    elif hasattr(value, "_repr_html_"):
                        table = value._repr_html_()
                    elif value is not None:
                        print(value)
        finally:
            sys.stdout.flush()
            os.dup2(screen, 1)
            os.close(screen)
        caught.seek(0)
        found.append({"text": caught.read().decode(), "table": table, "pictures": pictures})
with open("outputs.json", "w") as file:
    json.dump(found, file)
"""


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
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        input=json.dumps(run),
        cwd=folder,
        env=os.environ | {"PATH": path, "WANDB_MODE": "offline", "COLUMNS": "110"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"site: a block of docs/notebooks/{stem}.md failed\n{done.stdout}{done.stderr}")
    for left in folder.iterdir():
        if left.is_dir():
            shutil.rmtree(left)


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
    for name in found["pictures"]:
        named = folder / f"{Path(page).stem}-{name}"
        shutil.copyfile(folder / name, named)
        parts.append(place_picture(stage, page, named, "what the block above draws"))
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
