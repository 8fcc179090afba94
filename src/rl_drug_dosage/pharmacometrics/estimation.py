"""Estimate the parameters of patients in a NONMEM-style file, and lay the result out as tables and figures."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pharmacometrics.estimation_intervals import spread_of
from rl_drug_dosage.pharmacometrics.estimation_plots import (
    COURSES_PLOT,
    PREDICTED_PLOT,
    draw_predicted_vs_measured,
    save_courses,
    save_predicted_vs_measured,
)
from rl_drug_dosage.pharmacometrics.estimation_posterior import (
    POSTERIOR_TABLE,
    Drawn,
    check_kind,
    doubts,
    save_posterior_table,
)
from rl_drug_dosage.pharmacometrics.estimation_shrinkage import SHRINKAGE, ShrinkageRow, save_shrinkage, shrinkage
from rl_drug_dosage.pharmacometrics.estimation_tables import (
    TABLES,
    PatientResult,
    estimate_columns,
    parameter_rows,
    save_tables,
)
from rl_drug_dosage.pkpd import (
    Covariates,
    DrugModel,
    Levels,
    Regimen,
    individual_parameters,
    make_regimen,
    predict,
    stack_covariates,
    stack_levels,
    stack_regimens,
)
from rl_drug_dosage.pkpd.bayes import Estimate, Fitted, fit_patients, flattened, start_from_levels
from rl_drug_dosage.pkpd.nonmem_data import Interpolation, NonmemData, PreDoseLevel, read_nonmem
from rl_drug_dosage.pkpd.residual import residual_moments
from rl_drug_dosage.registry import DRUG, find
from rl_drug_dosage.utils.arguments import checked
from rl_drug_dosage.utils.files import prepare_folder
from rl_drug_dosage.utils.kept_programs import Kept
from rl_drug_dosage.utils.progress import Progress, Steps, quiet
from rl_drug_dosage.utils.result import Result

__all__ = ["Estimation", "EstimationOptions", "Tables", "estimate", "estimated", "file_names", "read"]

type Tables = tuple[Regimen, Covariates, Levels, Estimate]
type PosteriorKind = Literal["laplace", "resample", "library", "nuts"]

_FEW = 100.0
"""Effective proposals below which resampled intervals are flagged."""
_TOLD = ("library", "nuts")
"""Posteriors whose draws have a table of their own."""


@dataclass(frozen=True)
class EstimationOptions:
    """What to estimate, from what, and where to write.

    Args:
        drug: a drug model in any form that `registry` knows.
        data: NONMEM-style CSV file, see `pkpd.nonmem_data`.
        occasions: estimate a kappa for every occasion of the column OCC.
        interpolation: how covariates hold between records.
        posterior: where the intervals come from.
        seed: of the draws.
        output_dir: where files go, made where it is missing; None: nothing is written.
        prior_weight: omega is divided by it, see `pkpd.bayes.prior`; 1: the published prior.
        pre_dose_level: what a level before the first dose means, see `read_nonmem`.
    """

    drug: object
    data: Path
    occasions: bool = False
    interpolation: Interpolation = "nocb"
    posterior: PosteriorKind = "laplace"
    seed: int = 1
    output_dir: Path | None = None
    prior_weight: float = 1.0
    pre_dose_level: PreDoseLevel = "ignore"


@dataclass(frozen=True, repr=False)
class Estimation(Result):
    """Every patient, what was said on the way, and the files written.

    Args:
        options: what was asked.
        model: the drug.
        patients: one after the other.
        notes: about the data.
        files: written on the way; none unless ``output_dir`` was given.
        tables: regimens, covariates, levels and estimates of all patients, stacked.
        drawn: the draws behind the intervals, stacked; None under ``laplace``, which draws none.
    """

    options: EstimationOptions
    model: DrugModel
    patients: tuple[PatientResult, ...]
    notes: tuple[str, ...]
    files: tuple[Path, ...]
    tables: Tables
    drawn: Drawn | None = None

    @property
    def title(self) -> str:
        return f"{self.model.name}, {self.options.data.name}"

    def columns(self) -> dict[str, np.ndarray]:
        """A row a parameter: the columns of ``estimates.csv``."""
        return estimate_columns(self.patients)

    @property
    def shrinkage(self) -> tuple[ShrinkageRow, ...]:
        """Of every random effect and residual error: the rows of ``shrinkage.csv``."""
        return shrinkage(self.model, self.patients)

    def plot(self) -> Any:
        """Predicted against measured levels."""
        return draw_predicted_vs_measured(self.model, self.patients, self.title)

    @checked
    def save(self, folder: str | Path) -> tuple[Path, ...]:
        """``estimates.csv``, ``predictions.csv``, ``shrinkage.csv`` and the figures."""
        place = prepare_folder(Path(folder))
        with jax.enable_x64(True):
            return (
                *save_tables(self.model, self.patients, place),
                save_shrinkage(self.shrinkage, place),
                *self._posterior_table(place),
                save_predicted_vs_measured(self.model, self.patients, place, self.title),
                *save_courses(self.model, self.patients, self.tables, place, self.title),
            )

    def _posterior_table(self, place: Path) -> list[Path]:
        if self.drawn is None or self.options.posterior not in _TOLD:
            return []
        names = [patient.fitted.name for patient in self.patients]
        return [save_posterior_table(self.options.posterior, names, self.drawn, place)]


def estimate(options: EstimationOptions, *, progress: Progress = quiet) -> Estimation:
    """Read, fit, and write ``estimates.csv``, ``predictions.csv`` and the figures if there is a place for them.

    Raises:
        UnknownNameError: no such drug.
        ConfigError: an option or a line of the file that is not allowed; parameters that are not finite and positive.
        OutputError: a file cannot be written; what can be known of that is looked at before the fit.
    """
    if fault := check_kind(options.posterior):
        raise ConfigError(fault)
    steps = Steps(progress, 3)
    model, data = read(options)
    if options.output_dir is not None:
        prepare_folder(options.output_dir, file_names(model, options.posterior))
    found = estimated(options, model, data, steps)
    if options.output_dir is None:
        return found
    with steps.step("drawing"):
        return dataclasses.replace(found, files=found.save(options.output_dir))


def read(options: EstimationOptions) -> tuple[DrugModel, NonmemData]:
    """The drug model, with the weight of its prior, and the data as it reads them.

    Raises:
        UnknownNameError: no such drug.
        ConfigError: a line of the file that is not allowed.
    """
    model = flattened(find(DRUG, options.drug).value, options.prior_weight)
    data = read_nonmem(
        options.data,
        model,
        occasions=options.occasions,
        interpolation=options.interpolation,
        pre_dose_level=options.pre_dose_level,
    )
    model, begun = start_from_levels(model, data.patients, data.starts)
    return model, dataclasses.replace(data, patients=begun)


def estimated(options: EstimationOptions, model: DrugModel, data: NonmemData, steps: Steps) -> Estimation:
    """Fit data that have been read, in two steps; nothing is written.

    Raises:
        ConfigError: parameters that are not finite and positive.
    """
    with steps.step(f"fitting {len(data.patients)} patients"):
        fits = fit_patients(model, data.patients)
        tables = _stack(model, data, fits)
    with steps.step("computing intervals"), jax.enable_x64(True):
        patients, drawn = _results(model, data, fits, tables, options)
    notes = (*data.notes, *_about_prior(options.prior_weight))
    return Estimation(options, model, tuple(patients), notes, (), tables, drawn)


def _about_prior(weight: float) -> list[str]:
    return [f"the prior has the weight {weight:g}: omega is divided by it, in OBJ too"] if weight != 1.0 else []


def file_names(model: DrugModel, posterior: str) -> list[str]:
    """Names of the files that `Estimation.save` writes."""
    told = [POSTERIOR_TABLE] if posterior in _TOLD else []
    return [*TABLES, SHRINKAGE, *told, PREDICTED_PLOT, *(COURSES_PLOT.format(output.name) for output in model.outputs)]


def _stack(model: DrugModel, data: NonmemData, fits: Sequence[Fitted]) -> Tables:
    """All patients as one, padded."""
    return (
        stack_regimens([make_regimen(patient.doses, model.structure) for patient in data.patients]),
        stack_covariates([patient.covariates for patient in data.patients]),
        stack_levels([patient.levels for patient in data.patients]),
        jax.tree.map(lambda *leaves: np.stack(leaves), *(fit.estimate for fit in fits)),
    )


def _results(
    model: DrugModel, data: NonmemData, fits: Sequence[Fitted], tables: Tables, options: EstimationOptions
) -> tuple[list[PatientResult], Drawn | None]:
    keys = jax.random.split(jax.random.key(options.seed), len(fits))
    bounds, effective, drawn = jax.device_get(_SPREAD(options.posterior, model, *tables, keys))
    population, weighted, typical = jax.device_get(_LOOKED(model, *tables))
    results = []
    for i, (patient, fit) in enumerate(zip(data.patients, fits, strict=True)):
        count = patient.levels.time_h.shape[0]
        own = jax.tree.map(lambda leaf, i=i: leaf[i], (bounds, typical))
        warnings = [*fit.warnings, *(flag for flag in data.flags[i] if flag)]
        if not np.any(patient.levels.used):
            warnings.append("no level is used: the estimate is the population's")
        if effective[i] < _FEW:
            warnings.append(f"the resampled interval rests on {effective[i]:.0f} effective proposals: distrust it")
        if drawn is not None:
            warnings += doubts(jax.tree.map(lambda leaf, i=i: leaf[i], drawn))
        results.append(
            PatientResult(
                fitted=fit,
                rows=tuple(parameter_rows(model, patient.covariates, fit, *own)),
                covariates=patient.covariates,
                levels=patient.levels,
                hours=data.hours[i],
                population=population[i, :count],
                weighted_residual=weighted[i, :count],
                level_flags=data.flags[i],
                warnings=tuple(warnings),
            )
        )
    return results, drawn


def _spread(kind: str, model: DrugModel, *tables: Any) -> Any:
    """Intervals and draws; one patient after the other, since the proposals of one are the batch."""
    spread = spread_of(kind)
    return jax.lax.map(lambda one: spread(model, *one), tables)


def _looked(model: DrugModel, *tables: Any) -> tuple[Array, Array, dict[str, Array]]:
    """What `_at_levels` says of all patients, and the parameters of typical ones."""
    nobody = jnp.zeros(len(model.etas))
    population, weighted = jax.vmap(lambda *one: _at_levels(model, *one))(*tables)
    return population, weighted, jax.vmap(lambda table: dict(individual_parameters(model, table, nobody)))(tables[1])


_SPREAD, _LOOKED = Kept(_spread), Kept(_looked)


def _at_levels(
    model: DrugModel, regimen: Regimen, covariates: Covariates, levels: Levels, at: Estimate
) -> tuple[Array, Array]:
    """Population prediction and individual weighted residual of each level."""
    time, after, output = (jnp.asarray(a) for a in (levels.time_h, levels.after_dose, levels.output))

    def run(scale: Array) -> Array:
        return predict(model, regimen, covariates, time, scale * at.eta, scale * at.kappa, after_dose=after)

    nobody, own = jax.vmap(run)(jnp.array([0.0, 1.0]))
    error, log_variance, _ = residual_moments(model, output, own, jnp.asarray(levels.value), levels.weight)
    weighted = -error * jnp.exp(-0.5 * log_variance)
    seen = jnp.asarray(levels.used) & ~jnp.asarray(levels.censored)
    return jnp.take_along_axis(nobody, output[:, None], axis=1)[:, 0], jnp.where(seen, weighted, jnp.nan)
