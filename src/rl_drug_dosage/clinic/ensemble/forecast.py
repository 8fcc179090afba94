"""What a belief says about doses: levels with their spread, and the probabilities of target and harm."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rl_drug_dosage.clinic.belief import level_errors
from rl_drug_dosage.clinic.ensemble.carry import carried, new_results
from rl_drug_dosage.clinic.ensemble.choice import members_of
from rl_drug_dosage.clinic.ensemble.foresight import Ahead, foreseen, with_forecast
from rl_drug_dosage.clinic.ensemble.linear import is_linear
from rl_drug_dosage.clinic.ensemble.support import Assumed, Draws, Ensemble
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.pkpd import DrugModel

__all__ = ["FARTHEST_INNOVATION", "QUANTILES", "Expected", "Forecast", "expected", "forecast", "innovation", "surprise"]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
FARTHEST_INNOVATION = 4.0
"""Standard deviations; beyond, single precision no longer tells a place in a distribution from 1."""
_COUNT_ODE = 256
"""Support patients of all models that need numerical integration for each dose, drawn by weight."""
_HALVINGS = 26
"""Of the range of all values, to a quantile."""


class Forecast(NamedTuple):
    """Of candidate doses."""

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
    support: Int[Array, ""]
    """Number of support patients."""


def forecast(
    assumed: Assumed,
    draws: tuple[Draws, ...],
    scenario: Scenario,
    belief: Ensemble,
    record: Record,
    plans: Float[Array, "dose move"],
) -> Forecast:
    """The intervals ahead under plans of doses.

    Args:
        assumed: what the belief assumes.
        draws: of its models.
        scenario: the task.
        belief: at the decision of the record.
        record: what is known.
        plans: the doses of each candidate (`planner.MOVES`), in the dosage's unit.
    """
    record = with_forecast(scenario, record)
    probability = belief.probability
    costly = max(sum(not model.structure.linear for model in assumed.models), 1)
    values, inside, harms = [], [], []
    for model, own, cloud in zip(assumed.models, draws, belief.clouds, strict=True):
        count = cloud.log_weight.size
        count = count if model.structure.linear else min(count, _COUNT_ODE // costly)
        members = members_of(scenario, own, cloud, record, count)
        look = foreseen(assumed, model, scenario, members, record, dense=True)
        ahead = jax.lax.map(look, plans)
        values.append(ahead.values)
        inside.append(jnp.mean(ahead.verdict.inside, axis=-1))
        harms.append(jnp.mean(ahead.harms, axis=-1))
    weight = jnp.concatenate([jnp.full(v.shape[-1], p / v.shape[-1]) for p, v in zip(probability, values, strict=True)])
    return Forecast(
        _quantiles(jnp.concatenate(values, axis=-1), weight),
        jnp.tensordot(probability, jnp.stack(inside), 1),
        jnp.tensordot(probability, jnp.stack(harms), 1),
        probability,
        sum((cloud.effective for cloud in belief.clouds), jnp.zeros(())),
        jnp.asarray(sum(cloud.log_weight.size for cloud in belief.clouds)),
    )


class Expected(NamedTuple):
    """Of candidate plans, on the support patients that doses are compared on."""

    level: Float[Array, " plan"]
    """Mean of ln(1 + x) of the monitored output at the end of the next interval, without assay error."""
    level_sd: Float[Array, " plan"]
    """Its standard deviation."""
    target: Float[Array, " plan"]
    """Expected share of points inside every target, over the intervals ahead that count; 0 if none counts."""
    harm: Float[Array, " plan"]
    """Probability of any harm in the intervals ahead."""


def expected(
    assumed: Assumed,
    draws: tuple[Draws, ...],
    scenario: Scenario,
    belief: Ensemble,
    record: Record,
    plans: Float[Array, "plan move"],
) -> Expected:
    """What plans lead to; the arguments are those of `forecast`."""
    record = with_forecast(scenario, record)
    found = []
    for model, own, cloud in zip(assumed.models, draws, belief.clouds, strict=True):
        members = members_of(scenario, own, cloud, record, assumed.compared)
        look = foreseen(assumed, model, scenario, members, record, of=_of_interval)
        if is_linear(model, scenario):
            each = jax.vmap(look)(plans)
        else:
            # Side by side, see `choice`.
            count = (len(plans), members.missing.size)
            columns = look(jnp.repeat(plans.T, count[1], axis=1))
            each = jax.tree.map(lambda v, c=count: jnp.moveaxis(v.reshape(len(v), *c), 1, 0), columns)
        level, inside, counts, harm = each
        level = jnp.where(jnp.isfinite(level[:, 0]), level[:, 0], 0.0)
        reached = jnp.mean(inside.sum(axis=1), axis=-1) / jnp.maximum(counts.sum(axis=1)[:, 0], 1.0)
        moments = (jnp.mean(level, axis=-1), jnp.mean(level**2, axis=-1))
        found.append((*moments, reached, jnp.mean(harm.max(axis=1), axis=-1)))
    first, second, target, harm = (jnp.tensordot(belief.probability, jnp.stack(v), 1) for v in zip(*found, strict=True))
    return Expected(first, jnp.sqrt(jnp.maximum(second - first**2, 0.0)), target, harm)


def _of_interval(ahead: Ahead) -> tuple[Array, Array, Array, Array]:
    """Logarithm of the last level, whether inside if it counts, whether it counts, any harm; ``[member]`` each."""
    counts = jnp.broadcast_to(ahead.counts, ahead.verdict.inside.shape)
    level = jnp.log1p(jnp.maximum(ahead.values[-1], 0.0))
    return level, counts * ahead.verdict.inside, counts, jnp.max(ahead.harms, axis=0, initial=0.0)


def _quantiles(values: Float[Array, "... member"], weight: Float[Array, " member"]) -> Float[Array, "... quantile"]:
    """The least values with these shares of the weight at or below them, by bisection: XLA's sort is slow on a CPU."""
    finite = jnp.isfinite(values)
    low = jnp.min(values, axis=-1, where=finite, initial=jnp.inf)
    high = jnp.max(values, axis=-1, where=finite, initial=-jnp.inf)

    def one(share: float) -> Float[Array, "..."]:
        def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
            under, upper = ends
            middle = 0.5 * (under + upper)
            # A value that is not finite lies above all.
            enough = jnp.sum(jnp.where(values <= middle[..., None], weight, 0.0), axis=-1) >= share
            return jnp.where(enough, under, middle), jnp.where(enough, middle, upper)

        return jax.lax.fori_loop(0, _HALVINGS, halve, (low, high))[1]

    return jnp.stack([one(share) for share in QUANTILES], axis=-1)


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


