"""The metrics of published trials against courses that are worked out by hand."""

import numpy as np
import pytest

from rl_drug_dosage.trials import published_metrics as pm
from rl_drug_dosage.trials.trial import Trial

NAN = np.nan


def course(measured, dose=None, baseline=1.0, **more) -> Trial:
    """Patients with these levels, one a decision, measured without an error."""
    measured = np.asarray(measured, float)
    patients = len(measured)
    dose = np.ones(measured.shape) if dose is None else np.asarray(dose, float)
    zeros = np.zeros(measured.shape)
    given = {
        "first": 0,
        "covariates": {},
        "values": measured[..., None],
        "measured": measured[..., None],
        "baseline": np.full(patients, baseline),
        "metrics": measured[..., None],
        "dose": dose,
        "proposal": dose,
        "every_h": zeros + 24.0,
        "reason": zeros.astype(int),
        "doubtful": zeros.astype(bool),
        "abstained": zeros.astype(bool),
        "inside": zeros,
        "under": zeros,
        "over": zeros,
        "harms": zeros[..., None],
        "reward": zeros,
        "alive": np.ones(measured.shape, bool),
        "failed": np.zeros(patients, bool),
    }
    return Trial(**(given | more))


def test_the_level_before_the_first_dose_comes_first_and_late_ones_are_left_out():
    trial = course([[2.0, 2.5, 3.5, 9.0]], baseline=1.2)
    np.testing.assert_array_equal(pm.measured_levels(trial, 4), [[1.2, 2.0, 2.5, 3.5]])


# Levels on days 0-5; doses 1-6 answer them. Days 2, 3 and 4 are above 5: the last level is never looked at.
EXCESS = [1.0, 4.0, 5.1, 5.2, 5.3, 2.0]


@pytest.mark.parametrize(
    ("levels", "doses", "leaves"),
    [
        (EXCESS, [5, 5, 5, 5, 5, 5], True),
        # Lowered from day 2 to day 4.
        (EXCESS, [5, 5, 5, 5, 4, 4], False),
        # Raised and then lowered, but not below that of the first high level.
        (EXCESS, [5, 5, 5, 9, 5, 1], True),
        # Twice above, a pause, twice above.
        ([1.0, 5.1, 5.2, 4.0, 5.3, 5.4], [5, 5, 5, 5, 5, 5], False),
        # The third one is the last level of all.
        ([1.0, 2.0, 3.0, 5.1, 5.2, 5.3], [5, 5, 5, 5, 5, 5], False),
        # 5 itself is not above 5.
        ([1.0, 4.0, 5.0, 5.2, 5.3, 2.0], [5, 5, 5, 5, 5, 5], False),
    ],
)
def test_who_leaves_by_the_rule_of_augustin(levels, doses, leaves):
    found = pm.unanswered_excess(np.asarray([levels]), np.asarray([doses], float), 5.0)
    assert found.tolist() == [leaves]


def test_shares_of_measured_levels():
    """Five levels each: 1 before the first dose, then four. The second patient leaves; a sixth level is not judged."""
    trial = course([[2.0, 3.0, 3.01, 2.5, 9.0], [5.1, 5.2, 5.3, 2.5, 9.0]], dose=[[5.0] * 5, [5.0] * 5])
    kept = {"levels": 5, "limit": 5.0}
    # 2, 3 and 2.5 of 1, 2, 3, 3.01, 2.5.
    np.testing.assert_allclose(pm.share_in_range(2.0, 3.0, **kept)(None, trial), [60.0, NAN])
    np.testing.assert_allclose(pm.level_in_range(2.0, 3.0, **kept)(None, trial), [100.0, 0.0])
    np.testing.assert_allclose(pm.left_early(**kept)(None, trial), [0.0, 100.0])
    np.testing.assert_allclose(pm.any_above(3.0, levels=5)(None, trial), [100.0, 100.0])
    np.testing.assert_allclose(pm.any_above(3.01, levels=5)(None, trial), [0.0, 100.0])


def test_days_that_end_in_range_count_the_values_without_error_and_nobody_who_left():
    values = np.asarray([[[9.0, 2.0], [2.5, 3.1], [0.0, 3.0], [0.0, 2.2]]])
    trial = course([[9.0] * 4], values=values, alive=np.asarray([[True, True, True, False]]))
    # The ends are 2.0, 3.1, 3.0 and 2.2; the last is after leaving.
    np.testing.assert_allclose(pm.share_of_ends_in_range(2.0, 3.0)(None, trial), [50.0])
    some = pm.among(pm.share_of_ends_in_range(2.0, 3.0), lambda trial: np.asarray([False]))
    assert np.isnan(some(None, trial)).all()


def test_cycles_beyond_a_nadir():
    trial = course([[0.9, 1.0, 3.9, 4.0]])
    np.testing.assert_allclose(pm.metric_beyond(below=1.0)(None, trial), [25.0])
    np.testing.assert_allclose(pm.metric_beyond(above=4.0)(None, trial), [25.0])


def test_sums():
    trial = course([[1.0, 1.0]], dose=[[2.0, 3.5]], reward=np.asarray([[0.5, -2.0]]))
    np.testing.assert_allclose(pm.total_dose(None, trial), [5.5])
    np.testing.assert_allclose(pm.sum_of_rewards(None, trial), [-1.5])


def test_performance_errors():
    """Errors from the second value on: 20, -10, -40 and 0 % of 50."""
    trial = course([[90.0, 60.0, 45.0, 30.0, 50.0]])
    kept = {"from_decision": 1}
    np.testing.assert_allclose(pm.performance_error(50.0, absolute=False, **kept)(None, trial), [-5.0])
    np.testing.assert_allclose(pm.performance_error(50.0, absolute=True, **kept)(None, trial), [15.0])


def test_a_summary_leaves_out_who_does_not_count():
    rng = np.random.default_rng(0)
    column = np.asarray([NAN, 1.0, 2.0, 6.0, NAN])
    assert pm.summarised(column, "mean", rng).mean == pytest.approx(3.0)
    assert pm.summarised(column, "median", rng).mean == pytest.approx(2.0)
    assert pm.summarised(np.full(3, NAN), "mean", rng) is None


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution():
    column = np.random.default_rng(1).normal(10.0, 3.0, 400)
    found = pm.summarised(column, "mean", np.random.default_rng(2))
    assert found.high - found.low == pytest.approx(2 * 1.96 * 3.0 / 20.0, rel=0.1)
