"""Finds limit cycles: the doses of a policy whose every level comes back at the aim, whatever it gave.

The levels are those of the typical patient, without error: the aim itself where the goal is about the measured level,
otherwise the levels of the course's last interval under the constant dose that brings the goal's metric to its aim.
"""

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rl_drug_dosage.clinic.events import Adherence
from rl_drug_dosage.clinic.faults import decide
from rl_drug_dosage.clinic.interval import interval_parameters, outputs_at_times
from rl_drug_dosage.clinic.patient import VirtualPatient, admit, chart, treat, written
from rl_drug_dosage.clinic.policy import Policy, Setting
from rl_drug_dosage.clinic.record import facts_at
from rl_drug_dosage.clinic.rollout import dispense
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.timetable import Prescription, amount_of, choice_of
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.trials.burden import course_burden, prescribed, rounding
from rl_drug_dosage.utils.words import metric_words, output_words, unit_words

__all__ = ["MOST_PCT", "HeldCourse", "held_course"]

MOST_PCT = 10.0
"""A larger change of the dose from decision to decision, over the last third of the course, is a cycle or a drift: this
project's choice."""
_AMOUNTS = 33
"""Constant doses tried at once; each round narrows the range to two steps of the round before."""
_ROUNDS = 4
_SHOWN = 6


