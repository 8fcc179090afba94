"""Mutated model files with a valid seal: what somebody could write who knows the format.

A file is taken apart into its record, its index, its tensors and its zip members, changed in one to three places, put
together and sealed again. Everything follows from a seed.
"""

# ruff: noqa: E501 - tables of values
import copy
import hashlib
import io
import json
import random
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rl_drug_dosage.utils import tensor_archive

ROOT = "archive/"
RECORD, INDEX = "rl_drug_dosage/record.json", "rl_drug_dosage/index.json"
BAIT = "bait_module"
"""A module on the path, which leaves a trace when it is imported; ``bait.py`` and ``bait.toml`` lie beside."""

HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, -(2**63), 10**30, 0.5, -0.0, 1e300, -1e300, 5e-324, "", " ", "x", [], {}, [[]],
    [None], {"": None}, {"a": {"b": {"c": []}}}, [1, 2, 3], ["x"] * 200, "A" * 100_000, "\x1b[31mred\x1b[0m\x07",
    "\u202eevil", "\x00", "a\nb\r\tc", "\x9b2J", "\ud800".encode("utf-8", "surrogatepass").decode("latin1"),
    f"{BAIT}:Env-v0", f"{BAIT}:SCENARIO", BAIT, f"./{BAIT}.py", "bait.py", "bait.toml", "./bait.toml", "../bait.py",
    "/etc/passwd", "~/bait.py", "file:///etc/passwd", "os:system", "subprocess:Popen", "__import__('os')", "antigravity",
    "this:s", "Pendulum-v1", "DrugDose-v0", "Vancomycin-v2", "vancomycin", "DosingScenario-v0", "GymV26Environment-v0",
    "CartPole-v1", "gymnasium.envs.classic_control:PendulumEnv", "vancomycin-goti2018", "=cmd|' /C calc'!A0", "<script>",
    "%s%n", "{0.__class__}", "[bold]x[/nope]", "tanh-gaussian", "gaussian-raw", "residual", "grid", "goal", "cuda", "Ω",
    "<nan>", "<1e999>", "<huge>", "<deep>",
)  # fmt: skip


@dataclass
class Parts:
    """A model file, taken apart."""

    record: Any
    index: Any
    payloads: dict[str, bytes]
    rest: dict[str, bytes]


def parts_of(path: Path) -> Parts:
    """The contents of a file."""
    with zipfile.ZipFile(path) as archive:
        members = {name.removeprefix(ROOT): archive.read(name) for name in archive.namelist()}
    payloads = {n: members.pop(n) for n in list(members) if n.startswith("data/")}
    return Parts(json.loads(members.pop(RECORD)), json.loads(members.pop(INDEX)), payloads, members)


def sealed(data: bytes) -> bytes:
    """The bytes with a digest that fits."""
    return data[:-64] + hashlib.sha256(data[:-64]).hexdigest().encode()


LITERALS = {"<nan>": "NaN", "<1e999>": "1e999", "<huge>": "9" * 5000, "<deep>": "[" * 5000 + "]" * 5000}
"""What ``json.dumps`` does not write, and a file may hold."""


def _json(value: Any) -> bytes:
    text = json.dumps(value)
    for mark, literal in LITERALS.items():
        text = text.replace(f'"{mark}"', literal)
    return text.encode()


def built(parts: Parts) -> bytes:
    """The file, as the package writes it."""
    members = {**parts.rest, RECORD: _json(parts.record), INDEX: _json(parts.index), **parts.payloads}
    return tensor_archive._sealed_zip(members)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(value, dict):
        for key, item in value.items():
            found += _places(item, (*path, key))
    elif isinstance(value, list):
        for i, item in enumerate(value[:8]):
            found += _places(item, (*path, i))
    return found


def _value(rng: random.Random, old: Any) -> Any:
    kind = rng.random()
    if kind < 0.7:
        return copy.deepcopy(rng.choice(HOSTILE))
    if isinstance(old, bool):
        return not old
    if isinstance(old, int | float):
        return rng.choice([-old, old + 1, old * 1e9, str(old), [old], float(old), old / 3])
    if isinstance(old, str):
        return rng.choice([old.upper(), old + "\x1b[2J", old[:-1], [old], {old: old}, old * 1000, f"{BAIT}:{old}"])
    if isinstance(old, list):
        return rng.choice([old * 2, old[:-1], [old], {str(i): v for i, v in enumerate(old)}, old * 500])
    return {"nested": old} if kind < 0.9 else [old]


