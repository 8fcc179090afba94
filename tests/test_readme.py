"""Every shell block of the README runs as it is printed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)

# This very run.
ELSEWHERE = ("make test\n",)


def test_the_readme_has_shell_blocks():
    """And the one that is run elsewhere is still there under that name."""
    assert len(BLOCKS) > len(ELSEWHERE)
    assert set(ELSEWHERE) <= set(BLOCKS)
    assert sum(block.startswith(LONG) for block in BLOCKS) == 1


# Minutes of compilation and 1,000 patients.
LONG = "rl-drug-dosage benchmark --scenario warfarin"


def cases():
    """Each block that runs here, by its first line."""
    for block in BLOCKS:
        if block not in ELSEWHERE:
            marks = pytest.mark.slow if block.startswith(LONG) else ()
            yield pytest.param(block, id=block.splitlines()[0][:60], marks=marks)


@pytest.mark.long
@pytest.mark.parametrize("block", list(cases()))
def test_a_block_of_the_readme_runs(block, tmp_path):
    """``make`` in the checkout (its runs elsewhere), everything else in an empty folder with the shipped model."""
    in_checkout = block.startswith(("make", "source"))
    if in_checkout and not (ROOT / ".venv").exists():
        pytest.skip("these tests do not run from the checkout's own .venv")
    shutil.copytree(ROOT / "models", tmp_path / "models")
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MAKEFLAGS": f"RUNS={tmp_path / 'runs'}",
        "WANDB_MODE": "offline",
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=ROOT if in_checkout else tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
