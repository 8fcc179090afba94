"""Simulate one decision interval under a drug model: doses, grid times, outputs, AUC.

An interval is divided into segments at every dose, end of infusion and grid time. The model's structure propagates the
contents from one segment to the next, exactly if it is linear. If doses are late or absorption has a lag, the start and
end of a dose move while the grid times stay.
"""

import itertools
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rl_drug_dosage.clinic.propagators import Outcome, play_with, propagators, row_of
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.timetable import Answer, amount_of, choice_of, timetable
from rl_drug_dosage.errors import ConfigError
from rl_drug_dosage.pkpd import DrugModel, Values, individual_parameters
from rl_drug_dosage.pkpd.covariates import Covariates

__all__ = [
    "administered",
    "disturbance_at",
    "dose_mg",
    "interval_parameters",
    "outputs_at_times",
    "play",
    "row_at",
    "segment_ends",
    "segments",
    "varies",
]


class Edge(NamedTuple):
    """A time of an interval."""

    nominal_h: float
    moves: bool
    """With lateness and lag."""


class Segment(NamedTuple):
    """Between two edges."""

    start: Edge
    end: Edge
    doses: bool
    """A bolus enters at its start."""
    infuses: bool
    given: int
    """Of its bolus or infusion: which of the timetable's times."""
    grid: int
    """Grid time at its end, or -1."""

    @property
    def moved(self) -> float:
        """Factor of the lateness in its length: +1, 0 or -1."""
        return float(self.end.moves) - float(self.start.moves)


class _Traced(NamedTuple):
    """The segments as arrays, for `play`."""

    doses: Array
    infuses: Array
    given: Array
    moved: Array
    length_h: Array


_UNROLLED = 2
"""Up to this many segments are unrolled; more are looped over, which compiles in a fraction of the time."""


@lru_cache
def segments(scenario: Scenario, moving: bool) -> tuple[Segment, ...]:
    """The interval's segments in order; where an edge of the grid and of a dose meet, the grid's comes first.

    Args:
        scenario: the task.
        moving: whether doses may be late or lag.
    """
    dosage, schedule = scenario.dosage, scenario.schedule
    at_h = timetable(schedule, dosage).at_h
    starts = [Edge(t, moving) for t in at_h]
    ends = [Edge(t + dosage.duration_h, moving) for t in at_h] if dosage.duration_h else []
    grid = [Edge(t, False) for t in schedule.output_times_h]
    edges = sorted({Edge(0.0, False), *starts, *ends, *grid}, key=lambda e: (round(e.nominal_h, 9), e.moves))
    gaps = [b.nominal_h - a.nominal_h for a, b in itertools.pairwise(edges) if a.moves and not b.moves]
    if moving and gaps and min(gaps) < scenario.adherence.late_max_h:
        raise ConfigError(
            f"{scenario.title}: doses up to {scenario.adherence.late_max_h} h late, but an output time is "
            f"{min(gaps)} h after one: allow less, or move the output time"
        )
    if edges[-1].nominal_h > schedule.interval_h:
        raise ConfigError(f"{scenario.title}: an infusion runs beyond the interval of {schedule.interval_h} h")
    found = []
    for start, end in itertools.pairwise(edges):
        running = [
            i
            for i, t in enumerate(at_h)
            if dosage.duration_h
            and edges.index(Edge(t, moving)) <= edges.index(start) < edges.index(Edge(t + dosage.duration_h, moving))
        ]
        bolus = [i for i, t in enumerate(at_h) if not dosage.duration_h and start == Edge(t, moving)]
        at = schedule.output_times_h.index(end.nominal_h) if end in grid else -1
        found.append(Segment(start, end, bool(bolus), bool(running), (*running, *bolus, 0)[0], at))
    return tuple(found)


def varies(model: DrugModel, scenario: Scenario) -> bool:
    """Whether parameters differ between intervals, because of drifting covariates, clocks or occasions."""
    names = {c.name for c in model.covariates}
    changing = {d.name for d in scenario.drifts} | {c.name for c in scenario.clocks}
    return bool(names & changing) or bool(model.occasion_etas)


