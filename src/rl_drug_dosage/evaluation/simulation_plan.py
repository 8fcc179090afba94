"""From what a user asks of a simulation to doses, times and warnings: everything that is known before a patient is drawn."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from rl_drug_dosage.errors import ConfigError, UnknownNameError
from rl_drug_dosage.pkpd import (
    Categorical,
    Covariate,
    Covariates,
    Dose,
    DrugModel,
    Fixed,
    Regimen,
    Route,
    every,
    make_covariates,
    make_regimen,
    outside_range,
)

__all__ = ["Course", "Grid", "Plan", "make_plan"]

MOST_DOSES = 10_000
MOST_SAMPLES = 20_000
_DEFAULT_SAMPLES = 200
_SHOWN = 480
"""Points of the figure's time axis, besides infusion ends and dose times."""
_IN_LAST_INTERVAL = 48
_PARTS = (168, 144, 96, 72, 48, 24, 12, 8, 6, 4, 3, 2, 1)
_TICK_H = 1e-7
"""Times closer than this are one time: sampling grid and dose times are rounded differently."""


@dataclass(frozen=True, kw_only=True)
class Course:
    """What is given, and for how long.

    Raises:
        ConfigError: a number that no course can have.
    """

    route: Route
    dose_mg: float
    interval_h: float
    duration_h: float
    """Of each infusion; 0 is a bolus or a swallowed dose."""
    total_h: float

    def __post_init__(self) -> None:
        for option, value, low in (
            ("--dose", self.dose_mg, 0.0), ("--interval", self.interval_h, _TICK_H), ("--duration", self.duration_h, 0.0),
            ("--days", self.total_h / 24.0, _TICK_H),
        ):  # fmt: skip
            if not (math.isfinite(value) and value >= low):
                allowed = "a finite number of at least 0" if low == 0 else "a finite number above 0"
                raise ConfigError(f"{option} must be {allowed}, not {value}")
        if self.total_h / self.interval_h > MOST_DOSES:
            raise ConfigError(
                f"a dose every {self.interval_h:g} h for {self.total_h / 24:g} days is more than {MOST_DOSES:,} doses: "
                "choose a longer --interval (with a longer --duration for an infusion) or fewer --days"
            )

    @property
    def dose_times_h(self) -> Float[np.ndarray, "dose"]:
        """When doses start; none at the end of the course, none at all where the dose is 0."""
        count = math.ceil(self.total_h / self.interval_h - 1e-9) if self.dose_mg > 0 else 0
        return self.interval_h * np.arange(count)

    @property
    def back_to_back(self) -> bool:
        """Whether each infusion ends as the next one starts."""
        return math.isclose(self.duration_h, self.interval_h, rel_tol=1e-9)

    @property
    def last_interval_h(self) -> tuple[float, float]:
        """The last complete dosing interval; a course that is shorter than one is taken whole."""
        complete = math.floor(self.total_h / self.interval_h + 1e-9)
        if complete == 0:
            return 0.0, self.total_h
        return (complete - 1) * self.interval_h, complete * self.interval_h

    @property
    def auc_window_h(self) -> tuple[float, float]:
        """Whole intervals of at least 24 h up to the end of `last_interval_h`; the whole course where it is shorter."""
        end = self.last_interval_h[1]
        length = self.interval_h * math.ceil(24.0 / self.interval_h - 1e-9)
        return (end - length if length <= end * (1 + 1e-9) else 0.0), end

    def regimen(self, model: DrugModel) -> Regimen:
        """As the engine reads it. Infusions without a gap are one infusion, which is the same and needs one event."""
        count = len(self.dose_times_h)
        if count == 0:
            return make_regimen((), model.structure)
        if self.back_to_back:
            whole = Dose(0.0, self.dose_mg * count, self.route.compartment, duration_h=self.duration_h * count)
            return make_regimen((whole,), model.structure)
        dose = Dose(0.0, self.dose_mg, self.route.compartment, duration_h=self.duration_h)
        return make_regimen(every(dose, self.interval_h, count), model.structure)


