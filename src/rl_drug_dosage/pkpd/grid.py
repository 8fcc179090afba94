"""Doses at a constant interval: one propagator per patient, then two multiplications per compartment and dose.

For simulation loops and environments with linear models and time-constant parameters. The patient is the last axis, so
one step over many patients is a vectorised loop.
"""

from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rl_drug_dosage.pkpd._errors import RegimenError
from rl_drug_dosage.pkpd.description import Values
from rl_drug_dosage.pkpd.structure import Structure

__all__ = ["GridPropagator", "chunks", "course_on_grid", "grid_propagator"]


class GridPropagator(eqx.Module):
    """The effect of one dosing interval on the contents, per patient (last axis)."""

    keep: Float[Array, "n n patient"]
    """Contents at the next dose, from contents at this one."""
    gain: Float[Array, "n patient"]
    """Contents at the next dose per mg given at this one."""
    peak_keep: Float[Array, "n n patient"]
    """Contents at the end of the infusion, from contents at its start."""
    peak_gain: Float[Array, "n patient"]
    auc_keep: Float[Array, "n patient"]
    """AUC over the interval, mg h/L, from contents at its start."""
    auc_gain: Float[Array, "patient"]

    def step(self, x: Float[Array, "n patient"], dose_mg: Float[Array, "patient"]) -> Float[Array, "n patient"]:
        """Contents just before the next dose."""
        return _affine(self.keep, self.gain, x, dose_mg)

    def peak(self, x: Float[Array, "n patient"], dose_mg: Float[Array, "patient"]) -> Float[Array, "n patient"]:
        """Contents at the end of the infusion (for a bolus: immediately after it)."""
        return _affine(self.peak_keep, self.peak_gain, x, dose_mg)

    def auc(self, x: Float[Array, "n patient"], dose_mg: Float[Array, "patient"]) -> Float[Array, "patient"]:
        """AUC over the interval, mg h/L."""
        return sum((self.auc_keep[i] * x[i] for i in range(x.shape[0])), self.auc_gain * dose_mg)


def _affine(keep: Array, gain: Array, x: Array, dose_mg: Array) -> Array:
    """Written out, because a batched matrix product over the leading axes would not vectorise over patients."""
    n = x.shape[0]
    return jnp.stack([sum((keep[i, j] * x[j] for j in range(n)), gain[i] * dose_mg) for i in range(n)])


def grid_propagator(
    structure: Structure,
    p: Values,
    interval_h: float,
    *,
    duration_h: float = 0.0,
    compartment: str | None = None,
) -> GridPropagator:
    """Compute the propagators of many patients.

    Args:
        structure: a linear structure.
        p: individual parameters, each of shape [patient]; ``f_<compartment>`` scales the dose, lags are not allowed.
        interval_h: dosing interval, h.
        duration_h: infusion duration, h, <= interval_h; 0 for a bolus.
        compartment: compartment that receives the dose; None means the structure's first.

    Raises:
        RegimenError: a non-linear structure, a lag, or an infusion longer than the interval.
    """
    into = compartment or structure.default_compartment
    if not structure.linear:
        raise RegimenError("cached propagators need a linear structure: use `solve`, or `advance` of the structure")
    if f"lag_{into}" in p or f"duration_{into}" in p:
        raise RegimenError(f"doses into {into!r} have a lag or a modelled duration: use `solve`")
    if not 0 <= duration_h <= interval_h or interval_h <= 0:
        raise RegimenError(f"infusion of {duration_h} h every {interval_h} h: allowed are 0 <= duration <= interval")
    n, place = len(structure.compartments), structure.compartments.index(into)
    zero = jnp.zeros(())

    def one(own: Values) -> GridPropagator:
        prepared = structure.prepare(own)
        unit = jnp.zeros(n).at[place].set(jnp.asarray(own.get(f"f_{into}", 1.0), dtype=float))

        def run(x: Array, rate: Array | None, dt_h: float) -> tuple[Array, Array]:
            return structure.advance(prepared, x, rate, zero, jnp.asarray(dt_h, dtype=float), auc=True)

        keep, auc_keep = jax.vmap(lambda e: run(e, None, interval_h), out_axes=(1, 0))(jnp.eye(n))
        if duration_h == 0:
            peak_keep, peak_gain = jnp.eye(n), unit
            gain, auc_gain = run(unit, None, interval_h)
        else:
            peak_keep = jax.vmap(lambda e: run(e, None, duration_h)[0], out_axes=1)(jnp.eye(n))
            peak_gain, auc_during = run(jnp.zeros(n), unit / duration_h, duration_h)
            gain, auc_after = run(peak_gain, None, interval_h - duration_h)
            auc_gain = auc_during + auc_after
        return GridPropagator(keep, gain, peak_keep, peak_gain, auc_keep, auc_gain)

    arrays = {k: jnp.asarray(v, dtype=float) for k, v in p.items()}
    return jax.vmap(one, out_axes=-1)(arrays)


def course_on_grid(
    propagator: GridPropagator, dose_mg: Float[Array, "dose patient"], x: Float[Array, "n patient"] | None = None
) -> Float[Array, "dose n patient"]:
    """Contents just before the next dose, for each dose: ``[k]`` is the trough of dose k.

    Args:
        propagator: from `grid_propagator`.
        dose_mg: the doses.
        x: contents before the first dose; None means empty.
    """
    start = jnp.zeros_like(propagator.gain) if x is None else x

    def step(now: Array, dose: Array) -> tuple[Array, Array]:
        after = propagator.step(now, dose)
        return after, after

    return jax.lax.scan(step, start, dose_mg)[1]


def chunks(count: int, size: int) -> Iterator[range]:
    """Split 0 .. count - 1 into ranges of ``size``, so that any cohort fits in the memory of one chunk."""
    return (range(first, min(first + size, count)) for first in range(0, count, size))
