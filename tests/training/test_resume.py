"""A resumed run is, bit for bit, the run that was never stopped."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

OURS = [
    *("--num-envs", "4", "--num-steps", "64", "--num-minibatches", "4", "--update-epochs", "4"),
    *("--total-timesteps", "8192", "--checkpoint-freq", "3", "--eval-freq", "5"),
]
THEIRS = [
    *("--env-id", "Pendulum-v1", "--num-envs", "2", "--num-steps", "32", "--num-minibatches", "4"),
    *("--update-epochs", "2", "--total-timesteps", "1024", "--checkpoint-freq", "3", "--eval-freq", "0"),
]
SCENARIO = [
    *("--scenario", "vancomycin", "--num-envs", "4", "--num-steps", "16", "--num-minibatches", "4"),
    *("--update-epochs", "2", "--total-timesteps", "384", "--checkpoint-freq", "2", "--eval-freq", "0"),
]
KILLING = Path(__file__).with_name("killing.py")


def _start(folder: Path, *args: str) -> subprocess.Popen[str]:
    place = [] if "--resume" in args else ["--runs-dir", str(folder)]
    command = [sys.executable, "-m", "rl_drug_dosage", "train", *place, *args]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=dict(os.environ))


def _finish(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    return out


def _uninterrupted(folder: Path, args: list[str]) -> Path:
    _finish(_start(folder, *args, "--run-name", "full"))
    return folder


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """The folder of the scenario's run that is never stopped, and how often it touches the disk."""
    folder = tmp_path_factory.mktemp("scenario")
    out = _finish(_killed(folder, 0, SCENARIO, "full"))
    return folder, int(out.splitlines()[-1])


def _killed(folder: Path, number: int, args: list[str], name: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(KILLING), str(folder), str(number), "train", "--runs-dir", str(folder), *args]
    return subprocess.Popen([*command, "--run-name", name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the compiled run that is never stopped."""
    return _uninterrupted(tmp_path_factory.mktemp("ours"), OURS)


def _stop_and_resume(same_runs, folder: Path, args: list[str], number: signal.Signals, lines: int) -> None:
    """Stop a run once it has written so many lines of metrics, resume it, compare it with the one never stopped."""
    name = f"stopped-{number.name}-{lines}"
    metrics, config = folder / name / "metrics.jsonl", folder / name / "config.toml"
    process = _start(folder, *args, "--run-name", name)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        written = metrics.read_bytes().count(b"\n") if metrics.exists() else -1
        if written >= lines or (lines == 0 and config.exists()):
            break
        time.sleep(0.002)
    process.send_signal(number)
    out, _ = process.communicate(timeout=120)
    if "model:" not in out:  # a small run may be over before the signal arrives
        codes = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}
        assert process.returncode == codes[number], out
        if number is not signal.SIGKILL:
            assert f"--resume {folder / name}" in out
        _finish(_start(folder, "--resume", str(folder / name)))
    same_runs(folder / "full", folder / name)


@pytest.mark.parametrize(
    ("number", "lines"),
    [(signal.SIGKILL, 0), (signal.SIGKILL, 5), (signal.SIGTERM, 4), (signal.SIGINT, 2)],
    ids=["kill-at-start", "kill", "term", "ctrl-c"],
)
def test_a_stopped_run_goes_on_as_if_nothing_had_happened(same_runs, ours, number, lines):
    """Weights, optimiser, normaliser, keys, environments and step axis, after every way of being stopped."""
    _stop_and_resume(same_runs, ours, OURS, number, lines)


def test_a_run_on_a_foreign_environment_goes_on_as_well(same_runs, tmp_path):
    """Its episodes are replayed from their seeds and actions."""
    _stop_and_resume(same_runs, _uninterrupted(tmp_path, THEIRS), THEIRS, signal.SIGKILL, 5)


def test_resuming_a_finished_run_changes_nothing(ours):
    """It says that the run is complete."""
    before = (ours / "full" / "checkpoint.pt").read_bytes()
    assert "complete already" in _finish(_start(ours, "--resume", str(ours / "full")))
    assert (ours / "full" / "checkpoint.pt").read_bytes() == before


@pytest.mark.parametrize(
    "share", [0.0, *(pytest.param(share, marks=pytest.mark.slow) for share in (0.15, 0.4)), 0.75, 1.0]
)
def test_a_kill_at_any_touch_of_the_disk_costs_nothing(same_runs, scenario, share):
    """Of a scenario's run: from the first file to the last one, resumed or, if it never began, started again."""
    folder, touches = scenario
    number = 1 + round(share * (touches - 1))
    name = f"killed-{number}"
    process = _killed(folder, number, SCENARIO, name)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, out
    # What is not there yet may be started under its name; what is there can be resumed.
    again = ["--resume", str(folder / name)] if (folder / name).exists() else [*SCENARIO, "--run-name", name]
    _finish(_start(folder, *again))
    same_runs(folder / "full", folder / name)
