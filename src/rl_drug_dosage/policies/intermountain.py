"""The Intermountain warfarin protocol: a start from the genotype, then zones of the INR with extra or omitted doses.

As in the PGPGI arm of Ravvaz 2017: EU-PACT's loading dose on days 1-3, Lenzini's refinement on day 4, zones from day 6
on. After an INR that changed the dose, the next one is read a week later. An INR of 3.4 or more changes the dose on any
day, because the scenarios may measure the INR daily (this project's choice). The zones are in
`rl_drug_dosage.scenarios.warfarin_protocols`.
"""

import equinox as eqx
from jaxtyping import Array, PRNGKeyArray

from rl_drug_dosage.clinic.dose_grid import snap
from rl_drug_dosage.clinic.policy import Policy, PolicyDefinition, Setting
from rl_drug_dosage.clinic.record import Record, Truth
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.scenarios.warfarin_protocols import Chart, empty_chart, intermountain_arm, is_warfarin, morning

__all__ = ["POLICY", "Intermountain"]

_WAIT_DAYS = 7
"""One interval in place of the protocol's 5 to 28 days, which depend on the zone and its duration."""


class Intermountain(Policy):
    """The Intermountain protocol from the first day. The memory holds its chart."""

    scenario: Scenario = eqx.field(static=True)

    def init(self, record: Record, truth: Truth | None = None) -> Chart:
        return empty_chart()

    def act(self, memory: Chart, observation: Record, key: PRNGKeyArray | None) -> tuple[Array, Chart]:
        arm = intermountain_arm(_WAIT_DAYS)
        dose, chart = morning(arm, observation.facts(), observation, memory, observation.k)
        return snap(self.scenario, dose), chart


def build(setting: Setting) -> Intermountain:
    """Build the policy with the published zones."""
    return Intermountain(setting.scenario)


def _refuses(scenario: Scenario) -> str:
    if is_warfarin(scenario):
        return ""
    return f"Intermountain is a protocol for warfarin and the INR, not for {scenario.title!r}"


POLICY = PolicyDefinition(
    title="the Intermountain protocol: warfarin by zones of the INR", build=build, refuses=_refuses
)
