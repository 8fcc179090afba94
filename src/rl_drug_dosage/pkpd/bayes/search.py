"""The minimum of OBJ / 2: damped Gauss-Newton descents, started again elsewhere where the first one is not believable.

A descent can end in a local minimum, on a plateau (a level before an estimated lag: no random effect moves it) or
nowhere at all. `search` therefore judges the end of the first descent. If that did not converge or is implausible, it
evaluates OBJ at other points (`starting_points`), descends from the best of them too, and keeps the lower end.
"""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from rl_drug_dosage.pkpd.bayes.objective import Curvature
from rl_drug_dosage.pkpd.bayes.small_systems import solve_positive
from rl_drug_dosage.utils.while_each import while_each

__all__ = [
    "FARTHEST",
    "Minimum",
    "bends_upwards",
    "largest_misfit",
    "minimise",
    "plausible",
    "scaled_hessian",
    "search",
    "starting_points",
]

_FIRST_DAMPING, _MOST_DAMPING, _SHORTEST = 1e-3, 1e10, 1e-6
"""The last is a length of a step, in prior standard deviations, that is not shortened further."""
_ROUNDING, _NEAR = 100.0, 0.1
"""A rejected step ends a descent as converged if it was to lower OBJ by less than this multiple of the slack, and was
shorter than this many posterior standard deviations."""
_ROUNDING_LAST, _NEAR_LAST = 1000.0, 0.3
"""The same at the end of a descent that no step leads on: a long history in single precision has no better gradient."""
FARTHEST = 4.0
"""In prior standard deviations: a random effect beyond it is implausible."""


class Minimum(eqx.Module):
    """Where a search has ended; leading axes are patients."""

    z: Float[Array, "z"]
    at: Curvature
    converged: Bool[Array, ""]
    """sqrt(g' B^-1 g), about the length of the next undamped step in posterior standard deviations, is below tolerance;
    g is the gradient, B `Curvature.bend`."""
    evaluations: Int[Array, ""]


class _Descent(eqx.Module):
    """A descent between two evaluations: the best point so far, and the step from there that is tried next."""

    z: Float[Array, "z"]
    at: Curvature
    move: Float[Array, "z"]
    length: Float[Array, ""]
    """Of the step, in prior standard deviations."""
    longest: Float[Array, ""]
    """Longest step that is tried now."""
    damping: Float[Array, ""]
    growth: Float[Array, ""]
    evaluations: Int[Array, ""]
    done: Bool[Array, ""]
    converged: Bool[Array, ""]


def _begin(z0: Float[Array, "z"]) -> _Descent:
    size = z0.shape[0]
    zeros, zero, no = jnp.zeros(size, z0.dtype), jnp.zeros((), z0.dtype), jnp.asarray(False)
    square, none = jnp.zeros((size, size), z0.dtype), jnp.zeros((), jnp.int32)
    nowhere = Curvature(zero, zeros, square, square, zero, none)
    farthest, damping, growth = (jnp.asarray(v, z0.dtype) for v in (3.0 + size**0.5, _FIRST_DAMPING, 2.0))
    return _Descent(z0, nowhere, zeros, zero, farthest, damping, growth, none, no, no)


