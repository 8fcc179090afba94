"""Which dose for this patient from this table: estimate, draw, and rank a grid of regimens.

Probabilities are those of the patient's true metric, without residual error. Doses follow those of the table; its last
covariates hold for the future. With occasions, future doses are in a new one, whose effects are drawn from their own
distribution, and 0 for the point estimate.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pharmacometrics.dose_draws import draw_patients, in_next_occasion
from rl_drug_dosage.pharmacometrics.dose_options import DoseOptions, Question, question_of
from rl_drug_dosage.pharmacometrics.dose_plots import FIGURE, draw_doses, save_doses_figure
from rl_drug_dosage.pharmacometrics.dose_ranking import RegimenRow, limit_of, ranked
from rl_drug_dosage.pharmacometrics.dose_start import course_times_h, offset_h, start_of, wait_of
from rl_drug_dosage.pharmacometrics.dose_tables import TABLES, dose_columns, save_dose_tables
from rl_drug_dosage.pharmacometrics.dose_target import label_of
from rl_drug_dosage.pharmacometrics.dose_types import Course, Onset, PatientDoses
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.pkpd.bayes import (
    Candidate,
    Draws,
    Fitted,
    Search,
    fit_patients,
    flattened,
    prepare_search,
    start_from_levels,
)
from rl_drug_dosage.pkpd.nonmem_data import NonmemData, read_nonmem
from rl_drug_dosage.registry import DRUG, find
from rl_drug_dosage.utils.arguments import checked
from rl_drug_dosage.utils.files import prepare_folder
from rl_drug_dosage.utils.progress import Progress, Steps, quiet
from rl_drug_dosage.utils.result import Result

__all__ = ["DoseOptions", "DoseSearch", "RegimenRow", "search_doses"]

_FEW = 100.0
"""Effective proposals below which probabilities are flagged."""
_INTERVALS = 8
"""Intervals of the best regimen that are looked at for the time to target, unless more are asked for."""
_COURSES = 200
"""Draws whose courses are drawn."""


@dataclass(frozen=True, repr=False)
class DoseSearch(Result):
    """Every patient's regimens, best first.

    Args:
        options: what was asked.
        question: the same in the drug's terms.
        model: the drug.
        patients: one after the other.
        notes: about the data.
        files: written on the way; none unless ``output_dir`` was given.
    """

    options: DoseOptions
    question: Question
    model: DrugModel
    patients: tuple[PatientDoses, ...]
    notes: tuple[str, ...]
    files: tuple[Path, ...]

    @property
    def title(self) -> str:
        when = "at steady state" if self.question.doses is None else f"in interval {self.question.doses}"
        return f"{self.model.name}, {self.options.data.name}: {label_of(self.question.aim)}, {when}"

    def columns(self) -> dict[str, np.ndarray]:
        """A row a regimen: the columns of ``doses.csv``."""
        return dose_columns(self.patients)

    def plot(self) -> Any:
        """The predicted course of each patient's best regimen, with 50 and 90 % bands."""
        return draw_doses(self.model, self.question, self.patients, self.title)

    @checked
    def save(self, folder: str | Path) -> tuple[Path, ...]:
        """``doses.csv``, ``doses.json`` and the figure."""
        place = prepare_folder(Path(folder))
        tables = save_dose_tables(self.options, self.question, self.model, self.patients, self.notes, place)
        return (*tables, save_doses_figure(self.model, self.question, self.patients, self.title, place))


def search_doses(options: DoseOptions, *, progress: Progress = quiet) -> DoseSearch:
    """Read, estimate, search, and write tables and figure if there is a place for them.

    Raises:
        UnknownNameError: no such drug or route.
        ConfigError: an option or a line of the file that is not allowed, or a search without a possible regimen.
        OutputError: a file cannot be written.
    """
    steps = Steps(progress, 3)
    model = flattened(find(DRUG, options.drug).value, options.prior_weight)
    question = question_of(model, options)
    data = read_nonmem(
        options.data,
        model,
        occasions=options.occasions,
        interpolation=options.interpolation,
        pre_dose_level=options.pre_dose_level,
    )
    model, begun = start_from_levels(model, data.patients, data.starts)
    data = dataclasses.replace(data, patients=begun)
    if options.output_dir is not None:
        prepare_folder(options.output_dir, [*TABLES, FIGURE])
    with steps.step(f"fitting {len(data.patients)} patients"):
        fits = fit_patients(model, data.patients)
    with steps.step(f"searching {len(question.ways) * len(question.amounts_mg)} regimens"), jax.enable_x64(True):
        patients = _search(model, question, data, fits, options)
    found = DoseSearch(options, question, model, patients, data.notes, ())
    if options.output_dir is None:
        return found
    with steps.step("drawing"):
        return dataclasses.replace(found, files=found.save(options.output_dir))


