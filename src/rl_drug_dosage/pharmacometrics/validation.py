"""Is it the right model for these patients? Forecasts, their errors, a predictive check, and a preference.

`validation_forecasts` says what a forecast is, `validation_errors` how it is judged, `validation_average` how models
are compared and averaged, `validation_vpc` what is simulated.
"""

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pharmacometrics.validation_average import (
    Preference,
    Weights,
    averages,
    log_evidence,
    prefer,
    preference_in_words,
    weights_of,
)
from rl_drug_dosage.pharmacometrics.validation_data import Clinic, find_models, read_clinic
from rl_drug_dosage.pharmacometrics.validation_errors import About, ErrorRow, Resamples, error_row, resamples
from rl_drug_dosage.pharmacometrics.validation_forecasts import FEW, Forecasts, forecast
from rl_drug_dosage.pharmacometrics.validation_groups import groups_of
from rl_drug_dosage.pharmacometrics.validation_plots import draw_errors, plot_files, plot_names
from rl_drug_dosage.pharmacometrics.validation_report import REPORT, report_html
from rl_drug_dosage.pharmacometrics.validation_tables import TABLES, error_columns, table_files
from rl_drug_dosage.pharmacometrics.validation_vpc import Clock, Vpc, predictive_check
from rl_drug_dosage.pkpd.nonmem_data import Interpolation
from rl_drug_dosage.utils.arguments import checked
from rl_drug_dosage.utils.files import atomic_write, prepare_folder
from rl_drug_dosage.utils.progress import Progress, Steps, quiet
from rl_drug_dosage.utils.result import Result
from rl_drug_dosage.utils.seeding import check_seed

__all__ = ["ModelValidation", "ValidationOptions", "validate_model"]

_FEWEST_REPLICATES, _MOST_REPLICATES = 100, 10_000
_MOST_SIMULATED = 50_000_000
"""Simulated levels in memory: 400 MB."""


@dataclass(frozen=True)
class ValidationOptions:
    """Which models, on what, and where to write.

    Args:
        drugs: drug models in any form that `registry` knows; a mapping gives them names.
        data: NONMEM-style CSV file, see `pkpd.nonmem_data`.
        by: columns to group by; empty: the covariates of the models.
        unit: unit of the concentrations in the file; None: that of the models.
        occasions: occasions of the column OCC have random effects of their own, in models that have such.
        interpolation: how covariates hold between records.
        replicates: simulations of the clinic.
        vpc_time: time axis of the predictive check.
        seed: of proposals, bootstrap and simulation.
        output_dir: where files go, made where it is missing; None: nothing is written.
    """

    drugs: Sequence[object] | Mapping[str, object]
    data: Path
    by: Sequence[str] = ()
    unit: str | None = None
    occasions: bool = False
    interpolation: Interpolation = "nocb"
    replicates: int = 500
    vpc_time: Clock = "after-dose"
    seed: int = 1
    output_dir: Path | None = None


