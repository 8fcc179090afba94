"""The bedside's part of the interface: answers, a dose of one's own, and each slip next to its field."""

import json
from pathlib import Path

import pytest

from rl_drug_dosage.bedside.patient_file import histories_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.long
def test_a_dose_of_one_s_own_is_judged_as_the_alternatives_are(client, patient, ask):
    """A regimen of the table, asked for as one's own, has the table's probabilities and curve."""
    _, answer = client.json("POST", "/api/recommend", {"patient": patient, "ask": ask})
    row = answer["alternatives"][0]
    own = {"patient": patient, "ask": ask, "dose_mg": row["dose_mg"], "interval_h": row["interval_h"]}

    status, policy = client.json("POST", "/api/forecast", own)

    assert status == 200
    assert policy["regimen"] == row
    assert policy["curve"] == answer["policies"][0]["curve"]
    assert policy["notes"] == []
    high = {**own, "dose_mg": 1e5 if not answer["label"]["amounts_mg"] else 2 * answer["label"]["amounts_mg"][-1]}
    status, policy = client.json("POST", "/api/forecast", high)
    assert (status == 200 and policy["notes"][0].startswith("beyond the limits")) or "infused" in policy["error"]


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"levels": [{"time": -1, "value": "11 mg/L"}]}, "levels[1].time", "a level before any dose"),
        (
            {"doses": [{"time": 0, "amount": "1 g", "over": "1 h"}] * 2},
            "doses[2].time",
            "has a dose already",
        ),
        ({"now": 10}, "doses[2].time", "lies after now"),
        ({"levels": [{"time": 11, "value": "11 kg"}]}, "levels[1].value", "is a mass"),
        ({"levels": [{"time": 11, "value": "x"}]}, "levels[1].value", "is no number"),
        ({"covariates": {"weight": "80 kg", "dialysis": False}}, "covariates.crcl_ml_per_min", "covariate missing"),
        (
            {"covariates": {"creatinine": "88", "weight": "80 kg", "dialysis": False}},
            "covariates.creatinine",
            "did you mean 88",
        ),
        ({"drug": "vancomicin"}, "drug", "unknown drug"),
        ({"zone": "Europe/Nowhere"}, "zone", "Europe/Nowhere"),
        ({"now": "2026-11-03 08:10"}, None, "hours"),
        ({"nothing": 1}, None, "unknown key"),
        (
            {
                "zone": "Europe/Berlin",
                "now": "2026-10-26 07:30",
                "doses": [{"time": "2026-10-25 02:30", "amount": "1 g", "over": "1 h"}],
                "levels": [],
            },
            "doses[1].time",
            "happened twice",
        ),
    ],
)
def test_each_slip_is_said_next_to_its_field(client, patient, ask, change, field, said):
    status, answer = client.json("POST", "/api/recommend", {"patient": patient | change, "ask": ask})

    assert status == 400
    assert said in answer["error"]
    assert "\n" not in answer["error"]
    if field is not None:
        assert answer["field"] == field


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"intervals_h": [11]}, "ask.intervals_h", "not on the label"),
        ({"next_dose": 5}, "ask.next_dose", "before now"),
        ({"next_dose": "2026-11-03 08:10"}, "ask.next_dose", "all in hours"),
        ({"target": "trough 1"}, "ask.target", "target"),
        ({"policies": ["/etc/passwd"]}, "ask.policies", "allowed: a list of label"),
        ({"policies": ["learnt"]}, "ask.policies", "allowed: a list of label"),
        ({"models": ["./own.py"]}, "ask.models", "allowed"),
        ({"scenario": "own.toml"}, "ask.scenario", "allowed"),
        ({"draws": 10**9}, "ask.draws", "50 to 2000"),
        ({"draws": True}, "ask.draws", "50 to 2000"),
        ({"horizon_h": -1}, "ask.horizon_h", "0 to"),
        ({"nothing": 1}, "ask.nothing", "unknown key"),
    ],
)
def test_a_question_that_cannot_be_is_refused(client, patient, ask, change, field, said):
    status, answer = client.json("POST", "/api/recommend", {"patient": patient, "ask": ask | change})

    assert status == 400
    assert said in answer["error"]
    assert answer["field"] == field


