"""An interval of a linear model for many support patients at once, affine in contents and doses; see `pkpd.flows`.

Where nothing moves (no lag, infusions as long as planned), the interval is walked through piece by piece, and
parameters may differ between pieces. Otherwise parameters are constant, and every dose is followed by itself. Where a
highest rate makes larger doses last longer, the response to a milligram is kept at a few durations for comparing doses,
and doses in between follow by quadratic interpolation.
"""

import itertools
import math
from collections.abc import Mapping
from functools import lru_cache, partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rl_drug_dosage.clinic.ensemble.knots import knots_of, lasting_h
from rl_drug_dosage.clinic.ensemble.pieces import pieces_of
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.timetable import timetable
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.pkpd.flows import Entry, Flow, after, doublings, flows_of, rate_matrix

__all__ = ["Interval", "interval_of", "is_linear", "through"]

type _Course = list[tuple[list[Entry], Entry]]
"""Contents at every row, and area until then."""


class Interval(eqx.Module):
    """How contents at the needed times, and the area, follow from contents before and from doses."""

    keep: Float[Array, "row n n"]
    gain: Float[Array, "row at knot n"]
    """Of 1 mg."""
    area_keep: Float[Array, " n"]
    area_gain: Float[Array, "at knot"]

    def __call__(
        self, x: Float[Array, " n"], mg: Float[Array, "at knot"]
    ) -> tuple[Float[Array, "row n"], Float[Array, ""]]:
        """Contents at the rows, and the area.

        Args:
            x: contents before.
            mg: dose at each time, shared among the knots by `share_of`.
        """
        n, (ats, knots) = x.shape[0], mg.shape[:2]
        # Written out: a batched product of small matrices would not vectorise.
        rows = sum((self.keep[:, :, i] * x[i] for i in range(1, n)), self.keep[:, :, 0] * x[0])
        area = sum((self.area_keep[i] * x[i] for i in range(1, n)), self.area_keep[0] * x[0])
        for i in range(ats):
            for q in range(knots):
                rows = rows + self.gain[:, i, q] * mg[i, q]
                area = area + self.area_gain[i, q] * mg[i, q]
        return rows, area

    def lasting(self, shares: Float[Array, " knot"]) -> "Interval":
        """For doses of one duration, with their shares among the knots: one knot is left."""
        # Written out, as above.
        gain, area_gain = self.gain[:, :, :1] * shares[0], self.area_gain[:, :1] * shares[0]
        for q in range(1, shares.shape[0]):
            gain = gain + self.gain[:, :, q : q + 1] * shares[q]
            area_gain = area_gain + self.area_gain[:, q : q + 1] * shares[q]
        return Interval(self.keep, gain, self.area_keep, area_gain)


def is_linear(model: DrugModel, scenario: Scenario) -> bool:
    """Whether intervals are affine here: the model is linear, and its parameters change only where nothing moves."""
    clocks = {c.name for c in scenario.clocks} & {c.name for c in model.covariates}
    return model.structure.linear and scenario.intake is None and (not clocks or _is_still(model, scenario))


@lru_cache
def _typical(model: DrugModel) -> Mapping[str, Array]:
    # Also while a program is traced, these are numbers.
    with jax.ensure_compile_time_eval():
        typical = {c.name: jnp.asarray(c.typical, dtype=float) for c in model.covariates}
        return dict(model.finish(model.parameters(model.theta_values(), typical), typical))


def _is_still(model: DrugModel, scenario: Scenario) -> bool:
    """Whether no edge of a dose moves."""
    return scenario.dosage.highest_rate_per_h is None and f"lag_{scenario.dosage.compartment}" not in _typical(model)


@lru_cache
def _doublings(model: DrugModel, scenario: Scenario) -> int:
    with jax.ensure_compile_time_eval():
        a, _ = rate_matrix(model.structure, _typical(model))
        return doublings(a, scenario.schedule.interval_h)


