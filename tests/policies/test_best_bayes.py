"""`best-bayes` is the variant that was chosen for a scenario and a controller, and a stated default elsewhere."""

import csv
import dataclasses
import json
from pathlib import Path

import pytest

from rl_drug_dosage import benchmark
from rl_drug_dosage.clinic.adjust import adjusted
from rl_drug_dosage.clinic.faults import refusal
from rl_drug_dosage.clinic.policy import Setting
from rl_drug_dosage.clinic.simulators import model_of, simulator_of
from rl_drug_dosage.errors import BadPluginError
from rl_drug_dosage.policies import best_bayes
from rl_drug_dosage.policies.best_bayes import choices, task_in_table, variant_in
from rl_drug_dosage.registry import POLICY, find, find_scenario
from rl_drug_dosage.trials.choosing import VARIANTS
from rl_drug_dosage.trials.entrants import default_policies
from rl_drug_dosage.trials.setting import setting_for

FIRST, SECOND = "vancomycin-thomson2009", "vancomycin-goti2018"


def entry(chosen: str, score: float = 71.0) -> dict:
    row = {"policy": chosen, "believed_pct": 80.0, "randomised_pct": 62.0, "score_pct": score}
    return {"chosen": chosen, "tried": [row, {**row, "policy": "mipd", "score_pct": 50.0}], "patients": 250, "seed": 1}


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Puts another table in the place of the package's."""

    def put(**scenarios):
        path = tmp_path / "best_bayes.json"
        path.write_text(json.dumps({"scenarios": {name.replace("_", "-"): e for name, e in scenarios.items()}}))
        monkeypatch.setattr(best_bayes, "TABLE", path)
        choices.cache_clear()
        return path

    yield put
    choices.cache_clear()


def test_what_the_package_has_chosen_can_be_built_and_tells_what_was_tried():
    for env_id, entries in choices().items():
        task = find_scenario(env_id)
        for controller, each in entries.items():
            assert controller in task.value.models
            found = find(POLICY, each["chosen"])
            assert refusal(found.value, task.value, found.name) == ""
            scores = {row["policy"]: row["score_pct"] for row in each["tried"]}
            assert each["chosen"] in scores
            assert all(0.0 <= score <= 100.0 for score in scores.values())
            assert each["command"].startswith("scripts/choose_bayes.py")


def test_the_variant_of_scenario_and_controller_is_built(table):
    table(Vancomycin_v2={FIRST: entry("mipd,prior=widened"), SECOND: entry("mipd,flatten=0.5")})
    best = find(POLICY, "best-bayes").value
    for controller, variant in ((FIRST, "mipd,prior=widened"), (SECOND, "mipd,flatten=0.5")):
        setting = setting_for("vancomycin", controller=controller)
        assert best.build(setting) == find(POLICY, variant).value.build(setting)
        said = best.described(setting)
        assert variant in said.title
        assert said.values == {"variant": variant, "candidates": 2, "attainment_pct": 71.0}


def test_a_task_is_known_by_its_value(table):
    """Loaded in Python or with another simulator it is the same; with other numbers, it is not."""
    table(Vancomycin_v2={FIRST: entry("mipd,prior=widened")})
    task = find_scenario("vancomycin")
    assert task_in_table(task) == "Vancomycin-v2"
    assert task_in_table(find_scenario(task.value)) == "Vancomycin-v2"
    added = dataclasses.replace(task.value.drug(FIRST), name="another")
    assert variant_in(setting_for("vancomycin", simulator=added)).reference == "mipd,prior=widened"
    for changed in (
        adjusted(task.value, decisions=12),
        dataclasses.replace(task.value, look_ahead=3),
        dataclasses.replace(task.value, title="mine"),
    ):
        for where in (dataclasses.replace(task, value=changed), find_scenario(changed)):
            assert task_in_table(where) == ""
    assert task_in_table(find_scenario("warfarin")) == ""


