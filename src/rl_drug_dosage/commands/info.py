"""``rl-drug-dosage info``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rl_drug_dosage.commands._published_table import list_published, say_published
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.utils.printable import printable, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rich.console import Console

    from rl_drug_dosage.clinic.policy import PolicyDefinition
    from rl_drug_dosage.pharmacometrics.drug_page import Page
    from rl_drug_dosage.registry import Found

__all__ = ["command"]

_OWN_LINE = ("names", "meaning", "source", "residual error")
"""Columns with sentences: they get separate lines, since a table that mixes them with numbers is unreadable in a
terminal."""


def command(  # noqa: PLR0917 - the options of a command line
    model_path: Annotated[Path | None, typer.Option(help="Show the record in this model file instead.")] = None,
    drug: Annotated[str | None, typer.Option(help="Show this drug model: equations, numbers, sources.")] = None,
    scenario: Annotated[
        str | None,
        typer.Option(help="Show this scenario: task, dosage, goal, and the meaning of each observation component."),
    ] = None,
    policy: Annotated[str | None, typer.Option(help="Show this policy and its options.", metavar="NAME")] = None,
    published_trial: Annotated[
        str | None,
        typer.Option(help="Show this published trial: protocol, numbers with their places, ours.", metavar="NAME"),
    ] = None,
    drugs: Annotated[bool, typer.Option("--drugs", help="List the drug models.")] = False,
    scenarios: Annotated[bool, typer.Option("--scenarios", help="List the dosing scenarios.")] = False,
    policies: Annotated[bool, typer.Option("--policies", help="List the policies and their options.")] = False,
    published_trials: Annotated[
        bool, typer.Option("--published-trials", help="List the published trials that ours can stand beside.")
    ] = False,
) -> None:
    """Show the project and its defaults, or a model file, a drug model, a scenario, a policy or a published trial.

    Example: rl-drug-dosage info --drug vancomycin-goti2018
    """
    from rich.console import Console

    console = Console()
    ways: dict[str, tuple[object, Callable[[], None]]] = {
        "--model-path": (model_path, lambda: _show_model(console, model_path)),
        "--drug": (drug, lambda: _show_drug(str(drug))),
        "--drugs": (drugs, lambda: _list_drugs(console)),
        "--scenario": (scenario, lambda: _show_scenario(str(scenario))),
        "--scenarios": (scenarios, lambda: _list_scenarios(console)),
        "--policy": (policy, lambda: _show_policy(str(policy))),
        "--policies": (policies, _list_policies),
        "--published-trial": (published_trial, lambda: _show_published(str(published_trial))),
        "--published-trials": (published_trials, lambda: _list_published(console)),
    }
    asked = [name for name, (given, _) in ways.items() if given not in {None, False}]
    if len(asked) > 1:
        raise ConfigError(f"info shows one thing at a time, not {' and '.join(asked)}: leave one out")
    if asked:
        ways[asked[0]][1]()
    else:
        _show_project(console)


def _show_model(console: "Console", path: Path | None) -> None:
    import json

    from rl_drug_dosage.ppo.model_file import load_model

    assert path is not None
    console.print_json(json.dumps(load_model(path).record), ensure_ascii=True)


def _show_drug(name: str) -> None:
    from rl_drug_dosage.utils.runtime import configure

    configure("cpu")

    from rl_drug_dosage.pharmacometrics.drug_page import drug_page
    from rl_drug_dosage.registry import load_drug

    _show(drug_page(load_drug(name)))


def _show_scenario(reference: str) -> None:
    from rl_drug_dosage.utils.runtime import configure

    configure("cpu")

    from rl_drug_dosage.pharmacometrics.scenario_page import scenario_page
    from rl_drug_dosage.registry import find_scenario

    _show(scenario_page(find_scenario(reference)))


def _show_policy(reference: str) -> None:
    from rl_drug_dosage.utils.runtime import configure

    configure("cpu")

    from rl_drug_dosage.registry import POLICY, find, label_of

    _say_policy(find(POLICY, label_of(reference)[1]))


def _show_published(reference: str) -> None:
    from rl_drug_dosage.utils.runtime import configure

    configure("cpu")

    from rl_drug_dosage.registry import PUBLISHED, find

    say_published(find(PUBLISHED, reference))


def _list_published(console: "Console") -> None:
    from rl_drug_dosage.utils.runtime import configure

    configure("cpu")

    _say_left_out(list_published(console))


def _list_policies() -> None:
    from rl_drug_dosage.utils.runtime import configure

    configure("cpu")

    from rl_drug_dosage.registry import POLICY, every

    found, broken = every(POLICY)
    for one in found:
        _say_policy(one)
    say("Options follow a policy's name: --policy NAME,option=value,option=value")
    _say_left_out(broken)


def _say_policy(found: "Found[PolicyDefinition]") -> None:
    """A policy with its options, one line each."""
    definition = found.value
    typer.echo(f"{typer.style(printable(found.name), bold=True)}: ", nl=False)
    say(definition.title)
    for name, option in definition.options.items():
        value = definition.given.get(name, option.default)
        chosen = f", here {_short(value)}" if value != option.default else ""
        say(f"    {name}: {option.meaning}")
        say(f"        {option.allowed}; default {_short(option.default)}{chosen}")


def _short(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _show(page: "Page") -> None:
    say(f"{page.name}: {page.title}", bold=True)
    for section in page.sections:
        say(f"\n{section.heading}", bold=True)
        for line in (*section.lines, *section.code):
            say(line)
        for row in section.rows:
            cells = dict(zip(section.columns, row, strict=True))
            last = [f"{column}: {cells.pop(column)}" for column in _OWN_LINE if cells.get(column)]
            key = cells.pop(section.columns[0])
            typer.echo(f"{typer.style(printable(key), bold=True)}: ", nl=False)
            say(f"{', '.join(f'{k} {v}' for k, v in cells.items() if v)}")
            for text in last:
                say(f"    {text}")


def _list_drugs(console: "Console") -> None:
    from rl_drug_dosage.utils.runtime import configure

    configure("cpu")

    from rl_drug_dosage.registry import DRUG, every
    from rl_drug_dosage.utils.tables import Column, show_table

    found, broken = every(DRUG)
    show_table(
        [Column("model", "name", key=True), Column("title", "words"), Column("population", "words")],
        [(f.value.name, f.value.title, f.value.population) for f in found],
        lines=True,
        console=console,
    )
    _say_left_out(broken)


def _say_left_out(broken: "Iterable[str]") -> None:
    for text in broken:
        say(f"left out: {text}", err=True)


def _list_scenarios(console: "Console") -> None:
    from rl_drug_dosage.utils.runtime import configure

    configure("cpu")

    from rl_drug_dosage.registry import SCENARIO, every
    from rl_drug_dosage.utils.tables import Column, show_table

    found, broken = every(SCENARIO)
    show_table(
        [
            Column("scenario", "name", key=True),
            Column("task", "words"),
            Column("drug models, the default first", "names"),
            Column("for test patients only", "names"),
            Column("environment", "name"),
        ],
        [(f.name, f.value.title, ", ".join(f.value.models), ", ".join(f.value.test_only), f.env_id) for f in found],
        lines=True,
        console=console,
    )
    _say_left_out(broken)


def _show_project(console: "Console") -> None:
    import platform
    from importlib.metadata import version

    from rl_drug_dosage.envs import catalog
    from rl_drug_dosage.utils.runtime import cache_folder
    from rl_drug_dosage.utils.tables import Column, show_table

    console.print(f"rl-drug-dosage {version('rl-drug-dosage')}: dosing policies trained with PPO on virtual patients")
    console.print("For research and education only; nothing here is meant to treat a patient.")
    console.print(f"Python {platform.python_version()}, JAX {version('jax')}, Gymnasium {version('gymnasium')}")
    console.print(f"compiled programs are cached in {cache_folder()}", soft_wrap=True)
    console.print("dosing scenarios: `rl-drug-dosage info --scenarios`")
    console.print("published trials to stand beside: `rl-drug-dosage info --published-trials`")
    for env_id in sorted(set(catalog.ids()) - catalog.scenario_ids()):
        env = catalog.find_env(env_id)
        if env is None:
            continue
        functional = env.make()
        (low,), (high,) = functional.action_bounds
        window, axes = functional.window, functional.axes
        console.print(f"\n[bold]{env_id}[/bold]: {env.title}")
        console.print(f"  dose from {low:g} to {high:g} {axes['dose'].unit}, {functional.horizon} {axes['time'].unit}")
        console.print(f"  therapeutic window {window.low:g} to {window.high:g} {window.quantity.unit}")
        show_table(
            [
                Column("option", "name", key=True),
                Column("default", "name"),
                Column("in training and evaluation", "name"),
            ],
            [(name, str(d), str(env.training_options.get(name, d))) for name, d in env.options().items()],
            console=console,
        )
