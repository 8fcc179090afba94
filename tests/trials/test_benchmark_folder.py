"""A benchmark's output folder: one benchmark at a time, its files together, and nothing of one that was refused."""

from pathlib import Path

import pytest

from rl_drug_dosage import api
from rl_drug_dosage.errors import OutputError, RlDrugDosageError

FILES = {"benchmark.json", "benchmark.csv", "patients.csv", "report.html"}


def _benchmark(folder: Path, **settings):
    return api.benchmark(
        "vancomycin", **{"policies": ["label"], "patients": 5, "output_dir": folder, "progress": False, **settings}
    )


def test_its_files_appear_together_and_a_second_benchmark_there_is_refused_meanwhile(tmp_path):
    """The first one ends all the same; afterwards the folder may be used again."""
    folder = tmp_path / "deep" / "out"
    refused, seen = [], []

    def intrude(text, share):
        if not refused:
            with pytest.raises(OutputError, match=r"output folder .* in use by another process") as caught:
                _benchmark(folder)
            refused.append(str(caught.value))
        seen.append({p.name for p in folder.iterdir()} & FILES)

    found = _benchmark(folder, progress=intrude)
    assert refused
    assert not set().union(*seen)
    assert {p.name for p in folder.iterdir()} == FILES == {p.name for p in found.files}
    (folder / "notes.txt").write_text("mine")
    _benchmark(folder)
    assert {p.name for p in folder.iterdir()} == {*FILES, "notes.txt"}


@pytest.mark.parametrize(
    "settings",
    [
        {"policies": ["no-such-policy"]},
        {"stress": ["no-such-stress"]},
        {"patients": 0},
        {"mismatch": True, "simulator": "x"},
    ],
)
def test_a_refused_benchmark_leaves_no_folder(tmp_path, settings):
    """Nor the folders above it."""
    with pytest.raises(RlDrugDosageError):
        _benchmark(tmp_path / "deep" / "out", **settings)
    assert not list(tmp_path.iterdir())


def test_a_policy_that_fails_when_it_runs_leaves_no_folder(tmp_path):
    """The folder is made and locked by then."""

    class Failing:
        def predict(self, observation, **how):
            raise ValueError("no idea")

    with pytest.raises(Exception, match="no idea"):
        _benchmark(tmp_path / "out", policies={"mine": Failing()})
    assert not list(tmp_path.iterdir())
