"""One function on several devices: each computes its share of the patients, or of the seeds, and knows of no other."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

__all__ = ["over_devices", "places"]

_AXIS = "device"


def over_devices(f: Callable[..., Any], devices: int, in_axes: tuple[int | None, ...], out_axes: Any) -> Any:
    """``f``, whose batch is divided among devices; ``f`` itself for one.

    Every device runs the program of one device on its share, in the order of the batch, and exchanges nothing.

    Args:
        f: function of a batch of arrays, element by element: nothing in it may depend on the size of the batch.
        devices: how many of this process; the batch is a multiple.
        in_axes: for each argument, where the batch lies in all of its arrays; None: every device gets the whole.
        out_axes: the same of the results, as a mapping where it differs between their names.
    """
    if devices == 1:
        return f

    def run(*args: Any) -> Any:
        out = {k: _spec(axis) for k, axis in out_axes.items()} if isinstance(out_axes, Mapping) else _spec(out_axes)
        own = tuple(_spec(axis) for axis in in_axes)
        # Loops that start with a constant would otherwise have to say that their results differ between devices.
        return jax.shard_map(f, mesh=_mesh(devices), in_specs=own, out_specs=out, check_vma=False)(*args)

    return run


def places(devices: int, in_axes: tuple[int | None, ...]) -> dict[str, Any]:
    """Options of `jax.jit` that say where the arguments of `over_devices` lie; none for one device."""
    if devices == 1:
        return {}
    return {"in_shardings": tuple(NamedSharding(_mesh(devices), _spec(axis)) for axis in in_axes)}


def _mesh(devices: int) -> Mesh:
    return Mesh(np.asarray(jax.local_devices()[:devices]), (_AXIS,))


def _spec(axis: int | None) -> PartitionSpec:
    return PartitionSpec() if axis is None else PartitionSpec(*[None] * axis, _AXIS)
