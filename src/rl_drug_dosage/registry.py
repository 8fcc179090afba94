"""Resolves a reference to a drug, scenario, policy, environment or published trial.

The same five forms are accepted on the command line and in Python:

| form | example |
|---|---|
| a built-in name | ``vancomycin-goti2018`` |
| a file | ``./mine.py``, ``./task.toml``, ``agent.pt``, ``runs/x`` |
| an entry point of an installed package | a name in the group ``rl_drug_dosage.drugs``, ``.scenarios``, ... |
| a module's attribute | ``package.module:OBJECT`` |
| the object itself | in Python |

The options of a policy follow it after commas: ``mipd,prior=widened,error=assay``.

Built-in content lives in one package per kind. Each module defines one agreed attribute, and the module's name is the
public name. Importing a file runs it, so paths and module names are accepted from the command line or from code only,
never from a data file.
"""

import ast
import contextlib
import difflib
import hashlib
import importlib
import importlib.util
import os
import pkgutil
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rl_drug_dosage.errors import BadPluginError, UnknownNameError, in_one_line, with_article
from rl_drug_dosage.utils.arguments import checked
from rl_drug_dosage.utils.built_in import import_built_in
from rl_drug_dosage.utils.foreign import blame, guarded, note_code

if TYPE_CHECKING:
    from rl_drug_dosage.clinic.policy import PolicyDefinition
    from rl_drug_dosage.clinic.scenario import Scenario
    from rl_drug_dosage.pkpd.model import DrugModel

__all__ = [
    "DRUG",
    "ENVIRONMENT",
    "POLICY",
    "PUBLISHED",
    "SCENARIO",
    "Found",
    "Kind",
    "MissingAttributeError",
    "Source",
    "contents_of",
    "env_id_of",
    "every",
    "find",
    "find_scenario",
    "import_file",
    "is_file_reference",
    "is_known",
    "label_of",
    "load_drug",
    "load_policy_definition",
    "load_scenario",
    "modules",
    "names",
    "public_name",
    "require_file",
    "source_of",
]


class MissingAttributeError(BadPluginError):
    """A file or module that does not define the attribute of a kind; it may define that of another one."""


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of object that a reference can name.

    Args:
        word: name of the kind in messages.
        room: package with the built-in modules.
        attribute: attribute that each module defines.
        type_name: ``"module:Class"`` of the attribute.
        group: entry-point group; empty if other packages cannot add objects.
        readers: file suffix (``""``: a folder) -> ``"module:function"`` that reads such a file.
        words: ``"module:function"`` that parses text (``"1000 mg q12h"``), or returns None.
        adapt: ``"module:function"`` that converts another object, given where it is, or returns None.
        holds: what the attribute may be, for messages; empty: an object of the class.
        options: ``"module:function"`` that applies what follows a reference after a comma: from the object, its name
            and the texts between the commas to the object and its name in tables; empty: objects have no options.
    """

    word: str
    room: str
    attribute: str
    type_name: str
    group: str = ""
    readers: Mapping[str, str] = field(default_factory=dict)
    words: str = ""
    adapt: str = ""
    holds: str = ""
    options: str = ""

    @property
    def a_word(self) -> str:
        """The word with its article."""
        return with_article(self.word)

    @property
    def allowed(self) -> str:
        """What the attribute may be."""
        return self.holds or with_article(self.type_name.rpartition(":")[2])

    @property
    def type(self) -> type:
        """The class of the value."""
        found: type = _imported(self.type_name)
        return found


_READ_DRUG = "rl_drug_dosage.pharmacometrics.readers.files:read_drug"
DRUG = Kind(
    "drug",
    "rl_drug_dosage.drugs",
    "DRUG",
    "rl_drug_dosage.pkpd.model:DrugModel",
    "rl_drug_dosage.drugs",
    readers=dict.fromkeys((".R", ".r", ".mod", ".MOD", ".ctl", ".CTL", ".json5", ".xml", ".sbml"), _READ_DRUG),
)
SCENARIO = Kind(
    "scenario",
    "rl_drug_dosage.scenarios",
    "SCENARIO",
    "rl_drug_dosage.clinic.scenario:Scenario",
    "rl_drug_dosage.scenarios",
    readers={".toml": "rl_drug_dosage.clinic.scenario_file:read_scenario"},
)
POLICY = Kind(
    "policy",
    "rl_drug_dosage.policies",
    "POLICY",
    "rl_drug_dosage.clinic.policy:PolicyDefinition",
    "rl_drug_dosage.policies",
    readers={
        ".pt": "rl_drug_dosage.policies.adapters.learnt:read_policy",
        ".zip": "rl_drug_dosage.policies.adapters.sb3:read_policy",
        ".onnx": "rl_drug_dosage.policies.adapters.onnx:read_policy",
        "": "rl_drug_dosage.policies.adapters.learnt:read_policy",
    },
    words="rl_drug_dosage.policies.adapters.words:read_words",
    adapt="rl_drug_dosage.policies.adapters.callables:as_definition",
    holds="a PolicyDefinition, a Policy, an agent with predict(observation), a function of observations, or a function "
    "build(setting)",
    options="rl_drug_dosage.clinic.options:with_words",
)
ENVIRONMENT = Kind("environment", "rl_drug_dosage.envs", "ENV", "rl_drug_dosage.envs.functional:Env")
PUBLISHED = Kind(
    "published trial",
    "rl_drug_dosage.trials.published",
    "PUBLISHED",
    "rl_drug_dosage.trials.published_trial:PublishedTrial",
    "rl_drug_dosage.published_trials",
)
_KINDS = (DRUG, SCENARIO, POLICY, ENVIRONMENT, PUBLISHED)


@dataclass(frozen=True)
class Source:
    """The files that an object from outside the package was read from.

    Args:
        path: the file given.
        files: this file and all files in its folder that it uses, sorted.
        sha256: hash of the names and contents of all of them.
    """

    path: Path
    files: tuple[Path, ...]
    sha256: str
    digests: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Name and SHA-256 of each file."""

    def is_same(self, name: str, sha256: str) -> bool:
        """Whether these are the contents of a hash that was made when the file given had a certain name."""
        if self.sha256 == sha256:
            return True
        own = self.path.resolve()
        renamed = {(own.with_name(name) if file == own else file): self.digests[file.name] for file in self.files}
        return _digest_of(renamed) == sha256


