"""The house rules of docs/architecture.md that a linter does not know: doors between rooms, sizes, public names.

A room is a folder of the package; a module beside the folders is a room of its own.
"""

import ast
import importlib
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import rl_drug_dosage

PACKAGE = "rl_drug_dosage"
SOURCE = Path(rl_drug_dosage.__file__).parent
ARCHITECTURE = Path(__file__).parent.parent / "docs" / "architecture.md"
FILES = sorted(p for p in SOURCE.rglob("*.py") if "__pycache__" not in p.parts)
ROOMS = sorted(p.parent.name for p in SOURCE.glob("*/__init__.py"))

MOST_SHARE = 0.15
"""Of the package's lines that one room may have."""
LONG_FILE, LONG_FUNCTION = 300, 60
"""Lines above which docs/architecture.md has to say why."""
SECTION = "Long files and functions"


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_bytes())


def lines_of(file: Path) -> int:
    return len(file.read_text().splitlines())


def inside(file: Path) -> str:
    """A file as docs/architecture.md writes it: below src/rl_drug_dosage."""
    return file.relative_to(SOURCE).as_posix()


def room_of(dotted: str) -> str:
    """``rl_drug_dosage.pkpd.bayes.map`` is in the room ``pkpd``; the package itself is the front door, ``""``."""
    return [*dotted.split("."), ""][1]


