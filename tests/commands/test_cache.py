"""What is kept can be shown and removed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_clear_removes_programs_and_nothing_else(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "kept"
    (folder / "traced").mkdir(parents=True)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(folder))
    for name in ("jit_a-cache", "jit_a-atime", "traced/b.program", "mine.txt", "traced/mine.txt"):
        (folder / name).write_bytes(b"x" * 2**20)
    first = run("cache").out.splitlines()
    assert first[0].startswith("compiled: 3 files, 3.0 of at most 4,096 MiB, in ")
    assert first[1].startswith("traced: 2 files, 2.0 of at most 256 MiB, in ")
    assert run("cache", "clear").code == 0
    left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert left == ["mine.txt", "traced/mine.txt"]


def test_an_unknown_action_is_one_line(run: Callable[..., Any]) -> None:
    found = run("cache", "clera")
    assert found.code == 2
    assert (
        found.err
        == "rl-drug-dosage: error: unknown action of cache 'clera': did you mean 'clear'? known: clear, info\n"
    )
