"""The model file: what goes in comes out, and anything that was not written so is refused in one line."""

import hashlib
import io
import json
import os
import pickle
import pickletools
import resource
import tracemalloc
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rl_drug_dosage.errors import ConfigError, ModelFileError, OutputError
from rl_drug_dosage.utils import tensor_archive
from rl_drug_dosage.utils.tensor_archive import FORMAT_VERSION, read_archive, write_archive

DTYPES = ("float32", "float64", "int32", "int64", "uint8", "bool")
TENSORS = {
    "critic.0.weight": np.array([[1.5, -2.25, np.nan], [np.inf, -0.0, 1e-45]], np.float32),
    "double": np.array([np.pi, -1e308, 5e-324]),
    "int32": np.array([-(2**31), 2**31 - 1], np.int32),
    "steps": np.array(2**62 + 1, np.int64),
    "bytes": np.arange(256, dtype=np.uint8),
    "flags": np.array([[True], [False]]),
    "empty": np.zeros((3, 0, 2), np.float32),
}
RECORD = {"format_version": 1, "environment": {"id": "DrugDose-v0", "k": 0.05}, "seeds": [1, 2], "unit": "µg/L"}
ARRAYS = st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0)))
BRIEFLY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A sound file of kind ``agent``."""
    path = tmp_path / "agent.pt"
    write_archive(path, TENSORS, RECORD, kind="agent")
    return path


@pytest.fixture
def size_limit() -> Iterator[Callable[[int], None]]:
    """Makes the system refuse, as a full disk would, to let a file grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda limit: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def assert_same(left: Mapping[str, np.ndarray], right: Mapping[str, np.ndarray]) -> None:
    assert list(left) == list(right)
    for name in left:
        assert (left[name].dtype, left[name].shape) == (right[name].dtype, right[name].shape)
        assert left[name].tobytes() == right[name].tobytes()


def assert_refused(path: Path, *fragments: str, kind: str = "agent") -> None:
    with pytest.raises(ModelFileError) as caught:
        read_archive(path, kind=kind)
    message = str(caught.value)
    assert "\n" not in message
    for fragment in (repr(str(path)), *fragments):
        assert fragment in message


def reseal(data: bytes | bytearray) -> bytes:
    """Give tampered bytes a digest that holds, as a stranger could, so that the checks behind the seal are reached."""
    return bytes(data[:-64]) + hashlib.sha256(data[:-64]).hexdigest().encode()


def rebuilt(path: Path, changes: Mapping[str, bytes | None], compression: int = zipfile.ZIP_STORED) -> bytes:
    """The same zip with some members replaced, added, or (None) left out, and a valid seal."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(buffer, "w", compression) as new:
        members: dict[str, bytes | None] = {name: old.read(name) for name in old.namelist()}
        for name, payload in (members | {f"archive/{name}": payload for name, payload in changes.items()}).items():
            if payload is not None:
                new.writestr(name, payload)
        new.comment = old.comment
    return reseal(buffer.getvalue())


def index_with(path: Path, **fields: Any) -> bytes:
    """The file's index with some fields of its first tensor changed."""
    with zipfile.ZipFile(path) as archive:
        index = json.loads(archive.read("archive/rl_drug_dosage/index.json"))
    index["tensors"][0] |= fields
    return json.dumps(index).encode()


def test_everything_written_is_read_back(archive: Path) -> None:
    """Tensors of every dtype and the record survive bit for bit, in order, writable."""
    loaded = read_archive(archive, kind="agent")

    assert_same(loaded.tensors, TENSORS)
    assert all(array.flags.writeable for array in loaded.tensors.values())
    assert loaded.record == RECORD


@BRIEFLY
@given(arrays=st.lists(ARRAYS))
def test_any_shape_survives(arrays: list[np.ndarray], tmp_path: Path) -> None:
    """Arrays of any dtype, shape and content come back as they went in."""
    tensors = {f"t{number}": array for number, array in enumerate(arrays)}
    write_archive(tmp_path / "any.pt", tensors, {}, kind="agent")

    assert_same(read_archive(tmp_path / "any.pt", kind="agent").tensors, tensors)


