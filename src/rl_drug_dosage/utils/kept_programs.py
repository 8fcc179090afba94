"""Programs that are traced once and kept between processes.

Tracing a planner's trial takes Python seconds in every process, also where XLA's compiled code is at hand. A kept
program is the traced one, as StableHLO in the form of `jax.export`, in a file named by the fingerprint of all that it
depends on. Reading it executes nothing of the file's; a file that has been damaged is removed, and the program is
traced again. Code from outside the package has no fingerprint and is traced in every process.
"""

import enum
import hashlib
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from rl_drug_dosage.errors import OutputError
from rl_drug_dosage.utils.device_shape import device_shape
from rl_drug_dosage.utils.files import atomic_write
from rl_drug_dosage.utils.fingerprint import NoFingerprintError, fingerprint
from rl_drug_dosage.utils.held_programs import Held, make_room
from rl_drug_dosage.utils.on_devices import on_each_device
from rl_drug_dosage.utils.runtime import cache_folder, traced_folder

__all__ = [
    "MOST_COMPILED_BYTES",
    "MOST_TRACED_BYTES",
    "Kept",
    "Program",
    "keep_traces",
    "program",
    "returned",
    "trim",
]

MOST_TRACED_BYTES, MOST_COMPILED_BYTES = 2**28, 2**32
"""Above this, programs that have not been used for longest are removed: 256 MiB of traced ones (0.1 to 1 MiB each), and
4 GiB of compiled ones."""

_MAGIC = b"rl-drug-dosage program 1\n"
_DIGEST = hashlib.sha256().digest_size
_STATE = {"keep": True, "said": False}


class _Place(enum.Enum):
    """Stands for an array among the arguments."""

    ARRAY = "array"


def keep_traces(wanted: bool) -> None:
    """Whether programs are kept: not in tests that change the package while they run."""
    _STATE["keep"] = wanted


def returned[T](kind: type[T]) -> type[T]:
    """Decorate a module of arrays, without static fields, that kept programs return as such."""
    export.register_pytree_node_serialization(
        kind,
        serialized_name=f"{kind.__module__}.{kind.__qualname__}",
        serialize_auxdata=lambda _: b"",
        deserialize_auxdata=lambda _: None,
        from_children=lambda _, children: kind(*children),
    )
    return kind


@dataclass(frozen=True)
class Program:
    """A compiled function of pytrees with the shapes that it was made for.

    Args:
        run: (arrays of the arguments) -> results.
        traced_s: seconds of tracing, or of reading what was traced before.
        compiled_s: seconds of compilation, or of reading what was compiled before.
        kept: whether it had been traced before.
    """

    run: Callable[[list[Any]], Any]
    traced_s: float
    compiled_s: float
    kept: bool

    def __call__(self, *args: Any) -> Any:
        """The results, for arguments of the same structure."""
        return self.run(_leaves(args))


def program(function: Callable[..., Any], *args: Any, options: Mapping[str, str] | None = None) -> Program:
    """Trace and compile a function, or read what was traced before.

    Args:
        function: pure, of pytrees; returns nested dicts, tuples, lists and `returned` modules of arrays. What it
            encloses belongs to it.
        args: like those of its calls. What is no array in them counts as a constant.
        options: of the compiler.
    """
    make_room()
    begin = time.perf_counter()
    arrays, rest = eqx.partition(args, _is_array)
    tree = jax.tree.structure(arrays)
    like = jax.tree.leaves(arrays)
    leaves = _leaves(args)

    def flat(leaves: list[Any]) -> Any:
        back = [jax.random.wrap_key_data(x) if _is_key(a) else x for x, a in zip(leaves, like, strict=True)]
        return function(*eqx.combine(jax.tree.unflatten(tree, back), rest))

    # Not `rest`: there an array and None look alike.
    marked = jax.tree.map(lambda x: _Place.ARRAY if _is_array(x) else x, args)
    place = _place(function, marked, leaves)
    found = None if place is None else _read(place)
    kept = found is not None
    if found is None and place is not None:
        found = _traced(flat, leaves, place)
    whole = jax.jit(flat if found is None else found.call)
    lowered = whole.lower(leaves)
    traced = time.perf_counter()
    asked = None if options is None else dict(options)
    run: Callable[[list[Any]], Any] = lowered.compile(compiler_options=asked)
    if device_shape().devices > 1:
        shapes = jax.eval_shape(lambda own: own, leaves)
        run = on_each_device(run, lambda: whole.lower(shapes).compile(compiler_options=asked))
    return Program(run, traced - begin, time.perf_counter() - traced, kept)


