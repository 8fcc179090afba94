"""Give a virtual cohort of a published model one regimen, and write what happens: data, figure, summary."""

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rl_drug_dosage.pharmacometrics.simulation_data import (
    DataWriter,
    columns_of,
    data_columns,
    open_data,
    rows_of,
)
from rl_drug_dosage.pharmacometrics.simulation_plan import Plan, SimulationOptions, make_plan
from rl_drug_dosage.pharmacometrics.simulation_plots import draw, save_figure
from rl_drug_dosage.pharmacometrics.simulation_summary import SummaryRow, interval_metrics, summarize
from rl_drug_dosage.pkpd import (
    Covariates,
    DrugModel,
    Patient,
    Regimen,
    SolverError,
    add_residual,
    check_parameters,
    chunks,
    draw_patients,
    individual_parameters,
    outputs_of,
    solve,
)
from rl_drug_dosage.registry import DRUG, find
from rl_drug_dosage.utils.arguments import checked
from rl_drug_dosage.utils.device_shape import device_shape
from rl_drug_dosage.utils.files import atomic_write, prepare_folder
from rl_drug_dosage.utils.progress import Progress, quiet
from rl_drug_dosage.utils.result import Result
from rl_drug_dosage.utils.seeding import Stream, key_for
from rl_drug_dosage.utils.table_format import check_format

__all__ = ["Simulation", "SimulationOptions", "simulate"]

_MOST_IN_FIGURE = 100_000
"""Percentiles need every patient's course at once; more patients do not change what can be seen."""


@dataclass(frozen=True, repr=False)
class Simulation(Result):
    """What came of it. A cohort may be larger than memory: it is drawn again, to the bit, for whoever wants its rows.

    Args:
        options: what was asked.
        plan: what was done.
        summary: of all patients.
        warnings: what a reader should know.
        files: written on the way; none unless ``output_dir`` was given.
        shown: predictions of each chunk of patients at the times of the figure.
    """

    options: SimulationOptions
    plan: Plan
    summary: tuple[SummaryRow, ...]
    warnings: tuple[str, ...]
    files: tuple[Path, ...]
    shown: tuple[Float[np.ndarray, "patient shown panel"], ...]

    @property
    def title(self) -> str:
        return f"{self.plan.model.name}: {self.plan.course.label}, {self.options.patients:,} patients"

    def columns(self) -> dict[str, np.ndarray]:
        """The rows of the data file: NONMEM's columns, a dose's DV and IPRED not a number."""
        rows = rows_of(self.plan)
        chunks = (
            data_columns(self.plan, rows, c.first, c.covariates, c.predicted, c.measured)
            for c in courses(self.plan, self.options.seed, self.options.patients)
        )
        return {name: np.concatenate(parts) for name, parts in _transposed(chunks).items()}

    def _summary(self) -> Mapping[str, np.ndarray]:
        names = ("name", "unit", "median", "p5", "p95", "attained_pct")
        return {n: np.asarray([getattr(row, n) for row in self.summary], object) for n in names}

    def plot(self) -> Any:
        """Percentiles of every output with its target, above the doses."""
        return draw(self.plan, list(self.shown), self.options.patients)

    @checked
    def save(self, folder: str | Path) -> tuple[Path, ...]:
        """The data, the record and the figure; the same patients are simulated again, to the bit."""
        return simulate(dataclasses.replace(self.options, output_dir=Path(folder))).files


def _transposed(rows: Iterable[Mapping[str, np.ndarray]]) -> dict[str, list[np.ndarray]]:
    found: dict[str, list[np.ndarray]] = {}
    for row in rows:
        for name, values in row.items():
            found.setdefault(name, []).append(values)
    return found


@dataclass(frozen=True)
class Chunk:
    """Patients ``first .. first + n - 1``."""

    first: int
    covariates: dict[str, Float[np.ndarray, "patient"]]
    predicted: Float[np.ndarray, "patient time output"]
    """At every time of the plan, without residual error."""
    measured: Float[np.ndarray, "patient sample output"]
    area_mg_h_per_l: Float[np.ndarray, "patient 2"]
    """Area under the concentration since the first dose, at both ends of the plan's AUC window."""


