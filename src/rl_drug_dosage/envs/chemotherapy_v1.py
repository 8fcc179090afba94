"""Chemotherapy of a tumour among normal and immune cells: parameters differ between patients, nothing else is uncertain.

**What the clinic knows.** The tumour, measured every day with an error of 1 %, before the dose of the next day is
chosen. A benchmark and no drug: cells and doses are dimensionless. See `envs._ahn` for model, goal and sources.
"""

from rl_drug_dosage.envs._ahn import chemotherapy

__all__ = ["SCENARIO"]

SCENARIO = chemotherapy(
    "parameters vary between patients",
    variation=0.1,
    observed=0.0,
    setting="setting 2 (pkpd_noise 0.1, nothing else)",
)
