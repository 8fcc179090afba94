"""Flows of linear systems over an interval, for many patients at once: transition, response to an input, and area.

`linear` is accurate to the last digit for one patient; this is fast for thousands. With dx/dt = A x + b u and
da/dt = c x over a time t, a flow holds

    K = exp(A t),   G = int_0^t exp(A s) b ds,   R = c int_0^t exp(A s) ds,   S = c int_0^t int_0^s exp(A r) b dr ds.

One and two compartments without absorption have closed forms. Everything else starts from a Taylor polynomial of
degree 5 over t / 2^m and doubles m times:

    K' = K K,   G' = K G + G,   R' = R K + R,   S' = 2 S + R G.

All matrices are lists of lists of scalars, so that zeros cost nothing and the rest fuses into one vectorised loop. The
relative error in single precision is about 2^m 6e-8 (rounding) plus (q t / 2^m)^6 / 720 (truncation) for the largest
rate q; a typical patient's q t / 2^m is at most 1 / 32.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from rl_drug_dosage.pkpd.linear import LinearSystem, Mammillary
from rl_drug_dosage.pkpd.structure import Structure

__all__ = ["Flow", "after", "doublings", "flow", "flows_of", "is_closed", "rate_matrix", "then"]

type Entry = Any
"""A scalar of JAX, or the number 0.0, which is left out of sums."""
type Matrix = list[list[Entry]]

_MARGIN = 32.0
"""How many times faster than a typical patient's the largest rate may be; faster patients are slowed down to it."""
_SLOWEST = 1e-10
"""Smallest rate of a closed form, 1/h: what is left of nothing leaving at all."""


class Flow(NamedTuple):
    """Over a time t; see the module."""

    keep: Matrix
    gain: list[Entry]
    reach: list[Entry]
    swept: Entry


def rate_matrix(structure: Structure, p: Mapping[str, Array]) -> tuple[Matrix, list[Entry]]:
    """A and c of a linear structure: 1/h, and the row whose product with the contents is the central concentration.

    Args:
        structure: `Mammillary` or `LinearSystem`.
        p: individual parameters, scalars.
    """
    n = len(structure.compartments)
    a: Matrix = [[0.0] * n for _ in range(n)]
    c: list[Entry] = [0.0] * n
    if isinstance(structure, LinearSystem):
        matrix = structure.matrix(p)
        a = [[matrix[i, j] for j in range(n)] for i in range(n)]
        if "v1" in p and "central" in structure.compartments:
            c[structure.compartments.index("central")] = 1.0 / p["v1"]
        return a, c
    assert isinstance(structure, Mammillary)
    core = int(structure.depot)
    out = p["cl"] / p["v1"]
    for i in range(1, structure.peripherals + 1):
        there, back = p[f"q{i + 1}"] / p["v1"], p[f"q{i + 1}"] / p[f"v{i + 1}"]
        out = out + there
        a[core + i][core], a[core][core + i], a[core + i][core + i] = there, back, -back
    a[core][core] = -out
    if structure.depot:
        a[0][0], a[core][0] = -p["ka"], p["ka"]
    c[core] = 1.0 / p["v1"]
    if structure.effect:
        a[n - 1][core], a[n - 1][n - 1] = p["ke0"] / p["v1"], -p["ke0"]
    return a, c


def doublings(a: Matrix, longest_h: float) -> int:
    """The doublings m for a typical patient's A (numbers) and the longest time."""
    fastest = max((abs(float(a[i][i])) for i in range(len(a))), default=0.0)
    return max(0, math.ceil(math.log2(max(_MARGIN * fastest * longest_h, 1.0))))


def _zero(value: Entry) -> bool:
    return isinstance(value, float) and value == 0.0


def _sum(terms: Sequence[Entry]) -> Entry:
    kept = [t for t in terms if not _zero(t)]
    return sum(kept[1:], kept[0]) if kept else 0.0


def _times(x: Entry, y: Entry) -> Entry:
    return 0.0 if _zero(x) or _zero(y) else x * y


