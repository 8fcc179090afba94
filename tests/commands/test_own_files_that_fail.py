"""Files of the user's that fail: one line that names the file, and nothing left behind."""

from pathlib import Path

import pytest

DRUG_LINE = "    return {"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import sys; sys.exit(0)\n", "SystemExit: 0"),
        ("raise ValueError('boom')\n", "ValueError: boom"),
        ("x = 1\nFOO = 2\n", "must define DRUG (a DrugModel); it has x, FOO"),
    ],
)
def test_a_file_that_is_no_drug_is_refused(run, text, said):
    Path("bad.py").write_text(text)
    found = run("simulate", "--drug", "bad.py")

    assert found.code == 2
    assert said in found.err
    assert len(found.err.strip().splitlines()) == 1


def test_a_drug_that_branches_on_a_value_is_named(run):
    assert run("new", "drug", "mine").code == 0
    text = Path("mine.py").read_text()
    Path("mine.py").write_text(
        text.replace(DRUG_LINE, f"    if covariates['wt_kg'] > 3:\n        pass\n{DRUG_LINE}", 1)
    )
    found = run("simulate", "--drug", "mine.py", "--patients", "2", "--days", "1")

    assert found.code == 2
    assert "mine.py, line" in found.err
    assert "Traceback" not in found.err


def test_a_reward_that_raises_is_named_and_leaves_no_folder(run):
    assert run("new", "drug", "mine").code == 0
    assert run("new", "scenario", "task", "--drug", "mine.py").code == 0
    Path("rw.py").write_text("def r(judged):\n    raise ValueError('bad reward')\n")
    text = Path("task.toml").read_text()
    assert 'reward = "goal"' in text
    Path("task.toml").write_text(text.replace('reward = "goal"', 'reward = "rw.py:r"'))
    found = run("benchmark", "--scenario", "task.toml", "--policy", "label", "--patients", "5")

    assert found.code == 2
    assert "bad reward" in found.err
    assert not Path("benchmark-task").exists()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("pass", "the reward function returns nothing"),
        ("return jnp.zeros(2)", "an array of shape (2,)"),
        ("return jnp.nan * judged.amount", "of all 5 patients are not finite"),
    ],
)
def test_a_reward_that_is_no_number_is_refused(run, body, said):
    assert run("new", "drug", "mine").code == 0
    assert run("new", "scenario", "task", "--drug", "mine.py").code == 0
    Path("rw.py").write_text(f"import jax.numpy as jnp\n\n\ndef r(judged):\n    {body}\n")
    text = Path("task.toml").read_text()
    Path("task.toml").write_text(text.replace('reward = "goal"', 'reward = "rw.py:r"'))
    found = run("benchmark", "--scenario", "task.toml", "--policy", "label", "--patients", "5")

    assert found.code == 2
    assert said in found.err
    assert not Path("benchmark-task").exists()
