"""A room's public names without importing its modules before they are asked for."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["lazily"]


def lazily(room: str, where: Mapping[str, str]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a room.

    Args:
        room: the package.
        where: public name -> the room's module that defines it.
    """

    def find(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{room}.{where[name]}"), name)

    return find
