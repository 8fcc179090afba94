"""``explain``: what it writes, that it repeats itself, and what it refuses."""

import csv
import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest

from rl_drug_dosage.clinic.observation import Observer
from rl_drug_dosage.explain import explanation as explain
from rl_drug_dosage.ppo.model_file import save_model
from rl_drug_dosage.scenarios.vancomycin_v2 import SCENARIO

FILES = ["explain.csv", "explain.md", "explain_covariates.png", "explain_inputs.png", "explain_levels.png"]


@pytest.fixture
def model(tmp_path, make_policy) -> Path:
    """A model file of the vancomycin task with random weights."""
    policy = make_policy(obs_size=Observer(SCENARIO).size)
    policy = dataclasses.replace(policy, low=np.zeros(1, np.float32), high=np.full(1, 5000.0, np.float32))
    path = tmp_path / "model" / "agent.pt"
    path.parent.mkdir()
    env = {"id": "Vancomycin-v2", "options": {}, "frame_stack": 1, "units": {}}
    save_model(path, policy, env=env, training={}, progress={})
    return path


def _one_line(outcome) -> str:
    assert outcome.code == 2, outcome
    assert outcome.err.count("\n") == 1, outcome.err
    return outcome.err


@pytest.mark.long
def test_it_writes_text_table_and_figures_beside_the_model(run, model):
    done = run("explain", "--model-path", model, "--patients", "60")

    assert done.code == 0, done.err
    assert sorted(p.name for p in model.parent.iterdir()) == ["agent.pt", *FILES]
    text = (model.parent / "explain.md").read_text()
    for word in ("Research and education only", "mipd", "label", "### Dose 1: mg", "explain_levels.png"):
        assert word in text
    rows = list(csv.DictReader((model.parent / "explain.csv").read_text().splitlines()))
    # Every dose of the course is on exactly one page.
    pages = {(r["page"], r["doses"]) for r in rows}
    assert sorted(int(k) for _, doses in pages for k in doses.split()) == list(range(1, 15))
    for name in FILES[2:]:
        assert (model.parent / name).read_bytes().startswith(b"\x89PNG")
    assert "mipd" in done.out
    assert "not for treating patients" in done.out


@pytest.mark.long
def test_the_same_command_writes_the_same_bytes(run, model, tmp_path, monkeypatch):
    # Without the Bayesian dose, whose compilation is not what is tested here.
    monkeypatch.setattr(explain, "_OTHERS", ("label",))
    for place in "ab":
        done = run("explain", "--model-path", model, "--patients", "60", "--seed", "5", "--output-dir", place)
        assert done.code == 0, done.err

    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_model_of_no_dosing_scenario_is_refused_in_one_line(run, tiny_run):
    line = _one_line(run("explain", "--model-path", tiny_run / "agent.pt", "--output-dir", "out"))

    assert "DrugDose-v0" in line
    assert "dosing scenario" in line
    assert not Path("out").exists()


REFUSED = [
    (["--patients", "10"], ["--patients", "from 50", "10"]),
    (["--patients", "1000000"], ["--patients", "100000"]),
    (["--seed", "-1"], ["--seed", "-1"]),
    (["--controller", "warfarin-hamberg2010"], ["warfarin-hamberg2010", "does not fit"]),
    (["--output-dir", "/proc/x"], ["/proc/x", "--output-dir"]),
]


@pytest.mark.parametrize(("args", "named"), REFUSED, ids=lambda a: " ".join(a)[:60])
def test_unusable_arguments_are_refused_in_one_line(run, model, args, named):
    line = _one_line(run("explain", "--model-path", model, *args))

    for word in named:
        assert word in line
    assert [p.name for p in model.parent.iterdir()] == ["agent.pt"]


def test_a_missing_model_is_refused_and_no_folder_is_made(run):
    line = _one_line(run("explain", "--model-path", "nowhere/agent.pt"))

    assert "nowhere/agent.pt" in line
    assert not Path("nowhere").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_refused_before_the_work(run, model, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)

    line = _one_line(run("explain", "--model-path", model, "--output-dir", locked))

    assert "locked" in line


@pytest.mark.slow
def test_a_policy_that_corrects_a_bayesian_dose_says_what_it_adds(run, tmp_path, monkeypatch):
    """A few thousand steps on 16 support patients, with changes of dose that cost something."""
    monkeypatch.setattr(explain, "_OTHERS", ("label",))
    options = {"belief": "vancomycin-thomson2009", "support": 16, "action": "residual", "burden": 0.3}
    settings = {"num-envs": 64, "num-steps": 14, "num-minibatches": 4, "learning-rate": 1e-3, "init-logstd": -1.6}
    given = [part for name, value in settings.items() for part in (f"--{name}", value)]
    run("train", "--scenario", "vancomycin", *given, "--total-timesteps", 3584, "--eval-freq", 0, "--run-name", "tiny",
        "--env-kwargs", json.dumps(options))  # fmt: skip
    done = run("explain", "--model-path", "runs/tiny", "--patients", "60", "--output-dir", "out")

    assert done.code == 0, done.err
    found = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert found == sorted([*FILES, "explain_additions.csv", "explain_additions.png"])
    text = (tmp_path / "out" / "explain.md").read_text()
    for word in (
        "## What it adds to the Bayesian dose",
        "| **first dose** |",
        "explain_additions.png",
        "| uncorrected |",
    ):
        assert word in text
    rows = list(csv.DictReader((tmp_path / "out" / "explain_additions.csv").read_text().splitlines()))
    # Every decision of every patient is in one cell; nobody leaves.
    assert sum(int(row["decisions_seen"]) for row in rows) == 60 * 14
    assert "uncorrected" in done.out
