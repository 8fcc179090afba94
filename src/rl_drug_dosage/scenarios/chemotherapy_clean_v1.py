"""Chemotherapy of a tumour among normal and immune cells: every patient is the same one.

**What the clinic knows.** The patient is the typical one; the tumour is imaged every 28 days with an error of 1 %.

A benchmark and no drug: cells and doses are dimensionless. See `envs._ahn` for model, goal and sources.
"""

from rl_drug_dosage.scenarios._ahn import chemotherapy

__all__ = ["SCENARIO"]

SCENARIO = chemotherapy(
    "all patients alike",
    setting="setting 1 (no noise)",
    variation=0.0,
    observed=0.0,
)
