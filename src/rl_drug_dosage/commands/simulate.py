"""``rl-drug-dosage simulate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rl_drug_dosage import api
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.utils.defaults import defaults_of
from rl_drug_dosage.utils.printable import printable, say

if TYPE_CHECKING:
    from rl_drug_dosage.pharmacometrics.simulation import Simulation

__all__ = ["command"]

_DEFAULT = defaults_of(api.simulate)
_FROM_DRUG = "the drug's usual one"


def command(  # noqa: PLR0917 - the options of a command line
    drug: Annotated[
        str, typer.Option(help="Drug model: a name (`info --drugs` lists them) or a file.", show_default=False)
    ],
    patients: Annotated[int, typer.Option(help="Number of virtual patients.")] = _DEFAULT["patients"],
    dose: Annotated[
        float | None, typer.Option(help="Amount of each dose, mg; 0 for no drug.", show_default=_FROM_DRUG)
    ] = _DEFAULT["dose_mg"],
    interval: Annotated[
        float | None, typer.Option(help="Hours from one dose to the next.", show_default=_FROM_DRUG)
    ] = _DEFAULT["interval_h"],
    duration: Annotated[
        float | None, typer.Option(help="Infusion duration in hours; 0 for a bolus.", show_default="the route's")
    ] = _DEFAULT["duration_h"],
    days: Annotated[
        float | None, typer.Option(help="Length of the course.", show_default="7 days, within 3 to 1,000 intervals")
    ] = _DEFAULT["days"],
    route: Annotated[
        str | None, typer.Option(help="Route, or a part of its name (`info --drug`).", show_default=_FROM_DRUG)
    ] = _DEFAULT["route"],
    seed: Annotated[int, typer.Option(help="Random seed; patients are disjoint from training.")] = _DEFAULT["seed"],
    output_dir: Annotated[Path, typer.Option(help="Folder for the data, the figure and the settings.")] = Path(),
    file_format: Annotated[str, typer.Option("--format", help="csv or parquet (needs pyarrow).")] = _DEFAULT[
        "file_format"
    ],
    sample_every: Annotated[
        float | None, typer.Option(help="Hours between samples.", show_default="up to 200 samples per patient")
    ] = _DEFAULT["sample_every_h"],
    covariate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="Give every patient this covariate (repeatable).", show_default="drawn"
        ),
    ] = None,
    variability: Annotated[
        bool, typer.Option(help="Random effects, drawn covariates and residual error, or typical patients.")
    ] = _DEFAULT["variability"],
    device: Annotated[str, typer.Option(help="Device (cpu/cuda).")] = _DEFAULT["device"],
) -> None:
    """Simulate a virtual cohort with a drug model.

    Example: rl-drug-dosage simulate --drug vancomycin-goti2018 --dose 1000 --interval 12 --days 7
    """
    from rl_drug_dosage.utils.progress import printed

    with printed() as progress:
        result = api.simulate(
            drug,
            patients=patients,
            dose_mg=dose,
            interval_h=interval,
            duration_h=duration,
            days=days,
            route=route,
            seed=seed,
            output_dir=output_dir,
            file_format=file_format,
            sample_every_h=sample_every,
            covariates=_parse(covariate or []),
            variability=variability,
            device=device,
            progress=progress,
        )
    _show(result, patients)
    for warning in result.warnings:
        say(f"warning: {warning}")
    for path in result.files:
        say(path)


def _parse(texts: list[str]) -> dict[str, float]:
    from rl_drug_dosage.pkpd.covariate import plain_number

    values: dict[str, float] = {}
    for text in texts:
        name, equals, number = text.partition("=")
        try:
            value = plain_number(number)
        except ValueError:
            equals = ""
        if not equals or not name:
            raise ConfigError(f"--covariate must be a name, an equals sign and a number (wt_kg=70), not {text!r}")
        if name in values:
            raise ConfigError(f"--covariate {name} was given twice, as {values[name]:g} and {value:g}: leave one out")
        values[name] = value
    return values


def _show(result: "Simulation", patients: int) -> None:
    from rich.console import Console

    from rl_drug_dosage.utils.tables import Column, show_table

    console, course = Console(), result.plan.course
    start, end = course.last_interval_h
    who = f"{patients:,} patient{'s' if patients > 1 else ''}"
    keys = [Column("output", "name", key=True), Column("unit", "name", key=True)]
    show_table(
        [*keys, *map(Column, ("median", "5th percentile", "95th percentile"))],
        [
            (row.name, row.unit, *(f"{value:.4g}" for value in (row.median, row.p5, row.p95)))
            for row in result.summary
            if row.attained_pct is None
        ],
        title=f"{result.plan.model.name}: {course.label}",
        caption=f"{who}; peak and trough of the last interval, {start:.6g} to {end:.6g} h",
        console=console,
    )
    for row in result.summary:
        if row.attained_pct is not None:
            console.print(
                printable(f"{row.name}: {row.attained_pct:.1f} %"), markup=False, highlight=False, soft_wrap=True
            )
