"""The PPO objective against numbers worked out by hand; ``test_learner`` holds it against a second implementation."""

from typing import Any

import jax
import numpy as np
import pytest

from rl_drug_dosage.ppo.distribution import log_prob
from rl_drug_dosage.ppo.loss import Coefficients, LossTerms, Minibatch, ppo_loss
from rl_drug_dosage.ppo.networks import ActorCritic, Mlp, init_actor_critic

FLAGS = ("policy", "norm_adv", "clip_vloss", "entropy_bonus", "masked")
_loss = jax.jit(ppo_loss, static_argnames=FLAGS)
gradient = jax.jit(jax.grad(ppo_loss, has_aux=True), static_argnames=FLAGS)


def loss(*args: Any, **flags: Any) -> tuple[np.ndarray, LossTerms]:
    """The loss and its terms as NumPy numbers."""
    value, terms = jax.device_get(_loss(*args, **flags))
    return value, terms


RATES = Coefficients(clip_coef=0.2, ent_coef=0.0, vf_coef=0.5)


def linear() -> ActorCritic:
    """Value and mean are the first and the second observation."""
    critic, actor = (
        Mlp((np.float32(column).reshape(2, 1),), (np.zeros(1, np.float32),)) for column in ([1, 0], [0, 1])
    )
    return ActorCritic(critic=critic, actor_mean=actor, actor_logstd=np.zeros((1, 1), np.float32))


def rows(ratio: Any, advantage: Any, value: Any = 0.0, old_value: Any = 0.0, ret: Any = 0.0) -> Minibatch:
    """A minibatch with these probability ratios under ``linear``."""
    n = len(ratio)
    obs = np.zeros((n, 2), np.float32)
    obs[:, 0] = value
    u = np.linspace(-1, 1, n, dtype=np.float32)[:, None]
    old = np.asarray(log_prob(u, obs[:, 1:], np.zeros((1, 1), np.float32))) - np.log(ratio)
    columns = (np.broadcast_to(np.float32(x), n) for x in (old, advantage, ret, old_value, 1.0))
    return Minibatch(obs, u, *columns)


def test_the_clipped_surrogate_by_hand() -> None:
    """Every side of the clip: a gain is capped at 1.2 A, a loss never, and inside the clip nothing is changed."""
    batch = rows([1.5, 0.5, 1.5, 0.5, 1.1], [2.0, -2.0, -2.0, 2.0, 1.0])
    terms = loss(linear(), batch, RATES, policy="gaussian", norm_adv=False)[1]
    # -2 x 1.2, 2 x 0.8, 2 x 1.5, -2 x 0.5, -1.1
    assert terms.policy_loss == pytest.approx((-2.4 + 1.6 + 3.0 - 1.0 - 1.1) / 5, rel=1e-5)
    assert terms.clipfrac == pytest.approx(4 / 5)
    log_ratios = np.log([1.5, 0.5, 1.5, 0.5, 1.1])
    assert terms.old_approx_kl == pytest.approx(-log_ratios.mean(), rel=1e-4)
    # the ratios sum to 5.1: mean(r - 1) = 0.02
    assert terms.approx_kl == pytest.approx(0.02 - log_ratios.mean(), rel=1e-4)


def test_the_value_loss_by_hand() -> None:
    """Half the mean square; clipped, half the mean of the larger square, the new value held within 0.2 of the old."""
    batch = rows([1.0, 1.0, 1.0], 0.0, value=[2.0, 2.0, 1.1], old_value=1.0, ret=[0.5, 3.0, 0.0])
    plain = loss(linear(), batch, RATES, policy="gaussian")[1].value_loss
    assert plain == pytest.approx(0.5 * (1.5**2 + 1.0**2 + 1.1**2) / 3, rel=1e-6)
    clipped = loss(linear(), batch, RATES, policy="gaussian", clip_vloss=True)[1].value_loss
    # held at 1.2: (1.2 - 0.5)^2 < 1.5^2, but (1.2 - 3)^2 = 3.24 > 1; the third is inside the clip
    assert clipped == pytest.approx(0.5 * (1.5**2 + 3.24 + 1.1**2) / 3, rel=1e-6)