@dataclass(frozen=True)
class Found[T]:
    """A resolved reference.

    Args:
        name: name in tables and messages.
        value: the object.
        where: origin, for messages: a module, a file, an entry point.
        source: the files of an object from a user's file; None for installed objects.
    """

    name: str
    value: T
    where: str
    source: Source | None = None

    @property
    def is_foreign(self) -> bool:
        """Whether it comes from outside of the package."""
        return not self.where.startswith(f"{__name__.partition('.')[0]}.")

    @property
    def env_id(self) -> str:
        """The environment id: the Gymnasium id of a built-in object, otherwise the name."""
        return self.name if self.is_foreign else env_id_of(self.where.rpartition(".")[2])


def public_name(module_name: str) -> str:
    """``vancomycin_goti2018`` becomes ``vancomycin-goti2018``."""
    return module_name.replace("_", "-")


def env_id_of(module_name: str) -> str:
    """The Gymnasium id of a module: ``drug_dose_v0`` becomes ``DrugDose-v0``."""
    stem, _, version = module_name.rpartition("_")
    return "".join(part.capitalize() for part in stem.split("_")) + "-" + version


_VERSION = re.compile(r"_v(\d+)$")
_VERSIONED = frozenset({SCENARIO.room, ENVIRONMENT.room})
"""Packages whose content modules end in a version; their other modules are not content."""


@cache
def modules(room: str) -> tuple[str, ...]:
    """The content modules of a package, sorted, without importing them.

    Subpackages and modules with a leading underscore are not content; nor are unversioned modules in a versioned
    package.
    """
    folder = importlib.import_module(room).__path__
    found = (m.name for m in pkgutil.iter_modules(folder) if not m.ispkg and not m.name.startswith("_"))
    return tuple(sorted(name for name in found if room not in _VERSIONED or _VERSION.search(name)))


@cache
def _built_in(kind: Kind) -> dict[str, str]:
    """All spellings of built-in names -> module; the newest version is also listed without its version number."""
    found: dict[str, str] = {}
    newest: dict[str, tuple[int, str]] = {}
    for module in modules(kind.room):
        found[public_name(module)] = module
        if match := _VERSION.search(module):
            found[env_id_of(module)] = module
            stem = public_name(module[: match.start()])
            newest[stem] = max(newest.get(stem, (0, "")), (int(match.group(1)), module))
    return {**{stem: module for stem, (_, module) in newest.items()}, **found}


@cache
def _entry_points(group: str) -> dict[str, tuple[Any, ...]]:
    """Name -> every entry point of a group with that name."""
    from importlib.metadata import entry_points

    found: dict[str, tuple[Any, ...]] = {}
    for point in entry_points(group=group) if group else ():
        found[point.name] = (*found.get(point.name, ()), point)
    return found


