"""PyTorch itself reads our files. Needs a Python with torch: ``RLDD_TORCH_PYTHON``, or this one."""

import importlib.util
import json
import os
import pickletools
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rl_drug_dosage.errors import ModelFileError
from rl_drug_dosage.utils.tensor_archive import read_archive, write_archive

pytestmark = pytest.mark.torch

TENSORS: dict[str, np.ndarray] = {
    "critic.0.weight": np.array([[1.5, -2.25, 1e-45], [3.4e38, -0.0, 0.1]], np.float32),
    "transposed": np.arange(24, dtype=np.float64).reshape(2, 3, 4).T,
    "int32": np.array([-(2**31), 2**31 - 1], np.int32),
    "steps": np.array(2**62 + 1, np.int64),
    "bytes": np.arange(256, dtype=np.uint8),
    "flags": np.array([[True], [False]]),
    "one": np.array([0.25], np.float32),
    "nothing": np.zeros((3, 0, 2), np.float32),
    "zzz.before": np.zeros((0, 2**40), np.int64),
    "after": np.ones((), bool),
}
LOAD = """
import json, sys, torch
for mmap in (False, True):
    state = torch.load(sys.argv[1], weights_only=True, mmap=mmap)
    rows = [[k, str(t.dtype), list(t.shape), t.is_contiguous(), t.requires_grad, t.tolist()] for k, t in state.items()]
    print(json.dumps([type(state).__name__, rows]))
"""
SAVE = """
import sys, torch
torch.save({"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(True), "c": torch.zeros(0, 4)}, sys.argv[1])
"""


@pytest.fixture(scope="module")
def torch_python() -> str:
    """The interpreter that has torch."""
    if python := os.environ.get("RLDD_TORCH_PYTHON"):
        return python
    if importlib.util.find_spec("torch") is None:
        pytest.skip("no torch: install the extra, or name a Python that has it in RLDD_TORCH_PYTHON")
    return sys.executable


def run(python: str, script: str, path: Path) -> list[str]:
    done = subprocess.run([python, "-c", script, str(path)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_torch_reads_every_tensor_exactly(torch_python: str, tmp_path: Path) -> None:
    """torch.load, read or memory-mapped, returns a plain dict: names in order, dtypes, shapes, every value."""
    write_archive(tmp_path / "agent.pt", TENSORS, {"note": "µ"}, kind="agent")
    answers = run(torch_python, LOAD, tmp_path / "agent.pt")

    rows = [[k, f"torch.{a.dtype}", list(a.shape), True, False, a.tolist()] for k, a in TENSORS.items()]
    assert answers == [json.dumps(["dict", rows])] * 2


def test_torchs_own_file_has_the_same_family_of_members_and_opcodes(torch_python: str, tmp_path: Path) -> None:
    """What torch.save writes has our members and globals and, save for its memo, our opcodes; and it is refused."""
    theirs, ours = tmp_path / "theirs.pt", tmp_path / "ours.pt"
    run(torch_python, SAVE, theirs)
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
    write_archive(ours, {"a": matrix, "b": np.ones((), bool), "c": np.zeros((0, 4), np.float32)}, {}, kind="agent")

    assert members(ours) - members(theirs) == {"rl_drug_dosage/record.json", "rl_drug_dosage/index.json"}
    assert program(ours) == program(theirs)
    with pytest.raises(ModelFileError, match="not a file that rl_drug_dosage saved"):
        read_archive(theirs, kind="agent")


def members(path: Path) -> set[str]:
    """The names below the archive's root."""
    with zipfile.ZipFile(path) as archive:
        return {name.partition("/")[2] for name in archive.namelist()}


def program(path: Path) -> list[Any]:
    """The pickle as (opcode, argument): the memo resolved, a tuple and an integer written in one way only."""
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
        opcodes = [(opcode.name, argument) for opcode, argument, _ in pickletools.genops(archive.read(name))]
    resolved: list[Any] = []
    memo: dict[Any, Any] = {}
    for opcode, argument in opcodes:
        if opcode == "BINPUT":
            memo[argument] = resolved[-1]
        elif opcode == "BINGET":
            resolved.append(memo[argument])
        elif opcode != "MARK":
            resolved.append((opcode.rstrip("123").removeprefix("EMPTY_"), argument))
    return resolved
