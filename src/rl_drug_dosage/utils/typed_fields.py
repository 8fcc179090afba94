"""Dataclasses whose fields are held to their annotations when a value is made.

People write these values in Python files, where nothing else tells a text from a number before a simulation does.
"""

import collections.abc
import functools
import types
from collections.abc import Callable, Mapping
from dataclasses import fields
from numbers import Integral, Real
from typing import Any, Literal, TypeAliasType, Union, get_args, get_origin

import numpy as np

from rl_drug_dosage.errors import RlDrugDosageError, UnknownNameError, with_article

__all__ = ["ALSO", "typed_fields"]

ALSO = "also"
"""Key of a field's metadata: a class whose values the field takes too, besides those of its annotation."""

_LONGEST = 60
_SHOWN = (str, int, float, complex, tuple, list, dict, np.generic, type(None))
_MANY = {"a number": "numbers", "a whole number": "whole numbers", "a text": "texts", "a function": "functions"}
_NAMES = ("name", "output", "parameter", "title")
"""Fields that tell a value from its like, in messages."""


class _Refused(Exception):  # noqa: N818 - it never leaves this module
    def __init__(self, value: object, hint: object, at: str = "") -> None:
        super().__init__()
        self.value, self.hint, self.at = value, hint, at


def typed_fields[T](error: type[RlDrugDosageError]) -> Callable[[type[T]], type[T]]:
    """A decorator above ``@dataclass``: its fields are checked before its own ``__post_init__`` runs.

    Annotations may be made of str, bool, int, float, classes, functions, None, literals, tuples and mappings. A scalar
    of NumPy or JAX is a number; True and False are none. A list or a range, where a tuple is wanted, is made a tuple.

    Args:
        error: class of the error about a field of the wrong type.

    Raises:
        UnknownNameError: a keyword that is no field, with the nearest one.
    """

    def decorate(kind: type[T]) -> type[T]:
        create: Any = kind.__init__
        own: Any = getattr(kind, "__post_init__", None)
        hints = {f.name: (f.type, f.metadata.get(ALSO)) for f in fields(kind)}  # type: ignore[arg-type]

        @functools.wraps(create)
        def init(self: Any, *args: Any, **keywords: Any) -> None:
            for name in keywords:
                if name not in hints and type(self) is kind:
                    raise UnknownNameError(f"field of {kind.__name__}", name, hints)
            create(self, *args, **keywords)
            if own is None:
                _check(self, kind, hints, error)

        def post(self: Any) -> None:
            _check(self, kind, hints, error)
            own(self)

        kind.__init__ = init  # type: ignore[method-assign]
        if own is not None:
            kind.__post_init__ = functools.wraps(own)(post)  # type: ignore[attr-defined]
        return kind

    return decorate


def _check(made: Any, kind: type, hints: Mapping[str, tuple[Any, Any]], error: type[RlDrugDosageError]) -> None:
    for name, (hint, also) in hints.items():
        value = getattr(made, name)
        if also is not None and isinstance(value, also):
            continue
        try:
            typed = _typed(value, hint)
        except _Refused as refused:
            called = next((made.__dict__[key] for key in _NAMES if isinstance(made.__dict__.get(key), str)), "")
            of = f"{kind.__name__} {called!r}" if called else kind.__name__
            more = f", or a {also.__name__}" if also is not None and not refused.at else ""
            came = f"{name}{refused.at} is {_shown(refused.value)}"
            raise error(f"{of}: {came}; allowed: {_words(refused.hint)}{more}") from None
        if typed is not value:
            object.__setattr__(made, name, typed)


