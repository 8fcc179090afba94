"""An interval of many support patients whose model has no closed form, by few and longer Runge-Kutta steps.

The steps of an interval are the same for all support patients (`clinic.ensemble.meshes`), each number of all of them
lies together in memory, and the linear pharmacokinetics that drive the system are sums of exponentials, so that every
operation works on whole arrays. Rows of the grid within a step follow by cubic Hermite interpolation.
"""

import itertools
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rl_drug_dosage.clinic.ensemble.modes import modes_of
from rl_drug_dosage.clinic.judge import needs_area
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.timetable import timetable
from rl_drug_dosage.pkpd import DrugModel, FixedStep, OdeSystem
from rl_drug_dosage.pkpd.description import central_concentration
from rl_drug_dosage.utils.fast_powers import with_fast_powers
from rl_drug_dosage.utils.staged import Staged

__all__ = ["Entering", "Mesh", "Phase", "integrated", "mesh_from", "phases_of", "rows_in", "steps_apply"]

_MOST_PHASES = 6
"""A program grows with them."""


class Phase(NamedTuple):
    """Part of an interval without a dose or the end of an infusion within it."""

    start_h: float
    end_h: float
    given: tuple[int, ...]
    """Of the timetable's times: boluses at its start."""
    running: tuple[int, ...]
    """Infusions."""


class Mesh(NamedTuple):
    """Steps of a phase, and where the grid's rows lie among them."""

    length_h: Any
    """``[step]``"""
    step: Any
    """Of each row of the phase (`rows_in`): the step that it lies in."""
    share: Any
    """Of each row: how much of that step has passed."""


class Entering(NamedTuple):
    """What enters in an interval, mg."""

    doses: Float[Array, "at member"]
    intake: Float[Array, " member"]


def steps_apply(model: DrugModel, scenario: Scenario) -> bool:
    """Whether `integrated` can stand for `clinic.interval.play`: doses come when they are due, and nothing moves."""
    system = model.structure
    if not isinstance(system, OdeSystem) or not isinstance(system.method, FixedStep) or system.arrivals:
        return False
    clocks = {c.name for c in scenario.clocks} & {c.name for c in model.covariates}
    plain = not clocks and not needs_area(scenario) and scenario.dosage.highest_rate_per_h is None
    return plain and len(phases_of(scenario)) <= _MOST_PHASES


@lru_cache
def phases_of(scenario: Scenario) -> tuple[Phase, ...]:
    """The phases of an interval, in order."""
    dosage, schedule = scenario.dosage, scenario.schedule
    at_h, long_h = timetable(schedule, dosage).at_h, dosage.duration_h
    edges = {0.0, schedule.interval_h, *at_h, *(round(t + long_h, 9) for t in at_h)}
    found = []
    for start, end in itertools.pairwise(sorted(round(e, 9) for e in edges)):
        here = [i for i, t in enumerate(at_h) if abs(t - start) < 1e-9]
        running = [i for i, t in enumerate(at_h) if t <= start + 1e-9 and start < t + long_h - 1e-9]
        found.append(Phase(start, end, () if long_h else tuple(here), tuple(running)))
    return tuple(found)


def rows_in(scenario: Scenario, phase: Phase) -> tuple[int, ...]:
    """Which rows of the grid lie within a phase, or at its end."""
    times = scenario.schedule.output_times_h
    return tuple(i for i, t in enumerate(times) if phase.start_h < t - 1e-9 < phase.end_h)


def mesh_from(scenario: Scenario, phase: Phase, ends_h: np.ndarray) -> Mesh:
    """The mesh with steps that end at these times after the start of the phase."""
    at = np.asarray([scenario.schedule.output_times_h[i] - phase.start_h for i in rows_in(scenario, phase)])
    starts = np.concatenate([[0.0], ends_h[:-1]])
    step = np.minimum(np.searchsorted(ends_h, at - 1e-9), len(ends_h) - 1)
    share = np.clip((at - starts[step]) / (ends_h[step] - starts[step]), 0.0, 1.0)
    return Mesh(np.diff(ends_h, prepend=0.0), tuple(step.tolist()), tuple(share.tolist()))