def _advanced(
    descent: _Descent, trial: Curvature, precision: Float[Array, "z z"], tolerance: float, max_evaluations: int
) -> _Descent:
    """Accept or reject the trial point, and propose the next one.

    Each step solves (B + mu diag B) d = -g; mu follows the ratio of actual to predicted decrease (Nielsen 1999,
    IMM-REP-1999-05). A step is at most 3 + sqrt(n) prior standard deviations long, and after a rejected one of that
    length at most a quarter of it.
    """
    at, move, damping, longest = descent.at, descent.move, descent.damping, descent.longest
    first = descent.evaluations == 0
    fall, change = at.value - trial.value, move @ at.bend @ move
    # The slack accepts the last steps, which change OBJ by less than its rounding error.
    slack = 8 * jnp.finfo(move.dtype).eps * (1.0 + jnp.abs(at.value))
    better = (fall >= -slack) | first
    gain = fall / jnp.maximum(-(move @ at.gradient) - 0.5 * change, jnp.finfo(move.dtype).tiny)
    eased = damping * jnp.maximum(1.0 / 3.0, 1.0 - (2.0 * jnp.clip(gain, 0.0, 1.0) - 1.0) ** 3)
    cut = descent.length >= longest * 0.999
    harder = jnp.where(cut, damping, damping * descent.growth)
    damping = jnp.where(first, damping, jnp.where(better, eased, harder))
    growth = jnp.where(better, 2.0, jnp.where(cut, descent.growth, 2.0 * descent.growth))
    farthest = 3.0 + move.shape[0] ** 0.5
    longest = jnp.where(better, jnp.minimum(2.0 * longest, farthest), jnp.minimum(longest, 0.25 * descent.length))
    z = jnp.where(better, descent.z + move, descent.z)
    at = jax.tree.map(lambda new, old: jnp.where(better, new, old), trial, at)
    # How far the minimum is on the quadratic approximation. A damped step may be short for another reason.
    left = at.gradient @ solve_positive(at.bend, at.gradient)
    move = -solve_positive(at.bend + damping * jnp.diag(jnp.diagonal(at.bend)), at.gradient)
    length = jnp.sqrt(jnp.maximum(move @ precision @ move, 1e-24))
    move, length = move * jnp.minimum(1.0, longest / length), jnp.minimum(length, longest)
    evaluations = descent.evaluations + 1
    close = left < tolerance**2
    # Neither a start without a value nor one that no shorter step helps leads anywhere.
    stuck = ~jnp.isfinite(at.value) | ~jnp.isfinite(left) | (damping > _MOST_DAMPING) | (longest < _SHORTEST)
    # Below this OBJ cannot be lowered in this precision: the first step that fails is the last.
    over = stuck | (evaluations >= max_evaluations)
    rounded = ~better & (left < jnp.minimum(_ROUNDING * slack, _NEAR**2))
    rounded = rounded | (over & (left < jnp.minimum(_ROUNDING_LAST * slack, _NEAR_LAST**2)))
    done = close | rounded | over
    converged = jnp.isfinite(at.value) & (left >= 0) & (close | rounded)
    return _Descent(z, at, move, length, longest, damping, growth, evaluations, done, converged)


def minimise(
    curvature: Callable[[Float[Array, "z"]], Curvature],
    z0: Float[Array, "z"],
    precision: Float[Array, "z z"],
    *,
    tolerance: float,
    max_evaluations: int,
) -> Minimum:
    """One descent from ``z0``.

    Args:
        curvature: OBJ / 2, see `make_objective`.
        z0: start.
        precision: of the prior, W^-1.
        tolerance: in posterior standard deviations, see `Minimum.converged`.
        max_evaluations: after which the descent ends.
    """

    def step(descent: _Descent) -> _Descent:
        trial = curvature(descent.z + descent.move)
        return _advanced(descent, trial, precision, tolerance, max_evaluations)

    end = jax.lax.while_loop(lambda d: ~d.done, step, _begin(z0))
    return Minimum(end.z, end.at, end.converged, end.evaluations)


def starting_points(
    prior: Float[np.ndarray, "z z"], distances: Sequence[float] = (1.5, 3.0, 6.0)
) -> Float[np.ndarray, "start z"]:
    """0, and each random effect alone at these numbers of prior standard deviations to either side.

    Correlated effects go along as far as the prior expects: z = s W e_i / sd_i.
    """
    along = prior / np.sqrt(np.diag(prior))[:, None]
    return np.concatenate([np.zeros((1, len(prior))), *(sign * s * along for s in distances for sign in (1.0, -1.0))])


def plausible(at: Curvature, z: Float[Array, "z"], sd: Float[Array, "z"], levels: Float[Array, ""]) -> Bool[Array, ""]:
    """Whether an estimate needs no second look.

    No random effect is beyond 4 prior standard deviations, no measured level is predicted to be 0, and the misfit is
    at most n + 5 sqrt(2 n) + 10 for n levels, where n is expected: a chance of about 2 in 100,000 for a single level if
    the model is right.

    Args:
        at: OBJ at the estimate.
        z: the estimate.
        sd: prior standard deviations.
        levels: number of levels used.
    """
    return (jnp.max(jnp.abs(z) / sd) <= FARTHEST) & (at.lost == 0) & (at.misfit <= largest_misfit(levels))


def largest_misfit(levels: Float[Array, ""]) -> Float[Array, ""]:
    """The misfit of n levels beyond which an estimate is implausible: n + 5 sqrt(2 n) + 10."""
    return levels + 5.0 * jnp.sqrt(2.0 * levels) + 10.0


def bends_upwards(
    gradient: Callable[[Float[Array, "z"]], Float[Array, "z"]], z: Float[Array, "z"], covariance: Float[Array, "z z"]
) -> Bool[Array, ""]:
    """Whether the Hessian at z, by differences of the gradient, is positive definite: a minimum and no saddle.

    Args:
        gradient: of OBJ / 2.
        z: where it is 0.
        covariance: of the estimate; differences are taken over a thousandth of a standard deviation in float64.
    """
    return jnp.all(jnp.linalg.eigvalsh(scaled_hessian(gradient, z, covariance)) > 0)