def names(kind: Kind) -> tuple[str, ...]:
    """The names of built-in and installed objects, one per object, sorted."""
    short: dict[str, str] = {}
    for name, module in _built_in(kind).items():
        short[module] = min(short.get(module, name), name, key=len)
    return tuple(sorted({*short.values(), *_entry_points(kind.group)}))


def every(kind: Kind) -> "tuple[tuple[Found[Any], ...], tuple[str, ...]]":
    """All built-in and installed objects of a kind by name, and a line for each that another package breaks."""
    found, broken = [], []
    for name in names(kind):
        try:
            found.append(_by_name(kind, name))
        except BadPluginError as error:
            broken.append(str(error))
    return tuple(found), tuple(broken)


def label_of(text: str) -> tuple[str, str]:
    """Split ``NAME=REFERENCE`` into (name, reference); the name is empty if none is given."""
    name, equals, rest = text.partition("=")
    # After a comma stands an option of a policy.
    return (name.strip(), rest) if equals and name.strip() and not {"/", ","} & set(name) else ("", text)


def is_file_reference(kind: Kind, text: str) -> bool:
    """Whether a text can only be a file or folder: it has a path separator, or a readable suffix."""
    suffixes = {".py", *(s for s in kind.readers if s)}
    return "/" in text or "\\" in text or Path(text).suffix in suffixes


def is_known(kind: Kind, text: str) -> bool:
    """Whether a text names what is built in or installed, or says a regimen in words: no file, and no module."""
    if kind.words and _imported(kind.words)(text) is not None:
        return True
    return (text.partition(",")[0] if kind.options else text) in names(kind)


def find(kind: Kind, reference: object) -> Found[Any]:
    """Resolve a reference: a name, file, entry point, module attribute or the object itself.

    Raises:
        UnknownNameError: an unknown name, or a missing file.
        BadPluginError: a file or module that fails to import, lacks the attribute or has one of another type; an
            ambiguous name.
    """
    if not isinstance(reference, str | Path):
        value = _adapted(kind, reference, f"the {kind.word} that was given")
        name = getattr(value, "name", "") or getattr(reference, "name", "") or getattr(reference, "__name__", "")
        return Found(str(name or type(reference).__name__.lower()), value, "given in Python")
    text = str(reference)
    if isinstance(reference, str) and not text.strip():
        raise UnknownNameError(kind.word, text, names(kind), remedy=_other_forms(kind))
    # Before files, because "15 mg/kg q12h" contains a slash.
    if kind.words and isinstance(reference, str) and (value := _imported(kind.words)(text)) is not None:
        return Found(text, value, "given as text")
    base, options = _with_options(kind, text)
    if options:
        plain = find(kind, Path(base) if isinstance(reference, Path) else base)
        value, name = _imported(kind.options)(plain.value, plain.name, options)
        return replace(plain, name=name, value=value)
    if isinstance(reference, Path) or is_file_reference(kind, text):
        return _from_file(kind, Path(text))
    if ":" in text:
        return _from_module(kind, text)
    return _by_name(kind, text)


_OPTIONS = re.compile(r"(,\s*[A-Za-z]\w*\s*=[^,/\\]*)+")


def _with_options(kind: Kind, text: str) -> tuple[str, tuple[str, ...]]:
    """Split a reference at the commas before its options; the name of a file may have commas, too."""
    if not kind.options or "," not in text or os.path.exists(text):  # noqa: PTH110 - False for whatever is no path
        return text, ()
    commas = [at for at, letter in enumerate(text) if letter == ","]
    ends = [at for at in commas if os.path.exists(text[:at])]  # noqa: PTH110
    if not ends and is_file_reference(kind, text):
        ends = [at for at in commas if _OPTIONS.fullmatch(text, at)][:1]
        if not ends:
            return text, ()
    at = ends[-1] if ends else commas[0]
    return text[:at], tuple(text[at + 1 :].split(","))


@checked
def load_drug(reference: "str | Path | DrugModel") -> "DrugModel":
    """Load a drug model by name, file, entry point or module attribute; an object is returned as is. See `find`."""
    found: DrugModel = find(DRUG, reference).value
    return found


@checked
def load_scenario(reference: "str | Path | Scenario") -> "Scenario":
    """Load a scenario by name, file, entry point or module attribute; an object is returned as is. See `find`."""
    found: Scenario = find(SCENARIO, reference).value
    return found


def find_scenario(reference: "str | Path | Scenario") -> "Found[Scenario]":
    """Find a scenario, with its name and origin; see `find`."""
    return find(SCENARIO, reference)


