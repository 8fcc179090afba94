"""Simulates a cohort under a policy from admission to the end; used by trials, tuning and explanations."""

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from rl_drug_dosage.clinic.dose_grid import on_grid, snap
from rl_drug_dosage.clinic.doubt import abstained, in_doubt
from rl_drug_dosage.clinic.faults import decide
from rl_drug_dosage.clinic.patient import admit, chart, treat
from rl_drug_dosage.clinic.policy import Policy
from rl_drug_dosage.clinic.record import Record, Truth, record_axes
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.shield import REASONS, Shield
from rl_drug_dosage.clinic.timetable import Answer, Prescription, amount_of, choice_of
from rl_drug_dosage.pkpd import DrugModel

__all__ = ["Courses", "Witness", "dispense", "rollout"]

_INVALID, _OFF_GRID = REASONS.index("not a number"), REASONS.index("off the grid")


class Courses(eqx.Module):
    """The courses of a cohort under one policy."""

    covariates: dict[str, Float[Array, " patient"]]
    """At admission."""
    values: Float[Array, "decision patient time"]
    """The monitored output at the output times, disturbance included."""
    measured: Float[Array, "decision patient sample"]
    """The levels drawn in the interval, with their assay error; NaN where none was drawn."""
    baseline: Float[Array, " patient"]
    """The level measured before the first dose; NaN where the clinic has none."""
    metrics: Float[Array, "decision patient target"]
    """The metric of each target of the goal, averaged over the interval's points."""
    dose: Float[Array, "decision patient"]
    """The dose given, in the dosage's unit."""
    proposal: Float[Array, "decision patient"]
    """The dose proposed by the policy."""
    every_h: Float[Array, "decision patient"]
    """The current dosing interval."""
    reason: Int[Array, "decision patient"]
    """Why dose and proposal differ, an index into `clinic.shield.REASONS`; 0 if they are equal."""
    doubtful: Bool[Array, "decision patient"]
    """The policy chose with caution, because its estimate of the patient had not converged."""
    abstained: Bool[Array, "decision patient"]
    """A learnt policy left the dose to the Bayesian dosing that it corrects."""
    inside: Float[Array, "decision patient"]
    """Fraction of the interval's points inside every target; 0 after a patient has dropped out."""
    under: Float[Array, "decision patient"]
    over: Float[Array, "decision patient"]
    harms: Float[Array, "decision patient harm"]
    """Events."""
    reward: Float[Array, "decision patient"]
    alive: Bool[Array, "decision patient"]
    """Whether the patient had not dropped out before the decision."""
    notes: Any
    """What the witness recorded."""


class Witness(eqx.Module):
    """Observes a rollout without changing it, for example other policies on the same records."""

    begin: Callable[[Record, Truth], Any] = eqx.field(static=True)
    """(records, truths) of all patients at admission -> its memory."""
    note: Callable[[Any, tuple[Any, Any], Record, Array], tuple[Any, Any]] = eqx.field(static=True)
    """(its memory, the policy's memory before and after the decision, records at the decision, doses given) -> (what it
    records, its memory)."""


def _none(*_: Any) -> tuple[tuple[()], tuple[()]]:
    return (), ()


_NOBODY = Witness(begin=lambda *_: (), note=_none)


