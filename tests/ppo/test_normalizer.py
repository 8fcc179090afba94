"""The running moments: what NumPy says of everything seen so far, in whatever portions it came."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_drug_dosage.ppo.normalizer import RunningMoments, initial_moments, scale_by_deviation, standardize


def moments_of(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    return x.mean(0), x.var(0), float(len(x))


@given(st.integers(0, 10**6), st.lists(st.integers(1, 30), min_size=2, max_size=6))
def test_merging_batches_equals_numpy_on_all_of_them(seed: int, sizes: list[int]) -> None:
    """Mean, population variance and count of the concatenation, whatever the sizes, scales and offsets."""
    rng = np.random.default_rng(seed)
    batches = [rng.normal(rng.uniform(-50, 50, 3), rng.uniform(0.1, 9, 3), (n, 3)) for n in sizes]
    first, *others = batches
    running = RunningMoments(first.mean(0), first.var(0), np.float64(len(first)))
    for batch in others:
        running = running.merge(*moments_of(batch))
    everything = np.concatenate(batches)
    np.testing.assert_allclose(running.mean, everything.mean(0), rtol=1e-10)
    np.testing.assert_allclose(running.var, everything.var(0), rtol=1e-10)
    assert running.count == len(everything)


def test_the_initial_moments_are_forgotten_at_once() -> None:
    """After one batch of ten the made-up mean 0 and variance 1 weigh a hundred-thousandth."""
    x = np.random.default_rng(0).normal(100.0, 5.0, (10, 2))
    running = initial_moments((2,)).merge(*moments_of(x))
    np.testing.assert_allclose(running.mean, x.mean(0), rtol=2e-5)
    # what is left of it: (1e-4 / 10) (100 - 0)^2 = 0.1
    np.testing.assert_allclose(running.var, x.var(0) + 0.1, rtol=0.01)
    before = initial_moments((2,))
    assert (before.mean == 0.0).all()
    assert (before.var == 1.0).all()


def test_an_empty_batch_changes_nothing() -> None:
    """Merging no samples, whose moments are given as zeros, leaves mean, variance and count as they were."""
    running = RunningMoments(np.float32([3.0, -2.0]), np.float32([0.7, 11.0]), np.float32(17.0))
    after = running.merge(np.zeros(2, np.float32), np.zeros(2, np.float32), np.float32(0.0))
    np.testing.assert_array_equal(after.mean, running.mean)
    np.testing.assert_allclose(after.var, running.var, rtol=2e-7)
    assert after.count == running.count


def test_a_small_spread_on_a_large_offset_survives_single_precision() -> None:
    """Offset 1,000, deviation 1, a thousand batches in float32: the textbook E[x^2] - E[x]^2 would lose it."""
    x = np.random.default_rng(1).normal(1000.0, 1.0, (1000, 20)).astype(np.float32)
    running = initial_moments(())
    for batch in x:
        running = running.merge(batch.mean(), batch.var(), np.float32(batch.size))
    # 1e-4 samples at 0 among 20,000 at 1,000 add 1e-4 x 1e6 / 20,000 = 0.005 to the variance
    assert running.var == pytest.approx(x.astype(float).var() + 0.005, rel=0.01)
    assert running.mean == pytest.approx(1000.0, abs=0.05)


def test_standardising_and_its_clip() -> None:
    """``(x - mean) / sqrt(var + 1e-8)``, cut to the clip on both sides; a constant feature does not divide by 0."""
    moments = RunningMoments(np.float32([1.0, 5.0]), np.float32([4.0, 0.0]), np.float32(10.0))
    x = np.float32([[3.0, 5.0], [1000.0, 6.0], [-1000.0, 4.0]])
    np.testing.assert_allclose(standardize(x, moments, 10.0), [[1.0, 0.0], [10.0, 10.0], [-10.0, -10.0]])
    np.testing.assert_allclose(standardize(x, moments, 1e9)[:, 1], [0.0, 1e4, -1e4], rtol=1e-4)


def test_scaling_keeps_sign_and_order_of_rewards() -> None:
    """Rewards are divided by a deviation; their mean is not taken off, so that a bad reward stays negative."""
    moments = RunningMoments(np.float32(50.0), np.float32(4.0), np.float32(10.0))
    np.testing.assert_allclose(scale_by_deviation(np.float32([-2.0, 0.0, 1.0]), moments), [-1.0, 0.0, 0.5])
