"""A patient's covariates and occasions over time, and covariates drawn for a virtual cohort."""

from collections.abc import Mapping, Sequence
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rl_drug_dosage.pkpd._errors import CovariateError
from rl_drug_dosage.pkpd.model import DrugModel

__all__ = ["Covariates", "draw_covariates", "make_covariates", "no_covariates", "outside_range", "stack_covariates"]


class Covariates(eqx.Module):
    """Covariate records of one patient; leading axes are patients.

    With ``carry="nocb"`` (next observation carried backward, as in NONMEM) the record at ``time_h[k]`` applies over
    (time_h[k-1], time_h[k]], and the last record from then on; with ``"locf"`` over [time_h[k], time_h[k+1]).
    A record without a dose or a level corresponds to NONMEM's EVID 2.
    """

    time_h: Float[Array, "record"]
    values: dict[str, Float[Array, "record"]]
    occasion: Int[Array, "record"]
    """Index of the occasion, from 0. An occasion without an estimated kappa (a future one) has kappa 0."""
    carry: Literal["nocb", "locf"] = eqx.field(static=True, default="nocb")

    def index_at(self, time_h: Float[Array, "..."]) -> Int[Array, "..."]:
        """The record that applies at a time (of a dose or an observation)."""
        records = self.time_h.shape[-1]
        if records == 1:
            return jnp.zeros(jnp.shape(time_h), dtype=int)
        if self.carry == "nocb":
            return jnp.minimum(jnp.searchsorted(self.time_h, time_h, side="left"), records - 1)
        return jnp.maximum(jnp.searchsorted(self.time_h, time_h, side="right") - 1, 0)


def no_covariates() -> Covariates:
    """An empty table, for a patient whose parameters are given directly and never change."""
    return Covariates(jnp.zeros(1), {}, jnp.zeros(1, dtype=int))


def make_covariates(
    model: DrugModel,
    values: Mapping[str, float | Sequence[float]],
    time_h: Sequence[float] = (0.0,),
    occasion: Sequence[int] | None = None,
    carry: Literal["nocb", "locf"] = "nocb",
) -> Covariates:
    """Check and tabulate a patient's covariates.

    Args:
        model: the drug whose covariates are required.
        values: a number, or one number per record, for every covariate of the model.
        time_h: record times, ascending.
        occasion: occasion of each record, from 0; None means one occasion.
        carry: ``"nocb"`` or ``"locf"``.

    Raises:
        CovariateError: an unknown or missing covariate, a value that no patient has (`Covariate.check`), a wrong
            length, unsorted or duplicate times.
    """
    known = [covariate.name for covariate in model.covariates]
    for name in values:
        if name not in known:
            raise CovariateError(f"unknown covariate {name!r} for {model.name}: known are {known}")
    missing = [name for name in known if name not in values]
    if missing:
        raise CovariateError(f"covariate {missing[0]!r} is missing for {model.name}: give a value for each of {known}")
    times = np.asarray(time_h, dtype=float)
    if times.ndim != 1 or times.size == 0 or not np.all(np.isfinite(times)) or np.any(np.diff(times) <= 0):
        raise CovariateError(f"covariate times {list(time_h)}: give finite times, each later than the one before")
    table = {}
    for covariate in model.covariates:
        name = covariate.name
        column = np.asarray(values[name], dtype=float)
        if column.ndim and column.shape != times.shape:
            raise CovariateError(f"covariate {name!r} has {column.size} values for {times.size} records: give one each")
        if not np.all(np.isfinite(column)):
            raise CovariateError(f"covariate {name!r} is {values[name]}: give finite numbers")
        for value in np.unique(column):
            covariate.check(float(value))
        table[name] = np.broadcast_to(column, times.shape).copy()
    occasions = np.zeros(times.shape, dtype=np.int32) if occasion is None else np.asarray(occasion, dtype=np.int32)
    if occasions.shape != times.shape or np.any(occasions < 0):
        raise CovariateError(f"occasions {occasion}: give one index >= 0 for each of the {times.size} records")
    return Covariates(times, table, occasions, carry)  # type: ignore[arg-type]


def outside_range(model: DrugModel, covariates: Covariates) -> tuple[str, ...]:
    """One sentence for each covariate outside the published range: a warning kept with the result, never an error."""
    found = []
    for covariate in model.covariates:
        column = np.asarray(covariates.values[covariate.name])
        said = [covariate.outside(float(edge), model.name) for edge in (column.min(), column.max())]
        found += [next(text for text in said if text)] if any(said) else []
    return tuple(found)


def stack_covariates(tables: Sequence[Covariates]) -> Covariates:
    """Stack the tables of many patients. Shorter ones repeat their last record at a later time, which has no effect."""
    records = max(table.time_h.shape[-1] for table in tables)

    def lengthen(column: np.ndarray, step: float) -> np.ndarray:
        extra = records - column.shape[0]
        return np.concatenate([column, column[-1] + step * np.arange(1, extra + 1, dtype=column.dtype)])

    return Covariates(
        np.stack([lengthen(np.asarray(t.time_h), 1.0) for t in tables]),  # type: ignore[arg-type]
        {k: np.stack([lengthen(np.asarray(t.values[k]), 0.0) for t in tables]) for k in tables[0].values},  # type: ignore[misc]
        np.stack([lengthen(np.asarray(t.occasion), 0) for t in tables]),  # type: ignore[arg-type]
        tables[0].carry,
    )


def draw_covariates(model: DrugModel, key: PRNGKeyArray) -> Covariates:
    """One virtual patient's covariates, constant in time, each truncated to its published range."""
    drawn: dict[str, Array] = {}
    for covariate, subkey in zip(model.covariates, jax.random.split(key, max(len(model.covariates), 1)), strict=False):
        drawn[covariate.name] = covariate.distribution.sample(subkey, drawn, covariate.low, covariate.high)
    return Covariates(jnp.zeros(1), {k: v[None] for k, v in drawn.items()}, jnp.zeros(1, dtype=int))
