"""``rl-drug-dosage explain``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rl_drug_dosage import api
from rl_drug_dosage.utils.defaults import defaults_of
from rl_drug_dosage.utils.printable import printable, say

if TYPE_CHECKING:
    from rl_drug_dosage.explain.explanation import Explanation

__all__ = ["command"]

_DEFAULT = defaults_of(api.explain)


def command(  # noqa: PLR0917 - the options of a command line
    model_path: Annotated[
        Path,
        typer.Option(
            help="Path to trained model (.pt file) of a dosing scenario, or a run folder.", show_default=False
        ),
    ],
    patients: Annotated[
        int, typer.Option(help="Virtual patients; as many again are used to assess the table.")
    ] = _DEFAULT["patients"],
    seed: Annotated[int, typer.Option(help="Random seed; patients are disjoint from training.")] = _DEFAULT["seed"],
    output_dir: Annotated[
        Path | None, typer.Option(help="Folder for text, table and figures.", show_default="model's directory")
    ] = None,
    scenario: Annotated[
        str | None,
        typer.Option(help="The scenario file, for a model trained on your own scenario.", show_default=False),
    ] = _DEFAULT["scenario"],
    simulator: Annotated[
        str | None,
        typer.Option(
            help="Drug model that simulates the patients: a name or a file.", show_default="the one used in training"
        ),
    ] = _DEFAULT["simulator"],
    controller: Annotated[
        str | None,
        typer.Option(
            help="Drug model assumed by Bayesian dosing: a name or a file.", show_default="the scenario's first"
        ),
    ] = _DEFAULT["controller"],
    accept_changed: Annotated[
        bool, typer.Option("--accept-changed", help="Explain although the scenario file has changed since training.")
    ] = _DEFAULT["accept_changed"],
    device: Annotated[str, typer.Option(help="Device (cpu/cuda).")] = _DEFAULT["device"],
) -> None:
    """Show how a trained policy doses: curves, and a printable dosing table, beside the Bayesian and the label dose.

    Example: rl-drug-dosage explain --model-path models/warfarin.pt --patients 1000
    """
    from rl_drug_dosage.utils.progress import printed

    with printed() as progress:
        result = api.explain(
            model_path,
            patients=patients,
            seed=seed,
            scenario=scenario,
            simulator=simulator,
            controller=controller,
            accept_changed=accept_changed,
            output_dir=output_dir or (model_path if model_path.is_dir() else model_path.parent),
            device=device,
            progress=progress,
        )
    _show(result)
    for path in result.files:
        say(path)


def _show(result: "Explanation") -> None:
    from rich.console import Console

    from rl_drug_dosage.explain.text import INTENDED_USE, summary
    from rl_drug_dosage.utils.tables import Column, show_table

    rows = []
    for name, (mean, low, high) in sorted(result.attainment.items(), key=lambda a: -a[1][0]):
        minus = result.difference.get(name)
        shown = "" if minus is None else f"{minus[0]:+.1f} ({minus[1]:+.1f} to {minus[2]:+.1f})"
        rows.append((name, f"{mean:.1f}", f"{low:.1f} to {high:.1f}", shown))
    console = Console()
    show_table(
        [
            Column("policy", "name", key=True),
            *map(Column, ("in target (%)", "95 % interval", "table - policy (points)")),
        ],
        rows,
        title=f"{result.scenario.title}: {result.options.patients:,} patients not used to build the table",
        console=console,
    )
    for sentence in summary(result):
        console.print(printable(f"- {sentence}"), markup=False)
    console.print(INTENDED_USE)
