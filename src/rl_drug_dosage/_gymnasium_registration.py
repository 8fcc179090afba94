"""Register the environments with Gymnasium without importing Gymnasium.

Gymnasium 1.x loads no plug-ins of its own accord, and importing it here would put NumPy (half a second) in front of
``--help``. So registration waits until somebody imports Gymnasium, and happens at once where it is loaded already.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType

__all__ = ["env_id", "install"]

_GYMNASIUM = "gymnasium"


def env_id(module_name: str) -> str:
    """The public id of a module in ``envs/``: ``drug_dose_v0`` is ``DrugDose-v0``."""
    stem, _, version = module_name.rpartition("_")
    return "".join(part.capitalize() for part in stem.split("_")) + "-" + version


def install() -> None:
    """Register now if Gymnasium is imported, else as soon as it is."""
    if _GYMNASIUM in sys.modules:
        _register()
    elif not any(isinstance(finder, _AfterGymnasium) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterGymnasium())


def _register() -> None:
    import gymnasium

    from rl_drug_dosage.utils import plugins

    for name in plugins.names("rl_drug_dosage.envs"):
        if env_id(name) not in gymnasium.registry:
            gymnasium.register(
                id=env_id(name),
                entry_point="rl_drug_dosage.envs._gymnasium:make_env",
                vector_entry_point="rl_drug_dosage.envs._gymnasium:make_vector_env",
                kwargs={"name": name},
            )


class _AfterGymnasium(importlib.abc.MetaPathFinder):
    """Finds nothing itself: it lets the ordinary finders find Gymnasium, and registers once that has run."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != _GYMNASIUM:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _RegisteringLoader(spec.loader)
        return spec


class _RegisteringLoader(importlib.abc.Loader):
    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader  # leave no trace
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        _register()