@pytest.mark.parametrize(
    ("scenario", "variant"),
    [
        ("warfarin", "mipd-ensemble,prior=widened,error=assay"),
        ("vancomycin", "mipd-ensemble"),
        ("t1d", "mipd-ensemble"),
    ],
)
def test_where_nothing_was_chosen_the_default_says_so(table, scenario, variant):
    table()
    setting = setting_for(scenario)
    assert variant_in(setting).reference == variant
    said = find(POLICY, "best-bayes").value.described(setting)
    assert f"by default, {variant}: none was chosen for {scenario}" in said.title
    assert "scripts/choose_bayes.py" in said.title
    found = find(POLICY, variant)
    assert refusal(found.value, setting.scenario, found.name) == ""


def test_the_default_knows_an_assay_that_is_the_models_error(table):
    table()
    task = find_scenario("warfarin")
    model = model_of(task.value, task.value.models[0])
    own = model.outputs[model.output_index("inr")].residual
    same = dataclasses.replace(task.value, monitoring=dataclasses.replace(task.value.monitoring, error=own))
    setting = Setting(dataclasses.replace(task, value=same), model_of(same, model.name), simulator_of(same, model.name))
    assert variant_in(setting).reference == "mipd-ensemble"


@pytest.mark.parametrize("reference", ["./mine.py", "os:system", "mine", "runs/x", "mipd;x"])
def test_the_table_is_data_and_names_built_in_policies_only(table, reference):
    table(Vancomycin_v2={FIRST: entry(reference)})
    with pytest.raises(BadPluginError, match="allowed: a built-in policy with options"):
        choices()


@pytest.mark.long
def test_a_benchmark_has_it_as_its_reference_and_says_which_variant_it_was(table, tmp_path):
    """Here a cheap one stands in the table. Record, CSV and report name it, and it does what it names."""
    table(Vancomycin_v2={FIRST: entry("label")})
    assert "best-bayes" in default_policies(find_scenario("vancomycin").value)
    folder = tmp_path / "out"
    result = benchmark("vancomycin", policies=["fixed:500", "best-bayes", "label"], patients=6, output_dir=folder)
    assert result.record["settings"]["reference"] == "best-bayes"
    row = next(row for row in result.record["policies"] if row["policy"] == "best-bayes")
    title = "the strongest Bayesian dosing on validation patients: label"
    assert row["title"] == title
    assert row["tuned"] == {"variant": "label", "candidates": 2, "attainment_pct": 71.0}
    assert (result.trials["best-bayes"].dose == result.trials["label"].dose).all()
    with (folder / "benchmark.csv").open(newline="") as file:
        titles = {row["policy"]: row["title"] for row in csv.DictReader(file)}
    assert titles["best-bayes"] == title
    assert title in (folder / "report.html").read_text()


@pytest.fixture
def script(load_script):
    return load_script("choose_bayes")


@pytest.mark.long
def test_the_script_writes_its_choice_and_keeps_the_others(table, script, monkeypatch, capsys):
    path = table(Warfarin_v1={"some-model": entry("mipd")})
    monkeypatch.setattr(script, "TABLE", path)
    asked = ["vancomycin", "--patients", "5", "--variants", "fixed:0", "label"]
    script.main(asked)
    assert "Vancomycin-v2" not in path.read_text()
    script.main([*asked, "--write"])
    shown = capsys.readouterr().out
    assert "vancomycin, controller vancomycin-thomson2009: label" in shown
    assert "| **label** |" in shown
    written = json.loads(path.read_text())["scenarios"]
    assert written["Warfarin-v1"] == {"some-model": entry("mipd")}
    mine = written["Vancomycin-v2"][FIRST]
    assert mine["chosen"] == "label"
    assert [row["policy"] for row in mine["tried"]] == ["fixed:0", "label"]
    assert mine["command"].endswith(
        "--controllers vancomycin-thomson2009 --patients 5 --seed 1 --variants fixed:0 label"
    )
    choices.cache_clear()
    assert variant_in(setting_for("vancomycin")).reference == "label"


def test_the_script_refuses_to_write_a_scenario_of_the_users(script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text("from rl_drug_dosage.scenarios.vancomycin_v2 import SCENARIO\n")
    with pytest.raises(SystemExit, match=r"mine.py is a scenario of your own"):
        script.main(["./mine.py", "--write"])
    with pytest.raises(SystemExit):
        script.main(["nothing"])


def test_the_variants_begin_with_the_simplest():
    assert VARIANTS[0] == "mipd"