def _product(a: Matrix, b: Matrix) -> Matrix:
    n = len(a)
    return [[_sum([_times(a[i][k], b[k][j]) for k in range(n)]) for j in range(n)] for i in range(n)]


def _on(a: Matrix, x: list[Entry]) -> list[Entry]:
    return [_sum([_times(row[k], x[k]) for k in range(len(x))]) for row in a]


def _under(x: list[Entry], a: Matrix) -> list[Entry]:
    n = len(x)
    return [_sum([_times(x[k], a[k][j]) for k in range(n)]) for j in range(n)]


def is_closed(structure: Structure) -> bool:
    """Whether flows have a closed form: doses enter the central one of at most two compartments."""
    return (
        isinstance(structure, Mammillary)
        and not structure.depot
        and not structure.effect
        and structure.peripherals <= 1
    )


def flows_of(structure: Structure, p: Mapping[str, Array], into: int, m: int) -> Callable[[Entry], Flow]:
    """From a time, h, to the flow over it.

    Args:
        structure: `Mammillary` or `LinearSystem`.
        p: individual parameters, scalars.
        into: the compartment that the input enters, at 1 mg/h.
        m: from `doublings`; a closed form needs none.
    """
    if is_closed(structure):
        assert isinstance(structure, Mammillary)
        return _two(p) if structure.peripherals else _one(p)
    a, c = rate_matrix(structure, p)

    def over(t_h: Entry) -> Flow:
        return flow(a, c, into, t_h, m)

    return over


def _one(p: Mapping[str, Array]) -> Callable[[Entry], Flow]:
    rate = jnp.maximum(p["cl"] / p["v1"], _SLOWEST)

    def over(t_h: Entry) -> Flow:
        lost = jax.lax.optimization_barrier(-jnp.expm1(-rate * t_h))
        return _balanced([[1.0 - lost]], [lost / rate], t_h, p["cl"])

    return over


def _two(p: Mapping[str, Array]) -> Callable[[Entry], Flow]:
    """With k = cl / v1, k12 and k21: rates alpha > beta, the roots of r^2 - (k + k12 + k21) r + k k21.

    Every term is a sum of positive ones, so that nothing cancels, whatever lies between the rates.
    """
    k, k12, k21 = p["cl"] / p["v1"], p["q2"] / p["v1"], p["q2"] / p["v2"]
    total, ahead = k + k12 + k21, k + k12 - k21
    apart = jnp.maximum(jnp.sqrt(ahead * ahead + 4.0 * k12 * k21), 1e-9 * total)
    beta = jnp.maximum(2.0 * k * k21 / (total + apart), _SLOWEST)
    alpha = beta + apart
    larger = 0.5 * (jnp.abs(ahead) + apart)
    # Share of the central compartment that leaves slowly, (k21 - beta) / (alpha - beta).
    slow = jnp.where(ahead > 0, k12 * k21 / larger, larger) / apart
    slow, alpha, beta, apart = jax.lax.optimization_barrier((slow, alpha, beta, apart))

    def over(t_h: Entry) -> Flow:
        lost, nearer = jax.lax.optimization_barrier((-jnp.expm1(-beta * t_h), -jnp.expm1(-apart * t_h)))
        kept = 1.0 - lost
        across, fast = kept * nearer / apart, kept * (1.0 - nearer)
        # Integrals of exp(-beta s) and exp(-alpha s).
        long, short = lost / beta, (lost + nearer - lost * nearer) / alpha
        keep = [
            [slow * kept + (1.0 - slow) * fast, k21 * across],
            [k12 * across, (1.0 - slow) * kept + slow * fast],
        ]
        gain = [slow * long + (1.0 - slow) * short, k12 * (long - short) / apart]
        return _balanced(keep, gain, t_h, p["cl"])

    return over


def _balanced(keep: Matrix, gain: list[Entry], t_h: Entry, cl: Entry) -> Flow:
    """With the areas by the balance of masses: what has left is cl times the area."""
    n = len(gain)
    reach = [(1.0 - sum((keep[i][j] for i in range(1, n)), keep[0][j])) / cl for j in range(n)]
    return Flow(keep, gain, reach, (t_h - sum(gain[1:], gain[0])) / cl)


