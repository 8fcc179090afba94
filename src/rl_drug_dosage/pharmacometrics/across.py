"""Estimate with several models at once: the evidence for each, weights of models, and forecasts averaged by them.

For every patient the posterior probability of a model is its prior weight times its evidence (`pkpd.bayes.evidence`),
scaled to sum to 1. The averaged forecast of a level or an exposure is the mixture of the models' posteriors in these
proportions: its mean, and its 5th and 95th percentile (Hoeting 1999). Forecasts are of what the outputs truly are,
without residual error.
"""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from rl_drug_dosage.errors import ConfigError, UnknownNameError
from rl_drug_dosage.pharmacometrics.across_average import average
from rl_drug_dosage.pharmacometrics.across_levels import Paired, paired
from rl_drug_dosage.pharmacometrics.across_plots import MODELS_PLOT, Course, draw_models, save_models_plot
from rl_drug_dosage.pharmacometrics.across_tables import (
    ACROSS_TABLES,
    ForecastRow,
    QuantityRow,
    model_columns,
    save_across_tables,
)
from rl_drug_dosage.pharmacometrics.across_weights import Compared, compare
from rl_drug_dosage.pharmacometrics.estimation import Estimation, EstimationOptions, estimated, file_names, read
from rl_drug_dosage.pharmacometrics.estimation_posterior import check_kind
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.pkpd.nonmem_data import NonmemData
from rl_drug_dosage.utils.arguments import checked
from rl_drug_dosage.utils.files import prepare_folder
from rl_drug_dosage.utils.progress import Progress, Steps, quiet
from rl_drug_dosage.utils.result import Result

__all__ = ["AcrossOptions", "ModelAverage", "estimate_across"]


@dataclass(frozen=True)
class AcrossOptions:
    """Which models, and what to do with each.

    Args:
        drugs: the models, in any form that `registry` knows. The file is in the units of the first.
        each: what is asked of every model; its ``drug`` is not read, its ``output_dir`` is that of the comparison.
        weights: weights of models before the levels, by name or as the model was given; 1 for those not named.
    """

    drugs: tuple[object, ...]
    each: EstimationOptions
    weights: Mapping[str, float] | None = None


@dataclass(frozen=True, repr=False)
class ModelAverage(Result):
    """Several models on one file.

    Args:
        options: what was asked.
        estimations: of every model, in the order in which they were given.
        compared: evidence and weights.
        forecasts: of every level: a row a model, and one of the average.
        quantities: exposure over the last dosing interval, likewise.
        courses: of the first patients, for the figure.
        notes: about the data and the models.
        files: written on the way; none unless ``output_dir`` was given.
    """

    options: AcrossOptions
    estimations: tuple[Estimation, ...]
    compared: Compared
    forecasts: tuple[ForecastRow, ...]
    quantities: tuple[QuantityRow, ...]
    courses: tuple[Course, ...]
    notes: tuple[str, ...]
    files: tuple[Path, ...]

    @property
    def title(self) -> str:
        return f"{', '.join(one.model.name for one in self.estimations)}: {self.options.each.data.name}"

    def columns(self) -> dict[str, np.ndarray]:
        """A row a patient and model: the columns of ``models.csv``."""
        return model_columns(self.estimations, self.compared)

    def plot(self) -> Any:
        """Weights of the models, and the averaged course of each patient."""
        return draw_models(self.estimations, self.compared, self.courses, self.title)

    @checked
    def save(self, folder: str | Path) -> tuple[Path, ...]:
        """``models.csv``, ``forecasts.csv``, ``quantities.csv``, ``models.png``, and a folder for each model."""
        place = prepare_folder(Path(folder))
        written = [
            *save_across_tables(self.estimations, self.compared, self.forecasts, self.quantities, place),
            save_models_plot(self.estimations, self.compared, self.courses, place, self.title),
        ]
        for one in self.estimations:
            written += one.save(place / _folder(one.model.name))
        return tuple(written)