def interval_parameters(
    model: DrugModel,
    scenario: Scenario,
    facts: Values,
    eta: Float[Array, " eta"],
    kappa: Float[Array, " kappa"] | None,
    t_h: Float[Array, ""],
) -> dict[str, Float[Array, " segment"]]:
    """Individual parameters in the interval that starts at ``t_h``: one row, or one per segment if there is a clock.

    Args:
        model: the drug.
        scenario: the task, for its clocks.
        facts: covariates in this interval, scalars by name; those that the model does not use are ignored.
        eta: between-subject random effects.
        kappa: random effects of this interval's occasion; None means 0.
        t_h: start of the interval, h since the first decision.
    """
    clocks = {c.name: c.value for c in scenario.clocks}
    names = [c.name for c in model.covariates]
    if any(name in clocks for name in names):
        ends = t_h + jnp.asarray(segment_ends(scenario))
    else:
        ends = jnp.reshape(jnp.asarray(t_h, dtype=float), (1,))
    values = {n: clocks[n](ends) if n in clocks else jnp.broadcast_to(facts[n], ends.shape) for n in names}
    table = Covariates(ends, values, jnp.zeros(ends.shape, dtype=int))
    return individual_parameters(model, table, eta, None if kappa is None else kappa[None])


def segment_ends(scenario: Scenario) -> tuple[float, ...]:
    """Where the rows of parameters end that a clock changes: at every edge, wherever it moves to."""
    return tuple(segment.end.nominal_h for segment in segments(scenario, False))


def row_at(scenario: Scenario, rows: int, end_h: float) -> int:
    """Which of so many rows of parameters (`interval_parameters`) holds in the segment that ends then."""
    return 0 if rows == 1 else next(i for i, end in enumerate(segment_ends(scenario)) if end >= end_h - 1e-9)


def _moves(scenario: Scenario, p: Mapping[str, Array]) -> bool:
    lagging = any(name.startswith("lag_") for name in p)
    return lagging or scenario.adherence.late_mean_h > 0


def dose_mg(scenario: Scenario, amount: Array, facts: Values) -> Array:
    """Engine mg of one administration of an amount."""
    per = scenario.dosage.per
    scale = 1.0 if per is None else facts[per]
    return amount * scenario.dosage.mg_per_unit * scale


def administered(scenario: Scenario, prescription: Answer, facts: Values, k: Array) -> Float[Array, "..."]:
    """Engine mg of the prescription of decision ``k``: of one administration, or of each of the timetable's times."""
    mg = dose_mg(scenario, amount_of(prescription), facts)
    if not scenario.dosage.separate:
        return mg
    table = timetable(scenario.schedule, scenario.dosage)
    given = jnp.asarray(table.given, dtype=float)[choice_of(prescription)]
    return mg * (given if table.first is None else jnp.where(k == 0, jnp.asarray(table.first, dtype=float), given))


