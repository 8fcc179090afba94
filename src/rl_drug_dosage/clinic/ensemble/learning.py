"""Weights of support patients from results, and new support patients where few would carry most of the weight.

The likelihood is let in by stages. A stage takes the largest share of it that leaves an effective number of 30 % of
the support patients. If the effective number is below 35 %, the cloud is drawn anew from its weights with equal
spacing, and moved a little. (Fewer would do where levels are as expected, since the prior's points are evenly spread
and drawing anew undoes that; levels far out need steps as short as these.) With mean m, covariance C = L L' and
a = 0.95 (Liu and West 2001, in Doucet et al., Sequential Monte Carlo Methods in Practice)

    u' = m + a (u - m) + sqrt(1 - a^2) L e,   e ~ N(0, 1),

followed by the affine map that restores m and C exactly. Compartments, areas and predicted levels follow by the cloud's
own linear regression on u, x' = x + Cov(x, u) C^-1 (u' - u): nothing is played again, so that a decision costs the same
whenever it is made.
"""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rl_drug_dosage.clinic.belief import level_errors
from rl_drug_dosage.clinic.ensemble.support import Cloud, Draws, exponential
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.pkpd.bayes.small_systems import lower_factor, solve_lower, solve_upper
from rl_drug_dosage.utils.if_any import if_any

__all__ = ["LEFT", "Results", "drawn", "forgotten", "learnt"]

_STAGES = 20
"""The last one takes the rest of the likelihood in, whatever is left."""
LEFT = 0.3
"""Effective share of the cloud after a stage."""
_HALVINGS = 10
_LEAST = 0.35
"""Effective share of the cloud below which it is drawn anew."""
_KEPT = 0.95
_RIDGE = 1e-6
_IMPOSSIBLE = -1e6
_FLOOR = 0.1
"""Amounts that were not negative stay at least this share of what they were."""


class Results(NamedTuple):
    """Results that have come back."""

    level: Float[Array, " level"]
    used: Bool[Array, " level"]
    below: Bool[Array, " level"]
    """Below the limit of quantification, which is the level then (M3)."""


class _State(NamedTuple):
    cloud: Cloud
    predicted: Float[Array, "level member"]
    left: Float[Array, ""]
    """Share of the likelihood that is not yet in."""
    stage: Int[Array, ""]
    thin: Bool[Array, ""]


def learnt(
    model: DrugModel,
    scenario: Scenario,
    draws: Draws,
    cloud: Cloud,
    predicted: Float[Array, "level member"],
    results: Results,
    table: Int[Array, ""] | int,
) -> tuple[Cloud, Float[Array, ""]]:
    """The cloud after results, and their mean misfit: about their number if the model is right.

    Args:
        model: that the support patients follow.
        scenario: the task.
        draws: of the model.
        cloud: before.
        predicted: the levels under each support patient.
        results: what has come back.
        table: which normal draws to begin with.
    """

    def weigh(state: _State) -> _State:
        log, _ = _likelihood(model, scenario, state.predicted, results)
        share = _share(state.cloud.log_weight, log, state.left)
        share = jnp.where(state.stage >= _STAGES - 1, state.left, share)
        # Against the best support patient: the small differences of large numbers would be rounded away.
        best = jnp.max(log)
        raw = state.cloud.log_weight + share * (log - best)
        most = jnp.max(raw)
        total = most + jnp.log(jnp.sum(exponential(raw - most)))
        mass = state.cloud.log_mass + total + share * best
        after = eqx.tree_at(lambda c: (c.log_weight, c.log_mass), state.cloud, (raw - total, mass))
        thin = (after.effective < _LEAST * log.size) & (after.latent.shape[0] > 0)
        left = jnp.where(share >= state.left * (1.0 - 1e-6), 0.0, state.left - share)
        return _State(after, state.predicted, left, state.stage + 1, thin)

    def renew(state: _State) -> _State:
        jitter = draws.jitter[(table + state.stage) % draws.jitter.shape[0]]
        cloud, followed = _renewed(draws, state.cloud, state.predicted, jitter)
        return state._replace(cloud=cloud, predicted=followed, thin=jnp.asarray(False))

    def stage(state: _State) -> _State:
        # Without a thin cloud, only the next share is due.
        state = if_any(state.thin, renew, state)
        return jax.tree.map(lambda a, b: jnp.where(state.left > 0, a, b), weigh(state), state)

    left = jnp.any(results.used).astype(float)
    start = _State(cloud, predicted, left, jnp.zeros((), jnp.int32), jnp.asarray(False))
    state = jax.lax.while_loop(lambda s: (s.left > 0) | s.thin, stage, start)
    _, off = _likelihood(model, scenario, state.predicted, results)
    return state.cloud, state.cloud.weight @ off