def _search(
    model: DrugModel, question: Question, data: NonmemData, fits: Sequence[Fitted], options: DoseOptions
) -> tuple[PatientDoses, ...]:
    draws, effective = draw_patients(model, data.patients, fits, options)
    offsets = [offset_h(data, i) for i in range(len(data.patients))]
    waits, candidates = [], []
    for i, patient in enumerate(data.patients):
        waits.append(wait_of(model, question, patient, draws[i]))
        start = start_of(model, question, patient, waits[i], options.start_h, offsets[i])
        table = patient.covariates
        if options.occasions:
            draws[i], table = in_next_occasion(model, draws[i], table, start, (options.seed, i))
        candidates.append(Candidate(patient.doses, table, start, question.ways))
    search = prepare_search(model, candidates, doses=question.doses)
    rows = [_ranked(search, question, i, own, data.patients[i].name) for i, own in enumerate(draws)]
    best = [
        dataclasses.replace(one, ways=(question.ways[own[0].way],)) for one, own in zip(candidates, rows, strict=True)
    ]
    after = prepare_search(model, best, doses=max(question.doses or 0, _INTERVALS))
    corners = max(len(patient.doses) for patient in data.patients)
    found = []
    for i, patient in enumerate(data.patients):
        warnings = [*fits[i].warnings, *(flag for flag in data.flags[i] if flag)]
        if effective[i] < _FEW:
            warnings.append(f"the draws rest on {effective[i]:.0f} effective proposals: distrust the probabilities")
        onset, course = _ahead(
            after, question, i, draws[i], rows[i][0], course_times_h(best[i], patient, rows[i][0], corners)
        )
        found.append(
            PatientDoses(
                fitted=fits[i],
                data=patient,
                start_h=best[i].start_h,
                offset_h=offsets[i],
                rows=rows[i],
                impossible=len(question.ways) * len(question.amounts_mg) - len(rows[i]),
                wait=waits[i],
                onset=onset,
                course=course,
                effective=float(effective[i]),
                warnings=tuple(warnings),
            )
        )
    return tuple(found)


def _ranked(search: Search, question: Question, patient: int, draws: Draws, name: str) -> tuple[RegimenRow, ...]:
    """A patient's regimens.

    Raises:
        ConfigError: none is possible.
    """
    values = search.metrics(patient, draws, question.aim.target, question.amounts_mg)
    rows = ranked(question, values, *_exact(search, question, patient, draws))
    if not rows:
        raise ConfigError(
            f"patient {name}: no regimen has a finite {question.aim.target.metric}; check amounts, intervals and the "
            "output of the target (a steady state exists only if more can be eliminated than is given)"
        )
    return rows


def _ahead(
    after: Search, question: Question, patient: int, draws: Draws, best: RegimenRow, times_h: Float[np.ndarray, "time"]
) -> tuple[Onset, Course]:
    """Time to target, and course, under the best regimen."""
    target = question.aim.target
    values = after.by_interval(patient, draws, target, best.amount_mg)
    some = Draws(draws.eta[: 1 + _COURSES], draws.kappa[: 1 + _COURSES])
    course = after.course(patient, some, best.amount_mg, times_h)[..., after.model.output_index(target.output)]
    return Onset.of(question.aim.inside(values), best.interval_h), Course.of(times_h, course)


type _Exact = tuple[Float[np.ndarray, "way"] | None, Float[np.ndarray, "way amount"] | None]


def _exact(search: Search, question: Question, patient: int, draws: Draws) -> _Exact:
    """The doses, and the intervals, that attain aim or limit exactly, where the criterion has one."""
    target, amounts = question.aim.target, question.amounts_mg
    limit = limit_of(question)
    if question.criterion == "map":
        draws, limit = Draws(draws.eta[:1], draws.kappa[:1]), (question.aim.point, 50.0)
    elif question.criterion == "percentile" and search.model.structure.linear:
        draws = Draws(draws.eta[1:], draws.kappa[1:])
    else:
        return None, None
    if target.metric == "time_above" or limit is None:
        return None, None
    doses = intervals = None
    if amounts[0] < amounts[-1]:
        doses = search.attaining_mg(patient, draws, target, *limit, (amounts[0], amounts[-1]))
    hours = [way.interval_h for way in question.ways]
    if question.doses is None and min(hours) < max(hours):
        intervals = search.attaining_h(patient, draws, target, *limit, amounts, (min(hours), max(hours)))
    return doses, intervals
