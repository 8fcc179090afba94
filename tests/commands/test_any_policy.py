"""Anybody's policy on the command line: in one table with ours, exported, and refused in one line."""

import json
from pathlib import Path

import pytest

MODELS = Path(__file__).parents[2] / "models"
AGENT = """
import numpy as np
class Column:
    def predict(self, observation):
        return np.full((len(observation), 1), {said})
POLICY = Column()
"""


@pytest.mark.long
def test_a_function_a_network_words_and_a_model_file_stand_in_one_table(run, tmp_path):
    """Beside Bayesian dosing; the exported file has the attainment of the model file that it was made from."""
    Path("column.py").write_text(AGENT.format(said=1500.0))
    exported = run("export", "--model-path", MODELS / "warfarin-90d.pt", "--output", "net.onnx")
    assert exported.code == 0, exported.err
    assert exported.out.strip() == "net.onnx"
    policies = ("label", f"ours={MODELS / 'warfarin-90d.pt'}", "net.onnx", "10 mg then 5 mg daily", "fixed:4")
    done = run(
        *("benchmark", "--scenario", "warfarin-90d", "--patients", "20", "--output-dir", "out"),
        *(f"--policy={p}" for p in policies),
    )
    assert done.code == 0, done.err
    record = json.loads(Path("out/benchmark.json").read_text())
    shares = {row["policy"]: row["attainment_pct"]["mean"] for row in record["policies"]}
    assert set(shares) == {"label", "ours", "net", "10 mg then 5 mg daily", "fixed:4"}
    assert shares["net"] == pytest.approx(shares["ours"], abs=1e-4)
    assert Path("out/report.html").exists()


@pytest.mark.long
@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("np.nan", "policy 'bad' returned nan for 250 of 250 patients: allowed are numbers from 0 to 30"),
        ("99.0", "policy 'bad' returned the action 99: allowed are numbers from 0 to 30"),
        ("1 / 0", "policy 'bad' fails: ZeroDivisionError: division by zero"),
    ],
)
def test_an_agent_that_fails_ends_in_one_line_and_writes_nothing(run, said, message):
    """Its name, what came and what is allowed."""
    Path("bad.py").write_text(AGENT.format(said=said))
    done = run("benchmark", "--scenario", "warfarin", "--patients", "5", "--policy", "./bad.py", "--output-dir", "out")
    assert done.code != 0
    assert done.err.count("\n") == 1
    assert message in done.err
    assert not list(Path().rglob("benchmark.*"))


def test_an_export_to_a_wrong_place_is_refused(run):
    """A suffix, a folder, a model that is none."""
    for output, message in (("x.pt", "ends in .onnx"), ("no/x.onnx", "existing, writable folder")):
        done = run("export", "--model-path", MODELS / "agent.pt", "--output", output)
        assert done.code != 0
        assert message in done.err
    done = run("export", "--model-path", "none.pt", "--output", "x.onnx")
    assert done.code != 0
    assert done.err.count("\n") == 1
    assert not Path("x.onnx").exists()


def test_info_shows_a_scenario_with_what_each_number_of_an_observation_is(run):
    """Task, models, covariates, dosage, monitoring, goal, reward, label, shield, policies, observations, actions."""
    done = run("info", "--scenario", "vancomycin")
    assert done.code == 0, done.err
    for part in (
        "14 decisions, one every 0.5 d", "vancomycin-goti2018: ", "wt_kg: unit kg, range 40 to 160",
        "21 amounts from 0 to", "concentration (mg/L) at 6, 11 h of an interval, in 4 of 14",
        "window 400 to 600, unit mg h/L", "-|AUC24 - 500|/100", "25 mg/kg, then 15 mg/kg",
        "dose: 3000 mg per administration", "mipd: Bayesian dosing", "not tci: effect-site",
        "33 numbers with default options", "crcl_ml_per_min (mL/min), wt_kg (kg)", "dose_1_ago, dose_2_ago",
        "not shown by default: option ratio", "bayesian_dose", "residual: from -1 to 1",
    ):  # fmt: skip
        assert part in done.out, part


@pytest.mark.long
def test_info_shows_somebody_s_own_scenario(run):
    """From a file, which is then named in place of a Gymnasium id."""
    source = MODELS.parent / "src" / "rl_drug_dosage" / "scenarios" / "warfarin_v1.py"
    Path("task.py").write_text(source.read_text())
    done = run("info", "--scenario", "./task.py")
    assert done.code == 0, done.err
    assert done.out.startswith("task: warfarin initiation")
    assert "file: task.py" in done.out
    missing = run("info", "--scenario", "./none.py")
    assert missing.code != 0
    assert "there is no such file" in missing.err
