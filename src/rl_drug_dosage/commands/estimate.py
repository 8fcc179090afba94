"""``rl-drug-dosage estimate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rl_drug_dosage import api
from rl_drug_dosage.commands._table_options import Data, Interpolation, PreDoseLevel, PriorWeight
from rl_drug_dosage.utils.defaults import defaults_of
from rl_drug_dosage.utils.printable import printable, say

if TYPE_CHECKING:
    from rl_drug_dosage.pharmacometrics.estimation import Estimation

__all__ = ["command"]

_DEFAULT = defaults_of(api.estimate)


def command(  # noqa: PLR0917 - the options of a command line
    drug: Annotated[
        list[str],
        typer.Option(
            help="Drug model: a name (vancomycin-goti2018) or a file (./mine.py). Repeat it to compare and average "
            "models of one drug.",
            show_default=False,
        ),
    ],
    data: Data,
    weight: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL=VALUE",
            help="Weight of a model before the levels (repeatable).",
            show_default="1 for every model",
        ),
    ] = None,
    occasions: Annotated[
        bool, typer.Option("--occasions", help="Estimate inter-occasion variability; occasions from column OCC.")
    ] = _DEFAULT["occasions"],
    interpolation: Interpolation = _DEFAULT["interpolation"],
    posterior: Annotated[
        str, typer.Option(help="How intervals are computed: laplace, resample, library or nuts (slow; extra nuts).")
    ] = _DEFAULT["posterior"],
    seed: Annotated[int, typer.Option(help="Random seed of the draws.")] = _DEFAULT["seed"],
    prior_weight: PriorWeight = _DEFAULT["prior_weight"],
    pre_dose_level: PreDoseLevel = _DEFAULT["pre_dose_level"],
    output_dir: Annotated[Path, typer.Option(help="Output directory for tables and plots.")] = Path(),
) -> None:
    """Estimate each patient's parameters from measured levels (maximum a posteriori).

    Example: rl-drug-dosage estimate --drug vancomycin-goti2018 --data levels.csv
    """
    from rl_drug_dosage.commands._estimate_across import parse_weights, show_average
    from rl_drug_dosage.pharmacometrics.across import ModelAverage
    from rl_drug_dosage.utils.progress import printed

    with printed() as progress:
        # One model is estimated as it is, several are compared: what comes back is looked at below.
        of: Any = drug[0] if len(drug) == 1 else drug
        result = api.estimate(  # type: ignore[call-overload]
            of,
            data,
            weight=parse_weights(weight or []),
            occasions=occasions,
            interpolation=interpolation,
            posterior=posterior,
            seed=seed,
            prior_weight=prior_weight,
            pre_dose_level=pre_dose_level,
            output_dir=output_dir,
            progress=progress,
        )
    if isinstance(result, ModelAverage):
        show_average(result)
    else:
        _show(result)
    for path in result.files:
        say(path)


def _shrunk(result: "Estimation") -> list[str]:
    """A line for the effects between subjects, one for those between occasions, one for the residual errors."""
    found: dict[str, list[str]] = {}
    few: dict[str, str] = {}
    for row in result.shrinkage:
        shown = f"{row.from_variances_pct:.0f} % (from variances)" if row.count < 2 else f"{row.pct:.0f} %"
        if "nan" not in shown:
            found.setdefault(row.kind, []).append(f"{row.name} {shown}")
            few[row.kind] = f" ({row.note})" if row.note and row.count > 1 else ""
    return [f"{kind}-shrinkage: {', '.join(shown)}{few[kind]}" for kind, shown in found.items()]


def _show(result: "Estimation") -> None:
    from rich.console import Console

    from rl_drug_dosage.utils.tables import Column, show_table

    console = Console()
    console.print(printable(result.model.title), markup=False)
    console.print("For research and education only; nothing here is meant to treat a patient.")
    rows = []
    for patient in result.patients:
        at, last = patient.fitted.estimate, patient.covariates.time_h.shape[0] - 1
        varies = {row.name for row in patient.rows if row.estimate != row.population}
        of_patient = (f"{float(at.printed_objective):.3f}", "yes" if at.converged else "NO")
        for row in patient.rows:
            if row.kind != "parameter" or row.record != last or not (row.low is not None or row.name in varies):
                continue
            interval = "-" if row.low is None else f"{row.low:.4g} to {row.high:.4g}"
            label = f"{row.name} ({row.unit})" if row.unit else row.name
            numbers = (f"{row.population:.4g}", f"{row.estimate:.4g}", interval)
            rows.append((patient.fitted.name, label, *numbers, *of_patient))
            of_patient = ("", "")
    keys = [Column("patient", "name", key=True), Column("parameter", "name", key=True)]
    show_table(
        [*keys, *map(Column, ("population", "MAP", "90 % interval", "OBJ", "converged"))],
        rows,
        title="MAP estimates with 90 % intervals, at each patient's last record",
        groups=True,
        console=console,
    )
    for line in _shrunk(result):
        console.print(printable(line), markup=False, highlight=False, soft_wrap=True)
    for note in result.notes:
        say(f"note: {note}")
    for patient in result.patients:
        for warning in patient.warnings:
            say(f"patient {patient.fitted.name}: {warning.removeprefix(f'patient {patient.fitted.name}: ')}")