def test_an_interval_that_is_not_on_the_label_is_refused(client, patient, ask):
    own = {"patient": patient, "ask": ask, "dose_mg": 1000, "interval_h": 11}

    status, answer = client.json("POST", "/api/forecast", own)

    assert status == 400
    assert answer["field"] == "interval_h"
    assert "allowed: 8, 12, 24, 48 h" in answer["error"]


def test_a_history_that_contradicts_every_model_is_answered_with_a_warning(client, patient, ask):
    levels = [{"time": 11, "value": "90 mg/L"}, {"time": 22, "value": "0.1 mg/L"}]

    status, answer = client.json("POST", "/api/recommend", {"patient": patient | {"levels": levels}, "ask": ask})

    assert status == 200
    assert answer["contradicted"]
    assert answer["warnings"][0].startswith("the levels contradict every model")
    assert answer["recommended"]["policy"] == "label"


def test_a_name_is_text_wherever_it_is_shown(client, patient, ask):
    name = "<script>document.title='taken'</script>"
    body = {"patient": patient | {"name": name}, "ask": ask}

    status, raw = client("POST", "/api/recommend/sheet", body)

    assert status == 200
    assert b"<script" not in raw
    assert b"&lt;script&gt;" in raw


def test_files_are_opened(client):
    folder = ROOT / "examples" / "patients"

    def opened(name, **more):
        return client.json("POST", "/api/read", {"name": name, "text": (folder / name).read_text(), **more})

    status, toml = opened("vancomycin.toml")
    assert status == 200
    assert toml["patients"][0]["covariates"]["crcl"] == {"formula": "cockcroft-gault", "weight": "adjusted"}
    status, plain = opened("gentamicin.json")
    assert status == 200
    assert plain["patients"][0]["name"] == "Example B"
    formulas = {"crcl": {"formula": "cockcroft-gault", "weight": "actual"}}
    status, bundle = opened("vancomycin_bundle.json", formulas=formulas)
    assert status == 200
    assert len(bundle["patients"][0]["doses"]) == 2
    assert any("cockcroft-gault" in note for note in bundle["notes"])
    status, table = opened("busulfan.csv", drug="busulfan")
    assert status == 200
    assert table["patients"][0]["levels"][0]["value"] == {"value": 1.62, "unit": "mg/L"}
    assert table["patients"][0]["doses"][0]["amount"] == {"value": 60.0, "unit": "mg"}
    # What is opened is sent back for an answer.
    for record in (toml, plain, bundle, table):
        (history,) = histories_of(record["patients"][0])
        assert history.doses
    told = {"creatinine": "97 µmol/L", "age": 64, "weight": "82 kg", "sex": "male"}
    text = json.dumps({"format": 1, "drug": "vancomycin-goti2018", "now": 1, "covariates": told})
    status, ours = client.json("POST", "/api/read", {"name": "a.json", "text": text, "formulas": formulas})
    assert (status, ours["patients"][0]["covariates"]["crcl"]) == (200, formulas["crcl"])
    status, refused = opened("busulfan.csv")
    assert (status, "names no drug" in refused["error"]) == (400, True)
    rows = "".join(f"{i},0,100,,12\n" for i in range(501))
    many = {"name": "many.csv", "text": f"ID,TIME,AMT,DV,WT\n{rows}", "drug": "busulfan"}
    status, refused = client.json("POST", "/api/read", many)
    assert (status, "up to 500" in refused["error"]) == (400, True)
    assert client.json("POST", "/api/read", {"name": "a.exe", "text": ""})[0] == 400
    assert client.json("POST", "/api/read", {"name": "a.toml", "text": "x ="})[0] == 400


def test_a_bundle_is_a_patient(client, ask):
    bundle = json.loads((ROOT / "examples" / "patients" / "vancomycin_bundle.json").read_text())

    status, answer = client.json("POST", "/api/recommend", {"patient": bundle, "ask": ask})

    assert status == 400
    assert "name a formula" in answer["error"]
    assert answer["field"] == "covariates.crcl"


def test_a_long_history_is_refused(client, patient, ask):
    row = {"time": 0, "amount": "1 g", "over": "1 h", "every": "12 h", "times": 2000}

    status, answer = client.json("POST", "/api/recommend", {"patient": patient | {"doses": [row]}, "ask": ask})

    assert status == 400
    assert answer["field"] == "doses"
