"""Chemotherapy of a tumour among normal and immune cells: much noise, half of the results never come.

**What the clinic knows.** The tumour, on an image every 14 days with an error of 14 %, half of which never come. Cell
counts vary at the start, and growth from one decision to the next.

A benchmark and no drug: cells and doses are dimensionless. See `envs._ahn` for model, goal and sources.
"""

from rl_drug_dosage.scenarios._ahn import chemotherapy

__all__ = ["SCENARIO"]

SCENARIO = chemotherapy(
    "patients differ, large noise, half of the measurements missing",
    setting="setting 5, continuous (as 4, missing_rate 0.5; 0.75 in the discrete one)",
    variation=0.1,
    observed=0.5,
    state=0.2,
    missing=0.5,
)
