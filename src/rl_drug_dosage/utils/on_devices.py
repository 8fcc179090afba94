"""Several accelerators at the same time: each one runs the program of one device, on calls of its own.

A call is never divided. So a patient's numbers do not depend on the number of devices, but for the size of a call,
which `utils.device_shape` chooses.
"""

from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from rl_drug_dosage.utils.device_shape import device_shape, on_threads
from rl_drug_dosage.utils.held_programs import Held

__all__ = ["SeedsOnDevices", "on_devices", "on_each_device"]


def on_devices[A, B](run: Callable[[A], B], each: Sequence[A]) -> list[B]:
    """`on_threads`, where each accelerator takes the next element when it is free.

    Args:
        run: called from several threads at a time, for arrays and programs of JAX's default device.
        each: its arguments.
    """
    devices = device_shape().devices
    if devices == 1:
        return on_threads(run, each)
    free: SimpleQueue[jax.Device] = SimpleQueue()
    for device in jax.local_devices()[:devices]:
        free.put(device)

    def one(element: A) -> B:
        device = free.get()
        try:
            with jax.default_device(device):
                return run(element)
        finally:
            free.put(device)

    return on_threads(one, each, devices)


def on_each_device(first: Callable[[Any], Any], make: Callable[[], Callable[[Any], Any]]) -> Callable[[Any], Any]:
    """A compiled function that runs on the default device of the thread that calls it.

    Args:
        first: compiled for the default device of now.
        make: compiles it for another one, which is the default then; called when the first call there comes.
    """
    runs: Held[Callable[[Any], Any]] = Held()
    runs.get(_here(), lambda: first)

    def run(leaves: Any) -> Any:
        return runs.get(_here(), make)(leaves)

    return run


class SeedsOnDevices:
    """Arrays with seeds in their first axis, an equal number of seeds on each device.

    Args:
        devices: how many of this process; the number of seeds is a multiple.
    """

    def __init__(self, devices: int) -> None:
        self._devices = jax.local_devices()[:devices]
        self._places = NamedSharding(Mesh(np.asarray(self._devices), ("seed",)), PartitionSpec("seed"))

    def dealt[T](self, tree: T) -> list[T]:
        """The seeds of each device, on it; nothing is copied of what `gathered` gave."""
        placed = jax.device_put(tree, self._places)

        def own(device: Any) -> T:
            return jax.tree.map(lambda x: next(s.data for s in x.addressable_shards if s.device == device), placed)

        return [own(device) for device in self._devices]

    def gathered[T](self, each: Sequence[T]) -> T:
        """All seeds as one tree, whose arrays stay where they are."""

        def one(*parts: Any) -> Any:
            shape = (sum(len(part) for part in parts), *parts[0].shape[1:])
            return jax.make_array_from_single_device_arrays(shape, self._places, parts)

        return jax.tree.map(one, *each)


def _here() -> Any:
    """The default device of this thread."""
    return jax.config.jax_default_device or jax.local_devices()[0]
