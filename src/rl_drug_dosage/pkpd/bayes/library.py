"""The posterior on a library of support patients: random effects drawn from the prior, weighted by their likelihoods.

Every support patient is carried through the regimen once; a level then only changes the weights, by its likelihood
under each of them (M3 outside the limits of quantification). The same library serves level after level: `learn` takes
in further ones. What is stored of a support patient is x, its random effects in units of the prior: z = L x with
W = L L', so that x ~ N(0, 1), and the log-likelihood of every level.

When few support patients bear most of the weight, the levels are taken in by degrees instead (likelihoods to a power
that grows to 1), with as many degrees as leave the effective sample size at a bound. After each degree the library is
resampled by weight, and its patients are moved by Metropolis steps that leave the distribution reached so far as it is,
in turns

    a step towards the Gaussian with the library's mean m and covariance S:  x' = m + (x - m) / 2 + sqrt(3) / 2 S^1/2 e
    a random walk of its shape:                                              x' = x + 2.38 / sqrt(q) S^1/2 e

with e ~ N(0, 1) and q effects (Gilks and Berzuini 2001, resample-move; Chopin 2002; Del Moral 2006). The product of the
mean weights is an estimate of p(levels), the evidence.

Everything is a pure function over pytrees of fixed shapes; `jax.jit` and `jax.vmap` apply, in float32 and float64.
"""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

__all__ = ["Library", "draw_library", "learn", "resampled", "weighed"]

_MOST_DEGREES = 60
"""Degrees after which levels that are still not taken in are given up; the effective sample size is then 0."""
_KEPT = 0.5
"""Of the distance to the mean, in a step towards the Gaussian of the library."""


class Library(eqx.Module):
    """Support patients of one patient's posterior; leading axes are patients."""

    x: Float[Array, "support z"]
    """Random effects in units of the prior."""
    log_likelihood: Float[Array, "support level"]
    """Of every level under every support patient; 0 for a level that is not there."""
    log_weight: Float[Array, "support"]
    """Logarithm of the weights, up to a constant."""
    power: Float[Array, "level"]
    """1 for the levels that the weights know, 0 for others."""
    log_evidence: Float[Array, ""]
    """Estimate of ln p(levels taken in)."""
    moves: Int[Array, ""]
    """Resample-and-move rounds so far."""
    accepted: Float[Array, ""]
    """Share of the Metropolis steps of the last round that were accepted; 1 before any."""

    @property
    def weight(self) -> Float[Array, "support"]:
        """Weights that sum to 1."""
        return jax.nn.softmax(self.log_weight, axis=-1)

    @property
    def effective(self) -> Float[Array, ""]:
        """Effective sample size of the weights."""
        return 1.0 / jnp.sum(self.weight**2, axis=-1)


def draw_library(effects: int, levels: int, key: PRNGKeyArray, *, size: int = 4096) -> Library:
    """Support patients from the prior, before any level.

    Args:
        effects: number of random effects.
        levels: number of levels that there will ever be, used or not.
        key: random key.
        size: number of support patients.
    """
    x = jax.random.normal(key, (size, effects))
    zero, none = jnp.zeros((), x.dtype), jnp.zeros((), jnp.int32)
    table, power = jnp.zeros((size, levels), x.dtype), jnp.zeros(levels, x.dtype)
    return Library(x, table, jnp.zeros(size, x.dtype), power, zero, none, zero + 1.0)


def weighed(library: Library, power: Float[Array, "level"]) -> Library:
    """Take levels in, or out again, by their powers; the log-likelihoods must be in the table."""
    more = library.log_likelihood @ (power - library.power)
    before = library.log_weight - jax.nn.logsumexp(library.log_weight)
    found = before + more
    gained = jax.nn.logsumexp(found)
    return eqx.tree_at(
        lambda it: (it.log_weight, it.power, it.log_evidence),
        library,
        (found - gained, power, library.log_evidence + gained),
    )


def resampled(library: Library, key: PRNGKeyArray, count: int | None = None) -> Library:
    """Equally weighted support patients, drawn by weight with equal spacing (systematic resampling).

    Args:
        library: with any weights.
        key: random key.
        count: how many; None for as many as there are.
    """
    size = library.log_weight.shape[0]
    count = size if count is None else count
    positions = (jax.random.uniform(key) + jnp.arange(count)) / count
    chosen = jnp.clip(jnp.searchsorted(jnp.cumsum(library.weight), positions), 0, size - 1)
    return eqx.tree_at(
        lambda it: (it.x, it.log_likelihood, it.log_weight),
        library,
        (library.x[chosen], library.log_likelihood[chosen], jnp.zeros(count, library.log_weight.dtype)),
    )


