"""Proportional dosing, the rule of thumb of therapeutic drug monitoring: new dose = dose x wanted / measured level.

The first dose is the label's. Wanted level, caution (an exponent) and the largest change per decision are tuned.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from rl_drug_dosage.clinic.dose_grid import snap
from rl_drug_dosage.clinic.policy import Policy, PolicyDefinition, Setting
from rl_drug_dosage.clinic.record import Record, Truth
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.steering import aim_now, latest_level, reference

__all__ = ["POLICY", "Proportional"]


class Proportional(Policy):
    """dose <- dose_j (wanted effect / measured effect after dose j)^caution, within a factor ``most`` of dose_j.

    The effect of a level is its difference from the level of a typical patient without drug. Dose j is the one before
    the latest known level.
    """

    scenario: Scenario = eqx.field(static=True)
    wanted: Float[Array, ""]
    before: Float[Array, ""]
    caution: Float[Array, ""]
    most: Float[Array, ""]

    def init(self, record: Record, truth: Truth | None = None) -> tuple[()]:
        return ()

    def act(self, memory: tuple[()], observation: Record, key: PRNGKeyArray | None) -> tuple[Array, tuple[()]]:
        known, level, at = latest_level(self.scenario, observation.known, observation.level)
        first = snap(self.scenario, self.scenario.label(observation.facts(), observation))
        given = observation.dose[jnp.maximum(at, 0)]
        smallest = self.scenario.dosage.amounts[0] or self.scenario.dosage.amounts[1]
        wanted = (self.wanted - self.before) * aim_now(self.scenario, observation.k)
        ratio = wanted / (level - self.before)
        # a level on the wrong side of the level without drug leads to the largest increase
        ratio = jnp.where(ratio > 0, ratio, self.most)
        factor = jnp.clip(ratio**self.caution, 1.0 / self.most, self.most)
        now = snap(self.scenario, jnp.maximum(given, smallest) * factor)
        return jnp.where(known, now, first), memory


def build(setting: Setting) -> Proportional:
    """Untuned: the typical patient's level at the goal, full correction, at most a factor of 2 per decision."""
    seen = reference(setting.controller, setting.scenario)
    values = (seen.level, seen.before, 1.0, 2.0)
    return Proportional(setting.scenario, *(jnp.asarray(v, dtype=float) for v in values))


def candidates(setting: Setting, rng: np.random.Generator) -> Proportional:
    """128 draws around `build`'s policy, which is the first."""
    seen = reference(setting.controller, setting.scenario)
    count = 128
    effect = (seen.level - seen.before) * np.exp(rng.normal(0.0, 0.3, count))
    caution, most = rng.uniform(0.2, 1.1, count), rng.uniform(1.1, 3.0, count)
    effect[0], caution[0], most[0] = seen.level - seen.before, 1.0, 2.0
    columns = (seen.before + effect, np.full(count, seen.before), caution, most)
    return Proportional(setting.scenario, *(jnp.asarray(c, dtype=float) for c in columns))


POLICY = PolicyDefinition(
    title="new dose = last dose x wanted level / measured level", build=build, candidates=candidates
)
