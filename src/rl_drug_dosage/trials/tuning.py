"""Tune a baseline on a separate cohort: every candidate treats the same patients, and the best one is kept.

The patients come from the tuning stream and the controller's model, so a clinic could do this before treating anyone.
"""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from rl_drug_dosage.clinic.faults import not_stacked, require_policy
from rl_drug_dosage.clinic.policy import Policy, PolicyDefinition, Setting
from rl_drug_dosage.clinic.rollout import rollout
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.simulators import simulator_of
from rl_drug_dosage.errors import BadPluginError
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.utils.seeding import Stream, generator, key_for

__all__ = ["tuned"]

_PATIENTS = 200
"""Standard error of a mean attainment: at most 3.5 points, and much less for paired differences of candidates."""
_TIE = 0.01
"""Weight of the mean reward, in units of its spread: decides between candidates with the same attainment."""


def tuned(definition: PolicyDefinition, setting: Setting, *, seed: int) -> tuple[Policy, dict[str, Any]]:
    """The tuned policy for a setting, and the chosen values (parameter -> value; empty if nothing is tuned).

    The score of a candidate is its mean attainment over the cohort; ties are broken by the higher mean reward.
    """
    if definition.candidates is None:
        return require_policy(definition.build(setting), definition.title), {}
    stacked = definition.candidates(setting, generator(seed, Stream.TUNE))
    require_policy(stacked, definition.title, "candidates(setting, rng)")
    if said := not_stacked(stacked):
        raise BadPluginError(f"policy {definition.title!r}: candidates(setting, rng) returned {said}: stack them")
    # The clinic tunes on patients simulated from its own model.
    model = simulator_of(setting.scenario, setting.controller.name)
    arrays, rest = eqx.partition(stacked, eqx.is_array)
    scores, rewards = (np.asarray(v) for v in _scores(setting.scenario, model, arrays, rest, seed))
    spread = np.nanstd(rewards) or 1.0
    total = np.nan_to_num(scores + _TIE * (rewards - np.nanmean(rewards)) / spread, nan=-np.inf)
    best = int(np.argmax(total))
    chosen = eqx.combine(jax.tree.map(lambda leaf: leaf[best], arrays), rest)
    values = {name: float(leaf) for name, leaf in vars(chosen).items() if eqx.is_array(leaf) and np.ndim(leaf) == 0}
    return chosen, {"candidates": len(scores), "attainment_pct": round(100.0 * float(scores[best]), 2), **values}


def _scores(scenario: Scenario, model: DrugModel, arrays: Any, rest: Any, seed: int) -> tuple[Any, Any]:
    judged = jnp.asarray(scenario.judged())

    @partial(jax.jit, static_argnums=())
    def score(leaves: Any, stream: Any) -> tuple[Any, Any]:
        policy = eqx.combine(leaves, rest)
        keys = jax.vmap(lambda i: jax.random.fold_in(stream, i))(jnp.arange(_PATIENTS))
        seen = rollout(scenario, model, policy, keys)
        return seen.inside[judged].mean(), seen.reward.sum(0).mean()

    # Running one candidate after the other keeps the working set in the caches.
    return jax.jit(lambda leaves, stream: jax.lax.map(lambda one: score(one, stream), leaves))(
        arrays, key_for(seed, Stream.TUNE)
    )
