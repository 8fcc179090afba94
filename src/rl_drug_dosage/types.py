"""Types shared by several rooms."""

from typing import TYPE_CHECKING, Any

import jax
import numpy as np

__all__ = ["Array"]

# The same pytrees live on the host (NumPy: initial values, files, one patient at a time) and on a device (JAX). A
# static checker would require a cast wherever the two meet.
if TYPE_CHECKING:
    type Array = Any
else:
    Array = jax.Array | np.ndarray
"""A NumPy or a JAX array."""
