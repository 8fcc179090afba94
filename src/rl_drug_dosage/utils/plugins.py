"""One thing, one file: a folder is a registry, a module's name its public name, one attribute its content.

Modules whose name starts with an underscore belong to the folder's own machinery and are not listed.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import Any

from rl_drug_dosage.errors import BadPluginError, UnknownNameError

__all__ = ["load", "load_one_of", "names", "public_name"]


def public_name(module_name: str) -> str:
    """``vancomycin_goti2018`` is spoken ``vancomycin-goti2018``."""
    return module_name.replace("_", "-")


@cache
def names(package: str) -> tuple[str, ...]:
    """The module names in a package, sorted, importing none of them; folders are machinery too."""
    folder = importlib.import_module(package).__path__
    return tuple(sorted(m.name for m in pkgutil.iter_modules(folder) if not m.ispkg and not m.name.startswith("_")))


def load[T](package: str, name: str, *, attribute: str, kind: type[T]) -> T:
    """Import one module and return its attribute.

    Args:
        package: the dotted folder, e.g. ``"rl_drug_dosage.drugs"``.
        name: the public name or the module name.
        attribute: what the file must define, e.g. ``"DRUG"``.
        kind: the type that the attribute must have.

    Raises:
        UnknownNameError: no such module.
        BadPluginError: the module lacks the attribute, or it is of another type.
    """
    content = load_one_of(package, name, {attribute: kind})
    assert isinstance(content, kind)
    return content


def load_one_of(package: str, name: str, kinds: Mapping[str, type]) -> Any:
    """Import one module and return the one of several attributes that it defines.

    Args:
        package: as for `load`.
        name: as for `load`.
        kinds: the attributes that a file may define, with their types.

    Raises:
        UnknownNameError: no such module.
        BadPluginError: the module has none of them, or one of another type.
    """
    module_name = name.replace("-", "_")
    if module_name not in names(package):
        raise UnknownNameError(package.rpartition(".")[2].rstrip("s"), name, map(public_name, names(package)))
    module = importlib.import_module(f"{package}.{module_name}")
    for attribute, kind in kinds.items():
        content = getattr(module, attribute, None)
        if isinstance(content, kind):
            return content
    wanted = " or ".join(f"{attribute} of type {kind.__name__}" for attribute, kind in kinds.items())
    raise BadPluginError(f"{package}.{module_name} must define {wanted}: add it there")
