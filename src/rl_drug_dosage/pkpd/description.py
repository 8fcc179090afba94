"""The building blocks of a drug file: numbers with unit and source, covariates, random effects, outputs, targets.

These classes hold data only. `rl_drug_dosage.pkpd.model` shows how a drug file combines them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Array

from rl_drug_dosage.pkpd._errors import DrugModelError
from rl_drug_dosage.pkpd.covariate import Covariate, plain_number
from rl_drug_dosage.pkpd.infusion import infusion_h
from rl_drug_dosage.utils.typed_fields import typed_fields

__all__ = [
    "Correlation",
    "Covariate",
    "DosingOptions",
    "Eta",
    "Metric",
    "Output",
    "Param",
    "Residual",
    "Route",
    "Target",
    "Values",
    "central_concentration",
    "plain_number",
]

type Values = Mapping[str, Array]
"""Numbers by name: thetas, covariates, individual parameters or compartment contents."""

EtaKind = Literal["var", "sd", "cv_exact", "cv_approx"]
EtaForm = Literal["lognormal", "proportional", "additive", "logit"]
ResidualKind = Literal["additive", "proportional", "combined1", "combined2", "lognormal", "power", "logit"]
Metric = Literal["trough", "peak", "nadir", "average", "auc24", "auc_total", "value", "time_above"]
"""Summary of an output over one dosing interval, on which a target is defined.

``trough``: value at the end of the interval, just before the next dose, for any output (also an INR). ``peak`` and
``nadir``: highest and lowest value. ``average``: AUC over the interval divided by its length. ``auc24``: AUC over 24 h;
over the interval, scaled to 24 h, where intervals do not add up to a day. ``auc_total``: AUC since the first dose.
``value``: value at every time. ``time_above``: fraction of the interval above ``low``.
"""


@typed_fields(DrugModelError)
@dataclass(frozen=True)
class Param:
    """A published number.

    Args:
        value: the number as the source prints it.
        unit: its unit as the source prints it; `parameters` converts to engine units.
        source: where the number is published: table and page, or the secondary source it was taken from.
        meaning: what it is, in the terms of the field.
        unverified: True if the number could not be traced to a source that was read; `info` marks it.
    """

    value: float
    unit: str
    source: str
    meaning: str
    unverified: bool = False

    def fraction(self) -> float:
        """The value as a fraction: a percentage is divided by 100, any other unit is unchanged."""
        return self.value / 100.0 if self.unit in {"%", "CV%"} else self.value


@typed_fields(DrugModelError)
@dataclass(frozen=True)
class Eta:
    """A random effect on one individual parameter p, with eta ~ N(0, omega^2).

    Args:
        parameter: the individual parameter.
        size: as the source reports it.
        kind: what ``size`` is: ``var`` omega^2; ``sd`` omega; ``cv_exact`` omega^2 = ln(1 + CV^2); ``cv_approx``
            omega^2 = CV^2.
        form: ``lognormal`` p exp(eta); ``proportional`` p (1 + eta); ``additive`` p + eta; ``logit``
            1 / (1 + exp(-(logit p + eta))).
    """

    parameter: str
    size: Param
    kind: EtaKind
    form: EtaForm = "lognormal"

    def __post_init__(self) -> None:
        at = f"eta on {self.parameter!r}"
        if self.size.value < 0:
            raise DrugModelError(f"{at}: size is {self.size.value:g} {self.size.unit}; allowed: above 0; correct it")
        if self.kind.startswith("cv") and self.size.unit not in {"%", "CV%", "1"}:
            came = f"size is a coefficient of variation in {self.size.unit!r}"
            raise DrugModelError(f"{at}: {came}; allowed: %, 1; correct it")


@typed_fields(DrugModelError)
@dataclass(frozen=True)
class Correlation:
    """A covariance (``kind="cov"``) or correlation (``kind="corr"``) between the etas of two parameters."""

    first: str
    second: str
    size: Param
    kind: Literal["cov", "corr"]


@typed_fields(DrugModelError)
@dataclass(frozen=True)
class Residual:
    """Residual error of one output, with f the prediction in the output's unit.

    Args:
        kind: ``additive`` sd = a; ``proportional`` sd = b f; ``combined1`` sd = a + b f; ``combined2`` var = a^2 +
            b^2 f^2; ``lognormal`` ln y ~ N(ln f, b^2); ``power`` sd = b f^c; ``logit`` logit y ~ N(logit f, a^2).
        additive: a, a standard deviation.
        proportional: b, a standard deviation, as a fraction or in %.
        power: c; with one, the two combined errors have f^c in place of f.
        low, high: the logit is that of the place between them.
    """

    kind: ResidualKind
    additive: Param | None = None
    proportional: Param | None = None
    power: Param | None = None
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        needs_a = self.kind in {"additive", "combined1", "combined2", "logit"}
        needs_b = self.kind not in {"additive", "logit"}
        if (self.power is None) if self.kind == "power" else (self.power is not None and not (needs_a and needs_b)):
            raise DrugModelError(
                f"residual error {self.kind!r} came with power={self.power is not None}; allowed: a power for 'power', "
                "'combined1' and 'combined2'; correct it"
            )
        if not self.low < self.high:
            raise DrugModelError(
                f"residual error {self.kind!r}: low is {self.low:g}, and high is {self.high:g}; allowed: low below "
                "high; correct them"
            )
        if needs_a != (self.additive is not None) or needs_b != (self.proportional is not None):
            raise DrugModelError(
                f"residual error {self.kind!r} came with additive={self.additive is not None}, "
                f"proportional={self.proportional is not None}: give exactly the numbers that this error model uses"
            )
        for name, size in {"additive": self.additive, "proportional": self.proportional}.items():
            if size is not None and size.value < 0:
                raise DrugModelError(
                    f"residual error {self.kind!r}: {name} is {size.value:g} {size.unit}; allowed: at least 0, a "
                    "standard deviation; correct it"
                )

    @property
    def a(self) -> float:
        """The additive standard deviation, in the output's unit."""
        return 0.0 if self.additive is None else self.additive.value

    @property
    def c(self) -> float:
        """The power of the prediction, 1 where none is given."""
        return 1.0 if self.power is None else self.power.value

    @property
    def b(self) -> float:
        """The proportional (or log-scale) standard deviation, as a fraction."""
        return 0.0 if self.proportional is None else self.proportional.fraction()


