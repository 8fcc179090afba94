"""A regimen and the times at which its patients are looked at."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import Dose, DrugModel, Regimen, Route, every, make_regimen

__all__ = ["SampleTimes", "Treatment", "default_step_h", "make_sample_times"]

MOST_DOSES = 10_000
_DEFAULT_SAMPLES = 200
_SHOWN = 480
"""Points of the figure's time axis, besides infusion ends and dose times."""
_IN_LAST_INTERVAL = 48
_PARTS = (168, 144, 96, 72, 48, 24, 12, 8, 6, 4, 3, 2, 1)
_LARGEST_MG = 1e9
"""More is a slip, whatever the drug."""
_TICK_H = 1e-7
"""Times closer than this are one time: sampling grid and dose times are rounded differently."""


@dataclass(frozen=True, kw_only=True)
class Treatment:
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
            ("--dose", self.dose_mg, 0.0),
            ("--interval", self.interval_h, _TICK_H),
            ("--duration", self.duration_h, 0.0),
            ("--days", self.total_h / 24.0, _TICK_H),
        ):
            if not (math.isfinite(value) and value >= low):
                allowed = "a finite number of at least 0" if low == 0 else "a finite number above 0"
                raise ConfigError(f"{option} must be {allowed}, not {value}")
        if self.dose_mg > _LARGEST_MG:
            raise ConfigError(f"--dose must be at most {_LARGEST_MG:g} mg, a tonne, not {self.dose_mg:g}")
        if self.total_h / self.interval_h > MOST_DOSES:
            raise ConfigError(
                f"a dose every {self.interval_h:g} h for {self.total_h / 24:g} days is more than {MOST_DOSES:,} doses: "
                "choose a longer --interval (with a longer --duration for an infusion) or fewer --days"
            )

    @property
    def label(self) -> str:
        """``1000 mg every 12 h, 1-h intravenous infusion``."""
        if self.dose_mg == 0:
            return "no drug"
        how = self.route.name
        if self.duration_h == self.route.duration_of(self.dose_mg) != self.route.duration_h:
            how = f"{self.route.name} at {self.route.max_rate_mg_per_h:g} mg/h, over {_span(self.duration_h)}"
        elif self.duration_h != self.route.duration_h:
            into = f" into {self.route.compartment}"
            how = (f"infusion of {_span(self.duration_h)}" if self.duration_h else "bolus") + into
        return f"{self.dose_mg:g} mg every {_span(self.interval_h)}, {how}"

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


def _span(hours: float) -> str:
    """``12 h``, ``10 s``, ``21 d``."""
    if hours > 48 and hours % 24 == 0:
        return f"{hours / 24:g} d"
    for size, unit in ((1.0, "h"), (1 / 60, "min"), (1 / 3600, "s")):
        if hours >= size * (1 - 1e-9):
            return f"{hours / size:.4g} {unit}"
    return f"{hours:g} h"


@dataclass(frozen=True)
class SampleTimes:
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
    """Indices of the ends of `Treatment.auc_window_h`."""


def default_step_h(course: Treatment) -> float:
    """A part of the dosing interval, or a multiple of it, so that troughs are sampled; up to 200 a patient."""
    per_interval = _DEFAULT_SAMPLES * course.interval_h / course.total_h
    for parts in _PARTS:
        if parts <= per_interval:
            return course.interval_h / parts
    return course.interval_h * math.ceil(1.0 / per_interval)


def _until(end: float, step: float) -> Float[np.ndarray, "time"]:
    return step * np.arange(math.floor(end / step + 1e-9) + 1)


def make_sample_times(course: Treatment, step: float) -> SampleTimes:
    """All times, with a sample every ``step`` h."""
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
    return SampleTimes(
        time_h=time,
        after_dose=after,
        sampled=at(regular),
        shown=np.sort(np.concatenate([at(shown), jumped])),
        last=np.sort(np.concatenate([at(last), in_last])),
        auc_start=int(at(np.array([auc_start]))[0]),
        end=int(at(np.array([end]))[0]),
    )
