"""An immutable, hashable mapping, for fields of frozen dataclasses."""

from collections.abc import Iterator, Mapping

__all__ = ["FrozenMapping"]


class FrozenMapping[K, V](Mapping[K, V]):
    """An immutable mapping, equal to any mapping with equal items.

    Args:
        items: a mapping, which is copied.
    """

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[K, V]) -> None:
        self._items = dict(items)

    def __getitem__(self, key: K) -> V:
        return self._items[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return repr(self._items)
