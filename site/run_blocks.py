"""Run blocks of Python and of the shell one after the other, as they would be typed: names hold from one to the next.

Reads ``[[kind, code], ...]`` as JSON, and writes what each block printed, returned and drew into ``outputs.json``. It
is run as the text of ``python -c``, so that blocks import what lies in their folder, and nothing from here. An
argument begins the names of pictures.
"""

import ast
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

NAMES: dict[str, Any] = {"__name__": "page"}


def run(kind: str, code: str, picture: Path) -> dict[str, Any]:
    """Run one block; the value of its last line is a picture, a table, or is printed."""
    shown: dict[str, Any] = {"table": "", "pictures": []}
    if kind != "python":
        subprocess.run(["bash", "-euo", "pipefail", "-c", code], check=True)
        return shown
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "block", "exec"), NAMES)
    value = eval(compile(ast.Expression(last.value), "block", "eval"), NAMES) if last is not None else None
    if hasattr(value, "savefig"):
        value.savefig(picture, dpi=110)
        shown["pictures"].append(picture.name)
    elif hasattr(value, "_repr_html_"):
        shown["table"] = value._repr_html_()
    elif value is not None:
        print(value)
    return shown


@contextmanager
def screen_into(file: IO[bytes]) -> Iterator[None]:
    """What this process and those that it starts print goes into a file."""
    screen = os.dup(1)
    os.dup2(file.fileno(), 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(screen, 1)
        os.close(screen)


def main() -> None:
    """Run all blocks; where one fails, say which, and what it had printed."""
    found = []
    for number, (kind, code) in enumerate(json.load(sys.stdin)):
        with tempfile.TemporaryFile() as file:
            try:
                with screen_into(file):
                    shown = run(kind, code, Path(f"{''.join(sys.argv[1:])}{number}.png"))
            except BaseException:
                print(f"--- {code.splitlines()[0]}\n{_text(file)}", flush=True)
                raise
            found.append({"text": _text(file), **shown})
    Path("outputs.json").write_text(json.dumps(found), encoding="utf-8")


def _text(file: IO[bytes]) -> str:
    """What was printed; the folder, which is the building machine's, is left out of paths."""
    file.seek(0)
    return file.read().decode().replace(f"{Path.cwd()}{os.sep}", "")


if __name__ == "__main__":
    main()
