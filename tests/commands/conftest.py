"""The command line, in this process: compiled programs are shared by all tests."""

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


TINY = "--num-envs 4 --num-steps 64 --num-minibatches 4 --update-epochs 2 --total-timesteps 512 --eval-freq 1".split()


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """Run ``rl-drug-dosage`` with these arguments, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*args: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["rl-drug-dosage", *map(str, args)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        return Outcome(int(stop.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture
def tiny_run(run: Callable[..., Outcome]) -> Path:
    """The folder of a finished small run."""
    done = run("train", *TINY, "--run-name", "tiny")
    assert done.code == 0, done.err
    return Path("runs/tiny")