def learn(
    library: Library,
    log_likelihoods: Callable[[Float[Array, "z"]], Float[Array, "level"]],
    power: Float[Array, "level"],
    key: PRNGKeyArray,
    *,
    bound: float = 512.0,
    steps: int = 4,
    count: int | None = None,
) -> Library:
    """Take levels in, with resample-and-move rounds as long as the effective sample size would fall below a bound.

    Args:
        library: what is known so far. Its table must hold the log-likelihoods of the new levels:
            ``jax.vmap(log_likelihoods)(library.x)``.
        log_likelihoods: of every level, as a function of x, see `library_patient.make_log_likelihoods`.
        power: 1 for each level that is known now.
        key: random key.
        bound: effective sample size that is kept.
        steps: Metropolis steps of a round.
        count: number of support patients from the first round on, and of those returned; None for all. With fewer than
            all, they are always resampled.

    Returns:
        The library that knows the levels. If even many rounds have not taken them in, its ``power`` is below 1.
    """
    start = library.power
    for_count, for_rounds = jax.random.split(key)
    library, share = _as_far_as_possible(library, start, power, jnp.zeros_like(library.log_evidence), bound)
    if count is not None:
        library = resampled(library, for_count, count)

    def goes_on(state: tuple[Library, Array, Array]) -> Array:
        return (state[1] < 1.0) & (state[0].moves < library.moves + _MOST_DEGREES)

    def go_on(state: tuple[Library, Array, Array]) -> tuple[Library, Array, Array]:
        known, reached, key = state
        for_draws, for_moves, key = jax.random.split(key, 3)
        known = _moved(resampled(known, for_draws), log_likelihoods, for_moves, steps)
        known, reached = _as_far_as_possible(known, start, power, reached, bound)
        return known, reached, key

    return jax.lax.while_loop(goes_on, go_on, (library, share, for_rounds))[0]


def _as_far_as_possible(
    library: Library, start: Array, power: Array, share: Array, bound: float
) -> tuple[Library, Array]:
    """Take as large a share of the levels in as leaves ``bound`` effective support patients, by bisection."""
    more = library.log_likelihood @ (power - start)

    def effective(step: Array) -> Array:
        return 1.0 / jnp.sum(jax.nn.softmax(library.log_weight + step * more) ** 2)

    # The likelihood of an impossible level is so small that the first steps have to be very short.
    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = jnp.where(low > 0, jnp.sqrt(low * high), 1e-4 * high)
        enough = effective(middle) >= bound
        return jnp.where(enough, middle, low), jnp.where(enough, high, middle)

    left = 1.0 - share
    low, _ = jax.lax.fori_loop(0, 40, halve, (jnp.zeros_like(left), left))
    whole = effective(left) >= bound
    reached = jnp.where(whole, 1.0, share + low)
    return weighed(library, jnp.where(whole, power, start + reached * (power - start))), reached


def _moved(
    library: Library,
    log_likelihoods: Callable[[Float[Array, "z"]], Float[Array, "level"]],
    key: PRNGKeyArray,
    steps: int,
) -> Library:
    """Metropolis steps of all support patients, which have to be equally weighted."""
    mean = jnp.mean(library.x, axis=0)
    effects, apart = library.x.shape[1], library.x - mean
    # The ridge keeps the factor finite where resampling has left copies of a few.
    factor = jnp.linalg.cholesky(apart.T @ apart / apart.shape[0] + 1e-6 * jnp.eye(effects, dtype=apart.dtype))
    run = jax.vmap(log_likelihoods)

    def gaussian(x: Array) -> Array:
        return -0.5 * jnp.sum(jax.scipy.linalg.solve_triangular(factor, (x - mean).T, lower=True) ** 2, axis=0)

    def target(x: Array, table: Array) -> Array:
        return table @ library.power - 0.5 * jnp.sum(x * x, axis=1)

    def step(state: tuple[Array, Array], own: tuple[PRNGKeyArray, Array]) -> tuple[tuple[Array, Array], Array]:
        (x, table), (key, towards) = state, own
        for_noise, for_accept = jax.random.split(key)
        noise = jax.random.normal(for_noise, x.shape, x.dtype) @ factor.T
        near = mean + _KEPT * (x - mean) + math.sqrt(1.0 - _KEPT**2) * noise
        there = jnp.where(towards, near, x + 2.38 / math.sqrt(effects) * noise)
        new = run(there)
        gain = target(there, new) - target(x, table)
        gain = gain - jnp.where(towards, gaussian(there) - gaussian(x), 0.0)
        yes = jnp.log(jax.random.uniform(for_accept, gain.shape, gain.dtype)) < gain
        return (jnp.where(yes[:, None], there, x), jnp.where(yes[:, None], new, table)), jnp.mean(yes, dtype=x.dtype)

    turns = (jax.random.split(key, steps), jnp.arange(steps) % 2 == 0)
    (x, table), accepted = jax.lax.scan(step, (library.x, library.log_likelihood), turns)
    return eqx.tree_at(
        lambda it: (it.x, it.log_likelihood, it.moves, it.accepted),
        library,
        (x, table, library.moves + 1, jnp.mean(accepted)),
    )
