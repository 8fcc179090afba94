"""Dataclasses from TOML tables: the accepted keys are the fields, so that format and class cannot drift apart."""

import collections.abc
import dataclasses
import math
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field
from typing import Any, Literal, NoReturn, TypeAliasType, Union, get_args, get_origin

from rl_drug_dosage.errors import ConfigError, RlDrugDosageError, UnknownNameError

__all__ = ["TOP_LEVEL", "TableReader", "keys_of"]

TOP_LEVEL = "the top level"
"""Where the keys are that stand before the first table."""


@dataclass(frozen=True)
class TableReader:
    """Reads the tables of one file.

    Args:
        file: its name, for messages.
        function: from ``"file.py:function"`` to the function.
        kinds: name -> class, for unions of classes selected by a table's key ``kind``.
        rows: (class, field) -> the keys of one row, for fields that hold tuples of fixed length.
        homes: key -> the tables that have it, used in messages about misplaced keys.
    """

    file: str
    function: Callable[[str], Callable[..., Any]]
    kinds: Mapping[str, type] = field(default_factory=dict)
    rows: Mapping[tuple[type, str], tuple[str, ...]] = field(default_factory=dict)
    homes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def make[T](self, kind: type[T], table: Any, where: str, **defaults: Any) -> T:
        """A dataclass from a table.

        Args:
            kind: the class.
            table: key -> value, as TOML gives it.
            where: the table's name, for messages.
            defaults: of fields that the table may leave out.

        Raises:
            UnknownNameError: a key that the class does not have.
            ConfigError: a missing key, a value of the wrong type, or one that the class refuses.
        """
        if not isinstance(table, dict):
            self.refuse(f"{where} must be a table, not {_shown(table)}")
        hints = keys_of(kind)
        self.check_keys(table, hints, where)
        values = {**defaults, **{key: self.value(hints[key], v, where, key, kind) for key, v in table.items()}}
        # TOML has no null: a field that may be None is None if left out.
        values = {**{key: None for key, hint in hints.items() if key in _needed(kind) and _may_be_none(hint)}, **values}
        missing = [key for key in _needed(kind) if key not in values]
        if missing:
            self.refuse(f"{where} needs {', '.join(missing)}")
        try:
            return kind(**values)
        except RlDrugDosageError as error:
            raise ConfigError(f"{self.file}: {where}: {error}") from error

    def check_keys(self, table: Mapping[str, Any], known: Mapping[str, Any], where: str) -> None:
        """Refuse a key that does not belong here, with the nearest one that does."""
        for key in table:
            if key not in known:
                homes = [home for home in self.homes.get(key, ()) if home != where]
                remedy = f"{key} belongs in {' or '.join(homes)}" if homes else ""
                raise UnknownNameError(f"key in {where} of {self.file}:", key, known, remedy=remedy)

    def value(  # noqa: C901, PLR0911 - one case a kind of type
        self, hint: Any, value: Any, where: str, key: str, owner: type | None = None
    ) -> Any:
        """One value of a type, or refused."""
        while isinstance(hint, TypeAliasType):
            hint = hint.__value__
        origin, args = get_origin(hint), get_args(hint)
        place = _place(where, key, table=dataclasses.is_dataclass(hint) or origin is collections.abc.Mapping)
        if origin in {Union, types.UnionType}:
            return self._one_of(args, value, where, key, owner)
        if origin is Literal:
            if value not in args:
                self.refuse(f"{place} must be one of {', '.join(map(str, args))}, not {_shown(value)}")
            return value
        if origin is tuple:
            return self._tuple(args, value, where, key, owner)
        if origin is collections.abc.Mapping:
            if not isinstance(value, dict):
                self.refuse(f"{place} must be a table, not {_shown(value)}")
            return {name: self.value(args[1], v, place, name) for name, v in value.items()}
        if origin is collections.abc.Callable or hint is collections.abc.Callable:
            if not isinstance(value, str):
                self.refuse(f'{place} must be "file.py:function", not {_shown(value)}')
            return self.function(value)
        if dataclasses.is_dataclass(hint):
            return self.make(hint, value, place)  # type: ignore[arg-type]
        return self._plain(hint, value, place)

    def _one_of(self, hints: Sequence[Any], value: Any, where: str, key: str, owner: type | None) -> Any:
        options = [hint for hint in hints if hint is not type(None)]
        if all(dataclasses.is_dataclass(hint) for hint in options) and len(options) > 1:
            place = f"{where} {key}"
            if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
                self.refuse(f"{place} must be a table with kind ({', '.join(self.kinds)}), not {_shown(value)}")
            if value["kind"] not in self.kinds:
                raise UnknownNameError(f"kind in {place} of {self.file}:", value["kind"], self.kinds)
            rest = {name: v for name, v in value.items() if name != "kind"}
            return self.make(self.kinds[value["kind"]], rest, place)
        if len(options) > 1:
            # A number or a function: only a function is written as text.
            wants = [hint for hint in options if (hint is float) != isinstance(value, str)]
            return self.value(wants[0], value, where, key, owner)
        return self.value(options[0], value, where, key, owner)

    def _tuple(self, hints: Sequence[Any], value: Any, where: str, key: str, owner: type | None) -> tuple[Any, ...]:
        place = f"{where} {key}"
        if not isinstance(value, list):
            self.refuse(f"{place} must be a list, not {_shown(value)}")
        row = self.rows.get((owner, key)) if owner is not None else None
        if row is None:
            return tuple(self.value(hints[0], v, where, f"{key}[{i}]") for i, v in enumerate(value))
        return tuple(self._row(get_args(hints[0]), row, v, f"{place}[{i}]") for i, v in enumerate(value))

    def _row(self, hints: Sequence[Any], names: Sequence[str], value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, dict):
            self.refuse(f"{where} must be a table with {', '.join(names)}, not {_shown(value)}")
        self.check_keys(value, dict.fromkeys(names), where)
        found = []
        for name, hint in zip(names, hints, strict=True):
            if name not in value and not _may_be_none(hint):
                self.refuse(f"{where} needs {name}")
            found.append(self.value(hint, value[name], where, name) if name in value else None)
        return tuple(found)

    def _plain(self, hint: Any, value: Any, place: str) -> Any:
        if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
            if not math.isfinite(value):
                self.refuse(f"{place} must be a finite number, not {value}")
            return float(value)
        words = {float: "a number", int: "a whole number", str: "a text in quotes", bool: "true or false"}
        if hint in words and (type(value) is not hint):
            self.refuse(f"{place} must be {words[hint]}, not {_shown(value)}")
        return value

    def refuse(self, what: str) -> NoReturn:
        """Raise with the file's name.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{self.file}: {what}")


def keys_of(kind: type) -> dict[str, Any]:
    """The fields of a dataclass with their types."""
    return {f.name: f.type for f in dataclasses.fields(kind)}


def _place(where: str, key: str, *, table: bool) -> str:
    """A key as a file has it: ``[shield]``, ``[monitoring.error]``, ``[[goal.harms]] number 1``, ``[goal] title``."""
    if not table:
        return f"{where} {key}"
    name, _, index = key.removesuffix("]").partition("[")
    above = "" if where == TOP_LEVEL else f"{where.strip('[]')}."
    return f"[[{above}{name}]] number {int(index) + 1}" if index else f"[{above}{name}]"


def _needed(kind: type) -> list[str]:
    """The fields without a default."""
    own = dataclasses.fields(kind)
    return [f.name for f in own if f.default is MISSING and f.default_factory is MISSING]


def _may_be_none(hint: Any) -> bool:
    return type(None) in get_args(hint)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    return repr(value)
