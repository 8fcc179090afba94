"""A digest of values that stays the same in another process, for what is kept between processes.

Equal digests mean equal contents and equal code. Values are followed into dataclasses, mappings, sequences, arrays and
functions, a function with what it encloses. Code counts as equal where the package and the libraries that it runs on
are: the package's own files and the versions of the libraries are part of every digest. Code from elsewhere has none.
"""

import dataclasses
import enum
import functools
import hashlib
import linecache
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePath
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["NoFingerprintError", "content_digest", "fingerprint", "value_digest"]

_PACKAGE = __name__.partition(".")[0]
_LIBRARIES = ("jax", "jaxlib", "equinox", "numpy", "optax", "diffrax")
_OPTIONAL = ("blackjax",)
_KNOWN = {_PACKAGE, *_LIBRARIES, "jaxtyping", "builtins", "functools", "math", "operator"}
_PLAIN = (bool, int, float, complex, str, bytes, types.NoneType, types.EllipsisType)


class NoFingerprintError(TypeError):
    """A value that contains something which another process cannot recognise."""


def fingerprint(*values: object) -> str:
    """Hexadecimal SHA-256 of the values, their code, the package and its libraries.

    Raises:
        NoFingerprintError: code from outside the package, or an object of an unknown kind.
    """
    return _hex(values, _function, _code_digest())


def content_digest(*values: object) -> str:
    """Hexadecimal SHA-256 of the values alone: the same with other versions of the libraries.

    Raises:
        NoFingerprintError: see `fingerprint`.
    """
    return _hex(values, _function)


def value_digest(*values: object) -> str:
    """The same also with another Python: a function counts by its name, its first line and what it encloses.

    For tables that come with the package, whose tests find out what a change of its code means for them.

    Raises:
        NoFingerprintError: see `fingerprint`.
    """
    return _hex(values, _named_function)


def _hex(value: object, functions: "_Functions", begin: bytes = b"") -> str:
    digest = hashlib.sha256(begin)
    _add(digest, value, (), functions)
    return digest.hexdigest()


@lru_cache
def _code_digest() -> bytes:
    """Of the package's files, and of the versions of what it runs on."""
    digest = hashlib.sha256(sys.version.encode())
    for name in (*_LIBRARIES, *_OPTIONAL):
        digest.update(f"{name} {_version(name)}\n".encode())
    root = Path(__file__).parents[1]
    for path in sorted(p for p in root.rglob("*") if p.suffix in {".py", ".json"}):
        digest.update(f"{path.relative_to(root)}\n".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.digest()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        if name in _LIBRARIES:
            raise
        return "none"


def _add(digest: Any, value: Any, inside: tuple[int, ...], functions: "_Functions") -> None:
    """Feed a value, with its type and length, so that different values cannot read the same."""
    if isinstance(value, _PLAIN) and type(value) in _PLAIN:
        _tell(digest, type(value).__name__, repr(value))
        return
    if id(value) in inside:
        raise NoFingerprintError(f"{type(value).__name__} contains itself")
    inside = (*inside, id(value))
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        _add_array(digest, value)
    elif _is_global(value):
        _tell(digest, "global", f"{value.__module__} {value.__qualname__}")
    elif isinstance(value, enum.Enum):
        _tell(digest, "enum", f"{_type(value)} {value.name}")
    elif isinstance(value, np.dtype | PurePath):
        _tell(digest, type(value).__name__, str(value))
    else:
        kind, parts = _parts(value, functions)
        _tell(digest, kind, str(len(parts)))
        for part in parts:
            _add(digest, part, inside, functions)


def _tell(digest: Any, kind: str, text: str) -> None:
    raw = text.encode()
    digest.update(f"{kind} {len(raw)} ".encode() + raw)


def _add_array(digest: Any, value: Any) -> None:
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        value = jax.random.key_data(value)
    array = np.asarray(value)
    if array.dtype.hasobject:
        raise NoFingerprintError("an array of objects")
    _tell(digest, "array", f"{array.dtype} {array.shape}")
    digest.update(np.ascontiguousarray(array).tobytes())


def _parts(value: Any, functions: "_Functions") -> tuple[str, Sequence[Any]]:
    """The kind of a value, and what it consists of."""
    parts: Sequence[Any]
    if isinstance(value, types.FunctionType):
        if not _is_known(value.__module__):
            raise NoFingerprintError(f"{value.__qualname__} of {value.__module__}")
        return functions(value)
    if isinstance(value, types.MethodType):
        return "method", (value.__func__, value.__self__)
    if isinstance(value, functools.partial):
        parts = (value.func, value.args, dict(value.keywords))
    elif isinstance(value, Mapping):
        parts = [part for item in value.items() for part in item]
    elif isinstance(value, set | frozenset):
        parts = sorted(_hex(part, functions) for part in value)
    elif isinstance(value, tuple | list):
        parts = value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = [part for f in dataclasses.fields(value) for part in (f.name, getattr(value, f.name))]
    else:
        raise NoFingerprintError(f"{type(value).__module__}.{type(value).__qualname__}")
    return _type(value), parts


def _function(value: types.FunctionType) -> tuple[str, Sequence[Any]]:
    """A function that is no global: its code, what it encloses, its defaults."""
    code = value.__code__
    name = f"{value.__module__} {value.__qualname__} {code.co_firstlineno} {code.co_code.hex()} {code.co_names}"
    return "function", (name, _constants(code), *_enclosed(value))


def _named_function(value: types.FunctionType) -> tuple[str, Sequence[Any]]:
    code = value.__code__
    first = linecache.getline(code.co_filename, code.co_firstlineno).strip()
    return "function", (f"{value.__module__} {value.__qualname__} {first}", *_enclosed(value))


_Functions = Callable[[types.FunctionType], tuple[str, Sequence[Any]]]


def _enclosed(value: types.FunctionType) -> tuple[object, ...]:
    return [cell.cell_contents for cell in value.__closure__ or ()], value.__defaults__, value.__kwdefaults__


def _constants(code: types.CodeType) -> list[str]:
    """The constants of a function. Those of functions within it stand in the package's files."""
    return [repr(c) for c in code.co_consts if not isinstance(c, types.CodeType)]


def _is_known(module: str | None) -> bool:
    return module is not None and module.partition(".")[0] in _KNOWN


def _is_global(value: Any) -> bool:
    """Whether known code can be asked for it by its name: a function, a class, a compiled function."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or not _is_known(module):
        return False
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is value


def _type(value: Any) -> str:
    """Name of a known type, whose methods are known, too."""
    own = type(value)
    if not _is_global(own):
        raise NoFingerprintError(f"{own.__module__}.{own.__qualname__}")
    return f"{own.__module__}.{own.__qualname__}"
