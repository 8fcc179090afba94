"""`mipd` with the laboratory's assay error in place of the model's residual error.

A published residual error contains model misspecification as well as assay error. With the smaller number the estimate
follows the levels more closely.
"""

import dataclasses

from rl_drug_dosage.clinic.policy import PolicyDefinition, Setting
from rl_drug_dosage.clinic.scenario import Scenario
from rl_drug_dosage.clinic.simulators import model_of
from rl_drug_dosage.policies.mipd import Mipd

__all__ = ["POLICY"]


def build(setting: Setting) -> Mipd:
    """Build the policy with the controller's model and the assay error of the scenario's monitoring."""
    scenario, model = setting.scenario, setting.controller
    at = model.output_index(scenario.monitoring.output)
    outputs = list(model.outputs)
    outputs[at] = dataclasses.replace(outputs[at], residual=scenario.monitoring.error)
    return Mipd(scenario, dataclasses.replace(model, outputs=tuple(outputs)))


def _refuses(scenario: Scenario) -> str:
    if scenario.monitoring.error is None:
        return f"the assay error is not given in {scenario.title!r}: mipd uses the model's residual error"
    model = model_of(scenario, scenario.models[0])
    if model.outputs[model.output_index(scenario.monitoring.output)].residual is None:
        return f"{model.name} publishes no residual error: mipd already uses the assay error in {scenario.title!r}"
    return ""


POLICY = PolicyDefinition(title="Bayesian dosing with the assay error as residual error", build=build, refuses=_refuses)
