"""The Aurora warfarin protocol: 10 mg (5 mg from 65 years on) for two days, then a table on the INR; no genotype.

As in the arm AAA of Ravvaz 2017: after a change of dose the next INR that counts is a week later. An INR of 4 or more
acts on any day, because the scenarios may draw one every day (this project's choice). The table is in
`rl_drug_dosage.scenarios.warfarin_protocols`.
"""

import equinox as eqx
from jaxtyping import Array, PRNGKeyArray

from rl_drug_dosage.clinic.dose_grid import snap
from rl_drug_dosage.clinic.policy import Policy, PolicyDefinition, Setting
from rl_drug_dosage.clinic.record import Record, Truth
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.scenarios.warfarin_protocols import Chart, aurora_arm, empty_chart, is_warfarin, morning

__all__ = ["POLICY", "Aurora"]

_WAIT_DAYS = 7
"""Aurora's table repeats the INR 7 days after a change of dose."""


class Aurora(Policy):
    """Aurora from the first day: its chart is the memory."""

    scenario: Scenario = eqx.field(static=True)

    def init(self, record: Record, truth: Truth | None = None) -> Chart:
        return empty_chart()

    def act(self, memory: Chart, observation: Record, key: PRNGKeyArray | None) -> tuple[Array, Chart]:
        arm = aurora_arm(_WAIT_DAYS)
        dose, chart = morning(arm, observation.facts(), observation, memory, observation.k)
        return snap(self.scenario, dose), chart


def build(setting: Setting) -> Aurora:
    """The published table."""
    return Aurora(setting.scenario)


def _refuses(scenario: Scenario) -> str:
    return "" if is_warfarin(scenario) else f"Aurora is a protocol for warfarin and the INR, not for {scenario.title!r}"


POLICY = PolicyDefinition(title="the Aurora protocol: warfarin by a table on the INR", build=build, refuses=_refuses)
