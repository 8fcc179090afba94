"""One interval of a linear model with constant parameters, affine in contents and doses: computed once, used for all.

Infusions with a highest rate are the exception: a larger dose lasts longer, so that its effect is computed dose by
dose (`AtLimitedRate`), or once for every amount of the grid (`Tabulated`).
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.timetable import timetable
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.pkpd.infusion import infusion_h

__all__ = ["AtLimitedRate", "Outcome", "Propagators", "Tabulated", "play_with", "propagators", "row_of"]


class Outcome(NamedTuple):
    """The result of one interval."""

    contents: Float[Array, " n"]
    """At the end."""
    at_times: Float[Array, "grid n"]
    """Contents at the grid times, before a dose given then."""
    area: Float[Array, ""]
    """Area under the central concentration over the interval, mg h/L."""


def row_of[T](tree: T, i: Any) -> T:
    """Row ``i`` of the parameters, or their only row."""
    return jax.tree.map(lambda leaf: leaf[0] if leaf.shape[0] == 1 else leaf[i], tree)


class AtLimitedRate(eqx.Module):
    """How doses act whose infusion lasts longer the larger they are; see `Dosage.highest_rate_per_h`."""

    model: DrugModel = eqx.field(static=True)
    scenario: Scenario = eqx.field(static=True)
    prepared: Any
    unit: Float[Array, " n"]
    """Contents after a bolus of 1 mg."""
    run_h: Float[Array, "grid at"]
    """Time from the start of each dose to each grid time."""
    area: bool = eqx.field(static=True)
    """Whether to compute the AUC, which costs more than all contents; it is 0 otherwise."""

    @property
    def times(self) -> int:
        """How many doses an interval has."""
        return self.run_h.shape[1]

    def __call__(self, dose: Float[Array, " at"]) -> tuple[Float[Array, "grid n"], Float[Array, ""]]:
        """Contents at the grid times, and AUC of the interval, from the mg of each dose."""
        each, swept = self.each(dose)
        return jnp.sum(each, axis=1), jnp.sum(swept)

    def each(self, dose: Float[Array, " at"]) -> tuple[Float[Array, "grid at n"], Float[Array, " at"]]:
        """The same from each dose alone."""
        dosage = self.scenario.dosage
        assert dosage.highest_rate_per_h is not None
        long_h = infusion_h(dose, dosage.duration_h, dosage.highest_rate_per_h * dosage.mg_per_unit)

        def one(run_h: Array, long_h: Array, area: bool) -> tuple[Array, Array]:
            return _since(self.model, self.prepared, self.unit, run_h, long_h, area=area)

        gain, _ = jax.vmap(jax.vmap(partial(one, area=False)), in_axes=(0, None))(self.run_h, long_h)
        swept = jax.vmap(partial(one, area=True))(self.run_h[-1], long_h)[1] if self.area else jnp.zeros(dose.shape)
        return gain * dose[:, None], swept * dose

    def tabulated(self) -> "Tabulated":
        """The same for the amounts of the grid, computed once."""
        dosage = self.scenario.dosage
        doses = jnp.asarray(dosage.amounts, dtype=float) * dosage.mg_per_unit
        given, swept = jax.vmap(lambda dose: self.each(jnp.broadcast_to(dose, (self.times,))))(doses)
        return Tabulated(doses, jnp.moveaxis(given, 2, 0), swept.T)


class Tabulated(eqx.Module):
    """`AtLimitedRate` of many doses: exact for amounts of the grid, linear between them, where only plans lie.

    The linear part is worst at times within an infusion, where the levels bend with the dose.
    """

    doses: Float[Array, " amount"]
    given: Float[Array, "at amount grid n"]
    swept: Float[Array, "at amount"]

    @property
    def times(self) -> int:
        """How many doses an interval has."""
        return self.swept.shape[0]

    def __call__(self, dose: Float[Array, " at"]) -> tuple[Float[Array, "grid n"], Float[Array, ""]]:
        """Contents at the grid times, and AUC of the interval, from the mg of each dose."""
        below = jnp.clip(jnp.searchsorted(self.doses, dose, side="right") - 1, 0, self.doses.size - 2)
        share = (dose - self.doses[below]) / (self.doses[below + 1] - self.doses[below])

        def between(values: Array, below: Array, share: Array) -> Array:
            return values[below] + share * (values[below + 1] - values[below])

        given, swept = (jax.vmap(between)(values, below, share) for values in (self.given, self.swept))
        return jnp.sum(given, axis=0), jnp.sum(swept)


class Propagators(eqx.Module):
    """One interval of a linear model with constant parameters: contents and AUC are affine in (x, dose)."""

    keep: Float[Array, "grid n n"]
    gain: Float[Array, "grid *at n"]
    """Of a unit dose; of one at each of the timetable's times, where there are intervals to choose."""
    area_keep: Float[Array, " n"]
    area_gain: Float[Array, "*at"]
    slow: AtLimitedRate | Tabulated | None = None
    """In place of both gains, where the rate of infusions is limited."""


