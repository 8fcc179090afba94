"""Checks the arguments of the Python API by their annotations, before any computation."""

import functools
import inspect
import numbers
import os
from collections.abc import Callable, Mapping
from typing import Any

from rl_drug_dosage.errors import ConfigError

__all__ = ["checked"]


def _is_whole(value: object) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


_KINDS: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "int": (_is_whole, "a whole number"),
    "float": (_is_number, "a number"),
    "bool": (lambda value: isinstance(value, bool), "True or False"),
    "str": (lambda value: isinstance(value, str), "a text"),
    "str | Path": (lambda value: isinstance(value, str | os.PathLike), "a path"),
    "Mapping[str, float]": (lambda value: isinstance(value, Mapping), "a mapping of names to numbers"),
    "Sequence[str]": (
        lambda value: isinstance(value, list | tuple) and all(isinstance(v, str) for v in value),
        "a list of texts",
    ),
    "Sequence[object] | Mapping[str, object]": (
        lambda value: isinstance(value, list | tuple | Mapping | str | os.PathLike),
        "a list, or a dict of names and references",
    ),
    "Progress | bool": (lambda value: isinstance(value, bool) or callable(value), "True, False or a callback"),
}
"""Source text of an annotation -> check and description. Other annotations are checked by the called functions."""


def checked[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Decorator that raises an error for arguments whose type differs from the annotation.

    Raises:
        ConfigError: when called with such an argument.
    """
    parameters = inspect.signature(function).parameters
    annotated = {name: str(p.annotation) for name, p in parameters.items()}

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        named: dict[str, Any] = dict(zip(parameters, args, strict=False)) | kwargs
        for name, value in named.items():
            kind = annotated.get(name, "")
            if kind.endswith(" | None") and value is None:
                continue
            is_one, words = _KINDS.get(kind.removesuffix(" | None"), (None, ""))
            if is_one is not None and not is_one(value):
                raise ConfigError(f"{name} must be {words}, not {value!r}")
        return function(*args, **kwargs)

    return call
