"""``rl-drug-dosage recommend``: text, JSON and a page."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rl_drug_dosage.cli import app

PATIENT = """
format = 1
drug = "vancomycin-goti2018"
now = 23

[covariates]
crcl = "60 mL/min"
weight = "80 kg"
dialysis = false

[[doses]]
time = 0
amount = "1.5 g"
over = "90 min"

[[doses]]
time = 12
amount = "1 g"
over = "1 h"

[[levels]]
time = 11
value = "11 mg/L"
"""


@pytest.mark.long
def test_a_patient_file_becomes_text_json_and_a_page(tmp_path):
    path, page = tmp_path / "p.toml", tmp_path / "p.html"
    path.write_text(PATIENT)
    asked = ["recommend", str(path), "--draws", "64"]

    told = CliRunner().invoke(app, [*asked, "--save", str(page)])
    machine = CliRunner().invoke(app, [*asked, "--json"])

    assert told.exit_code == 0, told.output
    assert "Bayesian dosing: " in told.output
    assert "nothing here is meant to treat a patient" in told.output
    assert page.read_text().startswith("<!DOCTYPE html>")
    record = json.loads(machine.output)
    assert f"Bayesian dosing: {record['recommended']['dose_mg']:g} mg" in told.output


TABLE = """ID,TIME,AMT,RATE,EVID,DV,CRCL,WT,DIALYSIS
A,0,1500,1000,1,.,60,80,0
A,11,.,.,0,11,60,80,0
A,12,1000,1000,1,.,60,80,0
A,23,.,.,2,.,60,80,0
B,0,1500,1000,1,.,60,80,0
B,11,.,.,0,22,60,80,0
B,12,1000,1000,1,.,60,80,0
B,23,.,.,2,.,60,80,0
"""


@pytest.mark.long
def test_every_patient_of_a_table_gets_an_answer(tmp_path):
    """In the table's order; one file each; JSON is a list."""
    path, page = tmp_path / "two.csv", tmp_path / "two.txt"
    path.write_text(TABLE)
    asked = ["recommend", str(path), "--drug", "vancomycin-goti2018", "--draws", "64"]

    told = CliRunner().invoke(app, [*asked, "--save", str(page)])
    machine = CliRunner().invoke(app, [*asked, "--json"])

    assert told.exit_code == 0, told.output
    assert told.output.count("Bayesian dosing: ") == 2
    first, second = json.loads(machine.output)
    assert [first["patient"], second["patient"]] == ["A", "B"]
    assert first["recommended"]["dose_mg"] >= second["recommended"]["dose_mg"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["two-1.txt", "two-2.txt", "two.csv"]
    assert f"{second['recommended']['dose_mg']:g} mg" in (tmp_path / "two-2.txt").read_text()


def test_a_slip_of_one_of_many_names_the_patient(tmp_path):
    path = tmp_path / "two.csv"
    path.write_text(TABLE.replace("B,11,", "B,0,1000,1000,1,.,60,80,0\nB,11,"))

    done = CliRunner().invoke(app, ["recommend", str(path), "--drug", "vancomycin-goti2018", "--draws", "64"])

    assert done.exit_code != 0
    assert str(done.exception).startswith("patient B: ")


def test_a_table_needs_a_drug_and_a_bundle_a_formula(tmp_path):
    path = tmp_path / "two.csv"
    path.write_text(TABLE)
    bundle = Path(__file__).resolve().parents[2] / "examples" / "patients" / "vancomycin_bundle.json"

    table = CliRunner().invoke(app, ["recommend", str(path)])
    without = CliRunner().invoke(app, ["recommend", str(bundle)])
    wrong = CliRunner().invoke(app, ["recommend", str(bundle), "--formula", "crcl"])
    given = CliRunner().invoke(app, ["recommend", str(bundle), "--formula", "crcl=nothing,weight=actual"])

    assert "names no drug" in str(table.exception)
    assert "name a formula" in str(without.exception)
    assert "allowed: COVARIATE=FORMULA" in str(wrong.exception)
    assert "crcl.formula: unknown formula" in str(given.exception)
    assert "cockcroft-gault" in str(given.exception)