def test_memory_layout_and_byte_order_do_not_matter(tmp_path: Path) -> None:
    """A transposed, strided or big-endian array is stored by value."""
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    views = {"transposed": values.T, "strided": values[::2, ::-1], "big_endian": values.astype(">f4")}
    write_archive(tmp_path / "views.pt", views, {}, kind="agent")

    for name, array in read_archive(tmp_path / "views.pt", kind="agent").tensors.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, views[name])


def test_same_content_gives_same_bytes(archive: Path, tmp_path: Path) -> None:
    """Neither the clock, the file's name nor the order of the record's keys shows in the bytes."""
    write_archive(tmp_path / "other_name.pt", TENSORS, dict(reversed(RECORD.items())), kind="agent")

    assert (tmp_path / "other_name.pt").read_bytes() == archive.read_bytes()


def test_bytes_of_version_1_are_frozen(tmp_path: Path) -> None:
    """A file written today is the file that version 1 has always written; a change here needs a new version."""
    write_archive(tmp_path / "a.pt", {"w": np.arange(3, dtype=np.float32)}, {"a": 1}, kind="agent")

    digest = hashlib.sha256((tmp_path / "a.pt").read_bytes()).hexdigest()
    assert digest == "27bfbd82f756507dc3f0eee212d9f121d65612a516954dcfdb150f2d22f407de"


def test_file_is_a_sound_zip_in_the_layout_of_pytorch(archive: Path) -> None:
    """Stored members under one root, data.pkl first, payloads at multiples of 64 bytes, no CRC fault."""
    data = archive.read_bytes()
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        members = opened.infolist()

    assert [member.filename for member in members] == [
        "archive/data.pkl",
        "archive/byteorder",
        "archive/rl_drug_dosage/record.json",
        "archive/rl_drug_dosage/index.json",
        *(f"archive/data/{number}" for number in range(len(TENSORS))),
        "archive/version",
    ]
    for member in members:
        assert member.compress_type == zipfile.ZIP_STORED
        name_bytes, extra_bytes = np.frombuffer(data, "<u2", 2, member.header_offset + 26)
        assert (member.header_offset + 30 + int(name_bytes) + int(extra_bytes)) % 64 == 0