def change_json(rng: random.Random, tree: Any) -> Any:
    """The tree with one place replaced, removed, renamed or added."""
    path = rng.choice(_places(tree)[1:] or [()])
    if not path:
        return copy.deepcopy(rng.choice(HOSTILE))
    at = tree
    for key in path[:-1]:
        at = at[key]
    last, what = path[-1], rng.random()
    if what < 0.12:
        del at[last]
    elif what < 0.2 and isinstance(at, dict):
        at[rng.choice([str(last) + "x", "", "\x1b[2J", "A" * 5000, "source", "options"])] = at.pop(last)
    elif what < 0.3 and isinstance(at, dict):
        at[rng.choice(["source", "extra", "units", "simulator", "belief", "stress", "env", "id", "xml_file"])] = _value(
            rng, None
        )
    else:
        at[last] = _value(rng, at[last])
    return tree


def _env(rng: random.Random, parts: Parts) -> None:
    """What matters most: the environment and its options."""
    if not isinstance(parts.record, dict) or not isinstance(parts.record.get("env"), dict):
        return
    env = parts.record["env"]
    options = env.get("options") if isinstance(env.get("options"), dict) else {}
    match rng.randrange(7):
        case 0:
            env["id"] = rng.choice([v for v in HOSTILE if isinstance(v, str)])
        case 1 if options:
            name = rng.choice(list(options))
            options[name] = _value(rng, options[name])
        case 2:
            names = ["simulator", "belief", "history", "action", "mixture", "reward", "decisions", "k", "horizon", "g"]
            names += ["k_range", "noise_std", "render_mode", "xml_file", "env_id", "clock", "max_episode_steps", "id"]
            env.setdefault("options", {})
            if isinstance(env["options"], dict):
                env["options"][rng.choice(names)] = _value(rng, 1)
        case 3:
            env["frame_stack"] = rng.choice([0, 2, 65, -1, 10**9, 1.0, "1", True])
        case 4:
            env["source"] = {"file": rng.choice([f"{BAIT}.py", "../bait.py", "\x1b[2J", 3]), "sha256": "0" * 64}
        case 5:
            env["options"] = {"mixture": [{"simulator": rng.choice(HOSTILE)}, {"stress": rng.choice(HOSTILE)}]}
        case _:
            env["id"], env["options"] = rng.choice(["Pendulum-v1", f"{BAIT}:Pendulum-v1"]), {"g": _value(rng, 10.0)}


def _record(rng: random.Random, parts: Parts) -> None:
    if rng.random() < 0.02:
        parts.record = rng.choice([[], None, 3, "x", "<deep>", {"record_version": 10**40}, {}])
        return
    parts.record = change_json(rng, parts.record)


def _index(rng: random.Random, parts: Parts) -> None:
    index = parts.index
    if rng.random() < 0.3 or not isinstance(index, dict) or not isinstance(index.get("tensors"), list):
        parts.index = change_json(rng, index) if isinstance(index, dict | list) else {}
        return
    fields = [f for f in index["tensors"] if isinstance(f, dict)]
    if not fields:
        return
    entry = rng.choice(fields)
    match rng.randrange(6):
        case 0:
            huge = [[2**40], [2**62, 2**62], [-1], [-4, -4], [0, 2**62], [1] * 70, [10**4000], [1.5], ["8"], [True], 7]
            entry["shape"] = rng.choice(huge)
        case 1:
            entry["dtype"] = rng.choice(["int64", "bool", "float64", "object", "O", "V8", "float16", "", None, "uint8"])
        case 2:
            entry["storage"] = rng.choice(["0", "1", "../record.json", "", None, 3, "0/../1", "A" * 70_000, [], "\x00"])
        case 3:
            entry["name"] = rng.choice([rng.choice(fields).get("name"), "", "\x1b[2J", "A" * 100_000, 3, None, {}])
        case 4:
            index["tensors"] = index["tensors"] * rng.choice([0, 2, 50])
        case _:
            entry[rng.choice(["extra", "offset", "length"])] = rng.choice(HOSTILE)


