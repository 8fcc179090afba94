"""An interval of a linear model with constant parameters, for many support patients at once; see `pkpd.flows`.

It is affine in contents and doses. Where a highest rate makes larger doses last longer, the response to a milligram is
kept at a few durations, and doses in between follow by quadratic interpolation.
"""

import itertools
import math
from collections.abc import Mapping
from functools import lru_cache, partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.timetable import timetable
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.pkpd.flows import Entry, Flow, doublings, flow, rate_matrix
from rl_drug_dosage.pkpd.infusion import infusion_h

__all__ = ["Interval", "interval_of", "is_linear", "knots_of", "rows_of", "share_of"]


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


def is_linear(model: DrugModel, scenario: Scenario) -> bool:
    """Whether intervals are affine, and their parameters constant within one."""
    clocks = {c.name for c in scenario.clocks} & {c.name for c in model.covariates}
    return model.structure.linear and scenario.intake is None and not clocks


def rows_of(scenario: Scenario) -> tuple[int, ...]:
    """Places in the grid that levels and goal need: sampling times, the end, or all."""
    times = scenario.schedule.output_times_h
    metrics = {t.metric for t in scenario.goal.targets} | {h.metric for h in scenario.goal.harms}
    if metrics & {"value", "peak", "nadir"}:
        return tuple(range(len(times)))
    return tuple(sorted({times.index(t) for t in scenario.monitoring.at_h} | {len(times) - 1}))


@lru_cache
def knots_of(scenario: Scenario) -> tuple[float, ...]:
    """Durations of an infusion, h, at which responses are kept; one if all last as long.

    They are the ends and the middle of pieces of at most a quarter of the interval, between the shortest, the longest,
    and the needed times in between, where the response of a row has a kink.
    """
    dosage, times = scenario.dosage, scenario.schedule.output_times_h
    shortest, longest = dosage.duration_h, dosage.longest_h
    if longest <= shortest * (1 + 1e-9):
        return (shortest,)
    kinks = [times[i] for i in rows_of(scenario) if shortest < times[i] < longest]
    edges = [shortest, *kinks, longest]
    parts = [math.ceil((b - a) / (0.25 * scenario.schedule.interval_h)) for a, b in itertools.pairwise(edges)]
    ends = [a + i * (b - a) / n for (a, b), n in zip(itertools.pairwise(edges), parts, strict=True) for i in range(n)]
    ends.append(longest)
    return tuple(sorted({*ends, *(0.5 * (a + b) for a, b in itertools.pairwise(ends))}))


def share_of(scenario: Scenario, mg: Float[Array, "..."]) -> Float[Array, "... knot"]:
    """Shares of the knots in the response to a dose: Lagrange's weights of its duration in its piece. They sum to 1."""
    knots, dosage = knots_of(scenario), scenario.dosage
    if len(knots) == 1:
        return jnp.ones((*mg.shape, 1))
    assert dosage.highest_rate_per_h is not None
    long_h = infusion_h(mg, dosage.duration_h, dosage.highest_rate_per_h * dosage.mg_per_unit)
    shares = [jnp.zeros(mg.shape)] * len(knots)
    for first in range(0, len(knots) - 2, 2):
        piece = range(first, first + 3)
        inside = (long_h >= knots[first]) | (first == 0)
        inside &= (long_h < knots[first + 2]) | (first + 3 == len(knots))
        for q in piece:
            others = [knots[k] for k in piece if k != q]
            weight = math.prod(1.0 / (knots[q] - k) for k in others) * math.prod(
                [long_h - k for k in others], start=1.0
            )
            shares[q] = shares[q] + jnp.where(inside, weight, 0.0)
    return jnp.stack(shares, axis=-1)


@lru_cache
def _doublings(model: DrugModel, scenario: Scenario) -> int:
    # Also while a program is traced, these are numbers.
    with jax.ensure_compile_time_eval():
        typical = {c.name: jnp.asarray(c.typical, dtype=float) for c in model.covariates}
        p = model.finish(model.parameters(model.theta_values(), typical), typical)
        return doublings(rate_matrix(model.structure, p)[0], scenario.schedule.interval_h)


