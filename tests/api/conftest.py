"""A scenario and a drug model of a user's, in files outside of the package, and a model trained on them."""

import shutil
from pathlib import Path

import pytest

import rl_drug_dosage as rldd

TASK = """
import dataclasses

from rl_drug_dosage.scenarios.vancomycin_v2 import SCENARIO as BUILT_IN

SCENARIO = dataclasses.replace(
    BUILT_IN,
    title="four doses of vancomycin",
    schedule=dataclasses.replace(BUILT_IN.schedule, decisions=4),
    monitoring=dataclasses.replace(BUILT_IN.monitoring, intervals=(0, 2)),
)
"""
DRUG = """
import dataclasses

from rl_drug_dosage.drugs.vancomycin_thomson2009 import DRUG as PUBLISHED

DRUG = dataclasses.replace(PUBLISHED, name="mine")
"""
TINY = {
    "num_envs": 8, "num_steps": 4, "num_minibatches": 2, "update_epochs": 1, "total_timesteps": 64, "eval_freq": 0,
    "hidden_size": 4,
}  # fmt: skip


@pytest.fixture(scope="session")
def _own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    (folder / "task.py").write_text(TASK)
    (folder / "mine.py").write_text(DRUG)
    runs = str(folder / "runs")
    rldd.train(scenario=folder / "task.py", runs_dir=runs, run_name="a", progress=False, **TINY)
    options = {"simulator": str(folder / "mine.py")}
    env = str(folder / "task.py")
    rldd.train(env, runs_dir=runs, run_name="b", env_kwargs=options, seed=2, progress=False, **TINY)
    return folder


@pytest.fixture
def own(_own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with ``task.py``, ``mine.py``, and the runs ``a`` (on the task) and ``b`` (on patients of mine)."""
    shutil.copytree(_own, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path
