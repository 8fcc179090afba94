"""Steady states of models that have none in closed form: one interval after the other, until nothing changes."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rl_drug_dosage.pkpd.covariates import Covariates
from rl_drug_dosage.pkpd.regimen import Regimen
from rl_drug_dosage.pkpd.structure import Structure
from rl_drug_dosage.pkpd.timeline import Delivery

__all__ = ["cycled_contents"]

_CYCLES = 500
"""Intervals after which a steady state that is not reached counts as none."""
_CONSTANT_H = 24.0
"""Hours of a constant infusion that are looked at as one interval."""


def cycled_contents(
    structure: Structure,
    prepared: Any,
    regimen: Regimen,
    covariates: Covariates,
    delivery: Delivery,
    first: Float[Array, "n"],
) -> Float[Array, "mark n"]:
    """What to add to the initial contents at every mark; zeros at a plain reset, NaN where no steady state is reached.

    Args:
        structure: of any kind; its parameters are those at the time of the mark, and time counts from 0.
        prepared: what its ``prepare`` returned, by covariate record.
        regimen: one patient's doses.
        covariates: the patient's covariate table.
        delivery: of the doses.
        first: initial contents.
    """
    n = len(structure.compartments)
    rows = jnp.maximum(jnp.asarray(regimen.mark_row), 0)
    record = covariates.index_at(jnp.asarray(regimen.time_h, dtype=float)[rows])
    tolerance = 1e-10 if jnp.asarray(0.0).dtype == jnp.float64 else 1e-5

    def one(row: Array, k: Array, wanted: Array) -> Array:
        own = jax.tree.map(lambda leaf: leaf[k], prepared)
        given = jnp.asarray(regimen.interval_h, dtype=float)[row]
        constant = given == 0
        interval = jnp.where(constant, _CONSTANT_H, given)
        length = jnp.where(constant, interval, delivery.infusion_h[row])
        lag = jnp.where(constant, 0.0, delivery.lag_h[row])
        into = (jnp.arange(n) == jnp.asarray(regimen.compartment)[row]).astype(interval.dtype)
        rate, bolus = delivery.rate_mg_per_h[row] * into, delivery.bolus_mg[row] * into
        # An infusion of 2.5 intervals: three run during the first half of each interval, two during the other.
        whole = jnp.floor(length / interval)
        rest = length - whole * interval
        zero = jnp.zeros_like(interval)

        def run(x: Array, until: Array) -> Array:
            """From a dose to a time within the interval."""
            x, _ = structure.advance(own, x + bolus, (whole + 1.0) * rate, zero, jnp.minimum(rest, until))
            return structure.advance(own, x, whole * rate, zero, jnp.maximum(until - rest, 0.0))[0]

        def unsettled(carry: tuple[Array, Array, Array, Array]) -> Array:
            _, _, ahead, count = carry
            return wanted & (ahead > tolerance) & (count < _CYCLES)

        def cycle(carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
            x, before, _, count = carry
            after = run(x, interval)
            change = jnp.max(jnp.abs(after - x) / jnp.maximum(jnp.max(jnp.abs(after)), 1e-30))
            # What is still to come, if every change is the same share of the one before.
            share = jnp.minimum(change / jnp.where(before > 0, before, 1.0), 1.0)
            ahead = jnp.where(change <= 1e-15, 0.0, change / jnp.maximum(1.0 - share, 1e-6))
            return after, change, jnp.where(jnp.isfinite(ahead), ahead, 0.0), count + 1

        start = (first, jnp.ones_like(zero), jnp.ones_like(zero), jnp.zeros((), dtype=int))
        x, _, ahead, _ = jax.lax.while_loop(unsettled, cycle, start)
        there = run(x, interval - lag)
        spanned = interval - lag + regimen.cycles * interval
        possible = (lag < interval) & (constant | (spanned >= length)) & (ahead <= tolerance)
        return jnp.where(wanted, jnp.where(possible, there - first, jnp.nan), 0.0)

    return jax.vmap(one)(rows, record, jnp.asarray(regimen.mark_steady) & (jnp.asarray(regimen.mark_row) >= 0))
