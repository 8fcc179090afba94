"""What a plan of doses leads to in support patients: levels, areas, deviations from the goal."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rl_drug_dosage.clinic.areas import added, last_day, since_start
from rl_drug_dosage.clinic.ensemble.carry import disturbance_of, persistence
from rl_drug_dosage.clinic.ensemble.linear import Interval, interval_of, is_linear, knots_of, share_of
from rl_drug_dosage.clinic.ensemble.meshes import FORESEEN
from rl_drug_dosage.clinic.ensemble.play import Given, interval_mg, outputs_at, played
from rl_drug_dosage.clinic.ensemble.support import Assumed, parameters_of
from rl_drug_dosage.clinic.judge import Verdict, deviations, harmed, judge, window_metrics
from rl_drug_dosage.clinic.planner import MOVES, planned, steps_ahead
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.pkpd import DrugModel

__all__ = ["Ahead", "Members", "foreseen", "with_forecast"]


_FAR = 5.0
"""Deviation that stands for one that is not a number."""


class Members(NamedTuple):
    """Support patients at a decision, with what chance holds for them in the intervals ahead."""

    latent: Float[Array, "latent member"]
    contents: Float[Array, "n member"]
    areas: Float[Array, "*kept member"]
    missing: Float[Array, " member"]
    own: Interval | None
    kappa: Float[Array, "ahead kappa member"]
    eaten: Float[Array, "ahead member"]


class Ahead(NamedTuple):
    """The intervals ahead under one plan."""

    deviations: Float[Array, "ahead deviation member"]
    """See `clinic.judge.deviations`; 0 where an interval does not count."""
    verdict: Verdict
    """Of each interval, ``[ahead, member]``."""
    harms: Float[Array, "ahead harm member"]
    counts: Float[Array, " ahead"]
    """1 where an interval counts."""
    values: Float[Array, "ahead row member"]
    """The monitored output."""


def with_forecast(scenario: Scenario, record: Record) -> Record:
    """The record with covariates of the intervals ahead as their drift lets expect them.

    x = end + (x_k - end) exp(-t / tau), for t after the decision; a drift without an end stays where it is.
    """
    if not scenario.drifts:
        return record
    ahead = jnp.arange(scenario.records) - record.k
    covariates = dict(record.covariates)
    for drift in scenario.drifts:
        if drift.end is not None:
            column = covariates[drift.name]
            gone = jnp.exp(-jnp.maximum(ahead, 0) * scenario.schedule.interval_h / drift.tau_h)
            covariates[drift.name] = jnp.where(ahead > 0, drift.end + (column[record.k] - drift.end) * gone, column)
    found: Record = eqx.tree_at(lambda r: r.covariates, record, covariates)
    return found


class _Course(NamedTuple):
    at_rows: Float[Array, "ahead row n member"]
    area: Float[Array, "ahead member"]


def foreseen(
    assumed: Assumed,
    model: DrugModel,
    scenario: Scenario,
    members: Members,
    record: Record,
    choice: Int[Array, ""] | None = None,
    *,
    copies: int = 1,
) -> Callable[[Array], Ahead]:
    """From a plan (`planner.MOVES` doses) to what it leads to.

    In a linear model contents and areas are affine in the doses: the intervals are played once without a dose and once
    for every move, and plans only combine these.

    Args:
        assumed: what is assumed.
        model: that the support patients follow.
        scenario: the task.
        members: the support patients.
        record: the record at the decision, see `with_forecast`.
        choice: the dosing interval, if it can be chosen; None: the first.
        copies: of all support patients, one after the other, for models without a closed form. Then plans may be
            ``[move, copy of a member]``.
    """
    course = _affine if is_linear(model, scenario) else _stepwise
    p = _parameters(model, scenario, members, record)
    if copies > 1:
        members, p = jax.tree.map(lambda v: jnp.tile(v, (*[1] * (v.ndim - 1), copies)), (members, p))
    run = course(model, scenario, members, record, p, choice)

    def look(plan: Float[Array, " move"]) -> Ahead:
        return _judged(assumed, model, scenario, members, record, run(plan), p)

    return look


def _interval(scenario: Scenario, record: Record, ahead: Array) -> Int[Array, ""]:
    return jnp.minimum(record.k + ahead, scenario.schedule.decisions - 1)


def _parameters(model: DrugModel, scenario: Scenario, members: Members, record: Record) -> dict[str, Array]:
    """Of every interval ahead, ``[ahead, segment, member]``."""

    def one(ahead: Array, kappa: Array) -> dict[str, Array]:
        return parameters_of(model, scenario, record, members.latent, kappa, _interval(scenario, record, ahead))

    return jax.vmap(one)(jnp.arange(steps_ahead(scenario)), members.kappa)


def _stepwise(
    model: DrugModel,
    scenario: Scenario,
    members: Members,
    record: Record,
    p: dict[str, Array],
    choice: Array | None,
) -> Callable[[Array], _Course]:
    def run(plan: Array) -> _Course:
        def step(x: Array, each: tuple[Array, Array, dict[str, Array]]) -> tuple[Array, _Course]:
            ahead, eaten, own = each
            j = _interval(scenario, record, ahead)

            def mg_of(amount: Array) -> Array:
                return interval_mg(scenario, record, planned(scenario, amount, ahead, choice), j)

            amounts = plan[jnp.minimum(ahead, MOVES - 1)]
            mg = jax.vmap(mg_of, out_axes=-1)(amounts) if amounts.ndim else mg_of(amounts)
            given = Given(mg, 1.0 - members.missing, record.intake_mg[j] * eaten)
            out = played(model, scenario, None, own, x, given, j, FORESEEN)
            return out.end, _Course(out.at_rows, out.area)

        each = (jnp.arange(steps_ahead(scenario)), members.eaten, p)
        found: _Course = jax.lax.scan(step, members.contents, each)[1]
        return found

    return run


def _affine(
    model: DrugModel,
    scenario: Scenario,
    members: Members,
    record: Record,
    p: dict[str, Array],
    choice: Array | None,
) -> Callable[[Array], _Course]:
    knots, count, n = len(knots_of(scenario)), members.missing.size, members.contents.shape[0]
    columns = MOVES * knots
    taken = 1.0 - members.missing

    def unit(ahead: Array) -> Float[Array, "column at knot"]:
        """1 unit of the dosage in each move, as if infused over each knot's duration."""
        j = _interval(scenario, record, ahead)
        mg = interval_mg(scenario, record, planned(scenario, jnp.ones(()), ahead, choice), j)
        now = (jnp.arange(MOVES) == jnp.minimum(ahead, MOVES - 1)).astype(float)
        return jnp.einsum("m,a,qk->mqak", now, mg, jnp.eye(knots)).reshape(columns, mg.size, knots)

    def step(
        x: Float[Array, "column n member"], each: tuple[Array, dict[str, Array]]
    ) -> tuple[Array, tuple[Array, Array]]:
        ahead, now = each
        own = members.own
        if own is None:
            own = interval_of(model, scenario, {name: value[0] for name, value in now.items()})
        each_move = unit(ahead)
        mg = jnp.concatenate([jnp.zeros_like(each_move[:1]), each_move])
        at_rows, area = jax.vmap(own)(x, mg[..., None] * taken)
        return at_rows[:, -1], (at_rows, area)

    start = jnp.concatenate([members.contents[None], jnp.zeros((columns, n, count))])
    at_rows, area = jax.lax.scan(step, start, (jnp.arange(steps_ahead(scenario)), p))[1]

    def run(plan: Array) -> _Course:
        # A dose's share among the knots depends on its size only, which is the same at all of its times.
        j = _interval(scenario, record, jnp.zeros((), jnp.int32))
        amounts = jax.vmap(lambda d: interval_mg(scenario, record, planned(scenario, d, jnp.zeros((), int), choice), j))
        shares = share_of(scenario, jnp.max(amounts(plan), axis=1))
        weights = (plan[:, None] * shares).ravel()
        return _Course(
            sum((at_rows[:, 1 + i] * weights[i] for i in range(columns)), at_rows[:, 0]),
            sum((area[:, 1 + i] * weights[i] for i in range(columns)), area[:, 0]),
        )

    return run


