"""``rl-drug-dosage merge``."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from rl_drug_dosage import api
from rl_drug_dosage.commands._benchmark_tables import show_benchmark
from rl_drug_dosage.utils.defaults import defaults_of
from rl_drug_dosage.utils.printable import say

__all__ = ["command"]

_DEFAULT = defaults_of(api.merge)


def command(  # noqa: PLR0917 - the options of a command line
    parts: Annotated[list[Path], typer.Argument(help="Parts of one benchmark, or folders with them.")],
    scenario: Annotated[
        str | None, typer.Option(help="The dosing task, where it was a file.", show_default=False)
    ] = _DEFAULT["scenario"],
    published: Annotated[
        str | None, typer.Option(help="The published trial, where it was a file.", show_default=False)
    ] = _DEFAULT["published"],
    policy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]POLICY[,OPTION=VALUE...]",
            help="Every policy (repeatable), where one of them was a file.",
            show_default=False,
        ),
    ] = None,
    simulator: Annotated[
        str | None, typer.Option(help="The drug model of the patients, where it was a file.", show_default=False)
    ] = _DEFAULT["simulator"],
    controller: Annotated[
        str | None, typer.Option(help="The drug model that policies assume, where it was a file.", show_default=False)
    ] = _DEFAULT["controller"],
    output_dir: Annotated[
        Path | None, typer.Option(help="Folder for report and tables.", show_default="that of the first part")
    ] = None,
    file_format: Annotated[
        str, typer.Option("--format", help="The patients' table: csv or parquet (needs pyarrow).")
    ] = _DEFAULT["file_format"],
    device: Annotated[str, typer.Option(help="Device (cpu/cuda).")] = _DEFAULT["device"],
) -> None:
    """Make one benchmark of the parts that `benchmark --shard K/N` has written; no patient is treated again.

    Example: rl-drug-dosage merge benchmark-vancomycin
    """
    from rl_drug_dosage.utils.progress import printed
    from rl_drug_dosage.utils.runtime import configure

    configure(device)
    first = parts[0]
    with printed() as progress:
        result = api.merge(
            parts,
            scenario=scenario,
            published=published,
            policies=policy or (),
            simulator=simulator,
            controller=controller,
            output_dir=output_dir or (first if first.is_dir() else first.parent),
            file_format=file_format,
            command=shlex.join(["rl-drug-dosage", *sys.argv[1:]]),
            device=device,
            progress=progress,
        )
    show_benchmark(result.record)
    for path in result.files:
        say(path)
