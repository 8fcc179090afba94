"""Each element of a batch ends as it would alone, whichever others iterate with it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.utils.while_each import while_each


def collatz(start, factor, loop=while_each):
    """(steps, highest value reached) of a number until it is 1; ``factor``: 3."""

    def step(state):
        value, steps, highest = state
        value = jnp.where(value % 2 == 0, value // 2, factor * value + 1)
        return value, steps + 1, jnp.maximum(highest, value)

    zero = jnp.zeros((), jnp.int32)
    _, steps, highest = loop(lambda state: state[0] == 1, step, (start, zero, start))
    return steps, highest


def by_hand(start: int) -> tuple[int, int]:
    value, steps, highest = start, 0, start
    while value != 1:
        value = value // 2 if value % 2 == 0 else 3 * value + 1
        steps, highest = steps + 1, max(highest, value)
    return steps, highest


@pytest.mark.parametrize("count", [1, 128, 129, 1000])
def test_a_batch_of_any_size_ends_as_each_alone(count):
    starts = jnp.arange(1, count + 1, dtype=jnp.int32)

    found = jax.jit(jax.vmap(collatz, in_axes=(0, None)))(starts, jnp.asarray(3))

    expected = np.asarray([by_hand(n) for n in range(1, count + 1)]).T
    np.testing.assert_array_equal(np.asarray(found), expected)


def test_what_the_step_closes_over_may_be_of_the_batch_or_not():
    starts, factors = jnp.arange(1, 301, dtype=jnp.int32), jnp.full(300, 3)

    own = jax.vmap(collatz)(starts, factors)
    same = jax.vmap(lambda n: collatz(n, jnp.asarray(3)))(starts)

    for a, b in zip(own, same, strict=True):
        np.testing.assert_array_equal(a, b)


def test_batches_of_batches():
    starts = jnp.arange(1, 601, dtype=jnp.int32).reshape(3, 200)

    steps, highest = jax.jit(jax.vmap(jax.vmap(lambda n: collatz(n, jnp.asarray(3)))))(starts)

    expected = np.asarray([by_hand(n) for n in range(1, 601)])
    np.testing.assert_array_equal(np.stack([steps.ravel(), highest.ravel()], axis=1), expected)


def test_alone_it_is_a_while_loop():
    assert [int(v) for v in jax.jit(collatz)(jnp.asarray(27), jnp.asarray(3))] == [111, 9232]


def test_one_that_has_ended_at_the_start_takes_no_step():
    def endless(go):
        return while_each(lambda s: ~s[0], lambda s: (s[0] & (s[1] < 3), s[1] + 1), (go, jnp.zeros((), int)))[1]

    go = jnp.arange(400) % 40 == 0

    np.testing.assert_array_equal(jax.vmap(endless)(go), np.where(go, 4, 0))
