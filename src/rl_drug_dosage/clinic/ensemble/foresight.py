"""What a plan of doses leads to in support patients: levels, areas, deviations from the goal."""

from collections.abc import Callable
from functools import partial, reduce
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rl_drug_dosage.clinic.areas import added, last_day, since_start
from rl_drug_dosage.clinic.ensemble.carry import disturbance_of, persistence
from rl_drug_dosage.clinic.ensemble.knots import knots_of, share_of
from rl_drug_dosage.clinic.ensemble.linear import Interval, interval_of, is_linear
from rl_drug_dosage.clinic.ensemble.meshes import FORESEEN
from rl_drug_dosage.clinic.ensemble.pieces import rows_of
from rl_drug_dosage.clinic.ensemble.play import Given, Played, all_rows, interval_mg, outputs_at, played
from rl_drug_dosage.clinic.ensemble.support import Assumed, parameters_of
from rl_drug_dosage.clinic.interval import varies
from rl_drug_dosage.clinic.judge import Verdict, deviations, harmed, judge, window_metrics
from rl_drug_dosage.clinic.planner import MOVES, planned, steps_ahead
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.pkpd import DrugModel

__all__ = ["Ahead", "Members", "foreseen", "with_forecast"]


_FAR = 5.0
"""Deviation that stands for one that is not a number."""
_FARTHEST = 100.0
"""Largest squared deviation that counts."""


class Members(NamedTuple):
    """Support patients at a decision, with what chance holds for them in the intervals ahead."""

    latent: Float[Array, "latent member"]
    contents: Float[Array, "n member"]
    areas: Float[Array, "*kept member"]
    missing: Float[Array, " member"]
    kappa: Float[Array, "ahead kappa member"]
    eaten: Float[Array, "ahead member"]


class Ahead(NamedTuple):
    """The intervals ahead under one plan."""

    deviations: Float[Array, "ahead deviation member"]
    """See `clinic.judge.deviations`; 0 where an interval does not count."""
    far: Float[Array, "ahead member"]
    """Sum of their squares, each at most 100."""
    verdict: Verdict
    """Of each interval, ``[ahead, member]``."""
    harms: Float[Array, "ahead harm member"]
    counts: Float[Array, " ahead"]
    """1 where an interval counts."""
    values: Float[Array, "ahead row member"]
    """The monitored output, at the places that the goal needs or at all, see `foreseen`."""


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


_AXES: Any = Ahead(-1, -1, Verdict(-1, -1, -1), -1, None, -1)  # type: ignore[arg-type]
type _Step = Callable[[Array, Array, Any], Played]
"""From contents before an interval ahead, its number and what belongs to it, to its outcome."""


def foreseen(
    assumed: Assumed,
    model: DrugModel,
    scenario: Scenario,
    members: Members,
    record: Record,
    choice: Int[Array, ""] | None = None,
    *,
    dense: bool = False,
    of: Callable[[Ahead], Any] = lambda ahead: ahead,
) -> Callable[[Array], Any]:
    """From a plan (`planner.MOVES` doses) to what it leads to.

    Without a closed form, many plans may be followed side by side: ``[move, copy]`` with a column for each support
    patient, as often as there are plans. What they lead to has as many columns.

    In a linear model contents and areas are affine in the doses: how the intervals act is computed once for all plans.

    Args:
        assumed: what is assumed.
        model: that the support patients follow.
        scenario: the task.
        members: the support patients.
        record: the record at the decision, see `with_forecast`.
        choice: the dosing interval, if it can be chosen; None: the first.
        dense: whether `Ahead.values` are wanted at all output times, and not only where the goal needs them.
        of: what of each interval is wanted. An interval's numbers need not be kept for what is summed at once.
    """
    linear = is_linear(model, scenario)
    rows = rows_of(scenario, goal=True) if linear and not dense else all_rows(scenario)
    p = _parameters(model, scenario, members, record)
    # While an infusion lasts, levels bend with a dose whose duration it sets: what is shown is followed exactly.
    bent = dense and scenario.dosage.highest_rate_per_h is not None
    affine = linear and not bent
    course = _affine if affine else _stepwise

    def ready(members: Members, p: dict[str, Array]) -> Callable[[Array], Any]:
        steps, belonging = course(model, scenario, rows, members, record, p, choice)
        judged = _judge_of(assumed, model, scenario, rows, members, record)
        return partial(_followed, scenario, members, steps, belonging, judged, p, of)

    single = ready(members, p)

    def look(plan: Float[Array, " move"] | Float[Array, "move copy"]) -> Any:
        if plan.ndim == 1:
            return single(plan)
        assert not affine
        copies = plan.shape[1] // members.missing.size
        return ready(*jax.tree.map(lambda v: jnp.tile(v, (*[1] * (v.ndim - 1), copies)), (members, p)))(plan)

    return look


