"""A safety shield between any policy and the patient: it caps doses, counts interventions and gives the reason.

It uses only what the clinic knows. The scenario defines the limits; each can be changed or omitted (`shield_of`). A
dose is lowered to the highest dose on the grid that all limits allow. Increases are capped, decreases never.
"""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rl_drug_dosage.clinic.belief import Player, past
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.timetable import Answer, Prescription, amount_of, choice_of, timetable
from rl_drug_dosage.pkpd import DrugModel

__all__ = ["REASONS", "Shield", "shield_of"]

REASONS = (
    "",
    "not a number",
    "off the grid",
    "dose cap",
    "daily cap",
    "step cap",
    "drug on board",
    "predicted level",
)
"""Why the dose given differs from the proposal, by index. The first two also occur without a shield."""


class Shield(eqx.Module):
    """`ShieldLimits` as numbers; an infinite limit never acts."""

    scenario: Scenario = eqx.field(static=True)
    model: DrugModel = eqx.field(static=True)
    dose: Float[Array, ""]
    day: Float[Array, ""]
    factor: Float[Array, ""]
    on_board: Float[Array, ""]
    half_life_h: Float[Array, ""]
    level: Float[Array, ""]
    lowers: bool = eqx.field(static=True)

    def __call__(self, record: Record, proposal: Answer) -> tuple[Float[Array, ""], Int[Array, ""]]:
        """The dose that may be given, and why it differs: an index into `REASONS`."""
        scenario, amount = self.scenario, amount_of(proposal)
        counts = jnp.asarray(timetable(scenario.schedule, scenario.dosage).counts, dtype=float)
        free = record.choice.size > 0
        chosen = counts[choice_of(proposal)] if free else counts[0]
        before = counts[record.choice] if free else counts[0]
        interval_h = scenario.schedule.interval_h
        grid = jnp.asarray(scenario.dosage.grid())
        steps = jnp.arange(scenario.schedule.decisions)
        given = jnp.where(steps < record.k, record.dose, 0.0) * before
        age_h = (record.k - steps) * interval_h
        per = 1.0 / chosen
        today = jnp.sum(jnp.where(age_h < 24.0, given, 0.0))
        carried = jnp.sum(given * jnp.where(steps < record.k, 0.5 ** (age_h / self.half_life_h), 0.0))
        last = jnp.where(record.k > 0, record.dose[jnp.maximum(record.k - 1, 0)], jnp.inf)
        last = jnp.where(last > 0, last, jnp.inf)
        limits = jnp.stack(
            [
                self.dose,
                jnp.maximum(self.day - today, 0.0) * per,
                last * self.factor,
                jnp.maximum(self.on_board - carried, 0.0) * per,
                self._by_level(record, grid, proposal),
            ]
        )
        least = jnp.argmin(limits)
        allowed = grid[jnp.maximum(jnp.searchsorted(grid, limits[least] * (1 + 1e-5), side="right") - 1, 0)]
        acts = amount > allowed
        return jnp.where(acts, allowed, amount), jnp.where(acts, REASONS.index("dose cap") + least, 0)

    def _by_level(self, record: Record, grid: Float[Array, " amount"], proposal: Answer) -> Float[Array, ""]:
        """The highest amount under which the typical patient stays on the right side of ``level``, by bisection."""
        player = Player(self.model, self.scenario, record.covariates, jnp.zeros(len(self.model.etas)), None, area=False)
        seen = past(player, record)
        at = self.model.output_index(self.scenario.monitoring.output)

        def fits(amount: Array) -> Array:
            asked = proposal._replace(amount=amount) if isinstance(proposal, Prescription) else amount
            _, values = player.interval(seen.contents, asked, record.k, record.intake_mg[record.k])
            column = values[:, at]
            return jnp.all(column >= self.level) if self.lowers else jnp.all(column <= self.level)

        def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
            low, high = ends
            middle = (low + high + 1) // 2
            ok = fits(grid[middle])
            return jnp.where(ok, middle, low), jnp.where(ok, high, middle - 1)

        count = grid.shape[0]
        start = (jnp.zeros((), int), jnp.asarray(count - 1))
        low, _ = jax.lax.fori_loop(0, max(count - 1, 1).bit_length(), halve, start)
        return jnp.where(jnp.isfinite(self.level), grid[low], jnp.inf)


def shield_of(scenario: Scenario, model: DrugModel, **limits: float | None) -> Shield:
    """The scenario's shield, with the given limits replaced.

    Args:
        scenario: the task.
        model: drug model of the typical patient.
        limits: fields of `ShieldLimits`.
    """
    known = dataclasses.replace(scenario.shield, **limits)  # type: ignore[arg-type]

    def value(limit: float | None, absent: float = math.inf) -> Array:
        return jnp.asarray(absent if limit is None else limit, dtype=float)

    return Shield(
        scenario=scenario,
        model=model,
        dose=value(known.dose),
        day=value(known.day),
        factor=value(known.factor),
        on_board=value(known.on_board),
        half_life_h=value(known.half_life_h),
        level=value(known.level, -math.inf if known.lowers else math.inf),
        lowers=known.lowers,
    )
