"""Chemotherapy of a tumour among normal and immune cells: patients differ, with little noise.

**What the clinic knows.** The tumour, on an image every 28 days with an error of 6 %. Cell counts vary at the start,
and growth from one decision to the next.

A benchmark and no drug: cells and doses are dimensionless. See `envs._ahn` for model, goal and sources.
"""

from rl_drug_dosage.scenarios._ahn import chemotherapy

__all__ = ["SCENARIO"]

SCENARIO = chemotherapy(
    "patients differ, small noise",
    setting="setting 3 (pkpd_noise 0.1, obs_noise 0.2, state_noise 0.1)",
    variation=0.1,
    observed=0.2,
    state=0.1,
)
