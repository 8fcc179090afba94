"""Fifty runs that are killed without warning, at any time and at any touch of the disk: each goes on, bit for bit."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

KILLING = Path(__file__).parents[1] / "training" / "killing.py"
SMALL = ["--num-minibatches", "4", "--update-epochs", "2", "--checkpoint-freq", "2"]
KINDS = {
    "scenario": ["--scenario", "vancomycin", "--num-envs", "4", "--num-steps", "16", "--total-timesteps", "1024"],
    "seeds": ["--seeds", "2", "--num-envs", "4", "--num-steps", "64", "--total-timesteps", "4096"],
    "foreign": ["--env-id", "Pendulum-v1", "--num-envs", "2", "--num-steps", "32", "--total-timesteps", "1024"],
}
EVALUATED = {"scenario": "3", "seeds": "5", "foreign": "0"}
AT_THE_DISK, AT_ANY_TIME = (9, 8, 8), (9, 8, 8)


def _arguments(kind: str, name: str, folder: Path) -> list[str]:
    own = [*KINDS[kind], *SMALL, "--eval-freq", EVALUATED[kind]]
    return ["train", *own, "--runs-dir", str(folder), "--run-name", name]


def _spawn(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=dict(os.environ))


def _finish(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    return out


@pytest.fixture(scope="module", params=KINDS)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, int, float]:
    """A kind of run, the folder of one that was never stopped, its touches of the disk, and its seconds."""
    folder = tmp_path_factory.mktemp(request.param)
    arguments = _arguments(request.param, "full", folder)
    _finish(_spawn(sys.executable, str(KILLING), str(folder), "0", *_arguments(request.param, "first", folder)))
    start = time.monotonic()  # the first run compiled
    out = _finish(_spawn(sys.executable, str(KILLING), str(folder), "0", *arguments))
    return request.param, folder, int(out.splitlines()[-1]), time.monotonic() - start


def _goes_on(kind: str, folder: Path, name: str, same_runs: Callable[[Path, Path], None]) -> None:
    again = ["train", "--resume", str(folder / name)] if (folder / name).exists() else _arguments(kind, name, folder)
    _finish(_spawn(sys.executable, "-m", "rl_drug_dosage", *again))
    same_runs(folder / "full", folder / name)


@pytest.mark.parametrize("place", range(max(AT_THE_DISK)))
def test_a_run_killed_at_a_touch_of_the_disk_goes_on(whole, place, same_runs):
    """Spread over all of them, the first and the last included."""
    kind, folder, touches, _ = whole
    count = AT_THE_DISK[list(KINDS).index(kind)]
    if place >= count:
        pytest.skip("fewer places for this kind")
    number = 1 + round(place / (count - 1) * (touches - 1))
    name = f"disk-{number}"
    killed = _spawn(sys.executable, str(KILLING), str(folder), str(number), *_arguments(kind, name, folder))
    out, _ = killed.communicate(timeout=300)
    assert killed.returncode == -signal.SIGKILL, out
    _goes_on(kind, folder, name, same_runs)


@pytest.mark.parametrize("place", range(max(AT_ANY_TIME)))
def test_a_run_killed_at_any_time_goes_on(whole, place, same_runs):
    """Within the time that a whole one takes; what is resumed may be killed again before it goes on to its end."""
    kind, folder, _, seconds = whole
    if place >= AT_ANY_TIME[list(KINDS).index(kind)]:
        pytest.skip("fewer places for this kind")
    chance = random.Random(1000 * list(KINDS).index(kind) + place)
    name = f"time-{place}"
    arguments = _arguments(kind, name, folder)
    for _ in range(2):
        process = _spawn(sys.executable, "-m", "rl_drug_dosage", *arguments)
        time.sleep(chance.uniform(0.2, 1.0) * seconds)
        process.kill()
        process.communicate(timeout=300)
        if (folder / name).exists():
            arguments = ["train", "--resume", str(folder / name)]
    _goes_on(kind, folder, name, same_runs)


def test_a_benchmark_killed_at_a_touch_of_the_disk_leaves_all_of_its_files_or_none(tmp_path):
    """And the same command succeeds in the folder that it left."""
    files = {"benchmark.json", "benchmark.csv", "patients.csv", "report.html"}

    def command(number: int, name: str) -> subprocess.Popen[str]:
        own = ["--scenario", "vancomycin", "--policy", "label", "--patients", "5", "--output-dir", str(tmp_path / name)]
        return _spawn(sys.executable, str(KILLING), str(tmp_path), str(number), "benchmark", *own)

    touches = int(_finish(command(0, "whole")).splitlines()[-1])
    for number in range(1, touches + 1):
        killed = command(number, f"out-{number}")
        killed.communicate(timeout=300)
        assert killed.returncode == -signal.SIGKILL
        folder = tmp_path / f"out-{number}"
        there = {p.name for p in folder.iterdir()} & files if folder.exists() else set()
        assert there in (set(), files)
    _finish(command(0, "out-3"))
    assert {p.name for p in (tmp_path / "out-3").iterdir()} == files
