"""`mipd` with the laboratory's assay error in place of the model's residual error: ``mipd,error=assay``.

A published residual error contains model misspecification as well as assay error. With the smaller number the estimate
follows the levels more closely.
"""

import dataclasses

from rl_drug_dosage.clinic.assumptions import no_assay_error
from rl_drug_dosage.clinic.policy import PolicyDefinition, Setting
from rl_drug_dosage.policies import mipd
from rl_drug_dosage.policies.mipd import Mipd

__all__ = ["POLICY"]


def build(setting: Setting) -> Mipd:
    """Build the policy with the controller's model and the assay error of the scenario's monitoring."""
    return mipd.build(dataclasses.replace(setting, options={"error": "assay"}))


POLICY = PolicyDefinition(
    title="Bayesian dosing with the assay error as residual error", build=build, refuses=no_assay_error
)
