"""The search for the fewest steps of an interval, for `clinic.ensemble.meshes`.

It compares meshes of growing fineness with the simulator's own steps (`clinic.interval.play`) in patients drawn from
the prior, over the first intervals of a course, and takes the first one whose outputs agree. Only the outputs that are
measured or judged count. Where even the finest mesh is far from the simulator, it is the simulator's steps that are not
exact: in such a patient, far out, a mesh may err by as much.
"""

import dataclasses
from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rl_drug_dosage.clinic.ensemble.steps import Entering, Mesh, integrated, mesh_from, phases_of
from rl_drug_dosage.clinic.interval import dose_mg, interval_parameters, outputs_at_times, play
from rl_drug_dosage.clinic.patient import VirtualPatient, admit
from rl_drug_dosage.clinic.record import facts_at
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.timetable import timetable
from rl_drug_dosage.pkpd import DrugModel

__all__ = ["Steps", "found", "graded", "plain"]

_SHARE, _FAR_SHARE = 0.95, 0.97
_MOST, _FARTHER = 10.0, 1.5
"""Times the tolerance: in 97 % of patients whose random effects are 1.5 times as large. A cloud that levels have moved
has members out there, whose steps must not become unstable."""
_PATIENTS, _INTERVALS = 256, 6
_COUNTS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64)
_GRADES = (1.0, 1.5, 2.0, 2.5, 3.0)
"""Steps end at (i / n)^grade of a phase: the larger, the shorter are the first ones."""
_FAR = 1e6
_NEAR_0, _FLOOR = 0.1, 1e-6
"""Shares of the smallest limit of the goal, and of a large value: errors of lower outputs count as if they were that
large."""


Steps = tuple[tuple[int, float], ...]
"""Count and grade of the steps of every phase, see `_GRADES`."""


def plain(scenario: Scenario) -> Scenario:
    """What is measured when does not matter, so that one search serves all variants of a scenario."""
    times = scenario.schedule.output_times_h
    monitoring = dataclasses.replace(scenario.monitoring, at_h=times, guide=-1, intervals=None)
    return dataclasses.replace(scenario, monitoring=monitoring)


def _people(model: DrugModel, scenario: Scenario) -> VirtualPatient:
    """Half of them from the prior; the others as far again out as `_FARTHER`."""
    far = jnp.where(jnp.arange(_PATIENTS) % 2, _FARTHER, 1.0)

    def one(key: Array, far: Array) -> VirtualPatient:
        person = admit(scenario, model, key)
        person = eqx.tree_at(lambda v: v.truth.eta, person, person.truth.eta * far)
        p = _parameters(model, scenario, person, jnp.zeros((), jnp.int32))
        first = model.structure.initial({name: value[0] for name, value in p.items()})
        found: VirtualPatient = eqx.tree_at(lambda v: v.contents, person, first)
        return found

    return jax.vmap(one)(jax.random.split(jax.random.key(0), _PATIENTS), far)


def graded(length_h: float, count: int, grade: float) -> np.ndarray:
    """The ends of steps, see `_GRADES`."""
    return length_h * (np.arange(1, count + 1) / count) ** grade


class _Task(NamedTuple):
    """What meshes are tried on."""

    exact: np.ndarray
    """Outputs with the simulator's own steps."""
    floor: np.ndarray
    tried: Callable[[list[list[np.ndarray]]], np.ndarray]
    """Meshes -> outputs with each of them."""


@lru_cache(maxsize=8)
def _task(model: DrugModel, scenario: Scenario) -> _Task | None:
    """The same for every tolerance; None where doses lag."""
    people = jax.jit(partial(_people, model, scenario))()
    zero = jnp.zeros((), jnp.int32)
    one = jax.eval_shape(
        lambda people: _parameters(model, scenario, jax.tree.map(lambda v: v[0], people), zero), people
    )
    if any(name.startswith("lag_") for name in one):
        return None
    exact = np.asarray(jax.jit(partial(_by_play, model, scenario))(people))
    trial = jax.jit(lambda people, meshes: jax.lax.map(partial(_by_mesh, model, scenario, people), meshes))
    return _Task(exact, _floors(model, scenario), lambda tried: np.asarray(trial(people, _stacked(scenario, tried))))


