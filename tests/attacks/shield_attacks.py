"""Adversarial steps for the safety shield, and an independent statement of its caps in NumPy."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rl_drug_dosage.clinic.belief import Player, past
from rl_drug_dosage.clinic.record import empty_record
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.shield import REASONS, shield_of
from rl_drug_dosage.clinic.simulators import model_of
from rl_drug_dosage.clinic.timetable import Prescription, timetable

LIMITS = ("dose", "day", "factor", "factor_intervals", "on_board", "half_life_h", "level")
STRANGE = np.asarray([np.nan, np.inf, -np.inf, -1.0, -1e30, 1e30, 3.4e38])
TOLERANCE = 2e-5
"""Of a cap: amounts are single precision."""
LONGEST = 12
"""Decisions in the past: the predicted level replays all of them."""


@jax.tree_util.register_dataclass
@dataclass
class Steps:
    """Inputs of the shield, one row each."""

    k: np.ndarray
    dose: np.ndarray
    choice: np.ndarray
    covariates: dict[str, np.ndarray]
    proposal: np.ndarray
    interval: np.ndarray
    limits: dict[str, np.ndarray]


def attack(scenario: Scenario, count: int, seed: int) -> Steps:
    """Random histories, covariates, limits and proposals; about a fifth of the rows hold something strange."""
    rng = np.random.default_rng(seed)
    steps, grid = scenario.schedule.decisions, scenario.dosage.grid()
    k = rng.integers(0, min(steps, LONGEST), count)
    dose = rng.choice(grid[: rng.integers(2, grid.size + 1)], (count, steps))
    dose[rng.random(dose.shape) < rng.choice([0.1, 0.5, 0.9], (count, 1))] = 0.0
    # What is not yet given is no history: the shield must not look at it.
    dose[np.arange(steps) >= k[:, None]] = rng.choice([0.0, np.nan, grid[-1]], count)[:, None].repeat(steps, 1)[
        np.arange(steps) >= k[:, None]
    ]
    spoilt = np.flatnonzero((rng.random(count) < 0.05) & (k > 0))
    dose[spoilt, rng.integers(0, k[spoilt])] = rng.choice(STRANGE[:5], spoilt.size)
    proposal = np.where(rng.random(count) < 0.5, rng.choice(grid, count), rng.uniform(-0.2, 1.5, count) * grid[-1])
    strange = rng.random(count) < 0.1
    proposal[strange] = rng.choice(STRANGE, strange.sum())
    covariates = {}
    for c in scenario.covariates:
        values = rng.uniform(c.low, c.high, count)
        values = np.where(rng.random(count) < 0.005, np.nan, values)
        covariates[c.name] = values[:, None].repeat(scenario.records, 1)
    offered = max(len(scenario.dosage.intervals_h), 1)
    own, top = scenario.shield, grid[-1]
    limits = {
        "dose": rng.uniform(0.0, 1.2, count) * top,
        "day": rng.uniform(0.0, 3.0, count) * top,
        "factor": rng.uniform(1.0, 4.0, count),
        "factor_intervals": rng.integers(1, 12, count).astype(float),
        "on_board": rng.uniform(0.0, 3.0, count) * top,
        "half_life_h": rng.uniform(0.2, 5.0, count) * scenario.schedule.interval_h,
        "level": (own.level or 1.0) * rng.uniform(0.3, 2.0, count),
    }
    absent = {"level": -np.inf if own.lowers else np.inf}
    for name in ("dose", "day", "factor", "on_board", "level"):
        limits[name][rng.random(count) < 0.5] = absent.get(name, np.inf)
    for name in LIMITS:
        limits[name][rng.random(count) < 0.01] = np.nan
    return Steps(
        k.astype(np.int32),
        dose.astype(np.float32),
        rng.integers(0, offered, (count, steps if offered > 1 else 0)).astype(np.int32),
        {n: v.astype(np.float32) for n, v in covariates.items()},
        proposal.astype(np.float32),
        rng.integers(0, offered, count).astype(np.int32),
        {n: v.astype(np.float32) for n, v in limits.items()},
    )


def answers(scenario: Scenario, steps: Steps, chunk: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Dose given, reason, and the typical patient's worst level under it, a chunk of rows at a time."""
    model = model_of(scenario, scenario.models[0])
    shield = shield_of(scenario, model)
    blank = empty_record(scenario, {c.name: jnp.zeros(scenario.records) for c in scenario.covariates}, jnp.zeros(()))
    at = model.output_index(scenario.monitoring.output)
    worst = jnp.min if shield.lowers else jnp.max

    def one(row: Any) -> Any:
        own = eqx.tree_at(lambda s: [getattr(s, n) for n in LIMITS], shield, [row.limits[n] for n in LIMITS])
        record = eqx.tree_at(
            lambda r: (r.k, r.dose, r.choice, r.covariates), blank, (row.k, row.dose, row.choice, row.covariates)
        )
        asked = Prescription(row.proposal, row.interval) if scenario.dosage.intervals_h else row.proposal
        dose, reason = own(record, asked)
        given = Prescription(dose, row.interval) if scenario.dosage.intervals_h else dose
        player = Player(model, scenario, record.covariates, jnp.zeros(len(model.etas)), None, area=False)
        _, values = player.interval(past(player, record).contents, given, record.k, record.intake_mg[record.k])
        return dose, reason, worst(values[:, at])

    run = jax.jit(jax.vmap(one))
    for start in range(0, steps.k.size, chunk):
        yield jax.device_get(run(jax.tree.map(lambda a, start=start: a[start : start + chunk], steps)))


