"""The best dose sequence for an assumed patient, used by model-informed dosing and the oracle (receding horizon).

A plan has three doses: the first, the second, and one for all later decisions. They minimise the squared deviations
from the goal's aims over the intervals ahead (`clinic.judge.deviations`), by a damped Gauss-Newton method with tangents
through the simulator. The first dose is then put on the grid by comparing its neighbours. Only that dose is given; the
next decision makes a new plan.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rl_drug_dosage.clinic.areas import added, last_day, since_start
from rl_drug_dosage.clinic.belief import Belief, Past, Player, estimate, new_results, occasions_of, past, prior
from rl_drug_dosage.clinic.dose_grid import snap
from rl_drug_dosage.clinic.doubt import cautious
from rl_drug_dosage.clinic.judge import deviations, window_metrics
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.timetable import Answer, Prescription, timetable
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.pkpd.bayes.objective import split_latent
from rl_drug_dosage.pkpd.bayes.small_systems import solve_positive

__all__ = [
    "FACTORS",
    "MOVES",
    "Planned",
    "advise",
    "begin",
    "best_plan",
    "choose",
    "decide",
    "first_plan",
    "outlook",
    "outside",
    "planned",
    "player_of",
    "steps_ahead",
    "update",
]

MOVES = 3
"""Free doses of a plan: the first, the second, and all later ones."""
FACTORS = (0.7, 0.8, 0.85, 0.9, 0.95, 1.05, 1.1, 1.15, 1.2, 1.3)
"""Multiples of a plan that are also compared if the loss differs from the one that the plan minimises."""
_STEPS = 5
_PREFERENCE = 1e-3
"""Preference of a dosing interval over the next one in the list; breaks ties."""
_HOLD = 0.02
"""Weight of staying close to the previous plan: decides when no target within the horizon depends on a dose."""


class Planned(NamedTuple):
    """Memory of Bayesian dosing: the estimate after the last results, and the previous plan."""

    belief: Belief
    plan: Float[Array, " move"]


def _squares(d: Float[Array, " deviation"]) -> Array:
    return d @ d


def begin(model: DrugModel, scenario: Scenario, amount: Array | float) -> Planned:
    """The memory before the first decision: the prior, and a constant-dose plan as the starting point."""
    return Planned(prior(model, scenario), first_plan(scenario, amount))


def player_of(model: DrugModel, scenario: Scenario, record: Record, z: Array) -> Player:
    """A `Player` for the patient with random effects z."""
    occasions = occasions_of(model, scenario)
    eta, kappa = split_latent(model, z, occasions)
    return Player(model, scenario, record.covariates, eta, kappa if occasions else None, area=True)


def update(model: DrugModel, scenario: Scenario, belief: Belief, record: Record) -> Belief:
    """The estimate updated with the results since the last decision; skipped if there are none."""
    fresh = jnp.asarray(new_results(scenario))[record.k]
    return jax.lax.cond(fresh, lambda: estimate(model, scenario, record, belief.z, wanted=fresh), lambda: belief)


def advise(model: DrugModel, scenario: Scenario, memory: Planned, record: Record) -> tuple[Answer, Planned]:
    """The dose of certainty-equivalent Bayesian dosing: MAP estimate, best plan, its first dose on the grid."""
    belief = update(model, scenario, memory.belief, record)
    player = player_of(model, scenario, record, belief.z)
    seen = past(player, record)
    answer, plan = decide(scenario, lambda choice: outlook(player, seen, record, choice), memory.plan, loss=_squares)
    return cautious(scenario, belief, record, answer), Planned(belief, plan)


def decide(
    scenario: Scenario,
    look_of: Callable[[Array | None], Callable[[Array], Array]],
    plan: Float[Array, " move"],
    *,
    loss: Callable[[Any], Array] = _squares,
    factors: tuple[float, ...] = (),
    compared_on: Callable[[Array | None], Callable[[Array], Any]] | None = None,
    compared: Callable[[Array | None], Callable[[Array], Array]] | None = None,
    kept: Float[Array, ""] | None = None,
) -> tuple[Answer, Float[Array, " move"]]:
    """The prescription now, and the plan that it starts.

    If dosing intervals can be chosen, one plan is made for each, and the plan with the lowest loss is used.

    Args:
        scenario: for the grid and the intervals.
        look_of: from a dosing interval (None: the only one) to the `outlook` that plans are made on.
        plan: the previous plan, used as starting point.
        loss: of the deviations of an outlook, or of what ``compared_on`` gives.
        factors: see `choose`.
        compared_on: the outlook that doses are compared on; that of ``look_of`` unless given.
        compared: from a dosing interval to the losses of many plans at once, in place of ``loss`` of an outlook.
        kept: a dose that is also compared, see `choose`.
    """
    if not scenario.dosage.intervals_h:
        plan = best_plan(scenario, look_of(None), plan)
        losses_of = None if compared is None else compared(None)
        return choose(
            scenario, (compared_on or look_of)(None), plan, loss=loss, factors=factors, losses_of=losses_of, kept=kept
        ), plan

    def one(choice: Array) -> tuple[Array, Array, Array]:
        own = best_plan(scenario, look_of(choice), plan)
        look = (compared_on or look_of)(choice)
        losses_of = None if compared is None else compared(choice)
        amount = choose(scenario, look, own, loss=loss, factors=factors, losses_of=losses_of, kept=kept)
        given = own.at[0].set(amount)
        total = loss(look(given)) if losses_of is None else losses_of(given[None])[0]
        return amount, own, jnp.where(jnp.isfinite(total), total, jnp.inf)

    choices = jnp.arange(len(scenario.dosage.intervals_h), dtype=jnp.int32)
    amounts, plans, losses = jax.lax.map(one, choices)
    best = jnp.argmin(losses * (1.0 + _PREFERENCE * choices))
    return Prescription(amounts[best], choices[best]), plans[best]


def outside(d: Float[Array, " deviation"]) -> Array:
    """A smooth count of missed windows, sum d^4 / (1 + d^4), plus a small distance term if all are missed."""
    fourth = d**4
    return jnp.sum(fourth / (1.0 + fourth)) + 0.02 * jnp.sum(jnp.minimum(d * d, 25.0))


def first_plan(scenario: Scenario, amount: Array | float) -> Float[Array, " move"]:
    """A plan with a constant dose."""
    return jnp.broadcast_to(jnp.asarray(amount, dtype=float), (MOVES,))


def steps_ahead(scenario: Scenario) -> int:
    """How many intervals plans look ahead."""
    return min(scenario.look_ahead, scenario.schedule.decisions)


def planned(scenario: Scenario, amount: Array, ahead: Array, choice: Int[Array, ""] | None) -> Answer:
    """What a plan prescribes some intervals ahead: its amount, or nothing while a longer dosing interval runs."""
    if not scenario.dosage.intervals_h:
        return amount
    chosen = jnp.zeros((), jnp.int32) if choice is None else choice
    wait = jnp.asarray(timetable(scenario.schedule, scenario.dosage).waits)[chosen]
    return Prescription(jnp.where(ahead % wait == 0, amount, 0.0), chosen)


def outlook(
    player: Player, seen: Past, record: Record, choice: Int[Array, ""] | None = None
) -> Callable[[Array], Array]:
    """The function from a plan to the deviations of the intervals ahead, 0 for those that do not count.

    Args:
        player: the patient.
        seen: the history.
        record: the record at the decision.
        choice: the dosing interval of the plan, if it can be chosen; None: the first.
    """
    scenario, model = player.scenario, player.model
    low, high, aim = (jnp.asarray(e) for e in scenario.edges())
    judged = jnp.asarray(scenario.judged())
    steps = scenario.schedule.decisions

    def look(plan: Float[Array, " move"]) -> Float[Array, " deviation"]:
        def step(carry: tuple[Array, Array], ahead: Array) -> tuple[tuple[Array, Array], Array]:
            x, area = carry
            j = jnp.minimum(record.k + ahead, steps - 1)
            counts = judged[j] & (record.k + ahead < steps)
            amount = planned(scenario, plan[jnp.minimum(ahead, MOVES - 1)], ahead, choice)
            out, values = player.interval(x, amount, j, record.intake_mg[j])
            areas = added(area, out.area)
            metrics = window_metrics(model, scenario, values, last_day(area, out.area), since_start(areas))
            d = jnp.concatenate(deviations(scenario, metrics, low[j], high[j], aim[j]))
            return (out.contents, areas), jnp.where(counts, d, 0.0)

        start = (seen.contents, seen.area)
        return jax.lax.scan(step, start, jnp.arange(steps_ahead(scenario)))[1].ravel()

    return look


def best_plan(scenario: Scenario, look: Callable[[Array], Array], plan: Float[Array, " move"]) -> Array:
    """Minimise |look(plan)|^2 within the bounds of the dose grid, starting from the previous plan."""
    lowest, highest = scenario.dosage.amounts[0], scenario.dosage.amounts[-1]
    scale = highest - lowest
    start = plan

    def residuals(u: Array) -> Array:
        return jnp.concatenate([look(u * scale), _HOLD * (u - start / scale)])

    def step(i: Array, carry: tuple[Array, ...]) -> tuple[Array, ...]:
        trial, u, cost, gradient, hessian, damping = carry
        r, j = _tangents(residuals, trial)
        new_cost = r @ r
        first, better = i == 0, (i == 0) | (new_cost <= cost)
        u, cost = jnp.where(better, trial, u), jnp.where(better, new_cost, cost)
        gradient, hessian = jnp.where(better, j @ r, gradient), jnp.where(better, j @ j.T, hessian)
        damping = jnp.where(first, damping, damping * jnp.where(better, 0.2, 8.0))
        # Active-set bounds: a dose at its bound whose step points beyond it stays there.
        stuck = ((u <= lowest / scale) & (gradient > 0)) | ((u >= highest / scale) & (gradient < 0))
        free = ~stuck
        masked = jnp.where(free[:, None] & free[None, :], hessian, 0.0)
        matrix = masked + jnp.diag(damping * jnp.diagonal(hessian) + jnp.where(stuck, 1.0, 0.0))
        trial = jnp.clip(u - solve_positive(matrix, jnp.where(stuck, 0.0, gradient)), lowest / scale, highest / scale)
        return trial, u, cost, gradient, hessian, damping

    u = jnp.clip(start / scale, lowest / scale, highest / scale)
    none = jnp.zeros_like(u)
    # The look is in the program once: the first round only values the start.
    carry = (u, u, jnp.zeros(()), none, none[:, None] * none, jnp.asarray(1e-2))
    u = jax.lax.fori_loop(0, _STEPS + 1, step, carry)[1]
    return jnp.where(jnp.all(jnp.isfinite(u)), u * scale, start)


def _tangents(f: Callable[[Array], Array], u: Array) -> tuple[Array, Array]:
    """f(u), and its derivatives, one per row."""
    return jax.vmap(lambda v: jax.jvp(f, (u,), (v,)), out_axes=(None, 0))(jnp.eye(u.shape[0]))


def choose(
    scenario: Scenario,
    look: Callable[[Array], Any],
    plan: Float[Array, " move"],
    *,
    loss: Callable[[Any], Array],
    factors: tuple[float, ...] = (),
    losses_of: Callable[[Array], Array] | None = None,
    kept: Float[Array, ""] | None = None,
) -> Array:
    """The grid dose with the smallest loss among neighbours of the plan's first dose and multiples of it.

    Args:
        scenario: for the grid.
        look: from `outlook`.
        plan: from `best_plan`.
        loss: of the deviations of one outlook.
        factors: multiples of the first dose that are compared as well, the later doses in proportion.
        losses_of: of many plans at once, in place of ``loss`` of ``look``.
        kept: the last dose, where changes have a price: constant doses at it, at that of the plan's late decisions and
            half-way between are compared as well, which a plan without that price need not come near.
    """
    grid = jnp.asarray(scenario.dosage.grid())
    place = jnp.searchsorted(0.5 * (grid[1:] + grid[:-1]), plan[0], side="left")
    near = grid[jnp.clip(place + jnp.arange(-1, 2), 0, grid.shape[0] - 1)]
    plans = jnp.concatenate([near[:, None], jnp.broadcast_to(plan[1:], (3, MOVES - 1))], axis=1)
    if factors:
        scaled = jnp.asarray(factors)[:, None] * plan[None, :]
        scaled = jnp.clip(scaled, grid[0], grid[-1]).at[:, 0].set(snap(scenario, scaled[:, 0]))
        plans = jnp.concatenate([plans, scaled])
    if kept is not None:
        own = snap(scenario, jnp.clip(jnp.stack([kept, plan[-1], 0.5 * (kept + plan[-1])]), grid[0], grid[-1]))
        plans = jnp.concatenate([plans, jnp.broadcast_to(own[:, None], (3, MOVES))])
    scale = grid[-1] - grid[0]

    def hold(candidate: Array) -> Array:
        return jnp.sum((_HOLD * (candidate - plan) / scale) ** 2)

    if losses_of is not None:
        costs = losses_of(plans) + jax.vmap(hold)(plans)
    else:
        costs = jax.vmap(lambda candidate: loss(look(candidate)) + hold(candidate))(plans)
    return plans[jnp.argmin(jnp.where(jnp.isfinite(costs), costs, jnp.inf)), 0]