def integrated(
    model: DrugModel,
    scenario: Scenario,
    mesh: tuple[Mesh, ...],
    p: Mapping[str, Float[Array, " member"]],
    x: Float[Array, "n member"],
    entering: Entering,
    t_h: Float[Array, ""],
) -> Float[Array, "row n member"]:
    """Contents at the rows of the grid.

    Args:
        model: of the support patients.
        scenario: the task.
        mesh: of every phase.
        p: parameters.
        x: contents before.
        entering: what enters.
        t_h: start of the interval.
    """
    system, dosage = model.structure, scenario.dosage
    assert isinstance(system, OdeSystem)
    into, front = system.compartments.index(dosage.compartment), len(system.compartments) - len(system.states)
    bio = p.get(f"f_{dosage.compartment}", 1.0)
    now = [jnp.asarray(x[i]) for i in range(len(system.compartments))]
    if scenario.intake is not None:
        other = scenario.intake.compartment
        where = system.compartments.index(other)
        now[where] = now[where] + p.get(f"f_{other}", 1.0) * entering.intake
    slopes = _Slopes(system, p)
    prepared = jax.vmap(system.pk.prepare, in_axes=-1, out_axes=-1)(dict(p)) if system.pk else None
    rows = []
    for phase, own in zip(phases_of(scenario), mesh, strict=True):
        for i in phase.given:
            now[into] = now[into] + bio * entering.doses[i]
        rate: Array | None = None
        for i in phase.running:
            rate = bio * entering.doses[i] / dosage.duration_h + (0.0 if rate is None else rate)
        drive = _Drive(system, prepared, now[:front], rate if into < front else None, into)
        pushed = {into - front: rate} if rate is not None and into >= front else {}
        now, inside = _phase(own, now[front:], drive, slopes, pushed, t_h + phase.start_h)
        if rows_in(scenario, phase):
            rows.append(jnp.stack(inside, axis=1))
    return jnp.concatenate(rows)


class _Drive:
    """Contents of the linear part over a phase."""

    def __init__(self, system: OdeSystem, prepared: Any, front: list[Array], rate: Array | None, into: int) -> None:
        self.system = system
        self.rates, self.amounts = ([], []) if system.pk is None else modes_of(system.pk, prepared, front, rate, into)

    def decays(self, s: Any) -> list[Array]:
        """The exponentials after a time."""
        return [jnp.exp(-rate * s) for rate in self.rates]

    def contents(self, decays: list[Array]) -> list[Array]:
        """From the exponentials."""
        return [
            sum((m * e for m, e in zip(own[1:], decays[1:], strict=True)), own[0] * decays[0]) for own in self.amounts
        ]


class _Slopes:
    """The derivatives, in stages: parameters; time and linear part; states."""

    def __init__(self, system: OdeSystem, p: Mapping[str, Array]) -> None:
        def one(p: Mapping[str, Array], drive: tuple[Array, list[Array]], y: list[Array]) -> list[Array]:
            t_h, front = drive
            pk: dict[str, Array] = {}
            if system.pk is not None:
                pk = dict(zip(system.pk.compartments, front, strict=True))
                pk["concentration"] = central_concentration(pk, p)
            found = system.rhs(t_h, dict(zip(system.states, y, strict=True)), p, pk)
            return [jnp.asarray(found[name], dtype=float) for name in system.states]

        number = jax.ShapeDtypeStruct((), jnp.asarray(0.0).dtype)
        front = [number] * (len(system.compartments) - len(system.states))
        self.staged = Staged(
            with_fast_powers(one), dict.fromkeys(p, number), (number, front), [number] * len(system.states)
        )
        self.fixed: list[Array] = jax.vmap(lambda p: self.staged.stage(0, [], p), in_axes=-1, out_axes=-1)(dict(p))

    def driven(self, t_h: Any, front: list[Array]) -> list[Array]:
        """What the slopes need of a time and the linear part."""
        shape = jnp.shape(self.fixed[0] if self.fixed else front[0])
        t_h = jnp.broadcast_to(t_h, shape)
        found: list[Array] = jax.vmap(
            lambda fixed, t_h, front: self.staged.stage(1, [fixed], (t_h, front)), in_axes=-1, out_axes=-1
        )(self.fixed, t_h, front)
        return found

    def __call__(self, y: list[Array], driven: list[Array]) -> list[Array]:
        """The slopes."""
        found: list[Array] = jax.vmap(
            lambda fixed, driven, y: self.staged.stage(2, [fixed, driven], y), in_axes=-1, out_axes=-1
        )(self.fixed, driven, y)
        return found


