"""Reads the defaults of a function, for example for command-line options."""

import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["defaults_of"]


def defaults_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Parameter -> default, for parameters that have one."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}
