"""The PPO objective on one minibatch, with its diagnostics."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Bool, Float

from rl_drug_dosage.ppo.categorical import entropy_of_choices, log_prob_of_choices
from rl_drug_dosage.ppo.distribution import entropy, log_prob
from rl_drug_dosage.ppo.networks import ActorCritic
from rl_drug_dosage.types import Array

__all__ = ["Coefficients", "LossTerms", "Minibatch", "ppo_loss"]


class Coefficients(eqx.Module):
    """The weights of the loss. They are traced, so changing a value does not recompile."""

    clip_coef: Float[Array, ""] | float
    ent_coef: Float[Array, ""] | float
    vf_coef: Float[Array, ""] | float


class Minibatch(NamedTuple):
    """The transitions of one minibatch; ``valid`` is 0 for a step in which a vector environment only reset.

    For a recurrent policy the batch is ``time x env``: whole segments of some environments (LSTM detail 4), each with
    its initial recurrent state.
    """

    obs: Float[Array, "*batch obs"]
    u: Float[Array, "*batch action"]
    log_prob: Float[Array, "*batch"]
    advantage: Float[Array, "*batch"]
    ret: Float[Array, "*batch"]
    value: Float[Array, "*batch"]
    valid: Float[Array, "*batch"]
    first: Bool[Array, "*batch"] | None = None
    memory: Float[Array, "env memory"] | None = None


class LossTerms(NamedTuple):
    """Scalars of one minibatch, in logging order."""

    policy_loss: Float[Array, ""]
    value_loss: Float[Array, ""]
    entropy: Float[Array, ""]
    old_approx_kl: Float[Array, ""]
    approx_kl: Float[Array, ""]
    clipfrac: Float[Array, ""]
    grad_norm: Float[Array, ""] | float = 0.0


def ppo_loss(
    params: ActorCritic,
    batch: Minibatch,
    coefficients: Coefficients,
    *,
    policy: str | tuple[int, ...],
    norm_adv: bool = True,
    clip_vloss: bool = False,
    entropy_bonus: bool = True,
    masked: bool = False,
) -> tuple[Float[Array, ""], LossTerms]:
    """``L = L_policy - ent_coef H + vf_coef L_value`` (Schulman et al. 2017, arXiv 1707.06347, eq. 9).

    With ``r = exp(log pi(u) - log pi_old(u))``: ``L_policy = mean max(-A r, -A clip(r, 1 - eps, 1 + eps))`` and
    ``L_value = 0.5 mean (V - R)^2``. With ``clip_vloss`` it is half the mean of the larger of that square and the
    square for ``V_old + clip(V - V_old, -eps, eps)``.

    Args:
        params: the networks.
        batch: one minibatch, observations normalised.
        coefficients: ``clip_coef`` is eps.
        policy: the kind of policy, which determines its entropy; of a discrete action how many values each component
            has, and then the network's output is logits.
        norm_adv: subtract the minibatch's mean advantage and divide by its sample standard deviation.
        clip_vloss: the clipped value loss.
        entropy_bonus: ``False`` omits the entropy, also from the gradient; for a coefficient of 0.
        masked: some rows of the batch are not valid and have weight 0.

    Returns:
        The loss and its terms: the KL estimates are ``k1 = mean(-log r)`` (``old_approx_kl``) and
        ``k3 = mean(r - 1 - log r)`` (``approx_kl``; Schulman 2020, joschu.net/blog/kl-approx.html).
    """
    count = batch.valid.sum() if masked else jnp.float32(batch.advantage.size)

    def mean(x: Array) -> Array:
        return (jnp.where(batch.valid > 0, x, 0.0).sum() if masked else x.sum()) / jnp.maximum(count, 1.0)

    advantage = batch.advantage
    if norm_adv:
        advantage = advantage - mean(advantage)
        # sample standard deviation (n - 1), for parity with PyTorch's default
        var = mean(advantage**2) * count / jnp.maximum(count - 1.0, 1.0)
        advantage = advantage / (jnp.sqrt(var) + 1e-8)

    mu, value, _ = params.outputs(batch.obs, batch.first, batch.memory)
    if isinstance(policy, tuple):
        log_ratio = log_prob_of_choices(batch.u, mu, policy) - batch.log_prob
    else:
        log_ratio = log_prob(batch.u, mu, params.actor_logstd) - batch.log_prob
    ratio = jnp.exp(log_ratio)
    eps = coefficients.clip_coef
    policy_loss = mean(jnp.maximum(-advantage * ratio, -advantage * jnp.clip(ratio, 1.0 - eps, 1.0 + eps)))

    squared = (value - batch.ret) ** 2
    if clip_vloss:
        clipped = batch.value + jnp.clip(value - batch.value, -eps, eps)
        squared = jnp.maximum(squared, (clipped - batch.ret) ** 2)
    value_loss = 0.5 * mean(squared)

    loss = policy_loss + coefficients.vf_coef * value_loss
    ent: Array = jnp.float32(0.0)
    if entropy_bonus:
        weight = batch.valid if masked else None
        if isinstance(policy, tuple):
            ent = entropy_of_choices(mu, policy, weight)
        else:
            ent = entropy(mu, params.actor_logstd, policy, weight)
        loss = loss - coefficients.ent_coef * ent
    return loss, LossTerms(
        policy_loss=policy_loss,
        value_loss=value_loss,
        entropy=ent,
        old_approx_kl=mean(-log_ratio),
        approx_kl=mean(ratio - 1.0 - log_ratio),
        clipfrac=mean((jnp.abs(ratio - 1.0) > eps).astype(jnp.float32)),
    )
