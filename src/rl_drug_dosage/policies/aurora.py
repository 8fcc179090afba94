"""The Aurora warfarin protocol: 10 mg (5 mg from 65 years on) for two days, then a table on the INR; no genotype.

As in the AAA arm of Ravvaz 2017, the next INR after a dose change is read a week later. An INR of 4 or more changes the
dose on any day, because the scenarios may measure the INR daily (this project's choice). The table is in
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
"""In Aurora's table the INR is repeated 7 days after a dose change."""


class Aurora(Policy):
    """The Aurora protocol from the first day. The memory holds its chart."""

    scenario: Scenario = eqx.field(static=True)

    def init(self, record: Record, truth: Truth | None = None) -> Chart:
        return empty_chart()

    def act(self, memory: Chart, observation: Record, key: PRNGKeyArray | None) -> tuple[Array, Chart]:
        arm = aurora_arm(_WAIT_DAYS)
        dose, chart = morning(arm, observation.facts(), observation, memory, observation.k)
        return snap(self.scenario, dose), chart


def build(setting: Setting) -> Aurora:
    """Build the policy with the published table."""
    return Aurora(setting.scenario)


def _refuses(scenario: Scenario) -> str:
    return "" if is_warfarin(scenario) else f"Aurora is a protocol for warfarin and the INR, not for {scenario.title!r}"


POLICY = PolicyDefinition(title="the Aurora protocol: warfarin by a table on the INR", build=build, refuses=_refuses)