@dataclass(frozen=True, repr=False)
class ModelValidation(Result):
    """What each model forecasts, how well, and which one to believe.

    Args:
        options: what was asked.
        clinic: the patients and their levels.
        forecasts: of each model.
        averages: of the averages of models; none for a single model.
        rows: errors, see `ErrorRow`.
        weights: of each model; none for a single one.
        preference: None for a single model.
        checks: predictive checks, by model and output.
        notes: what a reader should know.
        seconds: how long each step took.
        files: written on the way; none unless ``output_dir`` was given.
    """

    options: ValidationOptions
    clinic: Clinic
    forecasts: tuple[Forecasts, ...]
    averages: tuple[Forecasts, ...]
    rows: tuple[ErrorRow, ...]
    weights: tuple[Weights, ...]
    preference: Preference | None
    checks: tuple[Vpc, ...]
    notes: tuple[str, ...]
    seconds: Mapping[str, float]
    files: tuple[Path, ...] = field(default=())

    @property
    def title(self) -> str:
        *names, last = (each.name for each in self.forecasts)
        models = f"{', '.join(names)} and {last}" if names else last
        return f"{models} on {len(self.clinic.names):,} patients of {self.clinic.file}"

    @property
    def outputs(self) -> tuple[tuple[str, str], ...]:
        """Name and unit of what was measured."""
        return self.clinic.outputs

    def columns(self) -> dict[str, np.ndarray]:
        """A row for each model and group of levels: the columns of ``validation.csv``."""
        return error_columns(self)

    def _summary(self) -> Mapping[str, np.ndarray]:
        shown = ("MODEL", "KIND", "EARLIER", "PATIENTS", "LEVELS", "RBIAS_PCT", "RRMSE_PCT", "P30_PCT", "LOG_DENSITY")
        columns = self.columns()
        whole = columns["BY"] == ""
        return {name: columns[name][whole] for name in shown}

    def sentences(self) -> tuple[str, ...]:
        """The preference and what to make of it, in words; nothing for a single model."""
        return preference_in_words(self.preference)

    def plot(self) -> Any:
        """Bias, imprecision and accuracy by the number of earlier levels."""
        return draw_errors(self)

    @checked
    def save(self, folder: str | Path) -> tuple[Path, ...]:
        """Report, tables and figures."""
        place = prepare_folder(Path(folder))
        plots = plot_files(self)
        contents = {REPORT: report_html(self, plots).encode(), **table_files(self), **plots}
        for name, content in contents.items():
            atomic_write(place / name, content)
        return tuple(place / name for name in contents)


def validate_model(options: ValidationOptions, *, progress: Progress = quiet) -> ModelValidation:
    """Read, forecast, compare and simulate, and write tables and figures if there is a place for them.

    Raises:
        UnknownNameError: no such drug.
        ConfigError: an option, a line of the file, or a set of models that is not allowed.
        OutputError: a file cannot be written; what can be known of that is looked at before the work.
    """
    check_seed(options.seed)
    if not _FEWEST_REPLICATES <= options.replicates <= _MOST_REPLICATES:
        raise ConfigError(
            f"--replicates must be from {_FEWEST_REPLICATES} to {_MOST_REPLICATES:,}, not {options.replicates}"
        )
    if options.vpc_time not in get_args(Clock.__value__):
        raise ConfigError(f"--vpc-time must be after-dose or time, not {options.vpc_time!r}")
    models = find_models(options.drugs)
    seconds: dict[str, float] = {}
    steps = Steps(progress, 2 + 2 * len(models) + (options.output_dir is not None))
    with _timed(steps, "reading", seconds):
        clinic = read_clinic(
            options.data, models, by=options.by, unit=options.unit, occasions=options.occasions,
            interpolation=options.interpolation,
        )  # fmt: skip
        groups = _groups(clinic, options)
        _refuse_too_many(clinic, options)
    if options.output_dir is not None:
        prepare_folder(options.output_dir, [REPORT, *TABLES, *plot_names(clinic)])
    forecasts: list[Forecasts] = []
    checks: list[Vpc] = []
    for candidate in clinic.candidates:
        with _timed(steps, f"forecasting with {candidate.name}", seconds):
            forecasts.append(forecast(candidate, clinic.levels, seed=options.seed))
    for candidate, own in zip(clinic.candidates, forecasts, strict=True):
        with _timed(steps, f"simulating {candidate.name}", seconds):
            checks += predictive_check(
                clinic, candidate, own.apriori, replicates=options.replicates, clock=options.vpc_time, seed=options.seed
            )
    with _timed(steps, "comparing", seconds):
        drawn = resamples(len(clinic.names), options.seed)
        result = _compared(options, clinic, tuple(forecasts), tuple(checks), groups, drawn, seconds)
    if options.output_dir is None:
        return result
    with _timed(steps, "drawing", seconds):
        return dataclasses.replace(result, files=result.save(options.output_dir))


def _refuse_too_many(clinic: Clinic, options: ValidationOptions) -> None:
    levels = clinic.levels.value.size
    if levels * options.replicates > _MOST_SIMULATED:
        raise ConfigError(
            f"{levels:,} levels times --replicates {options.replicates:,} do not fit into memory: give at most "
            f"{max(_MOST_SIMULATED // levels, _FEWEST_REPLICATES):,} replicates, or a part of the patients"
        )


