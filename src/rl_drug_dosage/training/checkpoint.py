"""Checkpoints: convert the training state to named tensors and back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rl_drug_dosage.errors import CheckpointError, ModelFileError
from rl_drug_dosage.utils.tensor_archive import read_archive, write_archive

__all__ = ["load_checkpoint", "pack", "save_checkpoint", "unpack"]

_KIND = "checkpoint"


def pack(tree: Any) -> dict[str, np.ndarray]:
    """The leaves of a pytree by path; unsigned integers are stored as signed ones, bit for bit."""
    tensors = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        array = np.asarray(leaf)
        tensors[jax.tree_util.keystr(path)] = array.view(np.int32) if array.dtype == np.uint32 else array
    return tensors


def unpack(template: Any, tensors: Mapping[str, np.ndarray]) -> Any:
    """A pytree like ``template``, with the leaves saved by ``pack``.

    Raises:
        CheckpointError: the tensors do not match the template.
    """
    paths, structure = jax.tree_util.tree_flatten_with_path(template)
    leaves = []
    for path, leaf in paths:
        name = jax.tree_util.keystr(path)
        tensor = tensors.get(name)
        if tensor is None or tensor.shape != leaf.shape:
            raise CheckpointError(f"the checkpoint does not fit this program: {name} is missing or has another shape")
        leaves.append(tensor.view(np.uint32) if leaf.dtype == np.uint32 else tensor.astype(leaf.dtype, copy=False))
    return jax.tree_util.tree_unflatten(structure, leaves)


def save_checkpoint(path: Path, tensors: Mapping[str, np.ndarray], record: Mapping[str, Any]) -> None:
    """Write a checkpoint, atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    write_archive(path, tensors, record, kind=_KIND)


def load_checkpoint(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read a checkpoint: its tensors and its record.

    Raises:
        CheckpointError: the file is missing, damaged or not ours.
    """
    try:
        archive = read_archive(path, kind=_KIND)
    except ModelFileError as error:
        raise CheckpointError(f"cannot resume: {error}") from None
    return archive.tensors, archive.record