def _typed(value: Any, hint: Any) -> Any:
    """The value, with tuples in place of lists.

    Raises:
        _Refused: of another type.
    """
    if type(value) is hint or hint is Any or isinstance(hint, str):
        return value
    hint = _plain(hint)
    origin, args = get_origin(hint), get_args(hint)
    if origin in {Union, types.UnionType}:
        return _one_of(value, hint, args)
    if origin is tuple or hint is tuple:
        return _tuple(value, hint, args)
    if origin is Literal:
        fits = any(type(value) is type(one) and value == one for one in args)
    elif origin is collections.abc.Callable or hint is collections.abc.Callable:
        fits = callable(value)
    elif origin is collections.abc.Mapping:
        return _mapping(value, hint, args)
    elif hint is float or hint is int:
        fits = _is_number(value, whole=hint is int)
    elif hint is bool:
        fits = isinstance(value, bool | np.bool_)
    else:
        kind = origin or hint
        fits = not isinstance(kind, type) or isinstance(value, kind)
    if not fits:
        raise _Refused(value, hint)
    return value


def _plain(hint: Any) -> Any:
    while isinstance(hint, TypeAliasType):
        hint = hint.__value__
    return type(None) if hint is None else hint


def _one_of(value: Any, hint: Any, options: tuple[Any, ...]) -> Any:
    deepest = _Refused(value, hint)
    for option in options:
        try:
            return _typed(value, option)
        except _Refused as refused:
            if refused.at:
                deepest = refused
    raise deepest


def _tuple(value: Any, hint: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    if not isinstance(value, tuple | list | range):
        raise _Refused(value, hint)
    if not args:
        return tuple(value)
    if args[-1] is not Ellipsis and len(args) != len(value):
        raise _Refused(value, hint)
    each = args if args[-1] is not Ellipsis else (args[0],) * len(value)
    found = [_within(f"[{i}]", v, one) for i, (v, one) in enumerate(zip(value, each, strict=True))]
    same = isinstance(value, tuple) and all(a is b for a, b in zip(value, found, strict=True))
    return value if same else tuple(found)  # type: ignore[return-value]


def _mapping(value: Any, hint: Any, args: tuple[Any, ...]) -> Any:
    if not isinstance(value, Mapping):
        raise _Refused(value, hint)
    found = {}
    for key, v in value.items():
        _within(f", the name {key!r},", key, args[0])
        found[key] = _within(f"[{key!r}]", v, args[1])
    return value if all(found[key] is v for key, v in value.items()) else found


def _within(at: str, value: Any, hint: Any) -> Any:
    try:
        return _typed(value, hint)
    except _Refused as refused:
        raise _Refused(refused.value, refused.hint, f"{at}{refused.at}") from None


def _is_number(value: Any, *, whole: bool) -> bool:
    if isinstance(value, bool | np.bool_):
        return False
    if isinstance(value, Integral if whole else Real):
        return True
    if getattr(value, "shape", None) != () or not hasattr(value, "dtype"):
        return False
    # An array without axes, of NumPy or JAX, also while JAX traces it.
    return np.issubdtype(value.dtype, np.integer) or (not whole and "float" in str(value.dtype))


def _words(hint: Any, *, many: bool = False) -> str:  # noqa: PLR0911 - one case a kind of type
    """A type in words."""
    hint = _plain(hint)
    origin, args = get_origin(hint), get_args(hint)
    if origin in {Union, types.UnionType}:
        options = [_words(one) for one in args]
        return f"{', '.join(options[:-1])} or {options[-1]}"
    if origin is tuple:
        if args[-1] is Ellipsis:
            return f"a tuple of {_words(args[0], many=True)}" if args[0] is not Any else "a tuple"
        return f"a tuple of {len(args)}: {', '.join(map(_words, args))}"
    if origin is collections.abc.Mapping:
        return f"a mapping from names to {_words(args[1], many=True)}"
    if origin is Literal:
        return ", ".join(map(str, args))
    plain = {str: "a text", bool: "True or False", int: "a whole number", float: "a number", type(None): "None"}
    if origin is collections.abc.Callable or hint is collections.abc.Callable:
        words = "a function"
    elif hint in plain:
        words = plain[hint]
    else:
        return f"values of {hint.__name__}" if many else with_article(hint.__name__)
    return _MANY.get(words, words) if many else words


def _shown(value: object) -> str:
    if isinstance(value, _SHOWN) and len(repr(value)) <= _LONGEST:
        return repr(value)
    if callable(value) and not isinstance(value, type):
        return f"the function {getattr(value, '__name__', type(value).__name__)}"
    return with_article(type(value).__name__)
