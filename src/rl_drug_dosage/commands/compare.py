"""``rl-drug-dosage compare``."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rl_drug_dosage import api
from rl_drug_dosage.utils.defaults import defaults_of
from rl_drug_dosage.utils.printable import say

if TYPE_CHECKING:
    from rl_drug_dosage.training.compare import Comparison

__all__ = ["command"]

_DEFAULT = defaults_of(api.compare)


def command(
    runs: Annotated[list[str], typer.Argument(help="Run folders, at least two: runs/a runs/b, or runs/*.")],
    scenario: Annotated[
        str | None, typer.Option(help="Dosing task, for runs on your own scenario: a name or a file.")
    ] = _DEFAULT["scenario"],
    patients: Annotated[int, typer.Option(help="Virtual patients in the paired trial (0: no trial).")] = _DEFAULT[
        "patients"
    ],
    seed: Annotated[int, typer.Option(help="Random seed of the trial's cohort and of the bootstrap.")] = _DEFAULT[
        "seed"
    ],
    accept_changed: Annotated[
        bool, typer.Option("--accept-changed", help="Try models although the scenario file has changed.")
    ] = _DEFAULT["accept_changed"],
    output_dir: Annotated[Path, typer.Option(help="Folder for comparison.html, .json and .csv.")] = Path(),
    device: Annotated[str, typer.Option(help="Device (cpu/cuda).")] = _DEFAULT["device"],
) -> None:
    """Compare training runs: learning curves over seeds, final results, a paired trial, and what differed.

    Example: rl-drug-dosage compare runs/a runs/b --output-dir compared
    """
    from rl_drug_dosage.utils.progress import printed

    with printed() as progress:
        result = api.compare(
            runs,
            scenario=scenario,
            patients=patients,
            seed=seed,
            accept_changed=accept_changed,
            output_dir=output_dir,
            command=shlex.join(["rl-drug-dosage", *sys.argv[1:]]),
            device=device,
            progress=progress,
        )
    _show(result)
    for path in result.files:
        say(path)


def _show(result: "Comparison") -> None:
    from rl_drug_dosage.utils.tables import Column, show_table

    rows = []
    for run in result.record["runs"]:
        final = run["final"].get("eval/mean_reward")
        share = run["final"].get("eval/in_range_pct")
        known = final is not None and final["iqm_low"] is not None
        rows.append(
            (
                run["name"],
                run["env_id"],
                str(run["seeds"]),
                "-" if final is None else f"{final['iqm']:.2f}",
                f"{final['iqm_low']:.2f} to {final['iqm_high']:.2f}" if known else "-",
                "-" if share is None else f"{share['median']:.1f}",
                run["state"],
            )
        )
    headings = ("seeds", "return (IQM)", "95 % interval", "in range (%)", "state")
    title = "Last evaluation in training; IQM: interquartile mean over seeds"
    columns = [Column("run", "name", key=True), Column("task", "name"), *map(Column, headings)]
    show_table(columns, rows, title=title)
    trial = result.record["trial"]
    if trial is None:
        say(f"no paired trial: {result.record['no_trial']}")
    else:
        _show_trial(trial)
    differing = [row["field"] for row in result.record["differences"]]
    say(f"differing settings: {', '.join(differing) or 'none'}")


def _show_trial(record: "dict[str, object]") -> None:
    from rl_drug_dosage.reports.view import View
    from rl_drug_dosage.utils.tables import Column, show_table

    view = View(record)
    rows = []
    for row in view.rows:
        share, name = row["attainment_pct"], row["policy"]
        found = view.difference(name, view.reference) if name != view.reference else None
        gap = "-" if found is None else f"{found.mean + 0.0:+.2f} ({found.low + 0.0:+.2f} to {found.high + 0.0:+.2f})"
        rows.append((name, f"{share['mean']:.1f}", f"{share['low']:.1f} to {share['high']:.1f}", gap))
    headings = ("in target (%)", "95 % interval", f"points from {view.reference}")
    columns = [Column("run", "name", key=True), *map(Column, headings)]
    show_table(columns, rows, title=f"Paired trial: {view.scenario['title']}, {view.settings['patients']:,} patients")
