"""Residual error: variances, draws, and the likelihood of levels with a limit of quantification (M3).

Each level contributes -2 log likelihood without the constant ln 2 pi, as in NONMEM's objective function:

    observed            ln v + (y - f)^2 / v                          v = variance of the residual error at f
    log-normal          ln b^2 + (ln y - ln f)^2 / b^2
    logit               ln a^2 + (logit y - logit f)^2 / a^2
    below the limit L   -2 ln Phi((L - f) / sqrt v)                   Beal 2001, method M3 (log-normal: ln L, ln f;
                                                                      logit: logit L, logit f)
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from rl_drug_dosage.pkpd._error_kinds import logit_of, variance, with_error
from rl_drug_dosage.pkpd._errors import ObservationError
from rl_drug_dosage.pkpd.description import Residual
from rl_drug_dosage.pkpd.model import DrugModel
from rl_drug_dosage.pkpd.regimen import Regimen

__all__ = [
    "Levels",
    "add_residual",
    "make_levels",
    "normal_moments",
    "refuse_levels_before_doses",
    "residual_moments",
    "stack_levels",
    "variance",
    "with_error",
]


class Levels(eqx.Module):
    """Measured levels of one patient; leading axes are patients. Padding rows have ``used`` False."""

    time_h: Float[Array, "level"]
    value: Float[Array, "level"]
    """In the output's unit; the limit of quantification if ``below``."""
    output: Int[Array, "level"]
    below: Bool[Array, "level"]
    after_dose: Bool[Array, "level"]
    used: Bool[Array, "level"]
    above: Bool[Array, "level"] | None = None
    """Above the limit of quantification, which is then the value; None where no level is."""
    weight: Float[Array, "level"] | None = None
    """The variance of the residual error is divided by it; None where every weight is 1."""

    @property
    def censored(self) -> Bool[Array, "level"]:
        """Levels outside the limits of quantification, on either side."""
        return self.below if self.above is None else self.below | self.above


def _checked(model: DrugModel, where: str, time_h: float, read: float | None, name: str, censored: bool) -> float:
    """The value of one level, or its limit of quantification."""
    residual = model.outputs[model.output_index(name)].residual
    if residual is None:
        raise ObservationError(f"{where}: {name!r} of {model.name} has no residual error: it cannot be fitted")
    if censored and read is None:
        raise ObservationError(
            f"{where} is outside quantification without a limit: give the assay's limit of quantification"
        )
    if not np.isfinite(time_h) or read is None or not np.isfinite(read) or read < 0:
        raise ObservationError(f"{where} is {read}: give a finite time and a finite level >= 0")
    if read == 0 and residual.kind == "lognormal":
        raise ObservationError(f"{where} is 0 under a log-normal error: report it as below its limit")
    if residual.kind == "logit" and not residual.low < read < residual.high:
        raise ObservationError(
            f"{where} is {read:g} under a logit error, whose levels lie between {residual.low:g} and "
            f"{residual.high:g}: give such a level, or report it as beyond its limit"
        )
    return float(read)


