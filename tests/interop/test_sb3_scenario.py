"""The example that trains Stable-Baselines3's PPO on a scenario runs, and learns."""

import re
import subprocess
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "train_with_sb3.py"


@pytest.mark.torch
def test_sb3_learns_to_dose_vancomycin(torch_python):
    """Random doses of 0-5000 mg are in target about one time in ten; 40,000 steps are about 3,000 patients."""
    command = [torch_python, str(EXAMPLE), "--steps", "40000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    before, after = map(float, re.findall(r"([\d.]+) %", done.stdout))
    assert after > before + 15.0
