"""How many patients are computed together: the one place for what depends on the device and on the number of cores.

On a CPU only the number of threads follows the machine. The sizes are the same on every CPU, because the last bits of a
patient's numbers depend on them: a compiled loop over patients runs in vectors, the patients that are left at its end
are computed one by one, and the compiler fuses multiplications and additions differently there. With fixed sizes, and
calls that start at their multiples, a patient is always computed by the same program in the same lane, whatever the
range, the shard or the number of threads. With calls of other sizes up to 1 patient in 100 of a trial differs, by a few
units in the last place of a level. A dose from a grid differs only where two doses were equally good to rounding: for 1
of 1,000 patients in one of ten changes of size that were tried (`mipd`, vancomycin and busulfan).

The compiler knows the number of cores, too, and divides some loops among them unless told otherwise (`ONE_CORE_EACH`).
Of ten scenarios compiled with and without that, one was affected: 2 of 1,000 patients of infliximab in the last bits of
their levels, no dose.

An accelerator gets few large calls instead, bounded by its memory, one at a time; several of them share the calls
(`utils.on_devices`). The size of a call follows the number of patients, so that a small cohort does not pay for a large
one, and every device has its part of a larger one; results there agree with those of a CPU, of other ranges and of
another number of devices to rounding only. The accelerator's numbers are reasoned, not measured.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import jax

__all__ = ["ONE_CORE_EACH", "DeviceShape", "available_cores", "device_shape", "on_threads", "shape_of", "shaped"]

_CHUNK, _GROUP, _LOOK_EVERY, _VALUES = 250, 128, 4, 2**24
_MOST_COMPILERS = 8
"""Programs that are compiled at the same time: each takes one core, and up to a gigabyte of memory."""
_CHUNK_ACCELERATOR, _GROUP_ACCELERATOR, _TOGETHER_ACCELERATOR = 2**14, 2**17, 2**15
_TRIAL_BYTES, _FIT_BYTES = 2**20, 2**16
"""Generous bounds of what a patient of a trial, with a planner's forecasts of every dose, and a fit keep in memory."""
_LEAST_SHARE = 256
"""Patients of a call below which it is not worth it to keep another accelerator busy."""
_MEMORY_BYTES = 2**33
"""Of an accelerator that does not say how much memory it has: 8 GiB."""
_WIDER = 64
"""An accelerator's batches of draws, in those of a CPU: 8 to 64 draws fill the vectors of one core."""

ONE_CORE_EACH = {"xla_disable_hlo_passes": "cpu-parallel-task-assigner"}
"""Options of the compiler for a program that runs on several threads: it does not divide its loops among the cores.
Loops over a hundred patients are too short for that: on one thread, fits of two compartments took 1.6 times as long.
And how a loop is divided, which can change the last bits, depends on the number of cores."""


