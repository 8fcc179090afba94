"""Reads the JSON of requests: known keys, of the kinds that they have to be."""

import math
from collections.abc import Mapping
from typing import Any, NoReturn

from rl_drug_dosage.bedside.patient_file import parse_json
from rl_drug_dosage.errors import ConfigError

__all__ = ["Body", "is_number"]


def is_number(value: object) -> bool:
    """Whether a value of JSON is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


class Body:
    """The object of a request, key by key.

    Args:
        content: the object.
        known: its keys.
        at: the field that it stands in, for messages.

    Raises:
        ConfigError: no object, or an unknown key.
    """

    def __init__(self, content: object, known: tuple[str, ...], at: str = "") -> None:
        self._at = f"{at}." if at else ""
        if not isinstance(content, Mapping):
            raise ConfigError(f"{at or 'the request'}: is no object; send JSON with {', '.join(known)}")
        for key in content:
            if key not in known:
                raise ConfigError(f"{self._at}{str(key)[:60]}: unknown key; allowed: {', '.join(known)}; leave it out")
        self._content = content

    @classmethod
    def parsed(cls, raw: bytes, known: tuple[str, ...]) -> "Body":
        """The object of a JSON text.

        Raises:
            ConfigError: no UTF-8, no JSON.
        """
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise ConfigError("the request: is no UTF-8 text; send JSON") from None
        return cls(parse_json(text, "the request"), known)

    def get(self, key: str) -> Any:
        """A value as it was sent; None where there is none."""
        return self._content.get(key)

    def refuse(self, key: str, allowed: str) -> NoReturn:
        """Refuse the value of a key.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{self._at}{key}: {repr(self.get(key))[:80]}; allowed: {allowed}; correct it")

    def maybe_text(self, key: str) -> str | None:
        """A text, or None where there is none.

        Raises:
            ConfigError: see `text`.
        """
        return None if self.get(key) is None else self.text(key)

    def text(self, key: str, *, most: int = 200) -> str:
        """A text.

        Raises:
            ConfigError: none, or a longer one.
        """
        value = self.get(key)
        if not isinstance(value, str) or len(value) > most:
            self.refuse(key, f"a text of at most {most} characters")
        return value

    def one_of(self, key: str, known: Mapping[str, Any] | tuple[str, ...], default: str | None = None) -> str:
        """One of some words.

        Raises:
            ConfigError: another one.
        """
        value = self.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or value not in known:
            self.refuse(key, ", ".join(known) or "none")
        return value

    def some_of(self, key: str, known: Mapping[str, Any] | tuple[str, ...]) -> list[str]:
        """A list of words, each once; none where the key is missing.

        Raises:
            ConfigError: another word.
        """
        values = self.get(key)
        if values is None:
            return []
        if not isinstance(values, list) or not all(isinstance(v, str) and v in known for v in values):
            self.refuse(key, f"a list of {', '.join(known) or 'none'}")
        return list(dict.fromkeys(values))

    def whole(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """A whole number.

        Raises:
            ConfigError: anything else.
        """
        value = self.get(key)
        if value is None and default is not None:
            return default
        if not is_number(value) or value != int(value) or not low <= value <= high:
            self.refuse(key, f"a whole number from {low} to {high}")
        return int(value)

    def number(self, key: str, low: float, high: float) -> float | None:
        """A number; None where there is none.

        Raises:
            ConfigError: anything else.
        """
        value = self.get(key)
        if value is None:
            return None
        if not is_number(value) or not low <= value <= high:
            self.refuse(key, f"a number from {low:g} to {high:g}")
        return float(value)

    def numbers(self, key: str, most: int) -> tuple[float, ...]:
        """A list of numbers; empty where there is none.

        Raises:
            ConfigError: anything else.
        """
        values = self.get(key)
        if values is None:
            return ()
        if not isinstance(values, list) or len(values) > most or not all(map(is_number, values)):
            self.refuse(key, f"a list of at most {most} numbers")
        return tuple(float(v) for v in values)

    def flag(self, key: str) -> bool:
        """True or false; false where the key is missing.

        Raises:
            ConfigError: anything else.
        """
        value = self.get(key)
        if value is not None and not isinstance(value, bool):
            self.refuse(key, "true or false")
        return bool(value)
