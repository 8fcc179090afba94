"""Results that appear together, and folders that one process works in at a time."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from rl_drug_dosage.errors import OutputError
from rl_drug_dosage.utils.files import swept
from rl_drug_dosage.utils.lock import LOCK_FILE, locked
from rl_drug_dosage.utils.publish import publish

FILES = {"a.json": b"1", "b.csv": b"2", "c.html": b"3"}


def _names(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()}


def test_files_appear_together_in_a_new_folder_an_empty_one_and_a_locked_one(tmp_path):
    """And nothing else stays: no lock, no temporary folder."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "locked").mkdir()
    for name in ("new", "empty", "deep/er", "locked"):
        folder = tmp_path / name
        if name == "locked":
            with locked(folder, "output folder", keep=False):
                paths = publish(folder, FILES)
        else:
            paths = publish(folder, FILES)
        assert [p.read_bytes() for p in paths] == list(FILES.values())
        assert _names(folder) == set(FILES)
    assert _names(tmp_path) == {"new", "empty", "deep", "locked"}


def test_what_lies_in_the_folder_stays_and_files_of_the_same_name_are_replaced(tmp_path):
    """A folder of the user's."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    (tmp_path / "out" / "a.json").write_text("old")
    publish(tmp_path / "out", FILES)
    assert _names(tmp_path / "out") == {*FILES, "mine.txt"}
    assert (tmp_path / "out" / "a.json").read_bytes() == b"1"


def test_what_a_killed_process_left_is_no_file_of_the_user_s(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".0123456789abcdef.tmp").write_text("half")
    (tmp_path / "out" / ".mine.tmp").write_text("mine")
    publish(tmp_path / "out", FILES)
    assert _names(tmp_path / "out") == {*FILES, ".mine.tmp"}


def test_a_folder_keeps_its_access_rights(tmp_path):
    """What nobody else may read stays so."""
    (tmp_path / "out").mkdir(mode=0o700)
    publish(tmp_path / "out", FILES)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700


def test_a_place_that_cannot_be_written_is_one_line_and_leaves_nothing(tmp_path):
    """A file in the way."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write to output folder"):
        publish(tmp_path / "file" / "out", FILES)
    with pytest.raises(OutputError, match="cannot write to output folder"):
        publish(tmp_path / "file", FILES)
    assert _names(tmp_path) == {"file"}


def test_a_second_holder_is_refused_with_the_first_one_s_process(tmp_path):
    """And is let in once the first is done; the file goes or stays."""
    with locked(tmp_path, "run folder"):
        message = rf"run folder .* in use by another process \(process {os.getpid()}\)"
        with pytest.raises(OutputError, match=message), locked(tmp_path, "run folder"):
            pass
        assert (tmp_path / LOCK_FILE).read_text() == f"{os.getpid()}\n"
    with locked(tmp_path, "run folder", keep=False):
        pass
    assert not list(tmp_path.iterdir())


def test_a_lock_goes_with_its_process(tmp_path):
    """Killed without warning, it holds nothing any more."""
    code = (
        "import os, sys; from pathlib import Path; from rl_drug_dosage.utils.lock import locked\n"
        "with locked(Path(sys.argv[1]), 'run folder'):\n    print('held', flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-9, "held\n")
    with locked(tmp_path, "run folder"):
        pass


def test_no_folder_of_a_refused_command_is_left_not_even_its_parents(tmp_path):
    """What was there before stays."""
    (tmp_path / "a").mkdir()

    def refused() -> None:
        with swept(tmp_path / "a" / "b" / "c"):
            (tmp_path / "a" / "b" / "c").mkdir(parents=True)
            raise KeyError

    with pytest.raises(KeyError):
        refused()
    assert _names(tmp_path) == {"a"}
    assert not _names(tmp_path / "a")
