"""Model-informed precision dosing: MAP-Bayes from all levels so far, then the best dose sequence for the goal.

The patient is taken to be exactly the MAP estimate (certainty equivalence), as bedside programs do; `mipd-average`
averages over the posterior instead. See `_planner` for the search and `clinic.belief` for the estimate.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from rl_drug_dosage.agents._planner import best_plan, choose, first_plan, outlook
from rl_drug_dosage.agents._policy import Agent, Policy, Setting
from rl_drug_dosage.clinic.belief import Belief, Player, estimate, new_results, occasions_of, past, prior
from rl_drug_dosage.clinic.record import Record
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.pkpd import DrugModel
from rl_drug_dosage.pkpd.bayes.objective import split_latent
from rl_drug_dosage.types import Array

__all__ = ["AGENT", "Mipd", "MipdMemory", "player_of", "update"]


class MipdMemory(NamedTuple):
    """The belief after the last results, and the plan before."""

    belief: Belief
    plan: Array


def player_of(model: DrugModel, scenario: Scenario, record: Record, z: Array) -> Player:
    """A player of the patient that random effects z describe."""
    occasions = occasions_of(model, scenario)
    eta, kappa = split_latent(model, z, occasions)
    return Player(model, scenario, record.covariates, eta, kappa if occasions else None, area=True)


def update(model: DrugModel, scenario: Scenario, belief: Belief, record: Record) -> Belief:
    """The belief with the results that came back since the decision before; no work where none can have."""
    fresh = jnp.asarray(new_results(scenario))[record.k]
    return jax.lax.cond(fresh, lambda: estimate(model, scenario, record, belief.z), lambda: belief)


class Mipd(Policy):
    """See the module docstring."""

    scenario: Scenario = eqx.field(static=True)
    model: DrugModel = eqx.field(static=True)

    def init(self, facts: Record) -> MipdMemory:
        start = self.scenario.label(facts.facts(), facts)
        return MipdMemory(prior(self.model, self.scenario), first_plan(self.scenario, start))

    def act(self, memory: MipdMemory, observation: Record, key: PRNGKeyArray | None) -> tuple[Array, MipdMemory]:
        belief = update(self.model, self.scenario, memory.belief, observation)
        player = player_of(self.model, self.scenario, observation, belief.z)
        look = outlook(player, past(player, observation), observation)
        plan = best_plan(self.scenario, look, memory.plan)
        amount = choose(self.scenario, look, plan, loss=lambda d: d @ d)
        return amount, MipdMemory(belief, plan)


def build(setting: Setting) -> Mipd:
    """Under the controller's model."""
    return Mipd(setting.scenario, setting.controller)


AGENT = Agent(title="Bayesian dosing: MAP estimate, then the best dose sequence", build=build)
