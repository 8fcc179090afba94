"""Contents at steady state, and checks of the delivery parameters.

Let r(s) be the response to one dose at time s after its delivery. At time phi after the last of infinitely many doses,
spaced II apart, the contents are sum_m r(phi + m II). Cycles that are still running are added one by one. The complete
ones sum to (I - Phi(II))^-1 Phi(.) g, evaluated as the product (I + Phi(II)) (I + Phi(2 II)) (I + Phi(4 II)) ..., whose
terms are positive and exact. The inverse itself loses digits if elimination is slow relative to II.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rl_drug_dosage.pkpd._cycles import cycled_contents
from rl_drug_dosage.pkpd._errors import RegimenError
from rl_drug_dosage.pkpd.covariates import Covariates
from rl_drug_dosage.pkpd.description import Values
from rl_drug_dosage.pkpd.regimen import Regimen
from rl_drug_dosage.pkpd.structure import Structure
from rl_drug_dosage.pkpd.timeline import Delivery, deliveries

__all__ = ["check_delivery", "steady_contents"]

_DOUBLINGS = 26
"""2^26 cycles are summed; the remainder is below rounding for every half-life shorter than a million intervals."""


def steady_contents(
    structure: Structure,
    prepared: Any,
    regimen: Regimen,
    covariates: Covariates,
    delivery: Delivery,
    infusing: bool,
    first: Float[Array, "n"],
) -> Float[Array, "mark n"]:
    """Contents at the record time of every mark; zeros at a plain reset, NaN if the lag is >= the interval."""
    if not structure.linear:
        return cycled_contents(structure, prepared, regimen, covariates, delivery, first)
    n = len(structure.compartments)
    rows = jnp.maximum(jnp.asarray(regimen.mark_row), 0)
    record = covariates.index_at(jnp.asarray(regimen.time_h, dtype=float)[rows])

    def one(row: Array, k: Array, wanted: Array) -> Array:
        own = jax.tree.map(lambda leaf: leaf[k], prepared)
        given = jnp.asarray(regimen.interval_h, dtype=float)[row]
        # A constant infusion is one infusion an hour over one hour.
        constant = given == 0
        interval = jnp.where(wanted & ~constant, given, 1.0)
        into = (jnp.arange(n) == jnp.asarray(regimen.compartment)[row]).astype(interval.dtype)
        length = jnp.where(constant, 1.0, delivery.infusion_h[row])
        lag = jnp.where(constant, 0.0, delivery.lag_h[row])
        rate, bolus = delivery.rate_mg_per_h[row] * into, delivery.bolus_mg[row] * into
        phase = interval - lag
        zero = jnp.zeros_like(phase)

        def after(x: Array, dt_h: Array, infusion: Array | None = None) -> Array:
            return structure.advance(own, x, infusion, zero, jnp.maximum(dt_h, 0.0))[0]

        complete = after(jnp.zeros(n), length, rate) if infusing else jnp.zeros(n)
        spanned = regimen.cycles * interval
        total = after(complete, phase + spanned - length) + after(bolus, phase + spanned)

        def double(carry: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
            x, dt_h = carry
            return (x + after(x, dt_h), 2.0 * dt_h), None

        (total, _), _ = jax.lax.scan(double, (total, interval), None, length=_DOUBLINGS)
        for cycle in range(regimen.cycles):
            since = phase + cycle * interval
            running = after(jnp.zeros(n), jnp.minimum(since, length), rate)
            total = total + after(running, since - length) + after(bolus, since)
        possible = (lag < interval) & (phase + spanned >= length)
        return jnp.where(wanted, jnp.where(possible, total, jnp.nan), 0.0)

    return jax.vmap(one)(rows, record, jnp.asarray(regimen.mark_steady) & (jnp.asarray(regimen.mark_row) >= 0))


def check_delivery(structure: Structure, regimen: Regimen, covariates: Covariates, p: Values) -> None:
    """Check what depends on the individual parameters, for one patient, outside compiled code.

    Raises:
        RegimenError: a negative lag or bioavailability; a steady-state dose with a lag >= its interval (NONMEM's result
            is then not the periodic steady state); an infusion that a bioavailability > 1 extends over more cycles
            than its record has.
    """
    for name, values in p.items():
        if name.startswith(("lag_", "f_", "rate_", "duration_")) and not np.all(np.asarray(values) >= 0):
            raise RegimenError(f"{name} is {float(np.min(values)):g}: allowed are values >= 0; check the parameters")
    marks = zip(np.asarray(regimen.mark_row), np.asarray(regimen.mark_steady), strict=True)
    repeated = [row for row, steady in marks if row >= 0 and steady and regimen.interval_h[row] != 0]
    if not repeated:
        return
    delivery = deliveries(structure, regimen, covariates, p)
    for row in repeated:
        interval = float(regimen.interval_h[row])
        lag, length = float(delivery.lag_h[row]), float(delivery.infusion_h[row])
        where = f"steady-state dose at {float(regimen.time_h[row]):g} h every {interval:g} h"
        if lag >= interval:
            raise RegimenError(
                f"{where} has a lag of {lag:g} h: the lag must be shorter than the interval; list the doses one by one"
            )
        if length + lag > (regimen.cycles + 1) * interval:
            raise RegimenError(
                f"{where} is infused over {length:g} h at this bioavailability: list the doses one by one"
            )
