"""Simulates one virtual patient from admission to the end, decision by decision.

A patient depends only on its key, and the random events of interval k only on the key and k. Two policies that treat
the same patient therefore see the same adherence, lateness and assay errors.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from rl_drug_dosage.clinic.areas import added, last_day, no_area, since_start
from rl_drug_dosage.clinic.interval import administered, disturbance_at, interval_parameters, outputs_at_times, play
from rl_drug_dosage.clinic.judge import Verdict, harmed, judge, needs_area, window_metrics
from rl_drug_dosage.clinic.record import Record, Truth, empty_record, facts_at, result_times
from rl_drug_dosage.clinic.scenario import Judged, Scenario
from rl_drug_dosage.clinic.scenario_faults import reward_fault
from rl_drug_dosage.clinic.timetable import Answer, amount_of, choice_of, timetable
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import DrugModel, draw_patient
from rl_drug_dosage.pkpd.residual import variance, with_error

__all__ = ["Turn", "VirtualPatient", "admit", "chart", "treat", "written"]


class VirtualPatient(eqx.Module):
    """A patient between two decisions."""

    key: PRNGKeyArray
    truth: Truth
    contents: Float[Array, " n"]
    area: Float[Array, "*kept"]
    """AUC since the start, and of the last intervals where needed, mg h/L; see `clinic.areas`."""
    start: Float[Array, " output"]
    """Outputs before the first dose."""
    missing: Float[Array, ""]
    """Fraction of doses that this patient misses."""
    error: Float[Array, ""]
    """Multiplier of this patient's assay error."""
    record: Record
    """Includes results that are still pending in the laboratory; a policy sees `chart` instead."""
    breaches: Int[Array, ""]
    """Number of consecutive intervals that ended beyond the drop-out limit."""
    alive: Bool[Array, ""]
    """Whether the patient has not dropped out."""


class Turn(NamedTuple):
    """The result of an interval, for evaluation."""

    values: Float[Array, " grid"]
    """The monitored output, disturbance included."""
    metrics: Float[Array, " window"]
    """The metric of each window, averaged over its points."""
    verdict: Verdict
    harms: Float[Array, " harm"]
    reward: Float[Array, ""]
    taken: Float[Array, ""]
    """1 if the dose was taken."""
    level: Float[Array, " sample"]
    drawn: Bool[Array, " sample"]


def _draw_covariates(scenario: Scenario, key: PRNGKeyArray) -> dict[str, Array]:
    """One patient's covariates per row, including their drift."""
    for_start, for_walk = jax.random.split(key)
    drawn: dict[str, Array] = {}
    for covariate, own in zip(scenario.covariates, jax.random.split(for_start, len(scenario.covariates)), strict=True):
        drawn[covariate.name] = covariate.distribution.sample(own, drawn, covariate.low, covariate.high)
    rows = scenario.records
    table = {name: jnp.full(rows, value) for name, value in drawn.items()}
    at_h = jnp.arange(rows) * scenario.schedule.interval_h
    ranges = {c.name: (c.low, c.high) for c in scenario.covariates}
    for drift, own in zip(scenario.drifts, jax.random.split(for_walk, max(len(scenario.drifts), 1)), strict=False):
        first = drawn[drift.name]
        end = first if drift.end is None else drift.end
        steps = drift.walk_sd * jax.random.normal(own, (rows,)).at[0].set(0.0)
        path = (end + (first - end) * jnp.exp(-at_h / drift.tau_h)) * jnp.exp(jnp.cumsum(steps))
        table[drift.name] = jnp.clip(path, *ranges[drift.name])
    return table


def _beta(scenario: Scenario, key: PRNGKeyArray) -> Array:
    """A patient's fraction of missed doses."""
    mean, sd = scenario.adherence.missed_mean, scenario.adherence.missed_sd
    if mean == 0:
        return jnp.zeros(())
    size = mean * (1.0 - mean) / sd**2 - 1.0
    return jax.random.beta(key, mean * size, (1.0 - mean) * size)


def _taken(scenario: Scenario, key: PRNGKeyArray, missing: Array) -> Array:
    """Which doses a patient takes, ``[decision]``."""
    steps = jnp.arange(scenario.schedule.decisions)
    if scenario.adherence.missed_mean == 0:
        return jnp.ones(steps.shape)
    return (jax.vmap(lambda k: jax.random.uniform(_keys_of(key, k)[0]))(steps) >= missing).astype(float)


def _keys_of(key: PRNGKeyArray, k: Array) -> PRNGKeyArray:
    """The keys of interval ``k``: dose taken, lateness, assay error, samples missed."""
    return jax.random.split(jax.random.fold_in(key, k + 1), 4)


def _intakes(scenario: Scenario) -> np.ndarray:
    """Mean intake of each interval, mg."""
    means = np.zeros(scenario.schedule.decisions, np.float32)
    if scenario.intake is not None:
        for at, amount in scenario.intake.schedule:
            means[at :: scenario.intake.period] = amount
    return means


