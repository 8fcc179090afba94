"""What the tests of this reader share; `statement_values` lies in the folder above."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))


def _written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "own.json5"
    path.write_text(text)
    return path


def _file_with(tmp_path: Path, code: str = "", ode: str = "dAdt[0] = -(CL/V)*A[0]", **parts: str) -> Path:
    """A small model with other parts."""
    own = {
        "id": '"own"', "parameters": "{CL: 5, V: 50, TH: 0.5}", "fixed": '["TH"]', "n_comp": "1",
        "covariates": '["WT"]', "obs": '{cmt: 1, scale: "V"}', "dose": "{cmt: 1}", "omega_matrix": "[0.1, 0.05, 0.2]",
        "ruv": "{prop: 0.1, add: 0.5}", "pk_code": f'"{code}"', "ode_code": f'"{ode}"',
    } | parts  # fmt: skip
    return _written(tmp_path, "{" + ",\n".join(f"{key}: {value}" for key, value in own.items() if value) + "}")


@pytest.fixture
def written_text(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a model file."""
    return partial(_written, tmp_path)


@pytest.fixture
def file_with(tmp_path: Path) -> Callable[..., Path]:
    """Writes a small model whose parts can be replaced."""
    return partial(_file_with, tmp_path)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)
