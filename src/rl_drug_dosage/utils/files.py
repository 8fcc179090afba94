"""Writing a file whole or not at all."""

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path

from rl_drug_dosage.errors import OutputError

__all__ = ["atomic_write", "prepare_folder"]


def prepare_folder(folder: Path) -> Path:
    """Make the folder before the work begins, so that nothing is lost for want of it.

    Raises:
        OutputError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL character
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(f"cannot make output folder {folder}: {reason}; choose another --output-dir") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write to output folder {folder}; choose another --output-dir")
    return folder


def atomic_write(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path``: a reader, at any moment and after a power cut, finds the old file or the new one.

    The bytes go to a hidden ``.*.tmp`` file in the same folder, which is renamed onto ``path`` once it is on the disk.
    A process that is killed meanwhile leaves at most that hidden file behind. A symbolic link is itself replaced.

    Raises:
        OutputError: the place cannot be written (missing folder, no room, read-only, not a regular file).
    """
    try:
        _refuse_unless_regular(path)
        _write_beside_and_rename(path, data)
        _flush_folder(path.parent)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL character
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(
            f"cannot write {str(path)!r}: {reason}; name a file in an existing, writable folder with room for it"
        ) from error


def _refuse_unless_regular(path: Path) -> None:
    """Renaming would silently turn /dev/null, or a pipe, into a plain file."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "a folder or a device has this name")


def _write_beside_and_rename(path: Path, data: bytes) -> None:
    temporary = path.parent / f".{secrets.token_hex(8)}.tmp"
    # Not tempfile.mkstemp: its 0o600 would survive the rename, where the user's umask should decide.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    except BaseException:  # Ctrl-C as well must not leave the temporary file
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _flush_folder(folder: Path) -> None:
    """Without this a power cut may undo the rename."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network and FUSE file systems cannot flush a folder; the file itself is safe by now.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(descriptor)
