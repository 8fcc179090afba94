"""When a course crosses a level: the wait until a trough is low enough for the next dose."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rl_drug_dosage.pkpd import Covariates, DrugModel, Regimen, predict

__all__ = ["falls_below_h", "last_crossing_h"]


def last_crossing_h(
    time_h: Float[Array, "time"], values: Float[Array, "time"], level: float | Array
) -> Float[Array, ""]:
    """When a course falls below a level for good; the first time where it never reaches it, infinity if it stays above.

    Between two times the course is taken as exponential where both values are above 0 (exact in the terminal phase of a
    linear model), otherwise as a straight line.

    Args:
        time_h: ascending times, h.
        values: the course.
        level: to fall below.
    """
    above = values >= level
    last = values.shape[0] - 1
    at = last - jnp.argmax(above[::-1])
    after = jnp.minimum(at + 1, last)
    high, low = values[at], values[after]
    curved = (low > 0) & (high > 0) & (level > 0)
    straight = jnp.where(high > low, (high - level) / jnp.where(high > low, high - low, 1.0), 0.0)
    logs = jnp.log(jnp.where(curved, jnp.stack([high, low, jnp.full_like(low, level)]), jnp.array([2.0, 1.0, 1.0])))
    part = jnp.where(curved, (logs[0] - logs[2]) / jnp.where(logs[0] > logs[1], logs[0] - logs[1], 1.0), straight)
    when = time_h[at] + jnp.clip(part, 0.0, 1.0) * (time_h[after] - time_h[at])
    return jnp.where(above[last], jnp.inf, jnp.where(jnp.any(above), when, time_h[0]))


def falls_below_h(
    model: DrugModel,
    regimen: Regimen,
    covariates: Covariates,
    eta: Float[Array, "draw eta"],
    kappa: Float[Array, "draw occasion kappa"],
    level: float,
    *,
    output: int,
    time_h: Float[Array, "time"] | Float[np.ndarray, "time"],
) -> Float[Array, "draw"]:
    """When the course under the doses so far falls below a level for good, for each draw; see `last_crossing_h`.

    Args:
        model: the drug.
        regimen: the doses so far; none follows.
        covariates: the patient's table.
        eta: draws.
        kappa: draws.
        level: in the output's unit.
        output: index of the output.
        time_h: times at which the course is looked at, ascending from when the wait begins; crossings are found between
            them.
    """
    times = jnp.asarray(time_h, dtype=float)

    def one(own_eta: Array, own_kappa: Array) -> Array:
        course = predict(model, regimen, covariates, times, own_eta, own_kappa)[:, output]
        return last_crossing_h(times, course, level)

    return jax.vmap(one)(eta, kappa)
