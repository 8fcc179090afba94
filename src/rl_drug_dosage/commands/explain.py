"""``rl-drug-dosage explain``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rl_drug_dosage.explain.explanation import Explanation

__all__ = ["command"]


def command(
    model_path: Annotated[
        Path, typer.Option(help="Path to trained model (.pt file) of a dosing scenario.", show_default=False)
    ],
    patients: Annotated[
        int, typer.Option(help="Virtual patients to explain it on; as many again judge the table.")
    ] = 1000,
    seed: Annotated[int, typer.Option(help="Random seed; its patients are never those of training.")] = 1,
    output_dir: Annotated[
        Path | None, typer.Option(help="Folder for text, table and figures.", show_default="model's directory")
    ] = None,
    controller: Annotated[
        str, typer.Option(help="Drug model that the Bayesian dose believes.", show_default="the scenario's first")
    ] = "",
    device: Annotated[str, typer.Option(help="Device (cpu/cuda).")] = "cpu",
) -> None:
    """Show how a trained policy doses: curves, and a printable dosing table, beside the Bayesian and the label dose.

    Example: rl-drug-dosage explain --model-path models/warfarin.pt --patients 1000
    """
    from rl_drug_dosage.utils.runtime import configure

    configure(device)

    from rl_drug_dosage.explain.explanation import ExplainOptions, check, explain
    from rl_drug_dosage.explain.files import write_explanation
    from rl_drug_dosage.trials.benchmark_files import prepare_folder

    options = ExplainOptions(
        model_path=model_path, patients=patients, seed=seed, output_dir=output_dir, controller=controller
    )
    check(options)
    folder = prepare_folder(output_dir or model_path.parent)
    result = explain(options, say=typer.echo)
    _show(result)
    for path in write_explanation(result, folder):
        typer.echo(path)


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
        title=f"{result.scenario.title}: {result.options.patients:,} patients that the table has not seen",
        console=console,
    )
    for sentence in summary(result):
        console.print(f"- {sentence}")
    console.print(INTENDED_USE)
