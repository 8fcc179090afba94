"""Inputs of level-guided rules: the latest level, the aim, and a typical patient's level at a given dose."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rl_drug_dosage.clinic.areas import added, last_day, no_area, since_start
from rl_drug_dosage.clinic.belief import Player
from rl_drug_dosage.clinic.judge import window_metrics
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.pkpd import DrugModel

__all__ = ["Reference", "aim_now", "latest_level", "reference"]


def aim_now(scenario: Scenario, k: Array) -> Float[Array, ""]:
    """The first window's aim in interval ``k``, as a multiple of its last one."""
    aim = scenario.edges()[2][:, 0]
    return jnp.asarray(aim / aim[-1])[k]


def latest_level(
    scenario: Scenario, known: Float[Array, "decision sample"], level: Float[Array, "decision sample"]
) -> tuple[Array, Array, Array]:
    """Latest guiding sample: whether one is known, its value, and its interval (-1: none)."""
    guide = scenario.monitoring.guide
    column = known[:, guide]
    at = jnp.max(jnp.where(column, jnp.arange(column.shape[0]), -1))
    return at >= 0, level[jnp.maximum(at, 0), guide], at


@dataclass(frozen=True)
class Reference:
    """The level of a typical patient on target, for rules guided by a level.

    Args:
        level: value of the guiding sample at which the goal is met, late in treatment.
        before: value of that sample without drug.
        amount: the constant dose that reaches it.
        direction: +1 if more drug raises the level, -1 if it lowers it.
    """

    level: float
    before: float
    amount: float
    direction: float


def reference(model: DrugModel, scenario: Scenario) -> Reference:
    """Search the grid for the constant dose whose first window's metric is closest to its aim at the end."""
    typical = {c.name: jnp.full((scenario.records,), float(c.typical)) for c in scenario.covariates}
    player_at = model.output_index(scenario.monitoring.output)
    _, _, aim = scenario.edges()
    window = scenario.goal.targets[0]
    slot = scenario.schedule.output_times_h.index(scenario.monitoring.at_h[scenario.monitoring.guide])
    steps = scenario.schedule.decisions

    @jax.jit
    def late(amount: Array) -> tuple[Array, Array, Array]:
        player = Player(model, scenario, typical, jnp.zeros(len(model.etas)), None, area=True)
        first = player.initial()

        def step(carry: tuple[Array, Array], j: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
            x, area = carry
            out, values = player.interval(x, amount, j, jnp.zeros(()))
            areas = added(area, out.area)
            day, total = last_day(area, out.area), since_start(areas)
            metric = window_metrics(model, scenario, values, day, total)[0].mean()
            return (out.contents, areas), (metric, values[slot, player_at])

        (_, _), (metric, level) = jax.lax.scan(step, (first, no_area(scenario)), jnp.arange(steps))
        return metric[-1], level[-1], level[0]

    grid = scenario.dosage.grid()
    metric, level, _ = (np.asarray(v) for v in jax.jit(jax.vmap(late))(jnp.asarray(grid)))
    wanted = float(aim[-1, 0])
    gap = np.abs(np.log(np.maximum(metric, 1e-9) / wanted)) if window.log else np.abs(metric - wanted)
    best = int(np.nanargmin(gap))
    _, none, _ = (float(v) for v in late(jnp.zeros(())))
    # The largest amounts at every decision may exceed the valid range of a model.
    finite = level[np.isfinite(level)]
    return Reference(float(level[best]), none, float(grid[best]), float(np.sign(finite[-1] - finite[0])) or 1.0)
