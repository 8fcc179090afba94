"""Reference pages from the code: the public functions and classes, the commands, the metrics, the observations."""

import ast
import importlib
import inspect
import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, get_args

from staging import ROOT, Stage, filled

PACKAGE = "rl_drug_dosage"


def write_reference(stage: Stage) -> None:
    """Write every page of the reference that comes from code and values."""
    from scenario_reference import write_observations, write_policies, write_scenarios

    write_api(stage)
    write_cli(stage)
    write_metrics(stage)
    write_scenarios(stage)
    write_observations(stage)
    write_policies(stage)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; a bar in a cell is a letter."""
    columns = tuple(head)
    lines = [columns, ("---",) * len(columns), *(tuple(c.replace("|", "\\|") for c in row) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def tree(pages: Iterable[str], **options: str) -> str:
    """A toctree of pages, each given from the site's root, or as ``title </page>``."""
    said = "".join(f":{name}: {value}\n" for name, value in options.items())
    return (
        "```{toctree}\n"
        + said
        + "\n"
        + "\n".join(p if "<" in p else f"/{p.removeprefix('/')}" for p in pages)
        + "\n```\n"
    )


def rooms() -> list[str]:
    """The rooms that promise names, in ``__all__``; the others are folders of files, each with one agreed attribute."""
    source = ROOT / "src" / PACKAGE
    return [path.parent.name for path in sorted(source.glob("*/__init__.py")) if public(path)]


def public(path: Path) -> list[str]:
    """``__all__`` of a file."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def write_api(stage: Stage) -> None:
    """A page for the front door and one for each room, and their list."""
    surfaces = [PACKAGE, *(f"{PACKAGE}.{room}" for room in rooms())]
    rows = []
    for dotted in surfaces:
        module = importlib.import_module(dotted)
        names = [n for n in module.__all__ if n != "__version__"]
        at = "functions" if dotted == PACKAGE else dotted.rpartition(".")[2]
        stage.write(f"reference/api/{at}.md", _api_page(module, names))
        rows.append((f"[{dotted}](api/{at}.md)", (module.__doc__ or "").strip().splitlines()[0], str(len(names))))
    pages = [f"reference/api/{'functions' if d == PACKAGE else d.rpartition('.')[2]}" for d in surfaces]
    listed = table(("import", "what it is for", "names"), rows) + "\n" + tree(pages, maxdepth="1", hidden="")
    stage.write("reference/api.md", filled("api", rooms=listed))


def _api_page(module: ModuleType, names: list[str]) -> str:
    text = inspect.cleandoc(module.__doc__ or "")
    own, rows = [], []
    for name in names:
        room = _room_of(module, name)
        own += [] if room else [name]
        rows.append(
            (f"{{py:obj}}`{name} <{room or module.__name__}.{name}>`", _first(getattr(module, name), name, module))
        )
    parts = [f"# {module.__name__}", f"```{{eval-rst}}\n{_as_rst(text)}\n```", table(("name", "what it is"), rows)]
    rst = "\n".join(line for name in own for line in _entry(module, name))
    return "\n\n".join(parts) + f"\n## Details\n\n```{{eval-rst}}\n{rst}\n```\n"


def _room_of(module: ModuleType, name: str) -> str:
    """The room that promises a name of the front door as well, and where it is described; empty for all others.

    A thing is described once: of two places a search would give both, and its source could lead back to one only.
    """
    if module.__name__ != PACKAGE:
        return ""
    value = getattr(module, name)
    others = (importlib.import_module(f"{PACKAGE}.{room}") for room in rooms())
    return next((o.__name__ for o in others if name in o.__all__ and getattr(o, name) is value), "")


def _as_rst(text: str) -> str:
    from docstrings import as_rst

    return "\n".join(as_rst(text.splitlines()))


def _first(value: Any, name: str, module: ModuleType) -> str:
    """The first line of what is said of a thing."""
    if _documented(value):
        text = inspect.cleandoc(value.__doc__) if value.__doc__ else ""
    else:
        text = "\n".join(_constant_docs(name, module))
    return _prose(text.partition("\n")[0].replace("``", "`"))


def _documented(value: Any) -> bool:
    return inspect.isclass(value) or inspect.isroutine(value) or hasattr(value, "__wrapped__")


def _entry(module: ModuleType, name: str) -> Iterator[str]:
    """The directive of one name."""
    value = getattr(module, name)
    whole = f"{module.__name__}.{name}"
    if not _documented(value):
        yield from (f".. py:data:: {whole}", "")
        yield from (f"   {line}" for line in _constant(value, name, module))
    elif inspect.isclass(value):
        yield from (f".. autoclass:: {whole}", "   :members:", *_bases(value))
    else:
        # A function that takes its settings from a table of types shows them all.
        yield f".. autofunction:: {whole}{_plain(inspect.signature(value)) if module.__name__ == PACKAGE else ''}"
    yield ""


def _bases(value: type) -> list[str]:
    return ["   :show-inheritance:"] if issubclass(value, BaseException) else []


def _plain(signature: inspect.Signature) -> str:
    """A signature without annotations."""
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))


def _constant_docs(name: str, module: ModuleType) -> list[str]:
    """The text under a constant's definition, wherever in its room that is."""
    for path in sorted(Path(str(module.__file__)).parent.rglob("*.py")):
        if text := _attribute_docs(path).get(name):
            return text.splitlines()
    return []