@contextmanager
def _timed(steps: Steps, text: str, seconds: dict[str, float]) -> Iterator[None]:
    begin = time.perf_counter()
    with steps.step(text):
        yield
    seconds[text] = time.perf_counter() - begin


type _Groups = list[tuple[str, str, np.ndarray]]


def _groups(clinic: Clinic, options: ValidationOptions) -> _Groups:
    """(column, group, levels); a column of the models that has one value throughout makes no groups."""
    found: _Groups = []
    for title, texts in clinic.columns.items():
        own = groups_of(title, texts)
        if len(own) > 1 or options.by:
            found += [(title, name, which) for name, which in own]
    return found


def _compared(
    options: ValidationOptions,
    clinic: Clinic,
    forecasts: tuple[Forecasts, ...],
    checks: tuple[Vpc, ...],
    groups: _Groups,
    drawn: Resamples,
    seconds: Mapping[str, float],
) -> ModelValidation:
    several = len(forecasts) > 1
    evidence = log_evidence(clinic.levels, forecasts)
    weights = tuple(weights_of([f.name for f in forecasts], evidence, drawn)) if several else ()
    both = tuple(averages(clinic.levels, forecasts)) if several else ()
    preference = prefer(clinic.levels, forecasts, both[0], weights, drawn) if several else None
    rows = tuple(row for each in (*forecasts, *both) for row in _rows(clinic, each, groups, drawn))
    notes = (*clinic.notes, *_doubts(clinic, forecasts, checks))
    return ModelValidation(options, clinic, forecasts, both, rows, weights, preference, checks, notes, seconds)


def _rows(clinic: Clinic, own: Forecasts, groups: _Groups, drawn: Resamples) -> Iterator[ErrorRow]:
    """Everybody's errors, then those at each number of earlier levels, then those of subgroups."""
    table = clinic.levels
    for output, (name, _) in enumerate(clinic.outputs):
        here = table.output == output
        later = here & (table.earlier > 0)
        found = [(here, About(name, "a priori"))]
        found += [
            (here & (table.earlier == count), About(name, "forecast", count))
            for count in np.unique(table.earlier[here]).tolist()
        ]
        found.append((later, About(name, "forecast")))
        for by, group, members in groups:
            found += [(here & members, About(name, "a priori", None, by, group))]
            found += [(later & members, About(name, "forecast", None, by, group))]
        for which, about in found:
            if which.any():
                yield error_row(table, own, which, drawn, about)


def _doubts(clinic: Clinic, forecasts: Sequence[Forecasts], checks: Sequence[Vpc]) -> list[str]:
    """What a reader should know of levels and estimates."""
    table, found = clinic.levels, []
    if not (table.earlier > 0).any():
        found.append("no patient has a second level: nothing can be forecast from a level, only a priori")
    if np.any(table.side != 0):
        found.append(
            f"{int(np.sum(table.side != 0))} of {table.side.size} levels are outside quantification: they count in "
            "the log density, and have no relative error"
        )
    if np.any((table.side == 0) & (table.value == 0)):
        found.append(f"{int(np.sum((table.side == 0) & (table.value == 0)))} levels are 0, and have no relative error")
    for each in forecasts:
        if each.doubtful:
            names = ", ".join(each.doubtful[:5]) + (", ..." if len(each.doubtful) > 5 else "")
            found.append(
                f"{each.name}: the estimate of {len(each.doubtful)} of {len(clinic.names)} patients is doubtful from "
                f"some number of levels on ({names}); `rl-drug-dosage estimate` says why"
            )
        few = int(np.sum(each.effective < FEW))
        if few:
            found.append(f"{each.name}: {few} predictive distributions rest on fewer than {FEW:g} effective proposals")
    found += [
        f"{check.model}: {check.left_out} levels are not in the predictive check, since their a-priori prediction is 0"
        for check in checks
        if check.left_out
    ]
    return found
