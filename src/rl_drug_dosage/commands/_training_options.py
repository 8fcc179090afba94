"""The settings of training as command-line options, for the commands that train."""

import inspect
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from rl_drug_dosage.training.config import PRESETS, RunOptions, TrainConfig, options_of

__all__ = ["PRESET_HELP", "given_ones", "option", "settings"]

PRESET_HELP = f"a set of defaults: {', '.join(PRESETS)}, or scenario (the settings of the dosing scenario)"


def option(name: str, kind: Any, default: Any, help_: str, panel: str) -> inspect.Parameter:
    """An option as a parameter of a command."""
    shown = typer.Option(help=help_, rich_help_panel=panel, show_default=default not in ("", None))
    text = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Parameter(name, text, default=default, annotation=Annotated[kind, shown])


def settings(left_out: Iterable[str] = ()) -> list[inspect.Parameter]:
    """Every field of the configuration and of the run's options.

    Args:
        left_out: names of those that the command does not have.
    """
    fields = options_of(TrainConfig) + options_of(RunOptions)
    return [option(o.name, o.kind, o.default, o.help, o.panel) for o in fields if o.name not in set(left_out)]


def given_ones(ctx: typer.Context, values: dict[str, Any]) -> dict[str, Any]:
    """The options that stand on the command line."""
    return {n: v for n, v in values.items() if ctx.get_parameter_source(n).name != "DEFAULT"}  # type: ignore[union-attr]