def central_concentration(state: Values, p: Values) -> Array:
    """Central amount over central volume, mg/L."""
    return state["central"] / p["v1"]


@typed_fields(DrugModelError)
@dataclass(frozen=True)
class Output:
    """A quantity that is measured or plotted.

    Args:
        name: key in predictions: ``"concentration"``, ``"inr"``.
        unit: unit of the value, of measured levels and of the additive error.
        residual: the published residual error; None if the quantity is not measured.
        value: (compartment contents by name, individual parameters) -> the value in ``unit``.
        meaning: description in words, with the sample matrix.
        auc_scale: the factor, for an output that is a multiple of the central concentration in mg/L (1000 for ug/L);
            its AUC is then exact. None if no such AUC exists (INR, BIS).
    """

    name: str
    unit: str
    residual: Residual | None
    value: Callable[[Values, Values], Array] = central_concentration
    meaning: str = ""
    auc_scale: float | None = None

    def __post_init__(self) -> None:
        if self.auc_scale is None and self.value is central_concentration:
            object.__setattr__(self, "auc_scale", 1.0)


@typed_fields(DrugModelError)
@dataclass(frozen=True)
class Target:
    """A therapeutic window on a metric of an output.

    Args:
        output: name of the output (an AUC is that of the central concentration, times the output's ``auc_scale``).
        metric: the summary of an interval: the value at its end (``trough``), the highest, lowest or mean one, an AUC,
            every value, or the fraction of time above ``low``; see `Metric`.
        low, high: limits of the window; None means no limit on that side.
        unit: unit of the metric.
        source: where the window is published.
        aim: set point of a controller; None means the middle (on the log scale if ``log``), or the only limit.
        log: deviations are measured as ratios.
        later: (from_h, low, high) rows for limits that change during treatment: they apply to intervals that end
            after ``from_h``.
    """

    output: str
    metric: Metric
    low: float | None
    high: float | None
    unit: str
    source: str
    aim: float | None = None
    log: bool = True
    later: tuple[tuple[float, float | None, float | None], ...] = ()

    def __post_init__(self) -> None:
        for place, low, high in self.edges():
            if low is None and high is None:
                raise DrugModelError(
                    f"target on {self.output!r}: {place}low and {place}high are None; allowed: an edge; give it"
                )

    def edges(self) -> Iterator[tuple[str, float | None, float | None]]:
        """Place, low and high of the window, and of each later one."""
        yield "", self.low, self.high
        for i, (_, low, high) in enumerate(self.later):
            yield f"later[{i}].", low, high


@typed_fields(DrugModelError)
@dataclass(frozen=True)
class Route:
    """A route of administration. ``duration_h`` 0 is a bolus, or an oral dose if the compartment is a depot.

    Args:
        name: as a user reads it.
        compartment: where doses go.
        duration_h: of each infusion; with ``max_rate_mg_per_h`` the shortest.
        max_rate_mg_per_h: a dose that would be infused faster over ``duration_h`` takes longer (vancomycin: at most
            10 mg/min, so ``600.0``); None: every dose takes ``duration_h``.
    """

    name: str
    compartment: str
    duration_h: float = 0.0
    max_rate_mg_per_h: float | None = None

    def duration_of(self, amount_mg: float) -> float:
        """How long the infusion of an amount lasts, h; 0 for a bolus."""
        return float(infusion_h(amount_mg, self.duration_h, self.max_rate_mg_per_h))


@typed_fields(DrugModelError)
@dataclass(frozen=True)
class DosingOptions:
    """The doses that can be prescribed.

    Args:
        routes: routes of administration; the first is the default.
        amounts_mg: the allowed amounts, ascending (usually ``tuple(range(250, 3001, 250))``). Empty, together with
            ``intervals_h``: the source of the model names no doses.
        intervals_h: the allowed dosing intervals; the first is the default.
        usual_dose_mg: label dose of the typical patient, used by figures and as a fallback; 0 where none is named.
        source: where the dose grid comes from.
    """

    routes: tuple[Route, ...]
    amounts_mg: tuple[float, ...]
    intervals_h: tuple[float, ...]
    usual_dose_mg: float
    source: str

    @property
    def are_named(self) -> bool:
        """Whether there are doses and intervals to choose from."""
        return bool(self.amounts_mg)

    @property
    def tried(self) -> tuple[float, float]:
        """A dose in mg and an interval in h for checks and figures: round numbers, no dosage, where none is named."""
        return (self.usual_dose_mg, self.intervals_h[0]) if self.are_named else (100.0, 24.0)
