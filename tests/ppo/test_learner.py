"""One update: against a second implementation in double precision, and each of its switches by what it does."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.ppo import learner as learner_module
from rl_drug_dosage.ppo.learner import INPUT_NAMES, Learner, LearnerSettings, LearnerState, Rates, Rollout
from rl_drug_dosage.ppo.loss import Coefficients, LossTerms
from rl_drug_dosage.ppo.networks import init_actor_critic, orthogonal

STEPS, ENVS, OBS, ACTIONS, EPOCHS, MINIBATCHES = 4, 2, 2, 1, 2, 2
HIDDEN = (3, 3)
KEY = np.array([7, 11], np.uint32)


def settings(**changes: Any) -> LearnerSettings:
    base = {"num_minibatches": MINIBATCHES, "update_epochs": EPOCHS, "policy": "gaussian", "hidden_sizes": HIDDEN}
    return LearnerSettings(obs_size=OBS, action_size=ACTIONS, **{**base, **changes})


def rates(**changes: Any) -> Rates:
    base = {"learning_rate": 3e-4, "gamma": 0.9, "gae_lambda": 0.8, "max_grad_norm": 0.5, "target_kl": 0.0}
    coefficients = Coefficients(np.float32(0.2), np.float32(0.01), np.float32(0.5))
    numbers = {name: np.float32(value) for name, value in {**base, "desired_kl": 0.0, **changes}.items()}
    numbers["num_updates"] = np.int32(changes.get("num_updates", 10))
    return Rates(coefficients=coefficients, **numbers)


def make_rollout(seed: int = 0) -> Rollout:
    """Random transitions with one ending of each kind."""
    rng = np.random.default_rng(seed)
    obs, next_obs = rng.normal(size=(2, STEPS, ENVS, OBS)).astype(np.float32)
    terminated, done = np.zeros((2, STEPS, ENVS), bool)
    terminated[1, 0] = done[1, 0] = done[2, 1] = True
    u = rng.normal(size=(STEPS, ENVS, ACTIONS)).astype(np.float32)
    reward = rng.normal(size=(STEPS, ENVS)).astype(np.float32)
    return Rollout(obs, next_obs, u, reward, terminated, done, np.ones((STEPS, ENVS), np.float32))


Update = Callable[..., tuple[LearnerState, Any]]


def compiled(learner: Learner) -> Update:
    """The update with its key as plain numbers."""
    update = jax.jit(lambda *x: learner.update(*x[:-1], jax.random.wrap_key_data(x[-1])))
    return lambda state, rollout, rates: jax.device_get(update(state, rollout, rates, KEY))


@pytest.fixture(scope="module")
def plain() -> tuple[Learner, Update]:
    learner = Learner(settings())
    return learner, compiled(learner)


@pytest.fixture(scope="module")
def adaptive() -> tuple[Learner, Update]:
    learner = Learner(settings(num_minibatches=1, adaptive_lr=True, anneal_lr=False))
    return learner, compiled(learner)


@pytest.fixture(scope="module")
def one_minibatch() -> tuple[Learner, Update]:
    learner = Learner(settings(num_minibatches=1, update_epochs=1))
    return learner, compiled(learner)


def fresh(learner: Learner, seed: int = 0) -> LearnerState:
    return learner.init(np.random.default_rng(seed))


# --- a second implementation: CleanRL's semantics in float64 NumPy, gradients by central differences -----------------


class Reference:
    """The same update from scratch; parameters as a flat vector in the learner's order."""

    def __init__(self, learner: Learner, flat: np.ndarray) -> None:
        networks = learner.networks(flat)
        self.shapes = [np.shape(leaf) for leaf in jax.tree.leaves(networks)]

    def unpack(self, flat: np.ndarray) -> list[np.ndarray]:
        cuts = np.cumsum([int(np.prod(shape)) for shape in self.shapes])[:-1]
        return [part.reshape(shape) for part, shape in zip(np.split(flat, cuts), self.shapes, strict=True)]

    def forward(self, flat: np.ndarray, obs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        parts = self.unpack(flat)

        def network(weights: list[np.ndarray], biases: list[np.ndarray]) -> np.ndarray:
            x = obs
            for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
                x = np.tanh(x @ weight + bias)
            return x @ weights[-1] + biases[-1]

        layers = len(HIDDEN) + 1
        value = network(parts[:layers], parts[layers : 2 * layers])
        mean = network(parts[2 * layers : 3 * layers], parts[3 * layers : 4 * layers])
        return value[..., 0], mean, parts[-1][0]

    def log_prob(self, flat: np.ndarray, obs: np.ndarray, u: np.ndarray) -> np.ndarray:
        _, mean, logstd = self.forward(flat, obs)
        variance = np.exp(2 * logstd)
        return (-((u - mean) ** 2) / (2 * variance) - 0.5 * np.log(2 * np.pi * variance)).sum(-1)

    def loss(self, flat: np.ndarray, b: dict[str, np.ndarray], *, clip_vloss: bool) -> float:
        value, _, logstd = self.forward(flat, b["obs"])
        ratio = np.exp(self.log_prob(flat, b["obs"], b["u"]) - b["logp"])
        advantage = (b["adv"] - b["adv"].mean()) / (b["adv"].std(ddof=1) + 1e-8)
        surrogate = np.minimum(ratio * advantage, np.clip(ratio, 0.8, 1.2) * advantage).mean()
        error = (value - b["ret"]) ** 2
        if clip_vloss:
            held = np.clip(value, b["value"] - 0.2, b["value"] + 0.2)
            error = np.maximum(error, (held - b["ret"]) ** 2)
        entropy = (0.5 * np.log(2 * np.pi * np.e) + logstd).sum()
        return float(-surrogate - 0.01 * entropy + 0.5 * (0.5 * error.mean()))

    def update(
        self, flat: np.ndarray, r: Rollout, order: np.ndarray, lr: float, *, clip_vloss: bool
    ) -> tuple[np.ndarray, list[float]]:
        value, next_value = self.forward(flat, r.obs)[0], self.forward(flat, r.next_obs)[0]
        adv = np.zeros((STEPS + 1, ENVS))
        for t in reversed(range(STEPS)):
            delta = r.reward[t] + 0.9 * next_value[t] * ~r.terminated[t] - value[t]
            adv[t] = delta + 0.9 * 0.8 * adv[t + 1] * ~r.done[t]
        adv = adv[:-1]
        table = {"obs": r.obs, "u": r.u, "logp": self.log_prob(flat, r.obs, r.u), "adv": adv, "ret": adv + value}
        table["value"] = value
        table = {k: v.reshape(STEPS * ENVS, *v.shape[2:]) for k, v in table.items()}
        m, v, norms = np.zeros_like(flat), np.zeros_like(flat), []
        for count, index in enumerate(order.reshape(EPOCHS * MINIBATCHES, -1), start=1):
            batch = {name: column[index] for name, column in table.items()}
            g = np.zeros_like(flat)
            for i in range(flat.size):
                h = np.zeros_like(flat)
                h[i] = 1e-6
                up, down = (self.loss(flat + s * h, batch, clip_vloss=clip_vloss) for s in (1, -1))
                g[i] = (up - down) / 2e-6
            norms.append(np.linalg.norm(g))
            g *= min(1.0, 0.5 / (norms[-1] + 1e-6))
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            flat = flat - lr * (m / (1 - 0.9**count)) / (np.sqrt(v / (1 - 0.999**count)) + 1e-5)
        return flat, norms


@pytest.mark.parametrize("clip_vloss", [False, True])
def test_an_update_equals_a_second_implementation(plain: tuple[Learner, Update], clip_vloss: bool) -> None:
    """Two epochs of two minibatches from the same numbers: the same parameters as float64 NumPy arrives at.

    The rate is high, so that ratios and values leave their clips, and the rewards are large, so that the gradient
    norm leaves its own.
    """
    learner, update = plain
    if clip_vloss:
        learner = Learner(settings(clip_vloss=True))
        update = compiled(learner)
    state, rollout = fresh(learner, 1), make_rollout()
    rollout = rollout._replace(reward=5 * rollout.reward)
    after, metrics = update(state, rollout, rates(learning_rate=0.05))

    order = np.asarray(learner_module._permutations(jax.random.wrap_key_data(KEY), EPOCHS, STEPS * ENVS))
    start = state.params.astype(np.float64)
    double = jax.tree.map(lambda x: x.astype(np.float64) if x.dtype == np.float32 else x, rollout)
    expected, norms = Reference(learner, start).update(start, double, order, 0.05, clip_vloss=clip_vloss)

    np.testing.assert_allclose(after.params, expected, atol=2e-5)
    assert metrics.terms.grad_norm == pytest.approx(np.mean(norms), rel=1e-4)
    assert metrics.terms.clipfrac > 0
    assert min(norms) > 0.5
    assert np.abs(after.params - start).max() > 0.1


# --- the first minibatch, and how far an update goes -----------------------------------------------------------------


def test_nothing_has_changed_before_the_first_step(one_minibatch: tuple[Learner, Update]) -> None:
    """On the first minibatch of the first epoch every ratio is 1: no KL, no clipping, a policy loss of 0."""
    learner, update = one_minibatch
    terms = update(fresh(learner), make_rollout(), rates())[1].terms
    assert abs(terms.approx_kl) < 1e-6
    assert abs(terms.old_approx_kl) < 1e-6
    assert terms.clipfrac == 0.0
    assert abs(terms.policy_loss) < 1e-6  # the mean of normalised advantages
    assert terms.grad_norm > 0.01


def test_the_policy_moves_but_stays_near(plain: tuple[Learner, Update]) -> None:
    """With the default rate the KL of a whole update is above 0 and far below 0.02."""
    learner, update = plain
    terms = update(fresh(learner), make_rollout(), rates())[1].terms
    assert 0.0 < terms.approx_kl < 0.02


def test_an_update_repeats_bit_for_bit(plain: tuple[Learner, Update]) -> None:
    """The same state, rollout and key give the same parameters; another rollout gives others."""
    learner, update = plain
    one, other = (update(fresh(learner), make_rollout(), rates())[0].params for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert (update(fresh(learner), make_rollout(1), rates())[0].params != one).any()


def test_minibatches_cover_the_batch_without_replacement() -> None:
    """Each epoch visits every transition exactly once, in an order of its own."""
    order = np.asarray(learner_module._permutations(jax.random.key(0), 5, 64))
    np.testing.assert_array_equal(np.sort(order, axis=1), np.tile(np.arange(64), (5, 1)))
    assert len(np.unique(order, axis=0)) == 5
    assert (order != np.arange(64)).any(axis=1).all()


def test_every_place_of_the_order_is_equally_likely() -> None:
    """Over 4,000 permutations of 4 each of the 24 orders comes up about 167 times."""
    order = np.asarray(learner_module._permutations(jax.random.key(1), 4000, 4))
    counts = np.unique(order, axis=0, return_counts=True)[1]
    assert counts.size == 24
    assert ((counts - 4000 / 24) ** 2 / (4000 / 24)).sum() < 49.7  # chi-squared, 23 degrees of freedom, 0.1 %


# --- learning rate ---------------------------------------------------------------------------------------------------


def test_the_learning_rate_falls_linearly(one_minibatch: tuple[Learner, Update]) -> None:
    """Update i of n uses lr (1 - i / n), in what is reported and in how far the parameters move."""
    learner, update = one_minibatch
    state = fresh(learner)
    moves = []
    for i in range(5):
        at = eqx.tree_at(lambda s: s.update, state, np.int32(i))
        after, metrics = update(at, make_rollout(), rates(num_updates=5))
        assert metrics.learning_rate == pytest.approx(3e-4 * (1 - i / 5), rel=1e-6)
        assert after.update == i + 1
        moves.append(np.abs(after.params - state.params).max())
    np.testing.assert_allclose(moves, moves[0] * (1 - np.arange(5) / 5), rtol=1e-3)


def test_the_learning_rate_stays_without_annealing(adaptive: tuple[Learner, Update]) -> None:
    """``anneal_lr=False``: the last update is as fast as the first."""
    learner, update = adaptive
    at_end = eqx.tree_at(lambda s: s.update, fresh(learner), np.int32(9))
    assert update(at_end, make_rollout(), rates())[1].learning_rate == np.float32(3e-4)


def test_the_adaptive_rate_follows_the_kl(adaptive: tuple[Learner, Update]) -> None:
    """After too cautious an update the next is 1.5 times as fast, after too bold a one as slow, else the same."""
    learner, update = adaptive
    state, bold = fresh(learner), {"learning_rate": 0.05}
    # the mean over two epochs of one minibatch, the first of which is 0: the last one's is twice that
    kl = 2 * float(update(state, make_rollout(), rates(**bold))[1].terms.approx_kl)
    for desired, factor in ((10 * kl, 1.5), (kl, 1.0), (kl / 10, 1 / 1.5)):
        after, metrics = update(state, make_rollout(), rates(desired_kl=desired, **bold))
        assert metrics.learning_rate == np.float32(0.05)
        assert after.lr_factor == pytest.approx(factor)
        following = update(after, make_rollout(), rates(desired_kl=desired, **bold))[1]
        assert following.learning_rate == pytest.approx(0.05 * factor, rel=1e-5)


@pytest.mark.parametrize(
    ("factor", "kl", "expected"),
    [(1.0, 0.021, 1 / 1.5), (1.0, 0.0049, 1.5), (1.0, 0.01, 1.0), (80.0, 0.0, 100.0), (0.012, 1.0, 0.01)],
)
def test_the_adaptive_factor_and_its_limits(factor: float, kl: float, expected: float) -> None:
    """Towards a KL of 0.01: above 0.02 slower, below 0.005 faster, and always within a hundredth and a hundredfold."""
    assert float(learner_module._adapt(jnp.float32(factor), jnp.float32(kl), 0.01)) == pytest.approx(expected)


# --- KL early stop ---------------------------------------------------------------------------------------------------


def test_early_stop_freezes_everything_after_the_epoch(one_minibatch: tuple[Learner, Update]) -> None:
    """Above the target KL the later epochs change neither parameters nor Adam: it is as if they did not exist."""
    learner = Learner(settings(num_minibatches=1, update_epochs=3, early_stop=True))
    update = compiled(learner)
    bold = {"learning_rate": 0.01}
    # the first epoch's KL is 0 (nothing has changed yet), the second's is not: the third is not taken
    stopped, metrics = update(fresh(learner), make_rollout(), rates(target_kl=1e-6, **bold))
    assert metrics.terms.approx_kl > 1e-6
    assert stopped.opt_state.count == 2
    never, _ = update(fresh(learner), make_rollout(), rates(target_kl=100.0, **bold))
    assert never.opt_state.count == 3
    at_once, _ = update(fresh(learner), make_rollout(), rates(target_kl=-1.0, **bold))
    once, _ = one_minibatch[1](fresh(learner), make_rollout(), rates(**bold))
    for one, other in zip(jax.tree.leaves(at_once), jax.tree.leaves(once), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-7)
    assert (stopped.params != at_once.params).any()
    assert (stopped.params != never.params).any()


# --- what is not finite, and what is masked --------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["obs", "reward"])
def test_inputs_that_are_not_finite_are_named(plain: tuple[Learner, Update], name: str, value: float) -> None:
    """One bad number in the rollout raises the flag of its input and of the losses."""
    learner, update = plain
    rollout = make_rollout()
    getattr(rollout, name)[2, 1] = value
    metrics = update(fresh(learner), rollout, rates())[1]
    bad = {"obs": "observation", "reward": "reward"}[name]
    assert not metrics.inputs_finite[INPUT_NAMES.index(bad)]
    assert metrics.inputs_finite[INPUT_NAMES.index("observation")] == (name != "obs")
    assert not metrics.losses_finite.all()


def test_parameters_that_are_not_finite_are_named(plain: tuple[Learner, Update]) -> None:
    """A critic gone bad shows in the values; a step of infinite length in the parameters afterwards."""
    learner, update = plain
    state = fresh(learner)
    critic_gone = eqx.tree_at(
        lambda s: s.params, state, np.where(np.arange(state.params.size) == 0, np.nan, state.params)
    )
    metrics = update(critic_gone, make_rollout(), rates())[1]
    assert metrics.inputs_finite.tolist() == [True, True, False]
    metrics = update(state, make_rollout(), rates(learning_rate=np.inf))[1]
    assert metrics.inputs_finite.all()
    assert not metrics.params_finite
    fine = update(state, make_rollout(), rates())[1]
    assert fine.inputs_finite.all()
    assert fine.losses_finite.shape == (EPOCHS, MINIBATCHES, len(LossTerms._fields))
    assert fine.losses_finite.all()
    assert fine.params_finite


def test_explained_variance_leaves_masked_steps_out() -> None:
    """Perfect predictions explain all, a constant nothing, and steps that are not valid do not count."""
    ret = jnp.array([1.0, 2.0, 3.0, 99.0])
    valid = jnp.array([1.0, 1.0, 1.0, 0.0])
    assert float(learner_module._explained_variance(ret.at[3].set(0.0), ret, valid)) == 1.0
    assert float(learner_module._explained_variance(jnp.full(4, 7.0), ret, valid)) == 0.0
    # errors (0, 0, 1): variance 2/9 of the returns' 2/3
    assert float(learner_module._explained_variance(jnp.array([1.0, 2.0, 2.0, 0.0]), ret, valid)) == pytest.approx(
        2 / 3
    )
    assert np.isnan(learner_module._explained_variance(ret, jnp.ones(4), valid))


# --- initial weights -------------------------------------------------------------------------------------------------


def test_initial_weights() -> None:
    """Orthogonal, gain sqrt(2), policy head 0.01, value head 1, biases and log-deviations 0, networks of their own."""
    networks = init_actor_critic(np.random.default_rng(0), obs_size=3, action_size=2, hidden_sizes=(64, 64))
    for mlp, head in ((networks.critic, 1.0), (networks.actor_mean, 0.01)):
        for weight, gain in zip(mlp.weights, (np.sqrt(2), np.sqrt(2), head), strict=True):
            rows, columns = weight.shape
            gram = weight.T @ weight if rows >= columns else weight @ weight.T
            np.testing.assert_allclose(gram, gain**2 * np.eye(min(rows, columns)), atol=1e-5 * max(gain**2, 1e-2))
        assert all((bias == 0).all() for bias in mlp.biases)
    assert [w.shape for w in networks.actor_mean.weights] == [(3, 64), (64, 64), (64, 2)]
    assert (networks.critic.weights[1] != networks.actor_mean.weights[1]).any()
    assert networks.actor_logstd.tolist() == [[0.0, 0.0]]


def test_orthogonal_matrices_favour_no_direction() -> None:
    """The sign of a corner is as often negative as positive: QR alone would fix it."""
    corners = [orthogonal(np.random.default_rng(seed), (3, 3), 1.0)[0, 0] for seed in range(400)]
    assert 0.4 < np.mean(np.array(corners) > 0) < 0.6
