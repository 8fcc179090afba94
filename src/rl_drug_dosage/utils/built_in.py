"""Whether a built-in drug, scenario or policy is being loaded: what the tests hold it to is then not asked again."""

import importlib
from contextvars import ContextVar
from types import ModuleType

__all__ = ["import_built_in", "is_built_in_loading"]

_LOADING: ContextVar[bool] = ContextVar("built_in_loading", default=False)


def import_built_in(name: str) -> ModuleType:
    """Import the module of a built-in object."""
    before = _LOADING.set(True)
    try:
        return importlib.import_module(name)
    finally:
        _LOADING.reset(before)


def is_built_in_loading() -> bool:
    """Whether `import_built_in` is at work."""
    return _LOADING.get()
