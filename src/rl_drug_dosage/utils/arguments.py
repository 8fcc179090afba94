"""Checks the arguments of the Python API by their annotations, before any computation.

Messages of the package name an option as on the command line, ``--patients``; a caller in Python reads ``patients``.
"""

import contextlib
import functools
import inspect
import numbers
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from rl_drug_dosage.errors import ConfigError, RlDrugDosageError

__all__ = ["checked", "on_command_line"]


def _is_whole(value: object) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _is_path(value: object) -> bool:
    return isinstance(value, str | os.PathLike) and value != ""


def _is_named(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(name, str) for name in value)


def _is_reference(value: object) -> bool:
    """Whether a value may be an object to work with: no number, no list, nothing else that is built into Python."""
    return _is_path(value) if isinstance(value, str) else type(value).__module__ != "builtins"


_Kind = tuple[Callable[[object], bool], str]

_KINDS: Mapping[str, _Kind] = {
    "int": (_is_whole, "a whole number"),
    "float": (_is_number, "a number"),
    "bool": (lambda value: isinstance(value, bool), "True or False"),
    "str": (lambda value: isinstance(value, str), "a text"),
    "str | Path": (_is_path, "a path"),
    "Mapping[str, float]": (
        lambda value: _is_named(value) and all(_is_number(v) or isinstance(v, str) for v in value.values()),  # type: ignore[attr-defined]
        "a mapping of names to numbers",
    ),
    "Mapping[str, Any]": (_is_named, "a mapping of names to values"),
    "Mapping[object, Any]": (
        lambda value: isinstance(value, Mapping),
        "a mapping of names or pairs of names to values",
    ),
    "Callable[Ellipsis, Any]": (callable, "a function"),
    "Callable[..., Any]": (callable, "a function"),
    "str | Mapping[str, object]": (
        lambda value: isinstance(value, str) or _is_named(value),
        "a JSON text or a mapping of names to values",
    ),
    "Mapping[str, Any] | Sequence[Mapping[str, Any]]": (
        lambda value: _is_named(value) or (isinstance(value, list | tuple) and all(map(_is_named, value))),
        "a mapping of names to values, or a list of such mappings",
    ),
    "str | Path | DrugModel | Sequence[str | Path | DrugModel]": (
        lambda value: _is_reference(value) or (isinstance(value, list | tuple) and all(map(_is_reference, value))),
        "a name, a file, a value of class DrugModel, or a list of them",
    ),
    "str | Path | Sequence[PatientHistory]": (
        lambda value: (
            _is_path(value)
            or (isinstance(value, list | tuple) and all(type(v).__name__ == "PatientHistory" for v in value))
        ),
        "a file, or a list of values of class PatientHistory",
    ),
    "Sequence[str]": (
        lambda value: isinstance(value, list | tuple) and all(isinstance(v, str) for v in value),
        "a list of texts",
    ),
    "Sequence[object]": (lambda value: isinstance(value, list | tuple), "a list"),
    "Sequence[str | Path]": (
        lambda value: isinstance(value, list | tuple) and all(map(_is_path, value)),
        "a list of names and files",
    ),
    "Sequence[float]": (
        lambda value: isinstance(value, list | tuple | range) and all(map(_is_number, value)),
        "a list of numbers",
    ),
    "Sequence[object] | Mapping[str, object]": (
        lambda value: _is_named(value) or isinstance(value, list | tuple | str | os.PathLike),
        "a list, or a dict of names and references",
    ),
    "Progress | bool": (lambda value: isinstance(value, bool) or callable(value), "True, False or a callback"),
    "Tell": (callable, "a function of a text"),
}
"""Source text of an annotation -> check and description. Other annotations are checked by the called functions."""
_REFERENCE = re.compile(r"str \| Path \| (\w.*)")
_MODULE = re.compile(r"\b(?:\w+\.)+")


def _text(annotation: object) -> str:
    """An annotation as it stands in the source, without the names of modules."""
    if get_origin(annotation) in (Union, UnionType):
        return " | ".join(map(_text, get_args(annotation)))
    if annotation is NoneType:
        return "None"
    return _MODULE.sub("", annotation.__name__ if isinstance(annotation, type) else str(annotation))


def _kind(annotation: object) -> tuple[_Kind | None, bool]:
    """Check and description of an annotation, and whether None is allowed."""
    text = _text(annotation)
    optional = text.endswith(" | None")
    text = text.removesuffix(" | None")
    if text not in _KINDS and (match := _REFERENCE.match(text)):
        classes = " or ".join(re.sub(r"\[.*\]", "", match[1]).split(" | "))
        return (_is_reference, f"a name, a file or a value of class {classes}"), optional
    return _KINDS.get(text), optional


_spoken: ContextVar[bool] = ContextVar("_spoken", default=False)
"""Whether the command line calls, which shows its own options."""


@contextlib.contextmanager
def on_command_line() -> Iterator[None]:
    """Within the block, messages speak of options as the command line does."""
    token = _spoken.set(True)
    try:
        yield
    finally:
        _spoken.reset(token)


def checked[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Decorator that raises an error for arguments whose type differs from the annotation.

    Raises:
        ConfigError: when called with such an argument.
    """
    parameters = inspect.signature(function).parameters
    kinds = {name: _kind(p.annotation) for name, p in parameters.items()}

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        named: dict[str, Any] = dict(zip(parameters, args, strict=False)) | kwargs
        for name, value in named.items():
            kind, optional = kinds.get(name, (None, False))
            if kind is not None and not (optional and value is None) and not kind[0](value):
                raise ConfigError(f"{name} must be {kind[1]}, not {value!r}")
        try:
            return function(*args, **kwargs)
        except RlDrugDosageError as error:
            if not _spoken.get():
                error.args = (_in_python(str(error), inspect.signature(call).parameters),)
            raise

    return call


_OPTION = re.compile(
    r"(`rl-drug-dosage [^`]*`)|(?P<by>with )?(?<![\w-])--(?P<name>[a-z][a-z0-9-]+)(?! \w+=)\b"
    r"(?: (?P<value>[A-Z]+\b|'[^']*'|\d[\d,.]*\b|[\w./-]+\.(?:py|toml|pt)\b|\w+:[\w.-]+))?"
)
"""A whole command, which stays, or an option with the value that follows it."""
_ALIASES = {"policy": "policies", "drug": "drugs", "covariate": "covariates", "format": "file_format", "env_id": "env"}
_UNITS = ("_mg", "_h")


def _in_python(text: str, parameters: Mapping[str, inspect.Parameter]) -> str:
    """A message with options as arguments of a function; an option that the function does not have stays."""

    def argument(match: re.Match[str]) -> str:
        option = (match["name"] or "").replace("-", "_")
        spelt = (option, _ALIASES.get(option, ""), *(option + unit for unit in _UNITS))
        name = next((n for n in spelt if n in parameters), None)
        if name is None:
            return match[0]
        by, value = match["by"] or "", match["value"]
        if value is not None:
            is_text = not (value[0].isdigit() or value.isupper() or value[0] == "'")
            return f"{by}{name}={repr(value) if is_text else value}"
        return f"{by}{name}{'=True' if by and _kind(parameters[name].annotation)[0] is _KINDS['bool'] else ''}"

    return _OPTION.sub(argument, text)
