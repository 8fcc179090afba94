"""Files of the user's that fail: one line that names the file, and nothing left behind."""

from pathlib import Path

import pytest

EXITS_IN_ACT = """import equinox as eqx
from rl_drug_dosage.clinic import Policy, PolicyDefinition


class P(Policy):
    def init(self, record, truth=None):
        return ()

    def act(self, memory, observation, key):
        raise SystemExit(0)


POLICY = PolicyDefinition(title="p", build=lambda setting: P())
"""
TEMPLATE = EXITS_IN_ACT.replace("        raise SystemExit(0)", "        return {answer}")
DRUG_LINE = "    return {"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import sys; sys.exit(0)\n", "SystemExit: 0"),
        ("raise ValueError('boom')\n", "ValueError: boom"),
        ("raise ValueError('one\\ntwo')\n", "ValueError: one two (line 1"),
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


@pytest.mark.long
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("pass", "reward gives nothing"),
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


def tasked(run, body, **replaced):
    """A drug and a scenario of the user's, and a policy ``p.py`` with this body."""
    assert run("new", "drug", "mine").code == 0
    assert run("new", "scenario", "task", "--drug", "mine.py").code == 0
    text = Path("task.toml").read_text()
    for before, after in replaced.values():
        assert before in text
        text = text.replace(before, after)
    Path("task.toml").write_text(text)
    Path("p.py").write_text(body)
    return run("benchmark", "--scenario", "task.toml", "--policy", "./p.py", "--patients", "4")


@pytest.mark.long
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("def POLICY(observation):\n    raise SystemExit(0)\n", "fails: SystemExit: 0"),
        (
            "import numpy as np\n\n\ndef POLICY(obs):\n    return np.full(len(obs), 9 + 2j)\n",
            "returned complex numbers",
        ),
        (EXITS_IN_ACT, "SystemExit: 0"),
    ],
)
def test_a_policy_that_exits_or_is_complex_is_refused(run, body, said):
    found = tasked(run, body)

    assert found.code == 2
    assert said in found.err
    assert len(found.err.strip().splitlines()) == 1
    assert not Path("benchmark-task").exists()


@pytest.mark.parametrize(
    ("replaced", "said"),
    [
        (("low = 8", "low = -8"), "allowed is an edge of at least 0"),
        (("turnaround_h = 0 ", "turnaround_h = 1e9 "), "monitoring.turnaround_h 1e+09 h; allowed: below 168 h"),
    ],
)
def test_a_scenario_that_cannot_be_meant_is_refused(run, replaced, said):
    found = tasked(run, "def POLICY(observation):\n    return observation[:, 0]\n", one=replaced)

    assert found.code == 2
    assert said in found.err


@pytest.mark.parametrize("option", ["--env-id", "--scenario"])
def test_training_names_what_is_wrong_with_the_drug_file(run, option):
    assert run("new", "scenario", "task").code == 0
    text = Path("task.toml").read_text()
    Path("task.toml").write_text(text.replace('"vancomycin-goti2018"', '"broken.py"'))
    Path("broken.py").write_text("raise RuntimeError('broken drug')\n")
    found = run("train", option, "task.toml", "--total-timesteps", "128")

    assert found.code == 2
    assert "broken drug" in found.err
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            'Param(4.0, "L/h"',
            'Param(4.0, "mg/L"',
            "thetas.cl.unit is 'mg/L'; allowed: L/h or L/h/kg, as a clearance has",
        ),
        ('kind="cv_exact"', 'kind="cv_exct"', "Eta 'cl': kind is 'cv_exct'; allowed: var, sd, cv_exact, cv_approx"),
        ('Param(30.0, "%"', 'Param(30.0, "L"', "eta on 'cl': size is a coefficient of variation in 'L'; allowed: %, 1"),
    ],
)
@pytest.mark.parametrize("command", [("check",), ("simulate", "--patients", "2", "--output-dir", "out", "--drug")])
def test_a_unit_that_does_not_fit_is_refused_at_every_door(run, command, before, after, said):
    assert run("new", "drug", "mine").code == 0
    text = Path("mine.py").read_text()
    assert before in text
    Path("mine.py").write_text(text.replace(before, after, 1))
    found = run(*command, "./mine.py")

    assert found.code == 2
    assert said in found.err
    assert len(found.err.strip().splitlines()) == 1
    assert not Path("out").exists()


def test_checking_what_is_no_file_of_ours(run):
    Path("notes.txt").write_text("hello")
    Path("mine.py").write_text("DRUG = 3")
    said = {
        "notes.txt": "a .txt file: drugs, scenarios and policies are read from",
        "./mien.py": "did you mean 'mine.py'? there is no such file",
        "./mine.py": "DRUG must be a DrugModel, not int",
    }
    for name, words in said.items():
        found = run("check", name)
        assert found.code == 2
        assert words in found.err
        assert len(found.err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("kind", "name"), [("drug", "vancomycin_goti2018"), ("scenario", "warfarin"), ("policy", "mipd")]
)
def test_a_new_file_does_not_take_a_built_in_name(run, kind, name):
    found = run("new", kind, name)

    assert found.code == 2
    assert "exists already" in found.err
    assert not list(Path().iterdir())


@pytest.mark.long
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("700.0 * float('nan'), memory", "policy 'p' gave nan mg at"),
        ("__import__('jax').numpy.zeros(3), memory", "policy 'p': act of P returned an array of shape (3,)"),
        ("700.0", "policy 'p': act of P returned float: allowed is a pair"),
    ],
)
def test_a_definition_whose_answer_is_no_dose_is_refused(run, answer, said):
    found = tasked(run, TEMPLATE.format(answer=answer))

    assert found.code == 2
    assert said in found.err
    assert len(found.err.strip().splitlines()) == 1
    assert not Path("benchmark-task").exists()


def test_a_build_that_gives_no_policy_is_refused(run):
    found = tasked(run, EXITS_IN_ACT.replace("lambda setting: P()", "lambda setting: None"))

    assert found.code == 2
    assert "build(setting) returned NoneType, it must return a Policy" in found.err


@pytest.mark.long
@pytest.mark.parametrize("answer", ["[float('nan')] * len(observation)", "[1.0, 2.0]"])
def test_the_check_of_a_function_sees_what_it_gives(run, answer):
    assert run("new", "drug", "mine").code == 0
    assert run("new", "scenario", "task", "--drug", "mine.py").code == 0
    Path("p.py").write_text(f"import numpy as np\n\n\ndef POLICY(observation):\n    return np.array({answer})\n")
    found = run("check", "p.py", "--scenario", "task.toml", "--no-figure")

    assert found.code == 1
    assert "FAILED" in found.out


def test_training_that_exits_leaves_no_folder(run):
    assert run("new", "drug", "mine").code == 0
    assert run("new", "scenario", "task", "--drug", "mine.py").code == 0
    Path("rw.py").write_text("def r(judged):\n    raise SystemExit(3)\n")
    text = Path("task.toml").read_text()
    Path("task.toml").write_text(text.replace('reward = "goal"', 'reward = "rw.py:r"'))
    found = run("train", "--scenario", "task.toml", "--total-timesteps", "128", "--num-envs", "2", "--num-steps", "32")

    assert found.code == 2
    assert "rw.py, line 2" in found.err
    assert not Path("runs").exists()
