"""Advantages and discounted returns: by hand, by definition, and never across the end of an episode."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_drug_dosage.ppo.advantages import discounted_returns, generalized_advantages

# Two environments, gamma = lambda = 1/2, so that the decay gamma lambda is 1/4. The first is truncated in its second
# step and terminates in its fourth; the second goes on throughout.
R = np.array([[1, 0], [2, 0], [3, 0], [8, 1]], np.float32)
V = np.array([[1, 0], [2, 2], [3, 4], [4, 8]], np.float32)
V_NEXT = np.array([[2, 2], [6, 4], [4, 8], [100, 4]], np.float32)
TERMINATED = np.array([[0, 0], [0, 0], [0, 0], [1, 0]], bool)
DONE = np.array([[0, 0], [1, 0], [0, 0], [1, 0]], bool)

gae = jax.jit(generalized_advantages, static_argnames="bootstrap_truncation")


def case(seed: int, steps: int = 12, envs: int = 3) -> tuple[np.ndarray, ...]:
    """Random rewards and values, with endings of both kinds."""
    rng = np.random.default_rng(seed)
    r, v, v_next = rng.normal(size=(3, steps, envs)).astype(np.float32)
    terminated, truncated = rng.random((2, steps, envs)) < 0.2
    return r, v, v_next, terminated, terminated | truncated


@pytest.mark.parametrize(
    ("bootstrap", "first_env"),
    [
        # deltas: 1 + 2/2 - 1 = 1;  2 + 6/2 - 2 = 3;  3 + 4/2 - 3 = 2;  8 + 0 - 4 = 4
        # advantages from the end: 4;  2 + 4/4 = 3;  3 (truncated: nothing from later);  1 + 3/4
        (True, [1.75, 3.0, 3.0, 4.0]),
        # the truncated step is worth 2 + 0 - 2 = 0, and the one before 1 + 0/4
        (False, [1.0, 0.0, 3.0, 4.0]),
    ],
)
def test_advantages_by_hand(bootstrap: bool, first_env: list[float]) -> None:
    """Termination, truncation and going on, side by side, with the time limit bootstrapped or not."""
    got = gae(R, V, V_NEXT, TERMINATED, DONE, gamma=0.5, gae_lambda=0.5, bootstrap_truncation=bootstrap)
    # deltas: 0 + 2/2 - 0 = 1;  4/2 - 2 = 0;  8/2 - 4 = 0;  1 + 4/2 - 8 = -5; then -5, -5/4, -5/16, 1 - 5/64
    second_env = [0.921875, -0.3125, -1.25, -5.0]
    np.testing.assert_array_equal(got, np.column_stack([first_env, second_env]))


@given(st.integers(0, 10**6), st.floats(0, 1), st.floats(0, 1), st.booleans())
def test_advantages_follow_the_definition(seed: int, gamma: float, lam: float, bootstrap: bool) -> None:
    """``A_t = sum_l (gamma lambda)^l delta_{t+l}``, the sum ending with the episode, written out term by term."""
    r, v, v_next, terminated, done = case(seed)
    expected = np.zeros(r.shape)
    for t, env in np.ndindex(r.shape):
        for later in range(t, len(r)):
            worthless = terminated[later, env] or (done[later, env] and not bootstrap)
            delta = r[later, env] + (0.0 if worthless else gamma * v_next[later, env]) - v[later, env]
            expected[t, env] += (gamma * lam) ** (later - t) * delta
            if done[later, env]:
                break
    got = gae(r, v, v_next, terminated, done, gamma=gamma, gae_lambda=lam, bootstrap_truncation=bootstrap)
    np.testing.assert_allclose(got, expected, atol=2e-5)


@pytest.mark.parametrize("bootstrap", [True, False])
def test_nothing_leaks_over_the_end_of_an_episode(bootstrap: bool) -> None:
    """What happens after an ending, of either kind, changes no advantage before it, however large it is."""
    r, v, v_next, _, _ = case(3)
    for ends in (np.zeros_like(r, bool), np.ones_like(r, bool)):
        terminated, done = np.zeros((2, *r.shape), bool)
        terminated[5], done[5] = ends[5], True
        wild = [np.where(np.arange(len(x))[:, None] > 5, 1e6, x) for x in (r, v, v_next)]
        before, after = (
            np.asarray(gae(*x, terminated, done, gamma=0.99, gae_lambda=0.95, bootstrap_truncation=bootstrap))
            for x in ((r, v, v_next), wild)
        )
        np.testing.assert_array_equal(before[:6], after[:6])
        assert (before[6:] != after[6:]).all()


def test_the_value_of_a_terminal_observation_is_never_looked_at() -> None:
    """Even a NaN there does no harm; the value of a truncated episode's last observation counts."""
    v_next = V_NEXT.copy()
    v_next[3, 0] = np.nan
    got = gae(R, V, v_next, TERMINATED, DONE, gamma=0.5, gae_lambda=0.5, bootstrap_truncation=True)
    np.testing.assert_array_equal(got[:, 0], [1.75, 3.0, 3.0, 4.0])
    v_next[1, 0] += 4.0  # gamma times that more in the truncated step, a quarter of it in the one before
    more = gae(R, V, v_next, TERMINATED, DONE, gamma=0.5, gae_lambda=0.5, bootstrap_truncation=True)
    np.testing.assert_array_equal(more[:, 0] - got[:, 0], [0.5, 2.0, 0.0, 0.0])


