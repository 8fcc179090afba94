"""Discrete actions: densities and entropies against SciPy, and samples that follow them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from rl_drug_dosage.errors import ModelFileError
from rl_drug_dosage.ppo.categorical import choose, entropy_of_choices, log_prob_of_choices
from rl_drug_dosage.ppo.networks import init_actor_critic
from rl_drug_dosage.ppo.normalizer import RunningMoments
from rl_drug_dosage.ppo.policy import PpoPolicy

CHOICES = (3, 1, 4)
LOGITS = np.random.default_rng(0).normal(0.0, 2.0, (5, 8)).astype(np.float32)
PARTS = [scipy.special.softmax(LOGITS[:, a:b].astype(float), axis=1) for a, b in ((0, 3), (3, 4), (4, 8))]


def test_the_log_probability_is_that_of_independent_categoricals():
    """Of every combination of values; they add up to 1."""
    total = np.zeros(5)
    for values in np.ndindex(*CHOICES):
        u = np.broadcast_to(np.float32(values), (5, 3))
        got = np.asarray(log_prob_of_choices(jnp.asarray(u), jnp.asarray(LOGITS), CHOICES))
        expected = sum(np.log(part[:, v]) for part, v in zip(PARTS, values, strict=True))
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
        total += np.exp(got)
    np.testing.assert_allclose(total, 1.0, rtol=1e-5)


def test_the_entropy_is_the_sum_of_the_components_and_its_mean_is_weighted():
    """SciPy's; a step without weight does not count."""
    each = sum(scipy.stats.entropy(part, axis=1) for part in PARTS)
    assert float(entropy_of_choices(jnp.asarray(LOGITS), CHOICES)) == pytest.approx(each.mean(), rel=1e-5)
    weight = jnp.asarray([1.0, 0.0, 1.0, 0.0, 0.0])
    got = float(entropy_of_choices(jnp.asarray(LOGITS), CHOICES, weight))
    assert got == pytest.approx(each[[0, 2]].mean(), rel=1e-5)


@pytest.mark.long
def test_extreme_logits_have_finite_densities_and_gradients():
    """A policy that is certain."""
    logits = jnp.asarray([[1e4, -1e4, 0.0, 3.0, -1e4, -1e4, 1e4, -1e4]])
    u = jnp.asarray([[0.0, 0.0, 2.0]])
    value, grad = jax.value_and_grad(lambda x: log_prob_of_choices(u, x, CHOICES).sum())(logits)
    assert float(value) == pytest.approx(0.0, abs=1e-5)
    assert np.isfinite(grad).all()
    assert np.isfinite(jax.grad(lambda x: entropy_of_choices(x, CHOICES))(logits)).all()


def test_gumbel_noise_makes_samples_of_the_distribution():
    """In both collectors' arithmetic, 40,000 each: every frequency within 4 standard errors."""
    count = 40_000
    rng = np.random.default_rng(1)
    noisy = LOGITS[0] + rng.gumbel(size=(count, 8)).astype(np.float32)
    host, device = choose(noisy, CHOICES), np.asarray(choose(jnp.asarray(noisy), CHOICES))
    np.testing.assert_array_equal(host, device)
    assert host.dtype == device.dtype == np.float32
    for i, part in enumerate(PARTS):
        share = np.bincount(host[:, i].astype(int), minlength=part.shape[1]) / count
        error = np.sqrt(part[0] * (1 - part[0]) / count)
        assert (np.abs(share - part[0]) <= 4 * error + 1e-12).all()


def _policy(low: list[float], high: list[float]) -> PpoPolicy:
    networks = init_actor_critic(np.random.default_rng(0), obs_size=2, action_size=8, hidden_sizes=(4,), logstd_size=0)
    moments = RunningMoments(np.zeros(2, np.float32), np.ones(2, np.float32), np.float32(10.0))
    bounds = np.float32(low), np.float32(high)
    return PpoPolicy(networks, moments, *bounds, np.float32(10.0), "categorical", norm_obs=True, choices=CHOICES)


@pytest.mark.long
def test_a_policy_of_choices_goes_through_a_file_and_counts_from_its_lowest_value():
    """-1 to 1, 5 only, 0 to 3."""
    policy = _policy([-1, 5, 0], [1, 5, 3])
    again = PpoPolicy.from_tensors(policy.to_tensors(), kind="categorical", norm_obs=True)
    assert again.choices == CHOICES
    obs = np.float32([[0.3, -2.0], [4.0, 1.0]])
    (action, _), (other, _) = (p.act(None, jnp.asarray(obs), None) for p in (policy, again))
    np.testing.assert_array_equal(action, other)
    sampled = np.asarray(policy.act(None, jnp.asarray(np.repeat(obs, 500, 0)), jax.random.key(0))[0])
    assert [sorted(set(c.tolist())) for c in sampled.T] == [[-1, 0, 1], [5], [0, 1, 2, 3]]


@pytest.mark.parametrize(
    ("low", "high"),
    [([0, 0, 0], [2, 0, 2]), ([0.5, 0, 0], [2.5, 0, 3]), ([0, 0, 0], [2, 0, np.inf]), ([0, 1, 0], [2, 0, 3])],
)
def test_a_file_whose_choices_are_none_is_refused(low, high):
    """Another count than the network's, no whole numbers, no end, nothing between them."""
    tensors = _policy([0, 0, 0], [2, 0, 3]).to_tensors() | {
        "action.low": np.float32(low),
        "action.high": np.float32(high),
    }
    with pytest.raises(ModelFileError, match=r"train|written by this program"):
        PpoPolicy.from_tensors(tensors, kind="categorical", norm_obs=True)