@dataclass(frozen=True)
class DeviceShape:
    """Sizes of compiled calls and loops.

    Args:
        chunk: most patients in one compiled call of a trial. 250 stay within the caches of a core.
        follows_count: whether a call is smaller where fewer patients are asked for.
        threads: compiled calls that run at the same time.
        devices: accelerators that share the calls; the sizes are those of one.
        compilers: programs that are compiled at the same time.
        group: patients whose fits iterate together, see `pkpd.bayes.map_estimates`. A group waits for its slowest
            patient; for 10,000 one-compartment patients on two cores, 128 was twice as fast as a single group.
        together: elements that iterate together in `while_each`. Of 64, 128 and 256 in environments of 1,024 patients,
            on two cores that others used too, 128 was the fastest for infliximab, and a tenth behind 64 for vancomycin.
        look_every: iterations between two looks at which of them have ended.
        values: numbers that one chunk of a simulation may hold; 2^24 are 64 MiB, of which it needs a few copies.
        wider: factor on the batches of loops whose size was chosen on a CPU, see `batch`.
    """

    chunk: int = _CHUNK
    follows_count: bool = False
    threads: int = 1
    devices: int = 1
    compilers: int = 1
    group: int = _GROUP
    together: int = _GROUP
    look_every: int = _LOOK_EVERY
    values: int = _VALUES
    wider: int = 1

    def share(self, count: int) -> int:
        """How many of ``count`` patients are for one of the devices."""
        return max(-(-count // self.devices), min(count, _LEAST_SHARE), 1)

    def call_size(self, count: int) -> int:
        """Patients in each call of a trial of ``count`` patients."""
        return min(self.chunk, _power_of_two(self.share(count))) if self.follows_count else self.chunk

    def call_starts(self, first: int, count: int) -> range:
        """First patients of the calls that cover patients ``first .. first + count - 1``: multiples of their size."""
        size = self.call_size(count)
        return range(first // size * size, first + count, size)

    def batch(self, on_cpu: int) -> int:
        """The batch size of a loop for which ``on_cpu`` was chosen on a CPU."""
        return on_cpu * self.wider


def _power_of_two(least: int) -> int:
    """Smallest power of two that is at least this."""
    return 1 << (least - 1).bit_length()


def shape_of(kind: str, *, cores: int, memory_bytes: int | None = None, devices: int = 1) -> DeviceShape:
    """The shape for a kind of device.

    Args:
        kind: ``"cpu"``; anything else is an accelerator (``"gpu"``, ``"tpu"``).
        cores: of the CPU that this process may use.
        memory_bytes: of each accelerator; None if unknown, which counts as 8 GiB.
        devices: how many accelerators.
    """
    compilers = min(max(cores, 1), _MOST_COMPILERS)
    if kind == "cpu":
        return DeviceShape(threads=max(cores, 1), compilers=compilers)
    # Half of the memory: the rest is for results that are on their way, and for the compiled programs.
    half = (memory_bytes or _MEMORY_BYTES) // 2

    def bounded(most: int, each: int, least: int) -> int:
        return max(min(most, _power_of_two(half // each + 1) // 2), least)

    return DeviceShape(
        chunk=bounded(_CHUNK_ACCELERATOR, _TRIAL_BYTES, 256),
        follows_count=True,
        threads=devices,
        devices=devices,
        compilers=compilers,
        group=bounded(_GROUP_ACCELERATOR, _FIT_BYTES, 256),
        together=bounded(_TOGETHER_ACCELERATOR, _FIT_BYTES, 256),
        values=bounded(2**30, 64, _VALUES),
        wider=_WIDER,
    )


def available_cores() -> int:
    """Cores that this process may use, which an affinity mask can make fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_given: DeviceShape | None = None


def device_shape() -> DeviceShape:
    """The shape for JAX's default device and this process's cores, or the one given by `shaped`."""
    if _given is not None:
        return _given
    kind = jax.default_backend()
    if kind == "cpu":
        return shape_of(kind, cores=available_cores())
    devices = jax.local_devices()
    limits = [(device.memory_stats() or {}).get("bytes_limit") for device in devices]
    least = min((limit for limit in limits if limit), default=None)
    return shape_of(kind, cores=available_cores(), memory_bytes=least, devices=len(devices))


@contextmanager
def shaped(shape: DeviceShape) -> Iterator[None]:
    """Use this shape instead, in all threads: for tests and measurements.

    A function that JAX has traced before keeps the sizes that it was traced with.
    """
    global _given  # noqa: PLW0603 - threads of a pool have to see it, so that it cannot be a context variable
    before, _given = _given, shape
    try:
        yield
    finally:
        _given = before


def on_threads[A, B](run: Callable[[A], B], each: Sequence[A], threads: int | None = None) -> list[B]:
    """Results of ``run`` for each element, in order, computed on as many threads as the device is for.

    Args:
        run: called from several threads at a time.
        each: its arguments.
        threads: None: those of `device_shape`.
    """
    threads = min(device_shape().threads if threads is None else threads, len(each))
    if threads <= 1:
        return [run(one) for one in each]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, each))