def admit(scenario: Scenario, model: DrugModel, key: PRNGKeyArray) -> VirtualPatient:
    """Draw a new patient.

    Args:
        scenario: the task.
        model: from `simulator_of`.
        key: random key that identifies the patient.
    """
    keys = jax.random.split(jax.random.fold_in(key, 0), 7)
    steps = scenario.schedule.decisions
    table = _draw_covariates(scenario, keys[0])
    drawn = draw_patient(model, keys[1], occasions=steps)
    zero = jnp.zeros((), jnp.int32)
    facts = facts_at(table, zero)
    kappa = drawn.kappa if model.occasion_etas else jnp.zeros((steps, 0))
    p = interval_parameters(model, scenario, facts, drawn.eta, kappa[0], jnp.zeros(()))
    first = model.structure.initial({name: value[0] for name, value in p.items()})
    start = outputs_at_times(
        model, scenario, p, jnp.broadcast_to(first, (len(scenario.schedule.output_times_h), first.size))
    )[0]
    error = jnp.asarray(scenario.monitoring.error_scale, dtype=float)
    if scenario.monitoring.error_spread > 0:
        error = error * jnp.exp(scenario.monitoring.error_spread * jax.random.normal(keys[6]))
    baseline = jnp.zeros(())
    if scenario.monitoring.baseline:
        value = start[model.output_index(scenario.monitoring.output)]
        noise = jax.random.normal(keys[2])
        baseline = jnp.maximum(_measured(scenario, model, value, error, noise), scenario.monitoring.lloq)
    means = jnp.asarray(_intakes(scenario))
    eaten, record = means, empty_record(scenario, _as_known(table, zero), baseline)
    if scenario.intake is not None:
        spread = scenario.intake.cv
        eaten = means * jnp.exp(spread * jax.random.normal(keys[3], (steps,)) - 0.5 * spread**2)
        if scenario.intake.announced:
            record = eqx.tree_at(lambda r: r.intake_mg, record, means)
    disturbance = jnp.ones(())
    if scenario.disturbance is not None:
        disturbance = jnp.exp(scenario.disturbance.sd * jax.random.normal(keys[4]))
    missing = _beta(scenario, keys[5])
    return VirtualPatient(
        key=key,
        truth=Truth(drawn.eta, kappa, table, disturbance, eaten, _taken(scenario, key, missing)),
        contents=first,
        area=no_area(scenario),
        start=start,
        missing=missing,
        error=error,
        record=record,
        breaches=zero,
        alive=jnp.asarray(True),
    )


def _as_known(table: dict[str, Array], k: Array) -> dict[str, Array]:
    """Covariates up to now; future rows repeat the latest value."""
    return {n: c if c.shape[0] == 1 else jnp.where(jnp.arange(c.shape[0]) <= k, c, c[k]) for n, c in table.items()}


def _measured(scenario: Scenario, model: DrugModel, value: Array, scale: Array, noise: Array) -> Array:
    """A level with assay error: that of the monitoring plan, or else the simulator's residual error."""
    residual = scenario.monitoring.error or model.outputs[model.output_index(scenario.monitoring.output)].residual
    assert residual is not None, f"{scenario.title}: monitoring needs an error, its model publishes none"
    shift = scale * jnp.sqrt(variance(residual, value)) * noise
    return with_error(residual, value, shift)


def chart(scenario: Scenario, course: VirtualPatient, k: Int[Array, ""]) -> Record:
    """The record that the clinic sees at decision ``k``: available results and covariates measured so far."""
    now_h = k * scenario.schedule.interval_h
    back = jnp.asarray(result_times(scenario), dtype=float) <= now_h + 1e-4
    record = course.record
    known = record.known & back
    return Record(
        k=k,
        covariates=_as_known(course.truth.covariates, k),
        dose=record.dose,
        level=jnp.where(known, record.level, 0.0),
        known=known,
        below=known & record.below,
        baseline=record.baseline,
        intake_mg=record.intake_mg,
        choice=record.choice,
        due=record.due,
    )


