"""What comes back can be drawn, is a table, can be saved as the command saves it, and shows itself in a notebook."""

import csv
import dataclasses
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

import rl_drug_dosage as rldd
from rl_drug_dosage.errors import ConfigError, OutputError, UnknownNameError
from rl_drug_dosage.explain import explanation as explanation_module
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.utils.result import Result

LEVELS = """ID,TIME,EVID,AMT,RATE,DV,MDV,CRCL,WT,DIAL
1,0,1,1000,500,.,1,80,75,0
1,11,0,0,0,9.5,0,80,75,0
2,0,1,1500,750,.,1,50,90,0
2,11,0,0,0,14.0,0,50,90,0
"""


def _looks_like_a_result(result: Result, folder: Path) -> tuple[Path, ...]:
    """The four methods; the saved files."""
    assert dataclasses.is_dataclass(result)
    assert repr(result) == f"<{type(result).__name__}: {result.title}>"
    assert isinstance(result.plot(), Figure)
    columns = result.columns()
    assert len({len(column) for column in columns.values()}) == 1
    frame = result.to_frame()
    if importlib.util.find_spec("pandas") is None:
        assert {n: len(c) for n, c in frame.items()} == {n: len(c) for n, c in columns.items()}
    else:
        assert list(frame.columns) == list(columns)
    shown = result._repr_html_()
    assert shown.startswith("<table>")
    assert "<script" not in shown
    before = set(folder.rglob("*")) if folder.exists() else set()
    files = result.save(folder / "new" / "place")
    assert files
    assert all(path.is_file() for path in files)
    assert {p for p in folder.rglob("*") if p.is_file()} - before == set(files)
    return files


def _csv(path: Path) -> dict[str, list[str]]:
    rows = list(csv.DictReader(path.read_text().splitlines()))
    return {name: [row[name] for row in rows] for name in rows[0]}


@pytest.mark.long
def test_a_simulation(tmp_path):
    result = rldd.simulate("vancomycin-goti2018", patients=5, days=1, sample_every_h=6, progress=False)
    assert result.files == ()
    data, record, figure = _looks_like_a_result(result, tmp_path)

    columns, saved = result.columns(), _csv(data)
    assert list(columns) == list(saved)
    for name, values in columns.items():
        theirs = np.asarray([float(v) if v else np.nan for v in saved[name]])
        np.testing.assert_array_equal(values.astype(np.float64), theirs.astype(values.dtype).astype(np.float64), name)
    assert json.loads(record.read_text())["patients"] == 5
    assert figure.read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
def test_a_simulation_of_a_value_is_that_of_its_name():
    named = rldd.simulate("vancomycin-goti2018", patients=5, days=1, sample_every_h=6, progress=False)
    drug = rldd.load_drug("vancomycin-goti2018")
    assert isinstance(drug, DrugModel)
    given = rldd.simulate(drug, patients=5, days=1, sample_every_h=6, progress=False)
    np.testing.assert_array_equal(given.columns()["IPRED"], named.columns()["IPRED"])


@pytest.mark.long
def test_an_estimation(tmp_path):
    (tmp_path / "levels.csv").write_text(LEVELS)
    result = rldd.estimate("vancomycin-thomson2009", tmp_path / "levels.csv", progress=False)
    assert result.files == ()
    files = _looks_like_a_result(result, tmp_path / "out")

    assert {p.name for p in files} >= {"estimates.csv", "predictions.csv", "predicted_vs_measured.png"}
    saved, columns = _csv(files[0]), result.columns()
    assert list(saved) == list(columns)
    np.testing.assert_allclose([float(v) for v in saved["MAP"]], columns["MAP"], rtol=1e-5)


def test_an_estimation_makes_its_folder_before_it_computes(tmp_path):
    """And refuses a place that cannot be one at once."""
    (tmp_path / "levels.csv").write_text(LEVELS)
    told: list[str] = []
    with pytest.raises(OutputError, match="/proc/nowhere"):
        rldd.estimate(
            "vancomycin-thomson2009",
            tmp_path / "levels.csv",
            output_dir="/proc/nowhere",
            progress=lambda text, _: told.append(text),
        )
    assert not told


