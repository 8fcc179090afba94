"""Types shared by several rooms."""

from typing import TYPE_CHECKING, Any

import jax
import numpy as np

__all__ = ["Array"]

# Networks, normalisers, the state of a training run and the numbers of DrugDose live on the host (NumPy: initial
# values, files, one patient at a time) and on a device (JAX), in the same pytrees. A static checker would ask for a
# cast at every border between the two. Everywhere else an array is `jaxtyping.Array`, and checked.
if TYPE_CHECKING:
    type Array = Any
else:
    Array = jax.Array | np.ndarray
"""A NumPy or a JAX array."""