def estimate_across(options: AcrossOptions, *, progress: Progress = quiet) -> ModelAverage:
    """Fit every model, compare and average them, and write the files if there is a place for them.

    Raises:
        UnknownNameError: no such drug, or a weight for a model that is not there.
        ConfigError: an option or a line of the file that is not allowed; models of different quantities.
        OutputError: a file cannot be written; what can be known of that is looked at before the fit.
    """
    each = options.each
    if fault := check_kind(each.posterior):
        raise ConfigError(fault)
    if not options.drugs:
        raise ConfigError("no drug was given: name a drug model, or several")
    asked = [dataclasses.replace(each, drug=drug, output_dir=None) for drug in options.drugs]
    found = _read(asked)
    models = [model for model, _ in found]
    prior = _prior(options, [model.name for model in models])
    pairs = [paired(*found[0], *one) for one in found]
    _prepare(each, models)
    steps = Steps(progress, 3 * len(models) + 2)
    estimations = tuple(
        estimated(one, model, its.data, steps) for one, model, its in zip(asked, models, pairs, strict=True)
    )
    with jax.enable_x64(True):
        with steps.step("weighing the models"):
            compared = compare(estimations, pairs, prior)
        forecasts, quantities, courses = average(estimations, pairs, compared, seed=each.seed, steps=steps)
    notes = _notes(pairs, estimations)
    result = ModelAverage(options, estimations, compared, forecasts, quantities, courses, notes, ())
    if each.output_dir is None:
        return result
    with steps.step("drawing"):
        return dataclasses.replace(result, files=result.save(each.output_dir))


def _notes(pairs: Sequence[Paired], estimations: Sequence[Estimation]) -> tuple[str, ...]:
    """What is said of the models, of the file by all of them, and of the file by one of them."""
    of_file = [one.notes for one in estimations]
    by_all = [note for note in of_file[0] if all(note in notes for notes in of_file)]
    by_one = [f"{one.model.name}: {note}" for one in estimations for note in one.notes if note not in by_all]
    return (*(note for its in pairs for note in its.notes), *by_all, *by_one)


def _prepare(each: EstimationOptions, models: Sequence[DrugModel]) -> None:
    if each.output_dir is None:
        return
    prepare_folder(each.output_dir, (*ACROSS_TABLES, MODELS_PLOT))
    for model in models:
        prepare_folder(each.output_dir / _folder(model.name), file_names(model, each.posterior))


def _read(asked: Sequence[EstimationOptions]) -> list[tuple[DrugModel, NonmemData]]:
    """Each model with the file as it reads it; occasions where the model knows them.

    Raises:
        ConfigError: two models of one name, or occasions that no model has.
    """
    found = [read(dataclasses.replace(one, occasions=False)) for one in asked]
    names = [model.name for model, _ in found]
    for i, name in enumerate(names):
        if _folder(name) in map(_folder, names[:i]):
            raise ConfigError(f"two models are called {name!r}: leave one out, or give it another name")
    if not asked[0].occasions:
        return found
    if not any(model.occasion_etas for model, _ in found):
        raise ConfigError(f"none of {', '.join(names)} has inter-occasion variability: leave the occasions out")
    return [read(one) if own[0].occasion_etas else own for one, own in zip(asked, found, strict=True)]


def _folder(name: str) -> str:
    """The folder of a model: its name, as far as every file system takes it."""
    return re.sub(r"[^\w.-]+", "_", name).strip(".") or "model"


def _prior(options: AcrossOptions, names: Sequence[str]) -> Float[np.ndarray, "model"]:
    """Prior weights that sum to 1.

    Raises:
        UnknownNameError: a weight for a model that was not given.
        ConfigError: a weight that is not a number above 0, or two for one model.
    """
    found: dict[str, float] = {}
    known = {str(drug): name for drug, name in zip(options.drugs, names, strict=True)} | {name: name for name in names}
    for called, weight in (options.weights or {}).items():
        if called not in known:
            raise UnknownNameError("model of a weight", called, names)
        if known[called] in found:
            raise ConfigError(f"the weight of {known[called]} was given twice: leave one out")
        if not (math.isfinite(weight) and weight > 0):
            raise ConfigError(f"the weight of {called} must be above 0, not {weight:g}; for 0 leave the model out")
        found[known[called]] = float(weight)
    weights = np.asarray([found.get(name, 1.0) for name in names])
    return weights / weights.sum()
