"""Programs at hand in this process, and room for more: each has memory maps, of which Linux allows only so many."""

import gc
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax

__all__ = ["Held", "make_room", "maps_are_scarce"]

_MAPS, _LIMIT = Path("/proc/self/maps"), Path("/proc/sys/vm/max_map_count")
_SHARE = 0.5
"""Of the limit. Beyond all of it the compiler ends the process without a word; one program may need a tenth."""
_EVERY: "weakref.WeakSet[Held[Any]]" = weakref.WeakSet()


class Held[P]:
    """Compiled programs by what they are about, those that were made last.

    Args:
        most: how many; None: any number.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._programs: OrderedDict[Any, P] = OrderedDict()
        self._turns: dict[Any, threading.Lock] = {}
        _EVERY.add(self)

    def __len__(self) -> int:
        return len(self._programs)

    def __iter__(self) -> Iterator[Any]:
        """What the programs are about."""
        return iter(self._programs)

    def get(self, key: Any, make: Callable[[], P]) -> P:
        """A program.

        Args:
            key: what it is about.
            make: makes it, where it is not at hand. Threads that need the same program wait for the one that makes it;
                others make theirs meanwhile.
        """
        found = self._programs.get(key)
        if found is not None:
            return found
        with self._turns.setdefault(key, threading.Lock()):
            found = self._programs.get(key)
            if found is None:
                found = self._programs[key] = make()
                while self._most is not None and len(self._programs) > self._most:
                    self._programs.popitem(last=False)
        return found

    def clear(self) -> None:
        """Let all go; one that is running ends first."""
        self._programs.clear()


def make_room(most: int | None = None) -> None:
    """Where memory maps are scarce, let every program go: one that is wanted again is read from the cache.

    Args:
        most: maps that may be in use; None: half of what Linux allows.
    """
    if not maps_are_scarce(most):
        return
    for held in list(_EVERY):
        held.clear()
    jax.clear_caches()
    gc.collect()


def maps_are_scarce(most: int | None = None) -> bool:
    """Whether more memory maps are in use, see `make_room`. False where the system does not tell."""
    try:
        with _MAPS.open("rb") as lines:
            used = sum(1 for _ in lines)
        return used > (_SHARE * int(_LIMIT.read_text()) if most is None else most)
    except (OSError, ValueError):
        return False
