"""What a belief says about doses: levels with their spread, and the probabilities of target and harm."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rl_drug_dosage.clinic.ensemble.carry import carried
from rl_drug_dosage.clinic.ensemble.choice import members_of
from rl_drug_dosage.clinic.ensemble.foresight import foreseen, with_forecast
from rl_drug_dosage.clinic.ensemble.support import Assumed, Draws, Ensemble, renewed_interval
from rl_drug_dosage.clinic.planner import first_plan
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.pkpd.residual import normal_moments

__all__ = ["Forecast", "forecast", "surprise"]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class Forecast(NamedTuple):
    """Of doses that are given at every decision ahead."""

    levels: Float[Array, "dose ahead time quantile"]
    """5, 25, 50, 75 and 95 % of the monitored output, without assay error, at the output times of each interval."""
    target: Float[Array, "dose ahead"]
    """Expected share of the interval's points inside every target."""
    harms: Float[Array, "dose ahead harm"]
    """Probability of each harm."""
    models: Float[Array, " model"]
    """Probability of each drug model."""
    effective: Float[Array, ""]
    """Effective number of support patients."""


def forecast(
    assumed: Assumed,
    draws: tuple[Draws, ...],
    scenario: Scenario,
    belief: Ensemble,
    record: Record,
    amounts: Float[Array, " dose"],
) -> Forecast:
    """The intervals ahead under constant doses.

    Args:
        assumed: what the belief assumes.
        draws: of its models.
        scenario: the task.
        belief: at the decision of the record.
        record: what is known.
        amounts: candidate doses, in the dosage's unit.
    """
    # All output times, not only those that the goal needs.
    times = scenario.schedule.output_times_h
    dense = dataclasses.replace(scenario, monitoring=dataclasses.replace(scenario.monitoring, at_h=times, guide=-1))
    record = with_forecast(scenario, record)
    probability = belief.probability
    values, inside, harms = [], [], []
    for model, own, cloud in zip(assumed.models, draws, belief.clouds, strict=True):
        members = members_of(scenario, own, cloud, record, cloud.log_weight.size)
        members = members._replace(own=renewed_interval(model, dense, record, members.latent))
        look = foreseen(assumed, model, dense, members, record)
        ahead = jax.lax.map(lambda d, look=look: look(first_plan(scenario, d)), amounts)
        values.append(ahead.values)
        inside.append(jnp.mean(ahead.verdict.inside, axis=-1))
        harms.append(jnp.mean(ahead.harms, axis=-1))
    count = values[0].shape[-1]
    weight = jnp.repeat(probability / count, count)
    return Forecast(
        _quantiles(jnp.concatenate(values, axis=-1), weight),
        jnp.tensordot(probability, jnp.stack(inside), 1),
        jnp.tensordot(probability, jnp.stack(harms), 1),
        probability,
        sum((cloud.effective for cloud in belief.clouds), jnp.zeros(())),
    )


def _quantiles(values: Float[Array, "... member"], weight: Float[Array, " member"]) -> Float[Array, "... quantile"]:
    order = jnp.argsort(values, axis=-1)
    ordered = jnp.take_along_axis(values, order, axis=-1)
    below = jnp.cumsum(weight[order], axis=-1) - 0.5 * weight[order]
    flat = jax.vmap(lambda b, v: jnp.interp(jnp.asarray(QUANTILES), b, v))
    shape = (*values.shape[:-1], len(QUANTILES))
    return flat(below.reshape(-1, weight.size), ordered.reshape(-1, weight.size)).reshape(shape)


def surprise(
    assumed: Assumed, draws: tuple[Draws, ...], scenario: Scenario, belief: Ensemble, record: Record
) -> Float[Array, " sample"]:
    """Where the levels of the interval before ``record.k`` lie in their predictive distribution, from 0 to 1.

    The belief is that of the decision before; assay error is part of the prediction. If the belief is right, the values
    are uniform. NaN for levels that are not known, and for those below the limit of quantification.
    """
    j = jnp.maximum(record.k - 1, 0)
    level, known = record.level[j], record.known[j] & ~record.below[j]
    found = jnp.zeros(level.shape)
    for probability, model, own, cloud in zip(belief.probability, assumed.models, draws, belief.clouds, strict=True):
        after = carried(assumed, model, scenario, own, cloud, record)
        shares = _below(model, scenario, after.pending[-1], level)
        found = found + probability * shares @ after.weight
    return jnp.where(known, found, jnp.nan)


def _below(
    model: DrugModel, scenario: Scenario, predicted: Float[Array, "sample member"], level: Float[Array, " sample"]
) -> Float[Array, "sample member"]:
    residual = model.outputs[model.output_index(scenario.monitoring.output)].residual or scenario.monitoring.error
    assert residual is not None
    error, log_variance, _ = normal_moments(residual, predicted, jnp.broadcast_to(level[:, None], predicted.shape))
    return jax.scipy.stats.norm.cdf(-error * jnp.exp(-0.5 * log_variance))
