"""Support patients through an interval, and the results that come back in it."""

import math
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from rl_drug_dosage.clinic.areas import added
from rl_drug_dosage.clinic.ensemble.learning import Results, forgotten, learnt
from rl_drug_dosage.clinic.ensemble.play import Given, interval_mg, outputs_at, played, sampled_rows, slots
from rl_drug_dosage.clinic.ensemble.support import (
    Assumed,
    Cloud,
    Draws,
    Ensemble,
    admitted,
    parameters_of,
    window_of,
)
from rl_drug_dosage.clinic.record import Record, results_back
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.pkpd.bayes.search import FARTHEST, largest_misfit
from rl_drug_dosage.utils.if_any import if_any

__all__ = [
    "advanced",
    "begun",
    "carried",
    "disturbance_of",
    "informed",
    "new_results",
    "over_interval",
    "persistence",
    "walked",
]

_LOST = -1e3
"""Logarithm of the weight of a support patient whose equations have failed."""
_DOUBTED = 0.01
"""Share of the information that is kept when the next results come, if the last ones were impossible."""


def persistence(scenario: Scenario) -> float:
    """Of the ratio of levels to predictions over an interval: it is forgotten over the look-ahead."""
    return math.exp(-1.0 / scenario.look_ahead)


def begun(assumed: Assumed, draws: tuple[Draws, ...], scenario: Scenario, record: Record) -> Ensemble:
    """The belief at admission, with the level before the first dose if it was drawn."""
    window, samples = window_of(scenario), len(scenario.monitoring.at_h)
    clouds, afters, misfits = [], [], []
    for model, own in zip(assumed.models, draws, strict=True):
        cloud, baseline = admitted(model, scenario, own, record)
        if scenario.monitoring.baseline:
            used = jnp.reshape(record.baseline > 0, 1)
            results = Results(jnp.where(used, record.baseline, 1.0), used, jnp.zeros(1, bool))
            after, misfit = learnt(model, scenario, own, cloud, baseline[None], results, 0)
            misfits.append(misfit)
            afters.append(after)
        clouds.append(cloud)
    sound = jnp.min(jnp.stack(misfits)) <= largest_misfit(jnp.ones(())) if misfits else jnp.asarray(True)
    if afters:
        clouds = jax.tree.map(partial(jnp.where, sound), afters, clouds)
    return Ensemble(tuple(clouds), jnp.zeros((window, samples), bool), sound)


def walked(
    scenario: Scenario, draws: Draws, table: Int[Array, ""], count: int | None = None
) -> tuple[Float[Array, "kappa member"], Float[Array, " member"], Float[Array, " member"]]:
    """Kappas, intake multipliers and steps of the ratio of all, or the first, support patients in one interval."""
    noise = draws.walk[table % draws.walk.shape[0], :, :count]
    kappas = draws.kappa_root.shape[0]
    kappa = draws.kappa_root @ noise[:kappas]
    eaten = jnp.ones(noise.shape[1])
    if scenario.intake is not None:
        cv = scenario.intake.cv
        eaten = jnp.exp(cv * noise[kappas] - 0.5 * cv**2)
        kappas += 1
    step = noise[kappas] if noise.shape[0] > kappas else jnp.zeros(noise.shape[1])
    return kappa, eaten, step


def disturbance_of(model: DrugModel, scenario: Scenario, latent: Float[Array, "latent member"]) -> Array | None:
    """Multipliers of the scenario's disturbance."""
    return None if scenario.disturbance is None else jnp.exp(latent[len(model.etas)])


def advanced(
    assumed: Assumed, draws: tuple[Draws, ...], scenario: Scenario, belief: Ensemble, record: Record
) -> Ensemble:
    """The belief at decision ``record.k``: after the interval before it, with the results that have come back since."""
    return informed(assumed, draws, scenario, over_interval(assumed, draws, scenario, belief, record), record)


def over_interval(
    assumed: Assumed, draws: tuple[Draws, ...], scenario: Scenario, belief: Ensemble, record: Record
) -> Ensemble:
    """The belief after the interval before ``record.k``, without the results that have come back since."""
    # A condition on what differs in a batch would make the constants of `in_groups` differ as well, which it refuses.
    return if_any(record.k > 0, lambda own: _through(assumed, draws, scenario, own, record), belief)


def informed(
    assumed: Assumed, draws: tuple[Draws, ...], scenario: Scenario, belief: Ensemble, record: Record
) -> Ensemble:
    """The belief after `over_interval` with the results that have come back since the last decision.

    At decisions for which the scenario plans no result it is left as it is, also in a batch of patients at different
    decisions if none of them has one.
    """
    # `begun` has used the level before the first dose.
    back = np.diff(results_back(scenario), prepend=int(scenario.monitoring.baseline)) > 0
    fresh = jnp.asarray(back)[record.k]
    return if_any(fresh, lambda own: _informed(assumed, draws, scenario, own, record), belief)