def test_pickle_rebuilds_the_tensors_by_the_rules_of_pytorch(archive: Path) -> None:
    """Followed by a stand-in for PyTorch's reader, data.pkl asks for the right storages, shapes and strides."""
    zipped = zipfile.ZipFile(archive)
    names = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "IntStorage": "<i4", "LongStorage": "<i8"}
    storages = names | {"ByteStorage": "u1", "BoolStorage": "?"}

    def rebuild(storage: np.ndarray, offset: int, shape: Any, strides: Any, grad: bool, hooks: Any) -> np.ndarray:
        assert (offset, grad, hooks) == (0, False, OrderedDict())
        steps = [stride * storage.itemsize for stride in strides]
        return np.lib.stride_tricks.as_strided(storage, shape, steps)

    class Reader(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            known = {("torch._utils", "_rebuild_tensor_v2"): rebuild, ("collections", "OrderedDict"): OrderedDict}
            return known[module, name] if (module, name) in known else storages[name] if module == "torch" else None

        def persistent_load(self, pid: Any) -> np.ndarray:
            tag, dtype, key, device, count = pid
            assert (tag, device) == ("storage", "cpu")
            storage = np.frombuffer(zipped.read(f"archive/data/{key}"), dtype)
            assert storage.size == count
            return storage

    assert_same(Reader(zipped.open("archive/data.pkl")).load(), TENSORS)


def test_pickle_uses_only_opcodes_that_the_weights_only_reader_knows(archive: Path) -> None:
    """The opcodes are among those that PyTorch 2's torch/_weights_only_unpickler.py handles, in protocol 2."""
    with zipfile.ZipFile(archive) as opened:
        opcodes = list(pickletools.genops(opened.read("archive/data.pkl")))

    numbers = {"BININT", "BININT1", "BININT2", "LONG1", "NEWFALSE"}
    others = {"PROTO", "EMPTY_DICT", "MARK", "BINUNICODE", "GLOBAL", "BINPERSID", "TUPLE", "EMPTY_TUPLE", "REDUCE"}
    assert {opcode.name for opcode, _, _ in opcodes} <= numbers | others | {"SETITEMS", "STOP"}
    assert opcodes[0][1] == 2


def test_no_single_mutation_loads(archive: Path) -> None:
    """Of 300 files with one random byte changed, none loads and none raises anything else."""
    data, rng = archive.read_bytes(), np.random.default_rng(0)
    for position, flip in zip(rng.integers(0, len(data), 300), rng.integers(1, 256, 300), strict=True):
        mutated = bytearray(data)
        mutated[position] ^= int(flip)
        archive.write_bytes(mutated)
        assert_refused(archive)


def test_no_flipped_bit_of_the_seal_loads(archive: Path) -> None:
    """The 200 last bytes hold the zip's end record and the seal: every single bit of them counts."""
    data = archive.read_bytes()
    for bit in range(200 * 8):
        mutated = bytearray(data)
        mutated[-1 - bit // 8] ^= 1 << bit % 8
        archive.write_bytes(mutated)
        assert_refused(archive)


def test_no_part_of_a_file_loads(archive: Path) -> None:
    """Cut at every length near both ends and at 100 in between, at the front or at the back, nothing loads."""
    data = archive.read_bytes()
    for length in {*range(150), *range(0, len(data), len(data) // 100), *range(len(data) - 250, len(data))}:
        for part in (data[:length], data[len(data) - length :]):
            archive.write_bytes(part)
            assert_refused(archive)


@pytest.mark.parametrize("tail", [b"\0", b"\n", b"PK\5\6" + b"\0" * 18], ids=["zero", "newline", "second-end-record"])
def test_nothing_may_follow_or_precede(archive: Path, tail: bytes) -> None:
    """Bytes before or after the archive, which zip tools and PyTorch tolerate, make it another file."""
    data = archive.read_bytes()
    for changed in (data + tail, tail + data, data + data):
        archive.write_bytes(changed)
        assert_refused(archive)


def test_payloads_cannot_be_swapped(tmp_path: Path) -> None:
    """Two equally large payloads changed places: every part is sound, the whole is not."""
    path = tmp_path / "agent.pt"
    write_archive(path, {"a": np.full(64, 7, np.uint8), "b": np.full(64, 9, np.uint8)}, {}, kind="agent")
    path.write_bytes(path.read_bytes().translate(bytes.maketrans(b"\7\t", b"\t\7")))

    assert_refused(path, "SHA-256")


@pytest.mark.parametrize("seed", range(3))
def test_mutations_under_a_valid_seal_never_crash(archive: Path, seed: int) -> None:
    """Files forged with a matching digest either load or are refused: 400 draws, mostly in the structured parts."""
    data, rng = archive.read_bytes(), np.random.default_rng(seed)
    structured = np.flatnonzero(np.frombuffer(data, np.uint8) != ord("Z"))  # "Z" is padding
    for _ in range(400):
        mutated = bytearray(data)
        for position in rng.choice(structured, rng.integers(1, 4)):
            mutated[position] = rng.integers(256)
        archive.write_bytes(reseal(mutated))
        try:
            read_archive(archive, kind="agent")
        except ModelFileError as error:
            assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    "fields",
    [
        {"shape": [2, 4]},
        {"shape": [-2, -3]},
        {"shape": [2.0, 3]},
        {"shape": [True, 6]},
        {"shape": [2**63, 2**63]},
        {"shape": [0, 2**70]},
        {"shape": "23"},
        {"shape": None},
        {"shape": [1] * 70},
        {"dtype": "object"},
        {"dtype": "bool", "shape": [24]},
        {"dtype": ["float32"]},
        {"storage": "1", "dtype": "float64", "shape": [3]},
        {"storage": "../data.pkl"},
        {"storage": "99"},
        {"name": "double"},
        {"name": None},
        {"surplus": 1},
    ],
    ids=str,
)
def test_an_index_that_contradicts_the_payloads_is_refused(archive: Path, fields: dict[str, Any]) -> None:
    """A sealed index whose names, shapes, dtypes or storage keys cannot be right is not believed."""
    archive.write_bytes(rebuilt(archive, {"rl_drug_dosage/index.json": index_with(archive, **fields)}))

    assert_refused(archive, "not valid")


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{", b"\xff\xfe\xff", b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1e999}', b"[" * 10**5, b"9" * 5000],
    ids=lambda text: ascii(text[:12]),
)
@pytest.mark.parametrize("member", ["record", "index"])
def test_json_is_read_strictly(archive: Path, member: str, text: bytes) -> None:
    """A sealed record or index that is not a finite JSON object is refused."""
    archive.write_bytes(rebuilt(archive, {f"rl_drug_dosage/{member}.json": text}))

    assert_refused(archive, "not valid")


@pytest.mark.parametrize("member", ["rl_drug_dosage/record.json", "rl_drug_dosage/index.json", "data/0"])
def test_a_missing_member_is_refused(archive: Path, member: str) -> None:
    """A sealed file that lacks a part is refused."""
    archive.write_bytes(rebuilt(archive, {member: None}))

    assert_refused(archive, member)


def test_a_name_comes_only_once(archive: Path) -> None:
    """Of two members with one name, PyTorch and we might read different ones: a sealed file with such is refused."""
    with zipfile.ZipFile(archive, "a") as opened, pytest.warns(UserWarning, match="Duplicate name"):
        opened.writestr("archive/data/0", bytes(24))
    archive.write_bytes(reseal(archive.read_bytes()))

    assert_refused(archive, "share a name")


@pytest.mark.long
def test_no_more_memory_is_used_than_the_file_has(archive: Path) -> None:
    """A sealed zip bomb, a member that claims a gigabyte and a shape that claims more are refused cheaply."""
    index = "rl_drug_dosage/index.json"
    shape_bomb = rebuilt(archive, {index: index_with(archive, shape=[2**30])})
    list_bomb = rebuilt(archive, {index: index_with(archive, shape=[2**24, [0]])})  # Python multiplies lists
    deflated_bomb = rebuilt(archive, {"data/0": b"\0" * 2**28}, zipfile.ZIP_DEFLATED)
    # In a directory entry the stored size is at 20, the unpacked size at 24 and the name at 46.
    lying_bomb = bytearray(deflated_bomb)
    entry = lying_bomb.rindex(b"archive/data/0") - 46
    lying_bomb[entry + 24 : entry + 28] = (24).to_bytes(4, "little")
    size_bomb = bytearray(archive.read_bytes())
    entry = size_bomb.rindex(b"archive/data/0") - 46
    size_bomb[entry + 20 : entry + 28] = (2**30).to_bytes(4, "little") * 2

    tracemalloc.start()
    for bomb in (shape_bomb, list_bomb, deflated_bomb, reseal(lying_bomb), reseal(size_bomb)):
        archive.write_bytes(bomb)
        assert_refused(archive, "not valid")
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak_bytes < 4 * len(deflated_bomb) + 2**20


def test_a_huge_foreign_file_is_refused_unread(tmp_path: Path) -> None:
    """A gigabyte of zeros (sparse), with and without a zip's first bytes, costs no memory."""
    path = tmp_path / "huge.pt"
    tracemalloc.start()
    for head in (b"", b"PK\3\4"):
        with path.open("wb") as handle:
            handle.write(head)
            handle.truncate(2**30)
        assert_refused(path, "not a file that rl_drug_dosage saved")
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak_bytes < 2**20


@pytest.mark.parametrize("case", ["missing", "folder", "empty", "text", "zip", "pipe", "nul", "long", "through-a-file"])
def test_what_is_no_archive_at_all_is_refused(tmp_path: Path, case: str) -> None:
    """Whatever a user may name by mistake gives one line that names it."""
    path = tmp_path / {"nul": "a\0b", "long": "x" * 5000}.get(case, "thing.pt")
    match case:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "empty" | "text":
            path.write_text("" if case == "empty" else "weights")
        case "zip":
            with zipfile.ZipFile(path, "w") as foreign:
                foreign.writestr("thing/data.pkl", b"\x80\x02}.")
        case "through-a-file":
            path.write_bytes(b"")
            path = path / "agent.pt"

    assert_refused(path)


def test_a_file_of_another_kind_is_named(archive: Path) -> None:
    """A model given as a checkpoint says which of the two it is."""
    assert_refused(archive, "contains 'agent', not 'checkpoint'", kind="checkpoint")


def test_a_newer_format_asks_for_an_upgrade(archive: Path) -> None:
    """A sound file of the next version says which version came, which is known, and what to do."""
    newer, mark = FORMAT_VERSION + 1, b"archive version %d"
    archive.write_bytes(reseal(archive.read_bytes().replace(mark % FORMAT_VERSION, mark % newer)))

    assert_refused(archive, f"format version {newer}", f"reads versions up to {FORMAT_VERSION}", "upgrade")


@pytest.mark.parametrize(
    ("tensors", "record", "fragment"),
    [
        ({"w": np.zeros(2, np.float16)}, {}, "float16"),
        ({"w": np.zeros(2, np.uint32)}, {}, "uint32"),
        ({"w": np.array(["a"])}, {}, "'w'"),
        ({"w": np.array([None])}, {}, "object"),
        ({"w": [1.0]}, {}, "list"),
        ({1: np.zeros(2)}, {}, "names"),
        ({"\udcff": np.zeros(2)}, {}, "names"),
        ({}, {"x": float("nan")}, "JSON"),
        ({}, {"x": [{"y": float("inf")}]}, "JSON"),
        ({}, {"x": {1: 2}}, "text"),
        ({}, {"x": ({None: 2},)}, "text"),
        ({}, {"x": Path("a")}, "JSON"),
        ({}, {"x": np.float32(1)}, "JSON"),
    ],
)
def test_what_the_format_cannot_hold_is_refused(tmp_path: Path, tensors: Any, record: Any, fragment: str) -> None:
    """Nothing is converted silently: dtypes, names and record values outside the format are named and not written."""
    with pytest.raises(ConfigError, match=fragment):
        write_archive(tmp_path / "agent.pt", tensors, record, kind="agent")

    assert list(tmp_path.iterdir()) == []


def test_what_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More bytes than a zip can hold without its 64-bit layout are refused before anything is written."""
    monkeypatch.setattr(tensor_archive, "_MAX_PAYLOAD_BYTES", 2_000)
    with pytest.raises(ConfigError, match="store fewer"):
        write_archive(tmp_path / "agent.pt", {"w": np.zeros(2_000, np.uint8)}, {}, kind="agent")

    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_file(archive: Path, size_limit: Callable[[int], None]) -> None:
    """When the bytes do not fit, the old file stays, no temporary file stays, and the error is one line."""
    before = archive.read_bytes()
    size_limit(len(before) // 2)
    with pytest.raises(OutputError) as caught:
        write_archive(archive, TENSORS, {"new": True}, kind="agent")

    assert "\n" not in str(caught.value)
    assert repr(str(archive)) in str(caught.value)
    assert archive.read_bytes() == before
    assert list(archive.parent.iterdir()) == [archive]
