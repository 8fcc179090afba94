"""One PPO update: advantages, then epochs of shuffled minibatches, as one traceable function.

The parameters are one flat vector. Adam, its two moments and the global gradient norm are then a few wide operations
instead of a dozen small ones each.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Bool, Float, Int, PRNGKeyArray

from rl_drug_dosage.ppo.advantages import generalized_advantages
from rl_drug_dosage.ppo.categorical import entropy_of_choices, log_prob_of_choices
from rl_drug_dosage.ppo.distribution import entropy, log_prob
from rl_drug_dosage.ppo.loss import Coefficients, LossTerms, Minibatch, ppo_loss
from rl_drug_dosage.ppo.networks import ActorCritic, init_actor_critic
from rl_drug_dosage.types import Array

__all__ = ["Learner", "LearnerSettings", "LearnerState", "Rates", "Rollout", "UpdateMetrics"]


class Rates(eqx.Module):
    """Every number of the update that is not a shape. They are traced, so changing a value does not recompile."""

    learning_rate: Float[Array, ""] | float
    gamma: Float[Array, ""] | float
    gae_lambda: Float[Array, ""] | float
    max_grad_norm: Float[Array, ""] | float
    coefficients: Coefficients
    target_kl: Float[Array, ""] | float
    desired_kl: Float[Array, ""] | float
    num_updates: Int[Array, ""] | int


@dataclass(frozen=True)
class LearnerSettings:
    """Settings that determine the compiled program; ``training/config.py`` explains each option."""

    obs_size: int
    action_size: int
    num_minibatches: int
    update_epochs: int
    policy: str
    hidden_sizes: tuple[int, ...] = (64, 64)
    visible: int | None = None
    memory_size: int = 0
    init_logstd: float = 0.0
    anneal_lr: bool = True
    norm_adv: bool = True
    clip_vloss: bool = False
    entropy_bonus: bool = True
    bootstrap_truncation: bool = True
    early_stop: bool = False
    adaptive_lr: bool = False
    masked: bool = False
    choices: tuple[int, ...] = ()
    """Values of each component of a discrete action; empty for continuous ones."""


class Rollout(NamedTuple):
    """A segment of ``time x env`` transitions, ready to learn from (observations normalised, rewards scaled)."""

    obs: Float[Array, "time env obs"]
    next_obs: Float[Array, "time env obs"]
    u: Float[Array, "time env action"]
    reward: Float[Array, "time env"]
    terminated: Bool[Array, "time env"]
    done: Bool[Array, "time env"]
    valid: Float[Array, "time env"]
    memory: Float[Array, "env memory"] | None = None
    """Recurrent state before the first step, if the policy has one."""


class LearnerState(eqx.Module):
    """The state that an update changes."""

    params: Float[Array, " parameters"]
    opt_state: optax.OptState
    update: Int[Array, ""]
    lr_factor: Float[Array, ""]


class UpdateMetrics(NamedTuple):
    """Metrics of one update: ``terms`` are means over the minibatches, the entropy is that of the updated policy."""

    terms: LossTerms
    explained_variance: Float[Array, ""]
    learning_rate: Float[Array, ""]
    inputs_finite: Bool[Array, " inputs"]
    losses_finite: Bool[Array, "epoch minibatch terms"]
    params_finite: Bool[Array, ""]


INPUT_NAMES = ("observation", "reward", "value")


class Learner:
    """PPO for one set of shapes. It is stateless: the learner state is passed in and returned."""

    def __init__(self, settings: LearnerSettings) -> None:
        self.settings = settings
        leaves, self._structure = jax.tree.flatten(self.init_params(np.random.default_rng(0)))
        self._shapes = [leaf.shape for leaf in leaves]
        # Detail 3: eps 1e-5, not Adam's 1e-8.
        self._adam = optax.scale_by_adam(eps=1e-5)

    def init_params(self, rng: np.random.Generator) -> ActorCritic:
        """Newly initialised networks."""
        s = self.settings
        return init_actor_critic(
            rng,
            obs_size=s.obs_size,
            action_size=sum(s.choices) or s.action_size,
            hidden_sizes=s.hidden_sizes,
            visible=s.visible,
            memory_size=s.memory_size,
            logstd=s.init_logstd,
            logstd_size=0 if s.choices else None,
        )

    def init(self, rng: np.random.Generator) -> LearnerState:
        """A newly initialised state, as NumPy arrays (nothing is compiled)."""
        flat = self.flat(self.init_params(rng))
        return LearnerState(
            params=flat,
            opt_state=optax.ScaleByAdamState(
                count=np.zeros((), np.int32), mu=np.zeros_like(flat), nu=np.zeros_like(flat)
            ),
            update=np.zeros((), np.int32),
            lr_factor=np.ones((), np.float32),
        )

    def flat(self, networks: ActorCritic) -> Float[np.ndarray, " parameters"]:
        """The inverse of `networks`, on the host."""
        return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(networks)])

    def networks(self, flat: Float[Array, " parameters"]) -> ActorCritic:
        """The networks in a flat parameter vector, on the host or on a device."""
        ends = np.cumsum([math.prod(shape) for shape in self._shapes])
        # split, not slices: the gradient of a split is one concatenation, that of slices is a sum of padded vectors
        parts = (np if isinstance(flat, np.ndarray) else jnp).split(flat, ends[:-1])
        leaves = [part.reshape(shape) for part, shape in zip(parts, self._shapes, strict=True)]
        return jax.tree.unflatten(self._structure, leaves)

    def update(
        self, state: LearnerState, rollout: Rollout, rates: Rates, key: PRNGKeyArray
    ) -> tuple[LearnerState, UpdateMetrics]:
        """Learn from one rollout.

        With annealing, the learning rate of update ``i`` (from 0) of ``n`` is ``lr (1 - i / n)``, times the current
        factor of the KL-adaptive schedule.
        """
        s = self.settings
        networks = self.networks(state.params)
        # The recurrent state at the segment's first step is the rollout's, already cleared where an episode ended.
        first = jnp.concatenate([jnp.zeros_like(rollout.done[:1]), rollout.done[:-1]])
        mean, value, after = networks.outputs(rollout.obs, first, rollout.memory)
        next_value = networks.value(rollout.next_obs, after)
        advantage = generalized_advantages(
            rollout.reward,
            value,
            next_value,
            rollout.terminated,
            rollout.done,
            gamma=rates.gamma,
            gae_lambda=rates.gae_lambda,
            bootstrap_truncation=s.bootstrap_truncation,
        )
        if s.choices:
            old_log_prob = log_prob_of_choices(rollout.u, mean, s.choices)
        else:
            old_log_prob = log_prob(rollout.u, mean, networks.actor_logstd)
        columns = [old_log_prob, advantage, advantage + value, value, rollout.valid]
        rows: Any = jnp.concatenate([rollout.obs, rollout.u, jnp.stack(columns, axis=-1)], axis=-1)
        if rollout.memory is None:
            rows = rows.reshape(value.size, -1)
        else:
            rows = (jnp.swapaxes(rows, 0, 1), first.T, rollout.memory)

        annealed = 1.0 - state.update / rates.num_updates if s.anneal_lr else 1.0
        lr = rates.learning_rate * annealed * state.lr_factor
        (params, opt_state, _), terms = self._epochs(state, rows, lr, rates, key)

        lr_factor = state.lr_factor
        if s.adaptive_lr:
            lr_factor = _adapt(lr_factor, terms.approx_kl[-1].mean(), rates.desired_kl)
        finite = jnp.stack([jnp.isfinite(t) for t in terms], axis=-1)
        learnt = self.networks(params)
        means = LossTerms(*(jnp.mean(t) for t in terms))._replace(
            entropy=self._entropy(learnt, learnt.outputs(rollout.obs, first, rollout.memory)[0], rollout.valid)
        )
        metrics = UpdateMetrics(
            terms=means,
            explained_variance=_explained_variance(value, advantage + value, rollout.valid),
            learning_rate=jnp.asarray(lr, jnp.float32),
            inputs_finite=jnp.stack([jnp.isfinite(x).all() for x in (rollout.obs, rollout.reward, value)]),
            losses_finite=finite,
            params_finite=jnp.isfinite(params).all(),
        )
        return LearnerState(params=params, opt_state=opt_state, update=state.update + 1, lr_factor=lr_factor), metrics

    def _entropy(self, networks: ActorCritic, mean: Array, weight: Array) -> Array:
        s = self.settings
        if s.choices:
            return entropy_of_choices(mean, s.choices, weight)
        return entropy(mean, networks.actor_logstd, s.policy, weight)

    def _epochs(
        self, state: LearnerState, rows: Any, lr: Array, rates: Rates, key: PRNGKeyArray
    ) -> tuple[tuple[Array, optax.OptState, Array], LossTerms]:
        """Shuffle the first axis of ``rows``: transitions, or whole environments for a recurrent policy."""
        s = self.settings
        order = _permutations(key, s.update_epochs, jax.tree.leaves(rows)[0].shape[0])

        def minibatch(carry: tuple[Array, optax.OptState, Array], batch: Any) -> tuple[Any, LossTerms]:
            flat, opt_state, stopped = carry
            grad, terms = jax.grad(self._loss, has_aux=True)(flat, batch, rates)
            norm = jnp.sqrt(jnp.vdot(grad, grad))
            grad = grad * jnp.minimum(1.0, rates.max_grad_norm / (norm + 1e-6))
            step, new_opt_state = self._adam.update(grad, opt_state)
            new = (flat - lr * step, new_opt_state)
            if s.early_stop:
                new = jax.tree.map(lambda a, b: jnp.where(stopped, a, b), (flat, opt_state), new)
            return (*new, stopped), terms._replace(grad_norm=norm)

        def epoch(carry: tuple[Array, optax.OptState, Array], rows_of_epoch: Any) -> tuple[Any, LossTerms]:
            carry, terms = jax.lax.scan(minibatch, carry, rows_of_epoch)
            if s.early_stop:
                carry = (*carry[:2], carry[2] | (terms.approx_kl[-1] > rates.target_kl))
            return carry, terms

        def gathered_epoch(carry: tuple[Array, optax.OptState, Array], index: jax.Array) -> tuple[Any, LossTerms]:
            # one gather per epoch: the minibatches are then plain slices
            return epoch(carry, jax.tree.map(lambda x: x[index].reshape(s.num_minibatches, -1, *x.shape[1:]), rows))

        return jax.lax.scan(gathered_epoch, (state.params, state.opt_state, jnp.bool_(False)), order)

    def _loss(self, flat: Array, rows: Any, rates: Rates) -> tuple[Array, LossTerms]:
        s = self.settings
        first = memory = None
        if s.memory_size:
            rows, first, memory = jnp.swapaxes(rows[0], 0, 1), rows[1].T, rows[2]
        split = s.obs_size + s.action_size
        columns = (rows[..., split + i] for i in range(5))
        batch = Minibatch(rows[..., : s.obs_size], rows[..., s.obs_size : split], *columns)
        if s.memory_size:
            batch = batch._replace(first=first, memory=memory)
        return ppo_loss(
            self.networks(flat),
            batch,
            rates.coefficients,
            policy=s.choices or s.policy,
            norm_adv=s.norm_adv,
            clip_vloss=s.clip_vloss,
            entropy_bonus=s.entropy_bonus,
            masked=s.masked,
        )


def _permutations(key: PRNGKeyArray, count: int, n: int) -> Int[jax.Array, "count n"]:
    """``count`` permutations of ``0 .. n-1``, by sorting random bits (half the cost of ``jax.random.permutation``)."""
    bits = jax.random.bits(key, (count, n))
    index = jnp.broadcast_to(jnp.arange(n, dtype=jnp.int32), (count, n))
    return jax.lax.sort_key_val(bits, index, dimension=1)[1]


def _adapt(factor: Array, kl: Array, desired: Array | float) -> Array:
    """Divide the rate by 1.5 above twice the desired KL, multiply it by 1.5 below half of it (Rudin et al. 2021)."""
    factor = jnp.where(kl > 2.0 * desired, factor / 1.5, jnp.where(kl < 0.5 * desired, factor * 1.5, factor))
    return jnp.clip(factor, 1e-2, 1e2)


def _explained_variance(value: Array, ret: Array, valid: Array) -> Array:
    """``1 - Var[R - V] / Var[R]``: 1 for a perfect critic, 0 for one no better than a constant."""

    def var(x: Array) -> Array:
        n = jnp.maximum(valid.sum(), 1.0)
        mean = jnp.where(valid > 0, x, 0.0).sum() / n
        return jnp.where(valid > 0, (x - mean) ** 2, 0.0).sum() / n

    total = var(ret)
    return jnp.where(total > 0, 1.0 - var(ret - value) / jnp.where(total > 0, total, 1.0), jnp.nan)