@pytest.mark.long
def test_a_benchmark_of_names_objects_and_callers_labels(tmp_path):
    from rl_drug_dosage.registry import load_policy_definition

    mine = load_policy_definition("label")
    result = rldd.benchmark("vancomycin", policies={"mine": mine, "chance": "random"}, patients=40, progress=False)
    files = _looks_like_a_result(result, tmp_path)

    assert {p.name for p in files} == {"benchmark.json", "benchmark.csv", "patients.csv", "report.html"}
    saved, columns = _csv(tmp_path / "new" / "place" / "benchmark.csv"), result.columns()
    assert list(saved) == list(columns)
    assert columns["policy"].tolist() == saved["policy"] == ["mine", "chance"]
    by_name = rldd.benchmark(rldd.load_scenario("vancomycin"), policies=["label"], patients=40, progress=False)
    np.testing.assert_array_equal(by_name.trials["label"].dose, result.trials["mine"].dose)


@pytest.mark.slow  # compiles for half a minute
def test_a_run_an_evaluation_and_an_explanation(own, tmp_path, monkeypatch):
    # Without the Bayesian dose, whose compilation is not what is tested here.
    monkeypatch.setattr(explanation_module, "_OTHERS", ("label",))
    run = rldd.train(scenario="task.py", run_name="c", progress=False, num_envs=8, num_steps=4, num_minibatches=2,
                     update_epochs=1, total_timesteps=64, eval_freq=1, eval_episodes=4, hidden_size=4)  # fmt: skip
    copied = _looks_like_a_result(run, tmp_path / "copy")
    assert {"agent.pt", "config.toml", "metrics.jsonl"} <= {p.name for p in copied}
    assert run.columns()["step"].tolist() == [32, 64]
    with pytest.raises(OutputError, match="exists already"):
        run.save(tmp_path / "copy" / "new" / "place")

    evaluation = rldd.evaluate(run.folder.path, scenario="task.py", num_episodes=6, save_data=True, progress=False)
    files = _looks_like_a_result(evaluation, tmp_path / "evaluation")
    assert {p.name for p in files} == {
        "rollout_concentration.png", "rollout_dose.png", "concentration_vs_dose.png", "rollout_data.csv", "report.html",
    }  # fmt: skip

    explanation = rldd.explain(run.model, scenario="task.py", patients=50, progress=False)
    files = _looks_like_a_result(explanation, tmp_path / "explanation")
    assert {"explain.md", "explain.csv"} <= {p.name for p in files}
    saved, columns = _csv(next(p for p in files if p.name == "explain.csv")), explanation.columns()
    assert list(saved) == list(columns)
    assert [str(v) for v in columns["decisions_seen"]] == saved["decisions_seen"]


def test_a_name_in_a_result_cannot_become_markup():
    result = rldd.benchmark("vancomycin", policies={"<script>": "label"}, patients=10, progress=False)
    assert "&lt;script&gt;" in result._repr_html_()
    assert "<script" not in result._repr_html_()


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: rldd.simulate("vancomycin-goti2081"), UnknownNameError, "did you mean 'vancomycin-goti2018'"),
        (lambda: rldd.benchmark("vancomycin", policies=["label", "label=random"]), ConfigError, "two policies"),
        (lambda: rldd.benchmark("vancomycin", patients=0), ConfigError, "patients must be from 1"),
        (lambda: rldd.train(scenario="vancomycin", env="Busulfan-v3"), ConfigError, "one thing"),
        (lambda: rldd.train(gama=0.9), UnknownNameError, "did you mean 'gamma'"),
        (lambda: rldd.train(preset="fastest"), ConfigError, "preset must be one of"),
        (lambda: rldd.load_policy("mipd"), ConfigError, "needs a scenario"),
    ],
)
def test_a_mistake_is_one_line(call, error, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=said) as raised:
        call()
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())
