"""Chemotherapy with tumour, normal and immune cells: large noise, half of the results missing.

**What the clinic knows.** The tumour, imaged every 14 days with an error of 14 %; half of the images are missing.
Initial cell counts vary between patients, and growth varies from one decision to the next.

A benchmark, not a drug: cells and doses are dimensionless. See `scenarios._ahn` for model, goal and sources.
"""

from rl_drug_dosage.scenarios._ahn import chemotherapy

__all__ = ["SCENARIO"]

SCENARIO = chemotherapy(
    "patients differ, large noise, half of the measurements missing",
    setting="setting 5, continuous (as 4, missing_rate 0.5; 0.75 in the discrete setting)",
    variation=0.1,
    observed=0.5,
    state=0.2,
    missing=0.5,
)
