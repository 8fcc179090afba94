"""Compare policies on the same records: one doses the patients, and the doses of the others are computed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from rl_drug_dosage.clinic.patient import admit, chart
from rl_drug_dosage.clinic.policy import Policy
from rl_drug_dosage.clinic.record import Record, Truth, record_axes, result_times
from rl_drug_dosage.clinic.rollout import Witness, dispense, rollout
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.timetable import Answer, amount_of
from rl_drug_dosage.explain.exchanged import exchanged, inputs
from rl_drug_dosage.explain.told import heard_by
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.trials.trial import Cohort
from rl_drug_dosage.utils.kept_programs import program
from rl_drug_dosage.utils.on_devices import on_devices
from rl_drug_dosage.utils.seeding import key_for

__all__ = [
    "AT_START",
    "LAST_DOSE",
    "LEVEL",
    "Probe",
    "Variable",
    "ask",
    "fresh_results",
    "partial",
    "seen_of",
    "variables",
]

LEVEL, BEFORE, LAST_DOSE, AT_START = "level", "level_before", "last_dose", "baseline"
_CIRCLE = 250
"""Patients in one compiled call. They exchange inputs among themselves: a number of the method, the same on every
device."""


@dataclass(frozen=True)
class Variable:
    """A variable of the record that a table may use.

    Args:
        name: name in files.
        label: name in figures and text.
        unit: unit; ``"1"`` if there is none.
        covariate: whether it is known before the first dose.
    """

    name: str
    label: str
    unit: str
    covariate: bool = False

    @property
    def axis(self) -> str:
        """The label with its unit."""
        return self.label if self.unit in {"1", "0/1", ""} else f"{self.label} ({self.unit})"


def _plain(meaning: str) -> str:
    """A description without the remarks in brackets."""
    return meaning.partition(";")[0].partition(":")[0].partition(" (")[0].strip()


def variables(scenario: Scenario, model: DrugModel) -> tuple[Variable, ...]:
    """The variables that `seen_of` reads from a record, in order: levels, the last dose, covariates.

    Args:
        scenario: the task.
        model: drug model, for the unit of its monitored output.
    """
    monitoring = scenario.monitoring
    output = model.outputs[model.output_index(monitoring.output)]
    name, unit, guide = _plain(output.meaning) or output.name, output.unit, monitoring.at_h[monitoring.guide]
    at = f" {guide:g} h after the decision" if len(monitoring.at_h) > 1 else ""
    found = [Variable(LEVEL, f"latest {name}{at}", unit), Variable(BEFORE, f"{name} before the latest{at}", unit)]
    found += [Variable(f"level_{t:g}h", f"latest {name} {t:g} h after the decision", unit) for t in _others(scenario)]
    found.append(Variable(LAST_DOSE, "last dose above 0", scenario.dosage.unit))
    if monitoring.baseline:
        found.append(Variable(AT_START, f"{name} before the first dose", unit, covariate=True))
    found += [Variable(c.name, _plain(c.meaning) or c.name, c.unit, covariate=True) for c in scenario.covariates]
    return tuple(found)


def _others(scenario: Scenario) -> list[float]:
    """Sampling times other than the guiding one."""
    guide = scenario.monitoring.at_h[scenario.monitoring.guide]
    return [t for t in scenario.monitoring.at_h if t != guide]


def seen_of(scenario: Scenario, record: Record) -> Float[Array, " variable"]:
    """The values of `variables` in a record; NaN if there is none."""
    monitoring = scenario.monitoring
    guide = monitoring.guide % len(monitoring.at_h)
    index = jnp.arange(scenario.schedule.decisions)

    def latest(column: int, earlier_than: Any = None) -> tuple[Array, Array]:
        known = record.known[:, column]
        if earlier_than is not None:
            known = known & (index < earlier_than)
        at = jnp.max(jnp.where(known, index, -1))
        return jnp.where(at >= 0, record.level[jnp.maximum(at, 0), column], jnp.nan), at

    level, at = latest(guide)
    parts = [level, latest(guide, at)[0]]
    parts += [latest(monitoring.at_h.index(t))[0] for t in _others(scenario)]
    given = jnp.max(jnp.where((record.dose > 0) & (index < record.k), index, -1))
    parts.append(jnp.where(given >= 0, record.dose[jnp.maximum(given, 0)], scenario.dosage.usual))
    if monitoring.baseline:
        parts.append(record.baseline)
    facts = record.facts()
    parts += [facts[c.name] for c in scenario.covariates]
    return jnp.stack([jnp.asarray(p, jnp.float32) for p in parts])


@dataclass(frozen=True)
class Probe:
    """Records and the doses of all policies, one row per patient.

    Args:
        seen: variables of the record, see `variables`.
        doses: dose of every policy, the driving one first, in the dosage's unit.
        alive: whether the patient had not dropped out before the decision.
        swapped: dose of the driving policy when an input, see `inputs`, is taken from another patient at the same
            decision; no columns if this was not requested.
        told: what the driving policy's belief says, see `explain.told`; no columns if this was not requested.
    """

    seen: Float[np.ndarray, "patient decision variable"]
    doses: Float[np.ndarray, "patient decision policy"]
    alive: Bool[np.ndarray, "patient decision"]
    swapped: Float[np.ndarray, "patient decision input"]
    told: Float[np.ndarray, "patient decision told"]


def _given(scenario: Scenario, record: Record, proposal: Answer) -> Array:
    """The dose that a trial would give for a proposal."""
    return amount_of(dispense(scenario, None, record, proposal)[0])


def _witness(
    scenario: Scenario, policies: tuple[Policy, ...], stream: Array, numbers: Array, *, swaps: bool, told: bool
) -> Witness:
    """Records the variables, every policy's dose, the driving one's with each input exchanged, and its belief."""
    names = inputs(scenario) if swaps else ()

    def answer(policy: Policy, memory: Any, record: Record) -> tuple[Array, Any]:
        axes = record_axes(record)
        proposal, memory = jax.vmap(lambda m, r: policy.act(m, r, None), in_axes=(0, axes))(memory, record)
        return jax.vmap(lambda r, a: _given(scenario, r, a), in_axes=(axes, 0))(record, proposal), memory

    def begin(record: Record, _: Truth) -> tuple[Any, ...]:
        return tuple(jax.vmap(p.init, in_axes=(record_axes(record),))(record) for p in policies[1:])

    def note(
        memories: tuple[Any, ...], driving: tuple[Any, Any], record: Record, given: Array
    ) -> tuple[Any, tuple[Any, ...]]:
        seen = jax.vmap(lambda r: seen_of(scenario, r), in_axes=(record_axes(record),))(record)
        answers = [answer(p, m, record) for p, m in zip(policies[1:], memories, strict=True)]
        doses = jnp.stack([given, *(amount for amount, _ in answers)], axis=-1)
        swapped = jnp.zeros((numbers.shape[0], 0))
        if names:
            chance = jax.random.fold_in(jax.random.fold_in(stream, numbers[0]), record.k)
            orders = [
                jax.random.permutation(jax.random.fold_in(chance, i), numbers.shape[0]) for i in range(len(names))
            ]
            charts = [exchanged(scenario, record, n, order) for n, order in zip(names, orders, strict=True)]
            stack = jax.tree.map(lambda *leaves: jnp.stack(leaves), *charts)
            swapped = jax.vmap(lambda r: answer(policies[0], driving[0], r)[0], out_axes=1)(stack)
        heard = driving[1].told if told else jnp.zeros((numbers.shape[0], 0))
        return (seen, doses, swapped, heard), tuple(memory for _, memory in answers)

    return Witness(begin, note)


def ask(
    scenario: Scenario,
    model: DrugModel,
    policies: Sequence[Policy],
    cohort: Cohort,
    *,
    swaps: bool = False,
    told: bool = False,
) -> Probe:
    """The first policy treats the cohort; at every decision the doses of all policies are computed.

    Args:
        scenario: the task.
        model: the simulator, from `simulator_of`.
        policies: the driving policy first; none may see the truth.
        cohort: the patients.
        swaps: also query the driving policy with each input taken from another patient.
        told: also record what its belief says; it corrects a Bayesian dose.
    """
    first, *others = policies
    ready = jax.tree.map(jnp.asarray, (heard_by(first) if told else first, *others))
    key = key_for(cohort.seed, cohort.stream)

    def asked(policies: tuple[Policy, ...], stream: Array, numbers: Array) -> tuple[Array, ...]:
        keys = jax.vmap(lambda i: jax.random.fold_in(stream, i))(numbers)
        witness = _witness(scenario, policies, stream, numbers, swaps=swaps, told=told)
        courses = rollout(scenario, model, policies[0], keys, witness=witness)
        seen, doses, swapped, heard = courses.notes
        return seen, doses, courses.alive, swapped, heard

    run = program(asked, ready, key, jnp.arange(_CIRCLE))
    starts = range(cohort.first // _CIRCLE * _CIRCLE, cohort.first + cohort.count, _CIRCLE)
    parts = on_devices(lambda start: jax.device_get(run(ready, key, start + jnp.arange(_CIRCLE))), starts)
    for policy in policies:
        policy.check()
    own = slice(cohort.first - starts[0], cohort.first - starts[0] + cohort.count)
    return Probe(*(np.concatenate([np.moveaxis(part[i], 0, 1) for part in parts])[own] for i in range(5)))


def partial(
    scenario: Scenario,
    model: DrugModel,
    policies: Sequence[Policy],
    cohort: Cohort,
    values: dict[str, Float[np.ndarray, " point"]],
) -> dict[str, Float[np.ndarray, "point patient policy"]]:
    """First doses when one covariate is set to the same value in all patients, for each of several values.

    The other covariates keep the patients' own values, so this is the effect of the one covariate (partial
    dependence, Friedman 2001).

    Args:
        scenario: the task.
        model: the simulator.
        policies: see `ask`.
        cohort: the patients, at most 250.
        values: values of each covariate; ``baseline`` is the level before the first dose.
    """
    numbers = cohort.first + jnp.arange(min(cohort.count, _CIRCLE))
    ready = jax.tree.map(jnp.asarray, tuple(policies))
    names = list(values)
    zero = jnp.zeros((), jnp.int32)

    def changed(record: Record, which: Array, value: Array) -> Record:
        for i, name in enumerate(names):
            old = record.baseline if name == AT_START else record.covariates[name]
            new = jnp.where(which == i, value, old)
            if name == AT_START:
                record = eqx.tree_at(lambda r: r.baseline, record, new)
            else:
                record = eqx.tree_at(lambda r: r.covariates, record, record.covariates | {name: new})
        return record

    def asked(policies: tuple[Policy, ...], stream: Array, which: Array, value: Array) -> Array:
        def one(number: Array, i: Array, v: Array) -> Array:
            course = admit(scenario, model, jax.random.fold_in(stream, number))
            record = changed(eqx.tree_at(lambda r: r.k, chart(scenario, course, zero), zero), i, v)
            doses = [_given(scenario, record, p.act(p.init(record), record, None)[0]) for p in policies]
            return jnp.stack(doses)

        def case(pair: tuple[Array, Array]) -> Array:
            return jax.vmap(lambda n: one(n, *pair))(numbers)

        return jax.lax.map(case, (which, value))

    if not names:
        return {}
    which = np.concatenate([np.full(len(v), i) for i, v in enumerate(values.values())])
    flat = np.concatenate(list(values.values())).astype(np.float32)
    args = (ready, key_for(cohort.seed, cohort.stream), jnp.asarray(which), jnp.asarray(flat))
    doses = np.asarray(program(asked, *args)(*args))
    for policy in policies:
        policy.check()
    return {name: doses[which == i] for i, name in enumerate(names)}


def fresh_results(scenario: Scenario) -> Bool[np.ndarray, " decision"]:
    """Whether a guiding level may have become available since the last decision."""
    times = result_times(scenario)[:, scenario.monitoring.guide]
    now = np.arange(scenario.schedule.decisions) * scenario.schedule.interval_h + 1e-4
    back = (times[None] <= now[:, None]).sum(1)
    return np.diff(back, prepend=0) > 0