def _share(log_weight: Float[Array, " member"], log: Float[Array, " member"], left: Float[Array, ""]) -> Array:
    """The largest share of log-likelihoods, up to ``left``, that leaves enough effective support patients."""
    log = log - jnp.max(log)

    def enough(share: Array) -> Array:
        raw = log_weight + share * log
        raw = exponential(raw - jnp.max(raw))
        return jnp.sum(raw) ** 2 >= LEFT * log.size * jnp.sum(raw * raw)

    def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        # The first steps towards an impossible level have to be very short.
        middle = jnp.where(low > 0, 0.5 * (low + high), 0.1 * high)
        ok = enough(middle)
        return jnp.where(ok, middle, low), jnp.where(ok, high, middle)

    low, _ = jax.lax.fori_loop(0, _HALVINGS, halve, (jnp.zeros_like(left), left))
    return jnp.where(enough(left), left, jnp.maximum(low, 1e-9))


def _likelihood(
    model: DrugModel, scenario: Scenario, f: Float[Array, "level member"], results: Results
) -> tuple[Float[Array, " member"], Float[Array, " member"]]:
    """Log-likelihood of the results and sum of squared weighted residuals."""
    level, used, below = (v[:, None] for v in results)
    error, log_variance, lost = level_errors(model, scenario, f, jnp.broadcast_to(level, f.shape))
    u = error * jnp.exp(-0.5 * log_variance)
    # With scenarios that quantify everything, the costly tail is left out.
    hidden = jax.scipy.stats.norm.logcdf(-u) if scenario.monitoring.lloq > 0 else jnp.zeros_like(u)
    each = jnp.where(below, hidden, -0.5 * (u * u + log_variance))
    each = jnp.where(lost | ~jnp.isfinite(each), _IMPOSSIBLE, each)
    off = jnp.where(below, jnp.maximum(u, 0.0), u) ** 2
    off = jnp.where(lost | ~jnp.isfinite(off), -_IMPOSSIBLE, off)
    return jnp.sum(jnp.where(used, each, 0.0), axis=0), jnp.sum(jnp.where(used, off, 0.0), axis=0)


def _moments(draws: Draws, cloud: Cloud) -> tuple[Array, Array, Array]:
    """Mean of the random effects, distances from it, and the Cholesky factor of their covariance."""
    w = cloud.weight
    mean = cloud.latent @ w
    off = cloud.latent - mean[:, None]
    return mean, off, lower_factor((off * w) @ off.T + jnp.diag(_ridge(draws)))


def _ridge(draws: Draws) -> Float[Array, " latent"]:
    return _RIDGE * jnp.sum(draws.root**2, axis=1) + 1e-12


def _slope(w: Array, off: Array, root: Array, state: Float[Array, "state member"]) -> Float[Array, "latent state"]:
    """Of the weighted regression of the state on the random effects."""
    cross = (off * w) @ (state - (state @ w)[:, None]).T
    slope = solve_upper(root, solve_lower(root, cross))
    return jnp.where(jnp.isfinite(slope), slope, 0.0)


def _followed(before: Array, slope: Array, change: Array, floor: float = _FLOOR) -> Array:
    after = before + slope.T @ change
    return jnp.where(before >= 0, jnp.maximum(after, floor * before), after)