def found(model: DrugModel, scenario: Scenario, tolerance: float) -> Steps | None:
    """The search: count and grade of the steps of every phase, or None, see `clinic.ensemble.meshes.mesh_of`."""
    scenario = plain(scenario)
    # Also while a program is traced, these are numbers.
    with jax.ensure_compile_time_eval():
        task = _task(model, scenario)
        if task is None:
            return None
        phases = phases_of(scenario)
        lengths = [phase.end_h - phase.start_h for phase in phases]
        options = [(count, grade) for count in _COUNTS for grade in (_GRADES if count > 1 else _GRADES[:1])]
        chosen: list[tuple[int, float]] = [(_COUNTS[-1], 2.0)] * len(phases)
        finest = task.tried([[graded(h, *each) for h, each in zip(lengths, chosen, strict=True)]] * len(options))[0]
        beyond = _each_error(finest, task)
        unsure = np.where(beyond > _MOST * tolerance, beyond, 0.0)
        for at in range(len(phases)):
            tried = [[*chosen[:at], option, *chosen[at + 1 :]] for option in options]
            got = task.tried([[graded(h, *each) for h, each in zip(lengths, own, strict=True)] for own in tried])
            allowed = tolerance * (at + 1) / len(phases)
            best = _shortest(options, np.asarray([_worst(_each_error(one, task) - unsure) for one in got]) / allowed)
            if best is None:
                return None
            chosen[at] = best
        return tuple(chosen)


def _shortest(options: list[tuple[int, float]], worst: np.ndarray) -> tuple[int, float] | None:
    """The most accurate of the shortest that agree."""
    fine = worst <= 1.0
    if not fine.any():
        return None
    counts = np.asarray([count for count, _ in options])
    least = counts[fine].min()
    return options[int(np.argmin(np.where(counts == least, worst, np.inf)))]


def _each_error(got: np.ndarray, task: _Task) -> np.ndarray:
    """The largest relative error of each patient, from outputs ``[output, patient, ...]``."""
    flat, true = (each.reshape(*each.shape[:2], -1) for each in (got, task.exact))
    known = np.isfinite(true)
    scale = np.abs(np.where(known, true, 0.0))
    # Not of the largest of all: equations of a patient far out may have run away.
    large = np.quantile(scale, 0.9, axis=(1, 2), keepdims=True)
    scale = np.maximum(scale, task.floor[:, None, None] + _FLOOR * large)
    error = np.minimum(np.where(known, np.abs(flat - true).astype(np.float64) / scale, 0.0), _FAR)
    each: np.ndarray = np.where(np.isfinite(error), error, _FAR).max(axis=(0, 2))
    return each


def _worst(each: np.ndarray) -> float:
    """What is compared with the tolerance, of the patients' errors."""
    usual, far = np.sort(each[::2]), np.sort(each[1::2])
    return float(max(usual[int(_SHARE * usual.size)], far[int(_FAR_SHARE * far.size)] / _MOST))


def _doses(scenario: Scenario) -> Float[np.ndarray, "interval patient"]:
    """Half, one and one and a half of the usual amount in turn, and once the middle between it and the largest."""
    amounts = scenario.dosage.amounts
    usual = scenario.dosage.usual or amounts[-1]
    interval, patient = np.arange(min(_INTERVALS, scenario.schedule.decisions))[:, None], np.arange(_PATIENTS)[None]
    large = interval == patient % (2 * _INTERVALS)
    doses = np.where(large, 0.5 * (usual + amounts[-1]), usual * (0.5 + 0.5 * ((interval + patient) % 3)))
    return np.clip(doses, amounts[0], amounts[-1])


def _parameters(model: DrugModel, scenario: Scenario, person: VirtualPatient, j: Array) -> dict[str, Array]:
    facts = facts_at(person.truth.covariates, j)
    kappa = person.truth.kappa[j] if model.occasion_etas else None
    t_h = j * jnp.asarray(scenario.schedule.interval_h, dtype=float)
    return interval_parameters(model, scenario, facts, person.truth.eta, kappa, t_h)


