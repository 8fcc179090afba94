"""Chemotherapy with tumour, normal and immune cells: patients differ, with large noise.

**What the clinic knows.** The tumour, imaged every 28 days with an error of 14 %. Initial cell counts vary between
patients, and growth varies from one decision to the next.

A benchmark, not a drug: cells and doses are dimensionless. See `scenarios._ahn` for model, goal and sources.
"""

from rl_drug_dosage.scenarios._ahn import chemotherapy

__all__ = ["SCENARIO"]

SCENARIO = chemotherapy(
    "patients differ, large noise",
    setting="setting 4 (pkpd_noise 0.1, obs_noise 0.5, state_noise 0.2)",
    variation=0.1,
    observed=0.5,
    state=0.2,
)