def _renewed(
    draws: Draws, cloud: Cloud, predicted: Float[Array, "level member"], jitter: Float[Array, "latent member"]
) -> tuple[Cloud, Float[Array, "level member"]]:
    """Drawn anew by weight and moved, with what follows from the random effects."""
    w = cloud.weight
    members, n, kept = w.size, cloud.contents.shape[0], cloud.areas.reshape(-1, w.size).shape[0]
    chosen = drawn(w, members)
    mean, off, root = _moments(draws, cloud)
    old = cloud.latent[:, chosen]
    new = _KEPT * (old - mean[:, None]) + math.sqrt(1.0 - _KEPT**2) * root @ jitter
    new = new - jnp.mean(new, axis=1, keepdims=True)
    again = lower_factor(new @ new.T / members + jnp.diag(_ridge(draws)))
    new = mean[:, None] + root @ solve_lower(again, new)
    new = jnp.where(jnp.all(jnp.isfinite(new)), new, old)
    parts = (cloud.contents, cloud.areas.reshape(kept, members), cloud.pending.reshape(-1, members), predicted)
    state = jnp.concatenate(parts)
    state = _followed(state[:, chosen], _slope(w, off, root, state), new - old)
    contents, areas, pending, followed = jnp.split(
        state, [n, n + kept, n + kept + cloud.pending.shape[0] * cloud.pending.shape[1]]
    )
    fresh = Cloud(
        latent=new,
        log_weight=jnp.full(members, -jnp.log(members)),
        contents=contents,
        areas=areas.reshape(cloud.areas.shape),
        pending=pending.reshape(cloud.pending.shape),
        missing=cloud.missing[chosen],
        log_mass=cloud.log_mass,
    )
    return fresh, followed


def drawn(w: Float[Array, " member"], count: int) -> Int[Array, " count"]:
    """Support patients by weight, with equal spacing."""
    # How many of the evenly spaced places lie below each one's share; a search for every place would be slower.
    below = jnp.ceil(jnp.cumsum(w) * count - 0.5).astype(int)
    starts = jnp.zeros(count, int).at[jnp.clip(below[:-1], 0, count)].add(1, mode="drop")
    return jnp.cumsum(starts)


def forgotten(draws: Draws, cloud: Cloud, kept: float, floor: float = _FLOOR) -> Cloud:
    """The cloud with the share ``kept`` of its information: the density p^kept prior^(1 - kept) of a normal cloud.

    With precision P and mean m of the cloud and P0 of the prior, the new precision is kept P + (1 - kept) P0 and the
    new mean its inverse times kept P m.

    Args:
        draws: of the model.
        cloud: before.
        kept: the share.
        floor: amounts and levels that were not negative stay at least this share of what they were.
    """
    mean, off, root = _moments(draws, cloud)
    own, prior = root @ root.T, draws.root @ draws.root.T + jnp.diag(_ridge(draws))
    # With covariances C and C0 that precision is C0^-1 (kept C0 + (1 - kept) C) C^-1: one system in place of three.
    mixed = lower_factor(kept * prior + (1.0 - kept) * own)
    solved = solve_upper(mixed, solve_lower(mixed, jnp.concatenate([own, mean[:, None]], axis=1)))
    wider, centre = prior @ solved[:, :-1], kept * prior @ solved[:, -1]
    factor = lower_factor(0.5 * (wider + wider.T))
    new = centre[:, None] + factor @ solve_lower(root, off)
    new = jnp.where(jnp.all(jnp.isfinite(new)), new, cloud.latent)
    pending = cloud.pending.reshape(-1, cloud.log_weight.size)
    state = jnp.concatenate([cloud.contents, pending])
    state = _followed(state, _slope(cloud.weight, off, root, state), new - cloud.latent, floor)
    contents, pending = state[: cloud.contents.shape[0]], state[cloud.contents.shape[0] :].reshape(cloud.pending.shape)
    return eqx.tree_at(lambda c: (c.latent, c.contents, c.pending), cloud, (new, contents, pending))
