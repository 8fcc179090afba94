"""Separate random streams from one seed.

Every use of random numbers has its own stream, so an evaluation never sees a training patient, whatever seeds
the user chooses.
"""

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jax
    import numpy as np

__all__ = ["Stream", "generator", "key_for"]


class Stream(enum.IntEnum):
    """The purpose of a random number. The values are part of every published result: never renumber them."""

    INIT = 0
    TRAIN = 1
    TRAIN_EVAL = 2
    EVALUATE = 3
    TUNE = 4


def key_for(seed: int, stream: Stream) -> "jax.Array":
    """The JAX key of a stream. Seeds run from 0 to 2**32 - 1; beyond that JAX wraps around."""
    import jax

    return jax.random.fold_in(jax.random.key(seed), stream)


def generator(seed: int, stream: Stream, *index: int) -> "np.random.Generator":
    """The NumPy generator of a stream, or of the sub-stream ``index`` (an environment, an episode)."""
    import numpy as np

    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(stream), *index)))
