"""Write the files of a result together: they appear at one moment, or not at all."""

import contextlib
import secrets
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

from rl_drug_dosage.errors import OutputError
from rl_drug_dosage.utils.files import Content, atomic_write, flush_folder, remove_leftovers
from rl_drug_dosage.utils.lock import LOCK_FILE

__all__ = ["publish"]


def publish(folder: Path, files: Mapping[str, Content]) -> tuple[Path, ...]:
    """Put all files into a folder.

    The caller holds the folder's lock. Files are written beside it first. A folder that is new, or that holds nothing
    but its lock, is then renamed to its place, all files at once. In a folder that holds something else they are
    renamed one right after the other. What killed processes have left goes.

    Args:
        folder: made where it is missing; files of these names are replaced.
        files: contents by name.

    Returns:
        Their paths, in the order of ``files``.

    Raises:
        OutputError: they cannot be written.
    """
    staged = folder.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        remove_leftovers(folder)
        staged.mkdir(parents=True)
        for name, content in files.items():
            atomic_write(staged / name, content)
        if not _take_place(staged, folder):
            folder.mkdir(exist_ok=True)
            for name in files:
                (staged / name).replace(folder / name)
            staged.rmdir()
        flush_folder(folder)
        flush_folder(folder.parent)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL character
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"cannot write to output folder {folder}: {reason}; choose another --output-dir") from None
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return tuple(folder / name for name in files)


def _take_place(staged: Path, folder: Path) -> bool:
    """Rename a finished folder to its place, if nothing lies there."""
    if folder.is_symlink() or (folder.is_dir() and {p.name for p in folder.iterdir()} - {LOCK_FILE}):
        return False
    # Whoever holds the lock holds the open file, which needs no name; a second one finds the folder filled.
    with contextlib.suppress(FileNotFoundError):
        (folder / LOCK_FILE).unlink()
    try:
        if folder.exists():
            staged.chmod(stat.S_IMODE(folder.stat().st_mode))
        staged.rename(folder)
    except OSError:  # something came in between, or a system that renames onto no folder: file by file, then
        return False
    return True
