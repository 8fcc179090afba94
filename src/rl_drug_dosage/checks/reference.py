"""What somebody's file or name is: a drug, a scenario or a policy."""

from pathlib import Path

from rl_drug_dosage.errors import ConfigError, RlDrugDosageError, UnknownNameError
from rl_drug_dosage.registry import (
    DRUG,
    POLICY,
    SCENARIO,
    Found,
    Kind,
    find,
    import_file,
    is_file_reference,
    label_of,
    names,
    require_file,
)

__all__ = ["KINDS", "find_any", "kind_of"]

KINDS = {"drug": DRUG, "scenario": SCENARIO, "policy": POLICY}


def kind_of(word: str) -> Kind:
    """The kind that a word names.

    Raises:
        UnknownNameError: none.
    """
    if word not in KINDS:
        raise UnknownNameError("kind", word, KINDS)
    return KINDS[word]


def find_any(reference: str, kind: str = "") -> tuple[Kind, Found[object]]:
    """What a reference leads to, and of which kind it is.

    Args:
        reference: a name, a file, a folder, ``package.module:OBJECT``, a policy in words; ``NAME=REFERENCE`` names it.
        kind: ``"drug"``, ``"scenario"`` or ``"policy"``; empty: found out.

    Raises:
        ConfigError: it could be several kinds.
        UnknownNameError: it is none.
        BadPluginError, ModelFileError: a file that cannot be read as one.
    """
    name, text = label_of(reference)
    wanted = kind_of(kind) if kind else _kind_of_reference(text)
    found = find(wanted, text)
    return wanted, Found(name, found.value, found.where, found.source) if name else found


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
    return _one(str(path), kinds) if kinds else _none(path)


def _none(path: Path) -> Kind:
    attributes = ", ".join(f"{kind.attribute} (a {kind.word})" for kind in KINDS.values())
    raise ConfigError(f"{path} defines none of {attributes}: define one, or start from an example")


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
    """Of an attribute of a module: the kind of its type; a file that nobody reads is refused by the registry."""
    refusals = []
    for kind in KINDS.values():
        try:
            find(kind, text)
        except RlDrugDosageError as error:
            refusals.append(error)
            continue
        return kind
    # The first one names what was found.
    raise refusals[0]


def _one(text: str, kinds: list[Kind]) -> Kind:
    if len(kinds) != 1:
        words = " and ".join(f"a {kind.word}" for kind in kinds)
        raise ConfigError(f"{text} can be {words}: say which with --kind")
    return kinds[0]
