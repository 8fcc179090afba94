"""``rl-drug-dosage new``."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rl_drug_dosage import registry
from rl_drug_dosage.errors import ConfigError, OutputError, UnknownNameError
from rl_drug_dosage.utils.printable import say

if TYPE_CHECKING:
    from rl_drug_dosage.pkpd import DrugModel

__all__ = ["command"]

_KINDS = {"drug": registry.DRUG, "scenario": registry.SCENARIO, "policy": registry.POLICY}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_DEFAULT_DRUG = "vancomycin-goti2018"


def command(
    kind: Annotated[str, typer.Argument(help="drug, scenario or policy.", metavar="KIND")],
    name: Annotated[str, typer.Argument(help="Name of the object and of the file.", metavar="NAME")],
    folder: Annotated[Path, typer.Option("--dir", help="Folder for the file.")] = Path(),
    ode: Annotated[bool, typer.Option("--ode", help="A drug as differential equations.")] = False,
    drug: Annotated[
        str,
        typer.Option(help="Drug model of a scenario: a name, or a .py file in the folder.", show_default=_DEFAULT_DRUG),
    ] = "",
    short: Annotated[bool, typer.Option("--short", help="A drug in the short form, for models of your own.")] = False,
) -> None:
    """Write a commented starting file for a drug, scenario or policy of your own. It runs as it is.

    Example: rl-drug-dosage new drug mymycin && rl-drug-dosage simulate --drug ./mymycin.py
    """
    if kind not in _KINDS:
        raise UnknownNameError("kind of file", kind, _KINDS)
    if not _NAME.fullmatch(name):
        raise ConfigError(f"name {name!r} is not allowed: use letters, digits, - and _, starting with a letter")
    word = name.replace("_", "-")
    if word in registry.names(_KINDS[kind]):
        raise ConfigError(f"{kind} {word!r} exists already: choose another name")
    for option, given, wanted in (
        ("--ode", ode, "drug"),
        ("--short", short, "drug"),
        ("--drug", bool(drug), "scenario"),
    ):
        if given and kind != wanted:
            raise ConfigError(f"{option} is for `new {wanted}`: leave it out")
    if ode and short:
        raise ConfigError("--short has no differential equations: leave out one of --ode and --short")
    module = name.replace("-", "_")
    path = folder / (f"{module}.toml" if kind == "scenario" else f"{module}.py")
    words = {"NAME": word, "FILE": path.name, "CLASS": _class_name(module)}
    if kind == "scenario":
        words |= _scenario_words(drug or _DEFAULT_DRUG, folder)
    form = "_ode" if ode else "_short" if short else ""
    _write(path, _filled(f"{kind}{form}.{'toml' if kind == 'scenario' else 'py'}.txt", words))
    say(path)


def _class_name(module: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in module.split("_") if part)


def _filled(template: str, words: dict[str, str]) -> str:
    from importlib.resources import files

    text = (files("rl_drug_dosage") / "templates" / template).read_text(encoding="utf-8")
    return re.sub(r"@([A-Z]+)@", lambda match: words[match[1]], text)


def _write(path: Path, text: str) -> None:
    """Write a new file; an existing one is never overwritten."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise OutputError(f"{path} exists: give another name or --dir, or remove it") from None
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}; choose another --dir") from None


def _scenario_words(reference: str, folder: Path) -> dict[str, str]:
    """The template's placeholders for a drug."""
    from rl_drug_dosage.utils.runtime import configure

    configure("cpu")

    from rl_drug_dosage.registry import DRUG, is_file_reference, load_drug

    if is_file_reference(DRUG, reference):
        path = Path(reference) if Path(reference).is_file() else folder / reference
        if path.is_file() and path.resolve().parent != folder.resolve():
            raise ConfigError(
                f"{reference} is not in {folder}: a scenario file can only use drug files in its own folder; copy it"
            )
        model, said = load_drug(path), path.name
    else:
        model = load_drug(reference)
        said = model.name
    return {"DRUG": said, **_proposed(model)}


def _proposed(model: "DrugModel") -> dict[str, str]:
    """The template's placeholders for a scenario: schedule, sampling plan and goal, taken from the drug file."""
    measured = [output for output in model.outputs if output.residual is not None]
    if not measured:
        raise ConfigError(f"{model.name} publishes no residual error, so levels cannot be simulated: use another one")
    if not model.dosing.are_named:
        raise ConfigError(f"{model.name} names no doses and intervals: use another one, or add them to its file")
    output, route = measured[0], model.dosing.routes[0]
    interval_h = model.dosing.intervals_h[0]
    usable = [t for t in model.targets if t.output == output.name and t.metric not in {"average", "time_above"}]
    if not usable:
        raise ConfigError(f"{model.name} publishes no target on {output.name}: use another one, or write the file")
    target = usable[0]
    times = sorted(
        {
            min(max(route.duration_of(model.dosing.usual_dose_mg), interval_h / 8.0), interval_h),
            interval_h / 2.0,
            interval_h,
        }
    )
    low, high = target.low, target.high
    edges = [f"{key} = {edge:g}" for key, edge in (("low", low), ("high", high)) if edge is not None]
    harm = ""
    if high is not None:
        harm = f'\n[[goal.harms]]\nname = "above {high:g} {target.unit}"\nmetric = "{target.metric}"\n'
        harm += f'output = "{output.name}"\nabove = {high:g}\nsource = {_quoted(target.source)}\n'
    return {
        "TITLE": f"{model.drug} every {interval_h:g} h",
        "COVARIATE": model.covariates[0].name if model.covariates else "wt_kg",
        "INTERVAL": f"{interval_h:g}",
        "TIMES": "[" + ", ".join(f"{t:g}" for t in times) + "]",
        "ROUTE": route.name,
        "OUTPUT": output.name,
        "METRIC": target.metric,
        "EDGES": "\n".join(edges),
        "UNIT": target.unit,
        "SOURCE": _quoted(target.source),
        "HARMS": harm,
    }


def _quoted(text: str) -> str:
    """A text as a TOML string; JSON's quoting is the same."""
    import json

    return json.dumps(text, ensure_ascii=False)