def _judged(
    assumed: Assumed,
    model: DrugModel,
    scenario: Scenario,
    members: Members,
    record: Record,
    course: _Course,
    p: dict[str, Float[Array, "ahead segment member"]],
) -> Ahead:
    """The goal's view of a course."""
    low, high, aim = (jnp.asarray(e) for e in scenario.edges())
    judged, steps = jnp.asarray(scenario.judged()), scenario.schedule.decisions
    at = model.output_index(scenario.monitoring.output)
    disturbance = disturbance_of(model, scenario, members.latent)

    def step(areas: Array, each: tuple[Array, _Course, dict[str, Array]]) -> tuple[Array, Ahead]:
        ahead, own, now = each
        j = _interval(scenario, record, ahead)
        values, area = outputs_at(model, scenario, now, own.at_rows, disturbance, j), own.area
        if assumed.offset_sd > 0:
            ratio = jnp.exp(members.latent[-1] * persistence(scenario) ** ahead)
            values, area = values.at[:, at].multiply(ratio), area * ratio
        counts = judged[j] & (record.k + ahead < steps)

        def one(areas: Array, area: Array, values: Array) -> tuple[Array, Array, Verdict, Array]:
            later = added(areas, area)
            day, total = last_day(areas, area), since_start(later)
            metrics = window_metrics(model, scenario, values, day, total)
            d = deviations(scenario, metrics, low[j], high[j], aim[j])
            t_h = j * scenario.schedule.interval_h
            harms = harmed(model, scenario, values, day, total, t_h)
            found = judge(metrics, low[j], high[j])
            # Equations that fall faster than their steps meet no goal.
            fine = jnp.all(jnp.isfinite(d))
            found = found._replace(inside=jnp.where(fine, found.inside, 0.0))
            return later, jnp.where(counts, jnp.where(fine, d, _FAR), 0.0), found, harms

        later, d, found, harms = jax.vmap(one, in_axes=-1, out_axes=-1)(areas, area, values)
        return later, Ahead(d, found, harms, counts.astype(float), values[:, at])

    found: Ahead = jax.lax.scan(step, members.areas, (jnp.arange(steps_ahead(scenario)), course, p))[1]
    return found
