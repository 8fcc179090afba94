"""What a belief says about doses: levels with their spread, and the probabilities of target and harm."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from rl_drug_dosage.clinic.belief import level_errors
from rl_drug_dosage.clinic.ensemble.carry import carried
from rl_drug_dosage.clinic.ensemble.choice import members_of
from rl_drug_dosage.clinic.ensemble.foresight import foreseen, with_forecast
from rl_drug_dosage.clinic.ensemble.support import Assumed, Draws, Ensemble
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.pkpd import DrugModel

__all__ = ["QUANTILES", "Forecast", "forecast", "surprise"]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
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


def _below(
    model: DrugModel, scenario: Scenario, predicted: Float[Array, "sample member"], level: Float[Array, " sample"]
) -> Float[Array, "sample member"]:
    error, log_variance, _ = level_errors(model, scenario, predicted, jnp.broadcast_to(level[:, None], predicted.shape))
    return jax.scipy.stats.norm.cdf(-error * jnp.exp(-0.5 * log_variance))