def load_policy_definition(reference: object) -> "PolicyDefinition":
    """Load a policy definition by name, file, entry point or module attribute, or convert an object; see `find`."""
    found: PolicyDefinition = find(POLICY, reference).value
    return found


def _by_name(kind: Kind, name: str) -> Found[Any]:
    built_in, points = _built_in(kind), _entry_points(kind.group).get(name, ())
    module = built_in.get(name, built_in.get(public_name(name)))
    places = [f"{kind.room}.{module}"] if module else []
    places += [f"{point.value} (package {point.dist.name if point.dist else 'unknown'})" for point in points]
    if not places and Path(name).exists():
        return _from_file(kind, Path(name))
    if not places:
        raise UnknownNameError(kind.word, name, names(kind), remedy=_other_forms(kind))
    if len(places) > 1:
        raise BadPluginError(
            f"{kind.word} {name!r} exists {len(places)} times, in {' and '.join(places)}: give a file or "
            "package.module:OBJECT, or remove one"
        )
    if module:
        where = f"{kind.room}.{module}"
        value = _attribute(kind, import_built_in(where), where)
        short = min((n for n, m in built_in.items() if m == module), key=len)
        return Found(short, value, where)
    with guarded(lambda error: f"{kind.word} {name!r}: {places[0]} cannot be loaded: {_last_line(error)}"):
        value = points[0].load()
    _note(points[0].module)
    return Found(name, _adapted(kind, value, f"{kind.word} {name!r}: {places[0]}"), places[0])


def _other_forms(kind: Kind) -> str:
    # Each format once, however its suffix is spelt: the first spelling counts.
    spelt = {suffix.lower(): suffix for suffix in reversed(list(kind.readers)) if suffix}
    suffixes = ", ".join(sorted({"./mine.py", *(f"./x{suffix}" for suffix in spelt.values())}))
    return f"or give a file ({suffixes}) or package.module:OBJECT"


_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def _from_module(kind: Kind, text: str) -> Found[Any]:
    if not _PATH.fullmatch(text):
        raise UnknownNameError(kind.word, text, names(kind), remedy=_other_forms(kind))
    name, _, attribute = text.partition(":")
    beside = Path(f"{name.replace('.', '/')}.py")
    hint = f"; a file is named by its path, ./{beside}" if beside.is_file() else ""
    with guarded(lambda error: f"{kind.word} {text!r}: {name} cannot be imported: {_last_line(error)}{hint}"):
        module = importlib.import_module(name)
    _note(name)
    value: Any = module
    for part in attribute.split("."):
        if not hasattr(value, part):
            raise BadPluginError(f"{kind.word} {text!r}: {name} has no {attribute}; it has {contents_of(module)}")
        value = getattr(value, part)
    # A user's class or function keeps its own name.
    return Found(attribute, _adapted(kind, value, text), text)


def require_file(path: Path) -> None:
    """Raise an error if a path does not exist; the message suggests a similar name in the same folder.

    Raises:
        UnknownNameError: the path does not exist.
    """
    if not path.exists():
        beside = path.parent.iterdir() if path.parent.is_dir() else ()
        others = [file.name for file in beside if file.name != path.name]
        near = difflib.get_close_matches(path.name, others, n=1, cutoff=0.6)
        meant = f"did you mean {str(path.with_name(near[0]))!r}? " if near else ""
        raise UnknownNameError("file", str(path), (), near="", remedy=f"{meant}there is no such file")


def source_of(path: Path, others: tuple[Path, ...] = ()) -> Source:
    """A file and the files that it uses: Python modules in the same folder, and ``others``.

    Raises:
        UnknownNameError: the file cannot be read.
    """
    files = sorted({*_with_siblings(path.resolve()), *(f for o in others for f in _with_siblings(o.resolve()))})
    digests = {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    return Source(path, tuple(files), _digest_of(digests), {file.name: digests[file] for file in files})


def _digest_of(digests: Mapping[Path, str]) -> str:
    """Hash of the names and contents of files."""
    whole = hashlib.sha256()
    for file in sorted(digests):
        whole.update(file.name.encode() + b"\0" + bytes.fromhex(digests[file]))
    return whole.hexdigest()


def _with_siblings(path: Path) -> set[Path]:
    """A file and the Python modules in its folder that it imports, recursively."""
    found, waiting = {path}, [path]
    while waiting:
        file = waiting.pop()
        if file.suffix != ".py":
            continue
        try:
            tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError):
            continue  # the import itself reports the error
        for node in ast.walk(tree):
            heads = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            heads += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for head in heads:
                beside = file.parent / f"{head.partition('.')[0]}.py"
                if head and beside.is_file() and beside not in found:
                    found.add(beside)
                    waiting.append(beside)
    return found


