"""Infusions that last longer the larger the dose is: durations at which responses are kept, and shares among them."""

import itertools
import math
from functools import lru_cache

import jax.numpy as jnp
from jaxtyping import Array, Float

from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.pkpd.flows import Entry
from rl_drug_dosage.pkpd.infusion import infusion_h

__all__ = ["knots_of", "lasting_h", "share_of"]


@lru_cache
def knots_of(scenario: Scenario, rows: tuple[int, ...]) -> tuple[float, ...]:
    """Durations of an infusion, h, at which responses are kept; one if all last as long.

    They are the ends and the middle of pieces of at most a quarter of the interval, between the shortest, the longest,
    and the times of the rows in between, where the response of a row has a kink.
    """
    dosage, times = scenario.dosage, scenario.schedule.output_times_h
    shortest, longest = dosage.duration_h, dosage.longest_h
    if longest <= shortest * (1 + 1e-9):
        return (shortest,)
    kinks = [times[i] for i in rows if shortest < times[i] < longest]
    edges = [shortest, *kinks, longest]
    parts = [math.ceil((b - a) / (0.25 * scenario.schedule.interval_h)) for a, b in itertools.pairwise(edges)]
    ends = [a + i * (b - a) / n for (a, b), n in zip(itertools.pairwise(edges), parts, strict=True) for i in range(n)]
    ends.append(longest)
    return tuple(sorted({*ends, *(0.5 * (a + b) for a, b in itertools.pairwise(ends))}))


def share_of(scenario: Scenario, rows: tuple[int, ...], mg: Float[Array, "..."]) -> Float[Array, "... knot"]:
    """Shares of the knots in the response to a dose: Lagrange's weights of its duration in its piece. They sum to 1."""
    knots = knots_of(scenario, rows)
    if len(knots) == 1:
        return jnp.ones((*mg.shape, 1))
    long_h = lasting_h(scenario, mg)
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


def lasting_h(scenario: Scenario, mg: Array) -> Entry:
    """Duration of the infusion of a dose."""
    dosage = scenario.dosage
    if dosage.highest_rate_per_h is None:
        return dosage.duration_h
    return infusion_h(mg, dosage.duration_h, dosage.highest_rate_per_h * dosage.mg_per_unit)