def rollout(
    scenario: Scenario,
    model: DrugModel,
    policy: Policy,
    keys: PRNGKeyArray,
    *,
    shield: Shield | None = None,
    sees_truth: bool = False,
    witness: Witness = _NOBODY,
) -> Courses:
    """Simulate one policy on the patients identified by the keys. Can be traced by JAX.

    Every policy treats the same patients with the same random events. A patient who has dropped out counts as out of
    range until the end.

    Args:
        scenario: the task.
        model: the simulator, from `clinic.simulators.simulator_of`.
        policy: the dosing policy.
        keys: one random key per patient.
        shield: safety shield applied to every proposed dose.
        sees_truth: whether the policy is an oracle.
        witness: observer of the rollout.
    """
    patient = jax.vmap(lambda key: admit(scenario, model, key))(keys)
    zero = jnp.zeros((), jnp.int32)
    first = eqx.tree_at(lambda r: r.k, jax.vmap(lambda p: chart(scenario, p, zero))(patient), zero)
    axes = record_axes(first)

    def init(record: Record, truth: Truth) -> Any:
        return policy.init(record, truth if sees_truth else None)

    memory = jax.vmap(init, in_axes=(axes, 0))(first, patient.truth)
    watched = witness.begin(first, patient.truth)

    def step(carry: tuple[Any, Any, Any], k: Array) -> tuple[Any, Any]:
        patient, memory, watched = carry
        record = eqx.tree_at(lambda r: r.k, jax.vmap(lambda p: chart(scenario, p, k))(patient), k)
        chance = jax.vmap(lambda key: jax.random.fold_in(jax.random.fold_in(key, k + 1), 1))(keys)
        before = memory
        answer, memory = jax.vmap(partial(decide, policy), in_axes=(0, axes, 0))(memory, record, chance)
        given, reason = jax.vmap(lambda r, a: dispense(scenario, shield, r, a), in_axes=(axes, 0))(record, answer)
        notes, watched = witness.note(watched, (before, memory), record, amount_of(given))
        alive = patient.alive
        amount = jnp.where(alive, amount_of(given), scenario.dosage.amounts[0])
        given = given._replace(amount=amount) if isinstance(given, Prescription) else amount
        patient, turn = jax.vmap(lambda p, a: treat(scenario, model, p, a, k))(patient, given)
        seen = {
            "values": turn.values,
            "measured": jnp.where(turn.drawn & alive[:, None], turn.level, jnp.nan),
            "metrics": turn.metrics,
            "dose": amount,
            "proposal": amount_of(answer),
            "every_h": _every_h(scenario, patient.record.choice, k, amount),
            "reason": jnp.where(alive, reason, 0),
            "doubtful": alive & in_doubt(memory),
            "abstained": alive & abstained(memory),
            "inside": jnp.where(patient.alive, turn.verdict.inside, 0.0),
            "under": turn.verdict.under,
            "over": turn.verdict.over,
            "harms": turn.harms,
            "reward": jnp.where(patient.alive, turn.reward, jnp.minimum(turn.reward, -1.0)),
            "alive": alive,
            "notes": notes,
        }
        return (patient, memory, watched), seen

    (patient, _, _), seen = jax.lax.scan(step, (patient, memory, watched), jnp.arange(scenario.schedule.decisions))
    baseline = patient.record.baseline if scenario.monitoring.baseline else jnp.full(len(keys), jnp.nan)
    return Courses({name: c[:, 0] for name, c in patient.truth.covariates.items()}, baseline=baseline, **seen)


def _every_h(scenario: Scenario, choice: Int[Array, "patient decision"], k: Array, like: Array) -> Array:
    intervals_h = scenario.dosage.intervals_h
    if not intervals_h:
        return jnp.full_like(like, scenario.schedule.interval_h / len(scenario.dosage.at_h))
    return jnp.asarray(intervals_h, like.dtype)[choice[:, k]]


def dispense(
    scenario: Scenario, shield: Shield | None, record: Record, proposal: Answer
) -> tuple[Answer, Int[Array, ""]]:
    """The dose given for a proposal, and why it differs: an index into `clinic.shield.REASONS`.

    A proposal off the grid is moved to the nearest amount. Without a shield, a proposal that is not a number is
    replaced by the last dose, or by no dose before the first; a shield gives its safe default. No dose is given within
    a longer dosing interval.
    """
    intervals_h = scenario.dosage.intervals_h
    asked, choice = amount_of(proposal), jnp.clip(choice_of(proposal), 0, max(len(intervals_h) - 1, 0))
    if shield is not None:
        amount, reason = shield(record, Prescription(asked, choice) if intervals_h else asked)
    else:
        amount, reason = _nearest(scenario, record, asked)
    if not intervals_h:
        return amount, reason
    reason = jnp.where((reason == 0) & (choice != choice_of(proposal)), _OFF_GRID, reason)
    due = record.k >= record.due
    return Prescription(jnp.where(due, amount, 0.0), choice), jnp.where(due, reason, 0)


def _nearest(scenario: Scenario, record: Record, asked: Float[Array, ""]) -> tuple[Float[Array, ""], Int[Array, ""]]:
    """The nearest amount on the grid, and why it differs."""
    invalid = ~jnp.isfinite(asked)
    last = jnp.where(record.k > 0, record.dose[jnp.maximum(record.k - 1, 0)], scenario.dosage.amounts[0])
    finite = jnp.where(invalid, last, asked)
    reason = jnp.where(invalid, _INVALID, jnp.where(on_grid(scenario, finite), 0, _OFF_GRID))
    return snap(scenario, finite), reason
