"""The benchmark: one command, one answer, the same every time; and what it refuses."""

import csv
import json
import os

import pytest

SMALL = ["benchmark", "--scenario", "vancomycin", "--patients", "40", "--policy", "label", "--policy", "random"]


def _one_line(outcome) -> str:
    assert outcome.code == 2, outcome
    assert outcome.err.count("\n") == 1, outcome.err
    return outcome.err


@pytest.fixture(scope="module")
def names():
    return ["label", "random"]


@pytest.mark.long
def test_it_writes_json_csv_and_a_report_and_repeats_itself_to_the_byte(run, tmp_path, names):
    first = run(*SMALL, "--output-dir", "a")
    second = run(*SMALL, "--output-dir", "b")

    assert first.code == second.code == 0, first.err + second.err
    records = [json.loads((tmp_path / place / "benchmark.json").read_text()) for place in "ab"]
    for record in records:
        timing = record.pop("timing")
        assert set(timing["policies"]) == set(names)
        # the command names its own folder
        assert "--output-dir" in record["settings"].pop("command")
    assert json.dumps(records[0]) == json.dumps(records[1])
    for name in ("benchmark.csv", "patients.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    rows = list(csv.DictReader((tmp_path / "a" / "patients.csv").read_text().splitlines()))
    assert len(rows) == 80
    assert (tmp_path / "a" / "report.html").stat().st_size > 10_000
    assert "label" in first.out
    assert "points" in first.out


@pytest.mark.long
def test_the_ranking_is_by_the_goal(run, tmp_path):
    run(*SMALL, "--output-dir", "a")
    rows = json.loads((tmp_path / "a" / "benchmark.json").read_text())["policies"]

    assert [r["policy"] for r in rows] == ["label", "random"]
    assert [r["rank"] for r in rows] == [1, 2]
    assert rows[0]["attainment_pct"]["mean"] > rows[1]["attainment_pct"]["mean"]


@pytest.mark.slow  # compiles for half a minute
def test_stress_and_shield_add_their_parts(run, tmp_path):
    done = run(*SMALL, "--stress", "renal-impairment", "--shield", "--output-dir", "a")

    assert done.code == 0, done.err
    record = json.loads((tmp_path / "a" / "benchmark.json").read_text())
    plain = {r["policy"]: r for r in record["policies"]}
    assert set(plain) == {"label", "random", "label+shield", "random+shield"}
    held = {name: sum(r["interventions"].values()) for name, r in plain.items()}
    assert held["label"] == held["random"] == 0
    # Of 21 amounts 8 are above the cap of 3,000 mg, so that of 40 patients' 14 random doses some 213 are held; the
    # label itself stays within that cap.
    assert held["random+shield"] > 150
    assert held["label+shield"] < held["random+shield"]
    (stress,) = record["stress"]
    stressed = {r["policy"]: r for r in stress["policies"]}
    assert set(stressed) == {"label", "random"}
    # The label gives less to failing kidneys; random dosing knows nothing of them.
    assert stressed["label"]["total_dose"] < 0.7 * plain["label"]["total_dose"]
    assert stressed["random"]["total_dose"] == pytest.approx(plain["random"]["total_dose"], rel=0.05)


REFUSED = [
    (["--scenario", "vancomycine"], ["'vancomycine'", "did you mean 'vancomycin'"]),
    (["--scenario", "vancomycin", "--policy", "mipdd"], ["'mipdd'", "did you mean 'mipd'"]),
    (["--scenario", "vancomycin", "--policy", "aurora"], ["'aurora'", "'vancomycin'", "warfarin"]),
    (["--scenario", "vancomycin", "--stress", "elderley"], ["'elderley'", "did you mean 'elderly'"]),
    (["--scenario", "vancomycin", "--stress", "missed-doses"], ["'missed-doses'", "double-error"]),
    (["--scenario", "vancomycin", "--patients", "0"], ["--patients", "from 1"]),
    (["--scenario", "vancomycin", "--seed", "-1"], ["--seed", "-1"]),
    (
        ["--scenario", "vancomycin", "--simulator", "warfarin-hamberg2010"],
        ["warfarin-hamberg2010", "does not fit", "covariates are crcl_ml_per_min"],
    ),
    (["--scenario", "vancomycin", "--policy", "nowhere.pt"], ["nowhere.pt"]),
    (["--scenario", "vancomycin", "--policy", "label", "--output-dir", "/proc/x"], ["/proc/x", "--output-dir"]),
]


@pytest.mark.parametrize(("args", "named"), REFUSED, ids=lambda a: " ".join(a)[:60])
def test_unusable_arguments_are_refused_in_one_line(run, args, named):
    line = _one_line(run("benchmark", *args))

    for word in named:
        assert word in line


def test_a_model_of_another_task_says_which(run, tiny_run):
    line = _one_line(run("benchmark", "--scenario", "vancomycin", "--policy", tiny_run / "agent.pt"))

    assert "DrugDose-v0" in line
    assert "Vancomycin-v2" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_refused_before_the_work(run, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)

    line = _one_line(run(*SMALL, "--output-dir", locked))

    assert "locked" in line


def test_a_dataset_of_a_policy_that_takes_no_part_is_refused_before_anything_runs(run, tmp_path):
    pytest.importorskip("minari")
    for asked in ("zzz", "label+shield"):
        found = run(*SMALL, "--minari", asked)
        assert found.code == 2
        assert f"unknown policy of this benchmark '{asked}'" in found.err
        assert "known: label, random" in found.err
        assert "compiling" not in found.out + found.err
        assert not list(tmp_path.iterdir())
