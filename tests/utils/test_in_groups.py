"""Batches in groups are batches."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_drug_dosage.utils.in_groups import in_groups

_SIZE = 4


class _Scaled(eqx.Module):
    """A module with a field that is not an array."""

    factor: jax.Array
    name: str = eqx.field(static=True)


class _Found(NamedTuple):
    total: jax.Array
    parts: dict[str, jax.Array]


def _mixed(scaled: _Scaled, x: dict[str, jax.Array], *, shift: jax.Array) -> _Found:
    assert scaled.name == "kept"
    assert scaled.factor.ndim == 0
    y = scaled.factor * x["a"] + shift
    return _Found(jnp.sum(y), {"y": y, "count": x["b"] + 1})


def _arguments(count: int) -> tuple[_Scaled, dict[str, jax.Array], jax.Array]:
    rng = np.random.default_rng(count)
    x = {"a": jnp.asarray(rng.normal(size=(count, 3))), "b": jnp.arange(count)}
    return _Scaled(jnp.asarray(2.0), "kept"), x, jnp.asarray(rng.normal(size=count))


@pytest.mark.long
@pytest.mark.parametrize("count", [1, _SIZE - 1, _SIZE, _SIZE + 1, 2 * _SIZE, 3 * _SIZE - 1])
def test_a_batch_of_any_size_is_that_of_vmap(count: int) -> None:
    scaled, x, shift = _arguments(count)

    def batched(f: object) -> _Found:
        # `scaled` has no axis: if it got one, the assertion in `_mixed` would fail.
        return jax.vmap(lambda x, s: f(scaled, x, shift=s))(x, shift)  # type: ignore[operator]

    expected = batched(_mixed)
    for found in (batched(in_groups(_mixed, _SIZE)), jax.jit(lambda: batched(in_groups(_mixed, _SIZE)))()):
        assert jax.tree.structure(found) == jax.tree.structure(expected)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, expected)
        assert found.total.shape == (count,)


def test_axes_other_than_the_first_and_closures() -> None:
    rng = np.random.default_rng(0)
    x, constant = jnp.asarray(rng.normal(size=(3, 11))), jnp.arange(3.0)
    found = jax.vmap(in_groups(lambda a, b: a * b, _SIZE), in_axes=(1, None), out_axes=1)(x, constant)
    np.testing.assert_allclose(found, x * constant[:, None], rtol=1e-6)


def test_without_a_batch_it_is_the_function() -> None:
    scaled, x, shift = _arguments(1)
    one = {name: value[0] for name, value in x.items()}
    found, expected = in_groups(_mixed, _SIZE)(scaled, one, shift=shift[0]), _mixed(scaled, one, shift=shift[0])
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_a_batch_of_batches_is_that_of_vmap() -> None:
    x = jnp.asarray(np.random.default_rng(1).normal(size=(5, 6)))
    found = jax.vmap(jax.vmap(in_groups(jnp.sin, _SIZE)))(x)
    np.testing.assert_allclose(found, jnp.sin(x), rtol=1e-6)


def test_a_loop_ends_with_the_slowest_of_its_group() -> None:
    """A group of quick elements does not wait for the slow one of another: what the groups are for."""
    turns = []

    def slow(n: jax.Array) -> jax.Array:
        def body(i: jax.Array) -> jax.Array:
            jax.debug.callback(lambda v: turns.append(int(v)), i)
            return i + 1

        return jax.lax.while_loop(lambda i: i < n, body, jnp.zeros((), jnp.int32))

    times = jnp.asarray([20, 1, 1, 1, 1, 1, 1, 1], jnp.int32)
    found = jax.block_until_ready(jax.jit(jax.vmap(in_groups(slow, _SIZE)))(times))
    jax.effects_barrier()
    np.testing.assert_array_equal(found, times)
    # 20 turns of the first group's four, one of the second's.
    assert len(turns) == _SIZE * 20 + _SIZE
