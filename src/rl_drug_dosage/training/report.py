"""Convert the report of an iteration to logged metrics, and name the cause if something is not finite."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from rl_drug_dosage.ppo.learner import INPUT_NAMES
from rl_drug_dosage.ppo.loss import LossTerms
from rl_drug_dosage.training.config import TrainConfig
from rl_drug_dosage.training.iteration import Report

__all__ = ["culprit", "lost_note", "mean_over_seeds", "scalars"]

_MOST_LOST = 0.01
"""Share of a rollout's steps that are not finite, above which more is wrong than a patient far out."""


def scalars(report: Report, index: int, config: TrainConfig, steps_per_s: float) -> dict[str, float]:
    """The metrics of one seed after one update.

    ``charts/episodic_return`` and ``charts/episodic_length`` are means over the episodes that ended in the rollout,
    and are omitted if none did. The losses are means over the update's minibatches; ``losses/entropy`` is that of
    the updated policy.
    """
    one: Any = jax.tree.map(lambda x: np.asarray(x)[index], report) if config.seeds > 1 else report
    update, episodes = one.update, one.episodes
    values = {"charts/learning_rate": update.learning_rate, "charts/SPS": steps_per_s}
    if episodes.ended > 0:
        values["charts/episodic_return"] = episodes.return_sum / episodes.ended
        values["charts/episodic_length"] = episodes.length_sum / episodes.ended
    if config.clip_reward:
        values["charts/reward_clipfrac"] = episodes.reward_clipped
    if config.harm_limit:
        values |= {"charts/harm_rate": episodes.harm, "charts/harm_multiplier": one.multiplier}
    if episodes.lost > 0:
        values["charts/lost_share"] = episodes.lost
    values |= {f"losses/{name}": value for name, value in update.terms._asdict().items()}
    values["losses/explained_variance"] = update.explained_variance
    return {name: float(value) for name, value in values.items()}


def mean_over_seeds(values: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each metric over the seeds that have it."""
    names = dict.fromkeys(name for one in values for name in one)
    return {name: float(np.mean([one[name] for one in values if name in one])) for name in names}


def culprit(report: Report, seeds: Sequence[int], reward: str = "") -> str:
    """What was first not finite, in words; empty if everything is finite.

    Args:
        report: of an update.
        seeds: that were trained.
        reward: the function that gives it, in words; empty where it is not known.
    """
    for index, seed in enumerate(seeds):
        own: Any = report
        if len(seeds) > 1:
            own = jax.tree.map(lambda x, i=index: np.asarray(x)[i], report)
        if reason := _first(own, reward):
            return f"{reason} (seed {seed})"
    return ""


def lost_note(report: Report, batch_size: int) -> str:
    """What to say of courses that ended because their simulation was not finite; empty if there were none.

    Args:
        report: of an update.
        batch_size: steps of one seed.
    """
    count = round(float(np.sum(report.episodes.lost)) * batch_size)
    return f"{count:,} courses ended early, as failures: the patient's equations were not finite" if count else ""


def _first(report: Any, reward: str) -> str:
    update, lost = report.update, float(report.episodes.lost)
    if lost > _MOST_LOST:
        return f"the simulation of {100 * lost:.3g} % of the steps is not finite, more than {100 * _MOST_LOST:g} %"
    for name, fine in zip(INPUT_NAMES, update.inputs_finite, strict=True):
        if not fine:
            by = f" ({reward})" if reward and name == "reward" else ""
            return f"the {name} of the rollout is not finite{by}"
    flags = np.asarray(update.losses_finite)
    if not flags.all():
        epoch, minibatch, term = np.argwhere(~flags)[0]
        return f"{LossTerms._fields[term]} is not finite in epoch {epoch + 1}, minibatch {minibatch + 1}"
    return "" if update.params_finite else "the parameters are not finite after the last minibatch"
