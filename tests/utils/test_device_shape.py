"""On a CPU only the number of threads follows the cores; an accelerator's sizes follow its memory and the cohort."""

import dataclasses
import os
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_drug_dosage.utils import device_shape as own
from rl_drug_dosage.utils.device_shape import DeviceShape, device_shape, on_threads, shape_of, shaped
from rl_drug_dosage.utils.while_each import while_each

GIB = 2**30


class Accelerator:
    """A device with so much memory, or one that does not say."""

    def __init__(self, memory: int | None) -> None:
        self.memory = memory

    def memory_stats(self) -> dict[str, int] | None:
        return None if self.memory is None else {"bytes_limit": self.memory}


def faked(monkeypatch: pytest.MonkeyPatch, kind: str, memory: int | None) -> DeviceShape:
    monkeypatch.setattr(jax, "default_backend", lambda: kind)
    monkeypatch.setattr(jax, "local_devices", lambda: [Accelerator(memory)])
    return device_shape()


@pytest.mark.parametrize("cores", [1, 2, 64])
def test_the_sizes_on_a_cpu_do_not_depend_on_its_cores(cores):
    shape = shape_of("cpu", cores=cores)

    assert (shape.chunk, shape.group, shape.together, shape.look_every) == (250, 128, 128, 4)
    assert (shape.values, shape.batch(16), shape.follows_count) == (2**24, 16, False)
    assert shape.threads == cores
    assert shape.compilers == min(cores, 8)


def test_this_process_counts_the_cores_that_it_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 7}, raising=False)
    assert device_shape() == shape_of("cpu", cores=3)

    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert device_shape() == shape_of("cpu", cores=1)


@pytest.mark.parametrize("kind", ["gpu", "tpu"])
def test_an_accelerator_gets_large_calls_and_no_threads(monkeypatch, kind):
    shape = faked(monkeypatch, kind, 80 * GIB)

    assert shape.threads == 1
    assert shape.chunk == 2**14
    assert (shape.group, shape.together, shape.batch(16)) == (2**17, 2**15, 1024)
    assert shape.values == 2**29


def test_less_memory_makes_smaller_calls_down_to_a_limit(monkeypatch):
    large, small, tiny = (faked(monkeypatch, "gpu", memory) for memory in (80 * GIB, 4 * GIB, 2**20))

    # 2 GiB of the 4 are for patients of 1 MiB and fits of 64 KiB
    assert (small.chunk, small.group) == (2048, 32768)
    assert large.chunk > small.chunk > tiny.chunk == tiny.group == tiny.together == 256
    assert tiny.values == 2**24
    assert faked(monkeypatch, "gpu", None) == faked(monkeypatch, "gpu", 8 * GIB)


@given(
    first=st.integers(0, 5000),
    count=st.integers(1, 5000),
    shape=st.sampled_from([shape_of("cpu", cores=2), shape_of("gpu", cores=2), DeviceShape(chunk=64)]),
)
def test_calls_cover_the_range_and_start_at_multiples(first, count, shape):
    size, starts = shape.call_size(count), shape.call_starts(first, count)

    assert all(start % size == 0 for start in starts)
    assert starts[0] <= first < starts[0] + size
    assert starts[-1] < first + count <= starts[-1] + size
    if shape.follows_count:
        assert count <= size < 2 * count or size == shape.chunk
        assert len(starts) <= count // size + 2


def test_another_shape_holds_in_every_thread_and_ends_with_the_block():
    small, before = DeviceShape(chunk=7), device_shape()

    with shaped(small):
        assert on_threads(lambda _: device_shape().chunk, range(4), 2) == [7] * 4
        with pytest.raises(ZeroDivisionError), shaped(DeviceShape(chunk=8)):
            _ = 1 / 0
        assert device_shape() is small
    assert device_shape() == before


def test_results_come_in_order_and_only_several_threads_leave_this_one():
    here, waiting = threading.get_ident(), threading.Barrier(2, timeout=20)

    def meets(number: int) -> tuple[int, bool]:
        waiting.wait()
        return 10 * number, threading.get_ident() != here

    assert on_threads(meets, range(2), 2) == [(0, True), (10, True)]
    assert on_threads(lambda number: (number, threading.get_ident()), range(3), 1) == [(n, here) for n in range(3)]
    assert on_threads(threading.get_ident, (), 4) == []


def test_what_a_thread_refuses_is_refused():
    def refuses(number: int) -> None:
        raise ValueError(f"patient {number}")

    with pytest.raises(ValueError, match="patient 0"):
        on_threads(refuses, range(4), 2)


@pytest.mark.parametrize(("together", "look_every"), [(5, 1), (64, 4), (2**15, 4)])
def test_a_loop_over_a_batch_ends_alike_whatever_iterates_together(together, look_every):
    def halvings(start):
        return while_each(lambda s: s[0] < 1.0, lambda s: (s[0] / 2.0, s[1] + 1), (start, jnp.zeros((), jnp.int32)))

    starts = jnp.asarray(np.random.default_rng(0).uniform(0.5, 1e6, 301), jnp.float32)
    alone = [halvings(start) for start in starts[:20]]

    with shaped(dataclasses.replace(device_shape(), together=together, look_every=look_every)):
        ends, counts = jax.jit(jax.vmap(halvings))(starts)

    np.testing.assert_array_equal(counts, np.maximum(np.floor(np.log2(np.asarray(starts))) + 1, 0))
    np.testing.assert_array_equal(ends[:20], [end for end, _ in alone])


def test_the_shape_is_that_of_this_process_without_a_fake():
    assert device_shape().threads == own.available_cores()
