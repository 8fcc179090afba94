"""From what a user asks of a simulation to a plan: everything that is known before a patient is drawn."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float

from rl_drug_dosage.errors import ConfigError, UnknownNameError
from rl_drug_dosage.pharmacometrics.simulation_course import SampleTimes, Treatment, default_step_h, make_sample_times
from rl_drug_dosage.pkpd import Covariate, DrugModel, Fixed, Route, make_covariates, outside_range
from rl_drug_dosage.pkpd.same_quantity import read_covariates
from rl_drug_dosage.utils.seeding import check_seed

__all__ = ["Plan", "SimulationOptions", "make_plan"]

MOST_PATIENTS = 1_000_000
MOST_SAMPLES = 20_000


@dataclass(frozen=True, kw_only=True)
class SimulationOptions:
    """What to simulate and where to write it; the command's options.

    Args:
        drug: a drug model in any form that `registry` knows.
        patients: size of the cohort.
        dose_mg: of each dose; 0 means no drug, None the drug's usual dose.
        interval_h: from dose to dose; None means the drug's first interval.
        duration_h: of each infusion, 0 for a bolus; None means the route's.
        days: length of the course; None means 7 days, but 3 to 1,000 intervals.
        route: name of a route, or a part of one that no other route has; None means the drug's first.
        seed: names the cohort.
        output_dir: where files go; None: nothing is written.
        file_format: of the data, ``"csv"`` or ``"parquet"``.
        sample_every_h: between rows of the data file; None means up to 200 of them.
        covariates: values that every patient has.
        variability: False for patients without random effects and residual error, who have typical covariates.

    Raises:
        ConfigError: a number that is not allowed.
    """

    drug: object
    patients: int = 1000
    dose_mg: float | None = None
    interval_h: float | None = None
    duration_h: float | None = None
    days: float | None = None
    route: str | None = None
    seed: int = 1
    output_dir: Path | None = None
    file_format: str = "csv"
    sample_every_h: float | None = None
    covariates: Mapping[str, float] = field(default_factory=dict)
    variability: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.patients <= MOST_PATIENTS:
            raise ConfigError(f"--patients must be from 1 to {MOST_PATIENTS}, not {self.patients}")
        check_seed(self.seed)
        for name in ("dose_mg", "interval_h", "duration_h", "days", "sample_every_h"):
            if isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name} is {getattr(self, name)}: give a number")


@dataclass(frozen=True)
class Plan:
    """A simulation, ready to run."""

    model: DrugModel
    """With covariates fixed, and variability taken out, as asked."""
    course: Treatment
    sample_every_h: float
    grid: SampleTimes
    panels: tuple[int, ...]
    """Outputs that figure and summary show."""
    measured: tuple[bool, ...]
    """Which outputs have a published residual error, so that a level of them can be simulated."""
    record_times_h: Float[np.ndarray, "record"]
    """Covariate records: one, unless the model's parameters depend on ``time_h``."""
    warnings: tuple[str, ...] = field(default=())


def make_plan(model: DrugModel, options: SimulationOptions) -> Plan:
    """Check what was asked of the drug; what was not comes from it.

    Raises:
        ConfigError: a number, a name or a combination that is not allowed.
    """
    route = _find_route(model, options.route)
    for option, value in (("--dose", options.dose_mg), ("--interval", options.interval_h)):
        if value is None and not model.dosing.are_named:
            raise ConfigError(f"{option} is missing, and {model.name} names no doses: give {option}, or its [dosing]")
    interval = model.dosing.intervals_h[0] if options.interval_h is None else options.interval_h
    usual = min(max(168.0, 3 * interval), 1000 * interval)
    course = Treatment(
        route=route,
        dose_mg=model.dosing.usual_dose_mg if options.dose_mg is None else options.dose_mg,
        interval_h=interval,
        duration_h=route.duration_h if options.duration_h is None else options.duration_h,
        total_h=usual if options.days is None else 24.0 * options.days,
    )
    step = default_step_h(course) if options.sample_every_h is None else options.sample_every_h
    if not (math.isfinite(step) and step > 0):
        raise ConfigError(f"--sample-every must be a finite number of hours above 0, not {step}")
    if course.total_h / step > MOST_SAMPLES:
        raise ConfigError(
            f"--sample-every {step:g} h makes more than {MOST_SAMPLES:,} samples a patient: choose a longer one"
        )
    given = read_covariates(model.covariates, options.covariates, f"covariate of {model.name}")
    asked = _with_covariates(model, given, variability=options.variability)
    records = _record_times(asked, given, course.total_h)
    return Plan(
        model=asked,
        course=course,
        sample_every_h=step,
        grid=make_sample_times(course, step),
        panels=_panels(model),
        measured=tuple(output.residual is not None for output in model.outputs),
        record_times_h=records,
        warnings=(*_outside(model, given, course.total_h, timed=records.size > 1), *_unspread(model, given)),
    )