def make_levels(  # noqa: PLR0913
    model: DrugModel,
    time_h: Sequence[float],
    value: Sequence[float],
    *,
    output: Sequence[str] | None = None,
    below: Sequence[bool] | None = None,
    limit: Sequence[float | None] | None = None,
    after_dose: Sequence[bool] | None = None,
    above: Sequence[bool] | None = None,
    weight: Sequence[float] | None = None,
    rows: int | None = None,
) -> Levels:
    """Check and lay out measured levels.

    Args:
        model: the drug whose outputs were measured.
        time_h: sampling times, h.
        value: measured values, in the output's unit.
        output: the output that each level measures; None means the first one.
        below: which levels were reported as below the limit of quantification (their value is not read).
        limit: the limit of quantification of each level; required if ``below``.
        after_dose: which levels were drawn after the dose given at their time.
        above: which levels were reported as above the limit of quantification (their value is not read).
        weight: weight of each level; the variance of its residual error is divided by it.
        rows: pad to this many.

    Raises:
        ObservationError: a non-finite or negative level, a censored level without its limit, unsorted
            times, an output without residual error, a weight that is not positive, lengths that differ.
    """
    count = len(time_h)
    names = [model.outputs[0].name] * count if output is None else list(output)
    flags = [False] * count if below is None else list(below)
    limits: list[float | None] = [None] * count if limit is None else list(limit)
    after = [False] * count if after_dose is None else list(after_dose)
    high = [False] * count if above is None else list(above)
    weights = [1.0] * count if weight is None else list(weight)
    if {len(value), len(names), len(flags), len(limits), len(after), len(high), len(weights)} != {count}:
        raise ObservationError(f"{count} times came with columns of other lengths: give one entry for each level")
    values = []
    for i in range(count):
        where, censored = f"level {i + 1} (time {time_h[i]} h)", flags[i] or high[i]
        if flags[i] and high[i]:
            raise ObservationError(f"{where} is below and above its limit of quantification: give one")
        if not (np.isfinite(weights[i]) and weights[i] > 0):
            raise ObservationError(f"{where} has the weight {weights[i]}: give a finite weight > 0")
        values.append(_checked(model, where, time_h[i], limits[i] if censored else value[i], names[i], censored))
    for name in set(names):
        own = [i for i in range(count) if names[i] == name]
        for i, j in itertools.pairwise(own):
            where = f"level {j + 1} (time {time_h[j]} h)"
            if time_h[j] < time_h[i]:
                raise ObservationError(f"{where} comes after {time_h[i]} h: sort the levels by time")
    size = count if rows is None else rows
    if size < count:
        raise ObservationError(f"{count} levels do not fit into {size} rows: allow more rows")

    def column(entries: Sequence[float], fill: float, kind: type) -> Any:
        return np.array([*entries, *([fill] * (size - count))], dtype=kind)

    return Levels(
        time_h=column(time_h, time_h[-1] if count else 0.0, float),
        value=column(values, 1.0, float),
        output=column([model.output_index(name) for name in names], 0, np.int32),
        below=column(flags, False, np.bool_),
        after_dose=column(after, False, np.bool_),
        used=column([True] * count, False, np.bool_),
        above=column(high, False, np.bool_) if any(high) else None,
        weight=column(weights, 1.0, float) if any(w != 1.0 for w in weights) else None,
    )


def stack_levels(levels: Sequence[Levels]) -> Levels:
    """Stack the levels of many patients, padded to the longest; the leading axis is the patient."""
    rows = max(one.time_h.shape[0] for one in levels)

    def pad(array: np.ndarray) -> np.ndarray:
        extra = rows - array.shape[0]
        return np.concatenate([array, np.resize(array[-1:] if array.size else np.ones(1), extra).astype(array.dtype)])

    levels = _alike(levels)
    stacked = jax.tree.map(lambda *columns: np.stack([pad(np.asarray(c)) for c in columns]), *levels)
    used = np.stack([np.arange(rows) < one.time_h.shape[0] for one in levels]) & stacked.used
    return eqx.tree_at(lambda tree: tree.used, stacked, used)


def _alike(levels: Sequence[Levels]) -> Sequence[Levels]:
    """With ``above`` and ``weight`` for all patients, if any has them."""
    for name, value in (("above", np.bool_(False)), ("weight", 1.0)):
        if any(getattr(one, name) is not None for one in levels):
            filled: list[Any] = [{name: np.full(one.time_h.shape, value)} for one in levels]
            levels = [
                one if getattr(one, name) is not None else replace(one, **own)
                for one, own in zip(levels, filled, strict=True)
            ]
    return levels