def _constant(value: Any, name: str, module: ModuleType) -> list[str]:
    """What a constant is: the text under its definition, and its names or values."""
    lines = _as_rst("\n".join(_constant_docs(name, module))).splitlines()
    if isinstance(value, dict | MappingProxyType):
        lines += ["", "Names: " + ", ".join(f"``{key}``" for key in value) + "."]
    elif isinstance(value, tuple):
        lines += ["", "Values: " + ", ".join(f"``{key}``" if key else "empty" for key in value) + "."]
    elif get_args(value):
        lines += ["", "One of " + ", ".join(f"``{key!r}``" for key in get_args(value)) + "."]
    return lines


def write_cli(stage: Stage) -> None:
    """A page for each command, from its parser."""
    import typer.main

    from rl_drug_dosage.cli import app

    commands = typer.main.get_command(app).commands
    context = typer.main.get_command(app).make_context("rl-drug-dosage", [], resilient_parsing=True)
    rows = []
    for name in sorted(commands):
        stage.write(f"reference/cli/{name}.md", _command_page(name, commands[name], context))
        rows.append((f"[{name}](cli/{name}.md)", (commands[name].help or "").splitlines()[0]))
    pages = [f"reference/cli/{name}" for name in sorted(commands)]
    listed = table(("command", "what it does"), rows) + "\n" + tree(pages, maxdepth="1", hidden="")
    stage.write("reference/cli.md", filled("cli", commands=listed))


def _command_page(name: str, command: Any, parent: Any) -> str:
    text = inspect.cleandoc(command.help or "")
    examples = re.findall(r"^Example: (.*)$", text, re.MULTILINE)
    said = re.sub(r"^Example: .*$", "", text, flags=re.MULTILINE).strip()
    context = command.make_context(name, [], parent=parent, resilient_parsing=True)
    usage = " ".join(["rl-drug-dosage", name, *command.collect_usage_pieces(context)])
    rows: dict[str, list[tuple[str, str]]] = {"argument": [], "option": []}
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record and parameter.name != "help":
            rows[parameter.param_type_name].append((f"`{record[0]}`", _prose(record[1])))
    parts = [f"# {name}", _prose(said), f"```text\n{usage}\n```"]
    if examples:
        parts.append("For example:\n\n" + "\n".join(f"- `{example}`" for example in examples))
    for kind, found in rows.items():
        if found:
            # A list and no table: the names of options are long, and a phone is narrow.
            parts += [f"## {kind.capitalize()}s", "\n\n".join(f"{name}\n: {text}" for name, text in found)]
    return "\n\n".join(parts) + "\n"


def _prose(text: str) -> str:
    """Help text in Markdown: stars, brackets and angles are letters, but for what stands in backquotes."""
    pieces = text.split("`")
    return "`".join(p if i % 2 else re.sub(r"([*<\[\]])", r"\\\1", p) for i, p in enumerate(pieces))


def write_metrics(stage: Stage) -> None:
    """What is judged and reported, with the definitions that stand in the code."""
    from rl_drug_dosage.ppo.loss import LossTerms
    from rl_drug_dosage.trials.burden import course_burden
    from rl_drug_dosage.trials.statistics import endpoints

    target = _attribute_docs(ROOT / "src" / PACKAGE / "pkpd" / "description.py")["Metric"]
    logged = _logged()
    if missing := {f"losses/{name}" for name in LossTerms._fields} - _named(logged):
        raise SystemExit(f"site: docs/training.md's table of metrics lacks {', '.join(sorted(missing))}: add a row")
    head = ("column", "meaning")
    text = filled(
        "metrics",
        targets=table(("metric", "meaning"), definitions(target)),
        endpoints=table(head, definitions(inspect.getdoc(endpoints) or "")),
        burden=table(head, definitions(inspect.getdoc(course_burden) or "")),
        logged=logged,
    )
    stage.write("reference/metrics.md", text)


def definitions(text: str) -> list[tuple[str, str]]:
    """The ``name``: meaning pairs of a docstring's prose; a pair ends where the next begins, or the paragraph does."""
    flat = " ".join(text.partition("Args:")[0].split())
    begin = r"((?:``[\w:]+``(?:, | and )?)+(?:, one per \w+)?): "
    pieces = re.split(begin, flat)
    found = []
    for names, meaning in zip(pieces[1::2], pieces[2::2], strict=True):
        found.append((names.replace("``", "`"), _prose(meaning.strip().removesuffix(".").replace("``", "`"))))
    return found


def _logged() -> str:
    """The table of docs/training.md of what training logs."""
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    found = re.search(r"^\| metric \| \|\n(?:\|.*\n)+", text, re.MULTILINE)
    if not found:
        raise SystemExit("site: docs/training.md has no table that begins with `| metric | |`")
    return found[0]


def _named(text: str) -> set[str]:
    return set(re.findall(r"`([\w/]+)`", text))


def _attribute_docs(path: Path) -> dict[str, str]:
    """Name -> the text under its assignment."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    found = {}
    for node, after in itertools.pairwise(body):
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
            target = getattr(node, "target", None) or getattr(node, "name", None) or getattr(node, "targets", [None])[0]
            if target is not None:
                found[ast.unparse(target)] = inspect.cleandoc(after.value.value)
    return found
