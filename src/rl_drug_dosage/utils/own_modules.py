"""Whether a module of this package is being loaded by its name: what the tests hold it to is then not asked again."""

import importlib
from contextvars import ContextVar
from types import ModuleType

__all__ = ["import_own", "is_own_loading"]

_LOADING: ContextVar[bool] = ContextVar("own_module_loading", default=False)


def import_own(name: str) -> ModuleType:
    """Import a module of this package."""
    before = _LOADING.set(True)
    try:
        return importlib.import_module(name)
    finally:
        _LOADING.reset(before)


def is_own_loading() -> bool:
    """Whether `import_own` is at work."""
    return _LOADING.get()
