"""The same programs on a GPU."""

import subprocess
import sys

import pytest

TINY = ["--num-envs", "4", "--num-steps", "64", "--num-minibatches", "4", "--total-timesteps", "512"]


@pytest.mark.gpu
def test_training_and_evaluating_on_cuda(tmp_path):
    """In processes of their own: JAX chooses its devices once."""
    for command in (
        ["train", *TINY, "--run-name", "gpu"],
        ["evaluate", "--model-path", "runs/gpu/agent.pt"],
    ):
        subprocess.run([sys.executable, "-m", "rl_drug_dosage", *command, "--device", "cuda"], cwd=tmp_path, check=True)
    assert (tmp_path / "runs/gpu/rollout_concentration.png").exists()