def caps(scenario: Scenario, steps: Steps) -> dict[str, np.ndarray]:
    """What each limit allows, row by row, in double precision; NaN where an input of it is no number."""
    limits = {n: v.astype(float) for n, v in steps.limits.items()}
    table = timetable(scenario.schedule, scenario.dosage)
    found = {name: np.full(steps.k.size, np.inf) for name in ("dose", "day", "factor", "on_board")}
    for i, k in enumerate(steps.k):
        past_doses = steps.dose[i, :k].astype(float)
        choices = steps.choice[i, :k] if steps.choice.size else np.zeros(k, int)
        count = table.counts[steps.interval[i]]
        ages_h = (k - np.arange(k)) * scenario.schedule.interval_h
        amounts = past_doses * table.counts[choices]
        with np.errstate(all="ignore"):
            found["dose"][i] = limits["dose"][i]
            found["day"][i] = (limits["day"][i] - amounts[ages_h < 24.0].sum()) / count
            faded = (amounts * 0.5 ** (ages_h / limits["half_life_h"][i])).sum()
            found["on_board"][i] = (limits["on_board"][i] - faded) / count
        window = limits["factor_intervals"][i]
        recent = [j for j in range(k) if past_doses[j] > 0 and not k - j > window]
        if recent:
            last = recent[-1]
            rate = count / table.waits[steps.interval[i]]
            before = table.counts[choices[last]] / table.waits[choices[last]]
            found["factor"][i] = limits["factor"][i] * past_doses[last] * min(1.0, before / rate)
        elif np.isnan(limits["factor"][i]):
            found["factor"][i] = np.nan
    return found


def crossings(scenario: Scenario, steps: Steps, chunk: int) -> tuple[dict[str, int], dict[str, int]]:
    """Rows that break each rule, all of which must be 0, and how often each reason was given."""
    parts = list(answers(scenario, steps, chunk))
    dose, reason, level = (np.concatenate(column) for column in zip(*parts, strict=True))
    grid = scenario.dosage.grid()
    lowest, above = grid[0], dose > grid[0]
    before = np.arange(scenario.schedule.decisions) < steps.k[:, None]
    readable = np.isfinite(steps.proposal) & ~(before & ~(np.isfinite(steps.dose) & (steps.dose >= 0))).any(1)
    for column in steps.covariates.values():
        readable &= np.isfinite(column).all(1)
    broken = {"off the grid": ~np.isin(dose, grid), "not the safe default": ~readable & (dose != lowest)}
    # Never above what was asked, but for half a step of the grid on the way to the nearest amount.
    gap = np.diff(grid).max() / 2
    broken["above the proposal"] = above & (dose > steps.proposal * (1 + TOLERANCE) + gap)
    held = np.full(dose.shape, np.inf)
    for name, cap in caps(scenario, steps).items():
        broken[name] = above & ~(dose <= cap * (1 + TOLERANCE))
        held = np.fmin(held, np.where(np.isnan(cap), lowest, cap))
    limit = steps.limits["level"]
    beyond = ~(level >= limit * (1 - 1e-3)) if scenario.shield.lowers else ~(level <= limit * (1 + 1e-3))
    broken["level"] = above & beyond
    # And no stricter than it must be, where no level is limited.
    free = readable & np.isinf(limit) & (np.abs(steps.proposal) < 1e30)
    nearest = grid[np.abs(grid[None] - steps.proposal[free, None]).argmin(1)]
    most = np.minimum(nearest, np.maximum(held[free], lowest) * (1 - TOLERANCE))
    highest = grid[np.maximum(np.searchsorted(grid, most, side="right") - 1, 0)]
    broken["stricter than the caps"] = np.zeros(dose.shape, bool)
    broken["stricter than the caps"][np.flatnonzero(free)] = dose[free] < highest
    found, times = np.unique(reason, return_counts=True)
    return (
        {name: int(rows.sum()) for name, rows in broken.items()},
        {REASONS[n]: int(t) for n, t in zip(found, times, strict=True)},
    )
