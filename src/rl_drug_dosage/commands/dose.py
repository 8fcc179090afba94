"""``rl-drug-dosage dose``."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rl_drug_dosage import api
from rl_drug_dosage.commands._table_options import Data, Interpolation, PreDoseLevel, PriorWeight
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.utils.defaults import defaults_of
from rl_drug_dosage.utils.printable import printable, say

if TYPE_CHECKING:
    from rl_drug_dosage.pharmacometrics.dose_search import DoseSearch
    from rl_drug_dosage.pharmacometrics.dose_types import PatientDoses

__all__ = ["command"]

_DEFAULT = defaults_of(api.dose)
_FROM_DRUG = "the drug's"
_SHOWN = 10
"""Regimens of each patient on the screen."""
_MOST = 10_000
"""Numbers in a list."""


def command(  # noqa: PLR0917 - the options of a command line
    drug: Annotated[
        str, typer.Option(help="Drug model: a name (vancomycin-goti2018) or a file (./mine.py).", show_default=False)
    ],
    data: Data,
    target: Annotated[
        str | None,
        typer.Option(help="Window: 'trough 10-15', 'auc24 400-600', 'peak <= 30'.", show_default=_FROM_DRUG),
    ] = _DEFAULT["target"],
    criterion: Annotated[
        str, typer.Option(help="Rank by: probability (of the window), map, distance or percentile.")
    ] = _DEFAULT["criterion"],
    percentile: Annotated[
        float, typer.Option(help="With --criterion percentile: % of the posterior that keeps the limit.")
    ] = _DEFAULT["percentile"],
    amounts: Annotated[
        str | None, typer.Option(help="Amounts, mg: 500,750,1000 or 250:3000:250.", show_default=_FROM_DRUG)
    ] = None,
    intervals: Annotated[
        str | None, typer.Option(help="Dosing intervals, h: 8,12,24.", show_default=_FROM_DRUG)
    ] = None,
    route: Annotated[
        list[str] | None, typer.Option(help="Route, or a part of its name (repeatable).", show_default="the first")
    ] = None,
    durations: Annotated[
        str | None, typer.Option(help="Infusion durations, h: 1,2; 0 for a bolus.", show_default="the route's")
    ] = None,
    doses: Annotated[
        int | None, typer.Option(help="The dosing interval that counts, from 1.", show_default="steady state")
    ] = _DEFAULT["doses"],
    start: Annotated[
        float | None,
        typer.Option(help="When the next dose is due, h.", show_default="an interval after the last dose"),
    ] = _DEFAULT["start_h"],
    wait_below: Annotated[
        float | None, typer.Option(help="Wait with the next dose until the level is below this.", show_default=False)
    ] = _DEFAULT["wait_below"],
    occasions: Annotated[
        bool, typer.Option("--occasions", help="Estimate inter-occasion variability; future doses are a new occasion.")
    ] = _DEFAULT["occasions"],
    interpolation: Interpolation = _DEFAULT["interpolation"],
    posterior: Annotated[
        str, typer.Option(help="Where draws come from: resample (importance resampling) or laplace.")
    ] = _DEFAULT["posterior"],
    draws: Annotated[int, typer.Option(help="Number of posterior draws.")] = _DEFAULT["draws"],
    prior_weight: PriorWeight = _DEFAULT["prior_weight"],
    pre_dose_level: PreDoseLevel = _DEFAULT["pre_dose_level"],
    seed: Annotated[int, typer.Option(help="Random seed of the draws.")] = _DEFAULT["seed"],
    output_dir: Annotated[Path, typer.Option(help="Output directory for tables and figure.")] = Path(),
) -> None:
    """Search the dose and interval for each patient of a table of doses and levels.

    Example: rl-drug-dosage dose --drug vancomycin-goti2018 --data levels.csv --target "trough 10-15"
    """
    from rl_drug_dosage.utils.progress import printed

    with printed() as progress:
        result = api.dose(
            drug,
            data,
            target=target,
            criterion=criterion,  # type: ignore[arg-type]
            percentile=percentile,
            amounts_mg=_numbers("--amounts", amounts),
            intervals_h=_numbers("--intervals", intervals),
            routes=route or (),
            durations_h=_numbers("--durations", durations),
            doses=doses,
            start_h=start,
            wait_below=wait_below,
            occasions=occasions,
            interpolation=interpolation,  # type: ignore[arg-type]
            posterior=posterior,  # type: ignore[arg-type]
            draws=draws,
            prior_weight=prior_weight,
            pre_dose_level=pre_dose_level,  # type: ignore[arg-type]
            seed=seed,
            output_dir=output_dir,
            progress=progress,
        )
    _show(result)
    for path in result.files:
        say(path)


def _numbers(option: str, text: str | None) -> tuple[float, ...]:
    """``500,750`` and ``250:3000:250`` (from, to, step) as numbers.

    Raises:
        ConfigError: a text that is neither.
    """
    if text is None:
        return ()
    try:
        if ":" not in text:
            return tuple(float(part) for part in text.split(","))
        low, high, step = (float(part) for part in text.split(":"))
        count = math.floor((high - low) / step + 1e-9) + 1 if step > 0 and math.isfinite(high - low) else 0
    except (ValueError, OverflowError):
        count = 0
    if not 1 <= count <= _MOST:
        raise ConfigError(
            f"{option} must be numbers with commas between them (500,750), or from:to:step (250:3000:250), not {text!r}"
        )
    return tuple(low + i * step for i in range(count))


def _show(result: "DoseSearch") -> None:
    from rich.console import Console

    from rl_drug_dosage.utils.tables import Column, show_table

    console = Console()

    def line(text: str) -> None:
        console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    line(result.title)
    line("For research and education only; nothing here is meant to treat a patient.")
    rows: list[tuple[str, ...]] = []
    for patient in result.patients:
        for row in patient.rows[:_SHOWN]:
            numbers = (f"{row.map:.4g}", f"{row.percentiles[0]:.4g} to {row.percentiles[4]:.4g}")
            shares = tuple(f"{100 * share:.0f}" for share in (row.below, row.inside, row.above))
            exact = tuple("-" if n is None else f"{n:.4g}" for n in (row.exact_mg, row.exact_interval_h))
            how = f"{row.amount_mg:g} mg every {row.interval_h:g} h"
            over = f"{row.duration_h:.3g}" if row.duration_h else "-"
            rows.append((patient.name, how, over, *numbers, *shares, "yes" if row.meets else "no", *exact))
    aim = result.question.aim
    unit = "" if aim.target.unit == "1" else f" ({aim.target.unit})"
    keys = [Column("patient", "name", key=True), Column("regimen", "name", key=True)]
    titles = ("over h", f"MAP{unit}", "90 % interval", "% below", "% inside", "% above", "meets", "exact mg", "exact h")
    show_table(
        [*keys, *map(Column, titles)],
        rows,
        title=f"Best first, by {_by(result)}",
        groups=True,
        console=console,
    )
    for patient in result.patients:
        for text in _about(result, patient):
            line(f"patient {patient.name}: {text}")
    for note in result.notes:
        say(f"note: {note}")
    for patient in result.patients:
        for warning in patient.warnings:
            say(f"patient {patient.name}: {warning.removeprefix(f'patient {patient.name}: ')}")


def _by(result: "DoseSearch") -> str:
    question = result.question
    if question.criterion != "percentile":
        return {"map": "the point estimate", "distance": "the mean distance from the aim"}.get(
            question.criterion, "the probability of being inside"
        )
    low, high = question.aim.edges
    limit = f"at most {high:g}" if high is not None else f"at least {low:g}"
    return f"{'the largest' if high is not None else 'the smallest'} dose of which {question.percentile:g} % is {limit}"


def _about(result: "DoseSearch", patient: "PatientDoses") -> list[str]:
    """When to start, and when the best regimen is in the window."""
    back, onset, best = patient.offset_h, patient.onset, patient.best
    found = [f"next dose at {patient.start_h - back:.4g} h"]
    if patient.wait is not None:
        wait = patient.wait
        middle, low, high, point = (_hours(h, back) for h in (wait.median_h, wait.low_h, wait.high_h, wait.map_h))
        level = f"below {result.question.wait_below:g}"
        found.append(f"{level} at {middle} (90 % interval {low} to {high}), point estimate {point}")
    shares = ", ".join(f"{100.0 * share:.0f} %" for share in onset.inside)
    found.append(f"{best.amount_mg:g} mg every {best.interval_h:g} h is inside in interval 1, 2, ... in {shares}")
    span = f"{_hours(onset.median_h)} (90 % interval {_hours(onset.low_h)} to {_hours(onset.high_h)})"
    found.append(f"first inside {span} after the start")
    if patient.impossible:
        found.append(
            f"{patient.impossible} regimens are left out: infused for longer than their interval, or not finite"
        )
    return found


def _hours(hours: float, back: float = 0.0) -> Any:
    return f"{hours - back:.4g} h" if math.isfinite(hours) else "never"