def play(  # noqa: PLR0913 - what an interval depends on
    model: DrugModel,
    scenario: Scenario,
    p: Mapping[str, Float[Array, " segment"]],
    x: Float[Array, " n"],
    dose: Float[Array, "..."],
    t_h: Float[Array, ""],
    *,
    late_h: Array | None = None,
    intake_mg: Array | None = None,
    area: bool = True,
) -> Outcome:
    """One interval.

    Args:
        model: the drug.
        scenario: for schedule, dosage and intake.
        p: from `interval_parameters`.
        x: contents at the decision.
        dose: mg of each administration, or of each of the timetable's.
        t_h: time of the decision.
        late_h: how late the doses of this interval come.
        intake_mg: what else enters at its start, see `Intake`.
        area: whether the area is wanted.
    """
    structure, dosage = model.structure, scenario.dosage
    rows = next(iter(p.values())).shape[0]
    if structure.linear and rows == 1 and scenario.intake is None:
        return play_with(propagators(model, scenario, p, late_h=late_h, area=area), x, dose)
    if dosage.highest_rate_per_h is not None:
        raise ConfigError(
            f"{scenario.title}: dosage.highest_rate_per_h needs a linear drug model with constant parameters over an "
            f"interval, without an intake, and {model.name} is not: leave it out"
        )
    into = structure.compartments.index(dosage.compartment)
    n = len(structure.compartments)
    lag = p.get(f"lag_{dosage.compartment}")
    moving = _moves(scenario, p)
    prepared = jax.vmap(structure.prepare)(dict(p))
    if scenario.intake is not None and intake_mg is not None:
        other = scenario.intake.compartment
        bio = p[f"f_{other}"][0] if f"f_{other}" in p else 1.0
        x = x + bio * intake_mg * (jnp.arange(n) == structure.compartments.index(other))
    parts = segments(scenario, moving)
    own_row = [row_at(scenario, rows, segment.end.nominal_h) for segment in parts]
    shift = (0.0 if lag is None else lag[0]) + (0.0 if late_h is None else late_h)

    def run(x: Array, segment: Segment | _Traced, dt: Any, start_h: Any, row: Any) -> tuple[Array, Array]:
        own = row_of(dict(p), row)
        amount = dose[segment.given] if dose.ndim else dose
        unit = (jnp.arange(n) == into) * own.get(f"f_{dosage.compartment}", 1.0) * amount
        x = x + unit * segment.doses
        rate = unit * segment.infuses / dosage.duration_h if dosage.duration_h else None
        return structure.advance(row_of(prepared, row), x, rate, t_h + start_h, dt, auc=area)

    total = jnp.zeros(())
    places = [parts.index(s) for t in range(len(scenario.schedule.output_times_h)) for s in parts if s.grid == t]
    if len(parts) <= _UNROLLED:
        ends = []
        for segment, row in zip(parts, own_row, strict=True):
            dt: Any = segment.end.nominal_h - segment.start.nominal_h + shift * segment.moved
            x, more = run(x, segment, dt, segment.start.nominal_h, row)
            total = total + more
            ends.append(x)
        return Outcome(x, jnp.stack([ends[i] for i in places]), total)

    def step(carry: tuple[Array, Array], each: tuple[_Traced, Array, Array]) -> tuple[tuple[Array, Array], Array]:
        (x, total), (segment, start_h, row) = carry, each
        x, more = run(x, segment, segment.length_h + shift * segment.moved, start_h, row)
        return (x, total + more), x

    table = _Traced(
        doses=jnp.asarray([float(s.doses) for s in parts]),
        infuses=jnp.asarray([float(s.infuses) for s in parts]),
        given=jnp.asarray([s.given for s in parts]),
        moved=jnp.asarray([s.moved for s in parts]),
        length_h=jnp.asarray([s.end.nominal_h - s.start.nominal_h for s in parts]),
    )
    starts = jnp.asarray([s.start.nominal_h for s in parts])
    (x, total), all_ends = jax.lax.scan(step, (x, total), (table, starts, jnp.asarray(own_row)))
    return Outcome(x, all_ends[jnp.asarray(places)], total)


def outputs_at_times(
    model: DrugModel, scenario: Scenario, p: Mapping[str, Float[Array, " segment"]], at_times: Float[Array, "grid n"]
) -> Float[Array, "grid output"]:
    """Every output of the model at the grid times, in its own unit."""
    rows = next(iter(p.values())).shape[0]

    def one(contents: Array, own: Values) -> Array:
        state = model.structure.contents(contents)
        return jnp.stack([jnp.asarray(output.value(state, own), dtype=float) for output in model.outputs])

    if rows == 1:
        return jax.vmap(one, in_axes=(0, None))(at_times, row_of(dict(p), 0))
    found = []
    for i, t_h in enumerate(scenario.schedule.output_times_h):
        found.append(one(at_times[i], row_of(dict(p), row_at(scenario, rows, t_h))))
    return jnp.stack(found)


def disturbance_at(scenario: Scenario, t_h: Array) -> Float[Array, " grid"]:
    """The mean disturbance at the grid times of the interval that starts at ``t_h``."""
    assert scenario.disturbance is not None
    at, height = (jnp.asarray(column, dtype=float) for column in zip(*scenario.disturbance.profile, strict=True))
    return jnp.interp(t_h + jnp.asarray(scenario.schedule.output_times_h, dtype=float), at, height)
