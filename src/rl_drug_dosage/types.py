"""Types shared by several rooms."""

import jax
import numpy as np

__all__ = ["Array"]

Array = jax.Array | np.ndarray
"""A NumPy or a JAX array: of values that the host and the device both hold, such as weights and normalisers."""
