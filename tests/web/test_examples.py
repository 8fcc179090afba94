"""The worked examples: virtual patients in real patient files, three of every drug, that can be recommended for."""

from importlib.resources import files
from pathlib import Path

import pytest

from rl_drug_dosage.bedside import Asked, CovariateAt, Dose, Level, PatientHistory, recommended
from rl_drug_dosage.bedside.assess import assess
from rl_drug_dosage.bedside.files import read_text
from rl_drug_dosage.bedside.task import task_of
from rl_drug_dosage.registry import DRUG, names
from rl_drug_dosage.web.catalogue import drug_record, drugs, examples

WARFARIN = {"cyp2c9": 11, "vkorc1_g_alleles": 2, "inr_base": 1.0, "age_y": 60}
ROOT = Path(__file__).resolve().parents[2]
FOLDER = files("rl_drug_dosage.web") / "examples"


@pytest.fixture
def script(load_script):
    return load_script("example_patients")


def test_every_drug_has_examples(script):
    """But those that the script leaves out, with its reasons."""
    stems = {name.partition("-")[0] for name in names(DRUG)}

    assert set(drugs()) == stems - set(script.LEFT_OUT)


@pytest.mark.parametrize("drug", drugs())
def test_three_patients_can_be_read_and_make_sense(drug):
    """Every covariate is known to every model and within its published range; it is said that nobody is real."""
    histories = read_text((FOLDER / f"{drug}.json").read_text(), ".json")
    task = task_of(drug)

    assert len(histories) == 3
    for history in histories:
        assert history.name.startswith("Virtual patient")
        assert history.doses
        assert history.levels
        assess(task, history, asked=True)
        told = {c.name: c.value for c in history.covariates}
        for model in task.models:
            for covariate in model.covariates:
                assert covariate.low <= told[covariate.name] <= covariate.high
    record = drug_record(drug)
    assert record["examples"] == [patient["name"] for patient in examples(drug)]


def test_a_model_that_cannot_read_the_levels_is_left_out():
    """Of warfarin's models one has no error of the INR."""
    history = PatientHistory(
        "warfarin",
        doses=(Dose(0, 5),),
        levels=(Level(46, 1.4),),
        covariates=tuple(CovariateAt(0, n, v) for n, v in WARFARIN.items()),
        now_h=48,
    )
    task = task_of("warfarin", models=["warfarin-hamberg2010", "warfarin-falkenhagen2023"])
    blind = [m.name for m in task.models if m.outputs[m.output_index("inr")].residual is None]

    found = assess(task, history, asked=False)

    assert blind
    assert found.models
    assert not {m.name for m in found.models} & set(blind)
    assert any(blind[0] in note and "left out" in note for note in found.notes)


@pytest.mark.slow
@pytest.mark.parametrize("drug", drugs())
def test_each_has_an_answer(drug):
    for history in read_text((FOLDER / f"{drug}.json").read_text(), ".json"):
        found = recommended(history, Asked())
        assert found.best.row is not None


@pytest.mark.slow
@pytest.mark.parametrize("drug", ["digoxin", "vancomycin"])
def test_the_script_makes_them_again(drug, script):
    assert [script.written(script.drawn(drug, place)) for place in range(3)] == [
        {key: value for key, value in patient.items() if key != "format"} for patient in examples(drug)
    ]