def interval_of(model: DrugModel, scenario: Scenario, p: Mapping[str, Array]) -> Interval:
    """The interval of support patients with parameters p, numbers or ``[member]``, which becomes the last axis."""
    dosage = scenario.dosage
    times = [scenario.schedule.output_times_h[i] for i in rows_of(scenario)]
    lag, share = p.get(f"lag_{dosage.compartment}"), p.get(f"f_{dosage.compartment}", 1.0)
    flows = _Flows(model, scenario, p)
    keep = [flows.over(t) for t in times]
    given = flows.given if lag is None else partial(flows.given_late, lag)
    starts = timetable(scenario.schedule, dosage).at_h
    courses = [[given(times, at_h, long_h) for long_h in knots_of(scenario)] for at_h in starts]

    def array(v: Entry) -> Array:
        return jnp.broadcast_to(jnp.asarray(v, dtype=float), flows.shape)

    def row(at: int) -> Array:
        return jnp.stack(
            [jnp.stack([jnp.stack([array(share * v) for v in c[at][0]]) for c in each]) for each in courses]
        )

    return Interval(
        jnp.stack([jnp.stack([jnp.stack([array(v) for v in line]) for line in f.keep]) for f in keep]),
        jnp.stack([row(at) for at in range(len(times))]),
        jnp.stack([array(v) for v in keep[-1].reach]),
        jnp.stack([jnp.stack([array(share * c[-1][1]) for c in each]) for each in courses]),
    )


type _Course = list[tuple[list[Entry], Entry]]
"""Contents at every row, and area until then, from 1 mg."""


class _Flows:
    """Flows of support patients, each computed once."""

    def __init__(self, model: DrugModel, scenario: Scenario, p: Mapping[str, Array]) -> None:
        self.a, self.c = rate_matrix(model.structure, p)
        self.into = model.structure.compartments.index(scenario.dosage.compartment)
        self.shape = jnp.shape(self.a[self.into][self.into])
        self.longest_h, self.doublings = scenario.schedule.interval_h, _doublings(model, scenario)
        self.known: dict[float, Flow] = {}

    def over(self, t_h: Entry) -> Flow:
        """The flow over a time."""
        if not isinstance(t_h, float):
            return flow(self.a, self.c, self.into, t_h, self.doublings)
        if t_h not in self.known:
            # Half of the time needs one doubling less.
            less = int(math.log2(max(self.longest_h / max(t_h, 1e-9), 1.0)))
            self.known[t_h] = flow(self.a, self.c, self.into, t_h, max(0, self.doublings - less))
        return self.known[t_h]

    def given(self, times: list[float], at_h: float, long_h: float) -> _Course:
        """From a dose at ``at_h`` over ``long_h``."""
        found: _Course = []
        for i, t_h in enumerate(times):
            run = round(t_h - at_h, 9)
            if run <= 0:
                found.append(([0.0] * len(self.a), 0.0))
            elif i and times[i - 1] >= at_h + long_h:
                # After the infusion, the rows share their flows with all infusions.
                found.append(_gone(self.over(round(t_h - times[i - 1], 9)), *found[-1]))
            else:
                x, area = self._entered(min(run, long_h), long_h)
                found.append((x, area) if run <= long_h else _gone(self.over(round(run - long_h, 9)), x, area))
        return found

    def given_late(self, lag_h: Array, times: list[float], at_h: float, long_h: float) -> _Course:
        """The same with a lag."""
        found: _Course = []
        for t_h in times:
            run = jnp.maximum(t_h - at_h - lag_h, 0.0)
            x, area = self._entered(jnp.minimum(run, long_h) if long_h else 0.0, long_h)
            x, area = _gone(self.over(jnp.maximum(run - long_h, 0.0)), x, area)
            there = jnp.where(run > 0, 1.0, 0.0)
            found.append(([v * there for v in x], area * there))
        return found

    def _entered(self, on_h: Entry, long_h: float) -> tuple[list[Entry], Entry]:
        """Contents and area after an infusion has run, or at a bolus."""
        if not long_h:
            return [1.0 if i == self.into else 0.0 for i in range(len(self.a))], 0.0
        on = self.over(on_h)
        return [v / long_h for v in on.gain], on.swept / long_h


def _gone(flow: Flow, x: list[Entry], area: Entry) -> tuple[list[Entry], Entry]:
    """Contents and area after a flow without input."""
    n = len(x)
    later = [sum((flow.keep[i][k] * x[k] for k in range(1, n)), flow.keep[i][0] * x[0]) for i in range(n)]
    return later, area + sum((flow.reach[k] * x[k] for k in range(1, n)), flow.reach[0] * x[0])
