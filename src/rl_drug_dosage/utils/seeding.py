"""Separate random streams from one seed.

Every use of random numbers has its own stream, so an evaluation never sees a training patient, whatever seeds
the user chooses.
"""

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jax
    import numpy as np

from rl_drug_dosage.errors import ConfigError

__all__ = ["HIGHEST_SEED", "Stream", "check_seed", "generator", "key_for"]

HIGHEST_SEED = 2**32 - 1
"""Beyond it JAX wraps around."""


class Stream(enum.IntEnum):
    """The purpose of a random number. The values are part of every published result: never renumber them."""

    INIT = 0
    TRAIN = 1
    TRAIN_EVAL = 2
    EVALUATE = 3
    TUNE = 4
    VALIDATE = 5


def check_seed(seed: int) -> None:
    """Refuse a seed that no stream has.

    Raises:
        ConfigError: names the range.
    """
    if not 0 <= seed <= HIGHEST_SEED:
        raise ConfigError(f"--seed must be from 0 to {HIGHEST_SEED}, not {seed}")


def key_for(seed: int, stream: Stream) -> "jax.Array":
    """The JAX key of a stream. See `check_seed`."""
    import jax

    return jax.random.fold_in(jax.random.key(seed), stream)


def generator(seed: int, stream: Stream, *index: int) -> "np.random.Generator":
    """The NumPy generator of a stream, or of the sub-stream ``index`` (an environment, an episode)."""
    import numpy as np

    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(stream), *index)))
