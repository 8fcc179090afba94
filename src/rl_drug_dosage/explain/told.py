"""What a policy that corrects a Bayesian dose is told by the belief of support patients, and that dose as a policy."""

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rl_drug_dosage.clinic.policy import Policy
from rl_drug_dosage.clinic.record import Record, Truth
from rl_drug_dosage.clinic.timetable import Answer, amount_of
from rl_drug_dosage.policies.adapters.learnt import PpoDosing

__all__ = ["TOLD", "UNCORRECTED", "Heard", "corrects", "heard_by", "uncorrected"]

UNCORRECTED = "uncorrected"
"""Name of the Bayesian dose that a policy corrects, beside the names of policies."""
TOLD = ("best", "surprise", "target", "doubt", "lasting", "due")
"""What is heard of a decision, in order: the Bayesian dose; the new levels less their predictions, in standard
deviations, 0 where there are none; the share inside the targets that is expected of the Bayesian dose; whether the
belief is in doubt; the slow correction with which the dose was made, a power of 2; whether a dose was due."""


class _Memory(NamedTuple):
    own: Any
    told: Float[Array, " told"]


class Heard(Policy):
    """A policy that `corrects`, with what it was told at the last decision in its memory. It doses as that policy."""

    policy: PpoDosing

    def init(self, record: Record, truth: Truth | None = None) -> _Memory:
        return _Memory(self.policy.init(record, truth), jnp.zeros(len(TOLD), jnp.float32))

    def act(self, memory: _Memory, observation: Record, key: PRNGKeyArray | None) -> tuple[Answer, _Memory]:
        observer = self.policy.observer
        vector, seen = observer(memory.own[0], observation)
        answer, own = self.policy.answer(memory.own, (vector, seen), key)
        place = {feature.name: i for i, feature in enumerate(observer.names)}
        due = observation.k >= observation.due if observer.scenario.dosage.intervals_h else True
        parts = (
            amount_of(seen[0].advised),
            vector[place["innovation"]],
            vector[place["target_ahead_best"]],
            vector[place["doubt"]],
            own[0][0].lasting,
            due,
        )
        return answer, _Memory(own, jnp.stack([jnp.asarray(part, jnp.float32) for part in parts]))


def corrects(policy: Policy) -> bool:
    """Whether a policy is a learnt correction of a Bayesian dose on the belief of support patients."""
    return isinstance(policy, PpoDosing) and policy.observer.corrects


def heard_by(policy: Policy) -> Heard:
    """A policy that `corrects`, with its belief told."""
    assert isinstance(policy, PpoDosing)
    return Heard(policy)


def uncorrected(policy: Policy) -> Policy:
    """The Bayesian dose of a policy that `corrects`: an action of 0 at every decision.

    It differs from the policy in numbers alone, so that both share a compiled program.
    """

    def last(p: Policy) -> tuple[Any, Any]:
        assert isinstance(p, PpoDosing)
        mean = p.policy.networks.actor_mean
        return mean.weights[-1], mean.biases[-1]

    silent: Policy = eqx.tree_at(last, policy, replace_fn=lambda leaf: jnp.zeros_like(jnp.asarray(leaf)))
    return silent