def simulate(options: SimulationOptions, *, progress: Progress = quiet) -> Simulation:
    """Draw the cohort, solve it chunk by chunk, and write data, record and figure if there is a place for them.

    Raises:
        ConfigError: something was asked for that cannot be.
        DependencyError: Parquet without pyarrow.
        OutputError: a place that cannot be written.
        CovariateError: parameters that are not finite and positive.
        SolverError: a course that is not finite.
    """
    model: DrugModel = find(DRUG, options.drug).value
    plan = make_plan(model, options)
    check_format(options.file_format)
    data, record, figure = _places(options, model.name)
    shown: list[Float[np.ndarray, "patient shown panel"]] = []
    metrics = []
    unreported = 0
    rows = rows_of(plan)
    progress(f"compiling {model.name}", 0.0)
    with open_data(data, options.file_format, plan, rows) if data is not None else nullcontext() as writer:
        for chunk in courses(plan, options.seed, options.patients):
            done = chunk.first + len(chunk.predicted)
            progress(f"simulating {model.name}, {done:,} of {options.patients:,} patients", done / options.patients)
            unreported += _write(writer, chunk) if writer is not None else 0
            room = max(_MOST_IN_FIGURE - chunk.first, 0)
            shown.append(chunk.predicted[:room][:, plan.grid.shown][:, :, list(plan.panels)])
            metrics.append(interval_metrics(plan, chunk.predicted, chunk.area_mg_h_per_l))
    summary = summarize(plan, {name: np.concatenate([m[name] for m in metrics]) for name in metrics[0]})
    files: tuple[Path, ...] = ()
    if data is not None and record is not None and figure is not None:
        save_figure(plan, shown, options.patients, figure)
        _save_record(record, options, plan, summary, unreported, data.name)
        files = (data, record, figure)
    return Simulation(options, plan, summary, plan.warnings, files, tuple(shown))


def _places(options: SimulationOptions, name: str) -> tuple[Path | None, Path | None, Path | None]:
    """Data, record and figure, in a folder that exists."""
    if options.output_dir is None:
        return None, None, None
    names = [f"simulation-{name}.{ending}" for ending in (options.file_format, "json", "png")]
    folder = prepare_folder(options.output_dir, names)
    data, record, figure = (folder / each for each in names)
    return data, record, figure


def _write(writer: DataWriter, chunk: Chunk) -> int:
    return writer.write(chunk.first, chunk.covariates, chunk.predicted, chunk.measured)


def courses(plan: Plan, seed: int, count: int) -> Iterator[Chunk]:
    """Patients 0 .. count - 1 in chunks; a patient depends on the seed and its own number only.

    Raises:
        CovariateError: parameters that are not finite and positive; names the patient and the covariates.
        SolverError: a course that is not finite; names the patient.
    """
    size = chunk_size(plan, count)
    for_patients, for_errors = jax.random.split(key_for(seed, Stream.EVALUATE))
    run = _program(plan)
    look = _parameter_ranges(plan)
    # Every chunk has the full size, so that the last one needs no compilation of its own.
    draw = jax.jit(lambda start: draw_patients(plan.model, for_patients, start, size))
    draw_keys = jax.jit(lambda start: jax.vmap(lambda i: jax.random.fold_in(for_errors, i))(start + jnp.arange(size)))
    for block in chunks(count, size):
        patients = draw(block.start)
        n = len(block)
        given = {name: np.asarray(v)[:n, :1] for name, v in patients.covariates.values.items()}
        who = [f"patient {number + 1}" for number in block]
        check_parameters(plan.model, {k: np.asarray(v)[:n] for k, v in look(patients).items()}, given, who)
        predicted, measured, area = (np.asarray(a)[:n] for a in run(patients, draw_keys(block.start)))
        # A structure without a central concentration has no area: it is NaN, and no output asks for it.
        has_area = any(output.auc_scale is not None for output in plan.model.outputs)
        needed = (predicted, measured, area) if has_area else (predicted, measured)
        finite = [np.isfinite(a).reshape(n, -1).all(axis=1) for a in needed]
        bad = np.flatnonzero(~np.logical_and.reduce(finite))
        if bad.size:
            raise SolverError(
                f"{plan.model.name}: the course of patient {block.start + bad[0] + 1} is not finite ({bad.size} of {n} "
                "in its chunk): try a lower --dose or other --covariate values"
            )
        values = {name: np.asarray(v)[:n, 0] for name, v in patients.covariates.values.items()}
        yield Chunk(block.start, values, predicted, measured, area)


