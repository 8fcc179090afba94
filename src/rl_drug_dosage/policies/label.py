"""The dose of the label or guideline, from weight, kidney function, age or genotype, with its adjustment rules.

Each scenario defines the rule and cites its source.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from rl_drug_dosage.clinic.dose_grid import snap
from rl_drug_dosage.clinic.policy import Policy, PolicyDefinition, Setting
from rl_drug_dosage.clinic.record import Record, Truth
from rl_drug_dosage.clinic.scenario import Scenario

__all__ = ["POLICY", "Label"]


class Label(Policy):
    """``Scenario.label``, rounded to the grid."""

    scenario: Scenario = eqx.field(static=True)

    def init(self, record: Record, truth: Truth | None = None) -> tuple[()]:
        return ()

    def act(self, memory: tuple[()], observation: Record, key: PRNGKeyArray | None) -> tuple[Array, tuple[()]]:
        dose = jnp.asarray(self.scenario.label(observation.facts(), observation))
        # What is not a number has no nearest amount.
        return jnp.where(jnp.isnan(dose), jnp.nan, snap(self.scenario, dose)), memory


def build(setting: Setting) -> Label:
    """Build the policy from the scenario's rule."""
    return Label(setting.scenario)


POLICY = PolicyDefinition(title="the label's or guideline's dose", build=build)