def _from_file(kind: Kind, path: Path) -> Found[Any]:
    require_file(path)
    suffix = "" if path.is_dir() else path.suffix
    if suffix in kind.readers:
        value, files = _imported(kind.readers[suffix])(path)
        return Found(
            path.resolve().name if path.is_dir() else path.stem, value, str(path), source_of(files[0], files[1:])
        )
    if suffix != ".py":
        allowed = ", ".join(sorted({".py", *(s or "a folder" for s in kind.readers)}))
        came = "a folder" if path.is_dir() else f"a {suffix or 'nameless kind of'} file"
        raise BadPluginError(f"{path} is {came}, but {kind.a_word} is read from {allowed}")
    source = source_of(path)
    value = _attribute(kind, import_file(path), str(path))
    return Found(public_name(path.stem), value, str(path), source)


_imported_files: dict[tuple[Path, str], ModuleType] = {}


def _note(module: str) -> None:
    """Note the package of a module as the user's."""
    top = sys.modules[module.partition(".")[0]]
    file = getattr(top, "__file__", None)
    if file is not None and top.__name__ != __name__.partition(".")[0]:
        note_code(Path(file).parent if hasattr(top, "__path__") else Path(file))


def import_file(path: Path) -> ModuleType:
    """Import a Python file; the same contents at the same path are run only once.

    The file can import modules from its own folder.

    Raises:
        BadPluginError: the file raises an error.
    """
    path = path.resolve()
    digest = source_of(path).sha256
    if (path, digest) in _imported_files:
        return _imported_files[path, digest]
    spec = importlib.util.spec_from_file_location(f"rldd_user_{digest[:12]}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(path.parent))
    try:
        with guarded(lambda error: f"{path} fails when it is imported: {_last_line(error, path)}"):
            spec.loader.exec_module(module)
        _imported_files[path, digest] = module
        note_code(*_with_siblings(path))
    finally:
        # The file may have changed both.
        with contextlib.suppress(ValueError):
            sys.path.remove(str(path.parent))
        if (path, digest) not in _imported_files:
            sys.modules.pop(spec.name, None)
    return module


def _last_line(error: BaseException, path: Path | None = None) -> str:
    """The error, with the line of the user's file that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if path is not None and Path(f.filename) == path]
    at = f" (line {own[-1].lineno}: {own[-1].line})" if own and own[-1].line else ""
    if isinstance(error, SyntaxError) and error.lineno is not None:
        at = f" (line {error.lineno})"
    return in_one_line(error) + at


def contents_of(module: ModuleType) -> str:
    """The public objects that a module itself defines, for messages."""
    defined = _defined_in(module)
    known = [f"{k.attribute} ({k.a_word})" for k in _KINDS if hasattr(module, k.attribute)]
    own = [
        n
        for n, v in vars(module).items()
        if not n.startswith("_")
        and (defined is None or n in defined)
        and not isinstance(v, ModuleType)
        and getattr(v, "__module__", module.__name__) == module.__name__
    ]
    return ", ".join([*known, *(n for n in own if n not in {k.attribute for k in _KINDS})][:12]) or "nothing public"


def _defined_in(module: ModuleType) -> set[str] | None:
    """The names that the text of a module binds at its top level other than by an import; None: it has no text."""
    path = Path(getattr(module, "__file__", None) or "")
    if path.suffix != ".py":
        return None
    try:
        waiting: list[ast.AST] = list(ast.parse(path.read_bytes()).body)
    except (OSError, SyntaxError, ValueError):
        return None
    bound: set[str] = set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
        else:
            waiting += ast.iter_child_nodes(node)
    return bound


def _attribute(kind: Kind, module: ModuleType, where: str) -> Any:
    if not hasattr(module, kind.attribute):
        raise MissingAttributeError(
            f"{where} must define {kind.attribute} ({kind.allowed}); it has {contents_of(module)}"
        )
    return _adapted(kind, getattr(module, kind.attribute), f"{where}: {kind.attribute}")


def _adapted(kind: Kind, value: Any, where: str) -> Any:
    if isinstance(value, kind.type):
        return value
    with guarded(lambda error: f"{where} cannot be read: {blame(error)}", own=True):
        made = _imported(kind.adapt)(value, where) if kind.adapt else None
    if made is None:
        raise BadPluginError(f"{where} must be {kind.allowed}, not {type(value).__name__}")
    return made


def _imported(name: str) -> Any:
    module, _, attribute = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return found
