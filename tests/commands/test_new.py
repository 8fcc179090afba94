"""Starting files: each runs as it is, none overwrites anything."""

import json
from pathlib import Path

import pytest

from rl_drug_dosage.commands import new
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.registry import DRUG, load_drug, load_scenario, names


@pytest.mark.long
def test_a_drug_a_task_on_it_and_a_policy_meet_in_a_trial(run):
    """All three files, as they are written, in one benchmark."""
    for args in (("drug", "my-mycin"), ("scenario", "task", "--drug", "my_mycin.py"), ("policy", "rule")):
        assert run("new", *args).code == 0
    found = run(
        *("benchmark", "--scenario", "./task.toml", "--patients", "20", "--output-dir", "b"),
        *("--policy", "./rule.py", "--policy", "label"),
    )
    assert found.code == 0, found.err
    record = json.loads(Path("b/benchmark.json").read_text())
    assert {row["policy"] for row in record["policies"]} == {"rule", "label"}
    assert record["scenario"]["models"] == ["my-mycin"]


@pytest.mark.long
@pytest.mark.parametrize("flags", [(), ("--ode",), ("--short",)])
def test_a_drug_can_be_simulated(run, flags):
    assert run("new", "drug", "mine", "--dir", "a/b", *flags).out == "a/b/mine.py\n"
    found = run("simulate", "--drug", "a/b/mine.py", "--patients", "20")
    assert found.code == 0, found.err


def test_a_task_can_be_written_for_every_drug_that_is_measured(tmp_path):
    written = 0
    for name in names(DRUG):
        model = load_drug(name)
        measured = [o.name for o in model.outputs if o.residual is not None]
        if not measured or measured[0] not in {t.output for t in model.targets}:
            with pytest.raises(ConfigError, match=name):
                new.command("scenario", f"s-{name}", tmp_path, False, name)
            continue
        new.command("scenario", f"s-{name}", tmp_path, False, name)
        scenario = load_scenario(tmp_path / f"s_{name.replace('-', '_')}.toml")
        assert scenario.models == (name,)
        written += 1
    assert written >= 15


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("sceanrio", "x"), "unknown kind of file 'sceanrio': did you mean 'scenario'"),
        (("drug", "../x"), "name '../x' is not allowed"),
        (("drug", "1x"), "starting with a letter"),
        (("policy", "x", "--ode"), "--ode is for `new drug`"),
        (("scenario", "x", "--short"), "--short is for `new drug`"),
        (("drug", "x", "--short", "--ode"), "leave out one of --ode and --short"),
        (("drug", "x", "--drug", "y"), "--drug is for `new scenario`"),
        (("scenario", "x", "--drug", "vancomycin-gota2018"), "did you mean 'vancomycin-goti2018'"),
        (("scenario", "x", "--drug", "nowhere.py"), "no such file"),
    ],
)
def test_what_is_not_allowed_writes_nothing(run, tmp_path, args, said):
    found = run("new", *args)
    assert found.code == 2
    assert said in found.err
    assert found.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(run, tmp_path):
    (tmp_path / "mine.py").write_text("mine\n")
    found = run("new", "drug", "mine")
    assert found.code == 2
    assert "mine.py exists" in found.err
    assert (tmp_path / "mine.py").read_text() == "mine\n"


@pytest.mark.slow  # compiles for half a minute
def test_decisions_from_the_command_line(run):
    """Trained on courses of 4 decisions, which the model file records, and tried on such."""
    small = (
        "--num-envs",
        "4",
        "--num-steps",
        "16",
        "--num-minibatches",
        "4",
        "--update-epochs",
        "1",
        "--eval-freq",
        "0",
    )
    told = ("--total-timesteps", "64", "--run-name", "a", "--decisions", "4")
    assert run("train", "--env-id", "Vancomycin-v2", *small, *told).code == 0
    assert '"decisions": 4' in run("info", "--model-path", "runs/a/agent.pt").out
    policies = ("--policy", "runs/a/agent.pt", "--policy", "label")
    found = run("benchmark", "--scenario", "vancomycin", "--decisions", "4", "--patients", "20", *policies)
    assert found.code == 0, found.err
    assert json.loads(Path("benchmark-vancomycin/benchmark.json").read_text())["scenario"]["decisions"] == 4