def test_advantages_are_normalised_by_the_sample_deviation() -> None:
    """(0, 1, 2) becomes (-1, 0, 1): divided by n - 1, not n, which would make it 1.22 times that."""
    batch = rows([1.0, 1.0, 1.1], [0.0, 1.0, 2.0])
    normalised = loss(linear(), batch, RATES, policy="gaussian", norm_adv=True)[1].policy_loss
    assert normalised == pytest.approx(-(-1.0 + 0.0 + 1.1) / 3, rel=1e-4)
    raw = loss(linear(), batch, RATES, policy="gaussian", norm_adv=False)[1].policy_loss
    assert raw == pytest.approx(-(0.0 + 1.0 + 2.2) / 3, rel=1e-5)


def test_equal_advantages_are_no_division_by_zero() -> None:
    """A minibatch of one advantage over and over has deviation 0 and asks for no change."""
    value, terms = loss(linear(), rows([1.0, 1.0], 3.0), RATES, policy="gaussian", norm_adv=True)
    assert terms.policy_loss == 0.0
    assert np.isfinite(value)


def test_the_total_adds_the_terms_with_their_coefficients() -> None:
    """Policy loss - 0.3 x entropy + 0.7 x value loss, and without the bonus no entropy anywhere."""
    batch = rows([1.0, 1.1], [1.0, -1.0], value=1.0)
    rates = Coefficients(clip_coef=0.2, ent_coef=0.3, vf_coef=0.7)
    total, terms = loss(linear(), batch, rates, policy="gaussian")
    assert terms.entropy == pytest.approx(0.5 * np.log(2 * np.pi * np.e), rel=1e-6)
    assert total == pytest.approx(terms.policy_loss - 0.3 * terms.entropy + 0.7 * terms.value_loss, rel=1e-6)
    without, terms = loss(linear(), batch, rates, policy="gaussian", entropy_bonus=False)
    assert without == pytest.approx(terms.policy_loss + 0.7 * terms.value_loss, rel=1e-6)
    assert terms.entropy == 0.0


@pytest.mark.long
@pytest.mark.parametrize("policy", ["gaussian", "tanh-gaussian"])
def test_masked_rows_weigh_nothing(policy: str) -> None:
    """Loss, terms and gradients of a batch with invalid rows are those of the batch without them."""
    rng = np.random.default_rng(0)
    networks = init_actor_critic(rng, obs_size=2, action_size=1, hidden_sizes=(4,))
    networks.actor_mean.weights[-1][:] *= 100.0
    valid = np.float32([1, 0, 1, 1, 0, 1, 1, 0])
    obs, u = rng.normal(size=(8, 2)).astype(np.float32), rng.normal(size=(8, 1)).astype(np.float32)
    batch = Minibatch(obs, u, *rng.normal(size=(4, 8)).astype(np.float32), valid)
    wild = (np.where(valid[(...,) + (None,) * (x.ndim - 1)] > 0, x, np.float32(50.0)) for x in batch[:6])
    garbage = Minibatch(*wild, valid)
    kept = Minibatch(*(x[valid > 0] for x in batch[:7]))
    rates = Coefficients(clip_coef=0.2, ent_coef=0.1, vf_coef=0.5)

    expected, terms = loss(networks, kept, rates, policy=policy, clip_vloss=True)
    got, masked_terms = loss(networks, garbage, rates, policy=policy, clip_vloss=True, masked=True)
    assert got == pytest.approx(expected, rel=1e-5)
    for name, one, other in zip(LossTerms._fields, masked_terms, terms, strict=True):
        assert one == pytest.approx(other, rel=1e-5, abs=1e-7), name
    slopes = gradient(networks, kept, rates, policy=policy, clip_vloss=True)[0]
    masked_slopes = gradient(networks, garbage, rates, policy=policy, clip_vloss=True, masked=True)[0]
    for one, other in zip(jax.tree.leaves(masked_slopes), jax.tree.leaves(slopes), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_a_minibatch_without_a_valid_row_asks_for_nothing() -> None:
    """All rows masked: the loss is a finite 0 and so is its gradient."""
    batch = rows([1.5, 0.5], [2.0, -2.0])._replace(valid=np.zeros(2, np.float32))
    value, _ = loss(linear(), batch, RATES, policy="gaussian", entropy_bonus=False, masked=True)
    slopes = gradient(linear(), batch, RATES, policy="gaussian", entropy_bonus=False, masked=True)[0]
    assert value == 0.0
    assert all((np.asarray(leaf) == 0.0).all() for leaf in jax.tree.leaves(slopes))
