"""The command line, in this process: compiled programs are shared by all tests."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from rl_drug_dosage import cli


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str


TINY = [
    *("--num-envs", "4", "--num-steps", "64", "--num-minibatches", "4", "--update-epochs", "2"),
    *("--total-timesteps", "512", "--eval-freq", "1"),
]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run ``rl-drug-dosage`` with these arguments, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*args: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["rl-drug-dosage", *map(str, args)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        return Outcome(int(stop.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def _trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished small run, trained once."""
    folder = tmp_path_factory.mktemp("trained")
    args = ["rl-drug-dosage", "train", *TINY, "--run-name", "tiny", "--runs-dir", str(folder)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", args)
        with pytest.raises(SystemExit) as stop:
            cli.main()
    assert not stop.value.code
    return folder / "tiny"


@pytest.fixture
def tiny_run(run: Callable[..., Outcome], _trained: Path) -> Path:
    """A copy of it in this test's folder, as ``runs/tiny``."""
    return Path(shutil.copytree(_trained, Path("runs/tiny")))
