"""The command line: every module in ``commands/`` is a command, and every error of ours one line."""

import contextlib
import importlib
import os
import sys
from typing import Annotated

import typer

from rl_drug_dosage.errors import RlDrugDosageError
from rl_drug_dosage.utils import plugins

__all__ = ["app", "main"]

_ABOUT = "Dosing policies trained with PPO on virtual patients. Research and education only: it treats no patient."

app = typer.Typer(help=_ABOUT, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _show_version(wanted: bool) -> None:
    if wanted:
        from rl_drug_dosage import __version__

        typer.echo(f"rl-drug-dosage {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    del version


for _name in plugins.names("rl_drug_dosage.commands"):
    _module = importlib.import_module(f"rl_drug_dosage.commands.{_name}")
    app.command(plugins.public_name(_name))(_module.command)


def main() -> None:
    """Run the command line; an error of ours ends in one line on stderr and its exit code."""
    try:
        app()
    except RlDrugDosageError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except BrokenPipeError:
        # whoever read our output has gone; nothing is left to say it to
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None


def _fail(message: str, code: int) -> None:
    line = " ".join(message.split())
    print(f"rl-drug-dosage: error: {line}", file=sys.stderr)
    raise SystemExit(code)
