"""Chemotherapy with tumour, normal and immune cells: parameters differ between patients.

**What the clinic knows.** The tumour, imaged every 28 days with an error of 1 %.

A benchmark, not a drug: cells and doses are dimensionless. See `scenarios._ahn` for model, goal and sources.
"""

from rl_drug_dosage.scenarios._ahn import chemotherapy

__all__ = ["SCENARIO"]

SCENARIO = chemotherapy(
    "patients differ",
    setting="setting 2 (pkpd_noise 0.1)",
    variation=0.1,
    observed=0.0,
)
