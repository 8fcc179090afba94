"""Functions of a batch of which only some rows are wanted: the same numbers, at the cost of those rows."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.utils.for_rows import for_rows, where_any

ROWS = np.arange(10, dtype=np.float32)


def counted(wanted: list[int], size: int) -> tuple[Any, int]:
    """The rows' squares and their number on another axis, and how many rows were computed."""
    calls: list[int] = []

    def f(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        jax.debug.callback(lambda _: calls.append(1), x)
        return x * x, jnp.stack([x, -x])

    mask = np.isin(np.arange(10), wanted)
    found = jax.jit(lambda mask, x: for_rows(f, mask, (x,), size))(mask, ROWS)
    jax.block_until_ready(found)
    jax.effects_barrier()
    return jax.device_get(found), len(calls)


@pytest.mark.parametrize(
    ("wanted", "size", "cost"),
    [([], 3, 0), ([7], 3, 3), ([0, 4, 9], 3, 3), ([1, 2, 5, 8], 3, 6), (list(range(10)), 4, 12), ([3], 99, 10)],
)
def test_only_groups_with_wanted_rows_are_computed(wanted: list[int], size: int, cost: int) -> None:
    (squares, both), calls = counted(wanted, size)
    np.testing.assert_array_equal(squares[wanted], ROWS[wanted] ** 2)
    np.testing.assert_array_equal(both[wanted], np.stack([ROWS, -ROWS], axis=1)[wanted])
    assert calls == cost


def test_rows_that_nobody_wants_are_zeros_or_their_own() -> None:
    """Nobody may take another row's numbers for theirs."""
    (squares, _), _ = counted([2], 3)
    others = np.delete(np.arange(10), 2)
    assert ((squares[others] == 0) | (squares[others] == ROWS[others] ** 2)).all()


@pytest.mark.parametrize("any_row", [False, True])
def test_a_batch_of_which_nothing_is_wanted_is_not_computed(any_row: bool) -> None:
    calls: list[int] = []

    def f(x: jax.Array) -> jax.Array:
        jax.debug.callback(lambda _: calls.append(1), x)
        return x + 1.0

    mask = np.zeros(10, bool)
    mask[4] = any_row
    found = jax.block_until_ready(jax.jit(lambda mask, x: where_any(f, mask, x))(mask, ROWS))
    jax.effects_barrier()
    np.testing.assert_array_equal(found, ROWS + 1.0 if any_row else np.zeros(10))
    assert len(calls) == any_row
