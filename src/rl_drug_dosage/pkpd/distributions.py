"""Distributions of covariates in a virtual cohort, truncated to the published range.

Covariates are drawn in the order of the drug file, and each may depend on those drawn before it: any number can be
replaced by a function of the covariates drawn so far (height given sex, lean mass given weight).
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rl_drug_dosage.pkpd._errors import DrugModelError
from rl_drug_dosage.utils.typed_fields import typed_fields

__all__ = [
    "Categorical",
    "Derived",
    "Distribution",
    "Fixed",
    "LogNormal",
    "Normal",
    "Number",
    "Resampled",
    "Uniform",
    "functions_of",
    "misplaced",
]

type Number = float | Callable[[Mapping[str, Array]], Array]
"""A constant, or a function of the covariates drawn so far."""


_WIDEST = 3.0
"""Of a log-scale standard deviation, this project's own bound: two thirds of values within factors of 1/20 and 20."""
_LEAST = 1e-3
"""Least share of a distribution in the covariate's range, this project's own: less of it is another unit, or a slip."""


def _require(of: object, name: str, value: object, above: float, most: float = math.inf) -> None:
    """Refuse a constant that is not finite, or not within its limits; a function is asked later."""
    if callable(value) or isinstance(value, jax.core.Tracer):
        return
    number = float(value)  # type: ignore[arg-type]
    if not above < number < math.inf or number > most:
        allowed = "a finite number" if above == -math.inf else f"a number above {above:g}"
        allowed += f", at most {most:g}" if most < math.inf else ""
        raise DrugModelError(f"{type(of).__name__}: {name} is {number:g}; allowed: {allowed}; correct it")


def _below(z: float) -> float:
    """The standard normal distribution function."""
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


def _resolve(number: Number, drawn: Mapping[str, Array]) -> Array:
    return jnp.asarray(number(drawn) if callable(number) else number, dtype=float)


@typed_fields(DrugModelError)
@dataclass(frozen=True)
class Normal:
    """N(mean, sd^2), truncated."""

    mean: Number
    sd: Number

    def __post_init__(self) -> None:
        _require(self, "mean", self.mean, -math.inf)
        _require(self, "sd", self.sd, 0.0)

    def share(self, low: float, high: float) -> float:
        """The probability of [low, high] before truncation, where mean and sd are numbers."""
        mean, sd = float(self.mean), float(self.sd)  # type: ignore[arg-type]
        return _below((high - mean) / sd) - _below((low - mean) / sd)

    def sample(self, key: PRNGKeyArray, drawn: Mapping[str, Array], low: float, high: float) -> Float[Array, ""]:
        """One draw inside [low, high]."""
        mean, sd = _resolve(self.mean, drawn), _resolve(self.sd, drawn)
        standard = jax.random.truncated_normal(key, (low - mean) / sd, (high - mean) / sd)
        return jnp.clip(mean + sd * standard, low, high)


@typed_fields(DrugModelError)
@dataclass(frozen=True)
class LogNormal:
    """ln x ~ N(ln median, log_sd^2), truncated."""

    median: Number
    log_sd: Number

    def __post_init__(self) -> None:
        _require(self, "median", self.median, 0.0)
        _require(self, "log_sd", self.log_sd, 0.0, _WIDEST)

    def share(self, low: float, high: float) -> float:
        """The probability of [low, high] before truncation, where median and log_sd are numbers."""
        median, log_sd = float(self.median), float(self.log_sd)  # type: ignore[arg-type]
        edges = [math.log(edge / median) / log_sd if edge > 0 else -math.inf for edge in (low, high)]
        return _below(edges[1]) - _below(edges[0])

    def sample(self, key: PRNGKeyArray, drawn: Mapping[str, Array], low: float, high: float) -> Float[Array, ""]:
        """One draw inside [low, high]."""
        median, log_sd = _resolve(self.median, drawn), _resolve(self.log_sd, drawn)
        edges = jnp.log(jnp.asarray([low, high], dtype=float) / median) / log_sd
        return jnp.clip(median * jnp.exp(log_sd * jax.random.truncated_normal(key, edges[0], edges[1])), low, high)


@typed_fields(DrugModelError)
@dataclass(frozen=True)
class Uniform:
    """Uniform over [low, high]: the covariate's range, or narrower limits if given."""

    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            if (edge := getattr(self, name)) is not None:
                _require(self, name, edge, -math.inf)
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise DrugModelError(
                f"Uniform: low is {self.low:g}, and high is {self.high:g}; allowed: low below high; correct them"
            )

    def share(self, low: float, high: float) -> float:
        """The probability of [low, high]; 0 where the two ranges do not overlap."""
        lowest = low if self.low is None else max(low, self.low)
        highest = high if self.high is None else min(high, self.high)
        whole = (high if self.high is None else self.high) - (low if self.low is None else self.low)
        return max(highest - lowest, 0.0) / whole if whole > 0 else 0.0

    def sample(self, key: PRNGKeyArray, drawn: Mapping[str, Array], low: float, high: float) -> Float[Array, ""]:
        """One draw inside the narrower of the two ranges."""
        low = low if self.low is None else max(low, self.low)
        high = high if self.high is None else min(high, self.high)
        return jax.random.uniform(key, (), minval=low, maxval=high)


