"""Small symmetric positive definite systems, written out so that thousands of them fuse into one vectorised loop."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["solve_positive"]

_WRITTEN_OUT = 8
"""Largest size solved this way; for larger matrices a library call costs less than compiling the elimination."""


def solve_positive(matrix: Float[Array, "n n"], right: Float[Array, "n"]) -> Float[Array, "n"]:
    """Solution x of matrix x = right, by L D L' without pivoting."""
    n = right.shape[0]
    if n > _WRITTEN_OUT:
        return jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(matrix), right)
    d: list[Array] = []
    low: list[list[Array]] = []
    for i in range(n):
        row: list[Array] = []
        for j in range(i):
            row.append((matrix[i, j] - sum((row[k] * d[k] * low[j][k] for k in range(j)), jnp.zeros(()))) / d[j])
        d.append(matrix[i, i] - sum((row[k] * row[k] * d[k] for k in range(i)), jnp.zeros(())))
        low.append(row)
    x: list[Array] = []
    for i in range(n):
        x.append(right[i] - sum((low[i][k] * x[k] for k in range(i)), jnp.zeros(())))
    x = [value / pivot for value, pivot in zip(x, d, strict=True)]
    for i in reversed(range(n)):
        x[i] = x[i] - sum((low[k][i] * x[k] for k in range(i + 1, n)), jnp.zeros(()))
    return jnp.stack(x)
