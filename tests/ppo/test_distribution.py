"""From Gaussian to dose: bounds, densities and entropies."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from rl_drug_dosage.ppo.distribution import POLICIES, entropy, log_prob, to_action
from rl_drug_dosage.ppo.networks import init_actor_critic

FLOATS = st.floats(-(2.0**60), 2.0**60, width=32)


@pytest.mark.parametrize("policy", POLICIES)
@given(u=FLOATS | st.sampled_from([np.inf, -np.inf, 0.0, 1e-30]), low=st.floats(-1e6, 1e6), width=st.floats(1e-3, 1e6))
def test_every_value_of_the_gaussian_is_an_allowed_dose(policy: str, u: float, low: float, width: float) -> None:
    """Never below the lowest nor above the highest dose, not by one unit in the last place."""
    bottom, top = np.float32([low]), np.float32([low + width])
    action = to_action(np.float32([u]), bottom, top, policy)
    assert bottom[0] <= action[0] <= top[0]
    assert action.dtype == np.float32


@pytest.mark.parametrize("policy", POLICIES)
def test_rounding_lifts_no_dose_above_the_highest(policy: str) -> None:
    """``low + (high - low)`` is one unit in the last place above ``high`` for many a pair of float32 bounds."""
    low, high = np.sort(np.random.default_rng(0).normal(size=(2, 1000)), axis=0).astype(np.float32)
    assert (low + (high - low) > high).any()
    for u in (-np.inf, np.inf):
        action = to_action(np.full(1000, u, np.float32), low, high, policy)
        assert ((action >= low) & (action <= high)).all()


@pytest.mark.parametrize(
    ("policy", "doses"),
    [
        # (tanh u + 1) / 2 x 4 + 1, tanh 0.5 = 0.46211716
        ("tanh-gaussian", [1.0, 3.0, 3.92423432, 5.0]),
        ("gaussian", [1.0, 3.0, 4.0, 5.0]),
        ("gaussian-raw", [1.0, 1.0, 1.0, 5.0]),
    ],
)
def test_doses_by_hand_in_numpy_and_jax(policy: str, doses: list[float]) -> None:
    """Bounds 1 and 5: the unit policies put 0 on the middle dose, the raw one cuts the number itself."""
    u, low, high = np.float32([-30.0, 0.0, 0.5, 30.0]), np.float32([1.0]), np.float32([5.0])
    np.testing.assert_allclose(to_action(u, low, high, policy), doses, rtol=1e-6)
    from_jax = to_action(jnp.asarray(u), low, high, policy)
    assert isinstance(from_jax, jnp.ndarray)
    np.testing.assert_allclose(from_jax, doses, rtol=1e-6)


@pytest.mark.parametrize(
    ("policy", "zero_share", "middle"),
    [
        ("tanh-gaussian", 0.0, 0.5),
        ("gaussian", 0.1587, 0.5),  # Phi(-1)
        ("gaussian-raw", 0.5, 0.0),
    ],
)
def test_a_fresh_policy_starts_in_the_middle_of_the_doses(policy: str, zero_share: float, middle: float) -> None:
    """A Gaussian on raw dose units gives no drug half of the time before anything is learnt; the default never does."""
    rng = np.random.default_rng(5)
    networks = init_actor_critic(rng, obs_size=1, action_size=1)
    obs = rng.standard_normal((20_000, 1), dtype=np.float32)
    mean = networks.actor_mean(obs)
    u = mean + np.exp(networks.actor_logstd[0]) * rng.standard_normal(mean.shape, dtype=np.float32)
    dose = to_action(u, np.float32([0.0]), np.float32([1.0]), policy)
    assert (dose == 0.0).mean() == pytest.approx(zero_share, abs=0.02)
    deterministic = to_action(mean, np.float32([0.0]), np.float32([1.0]), policy)
    np.testing.assert_allclose(deterministic, middle, atol=0.03)


def test_the_log_probability_is_that_of_independent_normals() -> None:
    """Components are summed, as SciPy's normal density says."""
    rng = np.random.default_rng(0)
    u, mean = rng.normal(size=(2, 6, 3)).astype(np.float32)
    logstd = np.float32([[-1.0, 0.0, 0.7]])
    expected = scipy.stats.norm.logpdf(u, mean, np.exp(logstd)).sum(-1)
    np.testing.assert_allclose(log_prob(u, mean, logstd), expected, rtol=1e-5)


@pytest.mark.parametrize("policy", ["gaussian", "gaussian-raw"])
def test_the_gaussians_entropy_is_the_closed_form(policy: str) -> None:
    """``sum 0.5 log(2 pi e sigma^2)``, whatever the mean."""
    logstd = np.float32([[-1.0, 0.0, 0.7]])
    expected = scipy.stats.norm(scale=np.exp(logstd)).entropy().sum()
    got = entropy(jnp.full((4, 3), 7.0), logstd, policy)
    assert float(got) == pytest.approx(expected, rel=1e-6)


def test_the_squashed_entropy_agrees_with_monte_carlo() -> None:
    """Minus the mean log-density of 400,000 sampled actions, two components and two rows of a batch at once."""
    rng = np.random.default_rng(0)
    mean, logstd = np.float32([[0.0, 1.0], [-0.5, 2.0]]), np.float32([[0.0, -1.0]])
    u = mean + np.exp(logstd) * rng.standard_normal((400_000, 2, 2))
    density = scipy.stats.norm.logpdf(u, mean, np.exp(logstd)) - np.log(1.0 - np.tanh(u) ** 2)
    samples = -density.sum(-1).mean(1)
    error = samples.std() / np.sqrt(len(samples))
    assert float(entropy(jnp.asarray(mean), logstd, "tanh-gaussian")) == pytest.approx(samples.mean(), abs=5 * error)


@pytest.mark.parametrize("mean", [0.0, 0.7, 3.0, 12.0])
@pytest.mark.parametrize("logstd", [-2.0, 0.0, 0.5])
def test_the_squashed_entropy_agrees_with_adaptive_quadrature(mean: float, logstd: float) -> None:
    """SciPy's integral of ``-p log p`` over u, to 0.01 nats for all deviations that a policy takes on."""

    def integrand(z: float) -> float:
        u = mean + np.exp(logstd) * z
        log_slope = 2.0 * (np.log(2.0) - abs(u) - np.log1p(np.exp(-2.0 * abs(u))))
        return float(scipy.stats.norm.pdf(z)) * log_slope

    correction = scipy.integrate.quad(integrand, -10, 10, points=[-mean / np.exp(logstd)])[0]
    expected = scipy.stats.norm(scale=np.exp(logstd)).entropy() + correction
    got = entropy(jnp.full((1, 1), mean), np.float32([[logstd]]), "tanh-gaussian")
    assert float(got) == pytest.approx(expected, abs=0.01)
