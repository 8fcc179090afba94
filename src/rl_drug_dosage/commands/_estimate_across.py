"""What ``rl-drug-dosage estimate`` reads and prints with several drug models."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.utils.printable import printable, say

if TYPE_CHECKING:
    from rl_drug_dosage.pharmacometrics.across import ModelAverage

__all__ = ["parse_weights", "show_average"]


def parse_weights(texts: Iterable[str]) -> dict[str, float]:
    """``["vancomycin-goti2018=2"]`` as a dictionary.

    Raises:
        ConfigError: a text of another form, or a model twice.
    """
    found: dict[str, float] = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not name or math.isnan(value):
            raise ConfigError(f"--weight must be a model, an equals sign and a number (goti2018=2), not {text!r}")
        if name in found:
            raise ConfigError(f"--weight {name} was given twice, as {found[name]:g} and {value:g}: leave one out")
        found[name] = value
    return found


def show_average(result: "ModelAverage") -> None:
    """Evidence and weights of the models, averaged forecasts, notes and warnings."""
    from rich.console import Console

    from rl_drug_dosage.utils.tables import Column, show_table

    console = Console()
    for one in result.estimations:
        console.print(printable(one.model.title), markup=False)
    console.print("For research and education only; nothing here is meant to treat a patient.")
    table = result.columns()
    columns = [Column("patient", "name", key=True), Column("model", "name", key=True)]
    rows = []
    for i, name in enumerate(table["ID"]):
        evidence = table["LOG_EVIDENCE_SAMPLED"][i]
        evidence = table["LOG_EVIDENCE_LAPLACE"][i] if math.isnan(evidence) else evidence
        converged = "yes" if table["CONVERGED"][i] else "NO"
        weight = _number(table["WEIGHT"][i], ".3f")
        numbers = (f"{table['OBJ'][i]:.3f}", _number(evidence, ".2f"), weight, converged)
        rows.append((str(name), str(table["MODEL"][i]), *numbers))
    headings = map(Column, ("OBJ", "log evidence", "weight", "converged"))
    show_table(
        [*columns, *headings], rows, title="How well each model predicted the levels", groups=True, console=console
    )
    _show_quantities(result, console)
    for note in result.notes:
        say(f"note: {note}")
    for patient, warnings in zip(result.estimations[0].patients, result.compared.warnings, strict=True):
        for warning in warnings:
            say(f"patient {patient.fitted.name}: {warning}")
    for one in result.estimations:
        for patient in one.patients:
            for warning in patient.warnings:
                told = warning.removeprefix(f"patient {patient.fitted.name}: ")
                say(f"patient {patient.fitted.name}, {one.model.name}: {told}")


def _show_quantities(result: "ModelAverage", console: object) -> None:
    """Exposure over the last dosing interval, averaged, and the span of the models' own means."""
    from rl_drug_dosage.pharmacometrics.across_tables import AVERAGE
    from rl_drug_dosage.utils.tables import Column, show_table

    rows = []
    models = len(result.estimations)
    for i, row in enumerate(result.quantities):
        if row.model != AVERAGE:
            continue
        means = [own.summary.mean for own in result.quantities[i - models : i]]
        low, high = row.summary.low, row.summary.high
        interval = "-" if math.isnan(low) else f"{low:.4g} to {high:.4g}"
        span = f"{min(means):.4g} to {max(means):.4g}"
        name = f"{row.name} of {row.output} ({row.unit})"
        rows.append((row.patient, name, _number(row.summary.mean, ".4g"), interval, span))
    if rows:
        keys = [Column("patient", "name", key=True), Column("forecast", "name", key=True)]
        show_table(
            [*keys, *map(Column, ("average", "90 % interval", "means of the models"))],
            rows,
            title="The last dosing interval, averaged over the models",
            groups=True,
            console=console,  # type: ignore[arg-type]
        )


def _number(value: float, form: str) -> str:
    return "-" if math.isnan(value) else format(value, form)