def refuse_levels_before_doses(levels: Levels, regimen: Regimen) -> None:
    """Refuse a level drawn before the first dose: it carries no information about the drug.

    Raises:
        ObservationError: a level was drawn before the first dose.
    """
    given = np.asarray(regimen.time_h)[np.asarray(regimen.given)]
    first = given.min() if given.size else np.inf
    for time, used in zip(np.asarray(levels.time_h), np.asarray(levels.used), strict=True):
        if used and time < first:
            raise ObservationError(f"a level at {time:g} h comes before the first dose at {first:g} h: check the times")


_SMALLEST = 1e-12
"""Floor of a prediction under a log-normal error, in the output's unit, since 0 has no logarithm."""


def normal_moments(
    residual: Residual, f: Float[Array, "level"], y: Float[Array, "level"]
) -> tuple[Float[Array, "level"], Float[Array, "level"], Bool[Array, "level"]]:
    """(prediction - observation, log variance) on the scale on which an error is normal, and whether a level is lost.

    An error without an additive part has variance 0, and no likelihood, where the prediction is 0. There its standard
    deviation is that of a prediction of one unit, as NONMEM users write it: W = F + (F = 0). If something was measured
    nevertheless, the level is lost: it has no slope by which a search could find a better prediction.

    Args:
        residual: the error.
        f: predictions in the output's unit.
        y: levels.
    """
    if residual.kind == "lognormal":
        error = jnp.log(jnp.maximum(f, _SMALLEST)) - jnp.log(jnp.maximum(y, _SMALLEST))
        return error, jnp.log(variance(residual, f)), (f <= _SMALLEST) & (y > _SMALLEST)
    if residual.kind == "logit":
        error = logit_of(residual, f) - logit_of(residual, y)
        # At an edge the clipped logit has no slope.
        outside = (f <= residual.low) | (f >= residual.high)
        return error, jnp.log(variance(residual, f)), outside & (f != y)
    if residual.kind == "additive" or residual.a > 0:
        return f - y, jnp.log(variance(residual, f)), jnp.zeros(f.shape, bool)
    # The square of a residual has to stay finite too, so that 0 begins somewhat above the smallest number.
    some = f > jnp.finfo(f.dtype).tiny ** 0.4
    return f - y, jnp.log(variance(residual, jnp.where(some, f, 1.0))), ~some & (y > 0)


def residual_moments(
    model: DrugModel,
    output: Int[Array, "level"],
    f: Float[Array, "level output"],
    y: Float[Array, "level"],
    weight: Float[Array, "level"] | None = None,
) -> tuple[Float[Array, "level"], Float[Array, "level"], Bool[Array, "level"]]:
    """`normal_moments` of each level under the error of its output.

    Args:
        model: the drug whose residual errors are used.
        output: the output that each level measures.
        f: all outputs at each level.
        y: the levels.
        weight: of the levels, by which their variances are divided; None where every weight is 1.
    """
    error, log_variance, lost = jnp.zeros_like(y), jnp.zeros_like(y), jnp.zeros(y.shape, bool)
    for i, each in enumerate(model.outputs):
        if each.residual is None:
            continue
        own, of_output = output == i, normal_moments(each.residual, f[:, i], y)
        error, log_variance, lost = (
            jnp.where(own, new, old) for new, old in zip(of_output, (error, log_variance, lost), strict=True)
        )
    if weight is not None:
        log_variance = log_variance - jnp.log(jnp.asarray(weight, dtype=float))
    return error, log_variance, lost


def add_residual(model: DrugModel, f: Float[Array, "... output"], key: PRNGKeyArray) -> Float[Array, "... output"]:
    """Simulated measurements: predictions with residual error. They may be negative under an additive error."""
    noise = jax.random.normal(key, jnp.shape(f))
    columns = []
    for i, each in enumerate(model.outputs):
        column = f[..., i]
        if each.residual is not None:
            shift = jnp.sqrt(variance(each.residual, column)) * noise[..., i]
            column = with_error(each.residual, column, shift)
        columns.append(column)
    return jnp.stack(columns, axis=-1)