def _find_route(model: DrugModel, name: str | None) -> Route:
    routes = model.dosing.routes
    if name is None:
        return routes[0]
    exact = [route for route in routes if route.name == name]
    found = exact or [route for route in routes if name.lower() in route.name.lower()]
    if not name or not found:
        raise UnknownNameError(f"route of {model.name}", name, [route.name for route in routes])
    if len(found) > 1:
        raise ConfigError(f"--route {name!r} fits {', '.join(repr(r.name) for r in found)}: write one of them out")
    return found[0]


def _with_covariates(model: DrugModel, given: Mapping[str, float], *, variability: bool) -> DrugModel:
    """The model whose cohort has the given values: those that depend on them are drawn accordingly."""

    def fixed(covariate: Covariate) -> Covariate:
        value = given.get(covariate.name, None if variability else covariate.typical)
        return covariate if value is None else dataclasses.replace(covariate, distribution=Fixed(float(value)))

    changed = dataclasses.replace(model, covariates=tuple(fixed(covariate) for covariate in model.covariates))
    if variability:
        return changed
    outputs = tuple(dataclasses.replace(output, residual=None) for output in model.outputs)
    return dataclasses.replace(
        changed, etas=(), correlations=(), occasion_etas=(), occasion_correlations=(), outputs=outputs
    )


def _record_times(model: DrugModel, given: Mapping[str, float], total_h: float) -> Float[np.ndarray, "record"]:
    """Where typical parameters change with ``time_h``, to the hour, and the end; a record holds up to its time."""
    if "time_h" in given or all(covariate.name != "time_h" for covariate in model.covariates):
        return np.zeros(1)
    hours = np.arange(0.0, math.ceil(total_h) + 1.0)
    values = {covariate.name: covariate.typical for covariate in model.covariates} | {"time_h": hours}
    p = model.finish(model.parameters(model.theta_values(), values), values)  # type: ignore[arg-type]
    table = np.stack([np.broadcast_to(np.asarray(column), hours.shape) for column in p.values()])
    changes = np.flatnonzero(np.any(table[:, 1:] != table[:, :-1], axis=0))
    return np.unique(np.append(hours[changes[changes > 0]], hours[-1]))


def _unspread(model: DrugModel, given: Mapping[str, float]) -> tuple[str, ...]:
    """Covariates of a model that was read from a file which states neither range nor distribution."""
    found = [
        f"{c.name} = {c.typical:g} {c.unit}".removesuffix(" 1").removesuffix(" 0/1")
        for c in model.covariates
        if isinstance(c.distribution, Fixed) and math.isinf(c.low) and c.name not in given
    ]
    told = f"every patient has {', '.join(found)}: {model.name} states no distribution; give it in its .toml"
    return (told,) if found else ()


def _outside(model: DrugModel, given: Mapping[str, float], total_h: float, *, timed: bool) -> tuple[str, ...]:
    values = {covariate.name: (covariate.typical,) * 2 for covariate in model.covariates}
    values |= {name: (value, value) for name, value in given.items()}
    if timed:
        values["time_h"] = (0.0, total_h)
    return outside_range(model, make_covariates(model, values, (0.0, total_h)))


def _panels(model: DrugModel) -> tuple[int, ...]:
    """The first output, those with a target, and the concentration."""
    names = [output.name for output in model.outputs]
    wanted = [names[0], *(target.output for target in model.targets)]
    wanted += [name for name in names if name == "concentration"]
    return tuple(names.index(name) for name in dict.fromkeys(wanted))
