"""What the record of a model file may contain: every field is checked by type and size before anything uses it.

A model file is data that anybody may have written; the seal is no signature. Names are looked up, never followed, and
are printed, so that they may not contain control characters. A field that is not listed may be any plain value.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from rl_drug_dosage.errors import ModelFileError
from rl_drug_dosage.utils.printable import excerpt

__all__ = ["check_record"]

_LONGEST_NAME, _LONGEST_TEXT = 200, 20_000
_MOST_ITEMS, _DEEPEST = 10_000, 16
_MOST_FEATURES = 100_000
_LARGEST = 2**53
"""The largest whole number that JSON's readers agree on."""

type _Check = Callable[[Any], str]
"""What a value has to be, if it is not; empty if it is."""


def _of(fits: Callable[[Any], bool], allowed: str) -> _Check:
    return lambda value: "" if fits(value) else allowed


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME and value.isprintable()


def _is_number(value: Any) -> bool:
    return type(value) in {int, float} and abs(value) <= 1e300


def _is_whole(low: int, high: int = _LARGEST) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value <= high


def _is_list_of(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and len(value) <= _MOST_ITEMS and all(map(fits, value))


def _is_feature(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_name, value))


def _are_features(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= _MOST_FEATURES and all(map(_is_feature, value))


def _is_map_of(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, dict) and len(value) <= _MOST_ITEMS and all(_is_name(k) and fits(v) for k, v in value.items())
    )


def _is_scalar(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST_TEXT
    return value is None or isinstance(value, bool) or _is_number(value)


def _is_plain(value: Any, deep: int = 0) -> bool:
    """A value of few numbers, texts and lists, as an option of an environment is."""
    if deep > _DEEPEST:
        return False
    deeper = lambda item: _is_plain(item, deep + 1)  # noqa: E731 - the same, one level down
    return _is_scalar(value) or _is_list_of(deeper)(value) or _is_map_of(deeper)(value)


def _is_source(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"file", "sha256"}
        and _is_name(value["file"])
        and not set("/\\") & set(value["file"])
        and _is_digest(value["sha256"])
    )


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 64 and not set(value) - set("0123456789abcdef")


_NAME = _of(_is_name, f"a name of up to {_LONGEST_NAME} characters that can be printed")
_EDGES = _of(_is_list_of(lambda v: v is None or _is_number(v)), "a list of numbers")
_SCALARS = _of(_is_map_of(_is_scalar), "an object of numbers and texts")
_NAMES = _of(_is_map_of(_is_name), "an object of names")
_PLAIN = _of(_is_map_of(_is_plain), "an object of plain values")

_ENVIRONMENT: Mapping[str, tuple[bool, _Check]] = {
    "id": (True, _NAME),
    "options": (True, _PLAIN),
    "frame_stack": (True, _of(_is_whole(1, 64), "a whole number from 1 to 64")),
    "horizon": (False, _of(_is_whole(1), "a whole number of at least 1")),
    "units": (False, _NAMES),
    "window": (False, _of(lambda v: _EDGES(v) == "" and len(v) == 2, "two numbers")),
    "window_of": (False, _NAMES),
    "drugs": (False, _of(_is_map_of(_is_digest), "an object of SHA-256s")),
    "files": (False, _of(_is_map_of(_is_digest), "an object of SHA-256s")),
    "observations": (False, _of(_are_features, "a list of pairs, the name and the unit of each observation")),
    "source": (False, _of(_is_source, "the name and SHA-256 of a file")),
}
"""Of each field: whether there has to be one, and what it has to be."""

_SECTIONS: Mapping[str, Mapping[str, tuple[bool, _Check]]] = {
    "env": _ENVIRONMENT,
    "action": {"transform": (True, _NAME), "low": (True, _EDGES), "high": (True, _EDGES)},
    "normalizer": {
        "observations": (True, _of(lambda v: isinstance(v, bool), "true or false")),
        "clip": (True, _of(lambda v: _is_number(v) and v > 0, "a number above 0")),
        "epsilon": (True, _of(lambda v: _is_number(v) and v > 0, "a number above 0")),
    },
}
_WHOLE: Mapping[str, tuple[bool, _Check]] = {
    "training": (True, _SCALARS),
    "training_sha256": (False, _of(_is_digest, "a SHA-256")),
    "progress": (False, _PLAIN),
    "versions": (False, _NAMES),
    "intended_use": (False, _of(lambda v: isinstance(v, str) and len(v) <= _LONGEST_TEXT, "a text")),
}


def check_record(record: Any) -> None:
    """Refuse a record that this program does not write.

    Raises:
        ModelFileError: a field is missing, of another type, too large, or a name that cannot be printed.
    """
    _check("", record, _WHOLE)
    for section, fields in _SECTIONS.items():
        _check(f"{section} ", record.get(section), fields)


def _check(where: str, part: Any, fields: Mapping[str, tuple[bool, _Check]]) -> None:
    if not isinstance(part, dict):
        _refuse(where.strip() or "whole", part, "an object")
    for name, (needed, check) in fields.items():
        if name not in part and not needed:
            continue
        if allowed := check(part.get(name)):
            _refuse(where + name, part.get(name), allowed)
    known = {*fields, *_SECTIONS} if where == "" else set(fields)
    for name, value in part.items():
        if name not in known and not (_is_name(name) and _is_plain(value)):
            _refuse(f"{where}{excerpt(name, 40)!r}", value, "a plain value under a name that can be printed")


def _refuse(field: str, value: Any, allowed: str) -> NoReturn:
    try:
        shown = json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        shown = type(value).__name__
    raise ModelFileError(f"the record's {field} is {excerpt(shown, 60)}, not {allowed}: train the policy again")
