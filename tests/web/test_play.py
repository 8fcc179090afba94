"""The game: the trial's own patient, what a clinic would know of it, and the policies on the same one."""

import re

import numpy as np
import pytest

import rl_drug_dosage as rldd
from rl_drug_dosage.trials import Cohort, enter, run_trial, setting_for
from rl_drug_dosage.trials.statistics import endpoints

GAME = {"scenario": "vancomycin", "patient": 3, "seed": 2}


@pytest.mark.long
def test_a_game_that_follows_the_label_is_the_label_s_trial(client):
    """Dose for dose, the same patient has the same course as in `run_trial`, to the bit of the answer's digits."""
    setting = setting_for("vancomycin")
    label = run_trial(
        setting.scenario, setting.simulator, enter(setting, "label", seed=1).policy, Cohort(2, 1, first=3)
    )
    doses = [[float(dose)] for dose in label.dose[0]]

    status, end = client.json("POST", "/api/play", GAME | {"doses": doses})

    assert status == 200
    assert end["done"]
    np.testing.assert_allclose(end["course"]["values"], label.values[0].reshape(-1), rtol=1e-4)
    # Judged as a trial is: of vancomycin the first interval does not count.
    own = endpoints(setting.scenario, label)
    assert end["course"]["in_target_pct"] == pytest.approx(own["attainment_pct"][0], rel=1e-3)
    assert end["course"]["under_pct"] == pytest.approx(own["under_pct"][0], rel=1e-3)
    assert end["course"]["over_pct"] == pytest.approx(own["over_pct"][0], rel=1e-3)
    assert own["attainment_pct"][0] != pytest.approx(100 * label.inside[0].mean(), rel=1e-3)
    assert end["course"]["doses"] == pytest.approx(label.dose[0].tolist())


@pytest.mark.long
def test_nothing_of_the_future_is_told(client):
    """Levels only once their results are back; later doses change nothing of what was told; no true course."""
    status, early = client.json("POST", "/api/play", GAME | {"doses": [[1000], [1000]]})
    _, later = client.json("POST", "/api/play", GAME | {"doses": [[1000], [1000], [3000]]})

    assert status == 200
    assert early["course"] is None
    assert not early["done"]
    assert early["decision"] == 2
    assert all(level["time_h"] <= 2 * early["interval_h"] for level in early["levels"])
    assert later["levels"][: len(early["levels"])] == early["levels"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"doses": [[1001]]}, "not on the grid"),
        ({"doses": [["x"]]}, r"doses\[1\]"),
        ({"doses": [[1000, 1]]}, "interval 1"),
        ({"doses": [[1000]] * 15}, "at most 14"),
        ({"scenario": "t1d"}, "at most 40"),
        ({"scenario": "own.py"}, "allowed"),
        ({"patient": -1}, "0 to 9999"),
    ],
)
def test_a_dose_that_cannot_be_is_refused(client, change, said):
    status, answer = client.json("POST", "/api/play", GAME | change)

    assert status == 400
    assert re.search(said, answer["error"])


@pytest.mark.long
def test_a_trial_is_the_benchmark_s(client, tmp_path, monkeypatch):
    """The table of the page has the numbers of `benchmark`; nothing is written; a second one waits its turn."""
    monkeypatch.chdir(tmp_path)
    body = {"scenario": "vancomycin", "policies": ["label", "fixed"], "patients": 20, "seed": 4}

    status, job = client.json("POST", "/api/trials", body)
    busy, _ = client.json("POST", "/api/trials", body)
    end = client.follow(job)

    assert status == 202
    assert busy == 409
    assert end["state"] == "done"
    assert end["error"] is None
    own = rldd.benchmark("vancomycin", policies=["label", "fixed"], patients=20, seed=4, progress=False)
    assert [row["attainment_pct"] for row in end["result"]["policies"]] == [
        row["attainment_pct"] for row in own.record["policies"]
    ]
    code, report = client("GET", f"/api/jobs/{job['id']}/report")
    assert code == 200
    assert report.startswith(b"<!DOCTYPE html>")
    assert not list(tmp_path.iterdir())


def test_with_a_folder_a_trial_writes_there_and_nowhere_else(make_client, tmp_path, monkeypatch):
    chosen, here = tmp_path / "chosen", tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    client = make_client(output_dir=chosen)
    _, job = client.json("POST", "/api/trials", {"scenario": "vancomycin", "policies": ["label"], "patients": 2})

    end = client.follow(job)

    assert end["state"] == "done", end
    [folder] = chosen.iterdir()
    assert {"report.html", "benchmark.json"} <= {p.name for p in folder.iterdir()}
    assert all(str(folder) in file for file in end["result"]["files"])
    assert not list(here.iterdir())


def test_a_stopped_job_ends_at_its_next_step(client):
    body = {"scenario": "vancomycin", "policies": ["label", "fixed"], "patients": 2000, "seed": 5}
    _, job = client.json("POST", "/api/trials", body)

    client.json("DELETE", f"/api/jobs/{job['id']}")

    assert client.follow(job)["state"] == "stopped"


@pytest.mark.slow
def test_the_policies_treat_the_same_patient(client):
    _, job = client.json("POST", "/api/play/compare", GAME)

    end = client.follow(job)

    assert end["state"] == "done", end
    assert {"label", "oracle"} <= {row["policy"] for row in end["result"]["policies"]}
