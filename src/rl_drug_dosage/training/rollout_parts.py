"""Rollouts in parts that run at the same time, where environments cost more than calling a program does.

Part ``p`` of ``parts`` has the environments ``p, p + parts, ..``, so that a mixture of patients (`envs.mixture`) has
the same shares in every part. The number of parts depends on the number of environments only: what patients
observe and get is the same on any number of cores, and a run may go on on another device.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rl_drug_dosage.envs.functional import FunctionalEnv
from rl_drug_dosage.training.config import TrainConfig

__all__ = ["in_parts", "number_of_parts", "on_cores", "part_of", "together"]

_ROWS, _MOST = 64, 16
"""Environments of a part, at least, and parts at most. Warfarin with 512 environments took 8,400 decisions a second on
two cores in parts of 64, 8,900 in parts of 128, 10,000 in parts of 256, and 4,900 in one: smaller parts serve more
cores."""


def number_of_parts(env: FunctionalEnv, config: TrainConfig) -> int:
    """How many parts a rollout has: a divisor of the number of environments, 1 where it is not divided."""
    if not env.heavy or config.norm_update == "step":
        return 1
    most = max(1, min(_MOST, config.num_envs // _ROWS))
    return next(parts for parts in range(most, 0, -1) if config.num_envs % parts == 0)


def on_cores() -> bool:
    """Whether parts are calls on cores of their own. An accelerator computes all of them together."""
    return jax.default_backend() == "cpu"


def part_of(tree: Any, p: Any, parts: int, axis: int = 0) -> Any:
    """Part ``p`` of arrays with environments on an axis."""

    def one(x: Any) -> Any:
        rows = jnp.reshape(x, (*x.shape[:axis], x.shape[axis] // parts, parts, *x.shape[axis + 1 :]))
        return jax.lax.dynamic_index_in_dim(rows, p, axis + 1, keepdims=False)

    return jax.tree.map(one, tree)


def together(stacked: Any, axis: int = 0) -> Any:
    """The arrays whose parts lie in a first axis; environments are on ``axis`` of the result."""

    def one(x: Any) -> Any:
        rows = jnp.moveaxis(x, 0, axis + 1)
        return rows.reshape((*rows.shape[:axis], rows.shape[axis] * rows.shape[axis + 1], *rows.shape[axis + 2 :]))

    return jax.tree.map(one, stacked)


def in_parts(reset: Callable[[Any], Any], chance: Any, parts: int) -> Any:
    """New episodes, part by part: in a part, a mixture may have other rows for a component than in the whole."""
    if parts == 1:
        return reset(chance)
    return together(jax.lax.map(reset, jnp.stack([part_of(chance, p, parts) for p in range(parts)])))