def treat(
    scenario: Scenario,
    model: DrugModel,
    course: VirtualPatient,
    prescription: Answer,
    k: Int[Array, ""],
) -> tuple[VirtualPatient, Turn]:
    """Give a dose and simulate one interval.

    Args:
        scenario: the task.
        model: from `simulator_of`.
        course: the patient at decision ``k``.
        prescription: the dose, in the dosage's unit, with its dosing interval where there is one to choose.
        k: which decision this is.
    """
    schedule, monitoring = scenario.schedule, scenario.monitoring
    samples = len(monitoring.at_h)
    keys = _keys_of(course.key, k)
    taken = course.truth.taken[k]
    late = None
    if scenario.adherence.late_mean_h > 0:
        late = jnp.minimum(
            scenario.adherence.late_mean_h * jax.random.exponential(keys[1]), scenario.adherence.late_max_h
        )
    facts = facts_at(course.truth.covariates, k)
    t_h = k * jnp.asarray(schedule.interval_h, dtype=float)
    p = interval_parameters(model, scenario, facts, course.truth.eta, course.truth.kappa[k], t_h)
    amount = amount_of(prescription)
    mg = administered(scenario, prescription, facts, k) * taken
    out = play(
        model,
        scenario,
        p,
        course.contents,
        mg,
        t_h,
        late_h=late,
        intake_mg=course.truth.intake_mg[k],
        area=needs_area(scenario),
    )
    areas = added(course.area, out.area)
    day, total = last_day(course.area, out.area), since_start(areas)
    values = outputs_at_times(model, scenario, p, out.at_times)
    at = model.output_index(monitoring.output)
    contents = out.contents
    if scenario.dropout is not None and scenario.dropout.lost is not None:
        there = jnp.all(values[:, model.output_index(scenario.dropout.output)] <= scenario.dropout.lost)
        values, contents = jnp.where(there, values, 0.0), jnp.where(there, contents, course.contents)
    if scenario.disturbance is not None:
        values = values.at[:, at].add(course.truth.disturbance * disturbance_at(scenario, t_h))

    slots = [schedule.output_times_h.index(t) for t in monitoring.at_h]
    noise = jax.random.normal(keys[2], (samples,))
    level = _measured(scenario, model, values[jnp.asarray(slots), at], course.error, noise)
    below = level < monitoring.lloq
    level = jnp.where(below, monitoring.lloq, level)
    drawn = jnp.asarray(scenario.sampled())[k] & (jax.random.uniform(keys[3], (samples,)) >= monitoring.missed)
    record = course.record
    record = eqx.tree_at(
        lambda r: (r.dose, r.level, r.known, r.below),
        record,
        (
            record.dose.at[k].set(amount),
            record.level.at[k].set(level),
            record.known.at[k].set(drawn & course.alive),
            record.below.at[k].set(below),
        ),
    )

    if scenario.dosage.intervals_h:
        record = written(scenario, record, choice_of(prescription), k)
    low, high, aim = (jnp.asarray(e)[k] for e in scenario.edges())
    harms = harmed(model, scenario, values, day, total, t_h)
    metrics = window_metrics(model, scenario, values, day, total)
    last = k == schedule.decisions - 1
    names = [output.name for output in model.outputs]
    judged = Judged(
        values={name: values[:, i] for i, name in enumerate(names)},
        start={name: course.start[i] for i, name in enumerate(names)},
        metrics=metrics,
        low=tuple(low),
        high=tuple(high),
        amount=amount,
        interval=k,
        last=last,
        aim=tuple(aim),
        harms=harms,
    )
    turn = Turn(
        values=values[:, at],
        metrics=jnp.stack([m.mean() for m in metrics]),
        verdict=judge(metrics, low, high),
        harms=harms,
        reward=_reward(scenario, judged),
        taken=taken,
        level=level,
        drawn=drawn,
    )
    high_now, alive = _stays(scenario, model, course, values, amount, k)
    course = eqx.tree_at(
        lambda c: (c.contents, c.area, c.record, c.breaches, c.alive),
        course,
        (contents, areas, record, high_now, alive),
    )
    return course, turn


def _reward(scenario: Scenario, judged: Judged) -> Float[Array, ""]:
    """The scenario's reward, which has to be one number.

    Raises:
        ConfigError: it is something else.
    """
    value = scenario.reward(judged)
    if fault := reward_fault(value):
        raise ConfigError(f"{scenario.title}: {fault.came}; allowed: {fault.allowed}; {fault.remedy}")
    return value


def written(scenario: Scenario, record: Record, choice: Int[Array, ""], k: Int[Array, ""]) -> Record:
    """The record with the dosing interval of a prescription; one that was not due changes nothing."""
    waits = jnp.asarray(timetable(scenario.schedule, scenario.dosage).waits, jnp.int32)
    due = k >= record.due
    before = record.choice[jnp.maximum(k - 1, 0)]
    kept = (record.choice.at[k].set(jnp.where(due, choice, before)), jnp.where(due, k + waits[choice], record.due))
    written: Record = eqx.tree_at(lambda r: (r.choice, r.due), record, kept)
    return written


def _stays(
    scenario: Scenario, model: DrugModel, course: VirtualPatient, values: Array, amount: Array, k: Array
) -> tuple[Array, Array]:
    """Consecutive intervals beyond the drop-out limit, and whether the patient stays."""
    rule = scenario.dropout
    if rule is None:
        return course.breaches, course.alive
    if rule.below is not None:
        low = jnp.where(values[-1, model.output_index(rule.output)] < rule.below, course.breaches + 1, 0)
        return low, course.alive & (low < rule.times)
    assert rule.above is not None
    before = jnp.where(k > 0, course.record.dose[jnp.maximum(k - 1, 0)], jnp.inf)
    lowered = amount < before
    high = jnp.where(values[-1, model.output_index(rule.output)] > rule.above, course.breaches + 1, 0)
    leaves = (course.breaches >= rule.times) & ~lowered & (amount > 0)
    return high, course.alive & ~leaves