def _tensors(rng: random.Random, parts: Parts) -> None:
    if not parts.payloads:
        return
    name = rng.choice(list(parts.payloads))
    data = parts.payloads[name]
    match rng.randrange(6):
        case 0 if data:
            values = np.frombuffer(data[: len(data) // 4 * 4], "<f4").copy()
            if values.size:
                values[rng.randrange(values.size)] = rng.choice([np.nan, np.inf, -np.inf, 3e38, -3e38, 0.0, 1e-45])
            parts.payloads[name] = values.tobytes()
        case 1:
            parts.payloads[name] = data[: rng.randrange(len(data) + 1)]
        case 2:
            parts.payloads[name] = data + bytes(rng.randrange(1, 64))
        case 3:
            del parts.payloads[name]
        case 4:
            parts.payloads[name] = rng.randbytes(len(data))
        case _:
            parts.payloads[f"data/{rng.choice(['999', '../x', '', 'a' * 300])}"] = rng.randbytes(16)


def _zip(rng: random.Random, data: bytes) -> bytes:
    """Damage of the zip itself, sealed again."""
    match rng.randrange(6):
        case 0:  # a few bytes anywhere but in the seal
            raw = bytearray(data)
            for _ in range(rng.randrange(1, 6)):
                raw[rng.randrange(len(raw) - 128)] = rng.randrange(256)
            return sealed(bytes(raw))
        case 1:  # a field of the central directory: sizes, offsets, methods, flags
            at = data.rfind(b"PK\1\2", 0, data.rfind(b"PK\5\6"))
            offset, size = rng.choice([(8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (32, 2), (42, 4)])
            kind = "<H" if size == 2 else "<I"
            value = rng.choice([0, 1, 8, 0xFFFF, 0x7FFF]) if size == 2 else rng.choice([0, 1, 0xFFFFFFFF, 0x7FFFFFFF])
            return sealed(data[: at + offset] + struct.pack(kind, value) + data[at + offset + size :])
        case 2:  # the end of the directory
            at = data.rfind(b"PK\5\6")
            offset = rng.choice([4, 6, 8, 10, 12, 16])
            return sealed(data[: at + offset] + rng.randbytes(2) + data[at + offset + 2 :])
        case 3:
            return rewritten(data, rng.choice([zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]))
        case 4:
            return rewritten(data, zipfile.ZIP_DEFLATED, bomb=True)
        case _:
            cut = rng.randrange(200, len(data) - 200)
            return sealed(data[:cut] + data[cut + rng.randrange(1, 100) :])


def rewritten(data: bytes, method: int, *, bomb: bool = False) -> bytes:
    """The members compressed, with a bomb of a gigabyte in place of the record."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w", method) as new:
        for info in old.infolist():
            inflated = bomb and info.filename.endswith("record.json")
            new.writestr(info.filename, _bomb() if inflated else old.read(info))
        new.comment = old.comment
    return sealed(buffer.getvalue())


def _bomb(cache: dict[str, bytes] = {}) -> bytes:  # noqa: B006 - made once
    if "zeros" not in cache:
        cache["zeros"] = b" " * 20_000_000
    return cache["zeros"]


CHANGES: tuple[tuple[float, Callable[[random.Random, Parts], None]], ...] = (
    (0.4, _record),
    (0.3, _env),
    (0.15, _index),
    (0.15, _tensors),
)


def mutated(rng: random.Random, originals: list[Parts]) -> bytes:
    """One of the files, changed in one to three places, with a valid seal."""
    parts = copy.deepcopy(rng.choice(originals))
    if rng.random() < 0.12:
        return _zip(rng, built(parts))
    weights, changes = zip(*CHANGES, strict=True)
    for change in rng.choices(changes, weights, k=rng.choice([1, 1, 1, 2, 3])):
        change(rng, parts)
    return built(parts)
