"""What the functions of a drug or scenario file give back, told from real numbers of a known shape.

Each function is called once, when the value that holds it is made: on one typical patient, or on abstract values. A
simulation is neither slower nor compiled in another way.
"""

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

__all__ = ["Fault", "answer_of", "call_fault", "mapping_fault", "not_finite", "number_fault", "unlike_numbers"]


class Fault(NamedTuple):
    """What came, what is allowed, and what to do."""

    came: str
    allowed: str
    remedy: str


def call_fault(what: str, function: object, arguments: Collection[str]) -> Fault | None:
    """What is wrong with a function that cannot be called with these arguments.

    Args:
        what: the function, as the message calls it.
        function: what was given for it.
        arguments: in words.
    """
    try:
        inspect.signature(function).bind(*arguments)  # type: ignore[arg-type]
    except TypeError as error:
        came = f"{what} cannot be called with {', '.join(arguments)}: {error}"
        return Fault(came, "a function of these, in this order", "correct its arguments")
    except ValueError:  # a function of another language, without a signature
        return None
    return None


def answer_of(
    what: str, function: Callable[..., Any], arguments: Mapping[str, Any], known: Collection[str]
) -> tuple[Any, Fault | None]:
    """What a function answers; that it cannot be called, or looks up a name in vain, is a fault.

    Args:
        what: the function, as the message calls it.
        function: of the file.
        arguments: by what they are, in order.
        known: the names that it can look up.
    """
    if fault := call_fault(what, function, arguments):
        return None, fault
    try:
        return function(*arguments.values()), None
    except KeyError as error:
        allowed = ", ".join(known) or "nothing"
        return None, Fault(f"{what} reads {error}, which nothing is called", allowed, "correct the name")


def unlike_numbers(value: object, shape: tuple[int, ...] = ()) -> str:
    """What came in place of real numbers of this shape, in words; empty if they came. Abstract values will do."""
    if value is None:
        return "nothing"
    if isinstance(value, str | bytes):
        return f"the text {value!r}"
    try:
        array = value if isinstance(value, np.ndarray) else jnp.asarray(value)
    except (TypeError, ValueError, OverflowError):
        return f"a {type(value).__name__}"
    if jnp.issubdtype(array.dtype, np.complexfloating):
        return "complex numbers"
    if not (jnp.issubdtype(array.dtype, np.number) or array.dtype == bool):
        return f"an array of {array.dtype}"
    return "" if array.shape == shape else f"an array of shape {array.shape}" if array.shape else "one number"


def number_fault(what: str, value: object, shape: tuple[int, ...] = ()) -> Fault | None:
    """What is wrong with an answer that has to be one number, or an array of a shape.

    Args:
        what: the function, as the message calls it.
        value: its answer.
        shape: of the array.
    """
    came = unlike_numbers(value, shape)
    allowed = f"real numbers of shape {shape}" if shape else "one real number"
    return Fault(f"{what} gives {came}", allowed, "correct the function") if came else None


def mapping_fault(
    what: str, value: object, names: Collection[str] | None = None, *, complete: bool = True
) -> Fault | None:
    """What is wrong with an answer that has to map names to numbers.

    Args:
        what: the function, as the message calls it.
        value: its answer.
        names: the names that it may have; None: any.
        complete: whether all of them are needed.
    """
    if not isinstance(value, Mapping):
        came = unlike_numbers(value, (-1,)) or f"a {type(value).__name__}"
        return Fault(f"{what} gives {came}", "a mapping from names to numbers", "return one, {name: number}")
    if names is not None:
        for name in value:
            if name not in names:
                return Fault(f"{what} gives {name!r}", ", ".join(names), "correct the name, or leave it out")
        missing = [name for name in names if name not in value]
        if complete and missing:
            return Fault(f"{what} gives no {', '.join(map(repr, missing))}", f"all of {', '.join(names)}", "add it")
    faults = (number_fault(f"{what}, {name!r},", one) for name, one in value.items())
    return next((fault for fault in faults if fault is not None), None)


def not_finite(value: object) -> bool:
    """Whether an answer, which has passed the checks above, holds NaN or infinity."""
    return not np.isfinite(np.asarray(value)).all()
