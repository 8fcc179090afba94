"""An interval of support patients: contents, area and outputs, in closed form where the model has one."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rl_drug_dosage.clinic.ensemble.linear import is_linear, through
from rl_drug_dosage.clinic.ensemble.meshes import CARRIED, mesh_of
from rl_drug_dosage.clinic.ensemble.pieces import rows_of
from rl_drug_dosage.clinic.ensemble.steps import Entering, integrated
from rl_drug_dosage.clinic.interval import administered, disturbance_at, play, row_at
from rl_drug_dosage.clinic.record import Record, facts_at
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.timetable import Answer, Prescription, timetable
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.utils.in_groups import in_groups

__all__ = ["Given", "Played", "all_rows", "interval_mg", "outputs_at", "played", "sampled_rows", "scaled", "slots"]


_TOGETHER, _MANY, _ROWS = 4096, 256, 4
"""Support patients, of several patients, whose steps a core's cache holds. Patients with fewer than so many each go
together anyway, and those with more rows, whose results would be copied."""


class Played(NamedTuple):
    """The outcome of an interval."""

    at_rows: Float[Array, "row n member"]
    """Contents at rows of the grid."""
    area: Float[Array, " member"]

    @property
    def end(self) -> Float[Array, "n member"]:
        """Contents at the end."""
        return self.at_rows[-1]


class Given(NamedTuple):
    """What enters in an interval."""

    mg: Float[Array, " at"] | Float[Array, "at member"]
    """At each of the timetable's times, see `interval_mg`; of each support patient for models without a closed form."""
    taken: Float[Array, " member"] | None
    """Which share of the doses each support patient takes; None: all."""
    intake_mg: Float[Array, " member"]
    """What else enters."""


def sampled_rows(model: DrugModel, scenario: Scenario) -> tuple[int, ...]:
    """Places in the grid at which contents are needed for levels."""
    return rows_of(scenario, goal=False) if is_linear(model, scenario) else all_rows(scenario)


def all_rows(scenario: Scenario) -> tuple[int, ...]:
    """Every place in the grid."""
    return tuple(range(len(scenario.schedule.output_times_h)))


def slots(model: DrugModel, scenario: Scenario) -> list[int]:
    """Where the sampling times are among `sampled_rows`."""
    times = scenario.schedule.output_times_h
    return [sampled_rows(model, scenario).index(times.index(t)) for t in scenario.monitoring.at_h]


def scaled(answer: Answer, share: Array) -> Answer:
    """A prescription of which a share is taken."""
    return answer._replace(amount=answer.amount * share) if isinstance(answer, Prescription) else answer * share


def interval_mg(scenario: Scenario, record: Record, answer: Answer, j: Int[Array, ""]) -> Float[Array, " at"]:
    """Engine mg at each of the timetable's times."""
    mg = administered(scenario, answer, facts_at(record.covariates, j), j)
    return jnp.broadcast_to(mg, (len(timetable(scenario.schedule, scenario.dosage).at_h),))


def played(
    model: DrugModel,
    scenario: Scenario,
    rows: tuple[int, ...],
    p: dict[str, Float[Array, "segment member"]],
    x: Float[Array, "n member"],
    given: Given,
    j: Int[Array, ""],
    tolerance: float = CARRIED,
) -> Played:
    """All support patients through interval ``j``.

    Args:
        model: that they follow.
        scenario: the task.
        rows: places in the grid, the end among them; without a closed form, all.
        p: their parameters.
        x: contents before.
        given: what enters.
        j: which interval.
        tolerance: of models without a closed form, see `clinic.ensemble.meshes`.
    """
    if is_linear(model, scenario):
        return Played(*through(model, scenario, rows, p, x, given.mg, given.taken))
    t_h = j * jnp.asarray(scenario.schedule.interval_h, dtype=float)

    mesh, mg = mesh_of(model, scenario, tolerance), given.mg.reshape(given.mg.shape[0], -1)
    if mesh is not None:
        doses = jnp.broadcast_to(mg if given.taken is None else mg * given.taken, (mg.shape[0], x.shape[1]))
        own_p = {name: value[0] for name, value in p.items()}
        run: Callable[..., Array] = partial(integrated, model, scenario, mesh)
        if x.shape[1] >= _MANY and len(scenario.schedule.output_times_h) <= _ROWS:
            run = in_groups(run, max(1, _TOGETHER // x.shape[1]))
        at_rows = run(own_p, x, Entering(doses, given.intake_mg), t_h)
        # Nothing needs an area.
        return Played(at_rows, jnp.zeros(x.shape[1]))

    def one(p: dict[str, Array], x: Array, mg: Array, taken: Array, intake_mg: Array) -> tuple[Array, Array]:
        dose = (mg if scenario.dosage.separate else mg[0]) * taken
        out = play(model, scenario, p, x, dose, t_h, intake_mg=intake_mg, area=True)
        return out.at_times, out.area

    whole = jnp.ones(x.shape[1]) if given.taken is None else given.taken
    each = jnp.broadcast_to(mg, (mg.shape[0], x.shape[1]))
    return Played(*jax.vmap(one, in_axes=-1, out_axes=-1)(p, x, each, whole, given.intake_mg))


def outputs_at(
    model: DrugModel,
    scenario: Scenario,
    rows: tuple[int, ...],
    p: dict[str, Float[Array, "segment member"]],
    at_rows: Float[Array, "row n member"],
    disturbance: Float[Array, " member"] | None,
    j: Int[Array, ""],
) -> Float[Array, "row output member"]:
    """Every output at rows of the grid, with the scenario's disturbance."""
    times, count = scenario.schedule.output_times_h, next(iter(p.values())).shape[0]

    def one(x: Array, p: dict[str, Array]) -> Array:
        state = model.structure.contents(x)
        return jnp.stack([jnp.asarray(output.value(state, p), dtype=float) for output in model.outputs])

    own = jnp.asarray([row_at(scenario, count, times[row]) for row in rows])
    values = jax.vmap(jax.vmap(one, in_axes=-1, out_axes=-1), in_axes=(0, 0 if count > 1 else None))(
        at_rows, {name: value[own] if count > 1 else value[0] for name, value in p.items()}
    )
    if disturbance is None or scenario.disturbance is None:
        return values
    t_h = j * jnp.asarray(scenario.schedule.interval_h, dtype=float)
    profile = disturbance_at(scenario, t_h)[jnp.asarray(rows)]
    return values.at[:, model.output_index(scenario.monitoring.output)].add(profile[:, None] * disturbance)
