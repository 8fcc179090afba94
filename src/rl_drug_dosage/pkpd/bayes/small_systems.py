"""Small symmetric positive definite systems, written out so that thousands of them fuse into one vectorised loop.

A library's call for each of them costs more than the arithmetic, and starts threads of its own.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["lower_factor", "solve_lower", "solve_positive", "solve_upper"]

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


def lower_factor(matrix: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """Cholesky's lower triangular L with L L' the matrix; not a number if that is not positive definite."""
    n, columns = matrix.shape[0], []
    for i in range(n):
        # A column is used twice; without its barrier the compiler would compute all columns before it again each time.
        pivot = jnp.sqrt(matrix[i, i])
        column = jax.lax.optimization_barrier(jnp.where(jnp.arange(n) >= i, matrix[:, i] / pivot, 0.0))
        columns.append(column)
        matrix = matrix - column[:, None] * column
    return jnp.stack(columns, axis=1) if columns else matrix


def solve_lower(factor: Float[Array, "n n"], right: Float[Array, "n many"]) -> Float[Array, "n many"]:
    """L^-1 right, of a lower triangular factor."""
    found = []
    for i in range(factor.shape[0]):
        found.append(right[0] / factor[i, i])
        right = right[1:] - factor[i + 1 :, i, None] * found[-1]
    return jnp.stack(found) if found else right


def solve_upper(factor: Float[Array, "n n"], right: Float[Array, "n many"]) -> Float[Array, "n many"]:
    """L'^-1 right, of a lower triangular factor."""
    found: list[Array] = []
    for i in reversed(range(factor.shape[0])):
        found.insert(0, right[-1] / factor[i, i])
        right = right[:-1] - factor[i, :i, None] * found[0]
    return jnp.stack(found) if found else right
