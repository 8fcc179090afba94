"""``rl-drug-dosage recommend``: text, JSON and a page."""

import json

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
