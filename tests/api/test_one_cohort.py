"""``evaluate`` and its report speak of the same patients, and say the same number."""

import json

import numpy as np
import pytest

import rl_drug_dosage as rldd
from rl_drug_dosage.training.episodes import summarize
from rl_drug_dosage.trials.statistics import endpoints


@pytest.fixture(params=[True, False], ids=["deterministic", "sampled"])
def evaluation(request, own):
    return rldd.evaluate(
        own / "runs/a",
        scenario=own / "task.py",
        num_episodes=20,
        seed=3,
        deterministic=request.param,
        save_data=True,
        progress=False,
    )


@pytest.mark.long
def test_the_printed_number_is_the_reported_one(evaluation):
    (row,) = evaluation.record["policies"]
    summary = summarize(evaluation.episodes)

    assert summary.in_range_pct == pytest.approx(row["attainment_pct"]["mean"], abs=1e-3)
    assert summary.mean_reward == pytest.approx(row["return"], rel=1e-4)
    assert evaluation.record["settings"]["patients"] == 20


def test_the_courses_are_those_of_a_benchmark_with_the_same_seed(own):
    evaluation = rldd.evaluate("runs/a", scenario="task.py", num_episodes=20, seed=3, progress=False)
    result = rldd.benchmark("task.py", policies={"x": "runs/a/agent.pt"}, patients=20, seed=3, progress=False)
    trial, episodes = result.trials["x"], evaluation.episodes

    np.testing.assert_array_equal(episodes.dose, trial.dose)
    np.testing.assert_array_equal(episodes.concentration[:, 1:], trial.values[:, :, -1])
    np.testing.assert_array_equal(
        episodes.in_range_pct, endpoints(result.scenario.value, trial)["attainment_pct"].astype(float)
    )


@pytest.mark.long
def test_the_data_add_up_to_it(evaluation):
    columns = evaluation.columns()
    judged = columns["judged"] == 1
    episodes = evaluation.episodes
    assert episodes.valid.all()

    share = [columns["in_range"][judged & (columns["episode"] == e)].mean() for e in range(1, 21)]
    returns = [columns["reward"][columns["episode"] == e].sum() for e in range(1, 21)]

    np.testing.assert_allclose(100.0 * np.asarray(share), episodes.in_range_pct, atol=1e-3)
    np.testing.assert_allclose(returns, episodes.returns, rtol=1e-4)


@pytest.mark.long
def test_nothing_is_in_a_patient_before_the_first_dose(evaluation):
    start = evaluation.episodes.concentration[:, 0]
    np.testing.assert_array_equal(start, 0.0)


def test_a_sampled_policy_gives_other_doses_and_its_report_says_so(own):
    mean, drawn = (
        rldd.evaluate("runs/a", scenario="task.py", num_episodes=20, deterministic=d, progress=False)
        for d in (True, False)
    )
    assert not np.array_equal(mean.episodes.dose, drawn.episodes.dose)
    assert "drawn" in json.dumps(drawn.record["policies"][0]["title"])
