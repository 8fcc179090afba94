"""SBML models that are made of other models of the same file (package comp): one model of them all."""

from typing import Any

from rl_drug_dosage.pharmacometrics.readers.source_text import Place, refused

__all__ = ["flatten", "guard_parts"]

_MOST_MODELS = 200
"""Models in a model, counted as often as they occur: two of each of twenty kinds in each other would be a million."""


def guard_parts(path: str, document: Any) -> None:
    """Refuse what libsbml would open or write out in its checks: models in other files, and models without end.

    Raises:
        ReadError: parts in other files, which are not looked for; too many of them.
    """
    plugin = document.getPlugin("comp")
    if plugin is None or document.getModel() is None:
        return
    if plugin.getNumExternalModelDefinitions():
        other = plugin.getExternalModelDefinition(0).getSource()
        came = f"a part in another file, {other[:60]!r}"
        raise refused(path, Place(1, 1), came, "models in one file", "give the flattened model")
    parts = {}
    for i in range(plugin.getNumModelDefinitions()):
        part = plugin.getModelDefinition(i)
        parts[part.getId()] = part
    if any(_count(model, parts) > _MOST_MODELS for model in (document.getModel(), *parts.values())):
        came = f"more than {_MOST_MODELS} models in each other"
        raise refused(path, Place(1, 1), came, f"up to {_MOST_MODELS}", "give the flattened model")


def flatten(path: str, document: Any, libsbml: Any) -> None:
    """Put the parts of a model into it; a model without parts stays as it is.

    Raises:
        ReadError: parts that do not fit.
    """
    plugin = document.getModel().getPlugin("comp")
    if plugin is None or not plugin.getNumSubmodels():
        return
    wanted = libsbml.ConversionProperties()
    wanted.addOption("flatten comp", True)
    wanted.addOption("performValidation", False)
    if document.convert(wanted) != libsbml.LIBSBML_OPERATION_SUCCESS:
        raise refused(path, Place(1, 1), "parts that cannot be put together", "valid SBML", "give the flattened model")


def _count(model: Any, parts: dict[str, Any]) -> int:
    """Models in a model, itself included; beyond the limit, some number beyond it."""
    waiting, found = [model], 0
    while waiting and found <= _MOST_MODELS:
        found += 1
        own = waiting.pop().getPlugin("comp")
        names = [own.getSubmodel(i).getModelRef() for i in range(own.getNumSubmodels())] if own else []
        waiting += [parts[name] for name in names if name in parts]
    return found
