"""Distributions of covariates in a virtual cohort, truncated to the published range.

Covariates are drawn in the order of the drug file, and each may depend on those drawn before it: any number can be
replaced by a function of the covariates drawn so far (height given sex, lean mass given weight).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields

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
]

type Number = float | Callable[[Mapping[str, Array]], Array]
"""A constant, or a function of the covariates drawn so far."""


def _resolve(number: Number, drawn: Mapping[str, Array]) -> Array:
    return jnp.asarray(number(drawn) if callable(number) else number, dtype=float)


@typed_fields(DrugModelError)
@dataclass(frozen=True)
class Normal:
    """N(mean, sd^2), truncated."""

    mean: Number
    sd: Number

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

    def sample(self, key: PRNGKeyArray, drawn: Mapping[str, Array], low: float, high: float) -> Float[Array, ""]:
        """One of the values."""
        weights = jnp.asarray(self.probabilities, dtype=float)
        return jax.random.choice(key, jnp.asarray(self.values, dtype=float), p=weights / weights.sum())


@typed_fields(DrugModelError)
@dataclass(frozen=True)
class Fixed:
    """Always the same value."""

    value: float

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
