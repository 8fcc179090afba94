"""Chemotherapy with tumour, normal and immune cells: all patients are identical.

**What the clinic knows.** Every patient is the typical one; the tumour is imaged every 28 days with an error of 1 %.

A benchmark, not a drug: cells and doses are dimensionless. See `scenarios._ahn` for model, goal and sources.
"""

from rl_drug_dosage.scenarios._ahn import chemotherapy

__all__ = ["SCENARIO"]

SCENARIO = chemotherapy(
    "all patients identical",
    setting="setting 1 (no noise)",
    variation=0.0,
    observed=0.0,
)