@dataclass(frozen=True)
class HeldCourse:
    """What a policy prescribes while the level stays at its aim.

    Args:
        doses: prescribed per administration, in the dosage's unit.
        what: the level that is held, in words: "the INR held at 2.5".
        change_pct: mean absolute change over the last third, see `rl_drug_dosage.trials.burden.course_burden`.
        zigzags: changes of direction in the whole course.
        unit: of the doses.
        neighbours: the doses of the last third are two amounts next to each other on the dose grid, between which the
            best dose may lie.
    """

    doses: Float[np.ndarray, " decision"]
    what: str
    change_pct: float
    zigzags: int
    unit: str
    neighbours: bool = False

    @property
    def cycles(self) -> bool:
        """Whether the doses keep changing."""
        return self.change_pct > MOST_PCT

    @property
    def words(self) -> str:
        """The last doses, and how much they change."""
        third = -(-len(self.doses) // 3)
        shown = min(max(third, 2), _SHOWN)
        last = ", ".join(f"{dose:.4g}" for dose in self.doses[-shown:])
        near = ", between two neighbouring amounts of the grid" if self.neighbours else ""
        return (
            f"with {self.what} the doses go {last} {self.unit}: in the last {third} of {len(self.doses)} decisions "
            f"they change by {self.change_pct:.3g} % of their mean from one to the next, with {self.zigzags} zigzags "
            f"in the course{near}"
        )


def held_course(setting: Setting, policy: Policy) -> HeldCourse:
    """The doses of a policy while every level that comes back is at the aim.

    Args:
        setting: the scenario, and the simulator whose typical patient's levels are held.
        policy: as built for the setting.
    """
    scenario = _calm(setting.scenario)
    levels, what = _held_levels(scenario, setting.simulator)
    run = eqx.filter_jit(partial(_course, scenario, setting.simulator))
    answers = run(jax.tree.map(jnp.asarray, policy), jnp.asarray(levels, dtype=float))
    policy.check()
    doses, every_h = (np.asarray(column, float) for column in answers)
    given = prescribed(scenario, np.ones((1, len(doses)), bool), every_h[None])
    found = course_burden(doses[None], given, same=rounding(scenario.dosage))
    change, turns = found["change_last_third_pct"][0], found["zigzags"][0]
    own, grid = doses[given[0]], scenario.dosage.grid()
    third = -(-len(own) // 3)
    places = np.unique(np.abs(own[-third:, None] - grid[None]).argmin(axis=1))
    near = len(places) == 2 and int(np.diff(places)[0]) == 1
    return HeldCourse(own, what, float(change), int(turns), scenario.dosage.unit, near)


def _calm(scenario: Scenario) -> Scenario:
    """The scenario without missed and late doses, missed samples and drop-outs."""
    monitoring = dataclasses.replace(scenario.monitoring, missed=0.0)
    return dataclasses.replace(scenario, adherence=Adherence(), dropout=None, monitoring=monitoring)


def _typical(scenario: Scenario, model: DrugModel) -> VirtualPatient:
    """The typical patient at admission, whose covariates stay as they are."""
    drawn = admit(scenario, model, jax.random.key(0))
    truth = drawn.truth
    table = {c.name: jnp.full(scenario.records, c.typical, dtype=float) for c in scenario.covariates}
    eta, kappa = jnp.zeros_like(truth.eta), jnp.zeros_like(truth.kappa)
    facts = facts_at(table, jnp.zeros((), jnp.int32))
    p = interval_parameters(model, scenario, facts, eta, kappa[0], jnp.zeros(()))
    first = model.structure.initial({name: value[0] for name, value in p.items()})
    grid = len(scenario.schedule.output_times_h)
    start = outputs_at_times(model, scenario, p, jnp.broadcast_to(first, (grid, first.size)))[0]
    baseline = start[model.output_index(scenario.monitoring.output)] if scenario.monitoring.baseline else jnp.zeros(())
    patient: VirtualPatient = eqx.tree_at(
        lambda v: (v.truth.eta, v.truth.kappa, v.truth.covariates, v.truth.disturbance, v.contents, v.start),
        drawn,
        (eta, kappa, table, jnp.ones(()), first, start),
    )
    return eqx.tree_at(lambda v: (v.record.covariates, v.record.baseline), patient, (table, baseline))


def _held_levels(scenario: Scenario, model: DrugModel) -> tuple[Float[np.ndarray, " sample"], str]:
    """The level of every sample of an interval, and what is held, in words."""
    target, monitoring = scenario.goal.targets[0], scenario.monitoring
    aim = float(scenario.edges()[2][-1, 0])
    unit = f" {unit_words(target.unit)}" if unit_words(target.unit) else ""
    measured = target.output == monitoring.output and monitoring.at_h == (scenario.schedule.interval_h,)
    if measured and target.metric in {"trough", "value"}:
        return np.asarray([aim]), f"the {output_words(target.output)} held at {aim:.4g}{unit}"
    found, levels = _constant_dose(scenario, model, aim)
    output = model.outputs[model.output_index(monitoring.output)]
    own = f" {unit_words(output.unit)}" if unit_words(output.unit) else ""
    said = " and ".join(f"{level:.3g}{own} at {t:.4g} h" for level, t in zip(levels, monitoring.at_h, strict=True))
    return levels, f"levels held at {said} ({metric_words(target.metric, target.output)} {found:.4g}{unit})"


def _constant_dose(scenario: Scenario, model: DrugModel, aim: float) -> tuple[float, Float[np.ndarray, " sample"]]:
    """Metric and levels in the last interval under the constant dose that brings the metric nearest to the aim."""
    slots = [scenario.schedule.output_times_h.index(t) for t in scenario.monitoring.at_h]

    def course(amount: Array) -> tuple[Array, Array]:
        answer = Prescription(amount, jnp.zeros((), jnp.int32)) if scenario.dosage.intervals_h else amount

        def step(patient: VirtualPatient, k: Array) -> tuple[VirtualPatient, tuple[Array, Array]]:
            patient, turn = treat(scenario, model, patient, answer, k)
            return patient, (turn.metrics[0], turn.values[jnp.asarray(slots)])

        steps = jnp.arange(scenario.schedule.decisions)
        metric, level = jax.lax.scan(step, _typical(scenario, model), steps)[1]
        return metric[-1], level[-1]

    run = jax.jit(jax.vmap(course))
    low, high = scenario.dosage.amounts[0], scenario.dosage.amounts[-1]
    for _ in range(_ROUNDS):
        amounts = np.linspace(low, high, _AMOUNTS)
        metrics, levels = (np.asarray(v, float) for v in run(jnp.asarray(amounts, dtype=float)))
        best = int(np.nanargmin(np.abs(metrics - aim)))
        low, high = amounts[max(best - 1, 0)], amounts[min(best + 1, _AMOUNTS - 1)]
    return float(metrics[best]), levels[best]


def _course(scenario: Scenario, model: DrugModel, policy: Policy, levels: Array) -> tuple[Array, Array]:
    """Doses and dosing intervals of the policy, ``[decision]`` each; nothing that it gives changes a level."""
    sampled = jnp.asarray(scenario.sampled())
    patient = _typical(scenario, model)
    zero = jnp.zeros((), jnp.int32)
    memory = policy.init(chart(scenario, patient, zero), None)
    below = levels < scenario.monitoring.lloq
    result = jnp.where(below, scenario.monitoring.lloq, levels)

    def step(carry: tuple[VirtualPatient, Any], k: Array) -> tuple[Any, tuple[Array, Array]]:
        patient, memory = carry
        record = chart(scenario, patient, k)
        answer, memory = decide(policy, memory, record, jax.random.fold_in(jax.random.key(0), k))
        given, _ = dispense(scenario, None, record, answer)
        own = patient.record
        own = eqx.tree_at(
            lambda r: (r.dose, r.level, r.known, r.below),
            own,
            (
                own.dose.at[k].set(amount_of(given)),
                own.level.at[k].set(result),
                own.known.at[k].set(sampled[k]),
                own.below.at[k].set(below),
            ),
        )
        every_h = jnp.asarray(scenario.schedule.interval_h, dtype=float)
        if scenario.dosage.intervals_h:
            own = written(scenario, own, choice_of(given), k)
            every_h = jnp.asarray(scenario.dosage.intervals_h, dtype=float)[own.choice[k]]
        return (eqx.tree_at(lambda v: v.record, patient, own), memory), (amount_of(given), every_h)

    doses: tuple[Array, Array] = jax.lax.scan(step, (patient, memory), jnp.arange(scenario.schedule.decisions))[1]
    return doses