def chunk_size(plan: Plan, count: int) -> int:
    """Patients in memory at a time, spread evenly over the chunks."""
    per_patient = plan.grid.time_h.size * (len(plan.model.structure.compartments) + 2 * len(plan.model.outputs) + 2)
    most = max(device_shape().values // per_patient, 1)
    return math.ceil(count / math.ceil(count / most))


def _program(plan: Plan) -> Callable[[Patient, Array], tuple[Array, Array, Array]]:
    model, grid = plan.model, plan.grid
    ends = np.array([grid.auc_start, grid.end])

    def one(
        patient: Patient, key: Array, regimen: Regimen, times: Array, after: Array, records: Array
    ) -> tuple[Array, Array, Array]:
        table = _records(patient.covariates.values, records)
        p = individual_parameters(model, table, patient.eta, patient.kappa)
        solution = solve(model.structure, p, regimen, table, times, after, auc=True)
        f = outputs_of(model, p, table, solution.contents, times)
        return f, add_residual(model, f[grid.sampled], key), solution.auc_mg_h_per_l[ends]

    compiled = jax.jit(jax.vmap(one, in_axes=(0, 0, None, None, None, None)))
    # Arguments, not constants: another dose or another clock runs what was compiled before.
    shared = (
        plan.course.regimen(model),
        jnp.asarray(grid.time_h, dtype=float),
        jnp.asarray(grid.after_dose),
        jnp.asarray(plan.record_times_h, dtype=float),
    )
    return lambda patients, keys: compiled(patients, keys, *shared)


def _parameter_ranges(plan: Plan) -> Callable[[Patient], dict[str, Array]]:
    """Lowest and highest value in time of each patient's parameters, ``[patient, 2]`` each."""
    times = jnp.asarray(plan.record_times_h, dtype=float)

    def one(patient: Patient) -> dict[str, Array]:
        p = individual_parameters(plan.model, _records(patient.covariates.values, times), patient.eta, patient.kappa)
        return {name: jnp.stack([value.min(), value.max()]) for name, value in p.items()}

    return jax.jit(jax.vmap(one))


def _records(values: Mapping[str, Array], records: Float[Array, "record"]) -> Covariates:
    """The patient's table. Its times are everybody's, so that events are sorted once and not for each patient."""
    table = {name: jnp.broadcast_to(value, records.shape) for name, value in values.items()}
    if records.size > 1:
        table["time_h"] = records
    return Covariates(records, table, jnp.zeros(records.shape, dtype=int))


def _save_record(
    path: Path,
    options: SimulationOptions,
    plan: Plan,
    summary: tuple[SummaryRow, ...],
    unreported: int,
    data_name: str,
) -> None:
    model, course = plan.model, plan.course
    record: dict[str, Any] = {
        "intended_use": "research and education only; virtual patients, no treatment of anybody",
        "program": f"rl-drug-dosage {version('rl-drug-dosage')}",
        "drug": model.name,
        "citation": model.citation,
        "doi": model.doi,
        "patients": options.patients,
        "seed": options.seed,
        "variability": options.variability,
        "covariates_given": dict(options.covariates),
        "regimen": {
            "route": course.route.name,
            "compartment": course.route.compartment,
            "dose_mg": course.dose_mg,
            "interval_h": course.interval_h,
            "duration_h": course.duration_h,
            "days": course.total_h / 24.0,
        },
        "data": data_name,
        "sample_every_h": plan.sample_every_h,
        "columns": [{"name": c.name, "unit": c.unit, "meaning": c.meaning} for c in columns_of(plan)],
        "rows_with_mdv_1_that_are_no_doses": unreported,
        "notes": [
            "one occasion: inter-occasion effects are drawn once for the whole course",
            "an observation at the time of a dose comes before the dose",
        ],
        "warnings": list(plan.warnings),
        "summary": [row.record() for row in summary],
    }
    atomic_write(path, (json.dumps(record, indent=2, allow_nan=False) + "\n").encode())
