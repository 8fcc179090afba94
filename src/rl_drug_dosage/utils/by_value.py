"""Values with functions and mappings in their fields, usable as static arguments of compiled functions."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

__all__ = ["ByValue"]


class ByValue:
    """Makes a frozen dataclass (declared with ``eq=False``) hashable and equal to another with equal fields.

    Functions compare by identity. The hash is computed once and uses only the keys of mappings, because JAX needs it
    at every call of a compiled function with such an argument.
    """

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(self) is not type(other) or hash(self) != hash(other):
            return False
        return all(_same(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))  # type: ignore[arg-type]

    def __hash__(self) -> int:
        known: int | None = self.__dict__.get("_hash")
        if known is None:
            known = hash((type(self), *(_key(getattr(self, f.name)) for f in fields(self))))  # type: ignore[arg-type]
            object.__setattr__(self, "_hash", known)
        return known


def _same(a: Any, b: Any) -> bool:
    try:
        return a is b or bool(a == b)
    except ValueError:  # the comparison of arrays is an array
        return False


def _key(value: Any) -> Any:
    """A hashable key that is the same for equal values."""
    if isinstance(value, Mapping):
        return tuple(sorted(map(str, value)))
    try:
        hash(value)
    except TypeError:
        return type(value)
    return value