def _course(
    model: DrugModel,
    scenario: Scenario,
    people: VirtualPatient,
    interval: Callable[[dict[str, Array], Array, Array, Array, Array], Float[Array, "patient row n"]],
) -> Float[Array, "output patient interval row"]:
    """Outputs of a course whose intervals are played by a function of parameters, contents, mg, intake and time."""
    doses = jnp.asarray(_doses(scenario), dtype=float)

    def step(x: Array, each: tuple[Array, Array]) -> tuple[Array, Array]:
        j, amounts = each
        p = jax.vmap(lambda person: _parameters(model, scenario, person, j))(people)
        mg = jax.vmap(lambda person, a: dose_mg(scenario, a, facts_at(person.truth.covariates, j)))(people, amounts)
        rows = interval(p, x, mg, people.truth.intake_mg[:, j], j * jnp.asarray(scenario.schedule.interval_h))
        values = jax.vmap(lambda p, rows: outputs_at_times(model, scenario, p, rows))(p, rows)
        return rows[:, -1], values[..., _judged_outputs(model, scenario)]

    found = jax.lax.scan(step, people.contents, (jnp.arange(doses.shape[0]), doses))[1]
    return jnp.transpose(found, (3, 1, 0, 2))


def _by_play(model: DrugModel, scenario: Scenario, people: VirtualPatient) -> Array:
    def interval(p: dict[str, Array], x: Array, mg: Array, intake: Array, t_h: Array) -> Array:
        def one(p: dict[str, Array], x: Array, mg: Array, intake: Array) -> Array:
            dose = jnp.broadcast_to(mg, (len(_times(scenario)),)) if scenario.dosage.separate else mg
            return play(model, scenario, p, x, dose, t_h, intake_mg=intake, area=False).at_times

        return jax.vmap(one)(p, x, mg, intake)

    return _course(model, scenario, people, interval)


def _by_mesh(model: DrugModel, scenario: Scenario, people: VirtualPatient, mesh: tuple[Mesh, ...]) -> Array:
    def interval(p: dict[str, Array], x: Array, mg: Array, intake: Array, t_h: Array) -> Array:
        entering = Entering(jnp.broadcast_to(mg, (len(_times(scenario)), mg.size)), intake)
        own = {name: value[:, 0] for name, value in p.items()}
        return jnp.moveaxis(integrated(model, scenario, mesh, own, x.T, entering, t_h), -1, 0)

    return _course(model, scenario, people, interval)


def _times(scenario: Scenario) -> tuple[float, ...]:
    return timetable(scenario.schedule, scenario.dosage).at_h


def _judged_outputs(model: DrugModel, scenario: Scenario) -> np.ndarray:
    goal = scenario.goal
    names = {scenario.monitoring.output, *(t.output for t in goal.targets), *(h.output for h in goal.harms)}
    return np.asarray(sorted(model.output_index(name) for name in names))


def _floors(model: DrugModel, scenario: Scenario) -> np.ndarray:
    """Of each judged output: a tenth of the smallest limit above 0 that the goal has for it, 0 where it has none."""
    goal = scenario.goal
    limits = [(t.output, v) for t in goal.targets for v in (t.low, t.high) if v]
    limits += [(h.output, v) for h in goal.harms for v in (h.below, h.above) if v]
    own = [[v for name, v in limits if model.output_index(name) == at] for at in _judged_outputs(model, scenario)]
    return np.asarray([_NEAR_0 * min(values, default=0.0) for values in own])


def _stacked(scenario: Scenario, tried: list[list[np.ndarray]]) -> tuple[Mesh, ...]:
    """Meshes as arrays, filled up with steps of no length."""
    found = []
    for at, phase in enumerate(phases_of(scenario)):
        meshes = [mesh_from(scenario, phase, ends[at]) for ends in tried]
        # As long for every phase and tolerance, so that one program tries them all.
        lengths = np.stack([np.pad(m.length_h, (0, _COUNTS[-1] - len(m.length_h))) for m in meshes])
        places = [jnp.asarray([m.step for m in meshes]), jnp.asarray([m.share for m in meshes], dtype=float)]
        found.append(Mesh(jnp.asarray(lengths, dtype=float), *places))
    return tuple(found)
