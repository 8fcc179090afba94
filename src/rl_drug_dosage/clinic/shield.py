"""A safety shield between any policy and the patient: it caps doses, counts interventions and gives the reason.

It uses only what the clinic knows. The scenario defines the limits; each can be changed or omitted (`shield_of`). The
dose given is the highest on the grid that is no more than the proposal and that every limit allows: the smallest of
the limits decides. Increases are capped, decreases never.

It fails safe. Whatever is not a number (the proposal, a recorded dose, a limit, a predicted level) leads to the safe
default: the lowest amount on the grid, which is no drug where the grid has 0. The same amount is given where no dose
holds every limit. The result is always on the grid.
"""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rl_drug_dosage.clinic.belief import Player, past
from rl_drug_dosage.clinic.dose_grid import on_grid, snap
from rl_drug_dosage.clinic.record import Record, facts_at
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

_ROUNDING = 1e-5
"""Relative tolerance of a limit: amounts of the grid and sums of them are single precision."""


class Shield(eqx.Module):
    """`ShieldLimits` as numbers; a limit that is absent is infinite and never acts."""

    scenario: Scenario = eqx.field(static=True)
    model: DrugModel = eqx.field(static=True)
    dose: Float[Array, ""]
    day: Float[Array, ""]
    factor: Float[Array, ""]
    factor_intervals: Float[Array, ""]
    on_board: Float[Array, ""]
    half_life_h: Float[Array, ""]
    level: Float[Array, ""]
    lowers: bool = eqx.field(static=True)

    def __call__(self, record: Record, proposal: Answer) -> tuple[Float[Array, ""], Int[Array, ""]]:
        """The dose that may be given, and why it differs: an index into `REASONS`.

        Args:
            record: what the clinic knows.
            proposal: any number; one off the grid is moved to the nearest amount first.
        """
        scenario, asked = self.scenario, amount_of(proposal)
        grid = jnp.asarray(scenario.dosage.grid())
        wanted = snap(scenario, jnp.where(jnp.isfinite(asked), asked, grid[0]))
        before = jnp.arange(scenario.schedule.decisions) < record.k
        whole = jnp.all(jnp.where(before, jnp.isfinite(record.dose) & (record.dose >= 0), True))
        for column in record.covariates.values():
            whole &= jnp.all(jnp.isfinite(column))
        facts = facts_at(record.covariates, record.k)
        for covariate in scenario.covariates:
            low, high = covariate.bounds
            # With a value that nobody can have, a typical patient's level means nothing.
            whole &= (facts[covariate.name] >= low - _ROUNDING * abs(low)) & (
                facts[covariate.name] <= high + _ROUNDING * abs(high)
            )
        choice, offered = choice_of(proposal), timetable(scenario.schedule, scenario.dosage).counts.size
        readable = jnp.isfinite(asked) & whole & (choice >= 0) & (choice < offered)
        limits = self._limits(record, choice, jnp.where(before & whole, record.dose, 0.0))
        least = jnp.argmin(limits)
        highest = jnp.maximum(jnp.searchsorted(grid, limits[least] * (1 + _ROUNDING), side="right") - 1, 0)
        capped = jnp.minimum(wanted, grid[highest])
        amount = self._by_level(record, grid, proposal, jnp.searchsorted(grid, capped))
        reason = jnp.where(on_grid(scenario, asked), 0, REASONS.index("off the grid"))
        reason = jnp.where(capped < wanted, REASONS.index("dose cap") + least, reason)
        reason = jnp.where(amount < capped, REASONS.index("predicted level"), reason)
        reason = jnp.where(readable, reason, REASONS.index("not a number"))
        return jnp.where(readable, amount, grid[0]), reason

    def _limits(
        self, record: Record, choice: Int[Array, ""], dose: Float[Array, " decision"]
    ) -> Float[Array, " limit"]:
        """The highest amount under each cap, in the order of `REASONS`; -inf for one that is not a number."""
        scenario = self.scenario
        table = timetable(scenario.schedule, scenario.dosage)
        counts, waits = (jnp.asarray(column, dtype=float) for column in (table.counts, table.waits))
        passed = record.choice if record.choice.size > 0 else jnp.zeros(dose.shape, int)
        ago = record.k - jnp.arange(scenario.schedule.decisions)
        given = dose * counts[passed]
        age_h = ago * scenario.schedule.interval_h
        today = jnp.sum(jnp.where(age_h < 24.0, given, 0.0))
        carried = jnp.sum(jnp.where(ago > 0, given * 0.5 ** (age_h / self.half_life_h), 0.0))
        # Negated, so that a time that is not a number lets no dose be forgotten.
        counted = (dose > 0) & ~(ago > self.factor_intervals)
        at = jnp.argmax(jnp.where(counted, jnp.arange(dose.size), -1))
        rate = counts / waits
        denser = jnp.maximum(rate[choice] / rate[passed[at]], 1.0)
        last = jnp.where(jnp.any(counted), dose[at] / denser, jnp.inf)
        limits = jnp.stack(
            [
                self.dose,
                jnp.maximum(self.day - today, 0.0) / counts[choice],
                last * self.factor,
                jnp.maximum(self.on_board - carried, 0.0) / counts[choice],
            ]
        )
        return jnp.where(jnp.isnan(limits), -jnp.inf, limits)

    def _by_level(
        self, record: Record, grid: Float[Array, " amount"], proposal: Answer, most: Int[Array, ""]
    ) -> Float[Array, ""]:
        """The highest amount, up to ``grid[most]``, that keeps the typical patient on the right side of ``level``.

        By bisection; whether more drug raises or lowers the output, the amount found was tried or is the lowest. A
        predicted level that is not finite is on the wrong side.
        """
        player = Player(self.model, self.scenario, record.covariates, jnp.zeros(len(self.model.etas)), None, area=False)
        seen = past(player, record)
        at = self.model.output_index(self.scenario.monitoring.output)

        def fits(amount: Array) -> Array:
            asked = proposal._replace(amount=amount) if isinstance(proposal, Prescription) else amount
            _, values = player.interval(seen.contents, asked, record.k, record.intake_mg[record.k])
            column = values[:, at]
            right = column >= self.level if self.lowers else column <= self.level
            return jnp.all(right & jnp.isfinite(column))

        def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
            low, high = ends
            middle = (low + high + 1) // 2
            ok = fits(grid[middle])
            return jnp.where(ok, middle, low), jnp.where(ok, high, middle - 1)

        whole = fits(grid[most])
        start = jnp.where(whole, most, 0), jnp.where(whole, most, jnp.maximum(most - 1, 0))
        low, _ = jax.lax.fori_loop(0, max(grid.size - 1, 1).bit_length(), halve, start)
        absent = self.level == (-jnp.inf if self.lowers else jnp.inf)
        return grid[jnp.where(absent, most, low)]


def shield_of(scenario: Scenario, model: DrugModel, **limits: float | None) -> Shield:
    """The scenario's shield, with the given limits replaced.

    Args:
        scenario: the task.
        model: drug model of the typical patient.
        limits: fields of `ShieldLimits`; None: without that limit.

    Raises:
        ConfigError: a limit that is not finite and above 0.
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
        factor_intervals=value(known.factor_intervals),
        on_board=value(known.on_board),
        half_life_h=value(known.half_life_h),
        level=value(known.level, -math.inf if known.lowers else math.inf),
        lowers=known.lowers,
    )
