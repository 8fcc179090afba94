"""Compiled programs that were damaged are removed, so that they are made again.

JAX writes an entry of its cache in place: a full disk, or a process that is killed, leaves a part of it. What cannot be
read is compiled, with a warning, but never written again, so that every later process would compile it and warn.
"""

import contextlib
import importlib
import re
import warnings
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["mend_when_warned", "remove_damaged"]

_UNREADABLE = re.compile(r"Error reading persistent compilation cache entry for '(?P<name>[^']+)'")
_ZSTD = b"\x28\xb5\x2f\xfd"


@cache
def mend_when_warned(folder: Callable[[], Path]) -> None:
    """From now on, remove what JAX warns that it cannot read, in place of showing the warning. Once in a process.

    Args:
        folder: gives the folder of the cache.
    """
    shown = warnings.showwarning

    def show(message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None) -> None:
        if found := _UNREADABLE.match(str(message)):
            remove_damaged(folder(), found["name"])
        else:
            shown(message, category, filename, lineno, file, line)

    warnings.showwarning = show


def remove_damaged(folder: Path, name: str) -> int:
    """Remove the entries of a program's name that cannot be decompressed; all of that name if each can be.

    Args:
        folder: of the cache.
        name: of the program, with which the names of its entries begin.

    Returns:
        How many were removed.
    """
    entries = [path for path in folder.glob("*-cache") if path.name.rpartition("-")[0].rpartition("-")[0] == name]
    damaged = [path for path in entries if not _whole(path)] or entries
    for path in damaged:
        # A folder that cannot be written stays as it is: the program is compiled all the same.
        with contextlib.suppress(OSError):
            path.unlink()
    return len(damaged)


def _whole(path: Path) -> bool:
    """Whether an entry can be decompressed."""
    try:
        raw = path.read_bytes()
        (_zstd() if raw[:4] == _ZSTD else zlib.decompress)(raw)
    except Exception:  # noqa: BLE001 - each way of compressing has errors of its own
        return False
    return True


def _zstd() -> Callable[[bytes], bytes]:
    """The way of decompressing that JAX prefers, where there is one."""
    try:
        found: Callable[[bytes], bytes] = importlib.import_module("compression.zstd").decompress
    except ImportError:
        found = importlib.import_module("zstandard").ZstdDecompressor().decompress
    return found