def scaled_hessian(
    gradient: Callable[[Float[Array, "z"]], Float[Array, "z"]], z: Float[Array, "z"], covariance: Float[Array, "z z"]
) -> Float[Array, "z z"]:
    """S' H S, with S S' the covariance and H the exact Hessian of OBJ / 2, by central differences of its gradient.

    Args:
        gradient: of OBJ / 2.
        z: where the Hessian is taken.
        covariance: of the estimate; differences are taken over a thousandth of a standard deviation in float64.
    """
    scale = jnp.linalg.cholesky(covariance)
    h = 1e-3 if z.dtype == jnp.float64 else 0.1
    ahead, behind = (jax.vmap(lambda column, s=s: gradient(z + s * h * column))(scale.T) for s in (1.0, -1.0))
    bend = (ahead - behind) @ scale / (2.0 * h)
    return 0.5 * (bend + bend.T)


def search(
    curvature: Callable[[Float[Array, "z"]], Curvature],
    z0: Float[Array, "z"],
    precision: Float[Array, "z z"],
    *,
    others: Float[Array, "start z"],
    accept: Callable[[Curvature, Float[Array, "z"]], Bool[Array, ""]],
    tolerance: float,
    max_evaluations: int,
    wanted: Bool[Array, ""] | bool = True,
) -> Minimum:
    """A descent from ``z0``, and where its end is not acceptable another from the best of other points.

    All in one loop, so that `curvature` is compiled once, and in which a batch does not wait for its slowest patient.

    Args:
        curvature: OBJ / 2, see `make_objective`.
        z0: the first start.
        precision: of the prior, W^-1.
        others: points that are evaluated if the first descent does not converge or is not accepted.
        accept: (OBJ, z) at the end of the first descent -> whether it needs no second look.
        tolerance: in posterior standard deviations.
        max_evaluations: of each of the two descents.
        wanted: False for a patient of a batch whose result is not used: the batch does not wait for them.

    Returns:
        The lower of the ends, whether or not it has been accepted. An end that leaves fewer levels without a prediction
        (`Curvature.lost`) counts as lower.
    """
    last = others.shape[0] + 1

    def step(state: tuple[Any, ...]) -> tuple[Any, ...]:
        # Stage 0: the first descent. 1 to last - 1: the other points. last: the second descent.
        descent, stage, best, seen, total, _ = state
        looking = (stage > 0) & (stage < last)
        point = others[jnp.clip(stage - 1, 0, last - 2)]
        trial = curvature(jnp.where(looking, point, descent.z + descent.move))
        descent = _choose(looking, descent, _advanced(descent, trial, precision, tolerance, max_evaluations))
        ended = ~looking & descent.done
        end = Minimum(descent.z, descent.at, descent.converged, descent.evaluations)
        best = _choose(ended & ((stage == 0) | _lower(end, best)), end, best)
        here = Minimum(point, trial, jnp.asarray(False), descent.evaluations)
        seen = _choose(looking & ((stage == 1) | _lower(here, seen)), here, seen)
        good = (stage == 0) & best.converged & accept(best.at, best.z)
        done = ended & (good | (stage == last))
        stage = jnp.where(looking | ended, stage + 1, stage)
        descent = _choose(looking & (stage == last), _begin(seen.z), descent)
        return descent, stage, best, seen, total + 1, done

    first, zero = _begin(z0), jnp.zeros((), jnp.int32)
    empty = Minimum(z0, first.at, jnp.asarray(False), zero)
    begin = (first, zero, empty, empty, zero, ~jnp.asarray(wanted))
    _, _, best, _, total, _ = while_each(lambda state: state[-1], step, begin)
    return Minimum(best.z, best.at, best.converged, total)


def _choose(which: Bool[Array, ""], one: Any, other: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(which, a, b), one, other)


def _lower(one: Minimum, other: Minimum) -> Bool[Array, ""]:
    """Fewer lost levels, or as many and a lower OBJ; converged ends win ties within a hundredth."""
    mine, its = (jnp.where(jnp.isfinite(m.at.value), m.at.value, jnp.inf) for m in (one, other))
    mine, its = (v + jnp.where(m.converged, 0.0, 0.005) for v, m in ((mine, one), (its, other)))
    return (one.at.lost < other.at.lost) | ((one.at.lost == other.at.lost) & (mine < its))
