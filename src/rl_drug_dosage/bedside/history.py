"""One patient's history as values: doses, levels and covariates at any times, in hours and the drug model's units.

What people write, with clock times and units, is read elsewhere and becomes these values. A history may be written in
any order, a late correction last: the constructor sorts by time. Whether it makes sense for a drug is not said here
(see `assess`); only that its numbers are numbers.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.utils.typed_fields import typed_fields

__all__ = ["CovariateAt", "Dose", "Level", "PatientHistory"]


@typed_fields(ConfigError)
@dataclass(frozen=True)
class Dose:
    """One dose.

    Args:
        time_h: its start, h.
        amount: in the drug's dose unit (mg, or as the drug says).
        duration_h: length of the infusion, h; 0: a bolus, or an oral dose.
        route: name of the drug model's route, or of the compartment that it goes into; None: the model's first route.
        given: False for a dose that was prescribed and missed.
    """

    time_h: float
    amount: float
    duration_h: float = 0.0
    route: str | None = None
    given: bool = True

    def __post_init__(self) -> None:
        at = f"dose at {self.time_h:g} h"
        _finite(at, "time_h", self.time_h)
        _not_negative(at, "amount", self.amount)
        _not_negative(at, "duration_h", self.duration_h)


@typed_fields(ConfigError)
@dataclass(frozen=True)
class Level:
    """One measurement.

    Args:
        time_h: when it was drawn, h. At the time of a dose it was drawn before it.
        value: in the unit of the output; the limit of quantification if ``below_limit``.
        output: name of the drug model's output; None: its first.
        below_limit: reported as below the limit of quantification.
    """

    time_h: float
    value: float
    output: str | None = None
    below_limit: bool = False

    def __post_init__(self) -> None:
        at = f"level at {self.time_h:g} h"
        _finite(at, "time_h", self.time_h)
        _not_negative(at, "value", self.value)


@typed_fields(ConfigError)
@dataclass(frozen=True)
class CovariateAt:
    """A covariate that was determined at some time, in the unit of the drug model."""

    time_h: float
    name: str
    value: float

    def __post_init__(self) -> None:
        at = f"covariate {self.name!r} at {self.time_h:g} h"
        _finite(at, "time_h", self.time_h)
        _finite(at, "value", self.value)


@typed_fields(ConfigError)
@dataclass(frozen=True)
class PatientHistory:
    """What is known of one patient.

    Args:
        drug: generic name of the drug (``"vancomycin"``) or name of one drug model (``"vancomycin-goti2018"``).
        doses, levels, covariates: in any order; sorted here by time.
        now_h: the time of the question, h. Nothing later has happened yet.
        origin: time zero, with its time zone, where clock times were given.
        name: of the patient, for titles.
        notes: remarks on how the history was read, for example which formula gave a creatinine clearance; they are
            printed with the result.
    """

    drug: str
    doses: tuple[Dose, ...] = ()
    levels: tuple[Level, ...] = ()
    covariates: tuple[CovariateAt, ...] = ()
    now_h: float = 0.0
    origin: datetime | None = None
    name: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _finite("history", "now_h", self.now_h)
        if self.origin is not None and self.origin.utcoffset() is None:
            raise ConfigError(f"origin is {self.origin}, a time without a zone: give one, e.g. tzinfo=ZoneInfo('UTC')")
        for name, key in (
            ("doses", lambda d: (d.time_h, d.route or "")),
            ("levels", lambda v: (v.time_h, v.output or "")),
            ("covariates", lambda c: (c.time_h, c.name)),
        ):
            entries: Iterable[object] = getattr(self, name)
            object.__setattr__(self, name, tuple(sorted(entries, key=key)))


def _finite(at: str, name: str, value: float) -> None:
    if not math.isfinite(value):
        raise ConfigError(f"{at}: {name} is {value}; allowed: a finite number; correct it")


def _not_negative(at: str, name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise ConfigError(f"{at}: {name} is {value:g}; allowed: a finite number of at least 0; correct it")
