"""``rl-drug-dosage cache``."""

from pathlib import Path
from typing import Annotated

import typer

from rl_drug_dosage.errors import OutputError, UnknownNameError
from rl_drug_dosage.utils.printable import say

__all__ = ["command"]

_ACTIONS = ("info", "clear")


def command(
    action: Annotated[str, typer.Argument(help="info or clear.", metavar="ACTION")] = "info",
) -> None:
    """Show or remove the programs kept between runs. Without them the next run of each takes longer, nothing else.

    Example: rl-drug-dosage cache info
    """
    if action not in _ACTIONS:
        raise UnknownNameError("action of cache", action, _ACTIONS)
    from rl_drug_dosage.utils.runtime import cache_folder, traced_folder

    compiled, traced = cache_folder(), traced_folder()
    if action == "clear":
        _clear(compiled, traced)
    from rl_drug_dosage.utils.kept_programs import MOST_COMPILED_BYTES, MOST_TRACED_BYTES

    for what, folder, most in (("compiled", compiled, MOST_COMPILED_BYTES), ("traced", traced, MOST_TRACED_BYTES)):
        sizes = [path.stat().st_size for path in _files(folder)]
        say(f"{what}: {len(sizes):,} files, {sum(sizes) / 2**20:,.1f} of at most {most / 2**20:,.0f} MiB, in {folder}")


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []


def _clear(*folders: Path) -> None:
    """Remove the programs, and nothing else that may lie in a folder which the user has named."""
    for folder in folders:
        for path in _files(folder):
            if path.name.endswith(("-cache", "-atime", ".program")):
                try:
                    path.unlink(missing_ok=True)
                except OSError as error:
                    raise OutputError(f"cannot remove {path}: {error.strerror or error}") from None
