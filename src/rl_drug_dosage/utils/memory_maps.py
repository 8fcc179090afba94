"""Memory maps of this process: every compiled program has some, and Linux allows a process only so many."""

from pathlib import Path

__all__ = ["maps_are_scarce"]

_MAPS, _LIMIT = Path("/proc/self/maps"), Path("/proc/sys/vm/max_map_count")
_SHARE = 0.5
"""Of the limit. Beyond all of it the compiler ends the process without a word; one program may need a tenth."""


def maps_are_scarce() -> bool:
    """Whether half of the memory maps are in use. False where the system does not tell."""
    try:
        with _MAPS.open("rb") as lines:
            used = sum(1 for _ in lines)
        return used > _SHARE * int(_LIMIT.read_text())
    except (OSError, ValueError):
        return False
