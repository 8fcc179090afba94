"""Regimens in closed form: one or two compartments, doses into the vein, and nothing that changes meanwhile.

With K(t) = exp(A t), and b the contents at the end of one dose, the contents at a time are

    K(r) x0 + K(v) (I + K(tau) + ... + K(tau)^(m-1)) b   [+ what runs in at that moment]

for x0 at the start, r hours ago, and m doses that have ended, the last one v hours ago. What is no longer in the body
has left by clearance, so that areas follow from the balance of masses. It is many times as fast as a walk from event to
event and agrees with it to rounding.
"""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from rl_drug_dosage.bedside.belief import Belief
from rl_drug_dosage.pkpd import Covariates, DrugModel, Regimen, individual_parameters, solve
from rl_drug_dosage.pkpd.flows import flows_of, is_closed
from rl_drug_dosage.pkpd.timeline import delivery_is_fixed

__all__ = ["Shots", "has_closed_form", "in_closed_form"]

_EDGE = 1e-9
"""Of an interval: times that are nearer to a dose are at it."""
_MOST_DOSES = 32


class Shots(eqx.Module):
    """Regimens and the times at which each is looked at."""

    time_h: Float[np.ndarray, "option time"]
    after: Bool[np.ndarray, "option time"]
    """Whether a bolus given at that time counts."""
    amount_mg: Float[np.ndarray, "option"]
    interval_h: Float[np.ndarray, "option"]
    duration_h: Float[np.ndarray, "option"]


def has_closed_form(belief: Belief, start_h: float, count: int) -> bool:
    """Whether this module serves a patient from ``start_h`` on.

    Args:
        belief: of one model.
        start_h: when regimens begin.
        count: most doses of a regimen.
    """
    if not is_closed(belief.model.structure) or count > _MOST_DOSES or not delivery_is_fixed(belief.found.typical):
        return False
    if any(dose.time_h + dose.duration_h > start_h for dose in belief.laid.doses):
        return False
    ahead = belief.laid.ahead
    later = np.asarray(ahead.time_h) >= start_h
    later[max(int(np.argmax(later)) - 1, 0) if later.any() else -1] |= not (np.asarray(ahead.time_h) == start_h).any()
    columns = (*ahead.values.values(), ahead.occasion)
    return all(len(np.unique(np.asarray(column)[later])) <= 1 for column in columns)


@partial(jax.jit, static_argnums=(0, 1))
def in_closed_form(
    model: DrugModel,
    doses: int,
    history: Regimen,
    covariates: Covariates,
    shots: Shots,
    start_h: Float[Array, ""],
    eta: Float[Array, "draw eta"],
    kappa: Float[Array, "draw occasion kappa"],
) -> tuple[Float[Array, "draw option time n"], Float[Array, "draw option time"]]:
    """Contents, mg, and areas since the first event, mg h/L, for every draw and regimen.

    Args:
        model: static.
        doses: most doses of a regimen; static.
        history: the doses so far.
        covariates: of the patient, constant from ``start_h`` on.
        shots: the regimens.
        start_h: when they begin.
        eta: of every draw.
        kappa: likewise.
    """
    times = jnp.reshape(start_h, 1)

    def one(eta: Array, kappa: Array) -> tuple[Array, Array]:
        every = individual_parameters(model, covariates, eta, kappa)
        past = solve(model.structure, every, history, covariates, times, auc=True)
        p = {name: value[covariates.index_at(start_h)] for name, value in every.items()}
        follow = partial(_followed, model, doses, p, past.contents[0], past.auc_mg_h_per_l[0], start_h)
        return jax.vmap(follow)(shots)

    return jax.vmap(one)(eta, kappa)


def _followed(
    model: DrugModel,
    doses: int,
    p: dict[str, Array],
    x0: Float[Array, "n"],
    area0: Float[Array, ""],
    start_h: Float[Array, ""],
    shot: Shots,
) -> tuple[Float[Array, "time n"], Float[Array, "time"]]:
    """One regimen after the history."""
    over = flows_of(model.structure, p, 0, 0)
    n, tau, lasts = x0.shape[0], shot.interval_h, shot.duration_h
    bolus = lasts <= 0
    rate = shot.amount_mg / jnp.where(bolus, 1.0, lasts)
    unit = jnp.eye(n)
    ended = jnp.where(bolus, shot.amount_mg * unit[0], rate * jnp.stack(over(lasts).gain))
    step, sums = _square(over(tau).keep), [jnp.zeros(n)]
    for _ in range(doses):
        sums.append(ended + step @ sums[-1])
    left = jnp.stack(sums)

    def at(time: Array, after: Array) -> tuple[Array, Array]:
        gone = time - start_h
        edge = jnp.where(bolus & ~after, -_EDGE, _EDGE)
        count = jnp.clip(jnp.floor((gone - lasts) / tau + 1.0 + edge), 0, doses).astype(int)
        since = jnp.maximum(gone - lasts - (count - 1) * tau, 0.0)
        runs = jnp.clip(gone - count * tau, 0.0, lasts) * (count < doses)
        x = _square(over(gone).keep) @ x0 + _square(over(since).keep) @ left[count]
        x = x + rate * jnp.stack(over(runs).gain) * ~bolus
        given = shot.amount_mg * count + jnp.where(bolus, 0.0, rate * runs)
        return x, area0 + (jnp.sum(x0) + given - jnp.sum(x)) / p["cl"]

    return jax.vmap(at)(jnp.asarray(shot.time_h), jnp.asarray(shot.after))


def _square(rows: list[list[Array]]) -> Float[Array, "n n"]:
    return jnp.stack([jnp.stack(row) for row in rows])
