"""File format of models and checkpoints: a zip file that PyTorch can read, and that is read here without unpickling.

    archive/data.pkl                     the pickle read by torch.load: {name: tensor}
    archive/byteorder                    "little"
    archive/rl_drug_dosage/record.json   the caller's record
    archive/rl_drug_dosage/index.json    kind; name, dtype, shape and storage key of each tensor
    archive/data/0 ... data/n            raw little-endian values in C order
    archive/version                      PyTorch's own version of this layout

``torch.load(path, weights_only=True)`` returns the tensors as a flat dict, in order. Members are stored uncompressed,
each payload aligned to 64 bytes, so that PyTorch can map them into memory. `read_archive` uses the index and the raw
bytes. The zip's end comment seals the file: it contains the format version and the SHA-256 of every byte before the
digest. The seal detects accidental damage. It is not a signature, so the contents are still treated as untrusted.
"""

import hashlib
import io
import json
import math
import pickle
import re
import stat
import struct
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rl_drug_dosage.errors import ConfigError, ModelFileError
from rl_drug_dosage.utils.files import atomic_write
from rl_drug_dosage.utils.printable import excerpt, printable

__all__ = ["FORMAT_VERSION", "Archive", "read_archive", "write_archive"]

FORMAT_VERSION = 1
"""The version of the container; the caller's record has its own version."""