def _phase(
    mesh: Mesh, y: list[Array], drive: _Drive, slopes: _Slopes, pushed: dict[int, Any], t_h: Array
) -> tuple[list[Array], list[Array]]:
    """Contents at the end of a phase, and ``[row, member]`` at its rows."""

    def slope(y: list[Array], driven: list[Array]) -> list[Array]:
        return [d + pushed[i] if i in pushed else d for i, d in enumerate(slopes(y, driven))]

    def driven_at(s: Any, decays: list[Array]) -> list[Array]:
        return slopes.driven(t_h + s, drive.contents(decays) if decays else [])

    shape = jnp.shape(y[0])
    ones = [jnp.ones(shape)] * len(drive.rates)
    recorded = not (
        isinstance(mesh.share, tuple)
        and mesh.share in {(), (1.0,)}
        and all(i == len(mesh.length_h) - 1 for i in mesh.step)
    )

    def step(carry: Any, h: Array) -> Any:
        s, y, here, first = carry
        half = drive.decays(0.5 * h)
        middle = [a * b for a, b in zip(here, half, strict=True)]
        end = [a * b for a, b in zip(middle, half, strict=True)]
        second, third = driven_at(s + 0.5 * h, middle), driven_at(s + h, end)
        k1 = slope(y, first)
        k2 = slope(_along(y, 0.5 * h, k1), second)
        k3 = slope(_along(y, 0.5 * h, k2), second)
        k4 = slope(_along(y, h, k3), third)
        after = [v + h / 6.0 * (a + 2.0 * (b + c) + d) for v, a, b, c, d in zip(y, k1, k2, k3, k4, strict=True)]
        return (s + h, after, end, third), (y, k1) if recorded else None

    start = (jnp.zeros(()), [jnp.broadcast_to(v, shape) for v in y], ones, driven_at(0.0, ones))
    (_, after, decays, driven), seen = jax.lax.scan(step, start, jnp.asarray(mesh.length_h, dtype=float))
    now = [*(drive.contents(decays) if decays else []), *after]
    if not recorded:
        return now, [v[None] for v in now] if len(mesh.step) else []
    lengths = jnp.asarray(mesh.length_h, dtype=float)
    last = slope(after, driven)
    values, ends = (
        [jnp.concatenate([v, w[None]]) for v, w in zip(a, b, strict=True)]
        for a, b in zip(seen, (after, last), strict=True)
    )
    return now, _between(mesh, lengths, drive, values, ends)


def _between(
    mesh: Mesh,
    lengths: Float[Array, " step"],
    drive: _Drive,
    values: list[Float[Array, "end member"]],
    slopes: list[Float[Array, "end member"]],
) -> list[Float[Array, "row member"]]:
    """Contents at the rows, from values and slopes where steps end."""
    at, share = jnp.asarray(mesh.step), jnp.asarray(mesh.share, dtype=float)
    h = lengths[at]
    s = (jnp.cumsum(lengths) - lengths)[at] + share * h
    own = jax.vmap(lambda s: drive.contents(drive.decays(s)))(s) if drive.rates else []
    h, u = (v.reshape(-1, *[1] * (values[0].ndim - 1)) for v in (h, share))
    weights = (1 + 2 * u) * (1 - u) ** 2, u * (1 - u) ** 2, u * u * (3 - 2 * u), u * u * (u - 1)
    inside = [
        weights[0] * v[at] + weights[2] * v[at + 1] + h * (weights[1] * d[at] + weights[3] * d[at + 1])
        for v, d in zip(values, slopes, strict=True)
    ]
    return [*own, *inside]


def _along(y: list[Array], h: Any, slope: list[Array]) -> list[Array]:
    return [v + h * d for v, d in zip(y, slope, strict=True)]
