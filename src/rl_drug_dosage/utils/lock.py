"""A lock on a folder's work: one process at a time, released by the operating system when that process ends."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from rl_drug_dosage.errors import OutputError

__all__ = ["LOCK_FILE", "locked"]

LOCK_FILE = ".lock"

_WITHOUT_LOCKS = {errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""Of file systems that know no locks (some of those over a network): there the work goes on without."""


@contextlib.contextmanager
def locked(folder: Path, doing: str, *, keep: bool = True) -> Iterator[None]:
    """Hold the lock of a folder, which exists.

    Args:
        folder: its file ``.lock`` holds the id of the process.
        doing: what the folder is, for the message of whoever comes second: ``"run folder"``.
        keep: leave the file when it is done, for a folder that is worked on again.

    Raises:
        OutputError: another process holds it, or nothing can be written there.
    """
    path = folder / LOCK_FILE
    handle = _open(path, doing)
    try:
        yield
    finally:
        if not keep:
            with contextlib.suppress(OSError):
                path.unlink()
        os.close(handle)


def _open(path: Path, doing: str) -> int:
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
            taken = _take(handle)
        except OSError as error:
            raise OutputError(
                f"cannot lock {str(path)!r}: {error.strerror or error}; choose a folder that can be written"
            ) from None
        # Its holder may have removed the file between our opening it and its release.
        if taken and _is_at(handle, path):
            os.ftruncate(handle, 0)
            os.write(handle, f"{os.getpid()}\n".encode())
            return handle
        holder = os.read(handle, 32).decode("ascii", "replace").strip()
        os.close(handle)
        if not taken:
            by = f" (process {holder})" if holder.isdigit() else ""
            raise OutputError(
                f"{doing} {path.parent} is in use by another process{by}: wait until it ends, or stop it first"
            )


def _is_at(handle: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    mine = os.fstat(handle)
    return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)


if sys.platform == "win32":
    import msvcrt

    _FAR = 1 << 30
    """Windows forbids others to read what is locked: a byte beyond the process id is."""

    def _take(handle: int) -> bool:
        os.lseek(handle, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(handle, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def _take(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _WITHOUT_LOCKS:
                raise
        return True