@typed_fields(DrugModelError)
@dataclass(frozen=True)
class Categorical:
    """One of ``values`` with ``probabilities``."""

    values: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.values) != len(self.probabilities) or abs(sum(self.probabilities) - 1.0) > 1e-3:
            raise DrugModelError(
                f"categories {self.values} came with probabilities {self.probabilities}: "
                "give one for each, adding up to 1 (within 0.001, to allow for rounding in printed tables)"
            )
        for i, (value, probability) in enumerate(zip(self.values, self.probabilities, strict=True)):
            _require(self, f"values[{i}]", value, -math.inf)
            if not 0.0 <= probability <= 1.0:
                raise DrugModelError(
                    f"Categorical: probabilities[{i}] is {probability:g}; allowed: from 0 to 1; correct it"
                )

    def sample(self, key: PRNGKeyArray, drawn: Mapping[str, Array], low: float, high: float) -> Float[Array, ""]:
        """One of the values."""
        weights = jnp.asarray(self.probabilities, dtype=float)
        return jax.random.choice(key, jnp.asarray(self.values, dtype=float), p=weights / weights.sum())


@typed_fields(DrugModelError)
@dataclass(frozen=True)
class Fixed:
    """Always the same value."""

    value: float

    def __post_init__(self) -> None:
        _require(self, "value", self.value, -math.inf)

    def sample(self, key: PRNGKeyArray, drawn: Mapping[str, Array], low: float, high: float) -> Float[Array, ""]:
        """The value."""
        return jnp.asarray(self.value, dtype=float)


@typed_fields(DrugModelError)
@dataclass(frozen=True)
class Derived:
    """Computed from the covariates drawn before it, clipped to the published range."""

    function: Callable[[Mapping[str, Array]], Array]

    def sample(self, key: PRNGKeyArray, drawn: Mapping[str, Array], low: float, high: float) -> Float[Array, ""]:
        """The computed value, inside [low, high]."""
        return jnp.clip(jnp.asarray(self.function(drawn), dtype=float), low, high)


@typed_fields(DrugModelError)
@dataclass(frozen=True)
class Resampled:
    """A column of a table of patients: all columns of a patient come from one row, each row as likely as another.

    The first column drawn picks among all rows, each further one among the rows that hold what was drawn before. By the
    chain rule that is a uniform draw of a row. A covariate that was drawn from elsewhere, and has a value that no row
    holds, says nothing about the row.

    Args:
        values: of this column, one a row.
        others: name and values of the columns that are drawn before it.
    """

    values: tuple[float, ...]
    others: tuple[tuple[str, tuple[float, ...]], ...] = ()

    def sample(self, key: PRNGKeyArray, drawn: Mapping[str, Array], low: float, high: float) -> Float[Array, ""]:
        """The value of a row that fits what was drawn before."""
        fits = jnp.ones(len(self.values), bool)
        for name, column in self.others:
            if name in drawn:
                same = jnp.asarray(column, dtype=float) == drawn[name]
                fits &= same | ~same.any()
        order = jnp.cumsum(fits | ~fits.any())
        nth = jnp.minimum(jnp.floor(jax.random.uniform(key) * order[-1]).astype(int), order[-1] - 1)
        return jnp.asarray(self.values, dtype=float)[jnp.argmax(order > nth)]


type Distribution = Normal | LogNormal | Uniform | Categorical | Fixed | Derived | Resampled


def functions_of(distribution: Distribution) -> Iterator[tuple[str, Callable[[Mapping[str, Array]], Array]]]:
    """The functions of the covariates drawn before it that a distribution holds, with the names of their fields."""
    for each in fields(distribution):
        value = getattr(distribution, each.name)
        if callable(value):
            yield each.name, value


def misplaced(distribution: Distribution, numbers: Mapping[str, float], low: float, high: float) -> tuple[str, str]:
    """What a distribution is that does not fit the range it is truncated to, and what is allowed; empty if it fits.

    Args:
        distribution: of a covariate.
        numbers: what its functions give for the typical patient, by field.
        low: lowest value of the range.
        high: highest value.

    Raises:
        DrugModelError: the functions give parameters that it cannot have.
    """
    if isinstance(distribution, Categorical):
        beyond = [value for value in distribution.values if not low <= value <= high]
        return (f"a Categorical with the value {beyond[0]:g}", "values") if beyond else ("", "")
    if not isinstance(distribution, Normal | LogNormal | Uniform) or low == high:
        return "", ""
    typical = replace(distribution, **numbers)  # type: ignore[arg-type]
    share, bounded = typical.share(low, high), isinstance(typical, Uniform)
    if share >= _LEAST or (bounded and share > 0):  # limits may be wide, and the narrower range counts
        return "", ""
    given = ", ".join(
        f"{f.name} = {value:g}" for f in fields(typical) if (value := getattr(typical, f.name)) is not None
    )
    return f"a {type(typical).__name__} with {given}", "some of it" if bounded else f"at least {_LEAST:.1%} of it"