def innovation(
    assumed: Assumed, scenario: Scenario, belief: Ensemble, record: Record
) -> tuple[Float[Array, ""], Bool[Array, ""]]:
    """The mean standardised innovation of the new results, and whether there are any.

    The innovation of a result is the standard normal quantile of its place in the predictive distribution, at most
    `FARTHEST_INNOVATION` from 0: standard normal if the belief is right, above 0 for levels higher than expected.
    Results below the limit of quantification do not count.

    Args:
        assumed: what the belief assumes.
        scenario: the task.
        belief: from `carry.over_interval`, before the results are used.
        record: at the decision.
    """
    results = new_results(belief, record)
    used = results.used & ~results.below
    place = jnp.zeros(results.level.shape)
    for probability, model, cloud in zip(belief.probability, assumed.models, belief.clouds, strict=True):
        predicted = cloud.pending.reshape(-1, cloud.log_weight.size)
        place = place + probability * _below(model, scenario, predicted, results.level) @ cloud.weight
    edge = jax.scipy.stats.norm.cdf(-FARTHEST_INNOVATION)
    place = jnp.where(jnp.isfinite(place), place, 0.5)
    each = jax.scipy.special.ndtri(jnp.clip(place, edge, 1.0 - edge))
    count = jnp.sum(used)
    return jnp.sum(jnp.where(used, each, 0.0)) / jnp.maximum(count, 1), count > 0


def _below(
    model: DrugModel, scenario: Scenario, predicted: Float[Array, "sample member"], level: Float[Array, " sample"]
) -> Float[Array, "sample member"]:
    error, log_variance, _ = level_errors(model, scenario, predicted, jnp.broadcast_to(level[:, None], predicted.shape))
    return jax.scipy.stats.norm.cdf(-error * jnp.exp(-0.5 * log_variance))