def room_of_file(file: Path) -> str:
    first = file.relative_to(SOURCE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def share_of_file(file: Path) -> str:
    """The room whose lines these are; each reader of other people's model files counts as one of its own."""
    parts = file.relative_to(SOURCE).parts
    nested = parts[:2] == ("pharmacometrics", "readers") and len(parts) > 3
    return "/".join(parts[:3]) if nested else room_of_file(file)


def private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def doors(tree: ast.Module, own: str) -> Iterator[tuple[int, str]]:
    """(line, what) of every private thing of another room that a module reaches for.

    Imports wherever they stand, attributes of imported modules, and ``"module:attribute"`` strings of tables that load
    lazily.
    """
    modules = _imported_as(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                wholes = [alias.name for alias in node.names]
            case ast.ImportFrom():
                wholes = [f"{node.module}.{alias.name}" for alias in node.names]
            case ast.Constant(value=str(text)) if re.fullmatch(rf"{PACKAGE}(\.\w+)+(:\w+)?", text):
                wholes = [text.replace(":", ".")]
            case ast.Attribute(value=ast.Name(id=name)) if name in modules:
                wholes = [f"{modules[name]}.{node.attr}"]
            case _:
                continue
        for whole in wholes:
            ours = whole.split(".")[0] == PACKAGE
            if ours and room_of(whole) != own and any(private(part) for part in whole.split(".")):
                yield node.lineno, whole


def _imported_as(tree: ast.Module) -> dict[str, str]:
    """Name -> module of the package that it stands for; classes and functions are left out."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {a.asname: a.name for a in node.names if a.asname}
        elif isinstance(node, ast.ImportFrom):
            found |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    return {name: whole for name, whole in found.items() if _is_module(whole)}


def _is_module(dotted: str) -> bool:
    place = SOURCE.parent / Path(*dotted.split("."))
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


def test_no_room_reaches_for_another_room_s_private_module_or_name():
    found = [
        f"{inside(file)}:{line} {what}" for file in FILES for line, what in doors(tree_of(file), room_of_file(file))
    ]

    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "line",
    [
        "from rl_drug_dosage.pkpd._divided import divided",
        "from rl_drug_dosage.pkpd import _divided",
        "from rl_drug_dosage.trials.trial import _program",
        "import rl_drug_dosage.pkpd._divided",
        "import rl_drug_dosage.pkpd._divided as divided",
        "def late():\n    from rl_drug_dosage.pkpd._divided import divided",
        "from rl_drug_dosage.trials import trial\ntrial._program(1)",
        "import rl_drug_dosage.trials.trial as t\nt._program(1)",
        'READER = "rl_drug_dosage.trials.trial:_program"',
    ],
)
def test_such_a_reach_is_seen(line):
    """And allowed within the room."""
    assert len(list(doors(ast.parse(line), "clinic"))) == 1
    assert not list(doors(ast.parse(line), "pkpd" if "pkpd" in line else "trials"))


def test_what_is_public_is_no_such_reach():
    text = (
        "from rl_drug_dosage.trials.trial import run_trial\nfrom rl_drug_dosage.pkpd import __all__\nrun_trial.__doc__"
    )

    assert not list(doors(ast.parse(text), "clinic"))


def test_no_room_has_too_large_a_share_of_the_lines():
    lines: Counter[str] = Counter()
    for file in FILES:
        lines[share_of_file(file)] += lines_of(file)
    total = lines.total()

    large = {room: f"{100.0 * n / total:.1f} %" for room, n in lines.items() if n > MOST_SHARE * total}

    assert len(lines) > 12
    assert not large, f"above {100.0 * MOST_SHARE:g} % of {total} lines: {large}"


def functions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, int]]:
    """(qualified name, lines) of every function, methods and inner ones too."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            assert child.end_lineno is not None
            yield prefix + child.name, child.end_lineno - child.lineno + 1
            yield from functions(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.ClassDef):
            yield from functions(child, f"{prefix}{child.name}.")
        else:
            yield from functions(child, prefix)


def long_ones() -> dict[str, int]:
    """``path`` and ``path:function`` of everything that is long, with its lines."""
    found = {inside(file): lines_of(file) for file in FILES if lines_of(file) > LONG_FILE}
    for file in FILES:
        found |= {f"{inside(file)}:{n}": size for n, size in functions(tree_of(file)) if size > LONG_FUNCTION}
    return found


def explained() -> dict[str, str]:
    """First column -> the rest of the row, of the table in the section; code marks are left out."""
    text = ARCHITECTURE.read_text()
    match = re.search(rf"^#+ {SECTION}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\|\s*`([^`|]+)`\s*\|(.*)$", match[1], re.MULTILINE) if match else []
    return {name.strip(): rest.strip(" |") for name, rest in rows}


def test_what_is_long_is_explained():
    """Every file above 300 lines and every function above 60 has its row: `path` or `path:function`, and why."""
    missing = [f"{name} ({size} lines)" for name, size in long_ones().items() if name not in explained()]

    assert not missing, f"docs/architecture.md, section {SECTION!r}, does not name:\n" + "\n".join(missing)


def test_what_is_explained_is_long_and_has_a_reason():
    table, long = explained(), long_ones()

    assert not sorted(set(table) - set(long)), "no longer long: take the rows out"
    assert all(len(reason) > 15 for reason in table.values()), table


def declared(tree: ast.Module) -> list[str] | None:
    """``__all__`` of a module, None where it has none."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == ["__all__"]:
            names: list[str] = ast.literal_eval(node.value)
            return names
    return None


@pytest.mark.parametrize("room", ["", *ROOMS])
def test_what_a_room_promises_can_be_imported(room):
    """Names are listed once, sorted as ruff sorts them, and each is there; nothing private is promised."""
    dotted = f"{PACKAGE}.{room}" if room else PACKAGE
    module = importlib.import_module(dotted)
    names = declared(tree_of(SOURCE / room / "__init__.py")) or []

    assert len(names) == len(set(names))
    assert not [name for name in names if private(name)]
    assert not [name for name in names if not hasattr(module, name)]


@pytest.mark.parametrize("room", ["", *ROOMS])
def test_what_a_room_loads_lazily_it_promises(room):
    """The table of `lazily` and ``__all__`` name the same things, and what is imported at once is promised as well."""
    tree = tree_of(SOURCE / room / "__init__.py")
    names = set(declared(tree) or [])
    tables = [
        node.args[1]
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "lazily" and len(node.args) > 1
    ]
    lazy = {key.value for table in tables for key in table.keys if isinstance(key, ast.Constant)}
    at_once = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{PACKAGE}.{room}.") and room
        for alias in node.names
    }

    assert lazy <= names, sorted(lazy - names)
    assert at_once <= names, sorted(at_once - names)
    if tables:
        assert names == lazy | at_once, sorted(names - lazy - at_once)


def test_what_a_module_lists_it_defines():
    wrong = [
        f"{inside(file)}: {name}"
        for file in FILES
        if file.name != "__init__.py"
        for name in declared(tree_of(file)) or []
        if name not in _bound(tree_of(file))
    ]

    assert not wrong, "\n".join(wrong)


def _bound(tree: ast.Module) -> set[str]:
    """Names that a module's own level binds."""
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.ClassDef() | ast.AsyncFunctionDef():
                names.add(node.name)
            case ast.TypeAlias():
                names.add(ast.unparse(node.name))
            case ast.Import() | ast.ImportFrom():
                names |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
            case ast.Name(ctx=ast.Store()):
                names.add(node.id)
    return names
