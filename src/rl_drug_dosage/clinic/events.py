"""What happens in a scenario besides its doses: adherence, drifts, clocks, meals, disturbances, drop-outs."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Array

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.utils.typed_fields import typed_fields

__all__ = ["Adherence", "Clock", "Disturbance", "Drift", "Dropout", "Intake", "require"]


def require(ok: bool, what: str, came: object, allowed: str) -> None:
    """Refuse a field that is not allowed.

    Raises:
        ConfigError: not ``ok``.
    """
    if not ok:
        raise ConfigError(f"{what} is {came!r}: allowed is {allowed}")


@typed_fields(ConfigError)
@dataclass(frozen=True)
class Adherence:
    """Adherence: missed and late doses.

    Args:
        missed_mean, missed_sd: each patient's share of missed doses is Beta with this mean and sd (ReiL's adherence
            model has mean 0.20, sd 0.21); 0 means none. The record holds what was prescribed.
        late_mean_h: mean of the exponentially distributed delay of a dose; the delay is not recorded.
        late_max_h: longest delay.
    """

    missed_mean: float = 0.0
    missed_sd: float = 0.0
    late_mean_h: float = 0.0
    late_max_h: float = 0.0

    def __post_init__(self) -> None:
        mean, sd = self.missed_mean, self.missed_sd
        require(0 <= mean < 1, "missed_mean", mean, "a share from 0 to below 1")
        if mean > 0:
            # A Beta distribution has no larger spread.
            most = math.sqrt(mean * (1.0 - mean))
            require(0 < sd < most, "missed_sd", sd, f"a number above 0 and below {most:.3g}, with missed_mean {mean:g}")
        require(0 <= self.late_mean_h < math.inf, "late_mean_h", self.late_mean_h, "a time of at least 0 h")
        require(0 <= self.late_max_h < math.inf, "late_max_h", self.late_max_h, "a time of at least 0 h")
        if self.late_mean_h > 0:
            require(self.late_max_h > 0, "late_max_h", self.late_max_h, "a time above 0 h where doses come late")


@typed_fields(ConfigError)
@dataclass(frozen=True)
class Drift:
    """A covariate that changes during the course: x_k = end + (x_0 - end) exp(-t / tau), times exp of a random walk.

    Args:
        name: the covariate.
        end: its final value; None: it stays around its first value.
        tau_h: time constant.
        walk_sd: sd of the log-scale step of one interval.
        source: of the numbers.
    """

    name: str
    end: float | None
    tau_h: float
    walk_sd: float
    source: str

    def __post_init__(self) -> None:
        require(0 < self.tau_h < math.inf, f"tau_h of the drift of {self.name}", self.tau_h, "a time above 0 h")
        require(0 <= self.walk_sd < math.inf, f"walk_sd of the drift of {self.name}", self.walk_sd, "at least 0")


@typed_fields(ConfigError)
@dataclass(frozen=True)
class Clock:
    """A model covariate that is a known function of time since the start (h).

    Args:
        name: the covariate of the drug models.
        value: from hours since the start to the covariate's value, for arrays.
    """

    name: str
    value: Callable[[Array], Array]


@typed_fields(ConfigError)
@dataclass(frozen=True)
class Intake:
    """Intake besides the drug, such as meals: a bolus at the start of some intervals.

    Args:
        compartment: where it goes.
        schedule: (interval within ``period``, mean amount in mg), repeated every ``period`` intervals.
        period: in intervals.
        cv: coefficient of variation of the amount taken around the announced one.
        announced: whether the clinic knows the mean amount beforehand.
        source: of the numbers.
    """

    compartment: str
    schedule: tuple[tuple[int, float], ...]
    period: int
    cv: float
    announced: bool
    source: str


@typed_fields(ConfigError)
@dataclass(frozen=True)
class Disturbance:
    """A disturbance of the monitored output outside all drug models, such as surgical stimulation.

    Args:
        profile: (time in h, value) points, interpolated linearly.
        sd: each patient's profile is multiplied by exp(N(0, sd^2)).
        source: of the numbers.
    """

    profile: tuple[tuple[float, float], ...]
    sd: float
    source: str


@typed_fields(ConfigError)
@dataclass(frozen=True)
class Dropout:
    """When a patient drops out.

    Args:
        output: the output that the limits apply to.
        above: drops out if the output is above this at the end of ``times`` consecutive intervals and the dose is not
            lowered.
        times: number of consecutive intervals.
        source: of the rule.
        below: drops out if the output is below this at the end of ``times`` consecutive intervals, regardless of dose.
        lost: an output above this, or NaN, means that the equations fell faster than the step: it counts as 0
            for the whole interval, and the compartment contents are left unchanged.
    """

    output: str
    above: float | None
    times: int
    source: str
    below: float | None = None
    lost: float | None = None

    def __post_init__(self) -> None:
        if (self.above is None) == (self.below is None):
            raise ConfigError(f"a dropout needs above or below, not {self.above} and {self.below}")
        require(self.times >= 1, "times of a dropout", self.times, "a whole number of at least 1")
