"""The same programs on a GPU."""

import os
import subprocess
import sys

import pytest

TINY = "--num-envs 4 --num-steps 64 --num-minibatches 4 --update-epochs 2 --total-timesteps 512 --eval-freq 1".split()


@pytest.mark.gpu
def test_training_and_evaluating_on_cuda(tmp_path):
    """In processes of their own: JAX chooses its devices once."""
    program = [sys.executable, "-m", "rl_drug_dosage"]
    place = {"cwd": tmp_path, "env": dict(os.environ), "check": True}
    subprocess.run([*program, "train", *TINY, "--device", "cuda", "--run-name", "gpu"], **place)
    subprocess.run([*program, "evaluate", "--model-path", "runs/gpu/agent.pt", "--device", "cuda"], **place)
    assert (tmp_path / "runs/gpu/rollout_concentration.png").exists()
