"""What is kept of a large trial: endpoints of all patients, courses of the first ones; blocks change nothing."""

import csv
import sys

import numpy as np
import pytest
from pyarrow import parquet

import rl_drug_dosage as rldd
from rl_drug_dosage.errors import ConfigError, DependencyError
from rl_drug_dosage.registry import find_scenario
from rl_drug_dosage.trials import outcome, statistics
from rl_drug_dosage.trials.outcome import blocks_of, gathered
from rl_drug_dosage.trials.trial import Cohort, first_of

ASKED = {"policies": ["label", "fixed"], "patients": 301, "seed": 3, "progress": False}


@pytest.fixture(scope="module")
def whole():
    return rldd.benchmark("vancomycin", stress=["missed-samples"], shield=True, **ASKED)


@pytest.mark.long
def test_blocks_change_nothing_but_the_courses_that_are_kept(whole, monkeypatch):
    monkeypatch.setattr(outcome, "BLOCK", 100)

    blocks = rldd.benchmark("vancomycin", stress=["missed-samples"], shield=True, **ASKED)

    assert [cohort.count for cohort in blocks_of(Cohort(3, 301, 7))] == [100, 100, 100, 1]
    assert blocks.record["settings"].pop("courses_of") == 100
    for part in ("policies", "paired", "subgroups", "distributions", "stress"):
        assert blocks.record[part] == whole.record[part]
    for name, own in whole.outcomes.items():
        other = blocks.outcomes[name]
        assert other.trial.patients == 100
        np.testing.assert_array_equal(other.trial.values, own.trial.values[:100])
        for end, column in own.ends.items():
            np.testing.assert_array_equal(other.ends[end], column)
    worst = [patient["patient"] for patient in blocks.record["worst"]]
    share = whole.outcomes["label"].ends["attainment_pct"][:100]
    assert max(worst) < 100
    assert share[worst].max() <= np.sort(share)[len(worst) - 1]


@pytest.mark.long
def test_the_report_says_of_how_many_patients_courses_are(monkeypatch, tmp_path):
    monkeypatch.setattr(outcome, "BLOCK", 100)
    rldd.benchmark("vancomycin", output_dir=tmp_path, **ASKED)

    assert "the first 100 patients" in (tmp_path / "report.html").read_text()


@pytest.mark.long
def test_ranges_that_are_not_adjacent_are_refused(whole):
    trial = whole.trials["label"]
    scenario = find_scenario("vancomycin").value
    with pytest.raises(ConfigError, match="not adjacent"):
        gathered(scenario, [first_of(trial, 10), first_of(trial, 10)], 20)
    with pytest.raises(ValueError, match="10 patients instead of 11"):
        gathered(scenario, [first_of(trial, 10)], 11)


def test_drawing_patients_who_are_alike_together_is_drawing_patients(monkeypatch):
    """The same mean, and an interval of the same law: 2,000 draws give its ends to a hundredth of its width."""
    rng = np.random.default_rng(1)
    columns = rng.integers(0, 5, (4000, 2)) * 25.0
    one_by_one = statistics.bootstrap(columns, np.random.default_rng(2))
    monkeypatch.setattr(statistics, "_ONE_BY_ONE", 100)

    together = statistics.bootstrap(columns, np.random.default_rng(3))

    for a, b in zip(one_by_one, together, strict=True):
        assert a.mean == b.mean
        np.testing.assert_allclose([b.low, b.high], [a.low, a.high], atol=0.1 * (a.high - a.low))
    rows, share = statistics._alike(columns)
    np.testing.assert_allclose(share @ rows, columns.mean(0))
    assert len(rows) == 25


def test_drawing_many_patients_who_all_differ_is_drawing_patients(monkeypatch):
    """As above. A mean of 4,000 has the standard error s/sqrt(4,000), and both columns the same resamples."""
    rng = np.random.default_rng(4)
    columns = rng.normal(50.0, 20.0, (4000, 1)) + np.array([[0.0, 3.0]])
    one_by_one = statistics.bootstrap(columns, np.random.default_rng(2))
    monkeypatch.setattr(statistics, "_ONE_BY_ONE", 100)

    drawn = statistics.bootstrap(columns, np.random.default_rng(3))

    error = columns[:, 0].std() / np.sqrt(len(columns))
    for a, b in zip(one_by_one, drawn, strict=True):
        assert a.mean == b.mean
        np.testing.assert_allclose([b.low, b.high], [a.low, a.high], atol=0.1 * (a.high - a.low))
        np.testing.assert_allclose([b.low, b.high], b.mean + np.array([-1.96, 1.96]) * error, atol=0.2 * error)
    np.testing.assert_allclose(drawn[1].low - drawn[0].low, 3.0, rtol=1e-9)


@pytest.mark.long
def test_parquet_holds_what_the_csv_holds(whole, tmp_path):
    files = whole.save(tmp_path / "a"), whole.save(tmp_path / "b", file_format="parquet")

    assert [file.name for file in files[1]] == ["benchmark.json", "benchmark.csv", "patients.parquet", "report.html"]
    table = parquet.read_table(files[1][2]).to_pydict()
    with files[0][2].open(newline="") as text:
        rows = list(csv.DictReader(text))
    assert list(table) == list(rows[0])
    assert len(table["patient"]) == len(rows) == 4 * 301
    for name, column in table.items():
        if name == "policy":
            assert column == [row[name] for row in rows]
        else:
            np.testing.assert_allclose(column, [float(row[name]) for row in rows], rtol=1e-5)


def test_parquet_without_pyarrow_is_refused_before_anything_is_run(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DependencyError, match="pip install"):
        rldd.benchmark("vancomycin", file_format="parquet", output_dir=tmp_path / "new", **ASKED)
    assert not (tmp_path / "new").exists()


def test_another_format_is_refused():
    with pytest.raises(ConfigError, match=r"file_format must be one of csv, parquet, not 'xlsx'"):
        rldd.benchmark("vancomycin", file_format="xlsx", **ASKED)