def _through(
    assumed: Assumed, draws: tuple[Draws, ...], scenario: Scenario, belief: Ensemble, record: Record
) -> Ensemble:
    clouds = tuple(
        carried(assumed, model, scenario, own, cloud, record)
        for model, own, cloud in zip(assumed.models, draws, belief.clouds, strict=True)
    )
    counted = jnp.concatenate([belief.counted[1:], jnp.zeros_like(belief.counted[:1])])
    return Ensemble(clouds, counted, belief.converged)


def carried(
    assumed: Assumed, model: DrugModel, scenario: Scenario, draws: Draws, cloud: Cloud, record: Record
) -> Cloud:
    """The support patients of a model after the interval before ``record.k``."""
    j = jnp.maximum(record.k - 1, 0)
    kappa, eaten, step = walked(scenario, draws, record.k)
    taken = None
    if scenario.adherence.missed_mean > 0:
        taken = (draws.chance[record.k % draws.chance.shape[0]] >= cloud.missing).astype(float)
    latent = cloud.latent
    if assumed.offset_sd > 0:
        rho = persistence(scenario)
        latent = latent.at[-1].set(rho * latent[-1] + math.sqrt(1 - rho**2) * assumed.offset_sd * step)
    p = parameters_of(model, scenario, record, latent, kappa, j)
    mg = interval_mg(scenario, record, record.prescription(j), j)
    rows = sampled_rows(model, scenario)
    out = played(model, scenario, rows, p, cloud.contents, Given(mg, taken, record.intake_mg[j] * eaten), j)
    values = outputs_at(model, scenario, rows, p, out.at_rows, disturbance_of(model, scenario, latent), j)
    levels = values[jnp.asarray(slots(model, scenario)), model.output_index(scenario.monitoring.output)]
    if assumed.offset_sd > 0:
        levels = levels * jnp.exp(latent[-1])
    # Equations may fall faster than their steps; such a support patient stays behind, without weight.
    lost = ~(jnp.all(jnp.isfinite(out.end), axis=0) & jnp.all(jnp.isfinite(levels), axis=0))
    raw = jnp.where(lost & ~jnp.all(lost), _LOST, cloud.log_weight)
    moved: Cloud = eqx.tree_at(
        lambda c: (c.latent, c.log_weight, c.contents, c.areas, c.pending),
        cloud,
        (
            latent,
            raw - jax.nn.logsumexp(raw),
            jnp.where(lost, cloud.contents, out.end),
            jax.vmap(added, in_axes=-1, out_axes=-1)(cloud.areas, jnp.where(jnp.isfinite(out.area), out.area, 0.0)),
            jnp.concatenate([cloud.pending[1:], jnp.where(lost, cloud.pending[-1], levels)[None]]),
        ),
    )
    if assumed.forget == 1.0:
        return moved
    return forgotten(draws, moved, assumed.forget)


def new_results(belief: Ensemble, record: Record) -> Results:
    """The results of the last intervals that the belief has not used, oldest first: all samples in one row."""
    window, steps = belief.counted.shape[0], record.level.shape[0]
    which = record.k - window + jnp.arange(window)
    inside = (which >= 0)[:, None]
    which = jnp.clip(which, 0, steps - 1)
    new = record.known[which] & inside & ~belief.counted
    return Results(jnp.where(new, record.level[which], 1.0).ravel(), new.ravel(), (record.below[which] & new).ravel())


def _informed(
    assumed: Assumed, draws: tuple[Draws, ...], scenario: Scenario, belief: Ensemble, record: Record
) -> Ensemble:
    results = new_results(belief, record)
    new = results.used.reshape(belief.counted.shape)
    number = jnp.sum(new)
    befores, afters, misfits, far = [], [], [], []
    for model, own, cloud in zip(assumed.models, draws, belief.clouds, strict=True):
        # Wide again if impossible results have moved it far, so that new ones can move it.
        doubted = ~belief.converged & (number > 0) & (_distance(model, own, cloud) > FARTHEST)
        before = if_any(doubted, partial(forgotten, own, kept=_DOUBTED, floor=_DOUBTED), cloud)
        flat = before.pending.reshape(-1, before.log_weight.size)
        after, misfit = learnt(model, scenario, own, before, flat, results, record.k)
        befores.append(before)
        afters.append(after)
        misfits.append(misfit)
        far.append(_distance(model, own, after))
    best = jnp.argmax(jnp.stack([c.log_mass for c in afters]))
    sound = (jnp.stack(misfits)[best] <= largest_misfit(number)) & (jnp.stack(far)[best] <= FARTHEST)
    # Impossible results are left out, since one of them may be a mistake; twice in a row they are heeded.
    clouds = jax.tree.map(partial(jnp.where, sound | ~belief.converged), tuple(afters), tuple(befores))
    return Ensemble(clouds, belief.counted | new, jnp.where(number > 0, sound, belief.converged))


def _distance(model: DrugModel, draws: Draws, cloud: Cloud) -> Float[Array, ""]:
    """Of the mean random effects from 0, in sds of the prior: the largest."""
    etas = len(model.etas)
    mean, sd = cloud.latent[:etas] @ cloud.weight, jnp.sqrt(jnp.sum(draws.root[:etas] ** 2, axis=1))
    return jnp.max(jnp.abs(mean) / jnp.maximum(sd, 1e-9), initial=0.0)