def _followed(
    scenario: Scenario,
    members: Members,
    steps: Callable[[Array], _Step],
    belonging: Any,
    judged: Callable[[Array, Array, Played, dict[str, Array]], tuple[Array, Ahead]],
    p: dict[str, Array],
    of: Callable[[Ahead], Any],
    plan: Array,
) -> Any:
    step = steps(plan)

    def one(carry: tuple[Array, Array], each: tuple[Array, Any, Any]) -> tuple[tuple[Array, Array], Any]:
        (x, areas), (ahead, own, its) = carry, each
        out = step(x, ahead, own)
        areas, found = judged(areas, ahead, out, its)
        return (out.end, areas), of(found)

    every = (jnp.arange(steps_ahead(scenario)), belonging, p)
    return jax.lax.scan(one, (members.contents, members.areas), every)[1]


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
    rows: tuple[int, ...],
    members: Members,
    record: Record,
    p: dict[str, Array],
    choice: Array | None,
) -> tuple[Callable[[Array], _Step], Any]:
    def steps(plan: Array) -> _Step:
        def step(x: Array, ahead: Array, own: dict[str, Array]) -> Played:
            j = _interval(scenario, record, ahead)
            given = Given(
                _mg(scenario, record, ahead, plan, choice),
                1.0 - members.missing,
                record.intake_mg[j] * members.eaten[ahead],
            )
            return played(model, scenario, rows, own, x, given, j, FORESEEN)

        return step

    return steps, p


def _mg(
    scenario: Scenario, record: Record, ahead: Array, plan: Array, choice: Array | None
) -> Float[Array, " at"] | Float[Array, "at copy"]:
    """Engine mg in an interval ahead, of a plan or of a plan for each copy."""

    def one(amount: Array) -> Array:
        return interval_mg(
            scenario, record, planned(scenario, amount, ahead, choice), _interval(scenario, record, ahead)
        )

    amounts = plan[jnp.minimum(ahead, MOVES - 1)]
    return jax.vmap(one, out_axes=-1)(amounts) if amounts.ndim else one(amounts)


def _affine(
    model: DrugModel,
    scenario: Scenario,
    rows: tuple[int, ...],
    members: Members,
    record: Record,
    p: dict[str, Array],
    choice: Array | None,
) -> tuple[Callable[[Array], _Step], Any]:
    # Intervals that are all the same are made once.
    alike = not varies(model, scenario)
    own: Interval
    if alike:
        own = interval_of(model, scenario, rows, {name: value[0] for name, value in p.items()})
    else:
        own = jax.vmap(partial(interval_of, model, scenario, rows))(p)
    taken = 1.0 - members.missing

    def steps(plan: Array) -> _Step:
        lasting: Interval | None = None
        if alike and len(knots_of(scenario, rows)) > 1:
            # A dose's duration depends on its size only, which is the same at all of its times.
            amounts = jax.vmap(lambda move: jnp.max(_mg(scenario, record, move, plan, choice)))(jnp.arange(MOVES))
            lasting = jax.vmap(own.lasting)(share_of(scenario, rows, amounts))

        def step(x: Array, ahead: Array, each: Interval | None) -> Played:
            mg = _mg(scenario, record, ahead, plan, choice)
            if lasting is not None:
                now = jax.tree.map(lambda v: v[jnp.minimum(ahead, MOVES - 1)], lasting)
                return Played(*now(x, mg[:, None, None] * taken))
            now = own if each is None else each
            return Played(*now(x, (mg[:, None] * share_of(scenario, rows, mg))[..., None] * taken))

        return step

    return steps, None if alike else own


def _judge_of(
    assumed: Assumed,
    model: DrugModel,
    scenario: Scenario,
    rows: tuple[int, ...],
    members: Members,
    record: Record,
) -> Callable[[Array, Array, Played, dict[str, Array]], tuple[Array, Ahead]]:
    """The goal's view of an interval: areas after it, and `Ahead` without its first axis."""
    low, high, aim = (jnp.asarray(e) for e in scenario.edges())
    judged, steps = jnp.asarray(scenario.judged()), scenario.schedule.decisions
    at = model.output_index(scenario.monitoring.output)
    disturbance = disturbance_of(model, scenario, members.latent)

    def judged_at(areas: Array, ahead: Array, out: Played, p: dict[str, Array]) -> tuple[Array, Ahead]:
        j = _interval(scenario, record, ahead)
        values, area = outputs_at(model, scenario, rows, p, out.at_rows, disturbance, j), out.area
        if assumed.offset_sd > 0:
            ratio = jnp.exp(members.latent[-1] * persistence(scenario) ** ahead)
            values, area = values.at[:, at].multiply(ratio), area * ratio
        counts = judged[j] & (record.k + ahead < steps)

        def one(areas: Array, area: Array, values: Array) -> tuple[Array, Ahead]:
            later = added(areas, area)
            day, total = last_day(areas, area), since_start(later)
            metrics = window_metrics(model, scenario, values, day, total)
            each = deviations(scenario, metrics, low[j], high[j], aim[j])
            harms = harmed(model, scenario, values, day, total, j * scenario.schedule.interval_h)
            found = judge(metrics, low[j], high[j])
            # Equations that fall faster than their steps meet no goal.
            fine = reduce(jnp.logical_and, [jnp.all(jnp.isfinite(d)) for d in each])
            found = found._replace(inside=jnp.where(fine, found.inside, 0.0))
            each = tuple(jnp.where(counts, jnp.where(fine, d, _FAR), 0.0) for d in each)
            far = sum((jnp.sum(jnp.minimum(d * d, _FARTHEST)) for d in each), jnp.zeros(()))
            return later, Ahead(jnp.concatenate(each), far, found, harms, counts.astype(float), values[:, at])

        found: tuple[Array, Ahead] = jax.vmap(one, in_axes=-1, out_axes=(-1, _AXES))(areas, area, values)
        return found

    return judged_at