@dataclass(frozen=True)
class Grid:
    """All times at which a patient is looked at, ascending, and who asked for which."""

    time_h: Float[np.ndarray, "time"]
    after_dose: Bool[np.ndarray, "time"]
    sampled: Int[np.ndarray, "sample"]
    """Indices of the rows of the data file."""
    shown: Int[np.ndarray, "shown"]
    """Indices of the points of the figure."""
    last: Int[np.ndarray, "last"]
    """Indices inside the last interval, ends included."""
    auc_start: int
    end: int
    """Indices of the ends of `Course.auc_window_h`."""


@dataclass(frozen=True)
class Plan:
    """A simulation, ready to run."""

    model: DrugModel
    """With covariates fixed, and variability taken out, as asked."""
    course: Course
    sample_every_h: float
    grid: Grid
    panels: tuple[int, ...]
    """Outputs that figure and summary show."""
    record_times_h: Float[np.ndarray, "record"]
    """Covariate records: one, unless the model's parameters depend on ``time_h``."""
    warnings: tuple[str, ...] = field(default=())


def make_plan(
    model: DrugModel,
    *,
    route: str | None = None,
    dose_mg: float | None = None,
    interval_h: float | None = None,
    duration_h: float | None = None,
    days: float | None = None,
    sample_every_h: float | None = None,
    covariates: Mapping[str, float] | None = None,
    variability: bool = True,
) -> Plan:
    """Check what was asked; what was not comes from the drug.

    Args:
        model: the drug.
        route: name of a route, or a part of one that no other route has.
        dose_mg, interval_h, duration_h: of each dose; 0 mg means no drug.
        days: length of the course; None means 7 days, but 3 to 1,000 intervals.
        sample_every_h: between rows of the data file; None means up to 200 of them.
        covariates: values that every patient has.
        variability: False for patients without random effects and residual error, who have typical covariates.

    Raises:
        ConfigError: a number, a name or a combination that is not allowed.
    """
    way = _find_route(model, route)
    interval = model.dosing.intervals_h[0] if interval_h is None else interval_h
    total = min(max(168.0, 3 * interval), 1000 * interval) if days is None else 24.0 * days
    course = Course(
        route=way,
        dose_mg=model.dosing.usual_dose_mg if dose_mg is None else dose_mg,
        interval_h=interval,
        duration_h=way.duration_h if duration_h is None else duration_h,
        total_h=total,
    )
    step = _default_step(course) if sample_every_h is None else sample_every_h
    if not (math.isfinite(step) and step > _TICK_H):
        raise ConfigError(f"--sample-every must be a finite number of hours above 0, not {step}")
    if course.total_h / step > MOST_SAMPLES:
        raise ConfigError(
            f"--sample-every {step:g} h makes more than {MOST_SAMPLES:,} samples a patient: choose a longer one"
        )
    given = dict(covariates or {})
    _check_covariates(model, given)
    asked = _with_covariates(model, given, variability=variability)
    records = _record_times(asked, given, course.total_h)
    return Plan(
        model=asked,
        course=course,
        sample_every_h=step,
        grid=_grid(course, step),
        panels=_panels(model),
        record_times_h=records,
        warnings=_outside(model, given, course.total_h, timed=records.size > 1),
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


def _check_covariates(model: DrugModel, given: Mapping[str, float]) -> None:
    known = {covariate.name: covariate for covariate in model.covariates}
    for name, value in given.items():
        if name not in known:
            raise UnknownNameError(f"covariate of {model.name}", name, known)
        if not math.isfinite(value):
            raise ConfigError(f"--covariate {name} must be a finite number of {known[name].unit}, not {value}")
        allowed = _categories(known[name])
        if allowed and value not in allowed:
            raise ConfigError(
                f"--covariate {name} must be one of {', '.join(f'{a:g}' for a in allowed)}, not {value:g}"
            )


def _categories(covariate: Covariate) -> tuple[float, ...]:
    if isinstance(covariate.distribution, Categorical) and covariate.unit in {"0/1", "code", "count"}:
        return covariate.distribution.values
    return (0.0, 1.0) if covariate.unit == "0/1" else ()


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
    """Where the typical parameters change with ``time_h``, to the hour, and the end; a record holds up to its own time."""
    if "time_h" in given or all(covariate.name != "time_h" for covariate in model.covariates):
        return np.zeros(1)
    hours = np.arange(0.0, math.ceil(total_h) + 1.0)
    values = {covariate.name: covariate.typical for covariate in model.covariates} | {"time_h": hours}
    p = model.finish(model.parameters(model.theta_values(), values), values)  # type: ignore[arg-type]
    table = np.stack([np.broadcast_to(np.asarray(column), hours.shape) for column in p.values()])
    changes = np.flatnonzero(np.any(table[:, 1:] != table[:, :-1], axis=0))
    return np.unique(np.append(hours[changes[changes > 0]], hours[-1]))


def _outside(model: DrugModel, given: Mapping[str, float], total_h: float, *, timed: bool) -> tuple[str, ...]:
    values = {covariate.name: (covariate.typical,) * 2 for covariate in model.covariates}
    values |= {name: (value, value) for name, value in given.items()}
    if timed:
        values["time_h"] = (0.0, total_h)
    table: Covariates = make_covariates(model, values, (0.0, total_h))
    return outside_range(model, table)


def _panels(model: DrugModel) -> tuple[int, ...]:
    """The first output, those with a target, and the concentration."""
    names = [output.name for output in model.outputs]
    wanted = [names[0], *(target.output for target in model.targets)]
    wanted += [name for name in names if name == "concentration"]
    return tuple(names.index(name) for name in dict.fromkeys(wanted))


def _default_step(course: Course) -> float:
    """A part of the dosing interval, or a multiple, so that troughs are sampled."""
    per_interval = _DEFAULT_SAMPLES * course.interval_h / course.total_h
    for parts in _PARTS:
        if parts <= per_interval:
            return course.interval_h / parts
    return course.interval_h * math.ceil(1.0 / per_interval)


def _until(end: float, step: float) -> Float[np.ndarray, "time"]:
    return step * np.arange(math.floor(end / step + 1e-9) + 1)


def _grid(course: Course, step: float) -> Grid:
    doses, total = course.dose_times_h, course.total_h
    start, end = course.last_interval_h
    intervals = math.ceil(total / course.interval_h - 1e-9)
    regular = _until(total, step)
    # Every interval is shown in the same detail, as long as there are not too many of them to be told apart.
    few = intervals <= _SHOWN // 2
    shown = _until(total, course.interval_h / min(max(_SHOWN // intervals, 2), 160) if few else total / _SHOWN)
    if few and not course.back_to_back:
        shown = np.concatenate([shown, doses + course.duration_h])
    shown = np.append(shown[shown <= total], total)
    last = np.append(np.linspace(start, end, _IN_LAST_INTERVAL + 1), start + min(course.duration_h, end - start))
    jumps = doses[(doses < total) & (few | (np.abs(doses - start) < _TICK_H))] if course.duration_h == 0 else doses[:0]

    auc_start = course.auc_window_h[0]
    groups = [doses, regular, shown, last, np.array([auc_start, end])]
    plain = np.concatenate(groups)
    _, first = np.unique(np.round(plain / _TICK_H).astype(np.int64), return_index=True)
    time = np.concatenate([plain[first], jumps])
    after = np.arange(time.size) >= first.size
    order = np.lexsort((after, time))
    time, after = time[order], after[order]
    ticks = np.where(after, -1, np.round(time / _TICK_H).astype(np.int64))

    def at(times: Float[np.ndarray, "n"]) -> Int[np.ndarray, "n"]:
        return np.flatnonzero(np.isin(ticks, np.round(times / _TICK_H).astype(np.int64)))

    jumped = np.flatnonzero(after)
    in_last = jumped[(time[jumped] > start - _TICK_H) & (time[jumped] < end - _TICK_H)]
    return Grid(
        time_h=time,
        after_dose=after,
        sampled=at(regular),
        shown=np.sort(np.concatenate([at(shown), jumped])),
        last=np.sort(np.concatenate([at(last), in_last])),
        auc_start=int(at(np.array([auc_start]))[0]),
        end=int(at(np.array([end]))[0]),
    )
