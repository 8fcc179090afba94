"""Courses of a benchmark as a Minari dataset: read back, they are what a learner would have seen."""

import gymnasium
import numpy as np
import pytest

from rl_drug_dosage.errors import UnknownNameError
from rl_drug_dosage.trials.benchmark import BenchmarkOptions, benchmark
from rl_drug_dosage.trials.minari_export import export

minari = pytest.importorskip("minari")


@pytest.fixture(scope="module")
def result():
    return benchmark(BenchmarkOptions(scenario="vancomycin", policies=("label",), patients=5))


@pytest.mark.long
def test_a_dataset_holds_the_courses(result, tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))

    line = export(result, "label", tmp_path)
    dataset = minari.load_dataset("rl-drug-dosage/vancomycin/label-v0")

    assert "5 episodes" in line
    assert dataset.total_episodes == 5
    trial = result.trials["label"]
    env = gymnasium.make("Vancomycin-v2")
    for i, episode in enumerate(dataset.iterate_episodes()):
        np.testing.assert_allclose(episode.actions[:, 0], trial.dose[i])
        np.testing.assert_allclose(episode.rewards, trial.reward[i], rtol=1e-4, atol=1e-4)
        assert episode.observations.shape == (15, *env.observation_space.shape)
        assert episode.truncations.tolist() == [False] * 13 + [True]
    assert dataset.recover_environment().spec.id == "Vancomycin-v2"


def test_a_policy_that_did_not_take_part_is_refused(result, tmp_path):
    with pytest.raises(UnknownNameError, match="'mipd'"):
        export(result, "mipd", tmp_path)
