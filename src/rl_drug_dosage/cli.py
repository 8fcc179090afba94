"""The command line. Every module in ``commands/`` is a command; errors of this package are printed in one line."""

import contextlib
import functools
import importlib
import itertools
import os
import sys
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer

from rl_drug_dosage import registry
from rl_drug_dosage.errors import RlDrugDosageError
from rl_drug_dosage.utils.arguments import on_command_line
from rl_drug_dosage.utils.foreign import guarded, user_fault
from rl_drug_dosage.utils.printable import excerpt, printable

__all__ = ["app", "main"]

_LONGEST = 2000
"""Characters of an error message."""

_ABOUT = (
    "Dosing policies trained with PPO on virtual patients. For research and education only, not for treating patients."
)

# Typer's rich help loads a Markdown renderer and a syntax highlighter, which takes 0.4 s.
app = typer.Typer(help=_ABOUT, pretty_exceptions_enable=False, rich_markup_mode=None)


def _show_version(wanted: bool) -> None:
    if wanted:
        from rl_drug_dosage import __version__

        typer.echo(f"rl-drug-dosage {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    del version
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


def _told[**P, R](command: Callable[P, R]) -> Callable[P, R]:
    """The command; what a user's file raises in it becomes one line, before Typer takes it for an exit of its own."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with on_command_line(), guarded(user_fault, own=True):
            return command(*args, **kwargs)

    return run


for _name in registry.modules("rl_drug_dosage.commands"):
    _module = importlib.import_module(f"rl_drug_dosage.commands.{_name}")
    # A module cannot be called `import`.
    app.command(registry.public_name(_name.rstrip("_")))(_told(_module.command))


def main() -> None:
    """Run the command line. An error of this package is printed in one line on stderr and sets the exit code."""
    try:
        code = app(standalone_mode=False)
    except typer.TyperException as error:
        _fail(f"{_explain(error)} (see --help)", 2)
    except RlDrugDosageError as error:
        _fail(str(error.args[0]) if error.below else str(error), error.exit_code, error.below)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except BrokenPipeError:
        # The reader of the output has closed the pipe, so no message can be shown.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None
    except Exception as error:
        if not (fault := _place(error)):
            raise
        _fail(fault, 2)
    raise SystemExit(code or 0)


def _explain(error: typer.TyperException) -> str:
    """Typer's message, with the option and the given value."""
    if not isinstance(error, typer.BadParameter):
        return str(error)
    names = error.param.opts if error.param is not None else []
    given = [value for name, value in itertools.pairwise(sys.argv) if name in names]
    return error.format_message() + (f" (given: {given[-1]!r})" if given else "")


def _place(error: BaseException) -> str:
    """What is wrong with a path that the system refuses: a name that is too long, a link that leads to itself."""
    if not isinstance(error, OSError) or error.filename is None:
        return ""
    return f"cannot use {str(error.filename)!r}: {error.strerror or error}; name another file or folder"


def _fail(message: str, code: int, below: tuple[str, ...] = ()) -> NoReturn:
    # A message quotes what it refuses, which may be a whole file's worth, or hold a terminal's escape sequences.
    line = printable(excerpt(" ".join(message.split()), _LONGEST))
    typer.echo(f"rl-drug-dosage: error: {line}", err=True)
    for more in below:
        typer.echo(printable(more), err=True)
    raise SystemExit(code)