_STORAGE_CLASSES = {
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "int32": "IntStorage",
    "int64": "LongStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}
# PyTorch uses everything before the first slash of the first member as the archive's name.
_ROOT = "archive/"
_RECORD = "rl_drug_dosage/record.json"
_INDEX = "rl_drug_dosage/index.json"
_ALIGNMENT = 64
# The format avoids zip's 64-bit layout, to which zipfile switches at 2 GiB or 65,535 members. A member adds less than
# 512 bytes of headers and padding.
_MAX_MEMBERS = 60_000
_MAX_BYTES = 2**31 - 1
_MAX_PAYLOAD_BYTES = _MAX_BYTES - 512 * _MAX_MEMBERS

_SEAL = re.compile(rb"rl_drug_dosage archive version ([1-9][0-9]{0,8}) sha256 [0-9a-f]{64}\Z")
_DIGEST_CHARS = 64
_MAX_SEAL_BYTES = 128
# What zipfile, json, NumPy and the checks below raise for invalid contents.
_MALFORMED = (
    *(zipfile.BadZipFile, struct.error, ArithmeticError, EOFError, LookupError),
    *(MemoryError, RuntimeError, TypeError, ValueError),
)


@dataclass(frozen=True)
class Archive:
    """The contents of a file: the tensors in the order they were written, and the caller's record."""

    tensors: dict[str, np.ndarray]
    record: dict[str, Any]


def write_archive(path: Path, tensors: Mapping[str, np.ndarray], record: Mapping[str, Any], *, kind: str) -> None:
    """Write a file atomically; the same content gives the same bytes.

    Args:
        path: the file to write; an existing file is replaced.
        tensors: any shape, of float32, float64, int32, int64, uint8 or bool.
        record: strict JSON: text keys, no NaN or infinity. A tuple is read back as a list.
        kind: what the file is, e.g. ``"agent"``; a reader must request the same kind.

    Raises:
        ConfigError: a tensor or record that the format cannot store.
        OutputError: the path cannot be written.
    """
    entries = [_Entry.describe(str(number), name, array) for number, (name, array) in enumerate(tensors.items())]
    members = {
        "data.pkl": _pickle(entries),
        "byteorder": b"little",
        _RECORD: _to_json(dict(record)),
        _INDEX: _to_json({"kind": kind, "tensors": [entry._asdict() for entry in entries]}),
    }
    for entry, array in zip(entries, tensors.values(), strict=True):
        members[f"data/{entry.storage}"] = array.astype(entry.stored_dtype(), copy=False).tobytes()
    if sum(map(len, members.values())) > _MAX_PAYLOAD_BYTES or len(members) > _MAX_MEMBERS:
        raise ConfigError(
            f"{len(entries)} tensors are too many for one file: "
            f"at most {_MAX_MEMBERS} with a total of {_MAX_PAYLOAD_BYTES} bytes fit, store fewer"
        )
    atomic_write(path, _sealed_zip({**members, "version": b"3\n"}))


def read_archive(path: Path, *, kind: str) -> Archive:
    """Read a file written by `write_archive`; no other file is accepted.

    Args:
        path: the file.
        kind: the kind it must have been written as.

    Returns:
        Writable tensors in the machine's byte order, and the record.

    Raises:
        ModelFileError: the file is missing, unreadable, damaged, foreign, of a newer format or of another kind.
    """
    try:
        return _parse(_read_sealed(path), kind)
    except OSError as error:
        flaw = f"{error.strerror or error}; give the path of a file that rl_drug_dosage saved"
    except _RefusedError as error:
        flaw = str(error)
    except _MALFORMED as error:
        flaw = f"its contents are not valid ({error}); save it again, or restore a good copy"
    raise ModelFileError(f"cannot load {str(path)!r}: {printable(excerpt(' '.join(flaw.split()), 300))}")


class _RefusedError(Exception):
    """A full message: why the file is not loaded, and what to do."""


class _Entry(NamedTuple):
    """One line of the index."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    storage: str

    @classmethod
    def describe(cls, storage: str, name: Any, array: Any) -> "_Entry":
        if not (isinstance(name, str) and name.isascii() and isinstance(array, np.ndarray)):
            raise ConfigError(f"tensor {name!r} is a {type(array).__name__}: give NumPy arrays with ASCII names")
        if array.dtype.name not in _STORAGE_CLASSES:
            allowed = ", ".join(_STORAGE_CLASSES)
            raise ConfigError(f"tensor {name!r} has dtype {array.dtype}: convert it to one of {allowed}")
        return cls(name, array.dtype.name, array.shape, storage)

    @classmethod
    def from_json(cls, fields: Any) -> "_Entry":
        entry = cls(**{**fields, "shape": tuple(fields["shape"])})
        if entry.dtype not in _STORAGE_CLASSES or not isinstance(entry.name, str):
            raise ValueError(f"tensor {entry.name!r} has dtype {entry.dtype!r}")
        if not all(type(size) is int and size >= 0 for size in entry.shape):
            raise ValueError(f"tensor {entry.name!r} has shape {entry.shape}")
        return entry

    def stored_dtype(self) -> np.dtype[Any]:
        return np.dtype(self.dtype).newbyteorder("<")

    def decode(self, payload: bytes) -> np.ndarray:
        if len(payload) != math.prod(self.shape) * self.stored_dtype().itemsize:
            raise ValueError(f"tensor {self.name!r} of shape {self.shape} comes with {len(payload)} bytes")
        if self.dtype == "bool" and payload.strip(b"\0\1"):
            raise ValueError(f"tensor {self.name!r} is neither true nor false")
        return np.frombuffer(payload, self.stored_dtype()).reshape(self.shape).astype(self.dtype)


def _sealed_zip(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED, allowZip64=False) as archive:
        for name, payload in members.items():
            info = zipfile.ZipInfo(_ROOT + name, date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 3  # otherwise zipfile writes the platform's
            # A local header is 30 bytes and the name; the padding is an extra field of PyTorch's, whose header is 4.
            padding = -(buffer.tell() + 30 + len(info.filename) + 4) % _ALIGNMENT
            info.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
            archive.writestr(info, payload)
        archive.comment = f"rl_drug_dosage archive version {FORMAT_VERSION} sha256 {'0' * _DIGEST_CHARS}".encode()
    with buffer.getbuffer() as view:
        view[-_DIGEST_CHARS:] = hashlib.sha256(view[:-_DIGEST_CHARS]).hexdigest().encode()
    return buffer.getvalue()


def _read_sealed(path: Path) -> bytes:
    """The bytes of a file with a valid seal. A file of another origin is refused before it is read into memory."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise _RefusedError("it is not a file; give the path of a file that rl_drug_dosage saved")
    with path.open("rb") as handle:
        is_zip = handle.read(4) == b"PK\3\4"
        handle.seek(max(0, status.st_size - _MAX_SEAL_BYTES))
        seal = _SEAL.search(handle.read(_MAX_SEAL_BYTES))
        if not is_zip or seal is None or status.st_size > _MAX_BYTES:
            raise _RefusedError("it is truncated or not a file that rl_drug_dosage saved; restore it or give another")
        handle.seek(0)
        data = handle.read(status.st_size)
    if hashlib.sha256(memoryview(data)[:-_DIGEST_CHARS]).hexdigest().encode() != data[-_DIGEST_CHARS:]:
        raise _RefusedError("it is damaged (its SHA-256 does not match); restore a good copy, or save it again")
    if (version := int(seal[1])) > FORMAT_VERSION:
        known = f"this version of rl_drug_dosage reads versions up to {FORMAT_VERSION}"
        raise _RefusedError(f"it has format version {version}, {known}; upgrade rl_drug_dosage")
    return data


def _parse(data: bytes, kind: str) -> Archive:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        _check_members(archive.infolist(), len(data))
        index = _from_json(archive.read(_ROOT + _INDEX))
        if index["kind"] != kind:
            raise _RefusedError(f"it contains {index['kind']!r}, not {kind!r}; give a file that was saved as {kind!r}")
        entries = [_Entry.from_json(fields) for fields in index["tensors"]]
        # One payload shared by many tensors could demand more memory than the size of the file.
        for field in ("name", "storage"):
            if len({getattr(entry, field) for entry in entries}) < len(entries):
                raise ValueError(f"two tensors share a {field}")
        tensors = {entry.name: entry.decode(archive.read(f"{_ROOT}data/{entry.storage}")) for entry in entries}
        return Archive(tensors, _from_json(archive.read(_ROOT + _RECORD)))


def _check_members(members: list[zipfile.ZipInfo], file_bytes: int) -> None:
    """Refuse sizes that do not fit into the file."""
    if len({member.filename for member in members}) < len(members):
        raise ValueError("two members share a name")
    if any((m.compress_type, m.compress_size) != (zipfile.ZIP_STORED, m.file_size) for m in members):
        raise ValueError("a member is compressed")
    if sum(member.file_size for member in members) > file_bytes:
        raise ValueError("the members are larger than the file")


def _to_json(value: dict[str, Any]) -> bytes:
    try:
        if not _has_only_text_keys(value):
            raise ConfigError("a key of the record is not text: json would change it; use text keys")
        return json.dumps(value, allow_nan=False, sort_keys=True, indent=1).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"the record cannot be stored as JSON ({error}): use text, finite numbers, lists") from error