def after(flow: Flow, x: list[Entry], rate: Entry = 0.0) -> tuple[list[Entry], Entry]:
    """Contents after a flow with an input of ``rate`` mg/h, and the area under it."""
    later = [
        _sum([*(_times(v, x[k]) for k, v in enumerate(row)), _times(g, rate)])
        for row, g in zip(flow.keep, flow.gain, strict=True)
    ]
    return later, _sum([*(_times(r, v) for r, v in zip(flow.reach, x, strict=True)), _times(flow.swept, rate)])


def flow(a: Matrix, c: list[Entry], into: int, t_h: Entry, m: int) -> Flow:
    """The flow over ``t_h``, for an input into one compartment.

    Args:
        a: from `rate_matrix`.
        c: likewise.
        into: the compartment that the input enters, at 1 mg/h.
        t_h: time, a number or a scalar of JAX; at least 0.
        m: from `doublings`.
    """
    n = len(a)
    h = t_h / 2.0**m
    fastest = functools.reduce(jnp.maximum, [-a[i][i] for i in range(n) if not _zero(a[i][i])])
    # Beyond a step of 1 the polynomial would grow without bound.
    a = _scaled(a, 1.0 / jnp.maximum(fastest * h, 1.0))
    b: list[Entry] = [1.0 if i == into else 0.0 for i in range(n)]
    # exp(A h) = I + E with E = A h (I + A h / 2 (I + A h / 3 (I + A h / 4))).
    step = [[_times(v, h) for v in row] for row in a]
    series: Matrix = [[1.0 if i == j else 0.0 for j in range(n)] for i in range(n)]
    integral = series  # of exp(A s) over h, divided by h
    for k in (4, 3, 2):
        integral = _plus_identity(_scaled(_product(step, integral), 1.0 / (k + 1)))
    integral = _plus_identity(_scaled(_product(step, integral), 0.5))
    keep = _plus_identity(_product(step, integral))
    gain = [_times(v, h) for v in _on(integral, b)]
    reach = [_times(v, h) for v in _under(c, integral)]
    # c times the double integral, by Horner as well: h^2 / 2 c (I + A h / 3 (I + A h / 4 (I + A h / 5))) b.
    twice: list[Entry] = list(b)
    for k in (5, 4, 3):
        twice = [_sum([b[i], _times(v, 1.0 / k)]) for i, v in enumerate(_on(step, twice))]
    swept = _times(_sum([_times(c[i], twice[i]) for i in range(n)]), 0.5 * h * h)
    found = Flow(keep, gain, reach, swept)
    for _ in range(m):
        found = _kept(then(found, found))
    return _kept(found)


def _kept(found: Flow) -> Flow:
    """The flow, computed once: the compiler would otherwise repeat it at every use."""
    leaves, shape = jax.tree.flatten(found)
    arrays = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Array)]
    for i, leaf in zip(arrays, jax.lax.optimization_barrier([leaves[i] for i in arrays]), strict=True):
        leaves[i] = leaf
    again: Flow = jax.tree.unflatten(shape, leaves)
    return again


def _plus_identity(a: Matrix) -> Matrix:
    return [[_sum([v, 1.0]) if i == j else v for j, v in enumerate(row)] for i, row in enumerate(a)]


def _scaled(a: Matrix, by: Entry) -> Matrix:
    return [[_times(v, by) for v in row] for row in a]


def then(first: Flow, second: Flow) -> Flow:
    """Two times after one another, with the input going on."""
    n = len(first.gain)
    gain = [_sum([v, g]) for v, g in zip(_on(second.keep, first.gain), second.gain, strict=True)]
    reach = [_sum([r, v]) for r, v in zip(first.reach, _under(second.reach, first.keep), strict=True)]
    across = _sum([_times(second.reach[k], first.gain[k]) for k in range(n)])
    return Flow(_product(second.keep, first.keep), gain, reach, _sum([first.swept, second.swept, across]))