class Kept:
    """A function whose programs are made by `program` when they are needed, one for each structure and shape.

    Args:
        function: as for `program`.
        options: of the compiler.
    """

    def __init__(self, function: Callable[..., Any], options: Mapping[str, str] | None = None) -> None:
        self._function, self._options = function, options
        self._programs: Held[Program] = Held()

    def __len__(self) -> int:
        """How many programs are at hand."""
        return len(self._programs)

    def __call__(self, *args: Any) -> Any:
        """The results."""
        leaves, tree = jax.tree.flatten(args)
        arrays = [x for x in leaves if _is_array(x)]
        precise = bool(jax.config.jax_enable_x64)
        key = (tree, precise, device_shape(), *((x.shape, x.dtype) if _is_array(x) else (type(x), x) for x in leaves))
        found = self._programs.get(key, lambda: program(self._function, *args, options=self._options))
        return found.run(_plain(arrays))


def _is_array(x: Any) -> bool:
    return isinstance(x, jax.Array | np.ndarray | np.generic)


def _is_key(leaf: Any) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key))


def _leaves(args: Any) -> list[Any]:
    """The arrays of arguments, random keys as plain integers, which a file can describe."""
    return _plain([leaf for leaf in jax.tree.leaves(args) if _is_array(leaf)])


def _plain(arrays: list[Any]) -> list[Any]:
    return [jax.random.key_data(leaf) if _is_key(leaf) else leaf for leaf in arrays]


def _place(function: Callable[..., Any], marked: Any, leaves: list[Any]) -> Path | None:
    """The file of a program; None if it is not kept."""
    if not _STATE["keep"] or jax.config.jax_compilation_cache_dir is None:
        return None
    shapes = [(leaf.shape, str(leaf.dtype), bool(getattr(leaf, "weak_type", False))) for leaf in leaves]
    setting = (
        jax.default_backend(),
        bool(jax.config.jax_enable_x64),
        str(jax.config.jax_default_matmul_precision),
        str(jax.config.jax_default_prng_impl),
        device_shape(),
    )
    try:
        own = fingerprint(function, marked, shapes, setting)
    except NoFingerprintError:
        return None
    return traced_folder() / f"{own}.program"


def _traced(flat: Callable[..., Any], leaves: list[Any], place: Path) -> export.Exported | None:
    """Trace, and keep the result; None if it cannot be kept, as with a call back into Python."""
    try:
        found = export.export(jax.jit(flat))(leaves)
        raw = bytes(found.serialize())
    except (NotImplementedError, ValueError):
        # What is wrong with the function itself, tracing it again will say.
        return None
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(place, _MAGIC + hashlib.sha256(raw).digest() + raw)
        trim(traced_folder(), MOST_TRACED_BYTES)
        trim(cache_folder(), MOST_COMPILED_BYTES)
    except (OSError, OutputError) as error:
        _say_once(
            f"cannot keep programs in {place.parent} ({error}): set XDG_CACHE_HOME to a folder that can be written"
        )
    return found


def _say_once(text: str) -> None:
    if not _STATE["said"]:
        _STATE["said"] = True
        warnings.warn(text, RuntimeWarning, stacklevel=2)


def _read(place: Path) -> export.Exported | None:
    """What was kept; None if nothing was, or if it has been damaged: then it is removed."""
    try:
        raw = place.read_bytes()
    except OSError:
        return None
    start = len(_MAGIC) + _DIGEST
    body = raw[start:]
    if raw[: len(_MAGIC)] == _MAGIC and raw[len(_MAGIC) : start] == hashlib.sha256(body).digest():
        _touch(place)
        return export.deserialize(bytearray(body))
    _remove(place)
    return None


def _touch(place: Path) -> None:
    """Say that a file was used."""
    try:
        place.touch()
    except OSError:
        return


def _remove(place: Path) -> int:
    """Bytes that became free."""
    try:
        size = place.stat().st_size
        place.unlink()
    except OSError:
        return 0
    return size


def trim(folder: Path, most_bytes: int) -> int:
    """Remove the files of a folder that have not been used for longest, until it holds no more than this.

    Returns:
        Bytes that became free.
    """
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            stat = path.stat()
        except OSError:  # another process was faster
            continue
        if path.is_file():
            found.append((max(stat.st_atime, stat.st_mtime), stat.st_size, path))
    too_much, free = sum(size for _, size, _ in found) - most_bytes, 0
    for _, _, path in sorted(found):
        if free >= too_much:
            break
        free += _remove(path)
    return free