def through(
    model: DrugModel,
    scenario: Scenario,
    rows: tuple[int, ...],
    p: Mapping[str, Float[Array, "segment member"]],
    x: Float[Array, "n member"],
    mg: Float[Array, " at"],
    taken: Float[Array, " member"] | None,
) -> tuple[Float[Array, "row n member"], Float[Array, " member"]]:
    """Contents of support patients at rows of the grid, and the area.

    Args:
        model: that they follow.
        scenario: the task.
        rows: places in the grid, the end among them.
        p: their parameters.
        x: contents before.
        mg: dose at each of the timetable's times.
        taken: share of the doses that each takes; None: all.
    """
    shape = x.shape[1:]
    doses: list[Entry] = [v if taken is None else v * taken for v in mg]
    if _is_still(model, scenario):
        course = _walked(model, scenario, rows, p, list(x), doses)
    else:
        flows = _Flows(model, scenario, rows, _row(p, 0))
        course = flows.left(list(x))
        for each, dose, at_h in zip(mg, doses, timetable(scenario.schedule, scenario.dosage).at_h, strict=True):
            given = flows.given(at_h, lasting_h(scenario, each))
            course = [
                ([a + b * dose for a, b in zip(before, own, strict=True)], area + own_area * dose)
                for (before, area), (own, own_area) in zip(course, given, strict=True)
            ]
    at_rows = jnp.stack([jnp.stack([jnp.broadcast_to(v, shape) for v in contents]) for contents, _ in course])
    return at_rows, jnp.broadcast_to(course[-1][1], shape)


def interval_of(
    model: DrugModel, scenario: Scenario, rows: tuple[int, ...], p: Mapping[str, Float[Array, "segment member"]]
) -> Interval:
    """The interval of support patients with parameters p; they are the last axis of its arrays."""
    n, knots = len(model.structure.compartments), knots_of(scenario, rows)
    starts = timetable(scenario.schedule, scenario.dosage).at_h
    units = [[1.0 if i == k else 0.0 for i in range(n)] for k in range(n)]
    if _is_still(model, scenario):
        none = [0.0] * len(starts)
        kept = [_walked(model, scenario, rows, p, unit, none) for unit in units]
        each = [[1.0 if i == k else 0.0 for i in range(len(starts))] for k in range(len(starts))]
        given = [[_walked(model, scenario, rows, p, [0.0] * n, dose)] for dose in each]
    else:
        flows = _Flows(model, scenario, rows, _row(p, 0))
        kept = [flows.left(unit) for unit in units]
        given = [[flows.given(at_h, long_h) for long_h in knots] for at_h in starts]
    shape = next(iter(p.values())).shape[1:]

    def array(v: Entry) -> Array:
        return jnp.broadcast_to(jnp.asarray(v, dtype=float), shape)

    def row(r: int) -> tuple[Array, Array]:
        keep = jnp.stack([jnp.stack([array(kept[k][r][0][i]) for k in range(n)]) for i in range(n)])
        return keep, jnp.stack([jnp.stack([jnp.stack([array(v) for v in c[r][0]]) for c in every]) for every in given])

    keep, gain = (jnp.stack(each) for each in zip(*map(row, range(len(rows))), strict=True))
    return Interval(
        keep,
        gain,
        jnp.stack([array(kept[k][-1][1]) for k in range(n)]),
        jnp.stack([jnp.stack([array(c[-1][1]) for c in every]) for every in given]),
    )


def _row(p: Mapping[str, Array], row: int) -> dict[str, Array]:
    return {name: value[row] for name, value in p.items()}


