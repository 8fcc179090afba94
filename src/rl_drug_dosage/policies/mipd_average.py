"""Model-informed precision dosing averaged over the posterior: doses are compared by their expected loss.

The plan of `mipd` is the starting point. Multiples of it are compared by their mean loss over the posterior, which is
approximated by importance sampling: draws from a widened Gaussian around the MAP estimate, weighted by posterior over
proposal. The loss of an interval is d^4 / (1 + d^4) plus 0.02 min(d^2, 25), where d is the deviation from the aim in
half-widths: d = 1 at the edges of the target range (`clinic.planner.outside`).
"""

import dataclasses
from collections.abc import Callable, Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from rl_drug_dosage.clinic.assumptions import MAP_OPTIONS, assumed_by, refused_assumptions
from rl_drug_dosage.clinic.belief import Belief, Past, log_posterior, past, prior
from rl_drug_dosage.clinic.doubt import cautious, unheeded
from rl_drug_dosage.clinic.planner import (
    FACTORS,
    Planned,
    begin,
    decide,
    outlook,
    outside,
    player_of,
    update,
)
from rl_drug_dosage.clinic.policy import Policy, PolicyDefinition, Setting
from rl_drug_dosage.clinic.record import Record, Truth, with_any_results
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.timetable import Answer
from rl_drug_dosage.pkpd import DrugModel

__all__ = ["POLICY", "MipdAverage"]

_DRAWS, _DRAWS_ODE = 16, 12
"""Number of draws, half of them antithetic; fewer if each draw needs numerical integration of the history."""
_WIDENING = 1.1
"""Widening of the proposal relative to the Gaussian approximation, so that it covers the tails of the posterior."""


class MipdAverage(Policy):
    """Bayesian dosing by expected loss. The memory holds the belief and the last plan; the draws are parameters."""

    scenario: Scenario = eqx.field(static=True)
    model: DrugModel = eqx.field(static=True)
    noise: Float[Array, "draw z"]

    def init(self, record: Record, truth: Truth | None = None) -> Planned:
        return begin(self.model, self.scenario, self.scenario.label(record.facts(), record))

    def anytime(self) -> "MipdAverage":
        return dataclasses.replace(self, scenario=with_any_results(self.scenario))

    def remarks(self, facts: Mapping[str, float]) -> tuple[str, ...]:
        return unheeded(self.model, self.scenario, facts)

    def act(self, memory: Planned, observation: Record, key: PRNGKeyArray | None) -> tuple[Answer, Planned]:
        belief = update(self.model, self.scenario, memory.belief, observation)
        player = player_of(self.model, self.scenario, observation, belief.z)
        seen = past(player, observation)
        draws, histories, weights = self._posterior(belief, observation)

        def spread(choice: Array | None) -> Callable[[Array], Array]:
            def looked(candidate: Array) -> Array:
                def one(z: Array, history: Past) -> Array:
                    own = player_of(self.model, self.scenario, observation, z)
                    return outlook(own, history, observation, choice)(candidate)

                return jax.vmap(one)(draws, histories)

            return looked

        answer, plan = decide(
            self.scenario,
            lambda choice: outlook(player, seen, observation, choice),
            memory.plan,
            loss=lambda d: weights @ jax.vmap(outside)(d),
            factors=FACTORS,
            compared_on=spread,
        )
        return cautious(self.scenario, belief, observation, answer), Planned(belief, plan)

    def _posterior(self, belief: Belief, record: Record) -> tuple[Float[Array, "draw z"], Past, Float[Array, " draw"]]:
        """Random effects drawn around the MAP estimate, the history under each, and their weights, which sum to 1."""
        shape = jnp.linalg.cholesky(belief.covariance)
        draws = belief.z + _WIDENING * self.noise @ jnp.where(jnp.isfinite(shape), shape, 0.0).T

        def weigh(z: Array, noise: Array) -> tuple[Past, Array]:
            own = player_of(self.model, self.scenario, record, z)
            seen = past(own, record)
            log = log_posterior(self.model, self.scenario, record, z, seen) + 0.5 * noise @ noise
            return seen, jnp.where(jnp.isfinite(log), log, -jnp.inf)

        histories, logs = jax.vmap(weigh)(draws, self.noise)
        return draws, histories, jax.nn.softmax(logs)


def build(setting: Setting) -> MipdAverage:
    """Build the policy with the controller's model, changed by the options, and the same draws for every patient."""
    (model,) = assumed_by(setting)
    size = prior(model, setting.scenario).z.shape[0]
    draws = _DRAWS if model.structure.linear else _DRAWS_ODE
    half = np.random.default_rng(0).standard_normal((draws // 2, size))
    return MipdAverage(setting.scenario, model, jnp.asarray(np.concatenate([half, -half]), dtype=float))


POLICY = PolicyDefinition(
    title="Bayesian dosing averaged over the posterior",
    build=build,
    options=MAP_OPTIONS,
    refuses_options=refused_assumptions,
)