def test_lambda_one_gives_returns_and_lambda_zero_one_step_errors() -> None:
    """The two ends of the trade-off: ``A + V`` is the discounted return, or ``A`` the temporal difference."""
    r, v, v_next, _, _ = case(7)
    v_next[:-1] = v[1:]
    terminated = done = np.zeros(r.shape, bool)
    monte_carlo = gae(r, v, v_next, terminated, done, gamma=0.9, gae_lambda=1.0)
    discounts = 0.9 ** np.arange(len(r))
    returns = [discounts[: len(r) - t] @ r[t:] + 0.9 ** (len(r) - t) * v_next[-1] for t in range(len(r))]
    np.testing.assert_allclose(monte_carlo + v, returns, atol=1e-5)
    one_step = gae(r, v, v_next, terminated, done, gamma=0.9, gae_lambda=0.0)
    np.testing.assert_allclose(one_step, r + 0.9 * v_next - v, atol=1e-6)


def test_discounted_returns_by_hand_restart_with_the_episode() -> None:
    """The sum runs on from the last rollout, holds the ending step, and starts at 0 after it."""
    r = np.array([[1.0], [1.0], [4.0], [2.0]], np.float32)
    done = np.array([[0], [1], [0], [0]], bool)
    # g: 8/2 + 1 = 5;  5/2 + 1 = 3.5, the episode ends;  0/2 + 4 = 4;  4/2 + 2 = 4
    g, carry = discounted_returns(r, done, np.array([8.0], np.float32), gamma=0.5)
    np.testing.assert_array_equal(g[:, 0], [5.0, 3.5, 4.0, 4.0])
    np.testing.assert_array_equal(carry, [4.0])
    ended = discounted_returns(r, np.ones_like(done), np.array([8.0], np.float32), gamma=0.5)
    np.testing.assert_array_equal(ended[0][:, 0], [5.0, 1.0, 4.0, 2.0])
    np.testing.assert_array_equal(ended[1], [0.0])


def test_discounted_returns_stay_bounded_without_discount() -> None:
    """With gamma = 1 and episodes of 100 steps of reward 1 no sum exceeds 100, however long the training."""
    steps = 3000
    done = (np.arange(steps)[:, None] + 1) % 100 == 0
    g, _ = discounted_returns(np.ones((steps, 1), np.float32), done, np.zeros(1, np.float32), gamma=1.0)
    assert float(g.max()) == 100.0


def test_discounted_returns_do_not_see_where_rollouts_are_cut() -> None:
    """One rollout of twelve steps equals two of six with the carry between them."""
    r, _, _, _, done = case(11)
    start = np.zeros(3, np.float32)
    whole, end = discounted_returns(r, done, start, gamma=0.9)
    first, carry = discounted_returns(r[:6], done[:6], start, gamma=0.9)
    second, carry = discounted_returns(r[6:], done[6:], carry, gamma=0.9)
    np.testing.assert_array_equal(whole, np.concatenate([first, second]))
    np.testing.assert_array_equal(end, carry)
