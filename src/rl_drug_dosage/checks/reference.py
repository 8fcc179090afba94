"""Finds out whether a reference is a drug, a scenario or a policy."""

from pathlib import Path
from types import ModuleType

from rl_drug_dosage.errors import ConfigError, RlDrugDosageError, UnknownNameError
from rl_drug_dosage.registry import (
    DRUG,
    POLICY,
    SCENARIO,
    Found,
    Kind,
    contents_of,
    find,
    import_file,
    is_file_reference,
    label_of,
    names,
    require_file,
)

__all__ = ["KINDS", "file_of", "find_any", "kind_of"]

KINDS = {"drug": DRUG, "scenario": SCENARIO, "policy": POLICY}


def kind_of(word: str) -> Kind:
    """The kind with this name.

    Raises:
        UnknownNameError: an unknown kind.
    """
    if word not in KINDS:
        raise UnknownNameError("kind", word, KINDS)
    return KINDS[word]


def find_any(reference: str, kind: str = "") -> tuple[Kind, Found[object]]:
    """Resolve a reference and determine its kind.

    Args:
        reference: a name, a file, a folder, ``package.module:OBJECT`` or a regimen; ``NAME=REFERENCE`` labels it.
        kind: ``"drug"``, ``"scenario"`` or ``"policy"``; empty: determined from the reference.

    Raises:
        ConfigError: the reference fits several kinds.
        UnknownNameError: the reference fits none.
        BadPluginError, ModelFileError: the file cannot be read.
    """
    name, text = label_of(reference)
    wanted = kind_of(kind) if kind else _kind_of_reference(text)
    found = find(wanted, text)
    return wanted, Found(name, found.value, found.where, found.source) if name else found


def file_of(reference: str) -> Path | None:
    """The file that a reference names; None for a name or a module."""
    path = Path(label_of(reference)[1])
    return path if path.is_file() else None


def _kind_of_reference(text: str) -> Kind:
    path = Path(text)
    if path.suffix == ".py":
        return _kind_of_module(path)
    if path.exists() and path.suffix not in {s for kind in KINDS.values() for s in kind.readers}:
        came = f"a {path.suffix} file" if path.suffix else "a file without a suffix"
        readable = ", ".join(sorted({".py", *(s for kind in KINDS.values() for s in kind.readers if s)}))
        raise ConfigError(
            f"{text} is {came}: drugs, scenarios and policies are read from {readable}, or from a run's folder"
        )
    if path.is_dir():
        return _one(text, [kind for kind in KINDS.values() if "" in kind.readers])
    if path.suffix and any(path.suffix in kind.readers for kind in KINDS.values()):
        return _one(text, [kind for kind in KINDS.values() if path.suffix in kind.readers])
    if not any(is_file_reference(kind, text) for kind in KINDS.values()) and ":" not in text:
        return _kind_of_name(text)
    return _kind_that_finds(text)


def _kind_of_module(path: Path) -> Kind:
    require_file(path)
    module = import_file(path)
    kinds = [kind for kind in KINDS.values() if hasattr(module, kind.attribute)]
    return _one(str(path), kinds) if kinds else _none(path, module)


def _none(path: Path, module: ModuleType) -> Kind:
    attributes = ", ".join(f"{kind.attribute} ({kind.allowed})" for kind in KINDS.values())
    raise ConfigError(
        f"{path} defines none of {attributes}; it has {contents_of(module)}: define one, or start from `rl-drug-dosage "
        "new`"
    )


def _kind_of_name(text: str) -> Kind:
    kinds = []
    for kind in KINDS.values():
        try:
            find(kind, text)
        except UnknownNameError:
            continue
        kinds.append(kind)
    if not kinds:
        known = sorted(name for kind in KINDS.values() for name in names(kind))
        remedy = "or give a file, or package.module:OBJECT"
        raise UnknownNameError("drug, scenario or policy", text, known, remedy=remedy)
    return _one(text, kinds)


def _kind_that_finds(text: str) -> Kind:
    """The kind of a module's attribute, from its type. The registry refuses files that no kind reads."""
    refusals = []
    for kind in KINDS.values():
        try:
            find(kind, text)
        except RlDrugDosageError as error:
            refusals.append(error)
            continue
        return kind
    # The first kind names the object.
    raise refusals[0]


def _one(text: str, kinds: list[Kind]) -> Kind:
    if len(kinds) != 1:
        words = " and ".join(kind.a_word for kind in kinds)
        raise ConfigError(f"{text} can be {words}: choose one with --kind")
    return kinds[0]
