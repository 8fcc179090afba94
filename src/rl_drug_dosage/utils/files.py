"""Write files atomically, completely or not at all, and prepare their folder before the work begins."""

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from rl_drug_dosage.errors import OutputError

__all__ = [
    "Content",
    "atomic_write",
    "beside_and_renamed",
    "flush_folder",
    "prepare_folder",
    "remove_leftovers",
    "swept",
]

_TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp")


def prepare_folder(folder: Path, names: Iterable[str] = ()) -> Path:
    """Create a folder for results and check that it is writable, before the work begins.

    Args:
        folder: created with its parents if missing.
        names: names of the files to be written; existing entries with these names must be plain files.

    Returns:
        The folder.

    Raises:
        OutputError: the folder cannot be created or written, or a name belongs to a folder or device.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            _refuse_unless_regular(folder / name)
        # access rights are not sufficient: they look writable to an administrator and on a read-only mount
        probe = folder / f".{secrets.token_hex(8)}.tmp"
        probe.touch(exist_ok=False)
        probe.unlink()
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL character
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(f"cannot write to output folder {folder}: {reason}; choose another --output-dir") from None
    return folder


def remove_leftovers(folder: Path) -> None:
    """Remove the hidden files that killed processes left; only for a folder in which nobody else writes."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if _TEMPORARY.fullmatch(path.name) and path.is_file():
                path.unlink()


@contextlib.contextmanager
def swept(folder: Path | None) -> Iterator[None]:
    """Remove the empty folders created inside the block, parents included, if it ends with an error."""
    missing = [] if folder is None else [f for f in (folder, *folder.parents) if not f.exists()]
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # not empty, or never created
            for created in missing:
                created.rmdir()
        raise


type Content = bytes | Callable[[BinaryIO], None]
"""What a file holds, or what writes it, bit by bit, into an open one."""


def atomic_write(path: Path, data: Content) -> None:
    """Write ``data`` to ``path``. At any time, even after a power cut, a reader finds the old file or the new one.

    The bytes go to a hidden ``.*.tmp`` file in the same folder, which is renamed to ``path`` once it is on disk. A
    process that is killed meanwhile leaves at most that hidden file. A symbolic link is itself replaced.

    Raises:
        OutputError: the path cannot be written (missing folder, disk full, read-only, not a regular file).
    """
    try:
        _refuse_unless_regular(path)
        with beside_and_renamed(path) as handle:
            if isinstance(data, bytes):
                handle.write(data)
            else:
                data(handle)
        flush_folder(path.parent)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL character
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(
            f"cannot write {str(path)!r}: {reason}; name a file in an existing, writable folder with enough space"
        ) from error


def _refuse_unless_regular(path: Path) -> None:
    """Refuse devices and pipes: renaming would silently replace /dev/null by a plain file."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, f"{path.name!r} is a folder or a device")


@contextlib.contextmanager
def beside_and_renamed(path: Path) -> Iterator[BinaryIO]:
    """A file that is written beside its place, and appears there whole at the end of the block, or not at all.

    Raises:
        OSError: it cannot be written.
    """
    temporary = path.parent / f".{secrets.token_hex(8)}.tmp"
    # Not tempfile.mkstemp: its mode 0o600 would survive the rename, but the user's umask should apply.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    except BaseException:  # Ctrl-C must not leave the temporary file either
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def flush_folder(folder: Path) -> None:
    """Flush the folder; otherwise a power cut may undo the rename."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network and FUSE file systems cannot flush a folder; the file itself is already safe.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(descriptor)