def _walked(
    model: DrugModel,
    scenario: Scenario,
    rows: tuple[int, ...],
    p: Mapping[str, Array],
    x: list[Entry],
    mg: list[Entry],
) -> _Course:
    """Piece by piece."""
    dosage, count = scenario.dosage, next(iter(p.values())).shape[0]
    known: dict[int, _Flows] = {}
    area: Entry = 0.0
    found: _Course = []
    for piece in pieces_of(scenario, rows, count):
        flows = known.setdefault(piece.parameters, _Flows(model, scenario, rows, _row(p, piece.parameters)))
        dose = mg[piece.given]
        if piece.doses:
            x = [v + flows.share * dose if i == flows.into else v for i, v in enumerate(x)]
        rate = flows.share * dose / dosage.duration_h if piece.infuses else 0.0
        x, more = after(flows.over(round(piece.long_h, 9)), x, rate)
        area = area + more
        if piece.row >= 0:
            found.append((x, area))
    return found


class _Flows:
    """Flows of support patients whose parameters stay the same, each computed once."""

    def __init__(self, model: DrugModel, scenario: Scenario, rows: tuple[int, ...], p: Mapping[str, Array]) -> None:
        dosage, structure = scenario.dosage, model.structure
        self.into = structure.compartments.index(dosage.compartment)
        self.share, self.lag_h = p.get(f"f_{dosage.compartment}", 1.0), p.get(f"lag_{dosage.compartment}")
        self.n, self.longest_h = len(structure.compartments), max(dosage.longest_h, dosage.duration_h)
        self.times = [scenario.schedule.output_times_h[i] for i in rows]
        self.interval_h, self.doublings = scenario.schedule.interval_h, _doublings(model, scenario)
        self.flows = lru_cache(partial(flows_of, structure, p, self.into))
        self.known: dict[float, Flow] = {}

    def over(self, t_h: Entry) -> Flow:
        """The flow over a time."""
        if not isinstance(t_h, float):
            return self.flows(self.doublings)(t_h)
        if t_h not in self.known:
            # Half of the time needs one doubling less.
            less = int(math.log2(max(self.interval_h / max(t_h, 1e-9), 1.0)))
            self.known[t_h] = self.flows(max(0, self.doublings - less))(t_h)
        return self.known[t_h]

    def left(self, x: list[Entry]) -> _Course:
        """Of contents at the start."""
        found: _Course = []
        area: Entry = 0.0
        for before, t_h in itertools.pairwise([0.0, *self.times]):
            if t_h > before:
                x, more = after(self.over(round(t_h - before, 9)), x)
                area = area + more
            found.append((x, area))
        return found

    def given(self, at_h: float, long_h: Entry) -> _Course:
        """Of 1 mg at ``at_h`` over ``long_h``."""
        found: _Course = []
        for i, t_h in enumerate(self.times):
            run_h = round(t_h - at_h, 9)
            if run_h <= 0:
                found.append(([0.0] * self.n, 0.0))
            elif self.lag_h is not None:
                since_h = jnp.maximum(run_h - self.lag_h, 0.0)
                x, area = self._since(since_h, long_h)
                there = jnp.where(since_h > 0, 1.0, 0.0)
                found.append(([v * there for v in x], area * there))
            elif i and self.times[i - 1] >= at_h + (long_h if isinstance(long_h, float) else self.longest_h):
                # After the infusion, the rows share their flows with all infusions.
                before, area = found[-1]
                x, more = after(self.over(round(t_h - self.times[i - 1], 9)), before)
                found.append((x, area + more))
            else:
                found.append(self._since(run_h, long_h))
        return found

    def _since(self, run_h: Entry, long_h: Entry) -> tuple[list[Entry], Entry]:
        """Contents and area when a dose of 1 mg has been running for a time."""
        x: list[Entry] = [0.0] * self.n
        area: Entry = 0.0
        still = isinstance(run_h, float) and isinstance(long_h, float)
        on_h = min(run_h, long_h) if still else jnp.minimum(run_h, long_h)
        if isinstance(long_h, float) and long_h == 0:
            x[self.into] = self.share
        else:
            x, area = after(self.over(on_h), x, self.share / long_h)
        if still and run_h <= long_h:
            return x, area
        rest_h = round(run_h - long_h, 9) if still else jnp.maximum(run_h - long_h, 0.0)
        x, more = after(self.over(rest_h), x)
        return x, area + more