def propagators(
    model: DrugModel, scenario: Scenario, p: Mapping[str, Array], *, late_h: Array | None = None, area: bool = True
) -> Propagators:
    """`Propagators` of one patient: contents and unit doses are propagated to every grid time at once.

    Superposition holds because parameters are constant over the interval. A dose at t, with lateness and lag s, has run
    for grid time - t - s; a dose that has not started contributes nothing.
    """
    structure, dosage = model.structure, scenario.dosage
    own = row_of(dict(p), 0)
    prepared = structure.prepare(own)
    n, zero = len(structure.compartments), jnp.zeros(())
    grid = jnp.asarray(scenario.schedule.output_times_h, dtype=float)
    unit = (jnp.arange(n) == structure.compartments.index(dosage.compartment)) * own.get(
        f"f_{dosage.compartment}", jnp.ones(())
    )

    def move(x: Array, rate: Array | None, dt: Array) -> tuple[Array, Array]:
        return structure.advance(prepared, x, rate, zero, dt, auc=area)

    keep, area_keep = jax.vmap(lambda e: jax.vmap(lambda t: move(e, None, t))(grid))(jnp.eye(n))

    def since(run_h: Array) -> tuple[Array, Array]:
        return _since(model, prepared, unit, run_h, dosage.duration_h, area=area)

    shift = own.get(f"lag_{dosage.compartment}", zero) + (zero if late_h is None else late_h)
    run = grid[:, None] - jnp.asarray(timetable(scenario.schedule, dosage).at_h, dtype=float)[None] - shift
    if dosage.highest_rate_per_h is not None:
        slow = AtLimitedRate(model, scenario, prepared, unit, run, area)
        none = jnp.zeros(())
        return Propagators(jnp.moveaxis(keep, 0, -1), none, area_keep[:, -1], none, slow)
    gain, area_gain = jax.vmap(jax.vmap(since))(run)
    if dosage.separate:
        return Propagators(jnp.moveaxis(keep, 0, -1), gain, area_keep[:, -1], area_gain[-1])
    return Propagators(jnp.moveaxis(keep, 0, -1), gain.sum(1), area_keep[:, -1], area_gain.sum(1)[-1])


def _since(
    model: DrugModel, prepared: Any, unit: Array, run_h: Array, duration_h: Array | float, *, area: bool
) -> tuple[Array, Array]:
    """Contents and AUC ``run_h`` after the start of a dose of 1 mg; 0 if it has not started."""

    def move(x: Array, rate: Array | None, dt: Array) -> tuple[Array, Array]:
        return model.structure.advance(prepared, x, rate, jnp.zeros(()), dt, auc=area)

    going = run_h > 1e-6
    run_h = jnp.maximum(run_h, 0.0)
    if isinstance(duration_h, int | float) and duration_h == 0:
        x, below = move(unit, None, run_h)
    else:
        x, during = move(jnp.zeros(unit.shape), unit / duration_h, jnp.minimum(run_h, duration_h))
        x, after = move(x, None, jnp.maximum(run_h - duration_h, 0.0))
        below = during + after
    return jnp.where(going, x, 0.0), jnp.where(going, below, 0.0)


def play_with(own: Propagators, x: Float[Array, " n"], dose: Float[Array, "..."]) -> Outcome:
    """`play` of a linear model, from its propagators."""
    n = x.shape[0]
    if own.slow is not None:
        given, swept = own.slow(jnp.broadcast_to(dose, (own.slow.times,)))
    else:
        given = jnp.einsum("gan,a->gn", own.gain, dose) if dose.ndim else own.gain * dose
        swept = own.area_gain @ dose if dose.ndim else own.area_gain * dose
    # Written out: a batched matrix product over patients would not vectorise.
    at_times = sum((own.keep[:, :, i] * x[i] for i in range(n)), given)
    area = sum((own.area_keep[i] * x[i] for i in range(n)), swept)
    return Outcome(at_times[-1], at_times, area)