def _has_only_text_keys(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _has_only_text_keys(item) for key, item in value.items())
    return not isinstance(value, list | tuple) or all(map(_has_only_text_keys, value))


def _from_json(text: bytes) -> dict[str, Any]:
    value = json.loads(text, parse_constant=_finite, parse_float=_finite)
    if not isinstance(value, dict):
        raise ValueError(f"a JSON object was expected, not a {type(value).__name__}")
    return value


def _finite(literal: str) -> float:
    if not math.isfinite(number := float(literal)):
        raise ValueError(f"{literal[:20]} is not a finite number")
    return number


def _pickle(entries: Iterable[_Entry]) -> bytes:
    """The protocol-2 pickle of ``{name: tensor}``, in the opcodes that PyTorch's weights_only reader allows.

    Written by hand, because the pickle module can only refer to functions that it can import, and these are PyTorch's.
    """
    items = [_text(entry.name) + _tensor(entry) for entry in entries]
    return b"\x80\x02" + b"}(" + b"".join(items) + b"u" + b"."  # PROTO 2, EMPTY_DICT MARK, items, SETITEMS, STOP


def _tensor(entry: _Entry) -> bytes:
    """``torch._utils._rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, backward_hooks)``."""
    storage_class = b"ctorch\n" + _STORAGE_CLASSES[entry.dtype].encode() + b"\n"  # GLOBAL
    length = _integer(math.prod(entry.shape))
    # C order, counted in elements; like PyTorch, an axis of length 0 counts as 1.
    strides = [math.prod(max(size, 1) for size in entry.shape[axis + 1 :]) for axis in range(len(entry.shape))]
    arguments = [
        # BINPERSID: torch.load looks the payload up by this tuple.
        _tuple([_text("storage"), storage_class, _text(entry.storage), _text("cpu"), length]) + b"Q",
        _integer(0),
        _tuple(map(_integer, entry.shape)),
        _tuple(map(_integer, strides)),
        b"\x89",  # NEWFALSE
        b"ccollections\nOrderedDict\n)R",  # GLOBAL EMPTY_TUPLE REDUCE
    ]
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + _tuple(arguments) + b"R"  # GLOBAL arguments REDUCE


def _tuple(items: Iterable[bytes]) -> bytes:
    return b"(" + b"".join(items) + b"t"  # MARK items TUPLE


def _text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw  # BINUNICODE


def _integer(value: int) -> bytes:
    return pickle.dumps(value, protocol=2)[2:-1]  # without PROTO and STOP
