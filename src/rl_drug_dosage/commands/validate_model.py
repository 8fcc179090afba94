"""``rl-drug-dosage validate-model``."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rl_drug_dosage import api
from rl_drug_dosage.commands._table_options import Data, Interpolation
from rl_drug_dosage.utils.defaults import defaults_of
from rl_drug_dosage.utils.printable import say

if TYPE_CHECKING:
    from rich.console import Console

    from rl_drug_dosage.pharmacometrics.validation import ModelValidation
    from rl_drug_dosage.pharmacometrics.validation_errors import ErrorRow, Interval

__all__ = ["command"]

_DEFAULT = defaults_of(api.validate_model)


def command(  # noqa: PLR0917 - the options of a command line
    drug: Annotated[
        list[str],
        typer.Option(
            help="Drug model (repeatable): a name (vancomycin-goti2018) or a file (./mine.py).", show_default=False
        ),
    ],
    data: Data,
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="Column to group by, numbers in thirds (repeatable). Default: the models' covariates.",
            show_default=False,
        ),
    ] = None,
    unit: Annotated[
        str | None,
        typer.Option(help="Unit of the concentrations in the file.", show_default="that of the models"),
    ] = _DEFAULT["unit"],
    occasions: Annotated[
        bool, typer.Option("--occasions", help="Inter-occasion variability; occasions from column OCC.")
    ] = _DEFAULT["occasions"],
    interpolation: Interpolation = _DEFAULT["interpolation"],
    replicates: Annotated[int, typer.Option(help="Simulations of the clinic for the predictive check.")] = _DEFAULT[
        "replicates"
    ],
    vpc_time: Annotated[
        str, typer.Option(help="Time axis of the predictive check: after-dose (since the last dose) or time.")
    ] = _DEFAULT["vpc_time"],
    seed: Annotated[int, typer.Option(help="Random seed of proposals, bootstrap and simulation.")] = _DEFAULT["seed"],
    output_dir: Annotated[Path, typer.Option(help="Output directory for tables and plots.")] = Path(),
) -> None:
    """Ask which model forecasts your patients' next levels best, and how sure that is.

    Example: rl-drug-dosage validate-model --drug vancomycin-goti2018 --drug vancomycin-buelga2005 --data clinic.csv
    """
    from rl_drug_dosage.utils.progress import printed

    with printed() as progress:
        result = api.validate_model(
            drug,
            data,
            by=by or (),
            unit=unit,
            occasions=occasions,
            interpolation=interpolation,  # type: ignore[arg-type]
            replicates=replicates,
            vpc_time=vpc_time,  # type: ignore[arg-type]
            seed=seed,
            output_dir=output_dir,
            progress=progress,
        )
    _show(result)
    for path in result.files:
        say(path)


def _show(result: "ModelValidation") -> None:
    from rich.console import Console

    from rl_drug_dosage.utils.words import unit_words

    console = Console()
    say(result.title)
    say("For research and education only; nothing here is meant to treat a patient.")
    whole = [row for row in result.rows if not row.about.by]
    for name, unit in result.outputs:
        own = [row for row in whole if row.about.output == name]
        title = f"Prediction errors, {name}{f' in {unit}' if unit_words(unit) else ''} (95 % intervals over patients)"
        _show_errors(console, own, title)
    if result.weights:
        _show_weights(console, result)
    if result.options.by:
        for by in dict.fromkeys(row.about.by for row in result.rows if row.about.by):
            _show_errors(console, [row for row in result.rows if row.about.by == by], f"By {by}")
    for check in result.checks:
        name = result.outputs[check.output][0]
        say(f"predictive check of {check.model}, {name}: {_number(check.inside_pct, 0)} % of the measured percentiles "
            "inside their 90 % bands")  # fmt: skip
    for note in result.notes:
        say(f"note: {note}")
    for sentence in result.sentences():
        say(sentence)


def _show_errors(console: "Console", rows: "list[ErrorRow]", title: str) -> None:
    from rl_drug_dosage.pharmacometrics.validation_report import known_words
    from rl_drug_dosage.utils.tables import Column, show_table

    headings = ("levels", "rBias %", "rRMSE %", "median |PE| %", "within 30 %", "in 90 % PI", "log density")
    measures = ("rbias_pct", "rrmse_pct", "median_ape_pct", "p30_pct", "covered90_pct", "log_density")
    table = []
    for row in rows:
        known = (f"{row.about.group}, " if row.about.by else "") + known_words(row)
        found = [row.measures.get(name) for name in measures]
        digits = (0, 0, 0, 0, 0, 2)
        table.append((row.model, known, str(row.levels), *map(_interval, found, digits)))
    keys = [Column("model", "name", key=True), Column("known", "name", key=True)]
    show_table([*keys, *map(Column, headings)], table, title=title, groups=True, console=console)


def _show_weights(console: "Console", result: "ModelValidation") -> None:
    from rl_drug_dosage.utils.tables import Column, show_table

    rows = [
        (w.model, f"{w.log_density:.1f}", f"{w.first_pct:.0f}", f"{w.bayes:.3f}", _interval(w.stacking, 2))
        for w in result.weights
    ]
    headings = ("log density", "best in % of resamples", "probability", "weight in the average")
    show_table(
        [Column("model", "name", key=True), *map(Column, headings)],
        rows,
        title="Which model, or which average, to believe",
        console=console,
    )


def _interval(found: "Interval | None", digits: int) -> str:
    if found is None or math.isnan(found.value):
        return "-"
    if math.isnan(found.low):
        return _number(found.value, digits)
    return f"{_number(found.value, digits)} ({_number(found.low, digits)} to {_number(found.high, digits)})"


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"
