"""Discrete actions: one categorical distribution a component, all of them independent given the observation.

The network's head gives the logits of all components, one after the other. ``u`` holds the chosen value of each
component as its number from 0; what the environment is given is ``low + u``.
"""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rl_drug_dosage.types import Array

__all__ = ["CATEGORICAL", "choose", "entropy_of_choices", "log_prob_of_choices"]

CATEGORICAL = "categorical"
"""The kind of policy, as a model file records it."""


def choose(logits: Any, choices: tuple[int, ...]) -> Any:
    """The value with the highest logit of each component, NumPy in gives NumPy out.

    With Gumbel noise added to the logits that is a sample (Gumbel 1954; Maddison et al. 2014, arXiv 1411.0030).

    Args:
        logits: ``[..., logits]``.
        choices: how many values each component has.

    Returns:
        ``[..., action]``, float32.
    """
    xp = np if isinstance(logits, np.ndarray) else jnp
    return xp.stack([xp.argmax(part, axis=-1) for part in _parts(logits, choices)], axis=-1).astype(np.float32)


def log_prob_of_choices(
    u: Float[Array, "*batch action"], logits: Float[Array, "*batch logits"], choices: tuple[int, ...]
) -> Float[Array, "*batch"]:
    """``sum_i log softmax(logits_i)[u_i]``."""
    total = jnp.zeros(u.shape[:-1], logits.dtype)
    for i, part in enumerate(_parts(logits, choices)):
        chosen = jnp.arange(part.shape[-1]) == u[..., i : i + 1]
        total = total + jnp.where(chosen, jax.nn.log_softmax(part), 0.0).sum(-1)
    return total


def entropy_of_choices(
    logits: Float[Array, "*batch logits"], choices: tuple[int, ...], weight: Float[Array, "*batch"] | None = None
) -> Float[Array, ""]:
    """Mean entropy over the batch (weighted), in nats, summed over the components."""
    logs = [jax.nn.log_softmax(part) for part in _parts(logits, choices)]
    each = sum((-(jnp.exp(log) * log).sum(-1) for log in logs), start=jnp.zeros(logits.shape[:-1]))
    if weight is None:
        return each.mean()
    return (each * weight).sum() / jnp.maximum(weight.sum(), 1.0)


def _parts(logits: Any, choices: tuple[int, ...]) -> list[Any]:
    ends = [0, *itertools.accumulate(choices)]
    return [logits[..., start:stop] for start, stop in itertools.pairwise(ends)]
