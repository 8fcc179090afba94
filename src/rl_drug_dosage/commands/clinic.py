"""``rl-drug-dosage clinic``."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.utils.printable import say

__all__ = ["command"]


def command(
    host: Annotated[str, typer.Option(help="Address to listen on; others than this machine's need --i-understand.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port; 0: any free one.")] = 0,
    understood: Annotated[
        bool, typer.Option("--i-understand", help="Others may reach the page: it has no passwords and no encryption.")
    ] = False,
    models: Annotated[
        Path | None,
        typer.Option(help="Folder of learnt policies, each called after its scenario (a clone has models/)."),
    ] = None,
    output_dir: Annotated[
        Path | None, typer.Option(help="Folder for the reports of trials; without it nothing is written.")
    ] = None,
    warm: Annotated[
        list[str] | None,
        typer.Option(help="Drug whose programs are prepared at the start (repeatable).", show_default="vancomycin"),
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
) -> None:
    """Open a page in the browser: one patient's dose, a trial, or a virtual patient to dose yourself.

    Example: rl-drug-dosage clinic
    """
    from rl_drug_dosage.utils.runtime import configure
    from rl_drug_dosage.web.catalogue import drugs
    from rl_drug_dosage.web.running import serve
    from rl_drug_dosage.web.settings import Settings

    wanted = tuple(warm) if warm else ("vancomycin",)
    for drug in wanted:
        if drug not in drugs():
            raise ConfigError(f"--warm {drug!r}; allowed: {', '.join(drugs())}; choose one")
    settings = Settings(host=host, port=port, understood=understood, models=models, output_dir=output_dir, warm=wanted)
    configure("cpu")

    def tell(address: str) -> None:
        say("For research and education only; nothing here is meant to treat a patient.")
        say(f"the page: {address}")
        say("Ctrl-C ends it. The address is a key: give it to nobody.")
        if browser:
            import webbrowser

            webbrowser.open(address)

    serve(settings, tell)
    # A program that is being compiled cannot be interrupted, and Python would pull its memory away from under it.
    sys.stdout.flush()
    os._exit(0)
