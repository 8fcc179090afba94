"""A benchmark in parts: merged, it is the whole; parts that do not belong together are refused in one line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import rl_drug_dosage as rldd
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.registry import POLICY, is_known
from rl_drug_dosage.trials.shards import Shard

ASKED = {"policies": ["label", "fixed"], "patients": 301, "seed": 3, "progress": False}
FOREIGN = """\
from rl_drug_dosage.policies.label import POLICY as LABEL

POLICY = LABEL
"""


@pytest.fixture(scope="module")
def whole():
    return rldd.benchmark("vancomycin", stress=["missed-samples"], shield=True, **ASKED)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three parts, the last one first."""
    place = tmp_path_factory.mktemp("parts")
    for number in (3, 1, 2):
        part = rldd.benchmark(
            "vancomycin", stress=["missed-samples"], shield=True, shard=f"{number}/3", output_dir=place, **ASKED
        )
        assert [file.name for file in part.files] == [f"part-{number}-of-3.npz"]
    return place


@pytest.mark.long
def test_a_part_counts_nothing_and_says_what_it_is(monkeypatch, tmp_path):
    """Intervals for a part of the patients are nobody's; they took a seventh of its time."""

    def none(*_, **__):
        raise AssertionError("a part has no intervals")

    for module in ("benchmark_record", "benchmark_runs"):
        monkeypatch.setattr(f"rl_drug_dosage.trials.{module}.bootstrap", none)
    part = rldd.benchmark("vancomycin", shard="1/3", output_dir=tmp_path, **ASKED)
    assert "patients of this part" in part._repr_html_()
    assert part.record["settings"]["seed"] == ASKED["seed"]
    for ask in (part.columns, part.plot, lambda: part.save(tmp_path)):
        with pytest.raises(ConfigError, match="merge all parts"):
            ask()


@pytest.fixture
def parts(folder, tmp_path):
    return Path(shutil.copytree(folder, tmp_path / "parts"))


@pytest.mark.long
def test_merged_parts_are_the_whole_to_the_bit(whole, parts):
    merged = rldd.merge([parts], output_dir=parts / "out", progress=False)

    def said(record):
        return json.dumps({key: value for key, value in record.items() if key != "timing"})

    assert said(merged.record) == said(whole.record)
    for name, trial in whole.trials.items():
        np.testing.assert_array_equal(merged.trials[name].values, trial.values)
        np.testing.assert_array_equal(merged.trials[name].dose, trial.dose)
    assert {file.name for file in merged.files} == {"benchmark.json", "benchmark.csv", "patients.csv", "report.html"}


def test_ranges_cover_all_patients_once():
    for patients in (1, 7, 1000):
        for of in (1, 3, min(patients, 16)):
            if of <= patients:
                own = [Shard(k, of).range_of(patients) for k in range(1, of + 1)]
                assert [p for first, count in own for p in range(first, first + count)] == list(range(patients))


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/99999", "-1/3", "1/3/5", ""])
def test_what_is_no_part_is_refused(text):
    with pytest.raises(ConfigError, match="allowed") as refused:
        Shard.parsed(text)
    assert "\n" not in str(refused.value)


def test_more_parts_than_patients_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="at most one part a patient"):
        rldd.benchmark("vancomycin", shard="2/400", output_dir=tmp_path, **ASKED)


def test_a_part_needs_a_place():
    with pytest.raises(ConfigError, match="output_dir"):
        rldd.benchmark("vancomycin", shard="1/3", **ASKED)


@pytest.mark.long
def test_a_missing_part_is_named(parts):
    (parts / "part-2-of-3.npz").unlink()
    with pytest.raises(ConfigError, match=r"1 of 3 parts are missing: 2; run them with --shard K/3"):
        rldd.merge([parts], progress=False)


@pytest.mark.long
def test_a_part_that_is_there_twice_is_named(parts):
    shutil.copy(parts / "part-2-of-3.npz", parts / "part-2-of-9.npz")
    with pytest.raises(ConfigError, match="same part"):
        rldd.merge([parts], progress=False)


@pytest.mark.long
def test_parts_of_another_benchmark_are_refused(parts):
    other = {**ASKED, "seed": 4}
    rldd.benchmark("vancomycin", stress=["missed-samples"], shield=True, shard="2/3", output_dir=parts, **other)
    with pytest.raises(ConfigError, match=r"part-2-of-3.npz has seed 4 and part-1-of-3.npz has 3"):
        rldd.merge([parts], progress=False)


@pytest.mark.long
@pytest.mark.parametrize("damage", ["flipped", "short", "empty", "text"])
def test_a_damaged_part_is_named(parts, damage):
    file = parts / "part-2-of-3.npz"
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    file.write_bytes({"flipped": bytes(raw), "short": raw[:-200], "empty": b"", "text": b"patients\n"}[damage])
    with pytest.raises(ConfigError, match=r"part-2-of-3.npz is no part of a benchmark, or is damaged"):
        rldd.merge([parts], progress=False)


@pytest.mark.long
def test_what_was_run_otherwise_is_refused(parts):
    """Of a name that means another policy here than it did where the parts were run."""
    with pytest.raises(ConfigError, match="another scenario, drug model or policy"):
        rldd.merge([parts], policies={"label": "fixed", "fixed": "label"}, progress=False)


@pytest.mark.long
def test_a_file_names_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(FOREIGN)
    asked = {"policies": ["mine.py", "a=1000 mg q12h"], "progress": False}
    for number in (1, 2):
        rldd.benchmark("vancomycin", patients=20, shard=f"{number}/2", output_dir="out", **asked)
    with pytest.raises(ConfigError, match=r"the file 'mine.py' as policy.*again with policies"):
        rldd.merge(["out"], progress=False)
    assert rldd.merge(["out"], **asked).record["settings"]["patients"] == 20


@pytest.mark.parametrize("text", ["label", "mipd,prior=widened", "15 mg/kg q12h", "1000 mg q12h"])
def test_what_is_built_in_may_be_named_by_a_file(text):
    assert is_known(POLICY, text)


@pytest.mark.parametrize("text", ["./label", "label.py", "os:system", "runs/a", "agent.pt", "", "nothing"])
def test_what_is_not_may_not(text):
    assert not is_known(POLICY, text)
