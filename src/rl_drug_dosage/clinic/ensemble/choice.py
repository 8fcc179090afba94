"""The dose with the best expected goal over support patients."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rl_drug_dosage.clinic.ensemble.carry import walked
from rl_drug_dosage.clinic.ensemble.foresight import Ahead, Members, foreseen, with_forecast
from rl_drug_dosage.clinic.ensemble.learning import drawn
from rl_drug_dosage.clinic.ensemble.linear import is_linear
from rl_drug_dosage.clinic.ensemble.support import Assumed, Cloud, Draws, Ensemble
from rl_drug_dosage.clinic.planner import FACTORS, decide, steps_ahead
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.timetable import Answer
from rl_drug_dosage.pkpd import DrugModel

__all__ = ["best_dose", "members_of", "middle_of"]

_FACTORS_ODE = (0.75, 0.9, 1.1, 1.3)
"""In place of `planner.FACTORS` where every candidate costs an integration."""
_NEARNESS = 0.02
"""Weight of the squared deviations from the aims (`clinic.judge.deviations`) beside the missed goals. They decide where
no support patient meets the goal yet, and are too small to count where some do."""


def members_of(scenario: Scenario, draws: Draws, cloud: Cloud, record: Record, count: int) -> Members:
    """``count`` support patients that stand for all, drawn by weight with equal spacing."""
    chosen = drawn(cloud.weight, count)
    ahead = jnp.arange(steps_ahead(scenario))
    kappa, eaten, _ = jax.vmap(lambda h: walked(scenario, draws, record.k + 1 + h, count))(ahead)
    return Members(
        cloud.latent[:, chosen],
        cloud.contents[:, chosen],
        cloud.areas[..., chosen],
        cloud.missing[chosen],
        kappa,
        eaten,
    )


def middle_of(scenario: Scenario, draws: Draws, cloud: Cloud) -> Members:
    """The mean support patient, without chance."""
    w = cloud.weight
    ahead, latent = steps_ahead(scenario), (cloud.latent @ w)[:, None]
    return Members(
        latent,
        (cloud.contents @ w)[:, None],
        (cloud.areas @ w)[..., None],
        (cloud.missing @ w)[None],
        jnp.zeros((ahead, draws.kappa_root.shape[0], 1)),
        jnp.ones((ahead, 1)),
    )


def best_dose(
    assumed: Assumed,
    draws: tuple[Draws, ...],
    scenario: Scenario,
    belief: Ensemble,
    record: Record,
    plan: Float[Array, " move"],
) -> tuple[Answer, Float[Array, " move"]]:
    """The dose now, and the plan that it starts."""
    record = with_forecast(scenario, record)
    probability = belief.probability
    if assumed.select:
        probability = (jnp.arange(probability.size) == jnp.argmax(probability)).astype(float)
    parts = list(zip(assumed.models, draws, belief.clouds, strict=True))
    middles = [middle_of(scenario, own, cloud) for _, own, cloud in parts]
    few = [members_of(scenario, own, cloud, record, assumed.compared) for _, own, cloud in parts]

    def middle(choice: Array | None) -> Callable[[Array], Array]:
        looks = [
            foreseen(assumed, model, scenario, own, record, choice)
            for model, own in zip(assumed.models, middles, strict=True)
        ]
        shares = jnp.sqrt(probability)
        return lambda plan: jnp.concatenate(
            [s * look(plan).deviations.ravel() for s, look in zip(shares, looks, strict=True)]
        )

    def compared(choice: Array | None) -> Callable[[Array], Array]:
        each = [
            _losses(assumed, model, scenario, own, record, choice)
            for model, own in zip(assumed.models, few, strict=True)
        ]
        return lambda plans: sum(
            (p * losses(plans) for p, losses in zip(probability, each, strict=True)), jnp.zeros(plans.shape[0])
        )

    linear = all(model.structure.linear for model in assumed.models)
    factors = FACTORS if linear else _FACTORS_ODE
    if not assumed.steady:
        return decide(scenario, middle, plan, factors=factors, compared=compared)
    last = _last_dose(scenario, record)

    def priced(choice: Array | None) -> Callable[[Array], Array]:
        losses = compared(choice)
        return lambda plans: losses(plans) + assumed.steady * _changes(plans, last) / scenario.dosage.usual

    return decide(scenario, middle, plan, factors=factors, compared=priced, kept=last)


def _last_dose(scenario: Scenario, record: Record) -> Float[Array, ""]:
    """The last dose; where dosing intervals can be chosen, the last above 0, since a decision within one gives none."""
    given = jnp.arange(record.dose.shape[0]) < record.k
    if scenario.dosage.intervals_h:
        given &= record.dose > 0
    at = jnp.max(jnp.where(given, jnp.arange(record.dose.shape[0]), -1))
    return jnp.where(at >= 0, record.dose[at], 0.0)


def _changes(plans: Float[Array, "plan move"], last: Float[Array, ""]) -> Float[Array, " plan"]:
    """Sum of the changes of dose from move to move. A dose after none, the first or after a pause, is no change."""
    before = jnp.concatenate([jnp.broadcast_to(last, (plans.shape[0], 1)), plans[:, :-1]], axis=1)
    return jnp.sum(jnp.where(before > 0, jnp.abs(plans - before), 0.0), axis=1)


def _losses(
    assumed: Assumed, model: DrugModel, scenario: Scenario, members: Members, record: Record, choice: Array | None
) -> Callable[[Float[Array, "plan move"]], Float[Array, " plan"]]:
    """From plans to their expected losses under a model."""
    # Products with it stand for means: a sum over the last axis would not vectorise on a CPU.
    share = jnp.full(members.missing.shape, 1.0 / members.missing.size)

    def loss(a: Ahead) -> Float[Array, " member"]:
        missed = a.counts * (1.0 - a.verdict.inside) + _NEARNESS * a.far
        # Nothing is added without a price, so that the program, and its last bits, stay as they are.
        return missed + assumed.harm * jnp.sum(a.harms, axis=0) if assumed.harm else missed

    if is_linear(model, scenario):
        look = foreseen(assumed, model, scenario, members, record, choice, of=lambda a: loss(a) @ share)
        return jax.vmap(lambda plan: jnp.sum(look(plan)))

    def integrated(plans: Array) -> Array:
        # Every support patient once for each plan, side by side: an axis of plans before that of the support patients
        # would leave short rows, which take up to three times as long.
        count = plans.shape[0]
        look = foreseen(assumed, model, scenario, members, record, choice, of=loss)
        found = jnp.sum(look(jnp.repeat(plans.T, members.missing.size, axis=1)), axis=0)
        return found.reshape(count, -1) @ share

    return integrated
