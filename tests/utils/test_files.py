"""A file is written whole or not at all."""

import contextlib
import errno
import os
from pathlib import Path
from typing import NoReturn

import pytest

from rl_drug_dosage.errors import OutputError
from rl_drug_dosage.utils.files import atomic_write, prepare_folder, swept


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_fault_at_any_step_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, fault: BaseException
) -> None:
    """A disk that fills at the flush or the rename, or Ctrl-C then, changes nothing on the disk."""

    def fail(*_: object) -> NoReturn:
        raise fault

    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OutputError if isinstance(fault, OSError) else KeyboardInterrupt):
        atomic_write(path, b"new")

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_new_file_is_on_the_disk_before_it_takes_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order is: flush the bytes, rename, flush the folder."""
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(descriptor: int) -> None:
        calls.append("flush " + os.path.realpath(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    def watched_replace(old: Path, new: Path) -> None:
        calls.append(f"rename {old} to {new}")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    atomic_write(tmp_path / "file", b"new")

    temporary = calls[0].removeprefix("flush ")
    assert temporary.endswith(".tmp")
    assert calls == [f"flush {temporary}", f"rename {temporary} to {tmp_path / 'file'}", f"flush {tmp_path}"]
    assert (tmp_path / "file").read_bytes() == b"new"


@pytest.mark.parametrize(("number", "refused"), [(errno.EIO, True), (errno.EINVAL, False)])
def test_a_folder_that_cannot_be_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, refused: bool
) -> None:
    """A fault of the disk is reported; a file system that has no such operation is not a fault."""
    fsync = os.fsync

    def fail_for_folders(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").is_dir():
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail_for_folders)
    with pytest.raises(OutputError) if refused else contextlib.nullcontext():
        atomic_write(tmp_path / "file", b"new")

    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


@pytest.mark.parametrize("place", ["missing/agent.pt", "folder", "pipe", "file/agent.pt", "a\0b", "."])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, place: str) -> None:
    """A missing folder, a folder, a device or an impossible name is an OutputError and is left as it was."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"kept")
    os.mkfifo(tmp_path / "pipe")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError) as caught:
        atomic_write(tmp_path / place, b"x")

    assert repr(str(tmp_path / place)) in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "pipe").is_fifo()


def test_a_written_file_has_the_permissions_of_the_users_umask(tmp_path: Path) -> None:
    """A model can be shared: it is not readable by its owner alone, unless the user wants that."""
    before = os.umask(0o027)
    try:
        atomic_write(tmp_path / "a", b"x")
    finally:
        os.umask(before)

    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_folder_is_made_and_tried_before_the_work(tmp_path: Path) -> None:
    """What is in the way is said at once; the trial leaves nothing behind."""
    folder = prepare_folder(tmp_path / "a" / "b", ["table.csv"])
    assert list(folder.iterdir()) == []
    (folder / "table.csv").mkdir()
    with pytest.raises(OutputError, match=r"'table\.csv' is a folder or a device; choose another --output-dir"):
        prepare_folder(folder, ["table.csv"])
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write to output folder"):
        prepare_folder(tmp_path / "file")


def test_a_folder_that_was_made_for_nothing_is_swept(tmp_path: Path) -> None:
    """Made inside and still empty when an error ends the block: gone. With a file in it, or there before: kept."""
    empty, used, old = (tmp_path / name for name in ("empty", "used", "old"))
    old.mkdir()

    def fail(folder: Path) -> None:
        with swept(folder):
            prepare_folder(folder)
            if folder == used:
                (folder / "report.html").touch()
            raise ZeroDivisionError

    for folder in (empty, used, old):
        with pytest.raises(ZeroDivisionError):
            fail(folder)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["old", "used"]
